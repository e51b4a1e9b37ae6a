"""Who is registered for which authentication methods: api-reference/v1.0/api/authenticationmethodsroot-*.md.

The report of a million people is worked out row by row, for the rows that are shown.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from graphkit.sandbox.areas.authentication_methods import allowed
from graphkit.sandbox.areas.groups import groups_of
from graphkit.sandbox.areas.policy_base import absent, refuse
from graphkit.sandbox.call import Call, Json, Reply
from graphkit.sandbox.ids import instant
from graphkit.sandbox.permissions import AUDIT
from graphkit.sandbox.query.listing import Kind, entity, listing
from graphkit.sandbox.router import Routes
from graphkit.sandbox.seeding.activity import DAY
from graphkit.sandbox.seeding.credentials import CODES, PASSWORDLESS, PHONE, POLICY_OF, PUSH, methods_of
from graphkit.sandbox.seeding.seed import ROLES

routes = Routes()

DETAILS_KIND = Kind("reports/authenticationMethods/userRegistrationDetails", "userRegistrationDetails")
_PATH = "/reports/authenticationMethods"
_ADMINS_ONLY = re.compile(r"\bisAdmin\s+eq\s+true\b(?!.*\bor\b)", re.IGNORECASE)
_ONE_NAME = re.compile(r"userPrincipalName\s+eq\s+'([^']*)'", re.IGNORECASE)
# What is preferred of several second factors, the strongest first (entra-docs, concept-system-preferred-
# multifactor-authentication.md), and what the report calls it.
_SECOND = ((PUSH, "push"), (CODES, "oath"), ("hardwareOneTimePasscode", "oath"), (PHONE, "sms"))
# authenticationmethodsroot-usersregisteredbymethod.md, "privilegedAdmin"
_PRIVILEGED = frozenset(
    ROLES[name]
    for name in (
        "Global Administrator",
        "Security Administrator",
        "Conditional Access Administrator",
        "Exchange Administrator",
        "SharePoint Administrator",
        "Helpdesk Administrator",
        "Billing Administrator",
        "User Administrator",
        "Authentication Administrator",
    )
)


def details(call: Call) -> Callable[[Json], Json]:
    """A function that makes a user's row of the report. It is a day's work of the service: dated last midnight."""
    allowed_to = allowed(call)
    updated = instant(call.now // DAY * DAY)

    def row(user: Json) -> Json:
        key = user["id"]
        methods = methods_of(key, call.tenant)
        strong = [method for method in methods if method in POLICY_OF]
        leave = allowed_to(key) if strong else frozenset()
        capable = [m for m in strong if not POLICY_OF[m] or not leave.isdisjoint(POLICY_OF[m])]
        second = next((name for method, name in _SECOND if method in methods), None)
        return {
            "id": key,
            "userPrincipalName": user.get("userPrincipalName"),
            "userDisplayName": user.get("displayName"),
            "userType": "guest" if user.get("userType") == "Guest" else "member",
            "isAdmin": bool(roles_of(call, key)),
            "isSsprRegistered": len(methods) > 0,
            "isSsprEnabled": False,
            "isSsprCapable": False,
            "isMfaRegistered": bool(strong),
            "isMfaCapable": bool(capable),
            "isPasswordlessCapable": not PASSWORDLESS.isdisjoint(capable),
            "methodsRegistered": list(methods),
            "isSystemPreferredAuthenticationMethodEnabled": True,
            "systemPreferredAuthenticationMethods": [second] if second else [],
            "userPreferredMethodForSecondaryAuthentication": second or "none",
            "lastUpdatedDateTime": updated,
        }

    return row


def roles_of(call: Call, user_id: str) -> set[str]:
    """The templates of the directory roles that a user holds, by a role-assignable group too."""
    held = set(call.tenant.state.linked_back("roleMembers", user_id))
    for group in groups_of(call, user_id):
        held.update(call.tenant.state.linked_back("roleMembers", group["id"]))
    return held


class _Rows(Sequence[Json | None]):
    """The rows of users, made when they are looked at."""

    def __init__(self, users: Sequence[Json | None], row: Callable[[Json], Json]) -> None:
        self._users = users
        self._row = row

    def __len__(self) -> int:
        return len(self._users)

    def __getitem__(self, position: Any) -> Any:
        user = self._users[position]
        return None if user is None else self._row(user)


@routes.get(_PATH + "/userRegistrationDetails", AUDIT, page="authenticationmethodsroot-list-userregistrationdetails")
def list_details(call: Call) -> Reply:
    return listing(call, DETAILS_KIND, _Rows(_candidates(call), details(call)))


def _candidates(call: Call) -> Sequence[Json | None]:
    """All users, or the few that a filter for administrators or for one name could mean."""
    users = call.tenant.state.table("users")
    text = call.query.get("$filter")
    name = _ONE_NAME.fullmatch(text.strip())
    if name:
        return users.find("userPrincipalName", name[1])
    if _ADMINS_ONLY.search(text) and "not" not in text:
        return [users.objects.get(key) for key in _administrators(call)]
    return users.in_order()


def _administrators(call: Call) -> list[str]:
    state = call.tenant.state
    holders = [key for held in state.links.get("roleMembers", {}).values() for key in held]
    members = [key for holder in holders for key in state.linked("members", holder)]
    return list(dict.fromkeys([*holders, *members]))


@routes.get(_PATH + "/userRegistrationDetails/{user}", AUDIT, page="userregistrationdetails-get")
def get_details(call: Call) -> Reply:
    user = call.tenant.state.get("users", call.params["user"].lower())
    if user is None:
        raise absent("UserRegistrationDetails", call.params["user"])
    return entity(call, DETAILS_KIND, details(call)(user))


# -- summaries -----------------------------------------------------------------------------------------------------


@routes.get(
    _PATH + "/usersRegisteredByMethod(includedUserTypes)/{kinds}",
    AUDIT,
    page="authenticationmethodsroot-usersregisteredbymethod",
)
def by_method(call: Call) -> Reply:
    types, roles = _asked(call)
    counts: Counter[str] = Counter({"password": 0})
    for row in _rows(call, types, roles):
        counts.update(["password", *row["methodsRegistered"]])
    found = [{"authenticationMethod": name, "userCount": count} for name, count in counts.items()]
    return _summary(call, "userRegistrationMethodSummary", types, roles, {"userRegistrationMethodCounts": found})


@routes.get(
    _PATH + "/usersRegisteredByFeature(includedUserTypes)/{kinds}",
    AUDIT,
    page="authenticationmethodsroot-usersregisteredbyfeature",
)
def by_feature(call: Call) -> Reply:
    types, roles = _asked(call)
    names = ("ssprRegistered", "ssprEnabled", "ssprCapable", "passwordlessCapable", "mfaCapable")
    counts = dict.fromkeys(names, 0)
    total = 0
    for row in _rows(call, types, roles):
        total += 1
        for name in names:
            counts[name] += row[f"is{name[0].upper()}{name[1:]}"]
    found = [{"feature": name, "userCount": count} for name, count in counts.items()]
    more = {"totalUserCount": total, "userRegistrationFeatureCounts": found}
    return _summary(call, "userRegistrationFeatureSummary", types, roles, more)


def _asked(call: Call) -> tuple[str, str]:
    """``includedUserTypes='all',includedUserRoles='all'``, of which the router has read the first name."""
    parts = re.fullmatch(r"(\w+)',\s*includedUserRoles='(\w+)", call.params["kinds"])
    types, roles = (parts[1], parts[2]) if parts else ("", "")
    if types not in ("all", "member", "guest") or roles not in ("all", "privilegedAdmin", "admin", "user"):
        raise refuse("includedUserTypes must be all, member or guest; includedUserRoles all, privilegedAdmin, admin "
                     "or user.")  # fmt: skip
    return types, roles


def _rows(call: Call, types: str, roles: str) -> Iterator[Json]:
    row = details(call)
    for user in call.tenant.state.table("users").in_order():
        if user is None or (types != "all" and (user.get("userType") == "Guest") != (types == "guest")):
            continue
        held = roles_of(call, user["id"]) if roles != "all" else set()
        wanted = {
            "all": True,
            "admin": bool(held),
            "user": not held,
            "privilegedAdmin": not _PRIVILEGED.isdisjoint(held),
        }
        if wanted[roles]:
            yield row(user)


def _summary(call: Call, kind: str, types: str, roles: str, more: Json) -> Reply:
    context = call.context(f"microsoft.graph.{kind}")
    return Reply(200, {"@odata.context": context, "userTypes": types, "userRoles": roles, **more})
