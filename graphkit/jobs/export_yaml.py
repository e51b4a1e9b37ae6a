"""YAML for files that are compared line by line: text of several lines as a block, long lines whole."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from graphkit.inputs.strict_yaml import parse_yaml
from graphkit.inputs.text import Malformed


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        """The same list in two places is written twice: our reader takes no aliases."""
        return True

    def text(self, value: str) -> yaml.ScalarNode:
        style = "|" if "\n" in value.strip("\n") else None
        return self.represent_scalar("tag:yaml.org,2002:str", value, style=style)


class _Quoting(_Dumper):
    def text(self, value: str) -> yaml.ScalarNode:
        return self.represent_scalar("tag:yaml.org,2002:str", value, style='"')


for _each in (_Dumper, _Quoting):
    _each.add_representer(str, _each.text)


def to_yaml(body: Mapping[str, Any]) -> str:
    """``body`` as our own reader takes it back, in the order of its names."""
    plain = _dump(body, _Dumper)
    return plain if _reads_back(plain, body) else _dump(body, _Quoting)


def _dump(body: Mapping[str, Any], dumper: type[_Dumper]) -> str:
    text: str = yaml.dump(dict(body), Dumper=dumper, sort_keys=False, allow_unicode=True, width=2**31)
    return text


def _reads_back(text: str, body: Mapping[str, Any]) -> bool:
    try:
        return bool(parse_yaml(text) == body)
    except Malformed:
        return False
