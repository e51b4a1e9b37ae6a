"""Managed identities: the two local endpoints that azure-identity and MSAL ask where Azure hosts the program.

App Service and Functions (``IDENTITY_ENDPOINT``, ``IDENTITY_HEADER``): azure-docs
articles/app-service/overview-managed-identity.md. Virtual machines: entra-docs
docs/identity/managed-identities-azure-resources/how-to-use-vm-token.md, azure-docs
articles/virtual-machines/instance-metadata-service.md.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import msgspec

from graphkit.sandbox.call import Json, Reply
from graphkit.sandbox.ids import guid, random_guid
from graphkit.sandbox.login.apps import App
from graphkit.sandbox.login.grants import is_graph, not_found

if TYPE_CHECKING:
    from graphkit.sandbox.login.service import Login

APP_SERVICE = "/msi/token"
IMDS = "/metadata/identity/oauth2/token"
APP_SERVICE_VERSION = "2019-08-01"
IMDS_VERSION = "2018-02-01"
LASTS_S = 86400
_NONE_FOUND = "No User Assigned or Delegated Managed Identity found"


class ManagedIdentities:
    """What is assigned to the machine that a client believes it runs on: all registered apps that are managed
    identities, ``system`` (an app id, or none) as its own.

    ``imds_per_second`` is the documented limit of the metadata service; until ``updating_until`` (epoch seconds) it is
    "going through updates", which the documentation promises to last 70 seconds at most. Tokens last ``token_s`` and
    come from a cache until they end: a permission that is granted now is seen in the next one. Continuous access
    evaluation is not offered (docs/identity/conditional-access/concept-continuous-access-evaluation-workload.md).
    """

    def __init__(self, login: Login) -> None:
        self._login = login
        self._tenant = login.tenant
        self.system = ""
        self.header = guid(login.tenant.tenant_id, "identity-header")
        self.token_s = LASTS_S
        self.imds_per_second = 20
        self.updating_until = 0.0
        self._asked: deque[float] = deque()
        self._cache: dict[tuple[str, str], Json] = {}

    @staticmethod
    def answers(path: str) -> bool:
        return path in (APP_SERVICE, IMDS)

    def environment(self, base: str) -> dict[str, str]:
        """What App Service sets for its programs."""
        return {"IDENTITY_ENDPOINT": f"{base}{APP_SERVICE}", "IDENTITY_HEADER": self.header}

    def answer(self, method: str, base: str, path: str, headers: dict[str, str], query: Json) -> Reply:
        if path == IMDS:
            return self._imds(method, base, headers, query)
        return self._app_service(method, base, headers, query)

    # -- App Service ---------------------------------------------------------------------------------------------

    def _app_service(self, method: str, base: str, headers: dict[str, str], query: Json) -> Reply:
        """Errors are those that clients report (MicrosoftDocs/azure-docs#43543; the tests of MSAL for .NET and Java);
        that of a wrong header is an assumption.
        """
        if method != "GET":
            return self._failed(405, "Method Not Allowed")
        if headers.get("x-identity-header") != self.header:
            return self._failed(401, "X-IDENTITY-HEADER is missing or wrong.")
        if query.get("api-version") != APP_SERVICE_VERSION or not query.get("resource"):
            return self._failed(400, "The api-version is not supported or the resource is missing.")
        app = self._named(query, ("client_id", "object_id", "principal_id", "mi_res_id"))
        if app is None:
            return self._failed(
                400,
                "No User Assigned or Delegated Managed Identity found for specified ClientId/ResourceId/PrincipalId.",
            )
        if not is_graph(query["resource"], base):
            return self._failed(500, "An unexpected error occured while fetching the AAD Token.")
        token = self._token(app, query["resource"])
        names = ("access_token", "expires_on", "resource", "token_type", "client_id")
        return _json(200, {name: token[name] for name in names})

    def _failed(self, status: int, message: str) -> Reply:
        correlation = random_guid(self._tenant.dice)
        return _json(status, {"statusCode": status, "message": message, "correlationId": correlation})

    # -- the instance metadata service ---------------------------------------------------------------------------

    def _imds(self, method: str, base: str, headers: dict[str, str], query: Json) -> Reply:
        if self._login.now() < self.updating_until:
            return _refused(410, "gone", "The metadata service is going through updates.")
        if self._too_fast():
            return _refused(429, "too_many_requests", "Too many requests.")
        if method != "GET":
            return _refused(405, "method_not_allowed", "Only GET is supported.")
        if headers.get("metadata") != "true" or "x-forwarded-for" in headers:
            return _refused(400, "bad_request_102", "Required metadata header not specified")
        for name in ("api-version", "resource"):
            if not query.get(name):
                return _refused(400, "invalid_request", f"Required query variable '{name}' is missing")
        if query["api-version"] < IMDS_VERSION:
            return _refused(400, "invalid_request", "The api-version is not supported")
        return self._imds_token(base, query)

    def _imds_token(self, base: str, query: Json) -> Reply:
        app = self._named(query, ("client_id", "object_id", "msi_res_id", "mi_res_id"))
        if app is None:
            told = "Identity not found"
            if len(self._assigned()) > 1 and not self.system and not _names_one(query):
                told = (
                    "Multiple user assigned identities exist, please specify the clientId / resourceId of the identity "
                    "in the token request"
                )
            return _refused(400, "invalid_request", told)
        if not is_graph(query["resource"], base):
            return _refused(400, "invalid_resource", f"AADSTS500011: {not_found(query['resource'])}")
        token = self._token(app, query["resource"])
        rest = int(token["expires_on"]) - int(self._login.now())
        times = {"expires_in": str(rest), "ext_expires_in": str(rest)}
        return _json(200, {**token, **times, "refresh_token": ""})

    def _too_fast(self) -> bool:
        now = self._login.now()
        while self._asked and self._asked[0] <= now - 1:
            self._asked.popleft()
        if len(self._asked) >= self.imds_per_second:
            return True
        self._asked.append(now)
        return False

    # -- identities ----------------------------------------------------------------------------------------------

    def _assigned(self) -> dict[str, App]:
        """By application id, those whose service principal is there and enabled."""
        table = self._tenant.state.table("servicePrincipals")
        return {
            app.id: app
            for app in self._login.apps.values()
            if app.managed_identity
            and any(found.get("accountEnabled") is not False for found in table.find("appId", app.id))
        }

    def _named(self, query: Json, names: tuple[str, ...]) -> App | None:
        """The identity that is asked for by one of ``names``, or the machine's own. A machine without one of its own
        answers for the only one that is assigned to it, as MSAL's documentation warns.
        """
        assigned = self._assigned()
        wanted = next((str(query[name]).lower() for name in names if query.get(name)), "")
        if wanted:
            return next((app for app in assigned.values() if wanted in self._names_of(app)), None)
        if self.system:
            return assigned.get(self.system)
        return next(iter(assigned.values())) if len(assigned) == 1 else None

    def _names_of(self, app: App) -> set[str]:
        (principal,) = self._tenant.state.table("servicePrincipals").find("appId", app.id)
        aliases = principal.get("alternativeNames", ())
        return {name.lower() for name in (app.id, principal["id"], *aliases)}

    def _token(self, app: App, resource: str) -> Json:
        now = int(self._login.now())
        kept = self._cache.get((app.id, resource))
        if kept is None or int(kept["expires_on"]) <= now:
            claims = self._login.grants.as_app(app, "2")
            token = self._login.access(app, resource, claims, lasts=self.token_s, capabilities=[])
            times = {"not_before": str(now), "expires_on": str(now + self.token_s)}
            kept = {"access_token": token, **times, "resource": resource, "token_type": "Bearer", "client_id": app.id}
            self._cache[app.id, resource] = kept
        return kept


def _names_one(query: Json) -> bool:
    return any(query.get(name) for name in ("client_id", "object_id", "msi_res_id", "mi_res_id"))


def _refused(status: int, error: str, description: str) -> Reply:
    return _json(status, {"error": error, "error_description": description})


def _json(status: int, document: Json) -> Reply:
    return Reply(status, msgspec.json.encode(document), {"Content-Type": "application/json; charset=utf-8"})
