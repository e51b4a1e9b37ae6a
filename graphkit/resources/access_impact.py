"""Whom a conditional access policy would block or ask for more, counted before anything is written.

From the registrations of authentication methods: everybody whom the policy names, wherever they are and whatever they
sign in to, so never too few (https://learn.microsoft.com/graph/api/
authenticationmethodsroot-list-userregistrationdetails). From the sign-in log, for a policy that reports already: those
whom it would have stopped (https://learn.microsoft.com/graph/api/signin-list). What is not recorded counts nobody.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from graphkit.engine.change import Desired
from graphkit.engine.resource import Context
from graphkit.protocol.odata import query, segment
from graphkit.resources.registration import registrations

ALL, GUESTS = "All", "GuestsOrExternalUsers"
DAY_S = 86_400


@dataclass(slots=True)
class People:
    """One side of a policy's users: everybody, guests, and ids with all groups and roles resolved."""

    everybody: bool = False
    guests: bool = False
    ids: set[str] = field(default_factory=set)

    def holds(self, user: Mapping[str, Any]) -> bool:
        is_guest = str(user.get("userType") or "").lower() == "guest"
        return self.everybody or (self.guests and is_guest) or str(user["id"]).lower() in self.ids


@dataclass(slots=True)
class Impact:
    """The counts of one policy. ``seen`` people have signed in while it reported; of them some would be stopped."""

    included: People
    excluded: People
    blocks: bool
    asks: bool
    people: int = 0
    reached: int = 0
    unready: int = 0
    seen: int | None = None
    failing: int = 0
    interrupted: int = 0

    def count(self, user: Mapping[str, Any]) -> None:
        self.people += 1
        if self.included.holds(user) and not self.excluded.holds(user):
            self.reached += 1
            self.unready += not user.get("isMfaCapable")

    @property
    def affected(self) -> int:
        return self.reached if self.blocks else self.unready if self.asks else 0

    @property
    def percent(self) -> float:
        """The larger of both shares: of everybody, and of those who signed in."""
        of_all = 100 * self.affected / self.people if self.people else 0.0
        seen = 100 * (self.failing + self.interrupted) / self.seen if self.seen else 0.0
        return max(of_all, seen)

    def told(self) -> str:
        parts = [f"concerns {self.reached:,} of {self.people:,} people"] if self.people else []
        if self.people and self.blocks:
            parts.append("blocks them where its conditions hold")
        elif self.people and self.asks:
            parts.append(f"{self.unready:,} of them have no method for it yet")
        if self.seen is not None:
            parts.append(
                f"of {self.seen:,} who signed in while it reported {self.failing:,} would have been blocked and "
                f"{self.interrupted:,} prompted"
            )
        return ", ".join(parts)


async def count_people(context: Context, items: Sequence[Desired]) -> dict[str, Impact]:
    """By policy; ids must be in place. One pass over all registrations. Raises what stops a list."""
    found = {item.key: await _impact(context, item.properties) for item in items}
    async for page in registrations(context.client):
        for user in page:
            for impact in found.values():
                impact.count(user)
    return found


async def count_sign_ins(context: Context, impacts: Mapping[str, Impact], days: int) -> None:
    """What policies (by id) that only report would have done to whoever signed in. Raises what stops a list."""
    seen: set[str] = set()
    stopped: dict[str, dict[str, set[str]]] = {each: {"Failure": set(), "Interrupted": set()} for each in impacts}
    async for sign_in in _sign_ins(context, days):
        user = str(sign_in.get("userId"))
        seen.add(user)
        for applied in sign_in.get("appliedConditionalAccessPolicies") or ():
            result = str(applied.get("result")).removeprefix("reportOnly")
            if applied.get("id") in stopped and result in ("Failure", "Interrupted"):
                stopped[applied["id"]][result].add(user)
    for policy, impact in impacts.items():
        failing = stopped[policy]["Failure"]
        impact.seen, impact.failing = len(seen), len(failing)
        impact.interrupted = len(stopped[policy]["Interrupted"] - failing)


async def _sign_ins(context: Context, days: int) -> AsyncIterator[dict[str, Any]]:
    since = datetime.fromtimestamp(context.clock.now() - days * DAY_S, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    asked = query({"$filter": f"createdDateTime ge {since}", "$top": 1000})
    # Without this the results of policies that only report are not told (resources/signin).
    headers = {"Prefer": "include-unknown-enum-members"}
    async for page in context.client.pages(f"/auditLogs/signIns{asked}", headers=headers):
        for sign_in in page:
            yield sign_in


async def _impact(context: Context, policy: Mapping[str, Any]) -> Impact:
    users = (policy.get("conditions") or {}).get("users") or {}
    grant = policy.get("grantControls") or {}
    controls = set(grant.get("builtInControls") or ())
    return Impact(
        included=await _people(context, users, "include"),
        excluded=await _people(context, users, "exclude"),
        blocks="block" in controls,
        asks="mfa" in controls or bool(grant.get("authenticationStrength")),
    )


async def _people(context: Context, users: Mapping[str, Any], side: str) -> People:
    named = users.get(f"{side}Users") or ()
    found = People(
        everybody=ALL in named,
        guests=GUESTS in named or bool(users.get(f"{side}GuestsOrExternalUsers")),
        ids={str(each).lower() for each in named},
    )
    chosen = query({"$select": "id"})
    groups = [each for each in users.get(f"{side}Groups") or () if not str(each).startswith("group:")]
    paths = [f"/groups/{segment(each)}/transitiveMembers{chosen}" for each in groups]
    found.ids |= await _members(context, [] if found.everybody else paths)
    if (roles := users.get(f"{side}Roles")) and not found.everybody:
        found.ids |= await _holders(context, roles)
    return found


async def _members(context: Context, paths: Iterable[str]) -> set[str]:
    return {str(each["id"]).lower() for path in paths async for each in context.client.list(path)}


async def _holders(context: Context, roles: Iterable[str]) -> set[str]:
    """Who holds a role, by its template's id; eligible assignments that are not active are not told."""
    wanted = {str(role).lower() for role in roles}
    assignments = context.client.list("/roleManagement/directory/roleAssignments")
    return {
        str(each["principalId"]).lower()
        async for each in assignments
        if str(each.get("roleDefinitionId")).lower() in wanted
    }
