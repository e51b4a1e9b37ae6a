"""YAML and JSON documents, as plain values or against a model."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from graphkit.inputs.problems import Problems
from graphkit.inputs.rows import explain
from graphkit.inputs.source import Source
from graphkit.inputs.strict_json import parse_json
from graphkit.inputs.text import Malformed, read_text

if TYPE_CHECKING:
    from pydantic import BaseModel

M = TypeVar("M", bound="BaseModel")

Path = list[str | int]
HEAD = 64 * 1024
"""Bytes from which is told what a document is; comments may stand before it."""


def parse_document(source: Source, problems: Problems) -> Any:
    """The plain value of a YAML or JSON file, or None with one problem that gives line and column."""
    text = _read(source, problems)
    return None if text is None else _parse(source, text, problems)


def begins_a_list(source: Source) -> bool:
    """Is a YAML or JSON file a list (or Graph's ``{"value": []}``), as far as its beginning tells?"""
    with source.open() as stream:
        head = stream.read(HEAD)
    text = head.decode("utf-16" if head[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig", errors="ignore")
    lines = (line.strip() for line in text.splitlines())
    first = "\n".join(line for line in lines if line and not line.startswith(("#", "---", "%")))
    return re.match(r'\[|-\s|\{\s*"value"\s*:\s*\[', first) is not None


def read_document(
    source: Source, model: type[M], problems: Problems, *, context: Mapping[str, object] | None = None
) -> M | None:
    """The document as a ``model``, or None with every problem by its path (and line, for YAML)."""
    from pydantic import ValidationError

    text = _read(source, problems)
    value = None if text is None else _parse(source, text, problems)
    if text is None or value is None:
        return None
    try:
        return model.model_validate(value, context=context)
    except ValidationError as error:
        told = dict.fromkeys(_told(source, text, value, entry) for entry in error.errors(include_url=False))
        for where, code, message in told:
            problems.add(source.name, where, code, message)
    return None


def show_path(path: Path) -> str:
    """``["pools", 2, "cap"]`` is ``pools[2].cap``."""
    shown = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return shown.removeprefix(".")


def _read(source: Source, problems: Problems) -> str | None:
    if source.format not in ("yaml", "json"):
        is_folder = source.format == "folder"
        what = "is a folder: name the YAML or JSON file in it" if is_folder else "is not a YAML or JSON file"
        problems.add(source.name, "", "not-a-document", what)
        return None
    try:
        return read_text(source)
    except Malformed as error:
        problems.add(source.name, "", "encoding", error.message)
        return None


def _parse(source: Source, text: str, problems: Problems) -> Any:
    from graphkit.inputs.strict_yaml import parse_yaml

    try:
        value = parse_json(text) if source.format == "json" else parse_yaml(text)
    except Malformed as error:
        problems.add(source.name, "", f"malformed-{source.format}", str(error))
        return None
    if value is None:
        problems.add(source.name, "", "empty-file", "holds nothing")
    return value


def _told(source: Source, text: str, value: Any, entry: Any) -> tuple[str, str, str]:
    from graphkit.inputs.strict_yaml import line_of

    path = _real_path(entry, value)
    code, message = explain(entry)
    if source.format == "yaml":
        message = f"{message} (line {line_of(text, path)})"
    return show_path(path), code, message


def _real_path(entry: Any, value: Any) -> Path:
    """pydantic's location without the names of union members, which mean nothing to the document's author."""
    path: Path = []
    for part in entry["loc"]:
        is_index = isinstance(value, list) and isinstance(part, int) and part < len(value)
        if is_index or (isinstance(value, dict) and part in value):
            path.append(part)
            value = value[part]
    if entry["type"] == "missing":
        path.append(entry["loc"][-1])
    return path
