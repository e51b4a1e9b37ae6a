"""People by employee id: accounts of the tenant and those in its recycle bin.

``employeeId`` can be filtered by (https://learn.microsoft.com/graph/api/resources/user) and nothing keeps it unique, so
that an id which several accounts bear stands for none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from graphkit.engine.change import ABSENT, Reading, present, unknown
from graphkit.engine.resource import Context
from graphkit.protocol.odata import literal, query, segment
from graphkit.resources.reading import read_each
from graphkit.resources.users import FEW, PAGE

PROFILE = ("displayName", "givenName", "surname", "jobTitle", "department", "companyName", "mobilePhone")
SYNCED = "onPremisesSyncEnabled"
ELSEWHERE = "a directory on premises masters the account: change it there"
SELECT = ("id", "userPrincipalName", "employeeId", "accountEnabled", "assignedLicenses", SYNCED, *PROFILE)
STAGED, BY_NAME, DELETED = "person", "person.name", "person.deleted"
"""Kinds of the snapshot: accounts by employee id, ids by userPrincipalName, deleted accounts by employee id; all keys
in lower case."""
BIN = "/directory/deletedItems/microsoft.graph.user"


class People:
    """Accounts by employee id. Few are asked for one by one; for many all users are read."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._snapshot = context.snapshot
        self._select = ",".join(dict.fromkeys((*SELECT, *context.orgs.select)))

    async def load(self, count: int) -> None:
        """Bring all users if ``count`` people will be asked for."""
        if count <= FEW or self._snapshot.is_complete(STAGED):
            return
        total = 0
        users = self._context.client.list_partitioned("/users", params={"$select": self._select, "$top": str(PAGE)})
        async for page in users.pages():
            total += len(page)
            self._stage(user for user in page if user.get("employeeId"))
            self._snapshot.put(BY_NAME, ((str(user.get("userPrincipalName")).lower(), user["id"]) for user in page))
        self._context.sizes.note("the users of the tenant", total)
        self._snapshot.mark_complete(STAGED)

    async def find(self, employee_ids: Sequence[str]) -> Mapping[str, Reading]:
        """A reading for each id as given. Whatever was read before by this process is not read again."""
        keys = [employee_id.lower() for employee_id in employee_ids]
        seen = dict(self._snapshot.get(STAGED, keys))
        ask = [] if self._snapshot.is_complete(STAGED) else sorted(set(keys) - seen.keys())
        asked = dict(zip(ask, await self.ask(ask), strict=True))
        self._snapshot.put(
            STAGED, ((key, [each.value] if each.value else []) for key, each in asked.items() if each.known)
        )
        return {
            name: asked[key] if key in asked else _only(key, seen.get(key, []))
            for name, key in zip(employee_ids, keys, strict=True)
        }

    async def ask(self, employee_ids: Sequence[str]) -> list[Reading]:
        """The same as the service has it now."""
        wanted = [
            query({"$filter": f"employeeId eq {literal(each)}", "$select": self._select}) for each in employee_ids
        ]
        lists = await read_each(self._context.client, [f"/users{each}" for each in wanted])
        return [
            _only(key, (found.value or {}).get("value") or []) if found.known else found
            for key, found in zip(employee_ids, lists, strict=True)
        ]

    async def load_deleted(self) -> None:
        """Everybody in the recycle bin: those of 30 days."""
        if self._snapshot.is_complete(DELETED):
            return
        params = {"$select": "id,employeeId,userPrincipalName,deletedDateTime", "$top": str(PAGE)}
        async for page in self._context.client.pages(BIN, params=params):
            self._stage((user for user in page if user.get("employeeId")), DELETED)
        self._snapshot.mark_complete(DELETED)

    def deleted(self, employee_ids: Sequence[str]) -> Mapping[str, list[dict[str, Any]]]:
        """By id as given; those that were deleted last come first."""
        found = self._snapshot.get(DELETED, [each.lower() for each in employee_ids])
        by_date = {key: sorted(users, key=lambda user: str(user["deletedDateTime"])) for key, users in found.items()}
        return {each: by_date[each.lower()][::-1] for each in employee_ids if each.lower() in by_date}

    async def holder_of(self, upn: str) -> Reading:
        """Who bears a userPrincipalName: ``{"id": ...}``."""
        if self._snapshot.is_complete(STAGED):
            held = self._snapshot.get(BY_NAME, [upn.lower()]).get(upn.lower())
            return present({"id": held}) if held else ABSENT
        (reading,) = await read_each(self._context.client, [f"/users/{segment(upn)}?$select=id"])
        return reading

    def _stage(self, users: Iterable[dict[str, Any]], kind: str = STAGED) -> None:
        """Several of one id stand side by side."""
        page = list(users)
        found = dict(self._snapshot.get(kind, [str(user["employeeId"]).lower() for user in page]))
        for user in page:
            found.setdefault(str(user["employeeId"]).lower(), []).append(user)
        self._snapshot.put(kind, found.items())


def _only(key: str, users: Sequence[dict[str, Any]]) -> Reading:
    if len(users) > 1:
        names = ", ".join(sorted(str(user.get("userPrincipalName")) for user in users))
        return unknown(f"{len(users)} accounts have the employee id {key} ({names}): correct all but one")
    return present(users[0]) if users else ABSENT
