"""What all modules about users share: how one is found by a path, and what is worked out of one."""

from __future__ import annotations

from graphkit.sandbox.areas import licensing
from graphkit.sandbox.call import Call, Json, not_found
from graphkit.sandbox.query.shape import Derive

# resources/user.md: "returned by default"
DEFAULT_SELECT = (
    "businessPhones", "displayName", "givenName", "id", "jobTitle", "mail", "mobilePhone", "officeLocation",
    "preferredLanguage", "surname", "userPrincipalName",
)  # fmt: skip


def proxy_addresses(_: Call | None, user: Json) -> list[str]:
    """Where nothing else was set, mail arrives at the one address that there is."""
    known = user.get("proxyAddresses")
    if known is not None:
        return list(known)
    return [f"SMTP:{user['mail']}"] if user.get("mail") else []


def identities(_: Call | None, user: Json) -> list[Json]:
    """resources/objectidentity.md: everybody can sign in by their principal name."""
    upn = str(user.get("userPrincipalName") or "")
    own = {"signInType": "userPrincipalName", "issuer": upn.rpartition("@")[2], "issuerAssignedId": upn}
    return [*(user.get("identities") or ()), own]


DERIVED: dict[str, Derive] = {
    "assignedLicenses": licensing.assigned_licenses,
    "assignedPlans": licensing.assigned_plans,
    "identities": identities,
    "provisionedPlans": licensing.provisioned_plans,
    "proxyAddresses": proxy_addresses,
}
"""Sign-in activity is for those who ask users for it; wherever else users appear it is not told."""


def find(call: Call) -> Json:
    """The user that the path names by id or userPrincipalName. Raises :class:`Refusal` (404)."""
    key = call.params["user"]
    table = call.tenant.state.table("users")
    user = table.objects.get(key.lower())
    if user is None and "@" in key:
        user = next(iter(table.find("userPrincipalName", key)), None)
    if user is None or not call.tenant.replication.visible(user, call.now, call.replica):
        raise not_found(key)
    return user
