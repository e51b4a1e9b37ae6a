"""What holds for all Microsoft 365 groups: the settings object of the template Group.Unified, one for a tenant.

A tenant that never changed anything has none, and the template's defaults are in force. An update replaces the whole
set: "You cannot update a single set of values" (https://learn.microsoft.com/graph/api/groupsetting-update).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from graphkit.engine.change import ABSENT, Action, Change, Desired, Reading, present
from graphkit.engine.resource import Context, PlanView, Resource
from graphkit.errors import InputProblem
from graphkit.protocol.message import Idempotency, Request
from graphkit.protocol.odata import segment
from graphkit.resources.naming_policy import BLOCKED_WORDS, NAMING, NamingPolicy, groups_in_breach, words_of
from graphkit.resources.reading import read_each, read_list
from graphkit.resources.recycling import deletion
from graphkit.resources.references import find_groups

UNIFIED = "62375ab9-6b52-47ed-826b-58e47e0e304b"
"""Group.Unified (https://learn.microsoft.com/graph/group-directory-settings)."""
CREATORS, ANYBODY = "GroupCreationAllowedGroupId", "EnableGroupCreation"


class GroupSettings(Resource):
    """``properties``: the values by their names, as text. The key is the template's name.

    ``rails["creators"]`` names the group whose members alone may create groups, by displayName or id; ``resolve`` puts
    its id among the values. Values that are not wished for stay as they are.
    """

    kind = "groupSetting"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._defaults: dict[str, str] = {}

    async def resolve(self, items: Sequence[Desired]) -> list[InputProblem]:
        problems: list[InputProblem] = []
        for item in items:
            name = item.rails.get("creators")
            if name:
                ids, reasons = await find_groups(self.context, [name])
                item.properties[CREATORS] = ids.get(name, "")
                where = (item.origin.file, "creators_group", "unknown-group")
                problems += [InputProblem(*where, reason) for reason in reasons.values()]
        return problems

    async def read(self, items: Sequence[Desired]) -> Sequence[Reading]:
        found = await read_list(self.context.client, "/groupSettings")
        if not found.known:
            return [found] * len(items)
        own = [each for each in (found.value or {}).get("value") or () if each["templateId"] == UNIFIED]
        if own:
            return [present({"id": own[0]["id"], **_values(own[0], "value")})] * len(items)
        (template,) = await read_each(self.context.client, [f"/groupSettingTemplates/{UNIFIED}"])
        self._defaults = _values(template.value or {}, "defaultValue")
        return [ABSENT if template.value else Reading(why=template.why or "the template is not there")] * len(items)

    def diff(self, wanted: Desired, reading: Reading) -> Iterable[Change]:
        """All values, those that nobody asks to change as they are."""
        before = self.before_image(reading)
        live = {name: value for name, value in (before or self._defaults).items() if name != "id"}
        values = {name: text for name, text in wanted.properties.items() if name != "id"}
        changed = {name: text for name, text in values.items() if not _same(name, live.get(name, ""), text)}
        action = (Action.CREATE if before is None else Action.UPDATE) if changed else Action.NOOP
        note = f"changes {', '.join(sorted(changed))}" if changed else ""
        yield Change(
            kind=self.kind,
            key=wanted.key,
            action=action,
            before=before,
            after={**live, **changed},
            note=note,
            origin=wanted.origin,
        )

    async def guard(self, view: PlanView) -> list[str]:
        for change in view.changes(self.kind):
            await self._remark_on_names(change)
        return []

    def tenant_wide(self, change: Change) -> str:
        return "the settings of Microsoft 365 groups"

    async def _remark_on_names(self, change: Change) -> None:
        """How many groups that are there would not be taken by these names: they keep them until they are edited."""
        before, after = change.before or self._defaults, change.after or {}
        if change.action not in (Action.CREATE, Action.UPDATE) or all(
            _same(name, before[name], after[name]) for name in (NAMING, BLOCKED_WORDS)
        ):
            return
        policy = NamingPolicy(after[NAMING], words_of(after[BLOCKED_WORDS]))
        found = await groups_in_breach(self.context, policy)
        if not found.groups:
            return
        shown = f", such as {', '.join(found.names)}" if found.names else ""
        self.context.remarks.append(
            f"{found.breaches:,} of {found.groups:,} Microsoft 365 groups have names that this policy does not "
            f"allow{shown}; they keep them until somebody edits them"
        )

    def routes(self, change: Change) -> Iterable[tuple[str, str]]:
        if change.action is Action.CREATE:
            return [("POST", "/groupSettings")]
        return [("DELETE" if change.action is Action.DELETE else "PATCH", "/groupSettings/{id}")]

    def request(self, pack: Sequence[Change]) -> Request:
        (change,) = pack
        path = f"/groupSettings/{segment((change.before or {}).get('id', 'new'))}"
        if change.action is Action.DELETE:
            return deletion(path)
        values = [{"name": name, "value": text} for name, text in (change.after or {}).items() if name != "id"]
        body: dict[str, Any] = {"values": values}
        if change.action is Action.UPDATE:
            return Request(
                method="PATCH", path=path, body=msgspec.json.encode(body), idempotency=Idempotency.CONVERGENT
            )
        body["templateId"] = UNIFIED
        return Request(
            method="POST", path="/groupSettings", body=msgspec.json.encode(body), idempotency=Idempotency.KEYED
        )


def _values(holder: dict[str, Any], which: str) -> dict[str, str]:
    return {str(row["name"]): str(row.get(which) or "") for row in holder.get("values") or ()}


def _same(name: str, left: str, right: str) -> bool:
    """Words have no order and no case; neither do true and false."""
    if name == BLOCKED_WORDS:
        return {word.casefold() for word in words_of(left)} == {word.casefold() for word in words_of(right)}
    return left == right if name == NAMING else left.casefold() == right.casefold()
