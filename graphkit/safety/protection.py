"""Accounts that no run harms, and power that no run gives away unless somebody says so.

Harm is what disables or deletes an account, takes its licences, its memberships or its sign-in methods. Break-glass
accounts and those that the setting ``protected`` names are safe from it always; whoever holds a directory role,
whichever it is, unless ``--allow-privileged`` was given. The same option is needed for whatever could make somebody
more powerful: groups that may hold directory roles, directory roles, credentials and permissions of applications,
consent, and the accounts of those who hold a role.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase

from graphkit.engine.change import Change
from graphkit.engine.resource import Context, PlanView
from graphkit.protocol.odata import segment
from graphkit.protocol.touch import ISSUES_ACCESS, Touch
from graphkit.resources.reading import of_type, read_each, read_list
from graphkit.safety.facts import Facts, Holders, keys_of
from graphkit.safety.lockout import Account

ALLOW = "--allow-privileged allows it"
UNTOLD = "somebody who holds a directory role may not be read (RoleManagement.Read.Directory)"
DENIED = (
    "who holds directory roles may not be read (RoleManagement.Read.Directory): the rail that protects their accounts "
    "is off"
)


class Protection:
    """A rail over plans; the same judgement again for each write (:meth:`why_not`)."""

    def __init__(self, context: Context, facts: Facts) -> None:
        self._context = context
        self._facts = facts
        self._names: dict[str, str] = {}
        self._denied = False
        self._ordinary: set[tuple[str, ...]] = set()

    async def judge(self, changes: Sequence[tuple[Change, Touch]]) -> Mapping[int, str]:
        await self._learn_names(touch for _, touch in changes)
        found = {}
        for index, (_, touch) in enumerate(changes):
            if self._is_plain(touch):
                continue
            if why := await self.why_not(touch) or await self._given_blindly(touch):
                found[index] = why
        return found

    def _is_plain(self, touch: Touch) -> bool:
        """Nothing but somebody who joins a group that was looked at before: a million rows may be that."""
        special = touch.harm or touch.privileged or touch.rule or touch.account
        return not special and (not touch.groups or touch.groups in self._ordinary)

    async def reasons(self, view: PlanView) -> Iterable[str]:
        return ()

    def warnings(self) -> Iterable[str]:
        return [DENIED] if self._denied else []

    async def why_not(self, touch: Touch) -> str:
        """Why a write must be left alone; empty if it may be made."""
        touch = await self._facts.by_id(touch)
        if touch.harm and touch.groups and not touch.users:
            touch, unread = await self._spelt_out(touch)
            if unread:
                return unread
        return await self._harmed(touch) or await self._empowered(touch)

    async def _spelt_out(self, touch: Touch) -> tuple[Touch, str]:
        """What takes something from a group takes it from its members."""
        users: set[str] = set()
        for group in touch.groups:
            if ":" in group or "=" in group:
                continue
            members = await read_list(self._context.client, f"/groups/{segment(group)}/transitiveMembers?$select=id")
            if not members.known:
                return touch, f"whom it would harm could not be read: {members.why}"
            found = of_type((members.value or {}).get("value") or (), "user")
            users |= {str(each["id"]).lower() for each in found}
        return replace(touch, users=tuple(sorted(users))), ""

    async def _harmed(self, touch: Touch) -> str:
        if not (touch.harm and touch.users):
            return ""
        if self._context.options.break_glass and (why := is_emergency(touch, await self._facts.accounts())):
            return why
        if self._context.options.protected and (why := await self._is_protected(touch)):
            return why
        if self._context.options.allow_privileged:
            return ""
        holders = await self._holders()
        held = [user for user in touch.users if user in holders.users]
        if held:
            return f"{touch.harm} {self._shown(held)}, who holds a directory role: {ALLOW}"
        return _untold(holders, f"whether it {touch.harm} somebody who holds a directory role")

    async def _given_blindly(self, touch: Touch) -> str:
        """A way to sign in as somebody who is there is not given away on the chance that they hold no role."""
        there = any("@" not in user for user in touch.users)
        if touch.harm != ISSUES_ACCESS or not there or self._context.options.allow_privileged:
            return ""
        return f"whether it {touch.harm} {UNTOLD}: {ALLOW}" if (await self._holders()).denied else ""

    async def _empowered(self, touch: Touch) -> str:
        if self._context.options.allow_privileged:
            return ""
        if touch.privileged:
            return f"{touch.privileged}: {ALLOW}"
        if not (touch.groups or (touch.account and touch.users)):
            return ""
        if touch.groups and (why := await self._is_powerful(touch.groups)):
            return why
        if not (touch.rule or touch.account):
            return ""
        holders = await self._holders()
        if touch.rule and any(group in holders.principals for group in touch.groups):
            return f"sets the rule of a group that holds a directory role: {ALLOW}"
        held = [user for user in touch.users if touch.account and user in holders.users]
        if held:
            return f"writes the account of {self._shown(held)}, who holds a directory role: {ALLOW}"
        return _untold(holders, "whether it concerns a group or an account with a directory role")

    async def _is_powerful(self, groups: tuple[str, ...]) -> str:
        powerful = await self._facts.powerful()
        if powerful.why:
            return f"whether its group may hold directory roles could not be read: {powerful.why}"
        names = {key: str(each.get("displayName") or key) for each in powerful.items for key in keys_of(each)}
        name = next((names[group] for group in groups if group in names), "")
        if not name:
            self._ordinary.add(groups)
        return f"{name} is a group that may hold directory roles: {ALLOW}" if name else ""

    async def _holders(self) -> Holders:
        holders = await self._facts.holders()
        self._denied = self._denied or holders.denied
        return holders

    async def _is_protected(self, touch: Touch) -> str:
        patterns = [pattern.lower() for pattern in self._context.options.protected]
        await self._learn_names([touch])
        for user in touch.users:
            name = user if "@" in user else self._names.get(user, "")
            matching = next((each for each in patterns if fnmatchcase(user, each) or fnmatchcase(name, each)), "")
            if matching:
                return f"{touch.harm} {name or user}, which is protected ({matching} in the setting protected)"
            if not name:
                return f"{touch.harm} {user}, whose name could not be looked up: it may be protected"
        return ""

    async def _learn_names(self, touches: Iterable[Touch]) -> None:
        """The names of those who are harmed, for patterns speak of names."""
        if not self._context.options.protected:
            return
        asked = sorted(
            {user for touch in touches if touch.harm for user in touch.users if "@" not in user} - self._names.keys()
        )
        paths = [f"/users/{segment(user)}?$select=id,userPrincipalName" for user in asked]
        for user, reading in zip(asked, await read_each(self._context.client, paths), strict=True):
            if reading.value:
                self._names[user] = str(reading.value.get("userPrincipalName") or "").lower()
            elif reading.known:
                self._names[user] = user

    def _shown(self, users: Collection[str]) -> str:
        first = next(iter(users))
        return self._names.get(first, first)


def is_emergency(touch: Touch, accounts: Iterable[Account]) -> str:
    """Would it harm an emergency account, or can nobody tell?"""
    for account in accounts:
        if account.id and account.id in touch.users:
            return f"{touch.harm} break-glass {account.name}, which no run does"
        if account.why:
            return f"{touch.harm} somebody who may be break-glass {account.name}: {account.why}"
    return ""


def _untold(holders: Holders, what: str) -> str:
    return f"{what} could not be read: {holders.why}" if holders.why and not holders.denied else ""
