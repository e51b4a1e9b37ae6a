"""Users: found by userPrincipalName or id, in whichever way costs least."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import Any

from graphkit.client.partition import PARALLEL, WORTH_IT
from graphkit.engine.change import ABSENT, Desired, Origin, Reading, present
from graphkit.engine.resource import Context
from graphkit.errors import InputErrors, InputProblem, ServiceError
from graphkit.protocol.odata import segment
from graphkit.resources.reading import read_each

SELECT = "id,userPrincipalName,accountEnabled,usageLocation,assignedLicenses"
PAGE = 999
"""The largest page that /users gives."""
FEW = 200
"""Up to this many are asked for one by one without first asking how many there are."""
PAGE_S = 0.5
"""Seconds a page takes, each waiting for the one before, in as many walks as a large tenant is divided into."""
READS_PER_S = 800.0
"""Reads a second under the resource unit quota of a large tenant (learn.microsoft.com/graph/throttling-limits)."""

GUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


class Users:
    """People of the tenant, staged in the context's snapshot under the lower-case name that was asked for.

    ``also`` names properties wanted beyond ``SELECT``.
    """

    def __init__(self, context: Context, *, also: Sequence[str] = ()) -> None:
        self._context = context
        self._snapshot = context.snapshot
        self._select = ",".join((SELECT, *also))
        # Whoever wants more does not take for whole what others have staged.
        self._kind = f"user+{'+'.join(also)}" if also else "user"

    async def resolve(
        self, items: Sequence[Desired], *, column: str = "upn"
    ) -> tuple[list[tuple[Desired, dict[str, Any]]], list[InputProblem]]:
        """Put userId beside ``user`` in the properties: (each item found, with its user), and who is no user.

        ``column`` is where the input names them.
        """
        readings = await self.find([item.properties["user"] for item in items])
        found, problems = [], []
        for item in items:
            reading = readings[item.properties["user"]]
            if reading.value is None:
                problems.append(_not_found(item, column, reading))
            else:
                item.properties["userId"] = reading.value["id"]
                found.append((item, reading.value))
        return found, problems

    async def find(self, names: Sequence[str]) -> Mapping[str, Reading]:
        """A reading for each name (userPrincipalName or id). What ``load`` has not brought yet is asked for."""
        keys = [name.lower() for name in names]
        seen = self._snapshot.get(self._kind, keys)
        complete = self._snapshot.is_complete(self._kind)
        ask = sorted({key for key in keys if key not in seen and (not complete or GUID.fullmatch(key))})
        readings = dict(zip(ask, await read_each(self._context.client, [self._path(key) for key in ask]), strict=True))
        self._snapshot.put(self._kind, ((key, reading.value) for key, reading in readings.items() if reading.value))
        return {
            name: present(seen[key]) if key in seen else readings.get(key, ABSENT)
            for name, key in zip(names, keys, strict=True)
        }

    async def load(self, count: int) -> None:
        """Bring all users at once if that beats asking for ``count`` of them one by one."""
        if self._snapshot.is_complete(self._kind) or count <= FEW:
            return
        total = await self._total()
        if total is not None and count / READS_PER_S < seconds_for_all(total):
            return
        # Whoever is missing counts as no user of the tenant, and as no member of an authoritative group: what comes in
        # parts is complete only if it is as many as the service counts.
        users = self._context.client.list_partitioned("/users", params={"$select": self._select, "$top": str(PAGE)})
        count = 0
        async for page in users.pages():
            count += len(page)
            self._snapshot.put(self._kind, _by_name(page))
        self._context.sizes.note("the users of the tenant", count)
        self._snapshot.mark_complete(self._kind)

    async def names(self, ids: Sequence[str]) -> dict[str, str]:
        """What users of these ids are called; who cannot be read, or is none, is left out."""
        readings = await self.find(ids)
        found = ((each, reading.value) for each, reading in readings.items())
        return {each: str(user["userPrincipalName"]) for each, user in found if user and user.get("userPrincipalName")}

    def _path(self, key: str) -> str:
        return f"/users/{segment(key)}?$select={self._select}"

    async def _total(self) -> int | None:
        try:
            count = await self._context.client.get("/users/$count", headers={"ConsistencyLevel": "eventual"})
        except ServiceError:
            return None
        return int(count)


def seconds_for_all(total: int) -> float:
    """How long it takes to read so many users from the first to the last, about."""
    return total / PAGE * PAGE_S / (PARALLEL if total > WORTH_IT * PAGE else 1)


async def users_matching(context: Context, rule: str, origin: Origin) -> AsyncIterator[list[dict[str, Any]]]:
    """Pages of the users that a ``$filter`` selects; kept in the snapshot too.

    Raises ``InputErrors`` if the service does not understand the filter.
    """
    params = {"$filter": rule, "$select": SELECT, "$top": str(PAGE)}
    count = 0
    try:
        async for page in context.client.pages("/users", params=params):
            count += len(page)
            context.snapshot.put("user", _by_name(page))
            yield page
    except ServiceError as error:
        if error.status != 400:
            raise
        message = f"filter: {rule!r} is refused by the service: {error.service_message}"
        raise InputErrors([InputProblem(origin.file, origin.place, "bad-filter", message)]) from error
    context.sizes.note(f"the users that match {rule}", count)


def _by_name(users: Iterable[dict[str, Any]]) -> Iterable[tuple[str, dict[str, Any]]]:
    for user in users:
        yield str(user.get("userPrincipalName") or user["id"]).lower(), user


def _not_found(item: Desired, column: str, user: Reading) -> InputProblem:
    name = item.properties["user"]
    why = f"could not be looked up: {user.why}" if user.why else "is not a user of this tenant"
    return InputProblem(item.origin.file, item.origin.place, "unknown-user", f"{column}: {name} {why}")
