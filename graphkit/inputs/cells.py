"""One cell of a table: trimmed, freed of what spreadsheets put round it, or refused."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

MAX_CELL = 32 * 1024
"""Characters. Excel's own limit is 32,767; a longer cell is a quotation mark that was never closed."""

FORMULA_STARTS = "=+-@\t\r\n＝＋－＠"
"""Where a spreadsheet would see a formula; our CSV files carry an apostrophe before them (CWE-1236)."""

SPOILT = "#ERROR! "
"""How the text of a cell begins that could not be read; what follows says why."""

_SCIENTIFIC = re.compile(r"[+-]?\d+(?:[.,]\d+)?[eE][+-]\d+")
_TEXT_FORMULA = re.compile(r'="([^"]*)"')
_SPREADSHEET_ERROR = re.compile(r"#(?:N/A|REF!|VALUE!|NAME\?|DIV/0!|NULL!|NUM!|SPILL!|CALC!|GETTING_DATA|#+)")


def strip_apostrophe(text: str) -> str:
    """Undo the guard against formulas: ``'=1`` is ``=1``, ``''=1`` is ``'=1``, and ``'tis`` stays.

    It is the inverse of a writer that adds one apostrophe before a cell which, leading apostrophes apart, starts
    with one of ``FORMULA_STARTS``.
    """
    bare = text.lstrip("'")
    return text[1:] if bare != text and bare[:1] and bare[0] in FORMULA_STARTS else text


def guarded(cell: str) -> str:
    """The cell with one apostrophe before it if a spreadsheet would run it, or would once an apostrophe is gone.

    :func:`strip_apostrophe` is the exact inverse (OWASP, CSV injection).
    """
    return f"'{cell}" if cell.lstrip("'").startswith(tuple(FORMULA_STARTS)) else cell


def are_plain(cells: Iterable[str]) -> bool:
    """Whether :func:`clean` would only trim these cells, decided as fast as the many plain rows deserve.

    A plain row may be called suspect, never the other way round.
    One regular expression a cell takes five times as long.
    """
    text = "".join(cells)
    if not (text.isascii() and text.isprintable() and len(text) <= MAX_CELL):
        return False
    has_sign = "=" in text or "'" in text or "#" in text
    return not (has_sign or "E+" in text or "e+" in text or "E-" in text or "e-" in text)


def clean(cell: str) -> str:
    """The value a person meant. Raises ValueError with the reason when the spreadsheet has destroyed it."""
    text = cell.strip()
    if text.startswith(SPOILT):
        raise ValueError(text.removeprefix(SPOILT))
    if len(text) > MAX_CELL:
        raise ValueError(f"longer than {MAX_CELL} characters: is a quotation mark left open?")
    wrapped = _TEXT_FORMULA.fullmatch(text)
    text = wrapped[1].strip() if wrapped else strip_apostrophe(text)
    if not text.isascii():
        text = unicodedata.normalize("NFC", text)
    bad = next((c for c in text if unicodedata.category(c) == "Cc" and c not in "\t\r\n"), None)
    if bad is not None:
        hint = ": UTF-16 without a byte order mark? save as CSV UTF-8" if bad == "\0" else ""
        raise ValueError(f"holds the control character U+{ord(bad):04X}{hint}")
    if _SCIENTIFIC.fullmatch(text) and not wrapped:
        raise ValueError(f"{text} was rounded by a spreadsheet: format the column as text and enter it again")
    if _SPREADSHEET_ERROR.fullmatch(text):
        raise ValueError(f"{text} is a spreadsheet's error, not a value")
    return text
