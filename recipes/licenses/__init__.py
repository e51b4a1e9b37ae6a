"""Licences: pools by group, direct assignment."""
