"""The manual cannot drift: a command, an exit code or an error without its place there fails here."""

import re
from importlib import import_module
from pathlib import Path

import click

from graphkit.cli import app, usage
from graphkit.errors import GraphkitError

DOCS = Path(__file__).parents[2] / "docs"


def every_command(command=app.root, name="graphkit"):
    for verb in command.list_commands(None):
        found = command.get_command(None, verb)
        yield f"{name} {verb}"
        if isinstance(found, click.Group):
            yield from every_command(found, f"{name} {verb}")


def every_error(base=GraphkitError):
    return [base, *(error for each in base.__subclasses__() for error in every_error(each))]


def test_every_command_has_its_heading_and_no_heading_is_left_over():
    text = (DOCS / "commands.md").read_text(encoding="utf-8")
    assert sorted(re.findall(r"(?m)^##+ (graphkit .+)$", text)) == sorted(every_command())


def test_every_exit_code_is_in_the_manual():
    text = (DOCS / "commands.md").read_text(encoding="utf-8")
    assert usage.EXIT_CODES.keys() <= {int(code) for code in re.findall(r"(?m)^\| (\d+) \|", text)}


def test_every_error_code_is_listed_with_its_exit_code():
    for module in (
        "recording",
        "client",
        "auth",
        "functions.answer",
        *(f"cli.{verb}" for verb in usage.COMMANDS),
        "cli.failure",
        "cli.consent",
    ):
        import_module(f"graphkit.{module}")
    listed = re.findall(r"(?m)^\| `([a-z-]+)` \| (\d+) \|", (DOCS / "errors.md").read_text(encoding="utf-8"))
    assert sorted(listed) == sorted((error.code, str(error.exit_code)) for error in every_error())


def test_codes_of_single_items_are_the_ones_that_the_engine_uses():
    engine = Path(import_module("graphkit.engine").__file__).parent
    source = "".join(path.read_text(encoding="utf-8") for path in engine.rglob("*.py"))
    text = (DOCS / "errors.md").read_text(encoding="utf-8")
    for code in re.findall(r"(?m)^\| `([a-z-]+)` \| [^\d]", text.partition("## Codes of single items")[2]):
        assert f'"{code}"' in source, code
