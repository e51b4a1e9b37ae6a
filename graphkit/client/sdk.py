"""msgraph-sdk on our chain. Nothing here is imported before somebody asks for ``graph.sdk``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx

from graphkit.errors import UsageError
from graphkit.protocol.clouds import Cloud

if TYPE_CHECKING:
    from msgraph import GraphServiceClient


def service_client(transport: httpx.AsyncBaseTransport, cloud: Cloud) -> GraphServiceClient:
    """A ``GraphServiceClient`` whose requests enter our chain at the top.

    kiota's retry and redirect handlers are left out, since there is one retry layer and no redirect is followed; its
    handlers for parameter names, ``/me`` and telemetry stay. Raises ``UsageError`` if msgraph-sdk is not installed.
    """
    try:
        from kiota_abstractions.authentication import AnonymousAuthenticationProvider
        from kiota_http.middleware import ParametersNameDecodingHandler, UrlReplaceHandler
        from msgraph import GraphRequestAdapter, GraphServiceClient
        from msgraph.graph_request_adapter import options
        from msgraph_core import GraphClientFactory
        from msgraph_core.middleware import GraphTelemetryHandler
    except ImportError as error:
        raise UsageError("msgraph-sdk is not installed", hint="pip install 'graphkit-m365[sdk]'") from error
    middleware = [
        ParametersNameDecodingHandler(),
        UrlReplaceHandler(options["UrlReplaceHandlerOption"]),
        GraphTelemetryHandler(options["GraphTelemetryHandlerOption"]),
    ]
    client = httpx.AsyncClient(transport=transport, trust_env=False)
    client = GraphClientFactory.create_with_custom_middleware(middleware, client=client)
    adapter = GraphRequestAdapter(AnonymousAuthenticationProvider(), client)
    adapter.base_url = f"{cloud.graph_root}/v1.0"
    return GraphServiceClient(request_adapter=adapter)
