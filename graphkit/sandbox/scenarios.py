"""Scenarios: fault rules that belong together, in files of one's own or, by name, among those that the package has.

A file holds an array of rules, or an object with ``rules``, a ``description``, and perhaps advice on the ``seed``.
"""

from __future__ import annotations

import json
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, NamedTuple

from graphkit.sandbox.call import Json
from graphkit.sandbox.faults import check_rule

FOLDER: Traversable = files("graphkit.sandbox") / "scenarios"


class Scenario(NamedTuple):
    """``seed`` says what the tenant should hold, and why."""

    name: str
    description: str
    rules: list[Json]
    seed: Json


def scenario_names(folder: Traversable = FOLDER) -> list[str]:
    """The scenarios that come with the package."""
    if not folder.is_dir():
        return []
    return sorted(item.name.removesuffix(".json") for item in folder.iterdir() if item.name.endswith(".json"))


def scenarios(folder: Traversable = FOLDER) -> list[Scenario]:
    """All that come with the package."""
    return [read_scenario(name, folder) for name in scenario_names(folder)]


def load_scenario(name_or_path: str, folder: Traversable = FOLDER) -> list[Json]:
    """The rules of a file, or of a scenario by its name. Raises ``ValueError`` for what is neither, or holds something
    else.
    """
    return read_scenario(name_or_path, folder).rules


def read_scenario(name_or_path: str, folder: Traversable = FOLDER) -> Scenario:
    """A whole scenario. Raises ``ValueError``, as :func:`load_scenario` does."""
    known = scenario_names(folder)
    path = Path(name_or_path)
    if name_or_path in known:
        text = (folder / f"{name_or_path}.json").read_text(encoding="utf-8")
    elif path.is_file():
        text = path.read_text(encoding="utf-8")
    else:
        names = f"known are {', '.join(known)}" if known else "none come with the package"
        raise ValueError(f"{name_or_path} is no file and no scenario; {names}")
    try:
        return _read(path.stem, json.loads(text))
    except ValueError as error:
        raise ValueError(f"{name_or_path}: {error}") from error


def _read(name: str, found: Any) -> Scenario:
    if not isinstance(found, dict) or "rules" not in found:
        found = {"rules": found if isinstance(found, list) else [found]}
    unknown = sorted(set(found) - {"description", "rules", "seed"})
    if unknown:
        raise ValueError(f"unknown key {unknown[0]!r} in a scenario; known are description, rules, seed")
    if not isinstance(found["rules"], list):
        raise ValueError("the rules of a scenario are an array")
    rules = [check_rule(rule, number) for number, rule in enumerate(found["rules"], 1)]
    return Scenario(name, str(found.get("description", "")), rules, found.get("seed", {}))
