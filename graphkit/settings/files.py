"""The files that settings come from: ``.env`` and TOML."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from graphkit.settings.record import SETTINGS

_DOTENV_LINE = re.compile(
    r"""\s*(?:export\s+)?(?P<name>[A-Za-z_]\w*)\s*=\s*
        (?: '(?P<single>[^']*)' | "(?P<double>[^"]*)" | (?P<bare>[^'"\s\#][^\n]*?)? )
        \s*(?:(?<=\s)\#.*)?""",
    re.VERBOSE,
)


def parse_dotenv(text: str) -> tuple[dict[str, str], list[int]]:
    """``NAME=value`` lines as a mapping, and the numbers of the lines that are none.

    Quotes of either kind are taken off, ``export`` is allowed, ``#`` begins a comment at the start of a line or
    after a space. Nothing is expanded: a secret with ``$`` in it stays what it is.
    """
    values: dict[str, str] = {}
    wrong: list[int] = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _DOTENV_LINE.fullmatch(line)
        if match:
            values[match["name"]] = match["single"] or match["double"] or match["bare"] or ""
        else:
            wrong.append(number)
    return values, wrong


def read_dotenv(path: Path, problems: list[str]) -> dict[str, str]:
    try:
        values, wrong = parse_dotenv(path.read_text("utf-8-sig"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        problems.append(f".env: cannot be read ({type(error).__name__})")
        return {}
    problems += [f".env line {number}: not of the form NAME=value" for number in wrong]
    ours = {name for setting in SETTINGS for name in setting.env}
    problems += [
        f".env {name}: no such setting" for name in values if name.startswith("GRAPHKIT_") and name not in ours
    ]
    secrets = [name for setting in SETTINGS if setting.secret for name in setting.env if values.get(name)]
    refuse_shared(path, secrets, problems)
    return values


def refuse_shared(path: Path, secrets: list[str], problems: list[str]) -> None:
    mode = path.stat().st_mode & 0o777
    if secrets and os.name == "posix" and mode & 0o077:
        problems.append(
            f".env: holds {', '.join(secrets)} and others on this machine may read it (mode {mode:04o}); "
            "make it private: chmod 600 .env"
        )


def read_toml(label: str, path: Path, problems: list[str]) -> dict[str, object]:
    """The file as dotted keys, leaving out what was refused."""
    import tomllib

    try:
        document = tomllib.loads(path.read_text("utf-8-sig"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:  # TOMLDecodeError and UnicodeDecodeError are ValueErrors
        problems.append(f"{label}: {error if isinstance(error, tomllib.TOMLDecodeError) else type(error).__name__}")
        return {}
    keys = {setting.key for setting in SETTINGS if setting.key}
    secrets = {setting.name: setting.env[0] for setting in SETTINGS if setting.secret}
    values = dict(_flatten(document, keys))
    for key in [key for key in values if key not in keys]:
        del values[key]
        why = (
            f"does not belong here; put {secrets[key]} into the environment or a private .env"
            if key in secrets
            else "no such setting"
        )
        problems.append(f"{label} {key}: {why}")
    return values


def _flatten(table: Mapping[str, object], keys: set[str], prefix: str = "") -> Iterator[tuple[str, object]]:
    for name, value in table.items():
        key = prefix + name
        if isinstance(value, dict) and key not in keys:
            yield from _flatten(value, keys, f"{key}.")
        else:
            yield key, value
