"""A file as a header and numbered rows of raw cells, whatever its format; rows are read lazily."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from graphkit.inputs.problems import Problems
from graphkit.inputs.source import Source
from graphkit.inputs.strict_json import parse_json
from graphkit.inputs.text import Malformed, read_text, sniff_encoding

MAX_ROWS = 5_000_000
MAX_COLUMNS = 1_000
MAX_LINE = 4 * 1024 * 1024
"""Characters of one line of JSON. Cells of CSV are limited by their own length and the number of columns."""
HEAD = 64 * 1024
DELIMITERS = ",;\t"

Record = tuple[int, list[str]]


@dataclass(frozen=True, slots=True)
class Sheet:
    """``header`` as written; ``records`` starts a fresh reading of (row number, cells) behind it.

    Rows are numbered as a spreadsheet shows them: the first line is row 1, blank rows count, a cell of several
    lines does not. Objects in JSON are counted from 1, JSON lines by their line.
    """

    file: str
    header: list[str]
    records: Callable[[], Iterator[Record]]


def open_sheet(source: Source, problems: Problems) -> Sheet | None:
    """The sheet, or None with the reason in ``problems``."""
    if source.format == "folder":
        problems.add(source.name, "", "not-a-table", "is a folder: name the file that holds the rows")
        return None
    sheet = _open(source, problems)
    if sheet is not None and len(sheet.header) > MAX_COLUMNS:
        message = f"has {len(sheet.header):,} columns, at most {MAX_COLUMNS:,} are read: leave out those not needed"
        problems.add(source.name, "", "too-wide", message)
        return None
    return sheet


def _open(source: Source, problems: Problems) -> Sheet | None:
    try:
        if source.format == "csv":
            return _open_csv(source, problems)
        if source.format == "xlsx":
            return _open_workbook(source, problems)
        if source.format == "jsonl":
            return _object_sheet(source, lambda report: _json_lines(source, report), problems)
        objects = _list_of(_parse(source))
    except Malformed as error:
        problems.add(source.name, "", f"malformed-{source.format}", str(error))
        return None
    return _object_sheet(source, lambda report: iter(objects), problems)


# --- CSV


def _open_csv(source: Source, problems: Problems) -> Sheet | None:
    before = len(problems)
    encoding = sniff_encoding(source, problems)
    if encoding is None:
        return None
    try:
        with _text(source, encoding) as text:
            first = text.read(HEAD)
    except UnicodeDecodeError as error:
        problems.add(
            source.name, "", "encoding", f"is marked {encoding.upper()} but is not: save as CSV UTF-8 ({error})"
        )
        return None
    # Excel reads a first line "sep=;" and hides it; it is no row.
    hidden = 1 if first[:4].lower() == "sep=" else 0
    delimiter = first[4:5] if hidden else _sniff_delimiter(first)
    if delimiter not in DELIMITERS or not delimiter:
        problems.add(source.name, "", "malformed-csv", f"the separator {delimiter!r} is not a comma, semicolon or tab")
        return None

    def read(report: Problems) -> Iterator[Record]:
        return _csv_records(source, encoding, delimiter, hidden, report)

    header = _header_of(read(problems))
    if header is None:
        if len(problems) == before:
            problems.add(source.name, "", "empty-file", "holds no header row")
        return None
    return Sheet(source.name, header.cells, lambda: _below(header, read(problems)))


def _csv_records(source: Source, encoding: str, delimiter: str, hidden: int, problems: Problems) -> Iterator[Record]:
    number = 0
    with _text(source, encoding) as text:
        reader = csv.reader(text, delimiter=delimiter, strict=True)
        try:
            for number, cells in enumerate(reader, start=1 - hidden):
                if number > MAX_ROWS:
                    problems.add(source.name, number, "too-long", f"more than {MAX_ROWS} rows: split the file")
                    return
                if number > 0:
                    yield number, cells
        except csv.Error as error:
            message = f"{error} (a quotation mark left open or out of place?); nothing below was read"
            problems.add(source.name, number + 1, "malformed-csv", message)
        except UnicodeDecodeError:
            message = f"is not {encoding.upper()}, as the file's mark says; nothing below was read"
            problems.add(source.name, number + 1, "encoding", message)


class _Header(NamedTuple):
    number: int
    cells: list[str]
    is_entra: bool


def _header_of(records: Iterator[Record]) -> _Header | None:
    """The first row that is neither blank nor the ``version:v1.0`` above the header of Entra's bulk templates."""
    is_entra = False
    for number, cells in records:
        if cells and cells[0].strip().lower().startswith("version:"):
            is_entra = True
        elif any(map(str.strip, cells)):
            return _Header(number, cells, is_entra)
    return None


