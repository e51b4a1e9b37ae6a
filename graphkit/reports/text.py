"""Plain text for people: tables, and a plan or a run as one reads it. Whatever came from outside is made harmless."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from graphkit.engine.change import Action, Change, Result, Status, canonical

Lines = Iterable[tuple[Change, Result | None]]
"""Plan lines in their order, each with its outcome once there is one."""

SIGNS = {
    Action.CREATE: "+",
    Action.ADD: "+",
    Action.UPDATE: "~",
    Action.REMOVE: "-",
    Action.DELETE: "x",
    Action.NOOP: "=",
    Action.BLOCKED: "!",
}
ENDED_BADLY = (Status.FAILED, Status.UNKNOWN, Status.SKIPPED)
WIDEST = 60
"""Characters of a cell, and of a value in a comparison; what is longer is cut with an ellipsis."""


def printable(text: str) -> str:
    """Control, bidirectional and invisible characters spelt out: a name must not forge a line or steer a terminal."""
    if text.isprintable():
        return text
    return "".join(mark if mark.isprintable() else mark.encode("unicode_escape").decode("ascii") for mark in text)


def table(headers: Sequence[str], rows: Sequence[Sequence[object]], *, widest: int = WIDEST) -> Iterator[str]:
    """Columns as wide as they need to be, ``widest`` at most; numbers to the right."""
    cells = [
        [_cut(printable(f"{value:,}" if isinstance(value, int) else str(value)), widest) for value in row]
        for row in rows
    ]
    widths = [max(len(line[at]) for line in [list(headers), *cells]) for at in range(len(headers))]
    right = [bool(rows) and all(isinstance(row[at], int) for row in rows) for at in range(len(headers))]
    for line in [list(headers), *cells]:
        padded = (
            text.rjust(width) if numeric else text.ljust(width)
            for text, width, numeric in zip(line, widths, right, strict=True)
        )
        yield "  ".join(padded).rstrip()


def pairs(values: Mapping[str, object]) -> Iterator[str]:
    """``name  value`` lines."""
    width = max((len(name) for name in values), default=0)
    for name, value in values.items():
        yield f"{printable(name):<{width}}  {printable(str(value))}".rstrip()


def duration(seconds: float) -> str:
    """``0.4 s``, ``3 min 20 s``, ``2 h 5 min``, ``3 d 4 h``."""
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    whole = round(seconds)
    for size, unit, small, small_unit in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            rest = whole % size // small
            return f"{whole // size} {unit}" + (f" {rest} {small_unit}" if rest else "")
    raise AssertionError("a minute or more has a unit")


def place(change: Change) -> str:
    """The input that asked for it: ``members.csv row 12``, ``pools.yaml pools[0]``."""
    where = change.origin.place
    return f"{change.origin.file} row {where}" if isinstance(where, int) else f"{change.origin.file} {where}".strip()


def summary(facts: Mapping[str, Any]) -> Iterator[str]:
    """What a plan comes to, in a screenful. ``facts`` is the object that ``plan -o json`` prints."""
    yield headline(facts)
    yield ""
    if facts["kinds"]:
        actions = [action for action in Action if facts["changes"][action]]
        rows = [[kind, *(counts.get(action, 0) for action in actions)] for kind, counts in facts["kinds"].items()]
        yield from table(["kind", *actions], rows)
        yield ""
    yield from cost(facts)
    yield from remarks(facts)


def headline(facts: Mapping[str, Any]) -> str:
    tenant = facts["tenant"]
    domain = f" ({tenant['domain']})" if tenant.get("domain") else ""
    undo = "undo of " if facts.get("undoes") else ""
    whom = f"{tenant.get('name') or tenant.get('id', '')}{domain}"
    return printable(f"{undo}{facts['recipe']} for {whom}: {facts['status']}")


def cost(facts: Mapping[str, Any]) -> Iterator[str]:
    """Requests and earliest finish per quota bucket, if the plan writes anything."""
    if facts["cost"]:
        rows = [[row["bucket"], row["requests"], duration(row["seconds"])] for row in facts["cost"]]
        yield from table(["quota bucket", "requests", "earliest finish"], rows)
        yield ""


def remarks(facts: Mapping[str, Any]) -> Iterator[str]:
    for remark in facts.get("remarks", ()):
        yield f"note: {printable(remark)}"
    for warning in facts["warnings"]:
        yield f"warning: {printable(warning)}"
    for reason in facts["blocked"]:
        yield f"! blocked: {printable(reason)}"
    if facts.get("leftOut"):
        yield f"! input rows left out as invalid: {facts['leftOut']:,}"


def plan_lines(lines: Lines) -> Iterator[str]:
    """Each change under its kind, with its sign; what needs no change is only counted."""
    kind, idle = "", 0
    for change, _ in lines:
        if change.kind != kind:
            yield from _idle(idle)
            kind, idle = change.kind, 0
            yield printable(kind)
        if change.action is Action.NOOP and not change.note:
            idle += 1
        else:
            yield from one_change(change)
    yield from _idle(idle)
    if kind:
        yield ""


def _idle(count: int) -> Iterator[str]:
    if count:
        yield f"  = {count:,} as wished already"


def one_change(change: Change) -> Iterator[str]:
    """``+ key  place  note``, and under an update what differs."""
    parts = [f"  {SIGNS[change.action]} {printable(change.key)}", printable(place(change)), printable(change.note)]
    yield "  ".join(part for part in parts if part.strip())
    if change.action is Action.UPDATE:
        for name, before, after in differences(change):
            yield f"      {printable(name)}: {_cut(printable(before))} -> {_cut(printable(after))}"


def differences(change: Change) -> Iterator[tuple[str, str, str]]:
    """(property, before, after) of everything that an update changes, as JSON."""
    before, after = change.before or {}, change.after or {}
    for name in sorted(after):
        if before.get(name) != after[name]:
            yield name, canonical(before.get(name)), canonical(after[name])


def outcome_lines(facts: Mapping[str, Any], lines: Lines) -> Iterator[str]:
    """How a run ended: the counts, and everything that did not end well with its row and the service's own words."""
    yield counted(facts["outcomes"])
    if facts.get("effective"):
        yield f"  effective: {counted(facts['effective'])}"
    if facts.get("leftOut"):
        yield f"  input rows left out as invalid: {facts['leftOut']:,}; the results file names them"
    for change, result in lines:
        if result and result.status in ENDED_BADLY:
            yield from one_failure(change, result)
    yield ""


def counted(outcomes: Mapping[str, int]) -> str:
    """``45 done, 0 already, 1 failed ...``"""
    return ", ".join(f"{count:,} {status}" for status, count in outcomes.items())


def one_failure(change: Change, result: Result) -> Iterator[str]:
    where = printable(place(change))
    yield f"  {result.status}: {change.action} {change.kind} {printable(change.key)}" + (
        f"  ({where})" if where else ""
    )
    said = ": ".join(part for part in (result.code, result.error) if part)
    trace = f" (request-id {result.request_id})" if result.request_id else ""
    yield f"      {printable(said + trace)}"


def _cut(text: str, widest: int = WIDEST) -> str:
    return text if len(text) <= widest else text[: widest - 1] + "…"
