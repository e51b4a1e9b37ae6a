"""``--map``: a file that says how local files become a recipe's columns; the only joins are by key.

Importing this module loads pydantic; import it where a map is read.
"""

from __future__ import annotations

import re
import sqlite3
import weakref
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from pydantic import Field

from graphkit.inputs.document import read_document
from graphkit.inputs.problems import Problems
from graphkit.inputs.source import Source, open_source
from graphkit.inputs.table import SOUND, TOGETHER, Row, Scanned, Table, open_raw_table
from graphkit.inputs.types import InputModel

if TYPE_CHECKING:
    from pydantic import BaseModel

ROWS = ""
"""The alias of the ``rows`` file itself."""

_FIELD = re.compile(r"\{([^{}]+)\}")


class Join(InputModel):
    """Rows of another file whose columns (left of ``on``) equal what is known of the row so far (right)."""

    file: str
    on: dict[str, str] = Field(min_length=1)
    many: bool = False
    alias: str = Field(alias="as", pattern=r"^\w+$")


class LocalMap(InputModel):
    rows: str
    join: tuple[Join, ...] = ()
    columns: dict[str, str] = Field(min_length=1)
    values: dict[str, str] = Field(default_factory=dict)


class Place(NamedTuple):
    """A column of the file that ``alias`` stands for."""

    alias: str
    column: str


@dataclass(frozen=True, slots=True)
class Expression:
    """What a cell is made of: literal text and places, in order."""

    parts: tuple[str | Place, ...]

    @property
    def places(self) -> list[Place]:
        return [part for part in self.parts if isinstance(part, Place)]

    def fill(self, known: Mapping[str, Mapping[str, str]]) -> str:
        """The text, or nothing at all when a place is empty: half an address is worse than none."""
        found = [known[part.alias][part.column] if isinstance(part, Place) else part for part in self.parts]
        is_whole = all(text for part, text in zip(self.parts, found, strict=True) if isinstance(part, Place))
        return "".join(found).strip() if is_whole else ""


def open_mapped_table(
    source: Source,
    problems: Problems,
    model: type[BaseModel],
    *,
    given: Source | None = None,
    settings: Mapping[str, str] | None = None,
) -> Table:
    """The table that the map in ``source`` makes, with the columns of ``model``.

    ``given`` is what ``-i`` named: a folder, in which the map's file names are looked for before they are taken
    relative to the map; or a file, which stands in for ``rows``. ``settings`` (``--set name=value``) overrule
    ``values``. A join without a match leaves the cell empty; several matches are joined with ``;``.
    """
    before = len(problems)
    local = read_document(source, LocalMap, problems)
    if local is None:
        return _nothing(source, problems)
    values = {**local.values, **(settings or {})}
    expressions = {column: _expression(text, local, values) for column, text in local.columns.items()}
    _check(source, local, expressions, model, settings or {}, problems)
    wanted = _wanted_columns(local, expressions)
    rows_source = given if given and given.format != "folder" else _find(local.rows, source, given, problems)
    rows = open_raw_table(rows_source, problems, wanted[ROWS]) if rows_source else None
    joined = Joined(local)
    for index, join in enumerate(local.join):
        if file := _find(join.file, source, given, problems):
            joined.load(index, open_raw_table(file, problems, wanted[join.alias]), wanted[join.alias], problems)
    if rows is None or len(problems) > before:
        if not any(problem.hides_others for problem in problems.found):
            problems.add(source.name, "", "bad-map", "nothing is read through this map until that is put right")
        return _nothing(source, problems)

    plan = [(column, expression, joined.needed(expression)) for column, expression in expressions.items()]

    def filled(row: Row) -> Scanned:
        values = {column: joined.cell(expression, needed, row.values) for column, expression, needed in plan}
        return Row(row.file, row.number, values, row.cells), SOUND

    def scan() -> Iterator[list[Scanned]]:
        read = map(filled, rows)
        while chunk := list(islice(read, TOGETHER)):
            yield chunk

    return Table(rows.file, tuple(expressions), dict(local.columns), rows.header, problems, scan)


