"""``graphkit quota``: what may be taken, and what is."""

import os
from types import SimpleNamespace

import pytest

from graphkit import session
from graphkit.cli import progress, quota
from graphkit.clock import RealClock
from graphkit.transport.tally_file import FileTally, uses_in
from graphkit.transport.use import Use

WRITES = "identity.app_tenant.writes"


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """The runs folder, into which another process may write what it takes."""
    folder = tmp_path / "runs"
    monkeypatch.setenv("GRAPHKIT_RUNS_DIR", str(folder))
    return folder


def other_process(folder, number, *uses, at=None):
    wall = SimpleNamespace(now=lambda: RealClock().now() if at is None else at)
    tally = FileTally(folder, wall.now, wall=wall)
    tally._process = str(number)
    tally.open(uses[0].tenant)
    tally.tell(uses)
    return tally


def use(used, waiting=0, stopped_until=0.0, bucket=WRITES, tenant="t-1"):
    return Use(bucket, used, waiting, stopped_until, tenant, "app-1")


def test_every_published_limit_is_listed_with_our_share_of_it(graphkit, runs):
    result = graphkit("quota", "-o", "json")
    assert (result.code, result.json["share"], result.json["uses"]) == (0, 0.7, [])
    rows = {row["bucket"]: row for row in result.json["buckets"]}
    assert len(rows) > 250
    assert rows[WRITES] == {
        "bucket": WRITES,
        "title": "directory writes",
        "quota": 3000,
        "window": 150,
        "unit": "writes",
        "scope": "app+tenant",
        "each": False,
        "share": 2100.0,
        "origin": "published",
        "source": rows["identity.tenant.writes"]["source"],
    }
    assert all(row["source"] for row in rows.values())


def test_words_choose_and_people_get_a_table(graphkit, runs):
    result = graphkit("quota", "Teams", ".add_member.")
    lines = result.stdout.splitlines()
    assert lines[0] == "nothing is in use by a run on this machine"
    assert [line.split()[0] for line in lines[3:]] == [
        "teams.add_member.app", "teams.add_member.app_tenant", "teams.add_member.resource",
    ]  # fmt: skip


def test_limits_and_share_of_ones_own_are_shown_as_such(graphkit, runs, tmp_path, monkeypatch):
    (tmp_path / "own.toml").write_text(f'quota_share = 0.5\n[limits]\n"{WRITES}" = 100\n', encoding="utf-8")
    (row,) = graphkit("quota", WRITES, "-o", "json", "--config", tmp_path / "own.toml").json["buckets"]
    assert (row["quota"], row["share"], row["origin"]) == (100, 50, "settings")
    assert "(set here)" in graphkit("quota", WRITES, "--config", tmp_path / "own.toml").stdout


def test_what_several_processes_take_is_added_up_and_the_binding_one_named(graphkit, runs):
    stopped = RealClock().now() + 60
    other_process(runs, 1, use(0.3, 200), use(0.1, bucket="global.app"))
    other_process(runs, 2, use(0.25, 100, stopped))
    other_process(runs, 3, use(0.5, tenant="t-2"))
    answer = graphkit("quota", "--used", "-o", "json").json
    assert answer["binding"] == WRITES
    assert [(each["tenant"], each["bucket"], each["used"], each["waiting"]) for each in answer["uses"]] == [
        ("t-1", WRITES, 0.55, 300),
        ("t-2", WRITES, 0.5, 0),
        ("t-1", "global.app", 0.1, 0),
    ]
    assert answer["uses"][0]["stopped_until"].endswith("Z")
    assert [row["bucket"] for row in answer["buckets"]] == ["global.app", WRITES]
    table = graphkit("quota", "--used").stdout
    assert "directory writes  55%" in table


def test_what_a_killed_process_left_behind_counts_for_nothing_and_damage_is_passed_over(graphkit, runs):
    other_process(runs, 1, use(0.9), at=RealClock().now() - 60)
    other_process(runs, 2, use(0.4))
    (runs / "pace-3.json").write_text('{"format": 1', encoding="utf-8")
    (runs / "pace-4.json").write_bytes(b"\xff\xfe")
    assert [each["used"] for each in graphkit("quota", "-o", "json").json["uses"]] == [0.4]


def test_watch_draws_again_until_ctrl_c(graphkit, runs, monkeypatch):
    shown = []

    class Wall(RealClock):
        async def sleep(self, seconds):
            shown.append(seconds)
            if len(shown) == 3:
                raise KeyboardInterrupt
            other_process(runs, 1, use(0.1 * len(shown), 7))

    monkeypatch.setattr(quota, "RealClock", Wall)
    result = graphkit("quota", "--watch")
    assert (result.code, shown) == (0, [1.0] * 3)
    assert [part in result.stdout for part in ("nothing is in use", "10%", "20%", "30%")] == [True, True, True, False]
    shown.clear()
    lines = graphkit("quota", "--watch", "-o", "jsonl").lines
    assert [len(line["uses"]) for line in lines] == [1, 1, 1]


def test_a_run_tells_what_it_takes_while_it_lasts(graphkit, tenant, pools, runs, tmp_path, monkeypatch):
    """In real time; where time jumps there is nobody to tell."""
    real_time = ("-t", "simulated", "--state", tenant.path)
    graphkit("plan", "licenses.pools", "-i", pools(), "--out", tmp_path / "a.run", *real_time)
    monkeypatch.setattr(session, "TOLD_EVERY_S", 0.0)
    seen, modes = [], []

    def look(*_):
        seen.extend(uses_in(runs, RealClock().now()))
        modes.extend(path.stat().st_mode & 0o777 for path in runs.glob("pace-*.json"))

    monkeypatch.setattr(progress.Meter, "update", look)
    assert graphkit("apply", tmp_path / "a.run", "--yes", *real_time).code == 0
    assert WRITES in {each.bucket for each in seen}
    assert {each.app for each in seen} == {"simulated"}
    assert not uses_in(runs, RealClock().now())
    if os.name == "posix":
        assert set(modes) == {0o600}


def test_a_run_shows_what_it_takes_beside_the_places_that_it_reserves(runs):
    """One file for both: neither spoils the other."""
    first, second = other_process(runs, 1, use(0.3)), other_process(runs, 2, use(0.25))
    assert first.reserve("app/x", 20, 1.0, 0.0).amount == 20
    assert [each.used for each in uses_in(runs, RealClock().now())] == [0.55]
    after = second.reserve("app/x", 20, 1.0, 0.0).start - first.reserve("app/x", 1, 1.0, 0.0).start
    assert abs(after + 20) < 1
    second.tell(())
    assert [each.used for each in uses_in(runs, RealClock().now())] == [0.3]
    assert len(list(runs.glob("*.json"))) == 1


def test_a_disk_that_takes_nothing_more_stops_no_run(tmp_path):
    (tmp_path / "file").write_text("", encoding="utf-8")
    tally = other_process(tmp_path / "file", 1, use(0.5))
    tally.tell(())
    assert uses_in(tmp_path / "file", RealClock().now()) == []
