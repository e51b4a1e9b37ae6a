"""Whom a policy of Intune is for: groups, groups left out, all devices, all users, each perhaps with a filter.

``POST .../assign`` REPLACES the set (microsoft/Intune-PowerShell-SDK#70), so the set is read, ours are merged into it,
and the whole is written. What the input does not name is somebody else's and stays, unless the mode is authoritative.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import Any, ClassVar

import msgspec
from msgspec.structs import replace

from graphkit.engine.change import ABSENT, Action, Change, Desired, Reading, canonical, present, unknown
from graphkit.engine.resource import PlanView, Resource
from graphkit.errors import InputProblem
from graphkit.protocol.message import Idempotency, Request
from graphkit.protocol.odata import segment
from graphkit.resources.exclusive import find_overlaps
from graphkit.resources.intune import AUTHORITATIVE, Endpoint
from graphkit.resources.intune_policies import needs_policy
from graphkit.resources.new_groups import group_key, is_missing, new_group
from graphkit.resources.reading import list_below
from graphkit.resources.references import Found, find_filters, match_groups, settle

EVERYBODY = {
    "all devices": "#microsoft.graph.allDevicesAssignmentTarget",
    "all users": "#microsoft.graph.allLicensedUsersAssignmentTarget",
}
INCLUDED = "#microsoft.graph.groupAssignmentTarget"
EXCLUDED = "#microsoft.graph.exclusionGroupAssignmentTarget"
FILTER_ID = "deviceAndAppManagementAssignmentFilterId"
FILTER_TYPE = "deviceAndAppManagementAssignmentFilterType"

PREFIX = "intune"
"""How the uniqueNames of groups begin that are made for a policy's sake."""
MADE = "group:"
"""How the name of a group begins that the same plan makes: its key follows."""

Target = dict[str, Any]


