"""A plan or a run as a table, CSV, JSON or HTML."""
