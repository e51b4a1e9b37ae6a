"""What a plan and a drift tell of an object is what differs, and who made it so."""

import csv

import pytest

HEADER = "team_key,org,display_name,visibility,owners,archive\n"
OWNERS = "rx1-0001@contoso.example;rx1-0002@contoso.example"


@pytest.fixture
def teams(tmp_path):
    """``teams("Ward 7", archive="true")`` writes the list of one team and gives its path."""

    def write(name="Ward 7", archive=""):
        path = tmp_path / "teams.csv"
        path.write_text(f"{HEADER}ward-7,RX1,{name},Private,{OWNERS},{archive}\n", encoding="utf-8")
        return path

    return write


@pytest.fixture
def made(simulated, teams, tmp_path):
    """The run that made the team."""
    run = tmp_path / "runs" / "made.run"
    assert simulated("apply", "teams.provision", "-i", teams(), "--yes", "--out", run, "-o", "none").code == 0
    return run


def drift(simulated, path):
    found = simulated("drift", "teams.provision", "-i", path, "-o", "json").json["findings"]
    return {each["kind"]: each for each in found}


def test_a_plan_shows_under_an_update_only_what_it_changes(simulated, teams, made):
    shown = simulated("plan", "teams.provision", "-i", teams("Ward 7 North", "true"), "--full").stdout
    assert [line.strip() for line in shown.splitlines() if " -> " in line] == [
        'displayName: "Ward 7" -> "Ward 7 North"',
        "archived: false -> true",
    ]


def test_drift_names_the_properties_that_differ_and_nothing_else(simulated, teams, made):
    found = drift(simulated, teams("Ward 7 North"))
    assert found["group"]["note"] == "displayName"


@pytest.fixture
def runs(made, monkeypatch):
    monkeypatch.setenv("GRAPHKIT_RUNS_DIR", str(made.parent))


def test_a_changed_list_is_not_held_against_the_tenant(simulated, teams, runs):
    said = drift(simulated, teams("Ward 7 North"))["group"]["history"]
    assert said.startswith("last written by made.run on ")
    assert said.endswith("; since then it was changed, or the input was")


def test_what_an_undo_has_set_back_is_not_somebody_elses_doing(simulated, teams, runs, made):
    renamed = teams("Ward 7 North")
    run = made.with_name("renamed.run")
    assert simulated("apply", "teams.provision", "-i", renamed, "--yes", "--out", run, "-o", "none").code == 0
    back = made.with_name("back.run")
    assert simulated("undo", run, "--yes", "--out", back, "-o", "none").code == 0
    assert drift(simulated, renamed)["group"]["history"].startswith("set back by back.run on ")


@pytest.fixture
def staff(tmp_path):
    """``staff("RX1", "RX1", "RX2")``: a list of people with their organisations, shared by two pools."""

    def write(*orgs):
        rows = [f"rx1-{number:04}@contoso.example,{org}" for number, org in enumerate(orgs, start=30)]
        (tmp_path / "staff.csv").write_text("\n".join(("upn,Trust", *rows, "")), encoding="utf-8")
        pools = [
            f"  - {{org: {org}, sku: SPE_E3, cap: 9, members_from: {{csv: staff.csv, match: {{Trust: {org}}}}}}}"
            for org in ("RX1", "RX2")
        ]
        path = tmp_path / "pools.yaml"
        path.write_text("\n".join(("mode: authoritative", "pools:", *pools, "")), encoding="utf-8")
        return path

    return write


def test_who_is_removed_for_not_being_listed_is_told_by_name(simulated, staff):
    assert simulated("apply", "licenses.pools", "-i", staff("RX1", "RX1", "RX2"), "--yes", "-o", "none").code == 0
    plan = simulated("plan", "licenses.pools", "-i", staff("RX1", "RX2", "RX2"), "--full", "-o", "json").json
    assert [each["note"] for each in plan["items"] if each["action"] == "remove"] == ["rx1-0031@contoso.example"]


def test_rows_of_a_shared_list_that_no_pool_asks_for_are_in_the_results(simulated, staff):
    done = simulated("apply", "licenses.pools", "-i", staff("RX1", "RX7", "RX2"), "--yes", "-o", "json")
    assert [warning for warning in done.stderr.splitlines() if "ignored" in warning] == []
    with open(done.json["results"], encoding="utf-8-sig", newline="") as stream:
        assert [(row["Trust"], row["gk_error_code"]) for row in csv.DictReader(stream)] == [
            ("RX1", ""),
            ("RX7", "not-asked"),
            ("RX2", ""),
        ]


def test_who_is_removed_from_a_team_for_not_being_named_is_told_by_name(simulated, tmp_path, made):
    people = tmp_path / "people.csv"
    people.write_text("team_key,org,upn,role\nward-7,RX1,rx1-0001@contoso.example,Owner\n", encoding="utf-8")
    plan = simulated("plan", "teams.membership", "-i", people, "--mode", "authoritative", "--full", "-o", "json").json
    assert [each["note"] for each in plan["items"] if each["action"] == "remove"] == ["rx1-0002@contoso.example"]
