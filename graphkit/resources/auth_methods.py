"""Which authentication methods the tenant allows, and for whom.

https://learn.microsoft.com/graph/api/resources/authenticationmethodspolicies-overview. The configurations are there
from the start, one for each method; they are changed, never made or deleted. Nobody is to lose the only method that
they have registered and may still use.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from graphkit.engine.change import Action, Change, Desired, Origin, Reading, present, unknown
from graphkit.engine.resource import Context, PlanView, Resource
from graphkit.errors import AuthError, GraphkitError, InputProblem, Stopped
from graphkit.protocol.message import Idempotency, Request, Response
from graphkit.protocol.odata import segment
from graphkit.resources.reading import read_each
from graphkit.resources.references import find_groups
from graphkit.resources.registration import EVERYONE, leave_of, registrations, usable

PATH = "/policies/authenticationMethodsPolicy"
BELOW = f"{PATH}/authenticationMethodConfigurations"
TARGETS = ("includeTargets", "excludeTargets")
EVERYBODY = ("all users", "all_users")


class AuthenticationMethods(Resource):
    """``properties``: state, perhaps targets and exclude (names of groups, their ids, "All users") and settings.

    The key is the method's id in lower case. ``resolve`` turns targets and exclude into lists of ids.
    """

    kind = "authenticationMethod"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._stranded: list[Change] = []
        self._unproved = ""

    async def resolve(self, items: Sequence[Desired]) -> list[InputProblem]:
        names = {name for item in items for name in _names(item) if name.lower() not in EVERYBODY}
        ids, reasons = await find_groups(self.context, names)
        problems = []
        for item in items:
            missing = [reasons[name] for name in _names(item) if name in reasons]
            problems += [InputProblem(item.origin.file, item.origin.place, "unknown-group", why) for why in missing]
            for name in ("targets", "exclude"):
                if name in item.properties:
                    given = item.properties[name]
                    item.properties[name] = sorted(EVERYONE if g.lower() in EVERYBODY else ids.get(g, g) for g in given)
        return problems

    async def read(self, items: Sequence[Desired]) -> Sequence[Reading]:
        """All of them come with the policy, in one answer."""
        (policy,) = await read_each(self.context.client, [PATH])
        if policy.value is None:
            return [unknown(policy.why or "the policy is not there") for _ in items]
        live = {str(each["id"]).lower(): each for each in policy.value.get("authenticationMethodConfigurations") or ()}
        return [
            present(live[item.key]) if item.key in live else unknown(f"this tenant knows no method {item.key}")
            for item in items
        ]

    def diff(self, wanted: Desired, reading: Reading) -> Iterable[Change]:
        before = reading.value or {}
        after = _wished(wanted.properties, before)
        action = Action.NOOP if all(before.get(name) == value for name, value in after.items()) else Action.UPDATE
        whole = {"@odata.type": before["@odata.type"], "id": before["id"], **after}
        return [Change(kind=self.kind, key=wanted.key, action=action, before=before, after=whole, origin=wanted.origin)]

    def settled(self, change: Change, reading: Reading) -> bool:
        found = reading.value or {}
        return reading.known and all(found.get(name) == value for name, value in (change.after or {}).items())

    async def extras(self, view: PlanView) -> Iterable[Change]:
        """A blocked line for each person who would be left without a method, so that the plan lists them."""
        narrowed = [change for change in view.changes(self.kind) if _narrows(change)]
        if narrowed:
            try:
                self._stranded = await self._find_stranded(narrowed)
            except (AuthError, Stopped):
                raise
            except GraphkitError as error:
                self._unproved = error.message
        return self._stranded

    async def _find_stranded(self, narrowed: Sequence[Change]) -> list[Change]:
        client = self.context.client
        policy = await client.get(PATH)
        live = {str(each["id"]).lower(): each for each in policy["authenticationMethodConfigurations"]}
        now = {key: await leave_of(client, each) for key, each in live.items()}
        then = {**now, **{c.key: await leave_of(client, {**(c.before or {}), **(c.after or {})}) for c in narrowed}}
        origin = narrowed[0].origin
        found = []
        async for page in registrations(client):
            for person in page:
                methods, user = person.get("methodsRegistered") or (), str(person["id"])
                if usable(methods, now, user) and not usable(methods, then, user):
                    found.append(_left_without(person, origin))
        return found

    async def guard(self, view: PlanView) -> list[str]:
        if self._unproved:
            return [f"nobody can be shown to keep a method: registrations could not be read: {self._unproved}"]
        if not self._stranded:
            return []
        return [
            f"{len(self._stranded):,} people would lose the only method they can use; the plan names each as blocked "
            "(graphkit show RUN -o csv): have them register another, or keep theirs"
        ]

    def routes(self, change: Change) -> Iterable[tuple[str, str]]:
        return [("PATCH", f"{BELOW}/{{id}}")]

    def request(self, pack: Sequence[Change]) -> Request:
        (change,) = pack
        after, before = change.after or {}, change.before or {}
        body = {name: value for name, value in after.items() if name == "@odata.type" or before.get(name) != value}
        path = f"{BELOW}/{segment(after['id'])}"
        return Request(method="PATCH", path=path, body=msgspec.json.encode(body), idempotency=Idempotency.CONVERGENT)

    async def identify(self, change: Change, response: Response) -> str:
        return str((change.after or {}).get("id") or "")


def _names(item: Desired) -> list[str]:
    return [*item.properties.get("targets", ()), *item.properties.get("exclude", ())]


def _wished(properties: Mapping[str, Any], live: Mapping[str, Any]) -> dict[str, Any]:
    """The properties that the input speaks of, as Graph has them; a target that is there keeps what hangs on it."""
    after: dict[str, Any] = {"state": properties["state"], **properties.get("settings", {})}
    for given, name in zip(("targets", "exclude"), TARGETS, strict=True):
        if given in properties:
            there = {str(target["id"]): target for target in live.get(name) or ()}
            after[name] = [there.get(each, {"targetType": "group", "id": each}) for each in properties[given]]
            if sorted(there) == sorted(properties[given]):
                after[name] = live[name]
    return after


def _narrows(change: Change) -> bool:
    """Could somebody lose a method by it?"""
    before, after = change.before or {}, {**(change.before or {}), **(change.after or {})}
    if change.action is not Action.UPDATE or before.get("state") != "enabled":
        return False
    included, excluded = TARGETS
    fewer = not _ids(before, included) <= _ids(after, included) and EVERYONE not in _ids(after, included)
    return after.get("state") != "enabled" or fewer or not _ids(after, excluded) <= _ids(before, excluded)


def _ids(configuration: Mapping[str, Any], name: str) -> set[str]:
    return {str(target["id"]) for target in configuration.get(name) or ()}


def _left_without(person: Mapping[str, Any], origin: Origin) -> Change:
    name = str(person.get("userPrincipalName") or person["id"]).lower()
    return Change(
        kind="authenticationMethod",
        key=name,
        action=Action.BLOCKED,
        note=f"registered only: {', '.join(sorted(person['methodsRegistered']))}",
        origin=origin,
    )
