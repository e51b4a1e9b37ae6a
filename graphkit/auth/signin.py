"""People sign in through MSAL: with the browser, or with a code on another device."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from graphkit.auth.aadsts import explain
from graphkit.auth.grant import Fetch, Grant
from graphkit.auth.methods import choose
from graphkit.auth.store import Store, open_store
from graphkit.errors import AuthError
from graphkit.protocol.clouds import Cloud
from graphkit.settings import Settings

Show = Callable[[str], None]

NOT_SIGNED_IN = "nobody is signed in"


@dataclass(frozen=True, slots=True)
class Account:
    """Who has signed in. ``username`` is personal: show it to that person, never log it.

    ``store`` is encrypted, plaintext or memory; ``note`` what is to be said about it.
    """

    username: str
    tenant_id: str
    store: str
    note: str


def login(
    settings: Settings,
    cloud: Cloud,
    *,
    show: Show,
    insecure_cache: bool = False,
    store: Store | None = None,
    app: Any = None,
) -> Account:
    """Sign a person in, replacing whoever was. ``show`` prints a line (the code, and where to enter it).

    By device code if the settings say so, else with the browser; blocks until the person is done. ``store`` and
    ``app`` (an MSAL ``PublicClientApplication``) are made from the settings unless given. Raises ``AuthError``.
    """
    if settings.target.kind == "simulated":
        raise AuthError("the simulated tenant has no sign-in", hint="leave out --target simulated")
    method = "device-code" if settings.auth == "device-code" else "interactive"
    choose(replace(settings, auth=method, access_token=""))
    store = store or open_store(settings.cache_dir, insecure=insecure_cache)
    signing_in = SignIn(method, settings, cloud, store=store, show=show, app=app)
    return signing_in.ask()


def logout(settings: Settings, *, store: Store | None = None) -> int:
    """Forget every stored sign-in and tell how many there were. The network is not asked."""
    store = store or open_store(settings.cache_dir)
    count = len(store.accounts())
    store.clear()
    return count


def fetcher(method: str, settings: Settings, cloud: Cloud, *, show: Show | None) -> Fetch:
    """A fetch for whoever is signed in; with ``show`` a person is asked to sign in if nobody is."""
    return SignIn(method, settings, cloud, show=show).fetch


class SignIn:
    """One MSAL application and the account signed in to it. Made on first use: that asks the network."""

    def __init__(
        self,
        method: str,
        settings: Settings,
        cloud: Cloud,
        *,
        show: Show | None = None,
        store: Store | None = None,
        app: Any = None,
    ) -> None:
        self._method = method
        self._settings = settings
        self._cloud = cloud
        self._show = show
        self._store = store
        self._app = app

    def fetch(self, claims: str, renew: bool) -> Grant:
        """A token without asking anyone, if possible. Blocks."""
        app = self._application()
        result = self._call(lambda: _silently(app, self._cloud.scope, claims, renew))
        if "access_token" not in result and self._show:
            result = self._call(lambda: self._interactively(app, claims))
        return self._grant(result)

    def ask(self) -> Account:
        """Ask a person to sign in, and forget any other account."""
        app = self._application()
        result = self._call(lambda: self._interactively(app, ""))
        self._grant(result)
        username = str((result.get("id_token_claims") or {}).get("preferred_username", ""))
        for account in app.get_accounts():
            if account.get("username") != username:
                app.remove_account(account)
        tenant = str((result.get("id_token_claims") or {}).get("tid", ""))
        store = self._opened()
        return Account(username, tenant, store.kind, store.note)

    def _opened(self) -> Store:
        if self._store is None:
            self._store = open_store(self._settings.cache_dir)
        return self._store

    def _application(self) -> Any:
        if self._app is None:
            cache = self._opened().cache()
            self._app = self._call(lambda: build_application(self._settings, self._cloud, cache))
        return self._app

    def _interactively(self, app: Any, claims: str) -> Mapping[str, Any]:
        scopes, challenge = [self._cloud.scope], claims or None
        show = self._show or (lambda _: None)
        answer: Mapping[str, Any]
        if self._method == "interactive":
            show("a browser window opens for the sign-in")
            answer = app.acquire_token_interactive(scopes, claims_challenge=challenge)
        elif "user_code" in (flow := app.initiate_device_flow(scopes, claims_challenge=challenge)):
            show(str(flow["message"]))
            answer = app.acquire_token_by_device_flow(flow, claims_challenge=challenge)
        else:
            answer = flow
        return answer

    def _call(self, step: Callable[[], Any]) -> Any:
        from msal_extensions import LockError

        try:
            return step()
        except (ValueError, OSError, LockError) as error:  # requests' and the stores' errors are OSErrors
            raise explain(f"{error}", method=self._method) from error

    def _grant(self, result: Mapping[str, Any]) -> Grant:
        if "access_token" in result:
            return Grant(str(result["access_token"]), float(result.get("expires_in", 0)))
        if result.get("error") == NOT_SIGNED_IN:
            raise AuthError(NOT_SIGNED_IN, hint="run 'graphkit auth login'")
        raise explain(str(result.get("error_description") or result.get("error") or ""), method=self._method)


def build_application(settings: Settings, cloud: Cloud, cache: Any, http: Any = None) -> Any:
    """MSAL's public client on ``cache``, talking to the settings' authority only. Asks the network for its metadata."""
    import msal

    from graphkit.auth.http import LoginSession

    loopback = settings.target.kind == "loopback"
    authority = settings.authority_url if loopback else cloud.authority
    return msal.PublicClientApplication(
        settings.client_id,
        authority=f"{authority}/{settings.tenant_id or 'organizations'}",
        token_cache=cache,
        http_client=http or LoginSession(settings, authority),
        instance_discovery=not loopback,
        # Without it Graph sends no claims challenges (MicrosoftDocs/entra-docs
        # docs/identity-platform/claims-challenge.md).
        client_capabilities=["CP1"],
    )


def _silently(app: Any, scope: str, claims: str, renew: bool) -> Mapping[str, Any]:
    for account in app.get_accounts():
        result: Mapping[str, Any] | None = app.acquire_token_silent_with_error(
            [scope], account, force_refresh=renew, claims_challenge=claims or None
        )
        if result:
            return result
    return {"error": NOT_SIGNED_IN}
