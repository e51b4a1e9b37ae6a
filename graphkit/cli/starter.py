"""Files that graphkit writes for a person to fill in. What is there already stays as it is."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from graphkit.recipe import Recipe, Report, template_of
from graphkit.reports import text

if TYPE_CHECKING:
    from graphkit.inputs.described import Described
    from graphkit.jobs.describing import Description

WIDEST = 100
"""Characters of a description."""


@dataclass(frozen=True, slots=True)
class Put:
    """One file, and whether it was written now."""

    path: Path
    written: bool

    def __str__(self) -> str:
        return f"{self.path}" if self.written else f"{self.path} is there already and was left alone"

    def to_json(self) -> dict[str, object]:
        return {"path": str(self.path), "written": self.written}


def put(path: Path, content: str, *, private: bool = False) -> Put:
    """Write ``content`` unless the file exists; ``private`` keeps others on the machine from reading it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600 if private else 0o666)
    except FileExistsError:
        return Put(path, written=False)
    with open(handle, "w", encoding="utf-8", newline="") as stream:
        stream.write(content)
    return Put(path, written=True)


def starters(found: Recipe | Report) -> Iterator[tuple[str, str]]:
    """Name and text of the starter files; a table takes no comments, so that a file beside it says what it holds."""
    yield from template_of(found)
    if found.template.endswith(".csv"):
        from graphkit.jobs.describing import description_of

        name = Path(found.template).stem
        yield f"{name}.columns.txt", "\n".join((*input_lines(description_of(found)), "")).lstrip()


def input_lines(found: Description) -> Iterator[str]:
    """What an input holds, field by field, for people."""
    for title, rows in found.inputs:
        yield ""
        yield title
        cells = [[row.path, row.kind, _need(row), row.meaning] for row in rows]
        yield from (f"  {line}" for line in text.table(["name", "holds", "", "meaning"], cells, widest=WIDEST))


def _need(row: Described) -> str:
    return "required" if row.required else f"default {row.default}" if row.default else ""
