"""How people sign in: a code on another device, and the refresh token that they get for it."""

from __future__ import annotations

import base64
import html
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from graphkit.sandbox.call import Json, Reply
from graphkit.sandbox.ids import instant, random_guid
from graphkit.sandbox.login.apps import App
from graphkit.sandbox.login.bearer import issued
from graphkit.sandbox.login.grants import Request, check_resource
from graphkit.sandbox.login.refusal import LoginRefusal

if TYPE_CHECKING:
    from graphkit.sandbox.login.service import Login

DEVICE_PAGE = "/devicelogin"
DEVICE_CODE_S = 900
DEVICE_INTERVAL_S = 5
REFRESH_S = 90 * 86400
SIGN_IN_SCOPES = frozenset({"openid", "profile", "email", "offline_access"})


@dataclass(slots=True)
class _Flow:
    """A device code on its way: ``user`` is set once a person has entered the code."""

    app: App
    scope: str
    ends: float
    user: Json | None = None


class DeviceCodes:
    """The codes that are waiting for a person, and what people hold afterwards."""

    def __init__(self, login: Login) -> None:
        self._login = login
        self._tenant = login.tenant
        self._flows: dict[str, _Flow] = {}
        self._codes: dict[str, str] = {}

    def start(self, request: Request) -> Json:
        """learn.microsoft.com/entra/identity-platform/v2-oauth2-device-code."""
        app = self._login.grants.app(request)
        if not app.public:
            raise LoginRefusal(
                "invalid_client",
                7000218,
                "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.",
                401,
            )
        _permissions(app, request.base, request.required("scope"))
        secret = random_guid(self._tenant.dice)
        code = secret[:8].upper()
        self._flows[secret] = _Flow(app, request.form["scope"], self._login.now() + DEVICE_CODE_S)
        self._codes[code] = secret
        page = f"{request.base}{DEVICE_PAGE}"
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
        flow = self._flows.get(self._codes.get(user_code.strip().upper(), ""))
        if flow is None or flow.ends <= self._login.now():
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

    def page(self, method: str, form: Json) -> Reply:
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

    def redeem(self, app: App, request: Request) -> Json:
        flow = self._flows.get(request.required("device_code"))
        if flow is None or flow.app.id != app.id:
            raise LoginRefusal("invalid_grant", 70000, "The provided value for the 'device_code' parameter is invalid.")
        if flow.ends <= self._login.now():
            raise LoginRefusal("expired_token", 70020, "The device code has expired.")
        if flow.user is None:
            raise LoginRefusal("authorization_pending", 70016, "OAuth 2.0 device flow error. Authorization is pending.")
        del self._flows[request.form["device_code"]]
        return self._tokens(app, request, flow.scope, flow.user)

    def refresh(self, app: App, request: Request) -> Json:
        if not app.public or request.form.get("client_secret"):
            app.prove(request.form, (), self._login.now())
        try:
            claims = self._login.signer.read(request.required("refresh_token"))
        except ValueError as error:
            raise LoginRefusal("invalid_grant", 9002313, "Invalid request. The refresh token is malformed.") from error
        if claims.get("aud") != "refresh" or claims.get("appid") != app.id:
            raise LoginRefusal("invalid_grant", 70000, "The refresh token was issued to another application.")
        if claims["exp"] <= self._login.now():
            raise LoginRefusal("invalid_grant", 700082, "The refresh token has expired due to inactivity.")
        user = self._signed_in(claims["oid"])
        if instant(issued(claims)[0]) < user.get("signInSessionsValidFromDateTime", ""):
            raise LoginRefusal("invalid_grant", 50173, "The provided grant has expired due to it being revoked.")
        return self._tokens(app, request, request.form.get("scope") or claims["scope"], user)

    def _tokens(self, app: App, request: Request, scope: str, user: Json) -> Json:
        """Access, identity and refresh token of a person."""
        resource, permissions = _permissions(app, request.base, scope)
        who = {"oid": user["id"], "sub": user["id"], "upn": user["userPrincipalName"]}
        claims = {"idtyp": "user", "appidacr": "0", **who, "scp": " ".join(permissions)}
        answer = self._login.grants.answer(app, resource, claims, request)
        scopes = [f"{resource}/{permission}" for permission in (*permissions, ".default")]
        return {
            **answer,
            "scope": " ".join(scopes),
            "id_token": self._identity_token(app, request.base, user, answer["expires_in"]),
            "refresh_token": self._refresh_token(app, scope, user),
            "client_info": _base64({"uid": user["id"], "utid": self._tenant.tenant_id}),
        }

    def _identity_token(self, app: App, base: str, user: Json, lasts: int) -> str:
        now, tenant_id = int(self._login.now()), self._tenant.tenant_id
        known = {"iss": f"{base}/{tenant_id}/v2.0", "aud": app.id, "tid": tenant_id, "ver": "2.0"}
        shown = {"name": user["displayName"], "preferred_username": user["userPrincipalName"]}
        times = {"iat": now, "nbf": now, "exp": now + lasts}
        return self._login.signer.sign({**known, **times, "oid": user["id"], "sub": user["id"], **shown})

    def _refresh_token(self, app: App, scope: str, user: Json) -> str:
        now, signer = int(self._login.now()), self._login.signer
        times = {"iat": now, "exp": now + REFRESH_S, "aio": self._login.gate.stamp()}
        return signer.sign(
            {"iss": signer.issuer, "aud": "refresh", "appid": app.id, "oid": user["id"], "scope": scope, **times}
        )


def _permissions(app: App, base: str, scope: str) -> tuple[str, list[str]]:
    """The resource and the delegated permissions that a scope comes to. Raises :class:`LoginRefusal`."""
    resource, wanted = "https://graph.microsoft.com", set[str]()
    for name in set(scope.split()) - SIGN_IN_SCOPES:
        root, slash, permission = name.rpartition("/")
        resource = root if slash else resource
        wanted |= app.roles if permission == ".default" else {permission}
    check_resource(resource, base)
    if not wanted <= app.roles:
        raise LoginRefusal(
            "invalid_grant", 65001, f"The user or administrator has not consented to use the application with ID "
            f"'{app.id}' named '{app.name}'. Send an interactive authorization request for this user and resource."
        )  # fmt: skip
    return resource, sorted(wanted)


def _base64(document: Json) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(document)).rstrip(b"=").decode()
