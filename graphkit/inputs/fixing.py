"""A corrected copy of a table: what a machine can put right without guessing. The original is never touched."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from graphkit.errors import UsageError
from graphkit.inputs.cells import clean, guarded
from graphkit.inputs.described import describe
from graphkit.inputs.headers import match_header
from graphkit.inputs.problems import Problems
from graphkit.inputs.sheet import Sheet, open_sheet
from graphkit.inputs.source import Source
from graphkit.inputs.types import iso_day
from graphkit.private import open_new

if TYPE_CHECKING:
    from pydantic import BaseModel


@dataclass(frozen=True, slots=True)
class Fixed:
    """A copy: where it is, how many rows it has, and in how many cells it differs, headings included."""

    path: Path
    rows: int
    cells: int


def write_fixed(source: Source, model: type[BaseModel]) -> Fixed | None:
    """Write ``NAME.fixed.csv`` beside the input; None if it cannot be read as a table (which the problems say).

    Headings become the model's own, cells are trimmed, freed of what spreadsheets put round them and composed, dates
    become YYYY-MM-DD, blank rows go. What is wrong beyond that stays as it is, for a person to see to. UTF-8 with BOM,
    CRLF, readable by its owner only. Raises ``UsageError`` if the copy is there already, or for standard input.
    """
    if source.path is None:
        raise UsageError("--fix writes a copy beside the file, and standard input is none", hint="name a file with -i")
    sheet = open_sheet(source, Problems())
    if sheet is None:
        return None
    path = source.path.with_name(f"{source.path.stem}.fixed.csv")
    try:
        handle = open_new(path)
    except FileExistsError as error:
        raise UsageError(f"{path} is there already", hint="move it away first: it may hold somebody's work") from error
    rows = cells = 0
    with open(handle, "w", encoding="utf-8-sig", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\r\n")
        for before, after in _rows(sheet, model):
            writer.writerow([guarded(cell) for cell in after])
            rows += 1
            cells += sum(left != right for left, right in zip(before, after, strict=True))
    return Fixed(path, rows - 1, cells)


def _rows(sheet: Sheet, model: type[BaseModel]) -> Iterator[tuple[list[str], list[str]]]:
    """(as it is, as it should be) of the header and each row."""
    places = match_header(sheet.header, set(model.model_fields)).places
    names = {place: name for name, place in places.items()}
    days = {field.path for field in describe(model) if field.kind == "date"}
    fixes: list[Callable[[str], str]] = [
        _trimmed if place not in names else _as_day if names[place] in days else _cleaned
        for place in range(len(sheet.header))
    ]
    yield sheet.header, [names.get(place, heading.strip()) for place, heading in enumerate(sheet.header)]
    for _, cells in sheet.records():
        if any(map(str.strip, cells)):
            known = cells[: len(fixes)]
            yield cells, [fix(cell) for fix, cell in zip(fixes, known, strict=False)] + cells[len(fixes) :]


def _trimmed(cell: str) -> str:
    return cell.strip()


def _cleaned(cell: str) -> str:
    try:
        return clean(cell)
    except ValueError:
        return cell.strip()


def _as_day(cell: str) -> str:
    text = _cleaned(cell)
    try:
        return iso_day(text) if text else text
    except ValueError:
        return text
