"""Conditional access policies, known by their displayName, carried from report-only to on step by step.

Creating one twice makes two (names are not unique), so after a lost answer the list is looked at first. What a policy
refers to is given by name or id.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from graphkit.engine.change import Action, Change, Desired, Reading
from graphkit.engine.resource import Context, PlanView
from graphkit.errors import InputProblem, ServiceError
from graphkit.resources.access_impact import Impact, count_people, count_sign_ins
from graphkit.resources.access_places import put, references
from graphkit.resources.break_glass import NOTHING_DECLARED, BreakGlass, exclude, find_break_glass, not_excluded
from graphkit.resources.ladder import days_since
from graphkit.resources.named import NamedObjects
from graphkit.resources.new_groups import group_key, is_missing, new_group
from graphkit.resources.references import (
    Found,
    find_apps,
    find_locations,
    find_roles,
    find_strengths,
    find_users,
    match_groups,
    settle,
)
from graphkit.resources.users import GUID

ON, REPORT, OFF = "enabled", "enabledForReportingButNotEnforced", "disabled"
MAX_POLICIES = 195
"""In one tenant, whatever their state (MicrosoftDocs/entra-docs includes/entra-service-limits-include.md, 2024-07)."""
PREFIX = "ca"
"""How the uniqueName of a group begins that is made for policies."""

_FINDERS: Mapping[str, Callable[[Context, Iterable[str]], Awaitable[Found]]] = {
    "user": find_users,
    "role": find_roles,
    "app": find_apps,
    "location": find_locations,
    "strength": find_strengths,
}


TIME_BASED = {"authenticationType": "primaryAndSecondaryAuthentication", "frequencyInterval": "timeBased"}


class ConditionalAccessPolicies(NamedObjects):
    """``properties`` as Graph has them, names in place of ids until ``resolve``.

    ``rails`` of a policy that is wished on: ``promote_after_days`` and ``promote`` (asked for with ``--promote``). Its
    state is then a ladder: off or absent, report-only, on.
    """

    kind = "conditionalAccessPolicy"
    rank = 1
    path = "/identity/conditionalAccess/policies"
    noun = "policy"
    type_name = "conditionalAccessPolicy"
    compared = ("state", "conditions", "grantControls", "sessionControls")

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._groups: dict[str, Reading] = {}
        self._locations: frozenset[str] = frozenset()
        self._break_glass: list[BreakGlass] = []
        self._impacts: dict[str, Impact] = {}
        self._not_counted = ""

    async def expand(self, view: PlanView) -> AsyncIterator[Sequence[Desired]]:
        """The groups that the tenant lacks, if they are to be created."""
        named: dict[str, Desired] = {}
        for item in view.wanted(self.kind):
            for _, noun, names in references(item.properties):
                named.update({name: item for name in names if noun == "group" and name not in named})
        self._groups = await match_groups(self.context, named)
        if self.context.options.create_groups:
            yield [
                new_group(name, PREFIX, named[name])
                for name, reading in self._groups.items()
                if is_missing(name, reading)
            ]

    async def gather(self, view: PlanView) -> None:
        self._locations = frozenset(location.key for location in view.wanted("namedLocation"))
        self._break_glass = await find_break_glass(self.context, self.context.options.break_glass)

    async def resolve(self, items: Sequence[Desired]) -> list[InputProblem]:
        problems = await super().resolve(items)
        wanted: defaultdict[str, set[str]] = defaultdict(set)
        for item in items:
            for _, noun, names in references(item.properties):
                wanted[noun].update(names)
        found = {noun: await self._find(noun, names) for noun, names in sorted(wanted.items())}
        for item in items:
            problems += self._bind(item, found)
            if self.context.options.add_break_glass:
                self._exclude_break_glass(item)
        unsound = {(problem.file, problem.where) for problem in problems}
        sound = [item for item in items if (item.origin.file, item.origin.place) not in unsound and not item.blocked]
        await self._count_impact(sound)
        return problems

    async def _count_impact(self, items: Sequence[Desired]) -> None:
        """Of policies whose file sets a limit, and of those that are to be promoted."""
        limited = [item for item in items if "impact" in item.rails and item.properties["state"] != OFF]
        promoted = [item for item in items if item.rails.get("promote")]
        ids = {item.key: self.context.object_ids.get((self.kind, item.key)) for item in promoted}
        try:
            if asked := [item for item in items if item in limited or ids.get(item.key)]:
                found = await count_people(self.context, asked)
                reporting = {own: found[key] for key, own in ids.items() if own}
                days = max((item.rails["promote_after_days"] for item in promoted if ids[item.key]), default=0)
                if reporting:
                    await count_sign_ins(self.context, reporting, max(days, 1))
                self._impacts |= found
        except ServiceError as error:
            self._not_counted = f"its impact could not be counted: {error.message}"

    async def _find(self, noun: str, names: Iterable[str]) -> Found:
        """Ids, with ``<kind>:<key>`` for what this plan is going to make."""
        if noun == "group":
            ids, reasons = settle("group", {name: self._groups[name] for name in names})
            if self.context.options.create_groups:
                missing = [name for name in reasons if is_missing(name, self._groups[name])]
                ids.update({name: f"group:{group_key(name, PREFIX)}" for name in missing})
            return ids, {name: _with_advice(name, why) for name, why in reasons.items() if name not in ids}
        own = {name for name in names if noun == "location" and name in self._locations}
        ids, reasons = await _FINDERS[noun](self.context, [name for name in names if name not in own])
        return {**ids, **{name: f"namedLocation:{name}" for name in own}}, reasons

    def _bind(self, item: Desired, found: Mapping[str, Found]) -> list[InputProblem]:
        problems, needs = [], set(item.needs)
        for place, noun, names in references(item.properties):
            ids, reasons = found[noun]
            for name in names:
                if name in reasons:
                    message = f"{'.'.join(place)}: {reasons[name]}"
                    problems.append(InputProblem(item.origin.file, item.origin.place, f"unknown-{noun}", message))
                elif ids[name].startswith(("group:", "namedLocation:")):
                    kind, _, key = ids[name].partition(":")
                    needs.add((kind, key))
            put(item.properties, place, noun, ids)
        item.needs = tuple(sorted(needs))
        return problems

    def _exclude_break_glass(self, item: Desired) -> None:
        missing = [each for each in not_excluded(item.properties, self._break_glass) if not each.why]
        if missing:
            exclude(item.properties, missing)
            added = f"excluded, added by graphkit: {', '.join(each.name for each in missing)}"
            item.rails["note"] = _joined(item.rails.get("note", ""), added)

    def diff(self, wanted: Desired, reading: Reading) -> Iterable[Change]:
        (line,) = super().diff(self._on_its_rung(wanted, reading), reading)
        before, after = line.before or {}, line.after or {}
        if line.action is Action.UPDATE and before["state"] == ON and after["state"] != ON:
            line.note = _joined(line.note, f"no longer enforced: from on to {after['state']}")
        if line.action.writes and (line.key in self._impacts or (self._not_counted and self._is_asked(wanted))):
            told = self._impacts[line.key].told() if line.key in self._impacts else self._not_counted
            line.note = _joined(line.note, told)
        return [line]

    @staticmethod
    def _is_asked(wanted: Desired) -> bool:
        return "impact" in wanted.rails or bool(wanted.rails.get("promote"))

    def _on_its_rung(self, wanted: Desired, reading: Reading) -> Desired:
        """A policy that is wished on, as far as it may go today."""
        days = wanted.rails.get("promote_after_days")
        live = reading.value or {}
        if days is None or live.get("state") == ON:
            return wanted
        held = {**wanted.properties, "state": REPORT}
        if live.get("state") != REPORT:
            return _noted(wanted, held, f"report-only first, for at least {days} days")
        day = days_since(live["since"], self.context.clock.now())
        if day < days or not wanted.rails.get("promote"):
            return _noted(wanted, held, f"awaiting promotion, day {day} of {days}")
        if self.changed(live, self.bound(held)):
            return _noted(wanted, held, "changed first; its days in report-only begin anew before it is promoted")
        return _noted(wanted, wanted.properties, f"promoted after {day} days in report-only")

    async def guard(self, view: PlanView) -> list[str]:
        return [*self._lock_outs(view), *self._too_many(view), *self._too_much(view)]

    def _too_much(self, view: PlanView) -> Iterator[str]:
        if self.context.options.accept_impact:
            return
        written = {change.key for change in view.changes(self.kind) if change.action.writes}
        for wanted in view.wanted(self.kind):
            most = (wanted.rails.get("impact") or {}).get("max_pct")
            if most is None or wanted.key not in written or wanted.properties["state"] == OFF:
                continue
            impact = self._impacts.get(wanted.key)
            if impact is None:
                yield f"{wanted.key}: {self._not_counted or 'its impact was not counted'}; --accept-impact goes on"
            elif impact.percent > most:
                yield (
                    f"{wanted.key}: {impact.percent:.0f} % of people would be affected, more than {most:g} % "
                    f"({impact.told()}): --accept-impact allows it"
                )

    def _lock_outs(self, view: PlanView) -> Iterator[str]:
        if not self._break_glass:
            yield NOTHING_DECLARED
            return
        for each in self._break_glass:
            if each.why:
                yield f"break-glass {each.name}: {each.why}; what cannot be looked up counts as locked out"
        known = [each for each in self._break_glass if not each.why]
        for wanted in view.wanted(self.kind):
            if caught := not_excluded(wanted.properties, known):
                names = ", ".join(each.name for each in caught)
                yield f"{wanted.key} does not exclude {names}: exclude them, or plan with --add-break-glass"

    def _too_many(self, view: PlanView) -> Iterator[str]:
        there = max((len((reading.value or {}).get("value", ())) for _, reading in self._lists.values()), default=0)
        new = sum(change.action is Action.CREATE for change in view.changes(self.kind))
        if new and there + new > MAX_POLICIES:
            yield f"{there} policies are there and {new} would be made: a tenant holds at most {MAX_POLICIES}"

    def sent(self, body: dict[str, Any]) -> dict[str, Any]:
        """``clientAppTypes`` is never null and never empty (AlexFilipin/ConditionalAccess issue 3); its default, and
        those of a sign-in frequency, are not to be relied on in a change of what holds them."""
        sent = dict(body)
        if body.get("conditions"):
            sent["conditions"] = {**body["conditions"]}
            sent["conditions"]["clientAppTypes"] = body["conditions"].get("clientAppTypes") or ["all"]
        sessions = body.get("sessionControls") or {}
        if sessions.get("signInFrequency"):
            sent["sessionControls"] = {**sessions, "signInFrequency": {**TIME_BASED, **sessions["signInFrequency"]}}
        return sent


def _with_advice(name: str, why: str) -> str:
    if GUID.fullmatch(name):
        return f"{why}: if it is another tenant's, say with --bind which one is meant here"
    return f"{why}: --create-groups makes it, --bind names another" if why.startswith("no group") else why


def _noted(wanted: Desired, properties: dict[str, Any], note: str) -> Desired:
    rails = {**wanted.rails, "note": _joined(wanted.rails.get("note", ""), note)}
    return replace(wanted, properties=properties, rails=rails)


def _joined(*notes: str) -> str:
    return "; ".join(note for note in notes if note)
