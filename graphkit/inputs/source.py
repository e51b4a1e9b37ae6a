"""One input as it was given: a file, a folder of JSON files, a pipe, or standard input."""

from __future__ import annotations

import hashlib
import os
import tempfile
import weakref
from collections.abc import Collection
from dataclasses import dataclass, field
from io import BufferedReader
from pathlib import Path
from typing import IO, BinaryIO, Literal

from graphkit.inputs.problems import Problems

Format = Literal["csv", "xlsx", "jsonl", "json", "yaml", "folder"]

SUFFIXES: dict[str, Format] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "csv",
    ".xlsx": "xlsx",
    ".xlsm": "xlsx",
    ".json": "json",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".yaml": "yaml",
    ".yml": "yaml",
}
DOCUMENTS = frozenset(suffix for suffix, form in SUFFIXES.items() if form in ("json", "yaml"))
GIVEN: dict[str, Format] = {
    "csv": "csv",
    "tsv": "csv",
    "xlsx": "xlsx",
    "jsonl": "jsonl",
    "json": "json",
    "yaml": "yaml",
}
"""What ``--input-format`` may say."""
FORMATS = "csv, tsv, xlsx, jsonl, json or yaml"
SPREADSHEETS = {".xls", ".xlsb", ".ods"}
STDIN = "-"
MAX_BYTES = 4 * 1024 * 1024 * 1024
"""Of one input. Five million rows of a staff list are a tenth of it."""


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Source:
    """``name`` is how messages call it: the path as given, or ``stdin``. ``path`` is None for what can be read once."""

    name: str
    path: Path | None
    format: Format
    _spool: IO[bytes] | None = field(default=None, repr=False, compare=False)

    def open(self) -> BufferedReader:
        """The bytes from the beginning. A pipe can be read again, but not twice at a time."""
        if self.path is not None:
            return self.path.open("rb")
        assert self._spool is not None, "a source without a path is a spooled one"  # noqa: S101 - a broken invariant
        self._spool.seek(0)
        return os.fdopen(os.dup(self._spool.fileno()), "rb")

    def beside(self, name: str) -> Path:
        """The path that ``name`` means inside this input: relative to its folder (the working folder for ``-``)."""
        if self.path is None:
            return Path(name)
        return (self.path if self.format == "folder" else self.path.parent) / name

    def files(self, suffixes: Collection[str] = (".json",)) -> list[Path]:
        """All ``*.json`` files of a folder and its subfolders in a fixed order, without those that are hidden or whose
        name is no text."""
        if self.path is None or self.format != "folder":
            return []
        root = self.path
        found = (path.relative_to(root) for path in root.rglob("*") if path.suffix.lower() in suffixes)
        shown = [path for path in found if _is_text(path) and not any(part.startswith(".") for part in path.parts)]
        return [root / path for path in sorted(shown, key=lambda path: path.as_posix())]

    def sha256(self) -> str:
        """What binds a plan to its input: the digest of the bytes; of a folder, of its files' names and digests."""
        if self.format == "folder" and self.path is not None:
            digest = hashlib.sha256()
            for path in self.files(DOCUMENTS):
                inner = Source(str(path), path, "json").sha256()
                digest.update(f"{path.relative_to(self.path).as_posix()}\0{inner}\n".encode())
            return digest.hexdigest()
        with self.open() as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()


def open_source(
    given: str | os.PathLike[str], problems: Problems, *, input_format: str | None = None, stdin: BinaryIO | None = None
) -> Source | None:
    """``-i FILE|DIR|-`` as a :class:`Source`, noted in ``problems.opened``; or None with the reason in ``problems``.

    ``input_format`` (a key of ``GIVEN``) is needed for ``-`` and overrules a file's suffix.
    """
    source = _open_source(given, problems, input_format, stdin)
    if source is not None:
        problems.opened[source.name] = source
    return source


def _open_source(
    given: str | os.PathLike[str], problems: Problems, input_format: str | None, stdin: BinaryIO | None
) -> Source | None:
    name = os.fspath(given)
    if input_format is not None and input_format not in GIVEN:
        problems.add(name, "", "unknown-format", f"{input_format} is not a format: use {FORMATS}")
        return None
    if name == STDIN:
        return _from_stdin(problems, input_format, stdin)
    path = Path(name) if problems.within is None else problems.within / name
    if problems.within is not None:
        inside = path.resolve()
        if not inside.is_relative_to(problems.within.resolve()):
            problems.add(name, "", "file-outside", "is not among the files that were given")
            return None
        name = inside.relative_to(problems.within.resolve()).as_posix()
    if not path.exists():
        problems.add(name, "", "file-not-found", "there is no such file or folder")
        return None
    if path.is_dir():
        for each in sorted(each for each in path.rglob("*") if not _is_text(each)):
            shown = str(each).encode("utf-8", "backslashreplace").decode()
            problems.add(name, "", "file-name", f"{shown}: its name holds bytes that are no text: rename it")
        return Source(name, path, "folder")
    chosen = GIVEN[input_format] if input_format else _format_of(path, problems)
    if chosen is None:
        return None
    if not os.access(path, os.R_OK):
        problems.add(name, "", "file-unreadable", "the file may not be read by you")
        return None
    if path.stat().st_size > MAX_BYTES:
        problems.add(name, "", "too-large", f"larger than {MAX_BYTES // 2**30} GB: split the file")
        return None
    if not path.is_file():
        with path.open("rb") as pipe:
            return _from_pipe(name, chosen, pipe, problems)
    return Source(name, path, chosen)


def _is_text(path: Path) -> bool:
    """No run file and no JSON could hold the name otherwise."""
    return str(path).isascii() or not any("\ud800" <= each <= "\udfff" for each in str(path))


def _format_of(path: Path, problems: Problems) -> Format | None:
    suffix = path.suffix.lower()
    if suffix in SPREADSHEETS:
        problems.add(str(path), "", "spreadsheet", f"{suffix[1:].upper()} is not read: save it as XLSX or CSV UTF-8")
    elif suffix not in SUFFIXES:
        known = " ".join(SUFFIXES)
        message = f"the suffix {suffix or '(none)'} tells no format: use one of {known}, or --input-format"
        problems.add(str(path), "", "unknown-format", message)
    return SUFFIXES.get(suffix)


def _from_stdin(problems: Problems, input_format: str | None, stdin: BinaryIO | None) -> Source | None:
    if input_format is None or stdin is None:
        problems.add("stdin", "", "unknown-format", f"- needs --input-format {FORMATS}")
        return None
    return _from_pipe("stdin", GIVEN[input_format], stdin, problems)


def _from_pipe(name: str, form: Format, pipe: BinaryIO, problems: Problems) -> Source | None:
    # A nameless file of this process: planning reads its inputs twice, and a pipe can be read once.
    spool = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the source
    if not _spooled(pipe, spool):
        spool.close()
        problems.add(name, "", "too-large", f"larger than {MAX_BYTES // 2**30} GB: split it")
        return None
    source = Source(name, None, form, spool)
    weakref.finalize(source, spool.close)
    return source


def _spooled(pipe: BinaryIO, spool: IO[bytes]) -> bool:
    """All of it, or False as soon as it is too much."""
    left = MAX_BYTES
    while chunk := pipe.read(1024 * 1024):
        left -= len(chunk)
        if left < 0:
            return False
        spool.write(chunk)
    return True
