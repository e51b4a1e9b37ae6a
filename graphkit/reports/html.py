"""A plan, a run or a report as one self-contained page: no script, nothing fetched, every value escaped."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from graphkit.engine.change import Action, Change, Result
from graphkit.private import replacing
from graphkit.reports.findings import Cell, Findings, Section, cell_text
from graphkit.reports.text import ENDED_BADLY, SIGNS, Lines, differences, duration, place

LISTED = 2_000
"""Changes shown one by one, and as many that ended badly: a page of more opens in no browser."""

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem; color: #1b1b1b; }
h1 { font-size: 1.5rem; margin-bottom: 0; } h2 { font-size: 1.1rem; margin-top: 2rem; }
table { border-collapse: collapse; width: 100%; } caption { text-align: left; color: #555; }
th, td { text-align: left; padding: .25rem .6rem; border-bottom: 1px solid #ddd; vertical-align: top; }
td, p { overflow-wrap: anywhere; }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; overflow-wrap: normal; }
.create, .add, .done { color: #0a6b2d; } .update { color: #8a5a00; }
.remove, .delete, .blocked, .failed, .unknown, .skipped { color: #a80000; }
.detail { color: #555; font-size: .9em; }
@media (prefers-color-scheme: dark) { body { background: #1b1b1b; color: #eee; } th, td { border-color: #444; }
.detail, caption { color: #aaa; } .create, .add, .done { color: #6fd08c; } .update { color: #e0b050; }
.remove, .delete, .blocked, .failed, .unknown, .skipped { color: #ff8a80; } }
"""


@dataclass(slots=True)
class _Kind:
    name: str
    rows: list[tuple[Change, Result | None]] = field(default_factory=list)
    idle: int = 0
    more: int = 0


def write_html(path: Path, facts: Mapping[str, Any], lines: Lines) -> None:
    """Write the page, readable by its owner only; replaces an older one at once.

    ``facts`` is the object that ``plan -o json`` prints, with ``outcomes`` once there are some.
    """
    _write(path, _render(facts, lines))


def write_findings(path: Path, facts: Mapping[str, Any], findings: Findings) -> None:
    """The same for a report; ``facts`` is the object that it prints as JSON, without its sections."""
    page = _environment({"cell": cell_text}).get_template("findings.html.j2")
    sections = (_Listed(section) for section in findings.sections)
    _write(path, page.generate(facts=facts, sections=sections, style=_style()))


class _Listed:
    """What is shown of a section, read while the page is written, and how much is not."""

    def __init__(self, section: Section) -> None:
        self.title = section.title
        self.columns = section.columns
        self._rows = iter(section.rows())
        self._more: int | None = None

    @property
    def shown(self) -> Iterator[Sequence[Cell]]:
        return islice(self._rows, LISTED)

    def more(self) -> int:
        if self._more is None:
            self._more = sum(1 for _ in self._rows)
        return self._more


def _write(path: Path, pieces: Iterable[str]) -> None:
    with replacing(path, "w", encoding="utf-8", newline="\n") as stream:
        stream.writelines(pieces)


def _environment(filters: Mapping[str, Any]) -> Any:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("graphkit.reports", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= filters
    return environment


def _render(facts: Mapping[str, Any], lines: Lines) -> Iterator[str]:
    environment = _environment({"duration": duration, "place": place, "differences": differences})
    kinds, bad = _collect(lines)
    page = environment.get_template("run.html.j2")
    actions = [action for action in Action if any(counts.get(action) for counts in facts["kinds"].values())]
    yield from page.generate(
        facts=facts, kinds=kinds, bad=bad, actions=actions, signs=SIGNS, listed=LISTED, style=_style()
    )


def _style() -> Any:
    """The style sheet, and the hash by which the page's own policy lets it pass."""
    from markupsafe import Markup

    digest = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    return {"text": Markup(STYLE), "hash": f"sha256-{digest}"}  # noqa: S704 - our own constant


def _collect(lines: Lines) -> tuple[list[_Kind], _Kind]:
    """What is listed of each kind, and of what ended badly; in memory is only what the page will show."""
    kinds: dict[str, _Kind] = {}
    bad = _Kind("bad")
    for change, result in lines:
        kind = kinds.setdefault(change.kind, _Kind(change.kind))
        if change.action is Action.NOOP and not change.note:
            kind.idle += 1
        else:
            _list(kind, change, result)
        if result and result.status in ENDED_BADLY:
            _list(bad, change, result)
    return list(kinds.values()), bad


def _list(kind: _Kind, change: Change, result: Result | None) -> None:
    if len(kind.rows) < LISTED:
        kind.rows.append((change, result))
    else:
        kind.more += 1
