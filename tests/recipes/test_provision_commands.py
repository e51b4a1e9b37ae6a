"""teams.provision as an administrator runs it: through the command line, on a simulated tenant kept in a file."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from graphkit.__main__ import main
from graphkit.clock import VirtualClock
from graphkit.sandbox import Seed, SimulatedTenant

ROOT = Path(__file__).parents[2]
ROSTERS = ROOT.parent / "shared" / "data" / "rosters" / "uk-25-users"
MAP = ROOT / "recipes" / "teams" / "provision.rosters-map.yaml"
HEADER = "team_key,org,display_name,visibility,owners,channels"
TWO = "rx1-0001@contoso.example;rx1-0002@contoso.example"
FOUR = f"""{HEADER}
ward-1,RX1,Ward 1,Private,{TWO},Rotas
ward-2,RX1,Ward 2,Private,{TWO},
ward-3,RX1,Ward 3,Public,{TWO},
ward-4,RX1,Ward 4,Private,rx1-0015@contoso.example;rx1-0001@contoso.example,
"""


class Place:
    """A folder with a tenant in a file, and the command line in it."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self.state = folder / "tenant.state"
        self._capsys = capsys

    def line(self, *arguments: str) -> list[str]:
        return ["-t", "simulated", "--state", str(self.state), "--virtual-time", "-o", "json", *arguments]

    def __call__(self, *arguments: str) -> tuple[int, Any]:
        """The exit code, and what the command printed."""
        self._capsys.readouterr()
        code = main(self.line(*arguments))
        printed = self._capsys.readouterr()
        assert printed.out, printed.err
        return code, json.loads(printed.out)

    def child(self, *arguments: str) -> int:
        command = [sys.executable, "-m", "graphkit", *self.line(*arguments)]
        return subprocess.run(command, cwd=self.folder, capture_output=True, check=False).returncode

    def tenant(self, seed: Seed | None = None) -> SimulatedTenant:
        return SimulatedTenant.open(self.state, VirtualClock(), seed=seed)

    def write(self, name: str, text: str) -> str:
        (self.folder / name).write_text(text, encoding="utf-8")
        return name

    def results(self, run: str) -> list[dict[str, str]]:
        with (self.folder / run).with_suffix(".results.csv").open(encoding="utf-8-sig", newline="") as file:
            return list(csv.DictReader(file))


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Place:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("GRAPHKIT_")]:
        monkeypatch.delenv(name)
    return Place(tmp_path, capsys)


def test_four_rows_are_two_creates_one_update_and_one_block_killed_after_one_put_and_resumed(place):
    place.tenant(Seed(organisations=1, users=40, licensed=10)).close()
    place.write("there.csv", f"{HEADER}\nward-3,RX1,Ward 3,Private,{TWO},\n")
    assert place("apply", "teams.provision", "-i", "there.csv", "--yes")[0] == 0
    place.write("four.csv", FOUR)
    arguments = ("plan", "teams.provision", "-i", "four.csv", "--allow-public")

    code, plan = place(*arguments, "--out", "a.run")
    assert code == 0
    assert plan["kinds"]["team"] == {"create": 2, "noop": 1, "blocked": 1}
    assert plan["kinds"]["group"] == {"create": 2, "update": 1, "blocked": 1}

    tenant = place.tenant()
    tenant.faults.add({"method": "PUT", "path": "/groups/*/team", "action": "kill", "when": "after"})
    tenant.close()
    assert place.child("apply", "a.run", "--yes") == -signal.SIGKILL
    tenant = place.tenant()
    assert len(tenant.state.table("teams").objects) == 2, "one from before, one since"
    tenant.faults.clear()
    tenant.close()

    code, ended = place("resume", "a.run", "--yes")
    assert code == 3
    assert ended["outcomes"]["failed"] == ended["outcomes"]["unknown"] == 0
    rows = place.results("a.run")
    assert [(row["gk_action"], row["gk_status"]) for row in rows] == [
        ("create", "done"), ("create", "done"), ("update", "done"), ("blocked", "skipped"),
    ]  # fmt: skip
    assert "holds no Teams licence" in rows[3]["gk_error"]
    tenant = place.tenant()
    groups = tenant.state.table("groups").objects.values()
    assert sorted(each["mailNickname"] for each in groups if "Unified" in each["groupTypes"]) == [
        "rx1-ward-1", "rx1-ward-2", "rx1-ward-3",
    ]  # fmt: skip
    assert len(tenant.state.table("teams").objects) == 3
    tenant.close()

    code, again = place(*arguments, "--out", "b.run")
    assert (code, again["status"]) == (0, "empty")
    assert set(again["kinds"]["team"]) == {"noop", "blocked"}


