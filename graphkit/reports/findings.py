"""What a report found: named tables whose rows are read while they are printed, totals, and notes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from graphkit.reports.text import pairs, printable, table

Cell = str | int | float | bool | None
Rows = Iterable[Sequence[Cell]]

SHOWN_ROWS = 50
"""Rows of one table that people see on the terminal; the other formats have all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One table.

    ``columns`` are names in lower_case, ``rows`` begins a fresh reading each time it is called, of one cell per column;
    None is a value that is not known. ``org`` names the column by which evidence is divided (``--out-dir``); empty
    where a table concerns all organisations.
    """

    name: str
    title: str
    columns: tuple[str, ...]
    rows: Callable[[], Rows]
    org: str = ""

    def items(self) -> Iterator[dict[str, Any]]:
        """The rows as objects."""
        return (dict(zip(self.columns, row, strict=True)) for row in self.rows())


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """``sections`` begin with the one that says most: it is what ``-o csv`` prints. ``notes`` are for the reader."""

    sections: tuple[Section, ...]
    totals: Mapping[str, Cell] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def lines(facts: Mapping[str, Any], findings: Findings) -> Iterator[str]:
    """The findings for people. ``facts`` is the object that ``-o json`` prints, without its sections."""
    tenant = facts["tenant"]
    yield printable(f"{facts['report']} for {tenant.get('name') or tenant.get('id', '')}")
    for section in findings.sections:
        yield ""
        yield from _table(section)
    if findings.totals:
        yield ""
        yield from pairs({name.replace("_", " "): cell_text(value) for name, value in findings.totals.items()})
    for note in findings.notes:
        yield f"note: {printable(note)}"


def _table(section: Section) -> Iterator[str]:
    rows = iter(section.rows())
    shown = [[_shown(value) for value in row] for row in islice(rows, SHOWN_ROWS)]
    yield printable(section.title)
    if not shown:
        yield "  none"
        return
    yield from (f"  {line}" for line in table([name.replace("_", " ") for name in section.columns], shown))
    more = sum(1 for _ in rows)
    if more:
        yield f"  and {more:,} more; -o json, -o jsonl and --out-dir have all"


def _shown(value: Cell) -> object:
    """Numbers stay numbers, so that the table sets them to the right."""
    return value if isinstance(value, int) and not isinstance(value, bool) else cell_text(value)


def cell_text(value: Cell) -> str:
    """One value as people and spreadsheets read it; empty where it is not known."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.1f}" if isinstance(value, float) else str(value)
