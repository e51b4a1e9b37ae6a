"""The HTTP session that the login libraries use: our trust store, our proxy, nothing from elsewhere.

Imported only when a login is really made: requests costs a tenth of a second.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter

from graphkit.settings import Settings

TIMEOUT = (10.0, 60.0)
"""Seconds to connect, and to wait for an answer: tokens come fast or not at all."""


class _OurTrust(HTTPAdapter):
    """Verifies against the settings' trust store, where requests would insist on its own bundle."""

    def __init__(self, settings: Settings) -> None:
        self._context = settings.ssl_context()
        super().__init__(max_retries=1)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, ssl_context=self._context, **kwargs)

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        return super().proxy_manager_for(*args, ssl_context=self._context, **kwargs)

    def cert_verify(self, conn: Any, url: str, verify: object, cert: object) -> None:
        conn.cert_reqs = "CERT_REQUIRED"


class LoginSession(requests.Session):
    """Follows no redirect: what is posted here is a credential."""

    def __init__(self, settings: Settings, authority: str) -> None:
        super().__init__()
        self.trust_env = False
        proxy = settings.proxy_for(urlsplit(authority).hostname or "")
        self.proxies = {"https": proxy} if proxy else {}
        self.mount("https://", _OurTrust(settings))

    def request(self, method: str, url: str, **kwargs: Any) -> requests.Response:  # type: ignore[override]  # the many named arguments all pass through
        kwargs["timeout"] = kwargs.get("timeout") or TIMEOUT
        kwargs["allow_redirects"] = False
        return super().request(method, url, **kwargs)