KILLS = [
    {"method": "PATCH", "path": "/groups*", "when": "after"},
    {"method": "POST", "path": "/teams/*/channels", "when": "after"},
]


@pytest.mark.parametrize("rule", KILLS, ids=["after a group", "after a channel"])
def test_a_run_killed_at_any_write_ends_as_if_it_had_not_been(place, rule):
    place.tenant(Seed(organisations=1, users=20, licensed=10)).close()
    place.write("two.csv", f"{HEADER}\nward-1,RX1,Ward 1,Private,{TWO},Rotas\nward-2,RX1,Ward 2,Private,{TWO},Rotas\n")
    assert place("plan", "teams.provision", "-i", "two.csv", "--out", "a.run")[0] == 0
    tenant = place.tenant()
    tenant.faults.add({**rule, "action": "kill"})
    tenant.close()
    assert place.child("apply", "a.run", "--yes") == -signal.SIGKILL
    tenant = place.tenant()
    tenant.faults.clear()
    tenant.close()

    assert place("resume", "a.run", "--yes")[0] == 0
    tenant = place.tenant()
    writes = [entry.path for entry in tenant.log if entry.method in ("PUT", "POST")]
    assert (len(tenant.state.table("teams").objects), len(writes)) == (2, 4)
    tenant.close()
    assert place("plan", "teams.provision", "-i", "two.csv", "--out", "b.run")[1]["status"] == "empty"


@pytest.mark.skipif(not ROSTERS.is_dir(), reason="the published rosters are not here")
def test_the_sections_of_a_roster_that_have_a_teacher_become_teams(place):
    with (ROSTERS / "Teacher.csv").open(encoding="utf-8-sig", newline="") as file:
        teachers = tuple(f"{row['Username']}@contoso.example" for row in csv.DictReader(file))
    place.tenant(Seed(organisations=1, users=10, accounts=teachers)).close()

    code, plan = place(
        "plan", "teams.provision", "-i", str(ROSTERS), "--map", str(MAP), "--set", "domain=contoso.example",
        "--out", "a.run",
    )  # fmt: skip
    assert code == 0
    assert plan["kinds"]["team"] == {"create": 4, "blocked": 24}
    code, ended = place("apply", "a.run", "--yes")
    assert (code, ended["outcomes"]["failed"]) == (3, 0)
    rows = place.results("a.run")
    assert [row["gk_status"] for row in rows].count("done") == 4
    assert {row["gk_error"] for row in rows if row["gk_status"] == "skipped"} == {"no owner"}
    assert list(rows[0])[:3] == ["ID", "School DfE Number", "Section Name"]


def test_the_starter_file_is_valid(place):
    code, found = place("validate", "teams.provision", "-i", str(ROOT / "recipes" / "teams" / "provision.csv"))
    assert (code, found["errors"]) == (0, [])


def test_bad_rows_are_all_named_and_nothing_is_written(place):
    place.tenant(Seed(organisations=1, users=40, licensed=10)).close()
    lines = [f"a,RX1,A,Secret,{TWO},", f"b,RX1,B,Private,{TWO},x/y", "c,RX1,C,Private,nobody@contoso.example,"]
    place.write("bad.csv", "\n".join([HEADER, *lines]) + "\n")
    code, told = place("plan", "teams.provision", "-i", "bad.csv", "--out", "a.run")
    assert code == 5
    assert [problem["row"] for problem in told["error"]["errors"]] == [2, 3, 4]
    assert not (place.folder / "a.run").exists()
