"""The values that the engine works with.

``Desired`` is what an input asks for, ``Reading`` what the tenant was seen to hold, ``Change`` the difference,
``Result`` how one change ended.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import msgspec


class Action(StrEnum):
    """What a plan line does to its object."""

    CREATE = "create"
    UPDATE = "update"
    ADD = "add"
    REMOVE = "remove"
    DELETE = "delete"
    NOOP = "noop"
    BLOCKED = "blocked"

    writes: bool

    def __init__(self, name: str) -> None:
        self.writes = name not in ("noop", "blocked")


class Status(StrEnum):
    """How a requested item ended. Every item ends as exactly one of these."""

    DONE = "done"
    ALREADY = "already"
    FAILED = "failed"
    SKIPPED = "skipped"
    UNKNOWN = "unknown"


class Effect(StrEnum):
    """Whether what the service accepted has become effective, for kinds where that takes its time."""

    YES = "yes"
    NO = "no"
    PENDING = "pending"


class Pace(StrEnum):
    """How soon an accepted write of some kind is effective."""

    AT_ONCE = "at-once"
    LATER = "later"
    PERHAPS_LATER = "perhaps-later"
    """For some objects of the kind, and only a look tells which."""


class Undo(StrEnum):
    """Whether a change can be taken back."""

    REVERSIBLE = "R"
    """From the before-image."""
    WINDOW = "C"
    """Within the 30 days that a deleted object stays restorable."""
    IRREVERSIBLE = "X"


class Origin(msgspec.Struct, frozen=True, eq=False, array_like=True, gc=False):
    """The input that asked: a row of a table (``place`` is its number) or a path inside a document.

    A row has its ``cells``, and the headings of its file as ``columns``. Two are the same whatever their cells.
    """

    file: str
    place: int | str
    columns: tuple[str, ...] = ()
    cells: Sequence[str] = ()

    @property
    def values(self) -> dict[str, str]:
        """The cells by their headings."""
        return dict(zip(self.columns, self.cells, strict=False))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Origin) and (self.file, self.place) == (other.file, other.place)

    def __hash__(self) -> int:
        return hash((self.file, self.place))


class Desired(msgspec.Struct, kw_only=True, array_like=True, gc=False):
    """One object as the input wants it.

    ``key`` is the natural key, unique within ``kind``. ``properties`` hold names until the resource's ``resolve`` has
    put ids beside them. ``needs`` lists (kind, key) of objects that must be settled first. ``rails`` holds limits that
    concern the plan and are never sent. ``blocked`` says why this one object cannot be planned; the rest goes on.
    ``absent`` wishes that the object be gone.
    """

    kind: str
    key: str
    origin: Origin
    properties: dict[str, Any] = {}
    needs: tuple[tuple[str, str], ...] = ()
    rails: dict[str, Any] = {}
    blocked: str = ""
    absent: bool = False


class Reading(msgspec.Struct, frozen=True):
    """What was seen of one object: present (``value`` is not None), absent, or unknown (``why`` says so).

    Absent is a proof: a 404, or a list whose last page was reached. Unknown plans nothing.
    """

    value: dict[str, Any] | None = None
    why: str = ""

    @property
    def known(self) -> bool:
        return not self.why


ABSENT = Reading()
NOWHERE = Origin("", "")


def present(value: dict[str, Any]) -> Reading:
    return Reading(value=value)


def unknown(why: str) -> Reading:
    return Reading(why=why or "it could not be read")


class Change(msgspec.Struct, kw_only=True, gc=False):
    """One intended transition of one object, as the plan keeps it.

    ``before`` and ``after`` hold what is compared and written, ids included; ``note`` is for the reader. ``seq`` is the
    place in the plan, 0 until it is there.
    """

    kind: str
    key: str
    action: Action
    before: dict[str, Any] | None = None
    after: dict[str, Any] | None = None
    needs: tuple[tuple[str, str], ...] = ()
    note: str = ""
    undo: Undo = Undo.REVERSIBLE
    origin: Origin = NOWHERE
    seq: int = 0

    def line(self) -> str:
        """The canonical JSON of this change: what the plan's digest covers."""
        return canonical(self._fields())

    def _fields(self) -> _Line:
        return _Line(
            self.action,
            self.after,
            self.before,
            self.key,
            self.kind,
            self.needs,
            self.note,
            (self.origin.file, self.origin.place),
            self.undo,
        )

    @staticmethod
    def lines(changes: Iterable[Change]) -> list[str]:
        """:meth:`line` of each; a line feed within a text is escaped."""
        return _CANONICAL.encode_lines([change._fields() for change in changes]).decode().split("\n")[:-1]

    @staticmethod
    def parse(line: str, seq: int) -> Change:
        """The inverse of :meth:`line`."""
        change = _CHANGE.decode(line)
        change.seq = seq
        return change


class _Line(msgspec.Struct, gc=False):
    """A change as the plan keeps it; the fields stand in the order of their names."""

    action: Action
    after: dict[str, Any] | None
    before: dict[str, Any] | None
    key: str
    kind: str
    needs: tuple[tuple[str, str], ...]
    note: str
    origin: tuple[str, int | str]
    undo: Undo


_CHANGE = msgspec.json.Decoder(Change)


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """How one change ended, in the service's own words where it said something.

    ``effective`` is empty for kinds of which an accepted write is effective at once, and for what was not written.
    """

    status: Status
    object_id: str = ""
    code: str = ""
    error: str = ""
    request_id: str = ""
    effective: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Has a change become effective? If not, ``code`` and ``why`` are the service's own."""

    effect: Effect
    code: str = ""
    why: str = ""


PENDING = Verdict(Effect.PENDING)
EFFECTIVE = Verdict(Effect.YES)


def canonical(value: Any) -> str:
    """JSON with sorted keys and no white space (RFC 8785; floating-point numbers do not occur in plans)."""
    return _CANONICAL.encode(value).decode()


_CANONICAL = msgspec.json.Encoder(order="deterministic")
