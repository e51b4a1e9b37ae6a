"""Conditional access and identity protection."""
