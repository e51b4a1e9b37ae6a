"""The tenant's login service: the OAuth 2.0 endpoints that azure-identity and MSAL ask.

Paths and answers: learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow, v2-oauth2-device-code
and v2-protocols-oidc. Errors: learn.microsoft.com/entra/identity-platform/reference-error-codes. The grants are in
``grants.py``, the sign-in of people by code in ``people.py``, managed identities in ``managed.py``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol
from urllib.parse import parse_qsl

import msgspec

from graphkit.sandbox.areas import LEAST
from graphkit.sandbox.call import Json, Reply
from graphkit.sandbox.ids import guid, instant, random_guid
from graphkit.sandbox.login.apps import App
from graphkit.sandbox.login.bearer import Caller, Gate
from graphkit.sandbox.login.grants import Grants, Request
from graphkit.sandbox.login.managed import ManagedIdentities
from graphkit.sandbox.login.people import DEVICE_PAGE, SIGN_IN_SCOPES, DeviceCodes
from graphkit.sandbox.login.refusal import LoginRefusal
from graphkit.sandbox.login.tokens import Signer
from graphkit.sandbox.permissions import APP_ROLES, unknown
from graphkit.sandbox.seeding.seed import HOST_IDENTITY, OWN_APP, plant_app

if TYPE_CHECKING:
    from graphkit.sandbox.tenant import SimulatedTenant

ANY_TENANT = frozenset({"common", "organizations"})
_TENANT = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[\w-]+(\.[\w-]+)+", re.IGNORECASE)
_ENDPOINT = re.compile(
    r"/([^/]+)/(v2\.0/\.well-known/openid-configuration|discovery/v2\.0/keys|oauth2/v2\.0/(?:token|devicecode))"
)
TAKE_OVER = frozenset(
    {"AppRoleAssignment.ReadWrite.All", "Application.ReadWrite.All", "RoleManagement.ReadWrite.Directory"}
)
"""What lets an app give itself everything: no administrator grants that to an app that only writes policies."""


class Watch(Protocol):
    """The time by which tokens begin and end, in epoch seconds."""

    def now(self) -> float: ...


class Login:
    """The login service of one tenant. ``apps`` are its registrations by id.

    ``token_s`` is how long an access token lasts; ``None`` for the service's own: 60 to 90 minutes, and with continuous
    access evaluation ``cae_token_s``. ``watch`` is for a tenant whose clock runs faster than its clients': the times in
    tokens and assertions are theirs.
    """

    def __init__(self, tenant: SimulatedTenant, *, token_s: float | None) -> None:
        self.tenant = tenant
        self.token_s = token_s
        # docs/identity-platform/access-tokens.md of entra-docs, for both.
        self.plain_token_s = (3600.0, 5400.0)
        self.cae_token_s = (20 * 3600.0, 28 * 3600.0)
        self.watch: Watch = tenant.clock
        self.signer = Signer(tenant.state, tenant.tenant_id)
        self.apps: dict[str, App] = {}
        self.gate = Gate(self)
        self.grants = Grants(self)
        self.devices = DeviceCodes(self)
        self.managed = ManagedIdentities(self)
        self._add_own_apps()

    def _add_own_apps(self) -> None:
        seed = self.tenant.seed
        secret = guid(seed.tenant_id, "secret", seed.app_id)
        roles = LEAST - TAKE_OVER
        own = App(seed.app_id, OWN_APP, roles, {secret: float("inf")})
        host = App(seed.identity_id, HOST_IDENTITY, roles, public=False, managed_identity=True)
        self.apps |= {own.id: own, host.id: host}
        self.managed.system = host.id

    def now(self) -> float:
        return self.watch.now()

    def register(self, app: App) -> App:
        """Add an app registration, or replace the one of that id. Raises ``ValueError`` for an unknown permission."""
        wrong = unknown(app.roles)
        if wrong:
            raise ValueError(f"unknown permission {', '.join(wrong)}; known are {', '.join(sorted(APP_ROLES))}")
        self.apps[app.id] = app
        kind = "ManagedIdentity" if app.managed_identity else "Application"
        plant_app(self.tenant.state, self.tenant.seed, app.id, app.name, kind)
        return app

    def revoke(self, app_id: str, until: float | None = None) -> None:
        """End all tokens of an app issued so far, as when it is found to be at risk: a client that understands claims
        challenges is told so, any other notices nothing. With ``until`` (epoch seconds) new tokens too are challenged
        before that time: a challenge that cannot be met.
        """
        self.gate.revoke(app_id, until)

    def approve(self, user_code: str, username: str) -> None:
        """What a person does on the page: enter the code and sign in. Raises :class:`LoginRefusal`."""
        self.devices.approve(user_code, username)

    def caller(self, authorization: str, base: str) -> Caller:
        """Who holds this bearer token. Raises ``Refusal`` (401) for one that is not good."""
        return self.gate.caller(authorization, base)

    # -- endpoints -----------------------------------------------------------------------------------------------

    @staticmethod
    def answers(path: str) -> bool:
        return path == DEVICE_PAGE or ManagedIdentities.answers(path) or _ENDPOINT.fullmatch(path) is not None

    def answer(self, method: str, base: str, path: str, headers: dict[str, str], body: bytes, query: str = "") -> Reply:
        """One request of the login service; ``path`` is one that it :meth:`answers`."""
        if self.managed.answers(path):
            return self.managed.answer(method, base, path, headers, dict(parse_qsl(query)))
        form = dict(parse_qsl(body.decode("utf-8", "replace")))
        match = _ENDPOINT.fullmatch(path)
        if match is None:
            return self.devices.page(method, form)
        try:
            self._check_tenant(match[1])
            request = Request(base, f"{base}/{match[1]}", form)
            endpoints: dict[str, Callable[[], Json]] = {
                "openid-configuration": lambda: self._configuration(base, request.root),
                "keys": self.signer.public_keys,
                "token": lambda: self.grants.token(request),
                "devicecode": lambda: self.devices.start(request),
            }
            return answer_json(200, endpoints[match[2].rpartition("/")[2]]())
        except LoginRefusal as refusal:
            return self.refused(refusal, headers)

    def refused(self, refusal: LoginRefusal, headers: dict[str, str]) -> Reply:
        trace = random_guid(self.tenant.dice)
        correlation = headers.get("client-request-id", trace)
        at = instant(self.now()).replace("T", " ")
        text = (
            f"AADSTS{refusal.code}: {refusal.message} Trace ID: {trace} Correlation ID: {correlation} Timestamp: {at}"
        )
        told = {
            "error": refusal.error,
            "error_description": text,
            "error_codes": [refusal.code],
            "timestamp": at,
            "trace_id": trace,
            "correlation_id": correlation,
            "error_uri": f"https://login.microsoftonline.com/error?code={refusal.code}",
        }
        return answer_json(refusal.status, told, refusal.headers)

    def _check_tenant(self, name: str) -> None:
        organisation = self.tenant.state.table("organization").objects[self.tenant.tenant_id]
        domains = {domain["name"].lower() for domain in organisation["verifiedDomains"]}
        if name.lower() in {self.tenant.tenant_id, *domains, *ANY_TENANT}:
            return
        if not _TENANT.fullmatch(name):
            raise LoginRefusal(
                "invalid_request",
                900023,
                f"Specified tenant identifier '{name}' is neither a valid DNS name, nor a valid external domain.",
            )
        raise LoginRefusal(
            "invalid_request",
            90002,
            f"Tenant '{name}' not found. Check to make sure you have the correct tenant ID and are signing into the "
            "correct cloud.",
        )

    def _configuration(self, base: str, root: str) -> Json:
        return {
            "issuer": f"{base}/{self.tenant.tenant_id}/v2.0",
            "authorization_endpoint": f"{root}/oauth2/v2.0/authorize",
            "token_endpoint": f"{root}/oauth2/v2.0/token",
            "device_authorization_endpoint": f"{root}/oauth2/v2.0/devicecode",
            "jwks_uri": f"{root}/discovery/v2.0/keys",
            "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt"],
            "response_types_supported": ["code", "id_token"],
            "subject_types_supported": ["pairwise"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "scopes_supported": sorted(SIGN_IN_SCOPES),
        }

    # -- access tokens -------------------------------------------------------------------------------------------

    def access(self, app: App, resource: str, claims: Json, *, lasts: int, capabilities: list[str]) -> str:
        """An access token for ``resource``; with ``capabilities``, for a client that understands claims challenges."""
        now = int(self.now())
        about = {"aud": resource, "appid": app.id, "app_displayname": app.name, "uti": random_guid(self.tenant.dice)}
        tenant = {"iss": self.signer.issuer, "tid": self.tenant.tenant_id, "ver": "1.0"}
        times = {"iat": now, "nbf": now, "exp": now + lasts, "aio": self.gate.stamp()}
        able = {"xms_cc": capabilities} if capabilities else {}
        return self.signer.sign({**about, **tenant, **times, **able, **claims})

    def lifetime(self, *, cae: bool) -> int:
        if self.token_s is not None:
            return int(self.token_s)
        return int(self.tenant.dice.uniform(*(self.cae_token_s if cae else self.plain_token_s)))


def answer_json(status: int, document: Json, headers: dict[str, str] | None = None) -> Reply:
    kind = {"Content-Type": "application/json; charset=utf-8", "Cache-Control": "no-store, no-cache"}
    return Reply(status, msgspec.json.encode(document), {**kind, **(headers or {})})
