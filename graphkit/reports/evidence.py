"""The tables of a report as CSV files in a folder, divided by organisation where a table says how."""

from __future__ import annotations

import csv
import os
import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from graphkit.errors import UsageError
from graphkit.inputs.cells import guarded
from graphkit.reports.findings import Findings, Section, cell_text

UNKNOWN_ORG = "_unknown"
"""The folder of those whose organisation cannot be told; no code begins like that."""
BUFFERED = 20_000
"""Rows held back before they are appended: organisations come in any order, and there may be thousands of files."""


def write_evidence(folder: Path, findings: Findings) -> list[Path]:
    """``FOLDER/table.csv`` and ``FOLDER/ORG/table.csv``: UTF-8 with BOM, CRLF, readable by their owner only.

    Returns the files in the order of their first row. Raises ``UsageError`` if one of them is there already: old rows
    and new ones must not mix.
    """
    written: dict[Path, None] = {}
    for section in findings.sections:
        _write(folder, section, written)
    return list(written)


def _write(folder: Path, section: Section, written: dict[Path, None]) -> None:
    if not section.org:
        path = folder / f"{section.name}.csv"
        _append(path, section, [], written)
    place = section.columns.index(section.org) if section.org else None
    held: defaultdict[Path, list[list[str]]] = defaultdict(list)
    for count, row in enumerate(section.rows(), 1):
        cells = [guarded(cell_text(value)) for value in row]
        of = folder if place is None else folder / _folder_of(row[place])
        held[of / f"{section.name}.csv"].append(cells)
        if count % BUFFERED == 0:
            _flush(held, section, written)
    _flush(held, section, written)


def _folder_of(org: object) -> str:
    """Whatever stands in a tenant must not climb out of the folder."""
    name = re.sub(r"[^A-Za-z0-9_-]", "_", str(org or ""))
    return name or UNKNOWN_ORG


def _flush(held: dict[Path, list[list[str]]], section: Section, written: dict[Path, None]) -> None:
    for path, rows in held.items():
        _append(path, section, rows, written)
    held.clear()


def _append(path: Path, section: Section, rows: Sequence[Sequence[str]], written: dict[Path, None]) -> None:
    new = path not in written
    if new:
        path.parent.mkdir(parents=True, exist_ok=True)
    try:
        handle = os.open(path, os.O_WRONLY | (os.O_CREAT | os.O_EXCL if new else os.O_APPEND), 0o600)
    except FileExistsError as error:
        raise UsageError(f"{path} is there already", hint="name a folder that is new or empty") from error
    written[path] = None
    with open(handle, "w", encoding="utf-8-sig" if new else "utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\r\n")
        if new:
            writer.writerow([guarded(column) for column in section.columns])
        writer.writerows(rows)
