"""The worked examples of the pages of the people recipes do what the pages say."""

import re
from pathlib import Path

import pytest
from staff import Office, lines

PAGES = Path(__file__).parents[2] / "docs" / "recipes"


@pytest.fixture
def example(simulated, tmp_path):
    """An office whose files are those of a page, beside the plan of them."""

    def plan(recipe, day, *flags):
        text = (PAGES / f"{recipe}.md").read_text(encoding="utf-8")
        given = []
        for suffix in ("csv", "yaml"):
            path = tmp_path / f"people.{suffix}"
            path.write_text(re.search(rf"```{suffix}\n(.*?)```", text, re.DOTALL)[1], encoding="utf-8")
            given += ["-i", path]
        office = Office(simulated, tmp_path, recipe)
        return office, lambda verb, *more: simulated(
            verb, recipe, *given, "--as-of", day, *flags, *more, "-o", "json", *(["--full"] if verb == "plan" else [])
        )

    return plan


def test_joiners(example):
    office, run = example("people.joiners", "2026-01-20")
    office.group("RX1.nurses")
    office.group("RX1.SPE_F1.pool")
    plan = run("plan")
    assert plan.json["changes"] == {"create": 2, "add": 5, "noop": 3, **_none(plan)}
    assert "alex.example2@contoso.example instead" in lines(plan, "user")["90002"]["note"]
    assert run("apply", "--yes").code == 0
    assert office.user("90002")["accountEnabled"] is False


def _none(plan):
    return {action: count for action, count in plan.json["changes"].items() if not count}
