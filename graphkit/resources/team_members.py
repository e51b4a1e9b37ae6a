"""Members of teams: 200 are added by one call, 20 removed by one, roles are changed one by one.

https://learn.microsoft.com/graph/api/conversationmembers-add and conversationmember-remove. A part of such a call may
be refused (207) while the rest is carried out. To add somebody twice is no error (microsoftgraph/microsoft-graph-docs
issue 9303). A team admits four adding calls a minute (learn.microsoft.com/graph/throttling-limits): where that takes
longer than to add the people to the team's group, 20 by one call, the group is taken.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec

from graphkit.engine.change import EFFECTIVE, PENDING, Action, Change, Desired, Origin, Pace, Reading, Verdict
from graphkit.engine.resource import Context, PlanView, Resource, as_desired
from graphkit.errors import InputProblem
from graphkit.protocol.message import Idempotency, Request, Response
from graphkit.protocol.odata import segment
from graphkit.resources.member_route import BY_GROUP, BY_TEAM, LATER, THERE, Route, told
from graphkit.resources.team_names import TeamNames
from graphkit.resources.team_people import PEOPLE, WANTED, TeamPeople, pair_of
from graphkit.resources.users import Users

REMOVED = 20
"""People in one removing call (the page; 200 are added)."""
NAMED, COMING = "team.named", "team.coming-owner"
"""Of whom the plan speaks, and who is going to be an owner by it: pairs of team and user."""
LAST_OWNER = "is the last owner: a team keeps at least one"
MEMBER_TYPE = "#microsoft.graph.aadUserConversationMember"


class TeamMembers(Resource):
    """``properties``: team (id, uniqueName or name), user (userPrincipalName or id), roles (["owner"] or []).

    ``resolve`` adds the ids. Whoever is to be gone goes whatever their role. The key is ``<team>/<user>``. Whoever is
    not wished for is left alone. What takes an owner away, or anybody out, comes in the plan after those who are added,
    so that a team always has an owner.
    """

    kind = "team.member"
    rank = 3
    pack_limit = BY_TEAM
    visibility_s = 900.0
    goes_with = frozenset({"team"})
    pace = Pace.PERHAPS_LATER

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._users = Users(context)
        self._names = TeamNames(context)
        self._people = TeamPeople(context)
        self._routes: dict[str, Route] = {}
        self._leaving: list[Change] = []
        self._owners_left: dict[str, set[str]] = {}

    async def gather(self, view: PlanView) -> None:
        await self._users.load(view.wanted_count(self.kind))

    async def resolve(self, items: Sequence[Desired]) -> list[InputProblem]:
        problems = await self._names.resolve(items)
        found, unknown = await self._users.resolve(items)
        whole = [item for item, _ in found if "teamId" in item.properties]
        staying = (pair_of(each.properties) for each in whole if not each.absent)
        self.context.snapshot.put(WANTED, ((pair, 1) for pair in staying))
        return [*problems, *unknown, *self._named_twice(whole)]

    def _named_twice(self, items: Sequence[Desired]) -> Iterator[InputProblem]:
        """One person in one team, asked for by two names."""
        pairs = [pair_of({**item.properties, "team": item.properties["teamId"]}) for item in items]
        seen = set(self.context.snapshot.get(NAMED, pairs))
        for item, pair in zip(items, pairs, strict=True):
            if pair in seen:
                message = f"{item.properties['user']} is there twice for {item.properties['team']}"
                yield InputProblem(item.origin.file, item.origin.place, "duplicate-key", message)
            seen.add(pair)
        self.context.snapshot.put(NAMED, ((pair, 1) for pair in pairs))

    async def read(self, items: Sequence[Desired]) -> Sequence[Reading]:
        return await self._people.read(items)

    async def look(self, pack: Sequence[Change]) -> Sequence[Reading]:
        (team,) = {_named(change)["team"] for change in pack}
        return await self._people.look(team, [as_desired(change) for change in pack])

    # -- comparing -------------------------------------------------------------------------------------------------

    def diff(self, wanted: Desired, reading: Reading) -> Iterable[Change]:
        names = ("team", "teamId", "user", "userId", "roles")
        line = self._line(wanted, reading)
        line.after = {name: wanted.properties[name] for name in names}
        person, owns = reading.value, "owner" in wanted.properties["roles"]
        if person is None or (owns and not person["id"]):
            self._add(line, owns=owns)
        elif is_owner(person) is not owns:
            line.action = Action.UPDATE
            line.after["id"] = person["id"]
        elif not person["id"]:
            line.note = THERE
        if owns and line.action.writes:
            self.context.snapshot.put(COMING, [(pair_of(wanted.properties), wanted.key)])
        if line.action is Action.UPDATE and not owns:
            self._leaving.append(line)
            return []
        return [line]

    def removal(self, wanted: Desired, reading: Reading) -> Iterable[Change]:
        line = self._line(wanted, reading)
        if reading.value is None:
            return [line]
        line.action = Action.REMOVE
        self._leaving.append(line)
        return []

    def _line(self, wanted: Desired, reading: Reading) -> Change:
        before = self.before_image(reading)
        return Change(kind=self.kind, key=wanted.key, action=Action.NOOP, before=before, origin=wanted.origin)

    def _add(self, line: Change, *, owns: bool) -> None:
        line.action, after = Action.ADD, line.after or {}
        if not owns and self._route(after["team"]).by_group:
            line.after, line.note = {**after, "by": "group"}, LATER

    def _route(self, team: str) -> Route:
        if team not in self._routes:
            self._routes[team] = Route.choose(self._people.missing(team))
        return self._routes[team]

    async def extras(self, view: PlanView) -> Iterable[Change]:
        """Whoever leaves or steps down; by ``--mode authoritative`` also whoever is in a team and not named for it."""
        leaving = sorted(self._leaving, key=lambda change: change.key)
        if self.context.options.mode == "authoritative":
            joining = (item for item in view.wanted(self.kind) if not item.absent)
            teams = {item.properties["team"]: item for item in joining}
            unnamed = [change for item in teams.values() for change in self._unnamed(item)]
            names = await self._users.names([(change.before or {})["userId"] for change in unnamed])
            for change in unnamed:
                change.note = names.get((change.before or {})["userId"], "")
            leaving += unnamed
        for change in leaving:
            if is_owner(change.before or {}):
                self._step_down(change)
        return leaving

    def _unnamed(self, named: Desired) -> Iterator[Change]:
        team, team_id = named.properties["team"], named.properties["teamId"]
        people = {f"{team_id}/{each['userId']}": each for each in self._people.everybody(team)}
        wanted = self.context.snapshot.get(NAMED, list(people))
        for pair in sorted(set(people) - set(wanted)):
            user_id = people[pair]["userId"]
            before = {"team": team, "teamId": team_id, "user": user_id, **people[pair]}
            origin = Origin(named.origin.file, "")
            yield Change(kind=self.kind, key=f"{team}/{user_id}", action=Action.REMOVE, before=before, origin=origin)

    def _step_down(self, change: Change) -> None:
        """Never the last owner, and no owner before the new ones have come."""
        person = change.before or {}
        team = person["team"]
        coming = dict(self.context.snapshot.each(COMING, f"{team}/"))
        owners = {f"{team}/{each}" for each in self._people.owners(team)} | set(coming)
        left = self._owners_left.setdefault(team, owners)
        if left == {pair_of(person)}:
            change.action, change.note = Action.BLOCKED, f"{change.note or person['user']} {LAST_OWNER}"
            return
        left.discard(pair_of(person))
        change.needs = tuple((self.kind, key) for key in coming.values())

    async def guard(self, view: PlanView) -> list[str]:
        """Stops nothing; says which way was taken."""
        self.context.remarks.extend(told(self._routes))
        return []

    def settled(self, change: Change, reading: Reading) -> bool:
        if not reading.known or change.action is Action.REMOVE:
            return reading.known and reading.value is None
        return reading.value is not None and is_owner(reading.value) == ("owner" in _named(change)["roles"])

    async def effective(self, changes: Sequence[Change]) -> Sequence[Verdict]:
        """Who came through the group is in the team once Teams shows a membership."""
        slow = [change for change in changes if _through_group(change)]
        for team in sorted({_named(change)["team"] for change in slow}):
            self.context.snapshot.forget(PEOPLE, team)
        found = await self.read([as_desired(change) for change in slow])
        shown = {change.seq: bool((person.value or {}).get("id")) for change, person in zip(slow, found, strict=True)}
        return [EFFECTIVE if shown.get(change.seq, True) else PENDING for change in changes]

    def unchanged(self, change: Change, reading: Reading) -> bool:
        """Who is to leave must be there in the role that the plan saw, by whichever membership."""
        if change.action is Action.REMOVE:
            return reading.value is not None and is_owner(reading.value) == is_owner(change.before or {})
        return self.before_image(reading) == change.before

    def inverse(self, change: Change, object_id: str) -> Change:
        """The id of a membership goes with it, and the one that is returned is the person's."""
        back = super().inverse(change, object_id)
        if back.action is Action.REMOVE:
            back.before = dict(change.after or {})
        return back

    # -- writing ---------------------------------------------------------------------------------------------------

    def routes(self, change: Change) -> Iterable[tuple[str, str]]:
        team = f"/teams/{_named(change).get('teamId', '{id}')}"
        if change.action is Action.UPDATE:
            return [("PATCH", f"{team}/members/{{id}}")]
        if _through_group(change):
            return [("DELETE" if change.action is Action.REMOVE else "PATCH", "/groups/{id}")]
        return [("POST", f"{team}/members/{'remove' if change.action is Action.REMOVE else 'add'}")]

    def pack_key(self, change: Change) -> str:
        alone = change.action is Action.UPDATE or (change.action is Action.REMOVE and _through_group(change))
        return change.key if alone else f"{change.action} {_named(change)['team']}"

    def pack_size(self, change: Change) -> int:
        if change.action is Action.REMOVE:
            return REMOVED
        return BY_GROUP if _through_group(change) else BY_TEAM

    def request(self, pack: Sequence[Change]) -> Request:
        people = [_named(change) for change in pack]
        team_id = segment(people[0]["teamId"])
        if _through_group(pack[0]):
            return self._through_group(pack[0].action, team_id, people)
        path, target = f"/teams/{team_id}/members", f"teams/{team_id}"
        if pack[0].action is Action.UPDATE:
            body: dict[str, Any] = {"@odata.type": MEMBER_TYPE, "roles": people[0]["roles"]}
            return _convergent("PATCH", f"{path}/{segment(people[0]['id'])}", body, target=target)
        if pack[0].action is Action.REMOVE:
            body = {"values": [self._bound(each) for each in people]}
            return _convergent("POST", f"{path}/remove", body, target=target)
        body = {"values": [{**self._bound(each), "roles": each["roles"]} for each in people]}
        return _convergent("POST", f"{path}/add", body, target=target)

    def _through_group(self, action: Action, group_id: str, people: Sequence[dict[str, Any]]) -> Request:
        path = f"/groups/{group_id}"
        if action is Action.REMOVE:
            return _convergent("DELETE", f"{path}/members/{segment(people[0]['userId'])}/$ref", commutative=True)
        links = [f"{self._root}/directoryObjects/{each['userId']}" for each in people]
        return _convergent("PATCH", path, {"members@odata.bind": links}, commutative=True)

    def _bound(self, person: dict[str, Any]) -> dict[str, Any]:
        return {"@odata.type": MEMBER_TYPE, "user@odata.bind": f"{self._root}/users('{person['userId']}')"}

    @property
    def _root(self) -> str:
        return f"{self.context.client.cloud.graph_root}/v1.0"

    async def answers(self, pack: Sequence[Change], response: Response) -> Sequence[Response]:
        """207 says that some were refused; each part says whom it is about."""
        if response.status != 207:
            return [response] * len(pack)
        parts = {str(part.get("userId")).lower(): part for part in response.json()["value"]}
        return [_part(response, parts.get(str(_named(change)["userId"]).lower())) for change in pack]

    async def identify(self, change: Change, response: Response) -> str:
        return str(_named(change)["userId"])


def is_owner(person: dict[str, Any]) -> bool:
    return "owner" in person["roles"]


def _named(change: Change) -> dict[str, Any]:
    return change.after or change.before or {}


def _through_group(change: Change) -> bool:
    """So was it planned; or they are in the group alone, so that the team knows no such member."""
    return _named(change).get("by") == "group" or (change.action is Action.REMOVE and _named(change).get("id") == "")


def _convergent(
    method: str, path: str, body: dict[str, Any] | None = None, *, target: str = "", commutative: bool = False
) -> Request:
    return Request(
        method=method,
        path=path,
        body=None if body is None else msgspec.json.encode(body),
        idempotency=Idempotency.CONVERGENT,
        target=target,
        commutative=commutative,
    )


def _part(whole: Response, part: dict[str, Any] | None) -> Response:
    """The answer to one of many. Whoever is not spoken of is not known to have been dealt with."""
    if part is not None and not part.get("error"):
        return whole.saying(200, b"")
    error = dict((part or {}).get("error") or {"code": "NotAnswered", "message": "the answer does not speak of them"})
    error["message"] = error.get("message") or f"{error.get('code')}, and the service says no more"
    return whole.saying(400, msgspec.json.encode({"error": error}))
