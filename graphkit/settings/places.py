"""Where settings are looked for, in order: flags, environment, ``.env``, the folder's file, the user's."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from graphkit.settings.files import read_dotenv, read_toml
from graphkit.settings.readers import as_path, folder
from graphkit.settings.record import SETTINGS, Setting
from graphkit.settings.target import TARGET_FLAGS


@dataclass(frozen=True, slots=True)
class Source:
    """One place that settings come from, and how a setting is spelt there."""

    label: str
    values: Mapping[str, object]
    spell: Callable[[Setting], tuple[str, ...]]
    base: Path

    def find(self, setting: Setting) -> tuple[str, object] | None:
        for name in self.spell(setting):
            value = self.values.get(name)
            if value is not None and value != "":
                return f"{self.label} {name}", value
        return None


def sources_of(flags: Mapping[str, Any], env: Mapping[str, str], cwd: Path, problems: list[str]) -> Iterator[Source]:
    """Every place in its order, files read; what is wrong with them goes to ``problems``."""
    known = {setting.name for setting in SETTINGS} | {"config", *TARGET_FLAGS}
    problems += [f"flag {name}: no such setting" for name in flags if name not in known]
    given = {"--" + name.replace("_", "-"): value for name, value in flags.items()}
    yield Source("flag", given, lambda setting: (setting.flag,), cwd)
    yield Source("environment", env, lambda setting: setting.env, cwd)
    yield Source(".env", read_dotenv(cwd / ".env", problems), lambda setting: setting.env, cwd)
    for label, file in _config_files(flags.get("config"), cwd, problems):
        yield Source(label, read_toml(label, file, problems), lambda setting: (setting.key,), file.parent)


def config_paths(chosen: object = None, cwd: Path | None = None) -> tuple[Path, Path]:
    """The folder's file (or the one ``chosen`` with ``--config``) and the user's own; the first goes before."""
    here = cwd or Path.cwd()
    own = as_path(chosen, here) if chosen else here / "graphkit.toml"
    return own, folder("config")() / "config.toml"


def _config_files(chosen: object, cwd: Path, problems: list[str]) -> Iterator[tuple[str, Path]]:
    own, users = config_paths(chosen, cwd)
    if chosen and not own.is_file():
        problems.append(f"flag --config: no file {chosen}")
    else:
        yield own.name, own
    yield "user config", users
