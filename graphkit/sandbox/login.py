"""The tenant's login service: the OAuth 2.0 endpoints that azure-identity and MSAL ask.

Paths and answers: learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow, v2-oauth2-device-code
and v2-protocols-oidc. Errors: learn.microsoft.com/entra/identity-platform/reference-error-codes.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

import msgspec

from graphkit.sandbox.apps import App, LoginRefusal
from graphkit.sandbox.areas import LEAST
from graphkit.sandbox.call import Json, Reply
from graphkit.sandbox.ids import guid, instant, random_guid
from graphkit.sandbox.permissions import APP_ROLES, unknown
from graphkit.sandbox.seed import GRAPH_APP, OWN_APP, plant_app
from graphkit.sandbox.tokens import Signer

if TYPE_CHECKING:
    from graphkit.sandbox.tenant import SimulatedTenant

GRAPH_ROOTS = frozenset(
    {
        "https://graph.microsoft.com",
        "https://graph.microsoft.us",
        "https://dod-graph.microsoft.us",
        "https://microsoftgraph.chinacloudapi.cn",
        GRAPH_APP,
    }
)
SIGN_IN_SCOPES = frozenset({"openid", "profile", "email", "offline_access"})
ANY_TENANT = frozenset({"common", "organizations"})
DEVICE_PAGE = "/devicelogin"
DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"
DEVICE_CODE_S = 900
DEVICE_INTERVAL_S = 5
REFRESH_S = 90 * 86400
_TENANT = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[\w-]+(\.[\w-]+)+", re.IGNORECASE)
_ENDPOINT = re.compile(
    r"/([^/]+)/(v2\.0/\.well-known/openid-configuration|discovery/v2\.0/keys|oauth2/v2\.0/(?:token|devicecode))"
)


@dataclass(slots=True)
class _Flow:
    """A device code on its way: ``user`` is set once a person has entered the code."""

    app: App
    scope: str
    ends: float
    user: Json | None = None


class Login:
    """The login service of one tenant. ``apps`` are its registrations by id; ``token_s`` is how long a token lasts."""

    def __init__(self, tenant: SimulatedTenant, *, token_s: float) -> None:
        self._tenant = tenant
        self.token_s = token_s
        self.signer = Signer(tenant.state, tenant.tenant_id)
        self.apps: dict[str, App] = {}
        self._flows: dict[str, _Flow] = {}
        self._codes: dict[str, str] = {}
        secret = guid(tenant.tenant_id, "secret", tenant.seed.app_id)
        self.register(App(tenant.seed.app_id, OWN_APP, LEAST, {secret: float("inf")}))

    def register(self, app: App) -> App:
        """Add an app registration, or replace the one of that id. Raises ``ValueError`` for an unknown permission."""
        wrong = unknown(app.roles)
        if wrong:
            raise ValueError(f"unknown permission {', '.join(wrong)}; known are {', '.join(sorted(APP_ROLES))}")
        self.apps[app.id] = app
        plant_app(self._tenant.state, self._tenant.seed, app.id, app.name)
        return app

    # -- endpoints -----------------------------------------------------------------------------------------------

    @staticmethod
    def answers(path: str) -> bool:
        return path == DEVICE_PAGE or _ENDPOINT.fullmatch(path) is not None

    def answer(self, method: str, base: str, path: str, headers: dict[str, str], body: bytes) -> Reply:
        """One request of the login service; ``path`` is one that it :meth:`answers`."""
        form = dict(parse_qsl(body.decode("utf-8", "replace")))
        match = _ENDPOINT.fullmatch(path)
        if match is None:
            return self._device_page(method, form)
        try:
            self._check_tenant(match[1])
            root = f"{base}/{match[1]}"
            endpoints: dict[str, Callable[[], Json]] = {
                "openid-configuration": lambda: self._configuration(base, root),
                "keys": self.signer.public_keys,
                "token": lambda: self._token(base, root, form),
                "devicecode": lambda: self._device_code(base, form),
            }
            return _json(200, endpoints[match[2].rpartition("/")[2]]())
        except LoginRefusal as refusal:
            return self.refused(refusal, headers)

    def refused(self, refusal: LoginRefusal, headers: dict[str, str]) -> Reply:
        trace = random_guid(self._tenant.dice)
        correlation = headers.get("client-request-id", trace)
        at = instant(self._tenant.clock.now()).replace("T", " ")
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
        return _json(refusal.status, told)

    def _check_tenant(self, name: str) -> None:
        organisation = self._tenant.state.table("organization").objects[self._tenant.tenant_id]
        domains = {domain["name"].lower() for domain in organisation["verifiedDomains"]}
        if name.lower() in {self._tenant.tenant_id, *domains, *ANY_TENANT}:
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
            "issuer": f"{base}/{self._tenant.tenant_id}/v2.0",
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

    def _app(self, form: Json) -> App:
        wanted = _required(form, "client_id")
        app = self.apps.get(wanted.lower())
        if app is None:
            raise LoginRefusal(
                "unauthorized_client",
                700016,
                f"Application with identifier '{wanted}' was not found in the directory "
                f"'{self._tenant.seed.name}'. This can happen if the application has not been installed by the "
                "administrator of the tenant or consented to by any user in the tenant.",
            )
        return app

    # -- grants --------------------------------------------------------------------------------------------------

    def _token(self, base: str, root: str, form: Json) -> Json:
        grants: dict[str, Callable[[App], Json]] = {
            "client_credentials": lambda app: self._client_credentials(app, base, root, form),
            "refresh_token": lambda app: self._refresh(app, base, form),
            DEVICE_CODE: lambda app: self._redeem(app, base, form),
        }
        grant = grants.get(_required(form, "grant_type"))
        if grant is None:
            raise LoginRefusal(
                "unsupported_grant_type", 70003, f"The app requested an unsupported grant type '{form['grant_type']}'."
            )
        return grant(self._app(form))

    def _client_credentials(self, app: App, base: str, root: str, form: Json) -> Json:
        scope = _required(form, "scope")
        resource, default = scope.rpartition("/")[::2]
        if default != ".default":
            raise LoginRefusal(
                "invalid_scope", 1002012, f"The provided value for scope {scope} is not valid. Client credential flows "
                "must have a scope value with /.default suffixed to the resource identifier (application ID URI)."
            )  # fmt: skip
        _check_resource(resource, base)
        audiences = (f"{root}/oauth2/v2.0/token", f"{base}/{self._tenant.tenant_id}/oauth2/v2.0/token")
        proof = app.prove(form, audiences, self._tenant.clock.now())
        principal = self._tenant.seed.id_of("servicePrincipal", app.id)
        claims = {"idtyp": "app", "appidacr": proof, "oid": principal, "sub": principal, "roles": sorted(app.roles)}
        return self._access(app, resource, claims)

    def _access(self, app: App, resource: str, claims: Json) -> Json:
        now = int(self._tenant.clock.now())
        lasts = int(self.token_s)
        times = {"iat": now, "nbf": now, "exp": now + lasts}
        tenant = {"iss": self.signer.issuer, "tid": self._tenant.tenant_id, "ver": "1.0"}
        about = {"aud": resource, "appid": app.id, "app_displayname": app.name, "uti": random_guid(self._tenant.dice)}
        token = self.signer.sign({**about, **tenant, **times, **claims})
        return {"token_type": "Bearer", "expires_in": lasts, "ext_expires_in": lasts, "access_token": token}

    # -- people --------------------------------------------------------------------------------------------------

    def _device_code(self, base: str, form: Json) -> Json:
        app = self._app(form)
        if not app.public:
            raise LoginRefusal(
                "invalid_client",
                7000218,
                "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.",
                401,
            )
        self._permissions(app, base, _required(form, "scope"))
        secret = random_guid(self._tenant.dice)
        code = secret[:8].upper()
        self._flows[secret] = _Flow(app, form["scope"], self._tenant.clock.now() + DEVICE_CODE_S)
        self._codes[code] = secret
        page = f"{base}{DEVICE_PAGE}"
        return {
            "user_code": code,
            "device_code": secret,
            "verification_uri": page,
            "expires_in": DEVICE_CODE_S,
            "interval": DEVICE_INTERVAL_S,
            "message": f"To sign in, use a web browser to open the page {page} and enter the code {code} to "
            "authenticate.",
        }

    def approve(self, user_code: str, username: str) -> None:
        """What a person does on the page: enter the code and sign in. Raises :class:`LoginRefusal`."""
        flow = self._flows.get(self._codes.get(user_code.strip().upper(), ""))
        if flow is None or flow.ends <= self._tenant.clock.now():
            raise LoginRefusal("invalid_request", 70020, "The code that you entered is wrong or has expired.")
        found = self._tenant.state.table("users").find("userPrincipalName", username.strip())
        flow.user = self._signed_in(found[0]["id"] if found else username)

    def _signed_in(self, key: str) -> Json:
        user = self._tenant.state.get("users", key)
        if user is None:
            raise LoginRefusal("invalid_grant", 50034, f"The user account {key} does not exist in the directory.")
        if user.get("accountEnabled") is False:
            raise LoginRefusal("invalid_grant", 50057, "The user account is disabled.")
        return user

    def _device_page(self, method: str, form: Json) -> Reply:
        told = "Enter the code that your application shows, and the user principal name to sign in as. No password."
        status = 200
        if method == "POST":
            try:
                self.approve(form.get("user_code", ""), form.get("username", ""))
                told = "Signed in. You can close this page."
            except LoginRefusal as refusal:
                status, told = 400, f"AADSTS{refusal.code}: {refusal.message}"
        page = (
            f"<!doctype html><title>Sign in</title><p>{html.escape(told)}</p><form method=post>"
            "<input name=user_code placeholder=code> <input name=username placeholder=user@domain> <button>Sign in"
            "</button></form>"
        )
        return Reply(status, page.encode(), {"Content-Type": "text/html; charset=utf-8"})

    def _redeem(self, app: App, base: str, form: Json) -> Json:
        flow = self._flows.get(_required(form, "device_code"))
        if flow is None or flow.app.id != app.id:
            raise LoginRefusal("invalid_grant", 70000, "The provided value for the 'device_code' parameter is invalid.")
        if flow.ends <= self._tenant.clock.now():
            raise LoginRefusal("expired_token", 70020, "The device code has expired.")
        if flow.user is None:
            raise LoginRefusal("authorization_pending", 70016, "OAuth 2.0 device flow error. Authorization is pending.")
        del self._flows[form["device_code"]]
        return self._person(app, base, flow.scope, flow.user)

    def _refresh(self, app: App, base: str, form: Json) -> Json:
        if not app.public or form.get("client_secret"):
            app.prove(form, (), self._tenant.clock.now())
        try:
            claims = self.signer.read(_required(form, "refresh_token"))
        except ValueError as error:
            raise LoginRefusal("invalid_grant", 9002313, "Invalid request. The refresh token is malformed.") from error
        if claims.get("aud") != "refresh" or claims.get("appid") != app.id:
            raise LoginRefusal("invalid_grant", 70000, "The refresh token was issued to another application.")
        if claims["exp"] <= self._tenant.clock.now():
            raise LoginRefusal("invalid_grant", 700082, "The refresh token has expired due to inactivity.")
        user = self._signed_in(claims["oid"])
        if instant(claims["iat"]) < user.get("signInSessionsValidFromDateTime", ""):
            raise LoginRefusal("invalid_grant", 50173, "The provided grant has expired due to it being revoked.")
        return self._person(app, base, form.get("scope") or claims["scope"], user)

    def _permissions(self, app: App, base: str, scope: str) -> tuple[str, list[str]]:
        """The resource and the delegated permissions that a scope comes to. Raises :class:`LoginRefusal`."""
        resource, wanted = "https://graph.microsoft.com", set[str]()
        for name in set(scope.split()) - SIGN_IN_SCOPES:
            root, slash, permission = name.rpartition("/")
            resource = root if slash else resource
            wanted |= app.roles if permission == ".default" else {permission}
        _check_resource(resource, base)
        if not wanted <= app.roles:
            raise LoginRefusal(
                "invalid_grant", 65001, f"The user or administrator has not consented to use the application with ID "
                f"'{app.id}' named '{app.name}'. Send an interactive authorization request for this user and resource."
            )  # fmt: skip
        return resource, sorted(wanted)

    def _person(self, app: App, base: str, scope: str, user: Json) -> Json:
        resource, permissions = self._permissions(app, base, scope)
        who = {"oid": user["id"], "sub": user["id"], "upn": user["userPrincipalName"]}
        answer = self._access(app, resource, {"idtyp": "user", "appidacr": "0", **who, "scp": " ".join(permissions)})
        now = int(self._tenant.clock.now())
        tenant_id = self._tenant.tenant_id
        times = {"iat": now, "nbf": now, "exp": now + answer["expires_in"]}
        known = {"iss": f"{base}/{tenant_id}/v2.0", "aud": app.id, "tid": tenant_id, "ver": "2.0"}
        shown = {"name": user["displayName"], "preferred_username": user["userPrincipalName"]}
        identity = {**known, **times, "oid": user["id"], "sub": user["id"], **shown}
        refresh = {"aud": "refresh", "appid": app.id, "oid": user["id"], "scope": scope}
        scopes = [f"{resource}/{permission}" for permission in (*permissions, ".default")]
        return {
            **answer,
            "scope": " ".join(scopes),
            "id_token": self.signer.sign(identity),
            "refresh_token": self.signer.sign({**refresh, "iat": now, "exp": now + REFRESH_S}),
            "client_info": _base64({"uid": user["id"], "utid": tenant_id}),
        }


def _json(status: int, document: Json) -> Reply:
    headers = {"Content-Type": "application/json; charset=utf-8", "Cache-Control": "no-store, no-cache"}
    return Reply(status, msgspec.json.encode(document), headers)


def _base64(document: Json) -> str:
    import base64

    return base64.urlsafe_b64encode(msgspec.json.encode(document)).rstrip(b"=").decode()


def _required(form: Json, name: str) -> str:
    if not form.get(name):
        raise LoginRefusal(
            "invalid_request", 900144, f"The request body must contain the following parameter: '{name}'."
        )
    return str(form[name])


def _check_resource(resource: str, base: str) -> None:
    if resource.rstrip("/") not in GRAPH_ROOTS and resource.rstrip("/") != base:
        raise LoginRefusal(
            "invalid_resource",
            500011,
            f"The resource principal named {resource} was not found in the tenant. This can happen if the application "
            "has not been installed by the administrator of the tenant.",
        )
