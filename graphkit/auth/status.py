"""What ``graphkit auth status`` tells, without asking the network."""

from __future__ import annotations

from dataclasses import dataclass

from graphkit.auth.methods import choose, identities
from graphkit.auth.store import Store, open_store
from graphkit.errors import AuthError
from graphkit.settings import Settings


@dataclass(frozen=True, slots=True)
class Status:
    """How requests would be authenticated.

    ``method`` is empty and ``problem`` says why if they could not be. ``username`` is personal: for this command's
    output only. ``store`` is where a sign-in is kept, empty for methods without one.
    """

    target: str
    method: str
    tenant_id: str
    client_id: str
    username: str = ""
    store: str = ""
    note: str = ""
    problem: str = ""
    hint: str = ""


def status(settings: Settings, *, store: Store | None = None) -> Status:
    """Never raises for what is merely not set up: that is the answer."""
    apps = identities(settings)
    target, who = str(settings.target), (settings.tenant_id, ", ".join(app.client_id for app in apps))
    if settings.target.kind == "simulated":
        return Status(target, "simulated", *who, note="the simulated tenant asks for no credentials")
    try:
        method = ", ".join(dict.fromkeys(choose(app) for app in apps))
        if method not in ("interactive", "device-code"):
            return Status(target, method, *who)
        opened = store or open_store(settings.cache_dir)
    except AuthError as error:
        return Status(target, "", *who, problem=error.message, hint=error.hint)
    names = [account.get("username", "") for account in opened.accounts()]
    if not names:
        missing = "nobody is signed in"
        return Status(target, method, *who, "", opened.kind, opened.note, missing, "run 'graphkit auth login'")
    return Status(target, method, *who, ", ".join(names), opened.kind, opened.note)
