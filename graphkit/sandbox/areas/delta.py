"""``/users/delta`` and ``/groups/delta``: api-reference/v1.0/api/user-delta.md and group-delta.md."""

from __future__ import annotations

from graphkit.sandbox.areas.groups import GROUP_KIND
from graphkit.sandbox.areas.users import USER_KIND
from graphkit.sandbox.call import Call, Reply
from graphkit.sandbox.permissions import GROUP_RECORDS, USERS_FULL
from graphkit.sandbox.query.delta import Tracked, changes
from graphkit.sandbox.router import Routes

routes = Routes()

USERS = Tracked(
    USER_KIND,
    ("manager",),
    {
        "assignedLicenses": "licenseAssignmentStates",
        "assignedPlans": "licenseAssignmentStates",
        "identities": "userPrincipalName",
        "proxyAddresses": "mail",
    },
)
GROUPS = Tracked(GROUP_KIND, ("members", "owners"))


@routes.get("/users/delta", USERS_FULL, page="user-delta")
def users_delta(call: Call) -> Reply:
    return changes(call, USERS)


@routes.get("/groups/delta", GROUP_RECORDS, page="group-delta")
def groups_delta(call: Call) -> Reply:
    return changes(call, GROUPS)
