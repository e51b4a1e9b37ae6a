"""Reads the table of published limits, ``data/limits.txt``, and says what a call is charged by it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache, lru_cache
from importlib.resources import files
from typing import NamedTuple

WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})
TEAMS_SUSTAINED = 0.83
TEAMS_LONG_S = 60.0
"""About 83 % of each Teams figure is also enforced over a longer window; its length is not published, 60 s here."""
CHEAPER_WITH_SELECT = re.compile("/directoryobjects/getbyids|/[^/]+/getobjectsbyid")
"""Two units if ``$select`` is there, whatever the other modifiers (includes/throttling-identity-and-access.md)."""


class Limit(NamedTuple):
    """``quotas`` (for each tenant size) per ``window_s`` seconds. ``name`` is the counter's."""

    name: str
    scope: str
    quotas: tuple[float, ...]
    window_s: float
    unit: str
    retry_after: bool


class Row(NamedTuple):
    """One row of the page: which calls it counts (``methods`` empty: any), in which limits."""

    methods: frozenset[str]
    paths: re.Pattern[str]
    query: str
    limits: tuple[Limit, ...]

    def counts(self, method: str, path: str) -> bool:
        return (not self.methods or method in self.methods) and self.paths.fullmatch(path) is not None


class Section(NamedTuple):
    """A service's part of the page; ``defaults`` count what no other row does."""

    workload: str
    source: str
    paths: re.Pattern[str]
    rows: tuple[Row, ...]
    defaults: tuple[Row, ...]


class Tariff(NamedTuple):
    """What calls of one method and path are charged: the rows that count them, and resource units before the modifiers
    for ``$select`` and others. ``apart``: some counter is one object's own; ``asks``: some row looks at the query.
    """

    workload: str
    rows: tuple[Row, ...]
    units: int
    apart: bool
    asks: bool


class Table(NamedTuple):
    """``everywhere`` counts every call; of the sections only the first that fits does."""

    everywhere: tuple[Row, ...]
    sections: tuple[Section, ...]
    units: tuple[tuple[str, re.Pattern[str], int], ...]


# -- reading ---------------------------------------------------------------------------------------------------------


@cache
def table() -> Table:
    text = files("graphkit.sandbox").joinpath("data/limits.txt").read_text(encoding="utf-8")
    lines = [line for line in map(str.strip, text.splitlines()) if line and not line.startswith("#")]
    units: list[tuple[str, re.Pattern[str], int]] = []
    sections: list[Section] = []
    for name, source, body in _parts(lines):
        if name == "units":
            units += [(method, _pattern(path), int(cost)) for method, path, cost in map(str.split, body)]
        else:
            sections += _sections(name, source, body)
    return Table(sections[0].rows, tuple(sections[1:]), tuple(units))


def _parts(lines: Iterable[str]) -> Iterator[tuple[str, str, list[str]]]:
    head, body = "", list[str]()
    for line in [*lines, "["]:
        if not line.startswith("["):
            body.append(line)
            continue
        if head:
            name, _, source = head[1:].partition("]")
            yield name, source.strip(), body
        head, body = line, []


def _sections(workload: str, source: str, body: list[str]) -> Iterator[Section]:
    """One section, or one for each area."""
    areas: dict[str, list[str]] = {}
    rows: list[str] = []
    for line in body:
        word, *rest = line.split()
        if word in ("paths", "area"):
            name, paths = (rest[0], rest[1:]) if word == "area" else ("", rest)
            areas.setdefault(name, []).extend(paths)
        elif line != "no Retry-After":
            rows.append(line)
    for area, paths in areas.items():
        where, told = "|".join(paths), source.replace("*", area)
        made = [_row(f"{workload} {told}", line, where, "no Retry-After" not in body) for line in rows]
        count = sum(not line.startswith("otherwise ") for line in rows)
        yield Section(workload, told, _pattern(where), tuple(made[:count]), tuple(made[count:]))


def _row(owner: str, line: str, paths: str, retry_after: bool) -> Row:
    methods, where, *rest = line.removeprefix("otherwise ").split()
    query = rest.pop()[1:] if rest[-1].startswith("?") else ""
    wanted = frozenset() if methods == "*" else WRITES if methods == "writes" else frozenset(methods.split(","))
    limits = tuple(_limit(f"{owner} {methods} {where} {query}", each, retry_after) for each in rest)
    return Row(wanted, _pattern(paths if where == "-" else where), query, limits)


def _limit(row: str, text: str, retry_after: bool) -> Limit:
    scope, figure, unit = (*text.split(":"), "requests")[:3]
    quota, _, seconds = figure.partition("/")
    quotas = tuple(float(each) for each in quota.split("|"))
    return Limit(f"{row} {text}", scope, quotas, float(seconds or 1), unit, retry_after)


def _pattern(paths: str) -> re.Pattern[str]:
    wild = re.escape(paths.lower()).replace(r"\{\}", "[^/]+").replace(r"/\*\*", "(?:/.*)?").replace(r"\*", "[^/]*")
    return re.compile(wild.replace(r"\|", "|"))


# -- asking ----------------------------------------------------------------------------------------------------------


def plain(path: str) -> str:
    """A path or a route's template as the table writes them: lower case, without names of parameters and keys; a key in
    parentheses is a segment.
    """
    if "(" in path:
        path = re.sub(r"\([^)]+\)", "/{}", re.sub(r"\(\w*\)", "", path))
    return re.sub(r"\{\w*\}", "{}", path).lower().rstrip("/") or "/"


@lru_cache(maxsize=4096)
def workload(path: str) -> str:
    """Which service answers a path: the name of its section."""
    return _section(plain(path)).workload


@lru_cache(maxsize=4096)
def tariff(method: str, path: str) -> Tariff:
    """What is charged for a call of a path or template."""
    where = plain(path)
    section = _section(where)
    units, reads = _base_cost(method, where)
    rows = [row for row in section.rows if row.counts(method, where) and not (reads and row.methods == WRITES)]
    if not rows:
        rows = [row for row in section.defaults if row.counts(method, where)][:1]
    if section.workload == "teams":
        rows = [row._replace(limits=(*row.limits, *_sustained(row.limits))) for row in rows]
    apart = any("+" in limit.scope.removeprefix("app+tenant") for row in rows for limit in row.limits)
    return Tariff(section.workload, (*table().everywhere, *rows), units, apart, any(row.query for row in rows))


def _section(path: str) -> Section:
    return next(section for section in table().sections if section.paths.fullmatch(path))


def _base_cost(method: str, path: str) -> tuple[int, bool]:
    """Resource units, and whether it only reads: a POST with a cost of its own is a question."""
    for listed, paths, cost in table().units:
        if listed == method and paths.fullmatch(path):
            return cost, True
    return 1, method not in WRITES


def _sustained(limits: tuple[Limit, ...]) -> Iterator[Limit]:
    for limit in limits:
        if limit.window_s == 1:
            quotas = tuple(quota * TEAMS_SUSTAINED * TEAMS_LONG_S for quota in limit.quotas)
            yield limit._replace(name=f"{limit.name} sustained", quotas=quotas, window_s=TEAMS_LONG_S)
