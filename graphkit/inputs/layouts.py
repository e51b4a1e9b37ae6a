"""Graph-shaped objects in the layouts in which others publish them.

One object a file, a list, ``{"value": []}``; an object inside a wrapper, with its assignments beside it
(``{"policy": {...}, "assignments": []}``); either of them as JSON text inside JSON; JSON or YAML. What is not such an
object is one problem, ``not-a-graph-body``, and hides nothing else.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from graphkit.inputs.document import parse_document, show_path
from graphkit.inputs.problems import Problems
from graphkit.inputs.source import DOCUMENTS, SUFFIXES, Source, open_source
from graphkit.inputs.strict_json import parse_json
from graphkit.inputs.text import Malformed

NOT_A_BODY = "not-a-graph-body"
WRAPPERS = (
    *("policy", "policies", "value", "body", "payload", "content", "data", "object", "json", "rawjson"),
    *("configuration", "configurations", "configurationpolicy", "configurationpolicies", "template", "item", "items"),
    *("properties", "profile", "profiles", "deviceconfigurations", "devicecompliancepolicies", "compliancepolicies"),
    *("grouppolicyconfigurations", "filters", "iosmanagedappprotections", "androidmanagedappprotections"),
)
"""Names, in any case, below which a wrapper keeps what it wraps."""
_TOLD = ("displayName", "name", "description")


@dataclass(frozen=True, slots=True)
class Body:
    """One object, the file that it stands in, and where in that file (empty: the whole file).

    ``assignments`` are those of the wrapper, or None; those inside the object stay there.
    """

    file: str
    path: str
    value: dict[str, Any]
    assignments: list[Any] | None = None


@dataclass(slots=True)
class Names:
    """What ids of the source tenant are called there."""

    by_id: dict[str, str] = field(default_factory=dict)

    def learn(self, value: Mapping[str, Any], id_name: str = "id", name: str = "displayName") -> None:
        if isinstance(value.get(id_name), str) and isinstance(value.get(name), str):
            self.by_id[value[id_name].lower()] = value[name]

    def learn_table(self, entries: Iterable[Any]) -> None:
        """Of a migration table: source id to displayName."""
        for entry in entries:
            self.learn(entry if isinstance(entry, dict) else {}, "Id", "DisplayName")


def read_bodies(source: Source, problems: Problems) -> Iterator[Body]:
    """Every object of a file, or of all JSON and YAML files below a folder, in the order of their paths."""
    if source.format != "folder":
        yield from _bodies(source, problems)
        return
    files = source.files(DOCUMENTS)
    if not files:
        problems.add(source.name, "", "empty-folder", "holds no *.json or *.yaml file")
    for path in files:
        yield from _bodies(Source(str(path), path, SUFFIXES[path.suffix.lower()]), problems)


def neighbours(source: Source, names: Iterable[str], problems: Problems) -> Iterator[Source]:
    """What exporters lay beside a folder of policies, or beside the folder of one."""
    if source.path is None:
        return
    folder = source.path if source.format == "folder" else source.path.parent
    for name in names:
        # From the path as given: where the machine keeps it is not to show in a plan.
        path = os.path.normpath(folder / ".." / name)
        if os.path.exists(path) and not _within(Path(path), folder) and (found := open_source(path, problems)):
            yield found


def _within(path: Path, folder: Path) -> bool:
    return path.absolute() == folder.absolute() or folder.absolute() in path.absolute().parents


def _bodies(source: Source, problems: Problems) -> Iterator[Body]:
    own = Problems()
    value = parse_document(source, own)
    for problem in own.found:
        problems.add(source.name, problem.where, NOT_A_BODY, problem.message)
    if not own.total:
        yield from _taken_apart(source.name, [], value, problems)


def _taken_apart(file: str, path: list[str | int], value: Any, problems: Problems) -> Iterator[Body]:
    value = _decoded(value)
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _taken_apart(file, [*path, index], item, problems)
    elif not isinstance(value, dict):
        problems.add(file, show_path(path), NOT_A_BODY, "an object or a list of objects is expected")
    elif wrapped := _wrapped(value):
        for name in wrapped:
            yield from _unwrapped(file, path, value, name, problems)
    else:
        yield Body(file, show_path(path), value)


def _wrapped(value: Mapping[str, Any]) -> list[str]:
    """The names below which ``value`` keeps what it wraps: one object, or several lists."""
    if "@odata.type" in value:
        return []
    inner = {name.casefold(): (name, _decoded(item)) for name, item in value.items()}
    found = [inner[name] for name in WRAPPERS if name in inner and isinstance(inner[name][1], (dict, list))]
    if found and isinstance(found[0][1], dict):
        return [found[0][0]]
    return [name for name, item in found if isinstance(item, list)]


def _unwrapped(
    file: str, path: list[str | int], wrapper: Mapping[str, Any], name: str, problems: Problems
) -> Iterator[Body]:
    beside = {key.casefold(): item for key, item in wrapper.items() if key != name}
    assignments = beside.get("assignments")
    for body in _taken_apart(file, [*path, name], wrapper[name], problems):
        # A wrapper may tell what its object leaves out: the name that an administrator gave to the template.
        told = {key: beside[key.casefold()] for key in _TOLD if isinstance(beside.get(key.casefold()), str)}
        missing = {key: text for key, text in told.items() if _lacks(body.value, key)}
        own = assignments if isinstance(assignments, list) else body.assignments
        yield Body(body.file, body.path, {**body.value, **missing}, own)


def _lacks(body: Mapping[str, Any], key: str) -> bool:
    named = any(isinstance(body.get(name), str) for name in ("displayName", "name"))
    if key == "description":
        return body.get(key) in (None, "")
    return not named and key == ("name" if "settings" in body else "displayName")


def _decoded(value: Any) -> Any:
    """JSON text inside JSON, once or twice."""
    for _ in range(2):
        if not isinstance(value, str) or value.lstrip()[:1] not in ("{", "[", '"'):
            break
        try:
            value = parse_json(value)
        except Malformed:
            break
    return value
