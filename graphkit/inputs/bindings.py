"""``--bind``: what ids, names and placeholders of an input stand for here."""

from __future__ import annotations

from graphkit.inputs.document import parse_document
from graphkit.inputs.problems import Problems
from graphkit.inputs.source import open_source


def read_bindings(path: str, problems: Problems) -> dict[str, str]:
    """Names or ids in the input to names or ids here; nothing if no file was named."""
    source = open_source(path, problems) if path else None
    value = parse_document(source, problems) if source else None
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(isinstance(each, str) for each in (*value, *value.values())):
        problems.add(path, "", "bad-binding", "a name or id on each side is expected: CA-Staff: All staff")
        return {}
    return value