class Joined:
    """The joined files in a temporary database that spills to disk, and the look-ups in it."""

    def __init__(self, local: LocalMap) -> None:
        self._local = local
        self._on = [_on(local, index) for index in range(len(local.join))]
        self._columns: list[list[str]] = [[] for _ in local.join]
        self._db = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode = OFF")
        weakref.finalize(self, self._db.close)

    def load(self, index: int, table: Table, columns: list[str], problems: Problems) -> None:
        """Take in the rows of the ``index``-th join; a key that occurs twice needs ``many: true``."""
        join = self._local.join[index]
        self._columns[index] = columns
        names = [f"c{place}" for place in range(len(columns))]
        keys = ", ".join(names[columns.index(column)] for column in join.on)
        self._db.execute(f"CREATE TABLE j{index} (number, {', '.join(names)})")
        marks = ", ".join("?" * (len(columns) + 1))
        rows = ((row.number, *(row.values[column] for column in columns)) for row in table)
        self._db.execute("BEGIN")
        self._db.executemany(f"INSERT INTO j{index} VALUES ({marks})", rows)
        self._db.execute("COMMIT")
        self._db.execute(f"CREATE INDEX i{index} ON j{index} ({keys})")
        if not join.many:
            self._report_repeated(index, keys, table.file, problems)

    def _report_repeated(self, index: int, keys: str, file: str, problems: Problems) -> None:
        query = f"SELECT min(number), max(number) FROM j{index} GROUP BY {keys} HAVING count(*) > 1 ORDER BY 2"
        for first, last in self._db.execute(query):
            on = ", ".join(self._local.join[index].on)
            problems.add(file, last, "duplicate-key", f"{on}: already in row {first}; meant so? then say many: true")

    def cell(self, expression: Expression, needed: set[str], row: Mapping[str, str]) -> str:
        """The text of a cell: one for each combination of the ``needed`` joined rows, without repeats."""
        combinations: list[dict[str, Mapping[str, str]]] = [{ROWS: row}]
        for index, join in enumerate(self._local.join):
            if join.alias in needed:
                combinations = [
                    {**known, join.alias: match} for known in combinations for match in self._matches(index, known)
                ]
        texts = dict.fromkeys(expression.fill(known) for known in combinations)
        return ";".join(text for text in texts if text)

    def needed(self, expression: Expression) -> set[str]:
        """The aliases that an expression speaks of, and those which they hang on."""
        needed = {place.alias for place in expression.places}
        for index in reversed(range(len(self._local.join))):
            join = self._local.join[index]
            if join.alias in needed:
                needed |= {place.alias for place in self._on[index].values()}
        return needed

    def _matches(self, index: int, known: Mapping[str, Mapping[str, str]]) -> list[dict[str, str]]:
        columns = self._columns[index]
        wanted = {column: known[place.alias][place.column] for column, place in self._on[index].items()}
        if not all(wanted.values()):
            return []
        condition = " AND ".join(f"c{columns.index(column)} = ?" for column in wanted)
        names = ", ".join(f"c{place}" for place in range(len(columns)))
        query = f"SELECT {names} FROM j{index} WHERE {condition} ORDER BY number"
        return [dict(zip(columns, found, strict=True)) for found in self._db.execute(query, tuple(wanted.values()))]


def _expression(text: str, local: LocalMap, values: Mapping[str, str]) -> Expression:
    """``=constant``, a ``{template}``, or the plain name of a column."""
    if text.startswith("="):
        return Expression((text[1:],))
    if "{" not in text:
        text = f"{{{text}}}"
    aliases = {join.alias for join in local.join}
    # Splitting by a pattern with one group gives text and names by turns.
    pieces = _FIELD.split(text)
    parts = [_resolve(piece, aliases, values) if place % 2 else piece for place, piece in enumerate(pieces)]
    return Expression(tuple(part for part in parts if part != ""))


def _resolve(name: str, aliases: set[str], values: Mapping[str, str]) -> str | Place:
    alias, dot, column = name.partition(".")
    if dot and alias in aliases:
        return Place(alias, column)
    return values[name] if name in values else Place(ROWS, name)


def _on(local: LocalMap, index: int) -> dict[str, Place]:
    """The condition of a join: its own column to the place, in what was joined before, that it must equal."""
    earlier = {join.alias for join in local.join[:index]}
    resolved = {column: _resolve(name, earlier, {}) for column, name in local.join[index].on.items()}
    return {column: place for column, place in resolved.items() if isinstance(place, Place)}


def _wanted_columns(local: LocalMap, expressions: Mapping[str, Expression]) -> dict[str, list[str]]:
    places = [place for expression in expressions.values() for place in expression.places]
    for index, join in enumerate(local.join):
        for column, place in _on(local, index).items():
            places += [Place(join.alias, column), place]
    aliases = [ROWS, *(join.alias for join in local.join)]
    return {alias: list(dict.fromkeys(p.column for p in places if p.alias == alias)) for alias in aliases}


def _check(
    source: Source,
    local: LocalMap,
    expressions: Mapping[str, Expression],
    model: type[BaseModel],
    settings: Mapping[str, str],
    problems: Problems,
) -> None:
    known = model.model_fields
    for column in expressions:
        if column not in known:
            message = f"is not a column of this recipe: {', '.join(known)}"
            problems.add(source.name, f"columns.{column}", "unknown-column", message)
    for column, text in local.columns.items():
        if not text.startswith("=") and re.search(r"[{}]", _FIELD.sub("", text)):
            problems.add(source.name, f"columns.{column}", "bad-template", f"{text}: a brace has no partner")
    missing = [name for name, field in known.items() if field.is_required() and name not in expressions]
    if missing:
        problems.add(source.name, "columns", "missing-column", f"missing columns: {', '.join(missing)}")
    aliases = [join.alias for join in local.join]
    for alias in dict.fromkeys(alias for alias in aliases if aliases.count(alias) > 1):
        problems.add(source.name, "join", "duplicate-key", f"two joins are called {alias}")
    used = {name for text in local.columns.values() for name in (_FIELD.findall(text) or [text])}
    for name in settings:
        if name not in used:
            problems.add(source.name, f"values.{name}", "unknown-value", f"no column uses {name}, which --set gives")


def _find(name: str, source: Source, given: Source | None, problems: Problems) -> Source | None:
    if given is not None and given.format == "folder" and given.beside(name).exists():
        return open_source(given.beside(name), problems)
    return open_source(source.beside(name), problems)


def _nothing(source: Source, problems: Problems) -> Table:
    return Table(source.name, (), {}, (), problems, lambda: iter(()))
