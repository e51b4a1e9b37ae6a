"""The first sheet of an XLSX workbook as rows of text, read lazily and with limits: what comes by mail is not trusted.

openpyxl and defusedxml are the extra ``excel``. A workbook is a zip archive of XML: its sizes are looked at before
anything is unpacked, and defusedxml refuses declarations of entities.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any

from graphkit.inputs.cells import SPOILT
from graphkit.inputs.problems import Problems
from graphkit.inputs.source import Source
from graphkit.inputs.text import Malformed

if TYPE_CHECKING:
    from openpyxl.workbook import Workbook

Record = tuple[int, list[str]]

MAX_ENTRIES = 2_000
MAX_UNPACKED = 2 * 1024 * 1024 * 1024
"""Bytes of all parts together. A million rows of a staff list are some 400 MB."""
MAX_RATIO = 250
"""Unpacked to packed, of a part above ``SMALL``. Sheets come to 10 to 60, repetitive ones to 100."""
SMALL = 1024 * 1024
MAX_ROWS = 1_048_576
"""Rows of a sheet (https://support.microsoft.com/office/excel-specifications-and-limits)."""
EXACT = 10**15
"""From here on a number in a cell has been rounded: Excel keeps 15 digits (same page)."""
OLD_FORMAT = b"\xd0\xcf\x11\xe0"
"""How .xls files begin, and workbooks that a password protects (MS-CFB 2.2)."""
EXTRA = "pip install 'graphkit-m365[excel]'"

_ZEROS = re.compile(r"0{2,}")
_PARTS_WITH_FORMULAS = re.compile(rb"<(?:\w+:)?f[\s>/]")


@dataclass(frozen=True, slots=True)
class Book:
    """``records`` starts a fresh reading of (row number, cells as text); ``others`` are the sheets not read."""

    sheet: str
    others: list[str]
    records: Callable[[Problems], Iterator[Record]]


def open_workbook(source: Source) -> Book:
    """Raises :class:`Malformed` for what is no workbook, too large, or cannot be read without the extra."""
    _require_extra()
    formulas = _check_archive(source)
    with _loaded(source) as book:
        names = [sheet.title for sheet in book.worksheets]
    if not names:
        raise Malformed("holds no worksheet")
    return Book(names[0], names[1:], lambda problems: _records(source, problems, formulas=formulas))


def _require_extra() -> None:
    try:
        import defusedxml  # noqa: F401 - openpyxl uses it where it finds it, and only then
        import openpyxl
    except ImportError as error:
        raise Malformed(f"XLSX needs the extra excel: {EXTRA}; or save the sheet as CSV UTF-8") from error
    if not openpyxl.DEFUSEDXML:
        raise Malformed(f"openpyxl does not use defusedxml, without which a workbook is not read: {EXTRA}")


def _check_archive(source: Source) -> bool:
    """Whether there are formulas. Raises :class:`Malformed` for what would not be safe to unpack."""
    with source.open() as stream:
        if stream.peek(4)[:4] == OLD_FORMAT:
            raise Malformed("is protected by a password, or an old .xls: save it as XLSX without a password, or as CSV")
        try:
            with zipfile.ZipFile(stream) as archive:
                parts = archive.infolist()
                _check_sizes(parts)
                return any(_has_formulas(archive, part) for part in parts if "/worksheets/" in part.filename)
        except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError) as error:
            raise Malformed(f"is no XLSX workbook ({error}): save it again, or as CSV UTF-8") from error


def _check_sizes(parts: list[zipfile.ZipInfo]) -> None:
    if len(parts) > MAX_ENTRIES:
        raise Malformed(f"holds {len(parts):,} parts, at most {MAX_ENTRIES:,} are read: save the sheet as CSV UTF-8")
    if sum(part.file_size for part in parts) > MAX_UNPACKED:
        raise Malformed(f"unpacks to more than {MAX_UNPACKED // 2**20:,} MB: save the sheet as CSV UTF-8")
    for part in parts:
        if part.file_size > SMALL and part.file_size > MAX_RATIO * max(1, part.compress_size):
            raise Malformed(f"{part.filename} unpacks to {MAX_RATIO} times its size and more: it is not read")


