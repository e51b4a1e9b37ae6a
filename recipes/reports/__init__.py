"""Reports: what a tenant holds and how it is used. Nothing is written."""
