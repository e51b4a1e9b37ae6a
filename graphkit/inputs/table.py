"""Rows with canonical columns and clean values, read lazily from a CSV file, JSON lines or a list of objects."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, islice
from typing import TYPE_CHECKING

import msgspec

from graphkit.inputs.cells import are_plain, clean
from graphkit.inputs.headers import Match, match_header, pick_header, secret_places
from graphkit.inputs.problems import Problems
from graphkit.inputs.sheet import Record, Sheet, open_sheet
from graphkit.inputs.source import Source

if TYPE_CHECKING:
    from pydantic import BaseModel


class Row(msgspec.Struct, frozen=True, gc=False):
    """One row: ``values`` by canonical column, trimmed; ``cells`` as they stand in the file, for the results.

    Cells that look like secrets by their heading, and have no meaning here, are empty: they are not to be kept.
    """

    file: str
    number: int
    values: dict[str, str]
    cells: list[str]

    @property
    def given(self) -> dict[str, str]:
        """``values`` without those of empty cells."""
        values = self.values
        return values if all(values.values()) else {column: value for column, value in values.items() if value}


Faults = Mapping[str, str]
"""What is wrong with a row's cells: column to reason. The value of such a cell is empty."""
SOUND: Faults = {}
Scanned = tuple[Row, Faults]
TOGETHER = 100
"""Rows of a chunk: few enough to stay in the processor's cache from one step to the next."""


@dataclass(frozen=True, slots=True)
class Table:
    """``columns`` are those found, ``mapping`` gives the heading that each was read from, ``header`` all headings.

    ``scan`` reads from the beginning, in chunks, each row with its faults; problems found on the way go to
    ``problems``, so whoever reads twice gets them twice.
    """

    file: str
    columns: tuple[str, ...]
    mapping: Mapping[str, str]
    header: tuple[str, ...]
    problems: Problems
    scan: Callable[[], Iterator[list[Scanned]]]

    def __iter__(self) -> Iterator[Row]:
        """The rows without a fault; the others are reported."""
        for row, faults in chain.from_iterable(self.scan()):
            for column, reason in faults.items():
                self.problems.add(row.file, row.number, "bad-cell", f"{column}: {reason}")
            if not faults:
                yield row


def open_table(
    source: Source, problems: Problems, model: type[BaseModel], besides: Collection[str] = frozenset()
) -> Table:
    """The rows of ``source`` with the columns of ``model``, known by their names or an export's headings.

    Headings that mean nothing to the model are ignored with one warning; required columns that are missing are
    named all at once. ``besides`` are headings that mean something to whoever asks. If the file cannot be read as a
    table, the table is empty and ``problems`` says why.
    """
    sheet = open_sheet(source, problems)
    if sheet is None:
        return _empty(source.name, problems)
    match = match_header(sheet.header, set(model.model_fields))
    renamed = [
        f"{sheet.header[place].strip()} as {name}" for name, place in match.places.items() if name in match.aliased
    ]
    if renamed:
        problems.warn(f"{source.name}: read {', '.join(renamed)}")
    secret = secret_places(sheet.header, match.places.values()).values()
    if ignored := [heading for heading in match.ignored if heading not in {*besides, *secret}]:
        problems.warn(f"{source.name}: columns without a meaning here are ignored: {', '.join(ignored)}")
    required = [name for name, field in model.model_fields.items() if field.is_required()]
    return _matched(sheet, match, required, problems)


def open_raw_table(source: Source, problems: Problems, columns: list[str]) -> Table:
    """The rows of ``source`` with these headings exactly as written; each one must be there."""
    sheet = open_sheet(source, problems)
    if sheet is None:
        return _empty(source.name, problems)
    return _matched(sheet, pick_header(sheet.header, columns), columns, problems)


def _matched(sheet: Sheet, match: Match, required: list[str], problems: Problems) -> Table:
    header = tuple(heading.strip() for heading in sheet.header)
    for message in match.problems:
        problems.add(sheet.file, "", "ambiguous-header", message)
    missing = [name for name in required if name not in match.places]
    if missing:
        found = ", ".join(heading for heading in header if heading) or "none"
        message = f"missing columns: {', '.join(missing)} (found: {found}); other headings need --map"
        problems.add(sheet.file, "", "missing-column", message)
    if missing or match.problems:
        return _empty(sheet.file, problems)
    mapping = {column: header[place] for column, place in match.places.items()}
    if secret := secret_places(header, match.places.values()):
        problems.warn(f"{sheet.file}: neither read nor kept, for they are secret: {', '.join(secret.values())}")
    return Table(sheet.file, tuple(mapping), mapping, header, problems, lambda: _scan(sheet, match, problems))


def _scan(sheet: Sheet, match: Match, problems: Problems) -> Iterator[list[Scanned]]:
    columns, width = tuple(match.places.items()), len(sheet.header)
    secret = tuple(secret_places(sheet.header, match.places.values()))
    records = sheet.records()
    while chunk := list(islice(records, TOGETHER)):
        even = [record for record in chunk if len(record[1]) == width or _fits(sheet, record, problems)]
        if secret:
            _blank(even, secret)
        picked = [
            Row(sheet.file, number, {name: cells[place].strip() for name, place in columns}, cells)
            for number, cells in even
        ]
        plain = are_plain(chain.from_iterable([row.values.values() for row in picked]))
        rows: list[Scanned] = []
        for row in picked:
            if not (plain or are_plain(row.values.values())):
                rows.append(_clean(row))
            elif any(row.values.values()) or any(map(str.strip, row.cells)):
                rows.append((row, SOUND))
        yield rows


def _blank(records: list[Record], places: tuple[int, ...]) -> None:
    for _, cells in records:
        for place in places:
            cells[place] = ""


def _fits(sheet: Sheet, record: Record, problems: Problems) -> bool:
    """Can a row that is not as wide as the header be read all the same? A blank one cannot, and is no problem."""
    (number, cells), width = record, len(sheet.header)
    if not any(map(str.strip, cells)):
        return False
    if len(cells) < width or any(map(str.strip, cells[width:])):
        message = f"has {len(cells)} cells, the header {width}: is a separator or quotation mark missing?"
        problems.add(sheet.file, number, "ragged-row", message)
        return False
    return True


def _clean(row: Row) -> Scanned:
    values, faults = dict.fromkeys(row.values, ""), {}
    for name, cell in row.values.items():
        try:
            values[name] = clean(cell)
        except ValueError as error:
            faults[name] = str(error)
    return Row(row.file, row.number, values, row.cells), faults


def _empty(file: str, problems: Problems) -> Table:
    return Table(file, (), {}, (), problems, lambda: iter(()))