def _below(header: _Header, records: Iterator[Record]) -> Iterator[Record]:
    """The rows under the header, without the example that Entra's templates bring along."""
    for number, cells in records:
        if number > header.number and not (header.is_entra and cells and cells[0].startswith("Example:")):
            yield number, cells


def _sniff_delimiter(text: str) -> str:
    """The separator seen most often in the first lines that hold one, outside quotation marks."""
    bare = "".join(text.split('"')[::2])
    for line in bare.splitlines():
        counts = {delimiter: line.count(delimiter) for delimiter in DELIMITERS}
        if any(counts.values()) and not line.lower().startswith("version:"):
            return max(counts, key=counts.__getitem__)
    return ","


def _text(source: Source, encoding: str) -> io.TextIOWrapper:
    return io.TextIOWrapper(source.open(), encoding=encoding, errors="strict", newline="")


# --- workbooks


def _open_workbook(source: Source, problems: Problems) -> Sheet | None:
    from graphkit.inputs.workbook import open_workbook

    book = open_workbook(source)
    if book.others:
        problems.warn(f"{source.name}: only the sheet {book.sheet} is read, not {', '.join(book.others)}")
    header = _header_of(book.records(Problems()))
    if header is None:
        problems.add(source.name, "", "empty-file", f"the sheet {book.sheet} holds no header row")
        return None
    width = len(header.cells)

    def records() -> Iterator[Record]:
        for number, cells in _below(header, book.records(problems)):
            # Cells behind the last one that holds something are not in the file.
            yield number, cells + [""] * (width - len(cells))

    return Sheet(source.name, header.cells, records)


# --- JSON lines, and lists in JSON and YAML


def _parse(source: Source) -> Any:
    if source.format == "json":
        return parse_json(read_text(source))
    from graphkit.inputs.strict_yaml import parse_yaml

    return parse_yaml(read_text(source))


def _list_of(value: Any) -> list[tuple[int, Any]]:
    if isinstance(value, dict) and isinstance(value.get("value"), list):
        value = value["value"]
    if not isinstance(value, list):
        raise Malformed("rows are expected as a list of objects")
    return list(enumerate(value, start=1))


def _json_lines(source: Source, problems: Problems) -> Iterator[tuple[int, Any]]:
    encoding = sniff_encoding(source, problems)
    if encoding is None:
        return
    with _text(source, encoding) as text:
        for number, line in enumerate(iter(lambda: text.readline(MAX_LINE), ""), start=1):
            if len(line) >= MAX_LINE:
                message = f"longer than {MAX_LINE:,} characters; nothing below was read"
                problems.add(source.name, number, "too-long", message)
                return
            if line.strip():
                try:
                    yield number, parse_json(line)
                except Malformed as error:
                    problems.add(source.name, number, "malformed-json", error.message)


def _object_sheet(
    source: Source, read: Callable[[Problems], Iterable[tuple[int, Any]]], problems: Problems
) -> Sheet | None:
    """The header is every key that occurs, which costs a first reading; only the later ones report problems."""
    quiet = Problems()
    header = list(dict.fromkeys(key for _, value in _objects(source, read(quiet), quiet) for key in value))
    if quiet.found and not header:
        # Not one object: what is wrong with the lines says more than that columns are missing.
        for problem in quiet.found:
            problems.add(problem.file, problem.where, problem.code, problem.message)
        return None

    def records() -> Iterator[Record]:
        for number, value in _objects(source, read(problems), problems):
            try:
                yield number, [_cell(key, value.get(key)) for key in header]
            except ValueError as error:
                problems.add(source.name, number, "bad-cell", str(error))

    return Sheet(source.name, header, records)


def _objects(
    source: Source, values: Iterable[tuple[int, Any]], problems: Problems
) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, value in values:
        if isinstance(value, dict):
            yield number, {str(key): inner for key, inner in value.items()}
        else:
            problems.add(source.name, number, "not-an-object", "an object of columns and values is expected")


def _cell(key: str, value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return ";".join(_cell(key, item) for item in value)
    if isinstance(value, dict):
        raise ValueError(f"{key}: an object cannot be a cell")
    return str(value)
