"""``results.csv``: the input rows in their order, each with what became of it."""

from __future__ import annotations

import csv
from pathlib import Path

from graphkit.engine.run.results import InputResult
from graphkit.engine.runfile import RunFile
from graphkit.inputs.cells import guarded
from graphkit.private import replacing

OUTCOME = ("gk_action", "gk_status", "gk_object_id", "gk_error_code", "gk_error", "gk_request_id", "gk_effective")
DOCUMENT = ("file", "path")


def write_results(run: RunFile, path: Path) -> None:
    """UTF-8 with BOM, CRLF, readable by its owner only; replaces an older file at once.

    Rows of tables keep their columns, those of earlier results apart. Entries of documents have ``file`` and
    ``path`` instead, and are written only where no table was given.
    """
    # Results that were corrected and given again bring columns of these names along.
    columns = [column for column in run.input_columns() if column.lower() not in OUTCOME]
    with replacing(path, "w", encoding="utf-8-sig", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\r\n")
        writer.writerow([guarded(column) for column in (*(columns or DOCUMENT), *OUTCOME)])
        for row in run.input_results(tables=bool(columns)):
            writer.writerow([guarded(str(cell)) for cell in (*_cells(row, columns), *_outcome(row))])


def _cells(row: InputResult, columns: list[str]) -> list[object]:
    values = row.origin.values
    return [values.get(column, "") for column in columns] or [row.origin.file, row.origin.place]


def _outcome(row: InputResult) -> tuple[str, ...]:
    result = row.result
    return (row.action, result.status, result.object_id, result.code, result.error, result.request_id, result.effective)
