"""The published limits, and the buckets that count them."""
