"""``graphkit config``: what counts, where it comes from, and setting it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from graphkit.cli.invocation import Invocation
from graphkit.cli.options import Group
from graphkit.errors import UsageError
from graphkit.reports import text
from graphkit.settings import SETTINGS, Setting, Settings, config_paths

NOT_SHOWN = "(set, not shown)"


@click.group("config", cls=Group)
def command() -> None:
    """Settings: what counts, where it comes from, how to set it."""


@command.command("list")
@click.option("--show-origin", is_flag=True, help="Say where each value comes from.")
@click.pass_obj
def list_settings(invocation: Invocation, /, show_origin: bool) -> None:
    """Every setting with its value. No secret is shown."""
    settings = invocation.settings
    rows = [_row(settings, setting, show_origin=show_origin) for setting in SETTINGS]
    invocation.output.emit(rows, lambda: _shown(rows))


@command.command("get")
@click.argument("name")
@click.pass_obj
def get(invocation: Invocation, /, name: str) -> None:
    """The value of NAME: a setting's own name, its key in graphkit.toml, or its variable."""
    value = _row(invocation.settings, find(name), show_origin=False)["value"]
    invocation.output.emit(value, lambda: [_told(value)])


@command.command("set")
@click.argument("name")
@click.argument("value")
@click.option("--user", is_flag=True, help="In the user's own file instead of ./graphkit.toml.")
@click.pass_obj
def set_value(invocation: Invocation, /, name: str, value: str, user: bool) -> None:
    """Write NAME = VALUE into graphkit.toml; comments and order stay as they are."""
    setting = find(name)
    if not setting.key or setting.secret:
        where = f"put {setting.env[0]} into the environment or a private .env" if setting.env else "it cannot be set"
        raise UsageError(f"{setting.name} does not belong into graphkit.toml", hint=where)
    paths = config_paths(invocation.given.get("config"))
    path = paths[-1] if user else paths[0]
    try:
        known = setting.read(_typed(value), path.parent)
    except ValueError as error:
        raise UsageError(f"{setting.name}: {error}", hint="docs/settings.md says what it takes") from error
    _write(path, setting.key, _typed(value))
    shown = _plain(known)
    written = {"name": setting.name, "value": shown, "file": str(path)}
    invocation.output.emit(written, lambda: [f"{setting.key} = {text.printable(_told(shown))} in {path}"])


@command.command("path")
@click.pass_obj
def path(invocation: Invocation, /) -> None:
    """The files that settings are read from, the first goes before the next; and whether they are there."""
    rows = [{"file": str(each), "there": each.is_file()} for each in config_paths(invocation.given.get("config"))]
    rows.insert(0, {"file": str(Path.cwd() / ".env"), "there": (Path.cwd() / ".env").is_file()})
    invocation.output.emit(rows, lambda: _shown(rows))


def find(name: str) -> Setting:
    """The setting that a person means. Raises ``UsageError`` naming those that come near."""
    import difflib

    known = {alias: setting for setting in SETTINGS for alias in (setting.name, setting.key, *setting.env) if alias}
    if name in known:
        return known[name]
    near = difflib.get_close_matches(name, known, n=3)
    hint = f"did you mean {' or '.join(near)}?" if near else "graphkit config list shows them all"
    raise UsageError(f"there is no setting {name}", hint=hint)


def _row(settings: Settings, setting: Setting, *, show_origin: bool) -> dict[str, Any]:
    value = getattr(settings, setting.name)
    shown = (NOT_SHOWN if value else "") if setting.secret else _plain(value)
    row = {"name": setting.name, "value": shown}
    return row | {"origin": settings.origin(setting.name)} if show_origin else row


def _plain(value: Any) -> Any:
    """What JSON can hold. What names a secret's place is no secret; the secret itself is no part of it."""
    if isinstance(value, Mapping):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(each) for each in value]
    return value if isinstance(value, bool | int | float | str) or value is None else _other(value)


def _other(value: Any) -> Any:
    return value.client_id if hasattr(value, "client_id") else str(value)


def _told(value: Any) -> str:
    from graphkit.cli.output import cell

    return cell(value)


def _shown(rows: list[dict[str, Any]]) -> Iterator[str]:
    return text.table(list(rows[0]), [[_told(value) for value in row.values()] for row in rows])


def _typed(value: str) -> Any:
    """A number, a switch or a list as TOML has them; anything else is text."""
    import tomllib

    try:
        return tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return value


def _write(path: Path, key: str, value: Any) -> None:
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    try:
        document = tomlkit.parse(path.read_text("utf-8-sig")) if path.exists() else tomlkit.document()
        table: Any = document
        *above, name = key.split(".")
        for part in above:
            table = table.setdefault(part, tomlkit.table())
        table[name] = value
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(tomlkit.dumps(document), encoding="utf-8", newline="\n")
    except TOMLKitError as error:
        raise UsageError(f"{path} cannot be read: {error}", hint="correct it first") from error
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from error
