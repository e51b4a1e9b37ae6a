"""YAML without its surprises.

No tags, aliases or repeated keys, bounded depth and size (aliases expand, so nine lines can mean gigabytes).
Only ``true``, ``false``, ``null`` and numbers that would be written back exactly the same are not text: ``on``,
``NO``, ``0012``, ``10.10`` and dates stay what was typed.
"""

from __future__ import annotations

import re
from collections.abc import Hashable
from typing import Any

import yaml

from graphkit.inputs.text import Malformed

MAX_DEPTH = 64
MAX_CHARACTERS = 4 * 1024 * 1024
"""The pure Python parser reads about 100 KB a second; bulk data belongs in CSV or JSON lines."""


class _Refused(yaml.MarkedYAMLError):
    def __init__(self, problem: str, mark: yaml.Mark) -> None:
        super().__init__(problem=problem, problem_mark=mark)


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers = {}  # noqa: RUF012 - PyYAML's own class attribute, refilled below
    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]  # the stubs leave it out
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise _Refused("anchors and aliases are not accepted: write the value out", event.start_mark)
        if getattr(event, "tag", None):
            raise _Refused("tags are not accepted", event.start_mark)
        if self.depth >= MAX_DEPTH:
            raise _Refused(f"nested deeper than {MAX_DEPTH} levels", event.start_mark)
        self.depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self.depth -= 1

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str | int | float | bool):
                raise _Refused("a key must be plain text", key_node.start_mark)
            if key in seen:
                raise _Refused(f"the key {key} occurs twice", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep=deep)

    def exact_number(self, node: yaml.ScalarNode) -> int | float | str:
        text: str = self.construct_scalar(node)
        for kind in (int, float):
            try:
                number = kind(text)
            except ValueError:
                continue
            if str(number) == text:
                return number
        return text


_Loader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(r"(?:~|null|Null|NULL|)$"), ["~", "n", "N", ""])
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)
_Loader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"-?\d+(?:\.\d+)?$"), list("-0123456789"))
_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.exact_number)


def parse_yaml(text: str) -> Any:
    """The one document in ``text``. Raises :class:`Malformed` with line and column."""
    return _guarded(text, lambda loader: loader.get_single_data())


def line_of(text: str, path: list[str | int]) -> int:
    """The line (from 1) where the value at ``path`` starts; where the path ends early, its last known parent's."""
    node = _guarded(text, lambda loader: loader.get_single_node())
    for part in path:
        child = _child(node, part)
        if child is None:
            break
        node = child
    return int(node.start_mark.line) + 1


def _child(node: Any, part: str | int) -> Any:
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int):
        return node.value[part] if part < len(node.value) else None
    if isinstance(node, yaml.MappingNode):
        return next((value for key, value in node.value if key.value == str(part)), None)
    return None


def _guarded(text: str, read: Any) -> Any:
    if len(text) > MAX_CHARACTERS:
        raise Malformed(f"larger than {MAX_CHARACTERS // 1024 // 1024} MB: use JSON or CSV for data of this size")
    try:
        loader = _Loader(text)
        try:
            return read(loader)
        finally:
            loader.dispose()
    except yaml.reader.ReaderError as error:
        raise Malformed(f"holds the character U+{int(error.character):04X}, which YAML does not allow") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
        raise Malformed(error.problem or error.context or "malformed", line, column) from error
