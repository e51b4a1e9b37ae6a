"""Whom a policy of Intune is for: groups, groups left out, all devices, all users.

``POST .../assign`` REPLACES the set (microsoft/Intune-PowerShell-SDK#70), so the set is read, ours are merged into it,
and the whole is written. Nothing is ever taken out: a target that the input does not name is somebody else's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import msgspec

from graphkit.engine.change import ABSENT, Action, Change, Desired, Reading, canonical, present, unknown
from graphkit.engine.resource import Resource
from graphkit.errors import InputProblem
from graphkit.protocol.message import Idempotency, Request
from graphkit.protocol.odata import segment
from graphkit.resources.compliance import KIND, PATH, api, exactly, needs_policy
from graphkit.resources.reading import list_below
from graphkit.resources.references import find_groups

EVERYBODY = {
    "all devices": "#microsoft.graph.allDevicesAssignmentTarget",
    "all users": "#microsoft.graph.allLicensedUsersAssignmentTarget",
}
INCLUDED = "#microsoft.graph.groupAssignmentTarget"
EXCLUDED = "#microsoft.graph.exclusionGroupAssignmentTarget"
_FILTER_TYPE = "deviceAndAppManagementAssignmentFilterType"

Target = dict[str, Any]


class CompliancePolicyAssignments(Resource):
    """``properties``: policy (key), include and exclude (names or ids) and, if it is not v1.0, api.

    ``resolve`` adds targets. One change is one whole set, refused if the live one is no longer what the plan saw.
    """

    kind = "deviceCompliancePolicy.assignment"
    rank = 1
    goes_with = frozenset({KIND})

    async def resolve(self, items: Sequence[Desired]) -> list[InputProblem]:
        names = [name for item in items for name in (*item.properties["include"], *item.properties["exclude"])]
        ids, reasons = await find_groups(self.context, (name for name in names if name.lower() not in EVERYBODY))
        problems = []
        for item in items:
            include, exclude = item.properties.pop("include"), item.properties.pop("exclude")
            problems += [
                _problem(item, "unknown-group", reasons[name]) for name in (*include, *exclude) if name in reasons
            ]
            targets = [*_targets(include, INCLUDED, ids), *_targets(exclude, EXCLUDED, ids)]
            item.properties["targets"] = _in_order(targets)
            problems += [_problem(item, "contradiction", why) for why in _both_ways(targets)]
        return problems

    async def read(self, items: Sequence[Desired]) -> Sequence[Reading]:
        found: dict[tuple[str, str], Reading] = {}
        for version in sorted({api(item.properties) for item in items}):
            keys = [item.properties["policy"] for item in items if api(item.properties) == version]
            lists = await list_below(self.context, KIND, keys, PATH + "/{}/assignments", version)
            found.update({(version, key): self._set_of(key, reading) for key, reading in lists.items()})
        return [found[api(item.properties), item.properties["policy"]] for item in items]

    def _set_of(self, key: str, assignments: Reading) -> Reading:
        """The targets of a policy in one form; no targets are the same as no set."""
        name = (KIND, key)
        if assignments == ABSENT and name in self.context.object_ids and name not in self.context.created:
            # Whoever took that for an empty set would replace the true one.
            return unknown("its policy is not there, or not shown")
        if assignments.value is None:
            return assignments
        targets = _in_order(_plain(each["target"]) for each in assignments.value["value"])
        return present({"policy": key, "targets": targets}) if targets else ABSENT

    def diff(self, wanted: Desired, reading: Reading) -> Iterable[Change]:
        line = Change(kind=self.kind, key=wanted.key, action=Action.NOOP, origin=wanted.origin)
        line.needs = needs_policy(self.context, wanted.properties["policy"])
        line.before = self.before_image(reading)
        live = line.before["targets"] if line.before else []
        if wanted.properties.get("exact"):
            return [self._exactly(line, wanted, live)]
        there = {_whom(target): target for target in live}
        own = wanted.properties["targets"]
        clash = [target for target in own if there.get(_whom(target), target)["@odata.type"] != target["@odata.type"]]
        if clash:
            line.action, line.before, line.needs = Action.BLOCKED, None, ()
            line.note = _clash_note(clash[0])
            return [line]
        added = [target for target in own if _whom(target) not in there]
        line.after = {**wanted.properties, "targets": _in_order([*live, *added])}
        if added:
            line.action = Action.ADD
            line.note = _foreign_note(len(live), api(wanted.properties))
        return [line]

    @staticmethod
    def _exactly(line: Change, wanted: Desired, live: Sequence[Target]) -> Change:
        """The set as it is to be, whatever is there: for an undo, which has looked that nobody changed it since."""
        line.after = dict(wanted.properties)
        line.action = Action.NOOP if line.after["targets"] == live else Action.UPDATE
        return line

    def left_as_written(self, change: Change, reading: Reading) -> bool:
        return self.settled(exactly(change), reading)

    def inverse(self, change: Change, object_id: str) -> Change:
        """The set that was there before, which may be empty."""
        targets = (change.before or {}).get("targets", [])
        after = {**(change.after or {}), "targets": targets}
        return exactly(replace(change, action=Action.UPDATE, before=None, after=after, needs=(), note="", seq=0))

    def routes(self, change: Change) -> Iterable[tuple[str, str]]:
        return [("POST", f"{PATH}/{{id}}/assign")]

    def request(self, pack: Sequence[Change]) -> Request:
        (change,) = pack
        after = change.after or {}
        policy = self.context.object_id(KIND, after["policy"])
        return Request(
            method="POST",
            path=f"{PATH}/{segment(policy)}/assign",
            body=msgspec.json.encode({"assignments": [{"target": target} for target in after["targets"]]}),
            version=api(after),
            idempotency=Idempotency.CONVERGENT,
        )


def _problem(item: Desired, code: str, message: str) -> InputProblem:
    return InputProblem(item.origin.file, item.origin.place, code, f"assign: {message}")


def _targets(names: Iterable[str], group_type: str, ids: Mapping[str, str]) -> Iterable[Target]:
    for name in names:
        if name.lower() in EVERYBODY:
            yield {"@odata.type": EVERYBODY[name.lower()]}
        elif name in ids:
            yield {"@odata.type": group_type, "groupId": ids[name].lower()}


def _both_ways(targets: Sequence[Target]) -> list[str]:
    """Of two entries for one target the service ignores the later, so that order would decide."""
    excluded = {target["groupId"] for target in targets if target["@odata.type"] == EXCLUDED}
    both = [target["groupId"] for target in targets if target["@odata.type"] == INCLUDED]
    return [f"group {each} is both included and excluded" for each in sorted(excluded.intersection(both))]


def _plain(target: Mapping[str, Any]) -> Target:
    """Without what says nothing. Whatever else a target holds, a filter of beta included, is kept and written back."""
    plain = {name: value for name, value in target.items() if value is not None}
    if plain.get(_FILTER_TYPE) == "none":
        del plain[_FILTER_TYPE]
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
