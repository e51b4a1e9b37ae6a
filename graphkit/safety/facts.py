"""What the rails know of the tenant, as the service tells it: emergency accounts, policies, roles.

Each part is read when it is first asked for, and again once it is older than ``max_age`` seconds. What could not be
read says why, and is never taken for absent.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from graphkit.engine.change import Reading
from graphkit.engine.resource import Context
from graphkit.errors import AuthError, GraphkitError, ServiceError, Stopped
from graphkit.protocol.odata import query, segment
from graphkit.protocol.touch import Touch
from graphkit.resources.break_glass import BreakGlass, find_break_glass
from graphkit.resources.group_references import HIDDEN_MEMBERSHIP, NOBODY_SHOWN
from graphkit.resources.memberships import DYNAMIC, groups_above, ids_of, read_membership
from graphkit.resources.reading import of_type, read_each
from graphkit.safety.lockout import Account, Policy

T = TypeVar("T")

POLICIES = "/identity/conditionalAccess/policies"
ASSIGNMENTS = "/roleManagement/directory/roleAssignments?$select=principalId,roleDefinitionId"
POWERFUL = f"/groups{query({'$filter': 'isAssignableToRole eq true', '$select': 'id,displayName,uniqueName'})}"
FORBIDDEN = 403


@dataclass(frozen=True, slots=True)
class Listed:
    """A whole collection, or why there is none; ``denied`` if this identity may not read it at all."""

    items: tuple[Mapping[str, Any], ...] = ()
    why: str = ""
    denied: bool = False


@dataclass(frozen=True, slots=True)
class Holders:
    """Who holds directory roles: users to template ids, those through groups included."""

    users: Mapping[str, frozenset[str]] = field(default_factory=dict)
    principals: Mapping[str, frozenset[str]] = field(default_factory=dict)
    why: str = ""
    denied: bool = False


class Facts:
    """For one plan or one run."""

    def __init__(self, context: Context, *, max_age: float = math.inf) -> None:
        self._context = context
        self._max_age = max_age
        self._known: dict[str, tuple[float, Any]] = {}
        self._turns: dict[str, asyncio.Lock] = {}
        self._ids: dict[str, str] = {}

    def forget(self) -> None:
        """Whatever is asked next is read anew."""
        self._known.clear()

    async def _once(self, name: str, read: Callable[[], Awaitable[T]]) -> T:
        async with self._turns.setdefault(name, asyncio.Lock()):
            now = self._context.clock.monotonic()
            at, value = self._known.get(name, (-math.inf, None))
            if name not in self._known or now - at > self._max_age:
                value = await read()
                self._known[name] = (now, value)
            found: T = value
            return found

    async def policies(self) -> Listed:
        """Every conditional access policy that v1.0 shows."""
        return await self._once("policies", lambda: self._list(POLICIES))

    async def declared(self) -> list[BreakGlass]:
        """What was declared, as it stands."""
        return await self._once("declared", lambda: find_break_glass(self._context, self._context.options.break_glass))

    async def accounts(self) -> list[Account]:
        """The declared accounts, and the members of the declared groups."""
        return await self._once("accounts", self._accounts)

    async def holders(self) -> Holders:
        """Who holds directory roles."""
        return await self._once("holders", self._holders)

    async def powerful(self) -> Listed:
        """The groups that may hold directory roles; there are 500 at most."""
        return await self._once("powerful", lambda: self._list(POWERFUL))

    async def by_id(self, touch: Touch) -> Touch:
        """The same with ids in place of the names of users, as far as they lead to somebody."""
        if not any("@" in user for user in touch.users):
            return touch
        names = sorted({user for user in touch.users if "@" in user} - self._ids.keys())
        readings = await read_each(self._context.client, [f"/users/{segment(name)}?$select=id" for name in names])
        for name, reading in zip(names, readings, strict=True):
            if reading.value:
                self._ids[name] = str(reading.value["id"]).lower()
        return replace(touch, users=tuple(self._ids.get(user, user) for user in touch.users))

    async def above(self, group: str) -> frozenset[str]:
        """The groups that a group is in; empty for one that is still to be made.

        Raises ``ServiceError`` or another ``GraphkitError`` if that cannot be told.
        """
        if ":" in group:
            return frozenset()
        reading = await groups_above(self._context, group)
        if not reading.known:
            raise GraphkitError(f"the groups that {group} is in could not be read: {reading.why}")
        return ids_of(reading)

    async def dynamic(self, policies: Collection[Policy]) -> frozenset[str]:
        """Those of the groups that these policies include that have a rule, or of which nobody can tell who is in them:
        hidden membership is no part of what ``memberOf`` names without ``Member.Read.Hidden``."""
        named = {group.lower() for policy in policies for group in included_groups(policy) if ":" not in group}
        asked = sorted(named)
        paths = [f"/groups/{segment(group)}?$select=id,groupTypes,visibility" for group in asked]
        readings = await read_each(self._context.client, paths)
        return frozenset(group for group, reading in zip(asked, readings, strict=True) if _may_hold_anybody(reading))

    async def _list(self, path: str) -> Listed:
        try:
            return Listed(tuple([item async for item in self._context.client.list(path)]))
        except (AuthError, Stopped):
            raise
        except ServiceError as error:
            return Listed(why=error.message, denied=error.status == FORBIDDEN)
        except GraphkitError as error:
            return Listed(why=error.message)

    async def _accounts(self) -> list[Account]:
        declared = await self.declared()
        failed = [Account(name=each.name, why=each.why) for each in declared if each.why]
        named = {each.id: each.name for each in declared if not each.why and not each.is_group}
        for group in (each for each in declared if each.is_group and not each.why):
            path = f"/groups/{segment(group.id)}/transitiveMembers?$select=id,userPrincipalName"
            members = await self._list(path)
            why = members.why or await self._shown_nobody(group.id, members)
            if why:
                failed.append(Account(name=group.name, why=f"its members could not be read: {why}"))
            for member in of_type(members.items, "user"):
                name = f"{member.get('userPrincipalName') or member['id']} (of {group.name})"
                named.setdefault(str(member["id"]).lower(), name)
        holders = await self.holders()
        found = await asyncio.gather(*(self._account(key, name, holders) for key, name in sorted(named.items())))
        return [*failed, *found]

    async def _shown_nobody(self, group: str, members: Listed) -> str:
        if members.items:
            return ""
        (reading,) = await read_each(self._context.client, [f"/groups/{segment(group)}?$select=id,visibility"])
        return NOBODY_SHOWN if (reading.value or {}).get("visibility") == HIDDEN_MEMBERSHIP else ""

    async def _account(self, key: str, name: str, holders: Holders) -> Account:
        (user,) = await read_each(
            self._context.client, [f"/users/{segment(key)}?$select=id,userPrincipalName,accountEnabled,userType"]
        )
        if user.value is None:
            return Account(name=name, id=key, why=f"it could not be looked up: {user.why or 'it is not there'}")
        membership = await read_membership(self._context, key)
        if membership.why:
            return Account(name=name, id=key, why=membership.why)
        if holders.why and not holders.denied:
            return Account(name=name, id=key, why=f"its directory roles could not be read: {holders.why}")
        methods = await self._list(f"/users/{segment(key)}/authentication/methods")
        principals = {key, *membership.groups}
        roles = frozenset(role for each in principals for role in holders.principals.get(each, ()))
        return Account(
            name=name,
            id=key,
            upn=str(user.value.get("userPrincipalName") or "").lower(),
            enabled=user.value.get("accountEnabled") is not False,
            guest=str(user.value.get("userType") or "").lower() == "guest",
            membership=membership,
            roles=None if holders.denied else roles,
            methods=None if methods.why else frozenset(_type(each) for each in methods.items),
        )

    async def _holders(self) -> Holders:
        powerful, assignments = await self.powerful(), await self._once("assignments", lambda: self._list(ASSIGNMENTS))
        if why := powerful.why or assignments.why:
            return Holders(why=why, denied=assignments.denied)
        principals: dict[str, frozenset[str]] = {}
        for each in assignments.items:
            key = str(each["principalId"]).lower()
            principals[key] = principals.get(key, frozenset()) | {str(each["roleDefinitionId"]).lower()}
        groups = {str(each["id"]).lower() for each in powerful.items}
        users = {key: roles for key, roles in principals.items() if key not in groups}
        for group in sorted(groups & principals.keys()):
            path = f"/groups/{segment(group)}/transitiveMembers?$select=id"
            members = await self._list(path)
            if members.why:
                return Holders(why=members.why, denied=members.denied)
            for member in of_type(members.items, "user"):
                key = str(member["id"]).lower()
                users[key] = users.get(key, frozenset()) | principals[group]
        return Holders(users=users, principals=principals)


def included_groups(policy: Policy) -> list[str]:
    users = (policy.get("conditions") or {}).get("users") or {}
    return [str(group) for group in users.get("includeGroups") or ()]


def _may_hold_anybody(group: Reading) -> bool:
    found = group.value or {}
    ruled = DYNAMIC in (found.get("groupTypes") or ())
    return not group.known or ruled or found.get("visibility") == HIDDEN_MEMBERSHIP


def keys_of(group: Mapping[str, Any]) -> list[str]:
    """What an address may name a group by: its id, or ``uniqueName='...'``."""
    named = str(group.get("uniqueName") or "").replace("'", "''").lower()
    return [str(group["id"]).lower(), *([f"uniquename='{named}".rstrip("'")] if named else [])]


def _type(method: Mapping[str, Any]) -> str:
    return str(method.get("@odata.type") or "").rpartition(".")[2]
