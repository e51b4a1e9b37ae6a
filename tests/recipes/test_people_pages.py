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


def test_joiners_with_passes(example, tmp_path):
    """The block of the page's own section, added to its page of rules."""
    office, run = example("people.joiners", "2026-01-05")
    text = (PAGES / "people.joiners.md").read_text(encoding="utf-8").partition("## Temporary access passes")[2]
    page = tmp_path / "people.yaml"
    page.write_text(page.read_text(encoding="utf-8") + re.search(r"```yaml\n(.*?)```", text, re.DOTALL)[1])
    method = "/policies/authenticationMethodsPolicy/authenticationMethodConfigurations/temporaryAccessPass"
    kind = "#microsoft.graph.temporaryAccessPassAuthenticationMethodConfiguration"
    body = f'{{"@odata.type": "{kind}", "state": "enabled"}}'
    assert office.simulated("graph", "patch", method, "--body", body, "--yes").code == 0
    for name in ("RX1.nurses", "RX1.SPE_F1.pool"):
        office.group(name)
    passes = lines(run("plan"), "user.accessPass")
    assert {key: item["note"] for key, item in passes.items()} == {"90001": "good from 2026-01-05T08:00:00Z on"}
    assert run("apply", "--yes", "--tap-out", tmp_path / "passes.csv").code == 0
    assert (tmp_path / "passes.csv").read_text(encoding="utf-8").count("alex.example@contoso.example") == 1


def _none(plan):
    return {action: count for action, count in plan.json["changes"].items() if not count}


def test_leavers(example):
    office, run = example("people.leavers", "2026-01-05", "--allow-irreversible", "--max-deletes", "5")
    owner = office.graph("/users/rx1-0002@contoso.example?$select=id")["id"]
    link = f"https://graph.microsoft.com/v1.0/users/{owner}"
    group = office.group("alone", **{"owners@odata.bind": [link]})
    plan = run("plan")
    assert {key: item["note"][-13:] for key, item in lines(plan, "scheduled").items()} == {
        "RX100002": "on 2026-01-09",
        "RX100003": "on 2026-03-31",
    }
    assert run("apply", "--yes").code == 0
    owners = {each["userPrincipalName"] for each in office.graph(f"/groups/{group}/owners")["value"]}
    assert owners == {"rx1-0001@contoso.example", "rx1-0002@contoso.example"}
    assert office.user("RX100002")["accountEnabled"] is False


def test_movers(example):
    office, run = example("people.movers", "2026-01-05")
    kim = office.graph("/users/rx1-0002@contoso.example?$select=id")["id"]
    link = f"https://graph.microsoft.com/v1.0/users/{kim}"
    nurses = office.group("RX1.nurses", **{"members@odata.bind": [link]})
    pharmacy = office.group("RX1.pharmacy")
    plan = run("plan")
    assert {action: count for action, count in plan.json["changes"].items() if count} == {
        "update": 2,
        "add": 3,
        "noop": len(lines(plan, "mover")) + len(lines(plan, "group.reference")) + len(lines(plan, "scheduled")),
    }
    assert [item["note"] for item in lines(plan, "scheduled").values()] == ["leaves RX1.nurses on 2026-01-19"]
    assert run("apply", "--yes").code == 0
    assert (kim in office.members(nurses), kim in office.members(pharmacy)) == (True, True)
    assert run("apply", "--as-of", "2026-01-19", "--yes").code == 0
    assert kim not in office.members(nurses)