class PolicyAssignments(Resource):
    """``properties``: policy (key), include and exclude and, if it is not v1.0, api; ``mode`` if it is authoritative.

    An entry of include is a name or id, or ``{"name", "filter", "filter_type"}``; ``group:<key>`` is one that this plan
    makes, whose id takes its place once it is known. ``resolve`` adds targets. One change
    is one whole set, refused if the live one is no longer what the plan saw. ``rails["published"]``: the input is
    somebody else's export, so that a group that is not here blocks the set and not the plan. ``rails["exclusive"]``: a
    device may be in one of these sets only.
    """

    endpoint: ClassVar[Endpoint]
    goes_with: ClassVar[frozenset[str]] = frozenset()
    rank = 1

    async def expand(self, view: PlanView) -> AsyncIterator[Sequence[Desired]]:
        """The groups that the tenant lacks, if they are to be created."""
        if not self.context.options.create_groups:
            return
        asked = {name: item for item in view.wanted(self.kind) for name, _ in _entries(item)}
        named = [name for name in asked if name.lower() not in EVERYBODY and not name.startswith(MADE)]
        found = await match_groups(self.context, named)
        missing = sorted(name for name in named if is_missing(name, found[name]))
        there = {group.key for group in view.wanted("group")}
        groups = [new_group(name, PREFIX, asked[name]) for name in missing]
        yield [group for group in groups if group.key not in there]

    async def resolve(self, items: Sequence[Desired]) -> list[InputProblem]:
        entries = [each for item in items for each in _entries(item)]
        names = [name for name, _ in entries if name.lower() not in EVERYBODY and not name.startswith(MADE)]
        groups = await self._groups(names)
        filters = await find_filters(self.context, (each["filter"] for _, each in entries if each.get("filter")))
        problems = await self._overlaps([item for item in items if item.rails.get("exclusive")])
        for item in items:
            told = _put_targets(item, groups, filters)
            if item.rails.get("published") and told:
                item.blocked = item.blocked or "missing binding: " + "; ".join(problem.message for problem in told)
            else:
                problems += told
        return problems

    async def _groups(self, names: Sequence[str]) -> Found:
        """Ids, with ``group:<key>`` for what this plan is going to make."""
        found = await match_groups(self.context, names)
        ids, reasons = settle("group", found)
        if self.context.options.create_groups:
            made = {name: f"{MADE}{group_key(name, PREFIX)}" for name in reasons if is_missing(name, found[name])}
            return {**ids, **made}, {name: why for name, why in reasons.items() if name not in made}
        return ids, {name: _with_advice(why) for name, why in reasons.items()}

    async def _overlaps(self, items: Sequence[Desired]) -> list[InputProblem]:
        """What is in two policies of which a device may have one only; told of the later one."""
        by_key = {item.key: item for item in items}
        overlaps = await find_overlaps(self.context, items) if len(items) > 1 else []
        return [_problem(by_key[each.second], "in-two-policies", each.told()) for each in overlaps]

    async def read(self, items: Sequence[Desired]) -> Sequence[Reading]:
        found: dict[tuple[str, str], Reading] = {}
        versions = {self.endpoint.version(item.properties) for item in items}
        path = self.endpoint.path + "/{}/assignments"
        for version in sorted(versions):
            keys = [each.properties["policy"] for each in items if self.endpoint.version(each.properties) == version]
            lists = await list_below(self.context, self.endpoint.kind, keys, path, version)
            found.update({(version, key): self._set_of(key, reading) for key, reading in lists.items()})
        return [found[self.endpoint.version(item.properties), item.properties["policy"]] for item in items]

    def _set_of(self, key: str, assignments: Reading) -> Reading:
        """The targets of a policy in one form; no targets are the same as no set."""
        name = (self.endpoint.kind, key)
        if assignments == ABSENT and name in self.context.object_ids and name not in self.context.created:
            # Whoever took that for an empty set would replace the true one.
            return unknown("its policy is not there, or not shown")
        if assignments.value is None:
            return assignments
        targets = _in_order(_plain(each["target"]) for each in assignments.value["value"])
        return present({"policy": key, "targets": targets}) if targets else ABSENT

    def diff(self, wanted: Desired, reading: Reading) -> Iterable[Change]:
        line = Change(kind=self.kind, key=wanted.key, action=Action.NOOP, origin=wanted.origin)
        line.needs = (*needs_policy(self.context, self.endpoint.kind, wanted.properties["policy"]), *wanted.needs)
        line.before = self.before_image(reading)
        live = line.before["targets"] if line.before else []
        own = self._bound(wanted.properties["targets"])
        whole = wanted.properties.get("mode") == AUTHORITATIVE
        clash = [] if whole else _clashing(own, live)
        if clash:
            line.action, line.before, line.needs = Action.BLOCKED, None, ()
            line.note = _clash_note(clash[0])
            return [line]
        after = _in_order(own) if whole else _merged(own, live)
        line.after = {**wanted.properties, "targets": after}
        if after != live:
            gone = [target for target in live if _whom(target) not in {_whom(each) for each in after}]
            line.action = Action.REMOVE if gone else Action.ADD
            version = self.endpoint.version(wanted.properties)
            line.note = f"{len(gone)} no longer" if gone else "" if whole else _foreign_note(len(live), version)
        return [line]

    def _bound(self, targets: Sequence[Target]) -> list[Target]:
        """With the ids of groups that have been made by now."""
        ids = {
            f"{MADE}{key}": object_id for (kind, key), object_id in self.context.object_ids.items() if kind == "group"
        }
        return _in_order({**target, "groupId": ids[each]} if (each := target.get("groupId", "")) in ids else target
                         for target in targets)  # fmt: skip

    def settled(self, change: Change, reading: Reading) -> bool:
        """Is the set that was wished there, and if it is the whole that counts, nothing else?"""
        live, after = (reading.value or {}).get("targets") or [], change.after or {}
        own = self._bound(after.get("targets", []))
        whole = after.get("mode") == AUTHORITATIVE
        return reading.known and live == (_in_order(own) if whole else _merged(own, live))

    def unchanged(self, change: Change, reading: Reading) -> bool:
        """A set is written whole, also where it becomes smaller: all of it must be as it was."""
        return self.before_image(reading) == change.before

    def left_as_written(self, change: Change, reading: Reading) -> bool:
        """Nothing more and nothing less: a target that somebody added since is not to go with ours."""
        live = (reading.value or {}).get("targets") or []
        return reading.known and live == self._bound((change.after or {}).get("targets", []))

    def inverse(self, change: Change, object_id: str) -> Change:
        """The set as it was, as a whole."""
        before = {"targets": (change.before or {}).get("targets", [])}
        after = {**(change.after or {}), **before, "mode": AUTHORITATIVE}
        return replace(change, action=Action.UPDATE, before=None, after=after, needs=(), note="", seq=0)

    def routes(self, change: Change) -> Iterable[tuple[str, str]]:
        return [("POST", f"{self.endpoint.path}/{{id}}/assign")]

    def request(self, pack: Sequence[Change]) -> Request:
        (change,) = pack
        after = change.after or {}
        policy = self.context.object_id(self.endpoint.kind, after["policy"])
        return Request(
            method="POST",
            path=f"{self.endpoint.path}/{segment(policy)}/assign",
            body=msgspec.json.encode({"assignments": [{"target": target} for target in self._bound(after["targets"])]}),
            version=self.endpoint.version(after),
            idempotency=Idempotency.CONVERGENT,
        )


def _entries(item: Desired) -> list[tuple[str, dict[str, str]]]:
    """(name, what else is said of it) of every target that is named."""
    both = (*item.properties.get("include", ()), *item.properties.get("exclude", ()))
    return [(_name(entry), entry if isinstance(entry, dict) else {}) for entry in both]


def _name(entry: str | Mapping[str, str]) -> str:
    return entry if isinstance(entry, str) else entry["name"]


