"""Scenarios: arrays of fault rules, in files of one's own or among those that come with the package, by name."""

from __future__ import annotations

import json
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from graphkit.sandbox.call import Json
from graphkit.sandbox.faults import check_rule

FOLDER: Traversable = files("graphkit.sandbox") / "scenarios"


def scenario_names(folder: Traversable = FOLDER) -> list[str]:
    """The scenarios that come with the package."""
    if not folder.is_dir():
        return []
    return sorted(item.name.removesuffix(".json") for item in folder.iterdir() if item.name.endswith(".json"))


def load_scenario(name_or_path: str, folder: Traversable = FOLDER) -> list[Json]:
    """The rules of a file, or of a scenario by its name. Raises ``ValueError`` for what is neither, or holds something
    else.
    """
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
        found = json.loads(text)
        return [check_rule(rule) for rule in (found if isinstance(found, list) else [found])]
    except ValueError as error:
        raise ValueError(f"{name_or_path}: {error}") from error
