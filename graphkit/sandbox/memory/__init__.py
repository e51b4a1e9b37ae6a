"""What the tenant remembers, who sees it when, and what is yet to be done."""
