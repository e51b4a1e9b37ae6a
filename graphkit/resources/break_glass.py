"""Emergency access accounts, which no conditional access policy may catch.

They are excluded from every policy (https://learn.microsoft.com/entra/identity/role-based-access-control/
security-emergency-access), those that only report included, for these are one click away from being enforced.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from graphkit.engine.resource import Context
from graphkit.resources.memberships import read_membership
from graphkit.resources.references import find_groups, find_users
from graphkit.resources.users import GUID

NOTHING_DECLARED = (
    "no break-glass account or group is declared, so that nothing proves that these policies lock nobody out for good: "
    "set GRAPHKIT_BREAK_GLASS, or break_glass under [safety] in graphkit.toml"
)


@dataclass(frozen=True, slots=True)
class BreakGlass:
    """One declared account or group. ``groups`` are all that an account is in, nested ones included,
    but for what hangs on a dynamic group: its rule could take the account out at any time.

    ``why`` says what could not be looked up; then nothing counts as excluding it.
    """

    name: str
    id: str = ""
    is_group: bool = False
    groups: frozenset[str] = frozenset()
    why: str = ""

    def is_excluded(self, policy: Mapping[str, Any]) -> bool:
        """Does the policy, with ids in it, leave this account or group out?"""
        users = (policy.get("conditions") or {}).get("users") or {}
        groups = {each.lower() for each in users.get("excludeGroups") or ()}
        if self.why:
            return False
        if self.is_group:
            return self.id in groups
        return self.id in {each.lower() for each in users.get("excludeUsers") or ()} or bool(self.groups & groups)


def not_excluded(policy: Mapping[str, Any], declared: Iterable[BreakGlass]) -> list[BreakGlass]:
    """Those whom the policy may catch."""
    return [each for each in declared if not each.is_excluded(policy)]


def exclude(policy: dict[str, Any], added: Iterable[BreakGlass]) -> None:
    """Put them among those whom the policy leaves out."""
    # A policy for workload identities has no users; to exclude somebody it must say that it includes none.
    conditions = policy.setdefault("conditions", {})
    users = conditions["users"] = dict(conditions.get("users") or {"includeUsers": ["None"]})
    for each in added:
        place = "excludeGroups" if each.is_group else "excludeUsers"
        users[place] = [*(users.get(place) or ()), each.id]


async def find_break_glass(context: Context, names: Sequence[str]) -> list[BreakGlass]:
    """Whoever is declared: user principal names, ids, or names of groups. A failed look-up is kept as such."""
    accounts, _ = await find_users(context, [name for name in names if "@" in name or GUID.fullmatch(name)])
    groups, reasons = await find_groups(context, [name for name in names if name not in accounts])
    found = []
    for name in names:
        if name in groups:
            found.append(BreakGlass(name, groups[name].lower(), is_group=True))
        elif name not in accounts:
            why = "is not a user of this tenant" if "@" in name else reasons[name]
            found.append(BreakGlass(name, why=why))
    return [*found, *await asyncio.gather(*(_account(context, *account) for account in accounts.items()))]


async def _account(context: Context, name: str, user_id: str) -> BreakGlass:
    """With the groups that it is in as the service tells them, those apart that a rule may take it out of."""
    membership = await read_membership(context, user_id)
    if membership.why:
        return BreakGlass(name, user_id.lower(), why=membership.why)
    return BreakGlass(name, user_id.lower(), groups=membership.solid)
