"""Input files in a cassette's pseudonyms: what was planned from, fit to be planned from again.

Headings and keys are the recipe's and stay; cells and values are replaced like those of the conversation. Comments are
left out.
"""

from __future__ import annotations

import codecs
import csv
import io
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from graphkit.recording.redaction import Redaction

SETTINGS_FILE = "graphkit.toml"
_DELIMITERS = ",;\t"


@dataclass(frozen=True, slots=True)
class Given:
    """One input file. ``format`` is csv, json, jsonl or yaml."""

    path: Path
    format: str

    def files(self) -> list[Path]:
        return []

    def text(self) -> str:
        content = self.path.read_bytes()
        for mark, encoding in ((codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16")):
            if content.startswith(mark):
                return content.decode(encoding)
        try:
            return content.decode("utf-8-sig")
        except UnicodeDecodeError:
            return content.decode("cp1252", "replace")

    def values(self) -> Any:
        """Everything in it as a JSON value, to be learnt from."""
        text = self.text()
        if self.format == "csv":
            header, rows, _ = _table(text)
            return [dict(zip(header, row, strict=False)) for row in rows]
        if self.format == "yaml":
            import yaml

            return yaml.load(text, yaml.BaseLoader)  # noqa: S506 - the loader that makes nothing but text
        if self.format == "jsonl":
            return [msgspec.json.decode(line) for line in text.splitlines() if line.strip()]
        return msgspec.json.decode(text)

    def redacted(self, redaction: Redaction) -> str:
        text = self.text()
        if self.format == "csv":
            return csv_text(text, redaction)
        if self.format == "yaml":
            return _yaml(text, redaction)
        values = self.values()
        if self.format == "jsonl":
            return "".join(msgspec.json.encode(redaction.document(each)).decode() + "\n" for each in values)
        if _is_translation(values):
            values = {redaction.value(name): text for name, text in values.items()}
        return msgspec.json.format(msgspec.json.encode(redaction.document(values)), indent=2).decode() + "\n"


def write_inputs(folder: Path, given: Sequence[Given], redaction: Redaction) -> None:
    """All of them into ``folder``, beside each other as they were. What an earlier recording left there is removed."""
    written = [each.redacted(redaction) for each in given]
    if folder.exists():
        shutil.rmtree(folder)
    if not given:
        return
    root = Path(os.path.commonpath([each.path.resolve().parent for each in given]))
    for each, text in zip(given, written, strict=True):
        parts = each.path.resolve().relative_to(root).parts
        names = [redaction.value(part, "file") if place == len(parts) - 1 else redaction.text(part)
                 for place, part in enumerate(parts)]  # fmt: skip
        path = folder.joinpath(*names)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="\n")


def write_settings(folder: Path, break_glass: Sequence[str], redaction: Redaction) -> None:
    """What else a plan depends on: the accounts that no policy may lock out."""
    if break_glass:
        folder.mkdir(parents=True, exist_ok=True)
        named = ", ".join(msgspec.json.encode(redaction.value(each)).decode() for each in break_glass)
        (folder / SETTINGS_FILE).write_text(f"[safety]\nbreak_glass = [{named}]\n", encoding="utf-8", newline="\n")


def csv_text(text: str, redaction: Redaction) -> str:
    """A table whose first line holds the headings."""
    header, rows, delimiter = _table(text)
    made = io.StringIO()
    writer = csv.writer(made, delimiter=delimiter, lineterminator="\n")
    writer.writerow(header)
    for row in rows:
        names = [*header, *([""] * (len(row) - len(header)))]
        writer.writerow(redaction.value(cell, name) for cell, name in zip(row, names, strict=False))
    return made.getvalue()


def _table(text: str) -> tuple[list[str], list[list[str]], str]:
    first = text.partition("\n")[0]
    delimiter = max(_DELIMITERS, key=first.count)
    rows = list(csv.reader(io.StringIO(text.removeprefix("\ufeff")), delimiter=delimiter))
    return (rows[0], rows[1:], delimiter) if rows else ([], [], delimiter)


def _yaml(text: str, redaction: Redaction) -> str:
    """Its tree, not its values: what is a number, a date or ``on`` stays what it is."""
    import yaml

    tree = yaml.compose(text, yaml.SafeLoader)
    if tree is None:
        return ""
    loaded = yaml.load(text, yaml.BaseLoader)  # noqa: S506 - the loader that makes nothing but text
    own = _map_value if isinstance(loaded, dict) and {"rows", "columns"} <= set(loaded) else _value
    for path, node in _scalars(tree, "", keys=_is_translation(loaded)):
        if node.tag.endswith(":str"):
            node.value = own(redaction, node.value, path)
    return str(yaml.serialize(tree, Dumper=yaml.SafeDumper, allow_unicode=True))


def _is_translation(document: Any) -> bool:
    """Names to names, as in a file for ``--bind``: its keys are the tenant's, too."""
    return isinstance(document, dict) and bool(document) and all(isinstance(each, str) for each in document.values())


def _value(redaction: Redaction, text: str, path: str) -> str:
    return redaction.value(text, path.rpartition("/")[2])


def _map_value(redaction: Redaction, text: str, path: str) -> str:
    """Of a file for ``--map``: names of columns, alone or in braces, stay; what stands around them does not."""
    head, _, column = path.rpartition("/")
    if head.endswith("/on") or column == "as":
        return text
    if not head.endswith("/columns"):
        return redaction.value(text, column)
    if text.startswith("="):
        return "=" + redaction.value(text[1:], column)
    pieces = re.split(r"(\{[^{}]+\})", text)
    if len(pieces) == 1:
        return text
    # The domain of a template belongs to the addresses that it makes.
    return "".join(each if each[:1] == "{" else _around(redaction, each) for each in pieces)


def _around(redaction: Redaction, text: str) -> str:
    return f"@{redaction.domain(text[1:])}" if re.fullmatch(r"@[\w-]+(\.[\w-]+)+", text) else redaction.text(text)


def _scalars(node: Any, path: str, *, keys: bool = False) -> Iterator[tuple[str, Any]]:
    """Each scalar with the keys that lead to it."""
    import yaml

    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if keys:
                yield "", key
            yield from _scalars(value, f"{path}/{key.value}")
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _scalars(item, path)
    elif isinstance(node, yaml.ScalarNode):
        yield path, node
