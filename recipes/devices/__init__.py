"""Devices that Intune manages."""
