"""What an administrator has, read into valid rows and documents, or every error at once."""
