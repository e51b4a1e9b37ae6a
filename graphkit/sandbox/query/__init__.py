"""The query options of a read, pages and delta."""
