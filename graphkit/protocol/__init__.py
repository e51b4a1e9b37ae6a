"""What Microsoft Graph says and means, without any input or output."""
