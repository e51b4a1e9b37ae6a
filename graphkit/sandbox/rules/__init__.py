"""What the service does of its own accord: names, memberships, expiry, licences."""
