"""The tenant's login service: who may come in, and with what."""
