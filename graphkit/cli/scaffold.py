"""``graphkit recipe new``: a recipe that works as it is, for somebody to change into their own."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

from graphkit.errors import UsageError
from graphkit.recipe import GROUP

NAME = re.compile(r"[a-z][a-z0-9]*\.[a-z][a-z0-9]*(?:-[a-z0-9]+)*")
NEW_BUNDLE = "our_recipes"
"""What a bundle is called where there is none yet; ``recipes`` is graphkit's own."""

PROJECT = """\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "our-recipes"
version = "0.1.0"
requires-python = ">=3.11"
dependencies = ["graphkit-m365"]

# The bundle is registered, not each recipe: a new file in it needs no reinstall.
[project.entry-points."graphkit.recipes"]
our_recipes = "our_recipes"

[tool.hatch.build.targets.wheel]
packages = ["our_recipes"]
"""

MODULE = '''\
"""{name}: say here in one line what it does."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import Field

from graphkit.engine.change import Desired
from graphkit.engine.resource import PlanOptions
from graphkit.inputs.types import InputModel, Org, Upn
from graphkit.recipe import Inputs, Recipe


class Row(InputModel):
    """One row. Descriptions become the manual, `recipe show` and the JSON Schema."""

    org: Org = Field(description="organisation code")
    upn: Upn = Field(description="whom to put into the organisation's group")


def desired(inputs: Inputs, options: PlanOptions) -> Iterator[Desired]:
    """A group for each organisation, and its members. Pure: it asks neither the tenant nor the clock."""
    groups: set[str] = set()
    for origin, row in inputs.rows(Row, key=lambda row: (row.org, row.upn)):
        if options.org not in ("", row.org):
            continue
        key = f"{{row.org}}-{slug}".lower()
        if key not in groups:
            groups.add(key)
            properties = {{
                "displayName": f"{{row.org}} {words}",
                "uniqueName": key,
                "mailNickname": key,
                "mailEnabled": False,
                "securityEnabled": True,
            }}
            yield Desired(kind="group", key=key, origin=origin, properties=properties)
        member = f"{{key}}/{{row.upn.lower()}}"
        yield Desired(kind="group.member", key=member, origin=origin, properties={{"group": key, "user": row.upn}})


RECIPE = Recipe(
    name="{name}",
    summary="A group for each organisation, with the people listed",
    permissions=("Group.ReadWrite.All",),
    desired=desired,
    template="{stem}.csv",
    models=(Row,),
    options=("org", "adopt"),
)
'''

TEMPLATE = """\
org,upn
RX1,rx1-0001@contoso.example
RX1,rx1-0002@contoso.example
RX2,rx2-0001@contoso.example
"""

TEST = '''\
"""What every recipe must hold, and what this one is for."""

from graphkit.recipe import find_recipe
from graphkit.trials import run_trials


def test_the_trials(tmp_path):
    for trial in run_trials(find_recipe("{name}"), tmp_path / "trials"):
        assert trial.passed is not False, f"{{trial.name}}: {{trial.told}}"
'''

PAGE = """\
# {name}

A group for each organisation, with the people listed.

```
graphkit recipe template {name}
graphkit plan {name} -i {stem}.csv --out {stem}.run
graphkit apply {stem}.run --yes
```
"""


def scaffold(name: str, folder: Path) -> Iterator[tuple[Path, str]]:
    """(path, text) of everything that a new recipe ``family.name`` needs below ``folder``. Raises ``UsageError``.

    The bundle is the one that ``folder``'s pyproject.toml registers; where there is none, a new project.
    """
    if not NAME.fullmatch(name):
        raise UsageError(f"{name!r} is not a recipe's name such as groups.by-org", hint="family.name, in lower case")
    family, _, rest = name.partition(".")
    stem = rest.replace("-", "_")
    bundle = _bundle_of(folder / "pyproject.toml")
    if not bundle:
        bundle = NEW_BUNDLE
        yield folder / "pyproject.toml", PROJECT
    words = {"name": name, "stem": stem, "slug": f"{family}-{rest}", "words": rest.replace("-", " ")}
    for package, told in ((folder / bundle, "Recipes."), (folder / bundle / family, f"Recipes about {family}.")):
        yield package / "__init__.py", f'"""{told}"""\n'
    yield folder / bundle / family / f"{stem}.py", MODULE.format(**words)
    yield folder / bundle / family / f"{stem}.csv", TEMPLATE
    yield (
        folder / "tests" / ("recipes" if bundle == "recipes" else "") / f"test_{family}_{stem}.py",
        TEST.format(**words),
    )
    yield folder / "docs" / "recipes" / f"{name}.md", PAGE.format(**words)


def _bundle_of(project: Path) -> str:
    """The first package that the project registers as a bundle; empty if it is no project yet."""
    if not project.exists():
        return ""
    try:
        points = tomllib.loads(project.read_text(encoding="utf-8"))["project"]["entry-points"][GROUP]
    except (KeyError, tomllib.TOMLDecodeError) as error:
        line = f'[project.entry-points."{GROUP}"]'
        raise UsageError(f"{project} registers no bundle of recipes", hint=f"add {line} to it") from error
    return str(next(iter(points.values())))
