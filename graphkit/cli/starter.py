"""Files that graphkit writes for a person to fill in. What is there already stays as it is."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Put:
    """One file, and whether it was written now."""

    path: Path
    written: bool

    def __str__(self) -> str:
        return f"{self.path}" if self.written else f"{self.path} is there already and was left alone"

    def to_json(self) -> dict[str, object]:
        return {"path": str(self.path), "written": self.written}


def put(path: Path, text: str, *, private: bool = False) -> Put:
    """Write ``text`` unless the file exists; ``private`` keeps others on the machine from reading it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600 if private else 0o666)
    except FileExistsError:
        return Put(path, written=False)
    with open(handle, "w", encoding="utf-8", newline="") as stream:
        stream.write(text)
    return Put(path, written=True)
