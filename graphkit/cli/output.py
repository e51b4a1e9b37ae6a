"""Standard output: the one object or the many rows that a command answers with, in the format asked for."""

from __future__ import annotations

import csv
import json
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import click

from graphkit.errors import UsageError

FORMATS = ("table", "json", "jsonl", "csv", "yaml", "none")

Text = Callable[[], Iterable[str]]

# What JSON leaves as it is and a terminal may obey: C1 controls, bidirectional overrides, invisible marks.
_STEERING = re.compile("[\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff]")
_COLOURS = {"+": "green", "~": "yellow", "-": "red", "x": "red", "!": "red"}


class Output:
    """Prints data. ``query`` is a JMESPath expression that is applied first; the table is then made of its result."""

    def __init__(self, format: str = "table", query: str = "") -> None:
        self.format = format
        self._query = compile_query(query) if query else None

    @property
    def is_table(self) -> bool:
        """Is it for people? False as soon as something is queried."""
        return self.format == "table" and self._query is None

    @property
    def queried(self) -> bool:
        """Is only a part of the answer wanted, which must be known as a whole first?"""
        return self._query is not None

    @property
    def streams(self) -> bool:
        """Can rows be printed one by one?"""
        return self.format == "jsonl" and self._query is None

    def emit(self, data: Any, text: Text | None = None) -> None:
        """Print ``data``, which is what JSON can hold; ``text`` says how it reads as a table."""
        if self.is_table and text is not None:
            self._lines(text())
            return
        if self._query is not None:
            data = self._query(data)
        match self.format:
            case "table":
                self._lines(as_table(data))
            case "json":
                write(to_json(data, indent=2) + "\n")
            case "jsonl":
                for item in data if isinstance(data, list) else [data]:
                    self.row(item)
            case "yaml":
                write(to_yaml(data))
            case "csv":
                write_csv(data)

    def emit_long(self, facts: Mapping[str, Any], name: str, items: Iterable[Any]) -> None:
        """``facts`` with the list ``items`` under ``name``; as JSON one at a time, however many there are."""
        if self.format != "json" or self._query is not None:
            self.emit({**facts, name: list(items)})
            return
        write(f"{to_json(facts, indent=2).removesuffix(chr(10) + '}')},\n  {to_json(name)}: [")
        separator = "\n"
        for item in items:
            write(f"{separator}    {to_json(item)}")
            separator = ",\n"
        write("\n  ]\n}\n")

    def row(self, item: Any) -> None:
        """One line of JSON, for output that ``streams``."""
        write(to_json(item) + "\n")

    def line(self, text: str) -> None:
        """A line that is JSON already: to a file byte for byte, to a terminal made harmless."""
        write((harmless(text) if sys.stdout.isatty() else text) + "\n")

    def _lines(self, lines: Iterable[str]) -> None:
        for line in lines:
            write(coloured(line) + "\n")


def write(text: str) -> None:
    sys.stdout.write(text)


def coloured(line: str) -> str:
    """Signs of a plan in colour, on a terminal that wants it (https://no-color.org)."""
    sign = line.lstrip()[:2]
    if sign[1:] != " " or sign[0] not in _COLOURS or not wants_colour():
        return line
    return click.style(line, fg=_COLOURS[sign[0]])


def wants_colour() -> bool:
    context = click.get_current_context(silent=True)
    plain = context is not None and context.obj.settings.no_color
    return sys.stdout.isatty() and not plain


def compile_query(query: str) -> Callable[[Any], Any]:
    """A JMESPath expression as a function. Raises ``UsageError`` where it cannot be read."""
    import jmespath
    from jmespath.exceptions import JMESPathError

    try:
        expression = jmespath.compile(query)
    except JMESPathError as error:
        raise UsageError(f"--query {query!r} is no JMESPath expression: {error}", hint="see jmespath.org") from error

    def search(data: Any) -> Any:
        try:
            return expression.search(data)
        except JMESPathError as error:
            raise UsageError(f"--query {query!r} does not fit the data: {error}") from error

    return search


def to_json(data: Any, indent: int | None = None) -> str:
    """JSON in which nothing steers a terminal; equal in meaning to what was given."""
    return harmless(json.dumps(data, ensure_ascii=False, indent=indent, default=str))


def harmless(text: str) -> str:
    """JSON with whatever a terminal may obey written as an escape."""
    return _STEERING.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def to_yaml(data: Any) -> str:
    import yaml

    plain = json.loads(json.dumps(data, default=str))
    text = yaml.safe_dump(plain, allow_unicode=True, sort_keys=False)
    return yaml.safe_dump(plain, sort_keys=False) if _STEERING.search(text) else text


def as_table(data: Any) -> Iterable[str]:
    """Whatever data as lines: a list of objects as a table, an object as pairs, anything else as it is."""
    from graphkit.reports.text import pairs, printable, table

    if isinstance(data, list) and data and all(isinstance(item, Mapping) for item in data):
        names = columns_of(data, scalars=True)
        return table(names, [[cell(item.get(name)) for name in names] for item in data])
    if isinstance(data, Mapping):
        return pairs({name: cell(value) for name, value in data.items() if not name.startswith("@odata.")})
    if isinstance(data, list):
        return [printable(cell(item)) for item in data]
    return [printable(cell(data))]


def write_csv(data: Any) -> None:
    """Rows with the names of all their fields on top; what is nested stands in its cell as JSON."""
    listed = data if isinstance(data, list) else [data]
    rows = [row if isinstance(row, Mapping) else {"value": row} for row in listed]
    write_rows(columns_of(rows, scalars=False), rows)


def write_rows(names: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """CSV, a row at a time. No cell runs in a spreadsheet, and on a terminal none steers it."""
    from graphkit.inputs.cells import guarded
    from graphkit.reports.text import printable

    shown = printable if sys.stdout.isatty() else str
    writer = csv.writer(sys.stdout, lineterminator="\r\n")
    writer.writerow([shown(guarded(name)) for name in names])
    writer.writerows([shown(guarded(cell(row.get(name)))) for name in names] for row in rows)


def columns_of(rows: Iterable[Mapping[str, Any]], *, scalars: bool) -> list[str]:
    """The names of all fields in the order of their appearance; with ``scalars`` only those that fit a table."""
    names: dict[str, None] = {}
    for row in rows:
        for name, value in row.items():
            if not (scalars and (isinstance(value, list | Mapping) or name.startswith("@odata."))):
                names[name] = None
    return list(names)


def cell(value: Any) -> str:
    """One value as text; in a table and in CSV alike."""
    if value is None:
        return ""
    return value if isinstance(value, str) else to_json(value)
