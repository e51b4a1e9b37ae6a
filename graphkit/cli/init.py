"""``graphkit init``: a folder to start in."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator
from pathlib import Path

import click

from graphkit.cli.invocation import Invocation
from graphkit.cli.options import Command
from graphkit.cli.starter import put, starters
from graphkit.recipe import all_recipes
from graphkit.settings import SETTINGS, Setting, Settings

TOML_HEAD = """\
# graphkit.toml: settings for this folder, made to be shared. Secrets belong into the environment or a private .env.
# Take the # off where you set something.
"""
ENV_HEAD = """\
# .env: settings that are not for sharing. Keep it private (chmod 600 .env) and out of version control.
# Take the # off where you set something; values are taken literally.
"""
IGNORED = ".env\n*.run\n*.run-journal\n*.run.lock\n*.results.csv\n"


@click.command("init", cls=Command)
@click.argument("folder", default=".", metavar="[DIR]")
@click.pass_obj
def command(invocation: Invocation, /, folder: str) -> None:
    """Write graphkit.toml, .env and starter inputs of every recipe into DIR; what is there already stays."""
    root = Path(folder)
    written = [
        put(root / "graphkit.toml", TOML_HEAD + "".join(_toml())),
        put(root / ".env", ENV_HEAD + "".join(_env()), private=True),
        put(root / ".gitignore", IGNORED),
    ]
    for recipe in all_recipes():
        written += [put(root / recipe.name / file, content) for file, content in starters(recipe)]
    invocation.output.emit([each.to_json() for each in written], lambda: [str(each) for each in written])


def _toml() -> Iterator[str]:
    """Plain keys first: in TOML whatever follows a table belongs to it."""
    keyed = sorted((setting for setting in SETTINGS if setting.key), key=lambda setting: _table(setting) != "")
    table = ""
    for setting in keyed:
        if _table(setting) != table:
            table = _table(setting)
            yield f"\n#[{table}]\n"
        yield _comment(setting)
        if setting.key != table:
            yield f"#{setting.key.rpartition('.')[2]} = {_default(setting)}\n"


def _default(setting: Setting) -> str:
    """As TOML, which for these types is JSON. Folders differ from machine to machine; empty means the default."""
    value = getattr(Settings(), setting.name)
    return json.dumps("" if value is None or isinstance(value, Path) else value)


def _table(setting: Setting) -> str:
    return "limits" if setting.key == "limits" else setting.key.rpartition(".")[0]


def _env() -> Iterator[str]:
    """What graphkit.toml may not hold, and the credentials by the Azure SDK's own names."""
    for setting in SETTINGS:
        name = setting.env[0] if setting.env else ""
        if setting.secret or name.startswith("AZURE_"):
            yield f"{_comment(setting)}#{name}=\n"


def _comment(setting: Setting) -> str:
    return "\n" + textwrap.fill(setting.doc, 110, initial_indent="# ", subsequent_indent="# ") + "\n"
