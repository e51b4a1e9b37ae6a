"""What a plan and a drift tell of an object is what differs, and who made it so."""

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
