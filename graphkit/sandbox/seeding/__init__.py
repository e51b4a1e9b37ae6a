"""What a tenant is born with."""