def _put_targets(item: Desired, groups: Found, filters: Found) -> list[InputProblem]:
    """Targets in the place of names, and whatever is wrong with them."""
    problems = []
    for name, entry in _entries(item):
        if name in groups[1]:
            problems.append(_problem(item, "unknown-group", groups[1][name]))
        if entry.get("filter") in filters[1]:
            problems.append(_problem(item, "unknown-filter", filters[1][entry["filter"]]))
    include, exclude = item.properties.pop("include", ()), item.properties.pop("exclude", ())
    ways = ((include, INCLUDED), (exclude, EXCLUDED))
    targets = [target for entries, way in ways for target in _targets(entries, way, groups[0], filters[0])]
    item.properties["targets"] = _in_order(targets)
    keys = {str(each["groupId"]).removeprefix(MADE) for each in targets if str(each.get("groupId")).startswith(MADE)}
    item.needs = tuple(sorted({*item.needs, *(("group", key) for key in keys)}))
    return problems + [_problem(item, "contradiction", why) for why in _both_ways(targets)]


def _problem(item: Desired, code: str, message: str) -> InputProblem:
    return InputProblem(item.origin.file, item.origin.place, code, f"assign: {message}")


def _targets(
    entries: Iterable[str | Mapping[str, str]], way: str, groups: Mapping[str, str], filters: Mapping[str, str]
) -> Iterable[Target]:
    for entry in entries:
        name = _name(entry)
        target: Target = {}
        if name.lower() in EVERYBODY:
            target = {"@odata.type": EVERYBODY[name.lower()]}
        elif name in groups or name.startswith(MADE):
            target = {"@odata.type": way, "groupId": _id_form(groups.get(name, name))}
        more: Mapping[str, str] = {} if isinstance(entry, str) else entry
        if target and more.get("filter", "") in filters:
            target |= {FILTER_ID: filters[more["filter"]].lower(), FILTER_TYPE: more.get("filter_type") or "include"}
        if target:
            yield target


def _id_form(object_id: str) -> str:
    return object_id if object_id.startswith(MADE) else object_id.lower()


def _with_advice(why: str) -> str:
    return f"{why}: --create-groups makes it, --bind names another" if why.startswith("no group") else why


def _both_ways(targets: Sequence[Target]) -> list[str]:
    """Of two entries for one target the service ignores the later, so that order would decide."""
    excluded = {target["groupId"] for target in targets if target["@odata.type"] == EXCLUDED}
    both = [target["groupId"] for target in targets if target["@odata.type"] == INCLUDED]
    whom = [_whom(target) for target in _in_order(targets)]
    twice = sorted({each for each in whom if whom.count(each) > 1} - excluded)
    return [
        *(f"group {each} is both included and excluded" for each in sorted(excluded.intersection(both))),
        *(f"{each} is there with two filters" for each in twice),
    ]


def _merged(own: Sequence[Target], live: Sequence[Target]) -> list[Target]:
    """Ours into theirs: a target of ours that names a filter has its way, one that does not leaves theirs alone."""
    there = {_whom(target): target for target in live}
    for target in own:
        if _whom(target) not in there or FILTER_ID in target:
            there[_whom(target)] = target
    return _in_order(there.values())


def _clashing(own: Sequence[Target], live: Sequence[Target]) -> list[Target]:
    there = {_whom(target): target["@odata.type"] for target in live}
    return [target for target in own if there.get(_whom(target), target["@odata.type"]) != target["@odata.type"]]


def _plain(target: Mapping[str, Any]) -> Target:
    """Without what says nothing. Whatever else a target holds, a filter of beta included, is kept and written back."""
    plain = {name: value for name, value in target.items() if value is not None}
    if plain.get(FILTER_TYPE) == "none":
        del plain[FILTER_TYPE]
    if "groupId" in plain:
        plain["groupId"] = plain["groupId"].lower()
    plain["@odata.type"] = "#" + plain["@odata.type"].removeprefix("#")
    return plain


def _whom(target: Target) -> str:
    """Who is meant, whichever way."""
    return str(target.get("groupId") or target.get("collectionId") or target["@odata.type"])


def _clash_note(target: Target) -> str:
    here, there = ("excluded", "included") if target["@odata.type"] == EXCLUDED else ("included", "excluded")
    return (
        f"group {target.get('groupId')} is to be {here}, but an assignment made elsewhere has it {there}: "
        "remove that one, then plan again"
    )


def _foreign_note(live: int, version: str) -> str:
    if not live:
        return ""
    # The filter properties are absent from v1.0's metadata, so a set written back through it loses them.
    hidden = "; v1.0 shows no assignment filters, which --allow-beta would keep" if version == "v1.0" else ""
    return f"the {live} there already stay{hidden}"


def _in_order(targets: Iterable[Target]) -> list[Target]:
    unique = {canonical(target): target for target in targets}
    return [unique[text] for text in sorted(unique)]
