"""graphkit drift: the tenant against the inputs, without a write."""

import json
import shutil
import sqlite3
from contextlib import closing
from xml.etree import ElementTree as Xml

import pytest

from graphkit.engine.change import Action, Change
from graphkit.jobs.acceptance import Acceptance


@pytest.fixture
def applied(simulated, pools):
    """The pool of RX1 as the inputs ask for it, the service's own delays passed."""
    path = pools()
    assert simulated("apply", "licenses.pools", "-i", path, "--yes", "-o", "none").code == 0
    return path


@pytest.fixture
def taken_away(simulated, applied):
    """Somebody has since removed a member by hand."""
    group = next(
        each["id"]
        for each in simulated("graph", "get", "/groups", "--all", "-o", "json").json
        if each.get("uniqueName") == "RX1.SPE_E3.pool"
    )
    member = simulated("graph", "get", f"/groups/{group}/members", "--all", "-o", "json").json[0]
    gone = simulated("graph", "delete", f"/groups/{group}/members/{member['id']}/$ref", "--yes")
    assert gone.code == 0, gone.stderr
    return applied


def drift(simulated, path, *more):
    return simulated("drift", "licenses.pools", "-i", path, *more, "-o", "json")


def test_what_is_as_wished_is_no_drift_and_leaves_no_run_behind(simulated, applied, tmp_path):
    before = set(tmp_path.rglob("*.run"))
    result = drift(simulated, applied)
    assert (result.code, result.json["status"], result.json["findings"]) == (0, "none", [])
    assert set(tmp_path.rglob("*.run")) == before


def test_drift_sends_no_write(simulated, tenant, taken_away):
    before = len(tenant.log())
    assert drift(simulated, taken_away).code == 2
    assert len(tenant.log()) == before


def test_what_somebody_took_away_is_told_from_what_was_never_made(simulated, pools, taken_away):
    """One member was there by our own run; another is new in the list."""
    pools(46)
    result = drift(simulated, taken_away)
    histories = {finding["key"]: finding["history"] for finding in result.json["findings"]}
    assert len(histories) == 2
    never = histories.pop("RX1.SPE_E3.pool/rx1-0046@contoso.example")
    assert never == "no run of this machine made it"
    (gone,) = histories.values()
    assert "taken away since by somebody else" in gone


def test_a_run_file_that_is_damaged_says_nothing_and_stops_nothing(simulated, taken_away, tmp_path):
    (run,) = tmp_path.rglob("*.run")
    damaged = shutil.copy(run, run.with_name("0.run"))
    with closing(sqlite3.connect(damaged)) as db:
        db.execute("DROP TABLE outcome")
    (finding,) = drift(simulated, taken_away).json["findings"]
    assert f"made by {run.name}" in finding["history"]


def test_the_plan_that_puts_it_right_is_kept_and_does_so(simulated, taken_away):
    run = drift(simulated, taken_away).json["recipes"][0]["run"]
    assert simulated("apply", run, "--yes", "-o", "json").json["outcomes"]["done"] == 1
    assert drift(simulated, taken_away).code == 0


ACCEPTED = """
accept:
  - key: RX1.SPE_E3.pool/*
    action: add
    owner: service desk
    reason: hardware refresh
    until: {until}
"""


@pytest.mark.parametrize(("until", "code", "left"), [("2999-12-31", 0, 0), ("2001-01-31", 2, 1)])
def test_an_accepted_difference_counts_until_its_last_day(simulated, taken_away, tmp_path, until, code, left):
    accept = tmp_path / "accept.yaml"
    accept.write_text(ACCEPTED.format(until=until))
    result = drift(simulated, taken_away, "--accept", accept)
    assert (result.code, result.json["open"], len(result.json["expired"])) == (code, left, left)


@pytest.mark.parametrize(
    ("pattern", "key", "covered"),
    [
        ("[Prod] Block legacy sign-in", "[Prod] Block legacy sign-in", True),
        ("[Prod]*", "[Prod] Block legacy sign-in", True),
        ("Who signs in?", "Who signs in?", True),
        ("Who signs in?", "Who signs in!", False),
        ("*/rx1-0001@contoso.example", "RX1.SPE_E3.pool/rx1-0001@contoso.example", True),
        ("rx1.*", "RX1.SPE_E3.pool", False),
        ("two*", "two\nlines", True),
    ],
)
def test_in_an_acceptance_only_a_star_stands_for_something_else(pattern, key, covered):
    entry = Acceptance(key=pattern, owner="service desk", reason="hardware refresh", until="2999-12-31")
    assert entry.covers("devices.policies", Change(kind="group", key=key, action=Action.UPDATE)) is covered


def test_an_acceptance_without_owner_reason_and_day_is_refused_whole(simulated, applied, tmp_path):
    accept = tmp_path / "accept.yaml"
    accept.write_text("accept:\n  - key: x\n")
    result = drift(simulated, applied, "--accept", accept)
    assert result.code == 5
    assert all(f"accept[0].{name}" in result.stderr + result.stdout for name in ("owner", "reason", "until"))


def test_an_acceptance_that_nothing_needs_is_named(simulated, applied, tmp_path):
    accept = tmp_path / "accept.yaml"
    accept.write_text(ACCEPTED.format(until="2999-12-31"))
    assert len(drift(simulated, applied, "--accept", accept).json["unused"]) == 1


def test_build_servers_get_a_case_for_each_difference(simulated, taken_away, tmp_path):
    junit = tmp_path / "drift.xml"
    assert drift(simulated, taken_away, "--junit", junit).code == 2
    (suite,) = Xml.parse(junit).getroot()
    assert (suite.get("name"), suite.get("failures"), suite.get("tests")) == ("licenses.pools", "1", "1")
    assert "taken away" in suite.find("testcase/failure").get("message")


def test_all_compares_what_the_settings_name(simulated, taken_away, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "graphkit.toml").write_text('[drift]\n"licenses.pools" = ["pools.yaml"]\n')
    result = simulated("drift", "--all", "-o", "json")
    assert (result.code, [each["recipe"] for each in result.json["recipes"]]) == (2, ["licenses.pools"])
    assert simulated("drift", "licenses.pools").code == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "name a recipe, or give --all"),
        (["--all"], "no recipe to compare"),
        (["licenses.pools"], "no inputs for licenses.pools"),
        (["--all", "-i", "pools.yaml"], "name one recipe"),
    ],
)
def test_drift_says_what_it_lacks(simulated, arguments, said):
    result = simulated("drift", *arguments)
    assert (result.code, said in result.stderr) == (5, True)


def test_the_table_shows_what_would_put_it_right(simulated, taken_away):
    shown = simulated("drift", "licenses.pools", "-i", taken_away).stdout
    assert "1 differ" in shown
    assert "to put it right: graphkit apply" in shown
    assert "+ group.member RX1.SPE_E3.pool/" in shown


def test_findings_are_json_that_other_programs_read(simulated, taken_away):
    finding = json.loads(drift(simulated, taken_away).stdout)["findings"][0]
    assert finding.keys() == {"recipe", "action", "kind", "key", "note", "history", "accepted"}
