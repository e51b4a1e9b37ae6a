"""The manual cannot drift: a command, an exit code or an error without its place there fails here."""

import re
from importlib import import_module
from pathlib import Path

import click
import pytest

from graphkit.cli import app, usage
from graphkit.errors import GraphkitError

DOCS = Path(__file__).parents[2] / "docs"
PAGES = [*sorted(DOCS.parent.glob("*.md")), *sorted(DOCS.rglob("*.md"))]
FOREIGN = re.compile(r"\b(az|func|azurite-queue|pytest|tools/\w+\.py)\b|--parameters|`--random`")
"""Lines about the options of other programs."""


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


def every_option(command=app.root):
    options = {name for param in command.params for name in param.opts}
    if isinstance(command, click.Group):
        options.update(*(every_option(command.get_command(None, verb)) for verb in command.list_commands(None)))
    return options


@pytest.mark.parametrize("page", PAGES, ids=[page.name for page in PAGES])
def test_every_option_that_a_page_names_exists(page):
    lines = [line for line in page.read_text(encoding="utf-8").splitlines() if not FOREIGN.search(line)]
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", "\n".join(lines)))
    assert named - every_option() - {"--help"} == set()


def anchors(page):
    headings = re.findall(r"(?m)^#+ (.+)$", re.sub(r"(?ms)^```.*?^```", "", page.read_text(encoding="utf-8")))
    return {re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=[page.name for page in PAGES])
def test_every_link_leads_to_a_file_and_a_heading_that_are_there(page):
    for link in re.findall(r"\]\((?!https?:)([^)\s]+)\)", page.read_text(encoding="utf-8")):
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


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
