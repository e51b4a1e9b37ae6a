"""Flags, environment, ``.env``, ``graphkit.toml`` and the user's config become one frozen :class:`Settings`.

This is the only room that reads the environment. A setting is looked for in that order and the first answer
counts; where it came from is kept (:meth:`Settings.origin`). Everything wrong is reported at once.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from graphkit.errors import UsageError
from graphkit.settings.files import parse_dotenv, refuse_shared
from graphkit.settings.identities import Identity
from graphkit.settings.places import Source, config_paths, sources_of
from graphkit.settings.readers import loopback_url
from graphkit.settings.record import AUTH_METHODS, LOG_FORMATS, LOG_LEVELS, SETTINGS, Setting, Settings
from graphkit.settings.target import CLOUD_NAMES, REPLAY, Target, parse_target, resolve_target

__all__ = [
    "AUTH_METHODS",
    "CLOUD_NAMES",
    "LOG_FORMATS",
    "LOG_LEVELS",
    "REPLAY",
    "SETTINGS",
    "Identity",
    "Setting",
    "Settings",
    "Target",
    "completion_asked",
    "config_paths",
    "load",
    "loopback_url",
    "parse_dotenv",
    "parse_target",
]


def load(flags: Mapping[str, Any], *, env: Mapping[str, str] | None = None, cwd: Path | None = None) -> Settings:
    """Resolve all settings.

    ``flags`` maps field names, and ``config``, ``target``, ``state``, ``virtual_time``, to what the command line gave;
    ``None`` means not given. Raises ``UsageError`` with one line per problem.
    """
    problems: list[str] = []
    places = list(sources_of(flags, os.environ if env is None else env, cwd or Path.cwd(), problems))
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for setting in SETTINGS:
        found = next((hit for source in places if (hit := _read(setting, source, problems))), None)
        if found:
            origins[setting.name], values[setting.name] = found
    _resolve_secrets(values, places, cwd or Path.cwd(), problems)
    resolve_target(flags, cwd or Path.cwd(), values, origins, problems)
    if problems:
        _refuse(problems)
    return Settings(**values, origins=origins)


def completion_asked(env: Mapping[str, str] | None = None) -> str:
    """What a shell's completion script asks for (``bash_complete`` ...); empty in any ordinary call."""
    return (os.environ if env is None else env).get("_GRAPHKIT_COMPLETE", "")


def _resolve_secrets(values: dict[str, Any], sources: Iterable[Source], cwd: Path, problems: list[str]) -> None:
    """Give each of the identities the secret whose variable it names, from the environment, else from ``.env``."""
    found: list[Identity] = []
    for item in values.get("identities") or ():
        name = item.client_secret_variable
        places = [source for source in sources if source.label in ("environment", ".env") and source.values.get(name)]
        if name and not places:
            problems.append(f"identities {item.client_id}: {name} is not set, neither in the environment nor in .env")
        elif name:
            if places[0].label == ".env":
                refuse_shared(cwd / ".env", [name], problems)
            item = replace(item, client_secret=str(places[0].values[name]))
        found.append(item)
    if found:
        values["identities"] = tuple(found)


def _refuse(problems: list[str]) -> None:
    count = len(problems)
    heading = "a setting is wrong" if count == 1 else f"{count} settings are wrong"
    raise UsageError("\n  ".join([f"{heading}:", *problems]), hint="docs/settings.md lists every setting")


def _read(setting: Setting, source: Source, problems: list[str]) -> tuple[str, Any] | None:
    hit = source.find(setting)
    if hit is None:
        return None
    origin, raw = hit
    try:
        return origin, setting.read(raw, source.base)
    except ValueError as error:
        problems.append(f"{origin}: {error}")
        return origin, None
