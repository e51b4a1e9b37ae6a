"""The folder of an export: one file a policy, and a manifest that says which files are its own.

What is not in the manifest is somebody else's and is neither written over nor deleted.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from graphkit.errors import UsageError

MANIFEST = ".graphkit-export.json"
FORMAT = 1
LONGEST = 80
"""Characters of a file's name, so that paths stay short enough for Windows."""
LONGEST_BYTES = 240
"""Of the same, of which most file systems take 255, and something is added."""
_RESERVED = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\..*)?")
Form = Literal["yaml", "json"]


@dataclass(frozen=True, slots=True)
class File:
    """``folder`` below the export, ``name`` and ``object_id`` of what it holds."""

    folder: str
    name: str
    object_id: str
    body: Mapping[str, Any]


@dataclass(slots=True)
class Folder:
    """An export on disk. ``owned`` are the files that an earlier one wrote, by path; ``tenant`` whose they are."""

    path: Path
    owned: dict[str, str]
    tenant: str = ""

    def check(self, tenant: str) -> None:
        """Raises ``UsageError`` if the export of another tenant would be written over."""
        if self.tenant not in ("", tenant):
            raise UsageError(
                f"{self.path} holds the export of another tenant ({self.tenant})", hint="name another folder"
            )

    def write(self, tenant: str, kinds: Sequence[str], files: Mapping[str, tuple[str, str]]) -> dict[str, list[str]]:
        """Write ``files`` (path to kind and text); those of ``kinds`` that are no longer there are deleted.

        Returns the paths that were ``added``, ``changed``, ``removed`` and left ``same``. Raises ``UsageError`` before
        anything is written if a file is in the way that no export wrote.
        """
        self._nothing_in_the_way(files)
        gone = sorted(path for path, kind in self.owned.items() if kind in kinds and path not in files)
        told: dict[str, list[str]] = {"added": [], "changed": [], "removed": gone, "same": []}
        # Before the files: whatever happens, those that are written are known as ours.
        self._keep(tenant, {**self.owned, **{path: kind for path, (kind, _) in files.items()}})
        for path, (_, text) in sorted(files.items()):
            told[_put(self.path / path, text)].append(path)
        for path in gone:
            (self.path / path).unlink(missing_ok=True)
        kept = {path: kind for path, kind in self.owned.items() if path not in gone}
        self._keep(tenant, {**kept, **{path: kind for path, (kind, _) in files.items()}})
        return told

    def _nothing_in_the_way(self, files: Iterable[str]) -> None:
        theirs = sorted(path for path in files if path not in self.owned and os.path.lexists(self.path / path))
        if theirs:
            more = f" and {len(theirs) - 1} more" if len(theirs) > 1 else ""
            raise UsageError(
                f"{self.path / theirs[0]}{more} would be written over, and no export wrote it", hint="move it away"
            )

    def _keep(self, tenant: str, owned: Mapping[str, str]) -> None:
        self.path.mkdir(parents=True, exist_ok=True)
        value = {"format": FORMAT, "tenant": tenant, "files": dict(sorted(owned.items()))}
        _put(self.path / MANIFEST, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def open_folder(path: Path) -> Folder:
    """An export's folder, or one that is empty or not there yet. Raises ``UsageError`` for any other."""
    manifest = path / MANIFEST
    if manifest.is_file():
        return Folder(path, *_read(manifest))
    if path.exists() and not path.is_dir():
        raise UsageError(f"{path} is a file", hint="name a folder")
    if path.is_dir() and any(entry.name != ".git" for entry in path.iterdir()):
        raise UsageError(
            f"{path} is not empty, and no export wrote it: nothing was written",
            hint="name a folder that is new or empty",
        )
    return Folder(path, {})


def _read(manifest: Path) -> tuple[dict[str, str], str]:
    try:
        value = json.loads(manifest.read_text(encoding="utf-8"))
        files, tenant, form = value["files"], value["tenant"], value["format"]
        sound = form == FORMAT and all(_is_inside(path) and isinstance(kind, str) for path, kind in files.items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        sound = False
    if not sound:
        raise UsageError(f"{manifest} is damaged, or of a newer graphkit", hint="export into a new folder")
    return dict(files), str(tenant)


def _is_inside(path: str) -> bool:
    """A manifest is a file like any other: what it names is deleted only below its own folder."""
    pure = PurePosixPath(path)
    return not pure.is_absolute() and ".." not in pure.parts and "\\" not in path and ":" not in path


def _put(path: Path, text: str) -> str:
    """``added``, ``changed`` or ``same``. A file is replaced as a whole or not at all."""
    data = text.encode()
    there = path.exists()
    if there and path.read_bytes() == data:
        return "same"
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{_short(path.name)}.new")
    beside.write_bytes(data)
    beside.replace(path)
    return "changed" if there else "added"


def paths(files: Sequence[File], suffix: str) -> list[str]:
    """Where each goes: named after what it holds, the same in every run and whatever else is there."""
    stems = [(file.folder, stem_of(file.name)) for file in files]
    # Two names may make one file name, also where capitals do not count; a name may be there twice.
    folded = Counter((folder, stem.casefold()) for folder, stem in stems)
    named = Counter((file.folder, file.name) for file in files)
    told = []
    for file, (folder, stem) in zip(files, stems, strict=True):
        if named[folder, file.name] > 1:
            stem = f"{_cut(stem)}-{_short(file.object_id)}"
        elif folded[folder, stem.casefold()] > 1 or _cut(stem) != stem:
            stem = f"{_cut(stem)}-{_short(file.name)}"
        told.append(f"{folder}/{stem}{suffix}")
    return told


def stem_of(name: str) -> str:
    """A name as a file name on every system."""
    stem = re.sub(r"[^\w .()+,=@-]+", "-", " ".join(name.split())).strip(" .-") or "_"
    return f"_{stem}" if _RESERVED.fullmatch(stem) else stem


def _cut(stem: str) -> str:
    return stem[:LONGEST].encode()[:LONGEST_BYTES].decode(errors="ignore").rstrip(" .")


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:6]


def render(body: Mapping[str, Any], form: Form) -> str:
    """The text of a file, which reads back as ``body``."""
    if form == "json":
        return json.dumps(body, indent=2, ensure_ascii=False) + "\n"
    from graphkit.jobs.export_yaml import to_yaml

    return to_yaml(body)
