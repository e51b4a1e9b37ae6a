"""The token endpoint: for what an access token is given, and how often."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from graphkit.sandbox.call import Json
from graphkit.sandbox.login.apps import App
from graphkit.sandbox.login.bearer import GRAPH_ROOTS
from graphkit.sandbox.login.refusal import LoginRefusal
from graphkit.sandbox.seeding.seed import GRAPH_APP

if TYPE_CHECKING:
    from graphkit.sandbox.login.service import Login

DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"
MINUTE_S = 60.0
CAPABILITIES = frozenset({"cp1"})
"""The only one there is (entra-docs docs/identity-platform/claims-challenge.md)."""


@dataclass(frozen=True, slots=True)
class Request:
    """A form that was posted. ``base`` is where we are asked, ``root`` the same with the tenant."""

    base: str
    root: str
    form: Json

    def required(self, name: str) -> str:
        if not self.form.get(name):
            raise LoginRefusal(
                "invalid_request", 900144, f"The request body must contain the following parameter: '{name}'."
            )
        return str(self.form[name])

    def capabilities(self) -> list[str]:
        """What the client says it can do, in the parameter ``claims``, so far as it is known."""
        text = self.form.get("claims")
        if not text:
            return []
        try:
            wanted = msgspec.json.decode(text)["access_token"].get("xms_cc") or {}
            values = wanted.get("values") or [wanted.get("value")]
        except (msgspec.DecodeError, KeyError, TypeError, AttributeError) as error:
            # The code is that of any malformed request; what the service says of this parameter is not documented.
            raise LoginRefusal("invalid_request", 9002313, "Invalid request. The claims are malformed.") from error
        values = [values] if isinstance(values, str) else values
        return [value for value in values if str(value).lower() in CAPABILITIES]


class Grants:
    """``requests_a_minute`` is how often one app may ask for a token. No quota is published; this one is generous."""

    def __init__(self, login: Login) -> None:
        self._login = login
        self._tenant = login.tenant
        self.requests_a_minute = 600
        self._asked: dict[str, deque[float]] = {}

    def token(self, request: Request) -> Json:
        grants: dict[str, Callable[[App, Request], Json]] = {
            "client_credentials": self._client_credentials,
            "refresh_token": self._login.devices.refresh,
            DEVICE_CODE: self._login.devices.redeem,
        }
        grant = grants.get(request.required("grant_type"))
        if grant is None:
            wanted = request.form["grant_type"]
            raise LoginRefusal(
                "unsupported_grant_type", 70003, f"The app requested an unsupported grant type '{wanted}'."
            )
        app = self.app(request)
        self._pace(app, request.form["grant_type"])
        return grant(app, request)

    def app(self, request: Request) -> App:
        """The registration that asks, if it may sign in here. Raises :class:`LoginRefusal`."""
        wanted = request.required("client_id")
        app = self._login.apps.get(wanted.lower()) or self._login.apps.get(wanted)
        principals = self._tenant.state.table("servicePrincipals").find("appId", wanted)
        if app is None or not principals:
            raise LoginRefusal(
                "unauthorized_client",
                700016,
                f"Application with identifier '{wanted}' was not found in the directory "
                f"'{self._tenant.seed.name}'. This can happen if the application has not been installed by the "
                "administrator of the tenant or consented to by any user in the tenant.",
            )
        if principals[0].get("accountEnabled") is False:
            raise LoginRefusal("unauthorized_client", 7000112, f"Application '{app.id}'({app.name}) is disabled.")
        return app

    def _pace(self, app: App, grant: str) -> None:
        """learn.microsoft.com/entra/msal/dotnet/advanced/client-and-server-throttling: 429 with Retry-After: 60 for an
        app, AADSTS50196 for a person. The code that comes with 429 is an assumption (TenantThrottlingError).
        """
        now, asked = self._login.now(), self._asked.setdefault(app.id, deque())
        while asked and asked[0] <= now - MINUTE_S:
            asked.popleft()
        if len(asked) < self.requests_a_minute:
            asked.append(now)
            return
        if grant == "client_credentials":
            told, later = "There are too many incoming requests.", {"Retry-After": "60"}
            raise LoginRefusal("temporarily_unavailable", 90055, told, 429, later)
        told = "The server terminated an operation because it encountered a client request loop."
        raise LoginRefusal("invalid_grant", 50196, told)

    def _client_credentials(self, app: App, request: Request) -> Json:
        scope = request.required("scope")
        resource, default = scope.rpartition("/")[::2]
        if default != ".default":
            raise LoginRefusal(
                "invalid_scope", 1002012, f"The provided value for scope {scope} is not valid. Client credential flows "
                "must have a scope value with /.default suffixed to the resource identifier (application ID URI)."
            )  # fmt: skip
        check_resource(resource, request.base)
        own = f"{request.base}/{self._tenant.tenant_id}/oauth2/v2.0/token"
        proof = app.prove(request.form, (f"{request.root}/oauth2/v2.0/token", own), self._login.now())
        return self.answer(app, resource, self.as_app(app, proof), request)

    def as_app(self, app: App, proof: str) -> Json:
        """The claims of an app that acts as itself."""
        principal = self._tenant.state.table("servicePrincipals").find("appId", app.id)[0]["id"]
        return {"idtyp": "app", "appidacr": proof, "oid": principal, "sub": principal, "roles": sorted(app.roles)}

    def answer(self, app: App, resource: str, claims: Json, request: Request) -> Json:
        """The access token in the endpoint's words. A long one comes with the time to renew it early, which MSAL heeds
        (that it is half the lifetime is an assumption).
        """
        able = request.capabilities()
        lasts = self._login.lifetime(cae=bool(able))
        early = {"refresh_in": lasts // 2} if lasts >= 7200 else {}
        token = self._login.access(app, resource, claims, lasts=lasts, capabilities=able)
        return {"token_type": "Bearer", "expires_in": lasts, "ext_expires_in": lasts, **early, "access_token": token}


def check_resource(resource: str, base: str) -> None:
    if not is_graph(resource, base):
        raise LoginRefusal("invalid_resource", 500011, not_found(resource))


def is_graph(resource: str, base: str) -> bool:
    return resource.rstrip("/") in GRAPH_ROOTS | {GRAPH_APP, base}


def not_found(resource: str) -> str:
    return (
        f"The resource principal named {resource} was not found in the tenant. This can happen if the application "
        "has not been installed by the administrator of the tenant."
    )
