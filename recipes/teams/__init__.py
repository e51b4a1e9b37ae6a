"""Teams and their channels."""
