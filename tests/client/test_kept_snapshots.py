"""What is kept between runs, and how little it is believed."""

from __future__ import annotations

import os
import sqlite3
import stat
import sys
from contextlib import closing

import pytest

from graphkit.client import GraphClient
from graphkit.client.kept import open_kept, snapshot_path
from graphkit.client.snapshot import DeltaSnapshot
from graphkit.clock import VirtualClock
from graphkit.errors import UsageError
from graphkit.protocol.clouds import CLOUDS
from graphkit.sandbox import SandboxTransport, Seed, SimulatedTenant

USERS = "/users/delta"
SELECT = {"$select": "id,userPrincipalName"}


def far_end():
    return SandboxTransport(SimulatedTenant(VirtualClock(), seed=Seed(organisations=3, users=150), latency_s=0.05))


def test_each_tenant_and_each_app_has_a_file_of_its_own_below_the_cache_folder(tmp_path):
    paths = {snapshot_path(tmp_path, tenant, app) for tenant in ("one", "two") for app in ("a", "b")}
    assert len(paths) == 4
    assert all(path.parent == tmp_path / "snapshots" for path in paths)
    assert snapshot_path(tmp_path, "one", "a") in paths


@pytest.mark.skipif(sys.platform == "win32", reason="Windows knows no such modes")
def test_only_its_owner_may_read_what_is_kept(tmp_path):
    path = snapshot_path(tmp_path, "one", "a")
    open_kept(path).close()
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    assert stat.S_IMODE(os.stat(path.parent).st_mode) == 0o700


def test_a_client_keeps_in_its_own_file_and_without_one_in_memory(reading, tmp_path):
    async def use(graph):
        graph.snapshot().close()
        graph.snapshot_file = tmp_path / "kept.snapshot"
        for expected in (152, 0):
            with graph.snapshot() as snapshot:
                found = [change async for page in snapshot.follow(graph, USERS, params=SELECT) for change in page]
                assert (len(found), snapshot.count(USERS)) == (expected, 152)

    reading(far_end(), use)
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["kept.snapshot"]


def _text(path):
    path.write_text("upn\n" * 500, encoding="utf-8")


def _cut_off(path):
    _filled(path)
    path.write_bytes(path.read_bytes()[:9000])


def _overwritten(path):
    _filled(path)
    held = bytearray(path.read_bytes())
    held[4096:8192] = bytes(4096)
    path.write_bytes(held)


def _newer(path):
    DeltaSnapshot(path).close()
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("PRAGMA user_version=99")


def _filled(path):
    DeltaSnapshot(path).close()
    with closing(sqlite3.connect(path)) as db, db:
        rows = [("/users/delta", f"{number:036}", b"{}" * 50, 1) for number in range(500)]
        db.executemany("INSERT INTO object VALUES (?, ?, ?, ?)", rows)
        db.execute("INSERT INTO source VALUES ('/users/delta', 'v1.0', 'https://x.example/old', 1, 1.0)")


@pytest.mark.parametrize("damage", [_text, _cut_off, _overwritten, _newer])
def test_a_damaged_or_strange_cache_is_dropped_and_read_anew(tmp_path, damage):
    path = tmp_path / "kept.snapshot"
    damage(path)
    with open_kept(path) as snapshot:
        assert (snapshot.count(USERS), snapshot.read_at(USERS)) == (0, None)


def test_a_sound_cache_is_left_as_it_is(tmp_path):
    path = tmp_path / "kept.snapshot"
    _filled(path)
    with open_kept(path) as snapshot:
        assert (snapshot.count(USERS), snapshot.read_at(USERS)) == (500, 1.0)


def test_a_cache_in_use_is_not_taken_away(tmp_path):
    path = tmp_path / "kept.snapshot"
    _filled(path)
    with DeltaSnapshot(path) as snapshot:
        with pytest.raises(UsageError, match="locked"):
            open_kept(path)
        assert snapshot.count(USERS) == 500


def test_a_cache_may_be_deleted_at_any_time(reading, tmp_path):
    async def use(graph):
        graph.snapshot_file = tmp_path / "kept.snapshot"
        for _ in range(2):
            with graph.snapshot() as snapshot:
                async for _ in snapshot.follow(graph, USERS, params=SELECT):
                    pass
                assert snapshot.count(USERS) == 152
            graph.snapshot_file.unlink()

    reading(far_end(), use)


@pytest.mark.parametrize(
    ("later", "proof"),
    [(0, True), (599, True), (601, False), (86_400, False), (-60, False)],
    ids=["now", "ten minutes", "longer", "a day", "the clock was set back"],
)
def test_absence_is_concluded_for_ten_minutes_only(reading, later, proof):
    async def use(graph):
        with graph.snapshot() as snapshot:
            assert not snapshot.proves(USERS, graph.clock.now())
            async for _ in snapshot.follow(graph, USERS, params=SELECT):
                pass
            at = snapshot.read_at(USERS)
            return snapshot.proves(USERS, at + later)

    assert reading(far_end(), use)[0] is proof


def test_a_client_of_a_simulated_tenant_leaves_no_file():
    assert GraphClient(None, cloud=CLOUDS["global"], clock=VirtualClock()).snapshot_file is None
