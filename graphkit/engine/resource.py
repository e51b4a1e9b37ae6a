"""What the engine asks of a noun.

A resource knows how one kind of object is read in bulk, compared, written and looked up; the engine knows none of that.
The life of an object, in the order in which the engine calls:

1. ``expand``, ``gather``  once per plan: spell out what only the tenant can, read in bulk whatever is cheaper that way
2. ``resolve``  names in the input become ids; what cannot be resolved is an input problem
3. ``tally``    count what ``guard`` is to judge; ``read``  what the tenant holds, three-valued
4. ``diff``     wanted against read: changes, or a noop
5. ``guard``    the resource's own safety rail over the whole plan
6. ``read``     again just before the write: is it still what the plan saw?
7. ``request``  one write for one pack of changes; ``answers`` says what became of each
8. ``look``     after an answer that settles nothing: is it as wished?
9. ``inverse``  once it is to be undone: the change that takes it back
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from msgspec.structs import replace

from graphkit.client import GraphClient
from graphkit.clock import Clock
from graphkit.engine.change import EFFECTIVE, PENDING, Action, Change, Desired, Pace, Reading, Undo, Verdict
from graphkit.engine.orgs import Orgs
from graphkit.engine.sizes import Sizes
from graphkit.engine.snapshot import Snapshot
from graphkit.errors import InputProblem
from graphkit.protocol.message import Effect, Request, Response
from graphkit.protocol.touch import Touch

if TYPE_CHECKING:
    from graphkit.engine.forecast import Alternative


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanOptions:
    """Whatever changes what will be written; stored in the run.

    Limits are numbers of changes. ``max_removals`` None means the default rail: the higher of 10 and 5 % of the kind
    in scope. ``as_of`` is the day (YYYY-MM-DD) for which dated inputs are planned: a plan must not depend on when it
    was made other than through this. ``confirm`` is the tenant's domain, typed by whoever wants a tenant-wide change.
    """

    org: str = ""
    mode: str = ""
    adopt: bool = False
    promote: tuple[str, ...] = ()
    add_break_glass: bool = False
    bind: str = ""
    create_groups: bool = False
    accept_impact: bool = False
    transfer: bool = False
    allow_public: bool = False
    allow_beta: bool = False
    allow_irreversible: bool = False
    allow_privileged: bool = False
    skip_invalid: bool = False
    as_of: str = ""
    confirm: str = ""
    max_changes: int = 10_000
    max_removals: int | None = None
    max_deletes: int = 0
    break_glass: tuple[str, ...] = ()
    protected: tuple[str, ...] = ()


FOR_EVERY_PLAN = frozenset(
    {"skip_invalid", "accept_impact", "allow_privileged", "confirm", "max_changes", "max_removals", "max_deletes"}
    | {"break_glass", "protected"}
)
"""Options that engine and safety rails heed whatever the recipe; of the others each recipe says which it heeds."""


class PlanView(Protocol):
    """What a guard may see of a plan in the making."""

    def wanted(self, kind: str) -> Iterator[Desired]: ...

    def wanted_count(self, kind: str) -> int: ...

    def changes(self, kind: str = "") -> Iterator[Change]: ...

    def actions(self, kind: str) -> Iterator[tuple[str, Action]]: ...

    def counts_within(self, kind: str, container: str) -> Counter[Action]: ...


class Handout(Protocol):
    """Where what the service tells once goes, which must not be in a run: a file for its owner alone."""

    def holds(self, object_id: str) -> bool:
        """Was what belongs to this object written there?"""

    def add(self, cells: Mapping[str, str]) -> None:
        """One row, by :attr:`Resource.tells_once`; on the disk when this returns. Raises ``Stopped`` if it is not."""


@dataclass(slots=True)
class Context:
    """What every resource works with.

    ``object_ids`` maps (kind, key) to the id of objects known or created; ``created`` maps those that this run itself
    made to the time when it did: replicas may not show them yet. ``ours`` holds the ids of what earlier runs made or
    took over, of the kinds that are ``recorded``. ``orgs`` is the registry of organisations, empty if none is set.
    ``domain`` is the tenant's default domain, empty where it is not known. ``sizes`` remembers how long lists were.
    ``remarks`` are sentences for whoever reads the plan. ``handout`` is there while a run is applied that is told
    something once.
    """

    client: GraphClient
    clock: Clock
    snapshot: Snapshot
    options: PlanOptions = field(default_factory=PlanOptions)
    object_ids: dict[tuple[str, str], str] = field(default_factory=dict)
    created: dict[tuple[str, str], float] = field(default_factory=dict)
    ours: frozenset[str] = frozenset()
    remarks: list[str] = field(default_factory=list)
    orgs: Orgs = field(default_factory=Orgs)
    domain: str = ""
    sizes: Sizes = field(default_factory=Sizes)
    handout: Handout | None = None

    def object_id(self, kind: str, key: str) -> str:
        """The id of an object that exists by now. ``KeyError`` would be a defect in ``needs``."""
        return self.object_ids[kind, key]


class Resource:
    """Base of all nouns, with the behaviour that most of them share."""

    kind: ClassVar[str]
    rank: ClassVar[int] = 0
    """Kinds of a lower rank are planned and dispatched first. An object may only need objects of a lower rank."""
    pack_limit: ClassVar[int] = 1
    """How many changes with one ``pack_key`` fit into one write."""
    visibility_s: ClassVar[float] = 60.0
    """How long a new object, or one that it needs, may still answer 404."""
    undo: ClassVar[Undo] = Undo.REVERSIBLE
    rechecked: ClassVar[bool] = True
    """Read again before the write. False where the write itself refuses when the object has changed."""
    refuses_twins: ClassVar[bool] = True
    """The service takes no second object of one key. Where it would, a create whose answer was lost is sent again only
    if it is still absent when ``visibility_s`` has passed."""
    in_flight: ClassVar[int] = 0
    """How many packs may be between reading again and the answer; 0 leaves it to the engine. For kinds of which the
    service admits so few in a second that many would wait long, and what was read of them grow old."""
    goes_with: ClassVar[frozenset[str]] = frozenset()
    """Kinds of container with whose deletion an object of this kind is gone, so that it need not be removed itself."""
    pace: ClassVar[Pace] = Pace.AT_ONCE
    """Whether what the service accepts is effective at once; if not, ``effective`` tells when it is."""
    recorded: ClassVar[bool] = False
    """The kind has no place for a marker, so that its ids are kept on this machine to know our own again."""
    leads_to: ClassVar[Mapping[str, Action]] = {}
    """What ``expand`` may come to, for descriptions: kinds, and what is done to them. The kind itself writes none."""
    swaps: ClassVar[bool] = False
    """One write may both give and take, all or nothing. An undo keeps such lines together, in reverse order."""
    tells_once: ClassVar[tuple[str, ...]] = ()
    """Columns of what the service tells of a new object in its answer, and never again: for ``Context.handout``, which
    whoever applies the run has to name. ``id`` is one of them."""
    privileged: ClassVar[str] = ""
    """Why every write of this kind needs ``--allow-privileged``: "gives an application a credential"."""

    def __init__(self, context: Context) -> None:
        self.context = context

    async def gather(self, view: PlanView) -> None:
        """Read in bulk what ``resolve`` and ``read`` will need. Called once, before both."""

    async def expand(self, view: PlanView) -> AsyncIterator[Sequence[Desired]]:
        """Further wishes that follow from those staged, in chunks; for wishes that only the tenant can spell out."""
        return
        yield

    async def resolve(self, items: Sequence[Desired]) -> list[InputProblem]:
        """Put ids into ``item.properties``; report what cannot be resolved."""
        return []

    def turns(self) -> int:
        """How often the wishes are gone through when comparing, so that what others need comes first in the plan."""
        return 1

    def in_turn(self, items: Sequence[Desired], turn: int) -> Sequence[Desired]:
        """Those of ``items`` whose turn it is, from 0; each has one. Asked after all kinds are resolved."""
        return items

    def tally(self, items: Sequence[Desired]) -> None:
        """Count what ``guard`` is to judge: told every wish that stays, once and in chunks, before it is compared."""

    async def read(self, items: Sequence[Desired]) -> Sequence[Reading]:
        """One reading per item, in their order. Never raises for a single object: that one is ``unknown``."""
        raise NotImplementedError(self.kind)

    def diff(self, wanted: Desired, reading: Reading) -> Iterable[Change]:
        """The changes that lead from ``reading`` to ``wanted``: at least one, a noop included."""
        raise NotImplementedError(self.kind)

    def removal(self, wanted: Desired, reading: Reading) -> Iterable[Change]:
        """The same for an object that is to be gone. ``before`` is what brings it back: by default the wish itself.

        ``rails["note"]`` of the wish says to the reader of the plan why it goes.
        """
        there = reading.value is not None
        action = Action.REMOVE if there else Action.NOOP
        before = dict(wanted.properties) if there else None
        note = str(wanted.rails.get("note", "")) if there else ""
        line = Change(kind=self.kind, key=wanted.key, action=action, before=before, note=note, origin=wanted.origin)
        return [replace(line, needs=wanted.needs)]

    async def extras(self, view: PlanView) -> Iterable[Change]:
        """Removals that an authoritative input implies. Only from lists that were read to their end."""
        return ()

    def alternative(self, view: PlanView) -> Alternative | None:
        """The other way to the same end that this plan does not take, where the difference is worth a line."""
        return None

    async def guard(self, view: PlanView) -> list[str]:
        """Reasons why the whole plan must not be applied."""
        return []

    def tenant_wide(self, change: Change) -> str:
        """What a change binds in the whole tenant ("the naming policy"), which asks for ``--confirm``; else empty."""
        return ""

    def touches(self, change: Change) -> Touch:
        """Whom a change concerns, for the safety rails; from the names of its properties unless a kind knows better."""
        return touched(change, self.context, self.privileged)

    def routes(self, change: Change) -> Iterable[tuple[str, str]]:
        """(method, path) of the writes that one pack costs, for the forecast; a placeholder stands for each id."""
        raise NotImplementedError(self.kind)

    def pack_key(self, change: Change) -> str:
        """Neighbours in the plan with the same key and action may share one write."""
        return change.key

    def divisible(self, pack: Sequence[Change]) -> bool:
        """May some of a pack be written without the others? One that was refused is halved to find what is bad."""
        return True

    def pack_size(self, change: Change) -> int:
        """How many like this one fit into one write."""
        return self.pack_limit

    def effect(self, pack: Sequence[Change]) -> Effect:
        """What a pack does, as the guard at the wire counts it."""
        return total_effect(change.action for change in pack)

    def before_image(self, reading: Reading) -> dict[str, Any] | None:
        """What ``diff`` puts into ``Change.before`` for this reading."""
        return reading.value

    def request(self, pack: Sequence[Change]) -> Request:
        """The write for this pack, its ``effect`` apart."""
        raise NotImplementedError(self.kind)

    async def clear_the_way(self, pack: Sequence[Change]) -> None:
        """What the service wants to have done before it takes ``request``, which it is part of and counts with.

        Called each time, with the intent on disk; it may be repeated, and what came of it shows in the answer to
        ``request``.
        """

    def settles_late(self, change: Change) -> bool:
        """Is a create whose answer was lost only known not to have been executed when ``visibility_s`` has passed?"""
        return not self.refuses_twins

    async def answers(self, pack: Sequence[Change], response: Response) -> Sequence[Response]:
        """What an accepted request came to, for each change: where one answer speaks of many, or only of work begun."""
        return [response] * len(pack)

    async def identify(self, change: Change, response: Response) -> str:
        """The id of the object that an accepted change made or touched; empty if nobody says.

        Raises ``ServiceError`` if the service, having accepted it, refused it in its own time.
        """
        if change.action is not Action.CREATE:
            return str((change.before or change.after or {}).get("id") or "")
        body = response.json() if response.body else None
        return str(body.get("id") or "") if isinstance(body, dict) else ""

    async def look(self, pack: Sequence[Change]) -> Sequence[Reading]:
        """After an ambiguous answer, or one that claims a conflict: what is there now?"""
        return await self.read([as_desired(change) for change in pack])

    def settled(self, change: Change, reading: Reading) -> bool:
        """Is what was read what the change wanted?"""
        if not reading.known:
            return False
        if change.action in (Action.REMOVE, Action.DELETE):
            return reading.value is None
        return all(step.action is Action.NOOP for step in self.diff(as_desired(change), reading))

    async def effective(self, changes: Sequence[Change]) -> Sequence[Verdict]:
        """Of changes that were accepted: has the service carried them out? One verdict each; unread is pending.

        The default takes for effective what is read as it was wished.
        """
        readings = await self.read([as_desired(change) for change in changes])
        return [
            EFFECTIVE if self.settled(change, reading) else PENDING
            for change, reading in zip(changes, readings, strict=True)
        ]

    def unchanged(self, change: Change, reading: Reading) -> bool:
        """Is the object still what the plan saw? What is to go was seen whole, ``before`` being a wish for it."""
        if change.action in _TAKING_AWAY:
            return self._is_as(change, reading)
        return self.before_image(reading) == change.before

    def left_as_written(self, change: Change, reading: Reading) -> bool:
        """Is the object still what ``change``, which was carried out, has made of it?"""
        return self.settled(change, reading)

    def inverse(self, change: Change, object_id: str) -> Change:
        """What takes ``change`` back, which made or touched ``object_id``. The undo's planner adds what it needs.

        The default swaps before and after, and the actions with them; of an update it sets back what was set.
        """
        before, after = change.before or {}, change.after or {}
        back = replace(change, action=INVERSE[change.action], before=None, after=None, needs=(), note="", seq=0)
        if back.action is Action.UPDATE:
            back.after = {**after, **{name: before[name] for name in after if name in before}}
        elif back.action in _TAKING_AWAY:
            back.before = {**after, "id": object_id} if object_id else after
        else:
            back.after = before
        back.undo = self.undo
        return back

    def _is_as(self, change: Change, reading: Reading) -> bool:
        """Is it there, the very object meant, and just as ``change.before`` describes it?"""
        if reading.value is None:
            return False
        known, found = (change.before or {}).get("id"), reading.value.get("id")
        same = not known or not found or known == found
        return same and all(step.action is Action.NOOP for step in self.diff(as_desired(change), reading))


_TAKING_AWAY = (Action.REMOVE, Action.DELETE)
INVERSE = {
    Action.CREATE: Action.DELETE,
    Action.DELETE: Action.CREATE,
    Action.ADD: Action.REMOVE,
    Action.REMOVE: Action.ADD,
    Action.UPDATE: Action.UPDATE,
}


def as_desired(change: Change) -> Desired:
    """A planned change seen as a wish again, ids included."""
    return Desired(
        kind=change.kind,
        key=change.key,
        origin=change.origin,
        properties=dict(change.after or change.before or {}),
        needs=change.needs,
    )


def touched(change: Change, context: Context, privileged: str = "") -> Touch:
    """Whom a change concerns, as its properties are usually called: userId or user, group or groupId, accountEnabled.

    A group or team that is still to be made is ``group:<key>``.
    """
    before, after = change.before or {}, change.after or {}
    image = {**before, **after} if before else after
    own = change.kind in ("user", "group") and image.get("id")
    user = image.get("userId") or (own if change.kind == "user" else None) or image.get("user")
    enabled = after.get("accountEnabled")
    gone = change.action in (Action.REMOVE, Action.DELETE)
    member = change.kind in ("group.member", "team.member")
    power = "makes a group that may hold directory roles" if after.get("isAssignableToRole") else ""
    return Touch(
        users=(str(user).lower(),) if user else (),
        groups=tuple(_groups(image, own if change.kind == "group" else None, context)),
        harm=_harm(change),
        joins=member and not gone,
        leaves=(member and gone) or (change.kind == "group" and gone),
        enabled=enabled if isinstance(enabled, bool) and enabled != before.get("accountEnabled") else None,
        account=change.kind == "user" or change.kind.startswith("user.authentication"),
        privileged=privileged or power,
        rule="membershipRule" in after and after["membershipRule"] != before.get("membershipRule"),
        policy=change.kind in ("conditionalAccessPolicy", "namedLocation"),
    )


def _groups(image: dict[str, Any], own: object, context: Context) -> Iterator[str]:
    for name in ("groupId", "teamId"):
        if isinstance(image.get(name), str):
            yield image[name].lower()
    if own:
        yield str(own).lower()
    for name in ("group", "team"):
        key = image.get(name)
        if isinstance(key, str):
            yield str(context.object_ids.get(("group", key)) or f"group:{key}").lower()


def _harm(change: Change) -> str:
    """What a change takes from somebody, in a word."""
    before, after = change.before or {}, change.after or {}
    if change.action is Action.DELETE:
        return "deletes"
    if change.action is Action.REMOVE:
        return f"removes a {change.kind} of"
    if after.get("accountEnabled") is False and before.get("accountEnabled") is not False:
        return "disables"
    off = set(after.get("disabledPlans") or ()) - set(before.get("disabledPlans") or ())
    return "turns off licensed plans of" if change.action is Action.UPDATE and off else ""


_FIELD = {
    Action.CREATE: "creates",
    Action.UPDATE: "updates",
    Action.ADD: "members",
    Action.REMOVE: "removals",
    Action.DELETE: "deletions",
}


def total_effect(actions: Iterable[Action]) -> Effect:
    """The sum of what these actions do."""
    totals: dict[str, int] = {}
    for action in actions:
        if action.writes:
            totals[_FIELD[action]] = totals.get(_FIELD[action], 0) + 1
    return Effect(**totals)
