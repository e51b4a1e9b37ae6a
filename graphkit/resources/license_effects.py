"""Whether licences that a group gives have reached its members.

The service accepts them and works on in its own time; what it could not give it records on the user
(https://learn.microsoft.com/graph/api/resources/licenseassignmentstate), and whom that concerns on the group.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from graphkit.engine.change import EFFECTIVE, PENDING, Action, Change, Effect, Reading, Verdict
from graphkit.engine.resource import Context
from graphkit.protocol.odata import segment
from graphkit.resources.reading import list_below, read_each

COMPLETE = "ProcessingComplete"
HOLDING = ("Active", "ActiveWithError")
"""States of an assignment that has given the licence."""
EXAMINED = 200
"""Of members in error so many are asked which error it is."""


async def effects_on_groups(context: Context, changes: Sequence[Change]) -> list[Verdict]:
    """Of licences that groups were given or lost: processed, and no member left out?"""
    keys = [_properties(change)["group"] for change in changes]
    groups = await _groups(context, keys)
    ready = [key for key in groups if _is_processed(groups[key])]
    errors = await list_below(context, "group", ready, "/groups/{}/membersWithLicenseErrors?$select=id")
    return [await _verdict(context, change, errors.get(key)) for key, change in zip(keys, changes, strict=True)]


async def _verdict(context: Context, change: Change, errors: Reading | None) -> Verdict:
    if errors is None or errors.value is None:
        return PENDING
    members = [str(member["id"]) for member in errors.value["value"]]
    if not members or change.after is None:
        return EFFECTIVE
    group_id = context.object_id("group", change.after["group"])
    users = await _users(context, members[:EXAMINED])
    codes = Counter(_error(user, group_id, change.after["skuId"]) for user in users.values())
    codes.pop("", None)
    if not codes:
        return EFFECTIVE
    told = ", ".join(f"{code} {count}" for code, count in sorted(codes.items()))
    more = "" if len(members) <= EXAMINED else f", of the first {EXAMINED} of {len(members):,} members in error"
    return Verdict(Effect.NO, next(iter(sorted(codes))), f"members who did not get the licence: {told}{more}")


async def effects_on_members(context: Context, changes: Sequence[Change]) -> list[Verdict]:
    """Of people who came into groups or left them: do they hold what the groups give, or no longer?"""
    groups = await _groups(context, (_properties(change)["group"] for change in changes))
    licensed = [change for change in changes if _skus(groups[_properties(change)["group"]]) != ()]
    users = await _users(context, sorted({_properties(change)["userId"] for change in licensed}))
    verdicts = []
    for change in changes:
        properties = _properties(change)
        skus = _skus(groups[properties["group"]])
        if skus is None:
            verdicts.append(PENDING)
            continue
        group_id = context.object_ids.get(("group", properties["group"]), "")
        user = users.get(properties["userId"])
        verdicts.append(_of_member(change, user, group_id, skus) if skus else EFFECTIVE)
    return verdicts


def _of_member(change: Change, user: Reading | None, group_id: str, skus: Iterable[str]) -> Verdict:
    if user is None or user.value is None:
        return PENDING
    states = {sku: _state(user, group_id, sku) for sku in skus}
    if change.action is Action.REMOVE:
        return PENDING if any(states.values()) else EFFECTIVE
    for sku, state in states.items():
        if state is not None and state.get("state") not in HOLDING:
            code = str(state.get("error") or state.get("state"))
            return Verdict(Effect.NO, code, f"the group's licence {sku} was not given: {code}")
    return EFFECTIVE if all(states.values()) else PENDING


async def _groups(context: Context, keys: Iterable[str]) -> dict[str, Reading]:
    names = sorted(set(keys))
    ids = [context.object_ids.get(("group", name), "") for name in names]
    select = "$select=id,assignedLicenses,licenseProcessingState"
    readings = await read_each(context.client, [f"/groups/{segment(each)}?{select}" for each in ids if each])
    found = iter(readings)
    return {name: next(found) if each else Reading() for name, each in zip(names, ids, strict=True)}


async def _users(context: Context, ids: Sequence[str]) -> dict[str, Reading]:
    paths = [f"/users/{segment(each)}?$select=id,licenseAssignmentStates" for each in ids]
    return dict(zip(ids, await read_each(context.client, paths), strict=True))


def _is_processed(group: Reading) -> bool:
    """A group that never had a licence tells no state (assumption: neither does one that lost its last)."""
    state = (group.value or {}).get("licenseProcessingState") or {}
    return group.value is not None and state.get("state", COMPLETE) == COMPLETE


def _skus(group: Reading) -> tuple[str, ...] | None:
    """What the group gives; None if nobody knows. Nothing of it may be judged before it is processed."""
    if group.value is None or not _is_processed(group):
        return None
    return tuple(str(licence["skuId"]) for licence in group.value.get("assignedLicenses") or ())


def _state(user: Reading, group_id: str, sku: str) -> Mapping[str, Any] | None:
    for state in (user.value or {}).get("licenseAssignmentStates") or ():
        if state.get("assignedByGroup") == group_id and str(state.get("skuId")).lower() == sku.lower():
            return dict(state)
    return None


def _error(user: Reading, group_id: str, sku: str) -> str:
    """The code by which a user does not hold what the group gives; empty if that is not known."""
    state = _state(user, group_id, sku)
    return "" if state is None or state.get("state") in HOLDING else str(state.get("error") or state.get("state"))


def _properties(change: Change) -> dict[str, Any]:
    return change.after or change.before or {}
