"""What a recipe holds in its hand: Microsoft Graph, one request at a time."""

from graphkit.client.graph import GraphClient
from graphkit.client.refusal import service_error

__all__ = ["GraphClient", "service_error"]