def _has_formulas(archive: zipfile.ZipFile, part: zipfile.ZipInfo) -> bool:
    with archive.open(part) as stream:
        tail = b""
        while chunk := stream.read(SMALL):
            if _PARTS_WITH_FORMULAS.search(tail + chunk):
                return True
            tail = chunk[-16:]
    return False


@contextmanager
def _loaded(source: Source, *, values: bool = True) -> Iterator[Workbook]:
    """The workbook, with the ``values`` that Excel worked out or with the formulas."""
    from openpyxl import load_workbook

    with source.open() as stream:
        try:
            book = load_workbook(stream, read_only=True, data_only=values, keep_links=False)
        except Exception as error:  # openpyxl raises whatever its parsers happen to
            raise Malformed(_why(error)) from error
        try:
            yield book
        finally:
            book.close()


def _why(error: BaseException) -> str:
    """In one line: what was wrong at the bottom of it, openpyxl's own advice apart."""
    while below := error.__cause__ or error.__context__:
        error = below
    first = str(error).partition("\n")[0]
    return f"cannot be read as a workbook ({type(error).__name__}: {first}): save it again, or as CSV UTF-8"


def _records(source: Source, problems: Problems, *, formulas: bool) -> Iterator[Record]:
    """Rows with the text that people see in their cells; what a spreadsheet has destroyed says so (``SPOILT``)."""
    number = 0
    with ExitStack() as opened:
        try:
            sheet = opened.enter_context(_loaded(source)).worksheets[0]
            sheet.reset_dimensions()
            rows = iter(sheet.iter_rows())
            beside = None
            if formulas:
                told = opened.enter_context(_loaded(source, values=False)).worksheets[0]
                told.reset_dimensions()
                beside = iter(told.iter_rows())
            for number, row in enumerate(rows, 1):
                if number > MAX_ROWS:
                    problems.add(source.name, number, "too-long", f"more than {MAX_ROWS:,} rows: split the file")
                    return
                yield number, _texts(number, row, next(beside, ()) if beside else ())
        except Malformed as error:
            problems.add(source.name, number + 1, "malformed-xlsx", error.message)
        except Exception as error:  # a damaged sheet shows only while it is read
            problems.add(source.name, number + 1, "malformed-xlsx", f"{_why(error)}; nothing below was read")


def _texts(number: int, row: tuple[Any, ...], formulas: tuple[Any, ...]) -> list[str]:
    cells = []
    for place, cell in enumerate(row):
        try:
            if cell.value is None and place < len(formulas) and str(formulas[place].value or "").startswith("="):
                raise ValueError("holds a formula that was never worked out: open the file in Excel and save it")
            cells.append(_text(cell))
        except ValueError as error:
            cells.append(f"{SPOILT}{_letters(place)}{number}: {error}")
    while cells and not cells[-1]:
        cells.pop()
    return cells


def _text(cell: Any) -> str:
    """What the cell shows, as far as it is meant as data. Raises ValueError."""
    value = cell.value
    if value is None:
        return ""
    if cell.data_type == "e":
        raise ValueError(f"{value} is a spreadsheet's error, not a value")
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return _number(value, cell.number_format or "General")
    if isinstance(value, datetime):
        return value.date().isoformat() if value.time() == time() else value.isoformat(sep=" ", timespec="seconds")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, time | timedelta):
        raise ValueError(f"{value} is a time of day or a duration: enter it as text")
    return str(value)


def _number(value: float, shown_as: str) -> str:
    """Without an exponent; with the zeros that the cell's format puts before it."""
    if abs(value) >= EXACT:
        raise ValueError(f"{value:g} was rounded by a spreadsheet: format the column as text and enter it again")
    if value != int(value):
        return repr(value)
    digits = str(int(value))
    return digits.zfill(len(shown_as)) if _ZEROS.fullmatch(shown_as) else digits


def _letters(place: int) -> str:
    """``A`` to ``XFD``, from 0."""
    name = ""
    place += 1
    while place:
        place, rest = divmod(place - 1, 26)
        name = chr(ord("A") + rest) + name
    return name
