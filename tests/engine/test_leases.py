"""Two copies by mistake: of one run, of two runs that write the same objects, on one machine and on several."""

from __future__ import annotations

import errno
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor

import pytest
from chaos import World as AnyWorld

from graphkit.engine.claim import claimed
from graphkit.engine.lease import Lease
from graphkit.engine.runfile import RunFile
from graphkit.errors import InUse, LeaseLost, RunFileError


def pooled(world, *numbers):
    """A CSV with these people in place of the usual ones."""
    names = [f"rx1-{number:04}@contoso.example" for number in numbers]
    (world.folder / "rx1.csv").write_text("\n".join(["upn", *names]) + "\n", encoding="utf-8")


def intend(path, *, kind, holder="worker a"):
    """What a worker leaves behind that stood still between the intent and the request."""
    with RunFile.open(path, write=True) as run:
        lease = Lease.take(run, holder, 0.0)
        change = next(run.changes(kind))
        with run.transaction():
            run.intend([(1, change.seq, 0.0)])
        run.set_header(status="applying")
        assert not lease.left_open
        return change


# -- one run, several hosts ------------------------------------------------------------------------------------------


def test_a_worker_that_was_overtaken_stops_and_its_successor_ends_the_run(world):
    world.plan()
    overtaken = []

    def overtake(progress):
        if progress.done and not overtaken:
            overtaken.append(progress.done)
            with RunFile.open(world.folder / "a.run", write=True, shared=True) as run:
                Lease.take(run, "worker b", 0.0)

    with pytest.raises(LeaseLost, match="taken over by worker b"):
        world.apply(observer=overtake, worker="worker a")
    assert overtaken[0] < 47
    assert world.apply(resume=True, worker="worker b").outcomes["done"] == 47
    methods = [method for method, _ in world.writes()]
    assert (methods.count("PATCH"), methods.count("POST")) == (1 + 3, 1)


def test_a_worker_that_was_overtaken_records_nothing_more(world):
    world.plan()
    path = world.folder / "a.run"
    with RunFile.open(path, write=True, shared=True) as slow, RunFile.open(path, write=True, shared=True) as quick:
        Lease.take(slow, "worker a", 0.0)
        lease = Lease.take(quick, "worker b", 0.0)
        assert lease.left_open
        for write in (lambda: slow.intend([(1, 1, 0.0)]), lambda: slow.put_header(status="finished")):
            with pytest.raises(LeaseLost), slow.transaction():
                write()
        assert quick.unsettled() == {}
        lease.release()
        assert not Lease.take(quick, "worker c", 0.0).left_open


def test_what_an_overtaken_worker_may_still_send_is_not_sent_again_where_it_would_be_done_twice(tmp_path):
    devices = AnyWorld(tmp_path, "devices.compliance")
    devices.prepare()
    devices.plan("a.run")
    policy = intend(tmp_path / "a.run", kind="deviceCompliancePolicy")
    summary = devices.apply("a.run", worker="worker b")
    assert summary.outcomes["unknown"] == 1
    with RunFile.open(tmp_path / "a.run") as run:
        result = run.outcome(policy.seq)
        others = [run.outcome(each.seq).status for each in run.changes(policy.kind) if each.seq != policy.seq]
    assert "nothing tells whether it is still to come" in result.error
    assert set(others) == {"done"}
    assert not [write for write in devices.picture()[1] if policy.key in write]


@pytest.mark.parametrize("worker", ["worker b", ""])
def test_what_may_be_repeated_is_sent_again_whoever_goes_on(world, worker):
    world.plan()
    intend(world.folder / "a.run", kind="group")
    assert world.apply(resume=True, worker=worker).outcomes["done"] == 47


def test_on_one_machine_whoever_sent_before_is_dead_and_its_create_is_looked_for_and_sent_again(tmp_path):
    devices = AnyWorld(tmp_path, "devices.compliance")
    devices.prepare()
    devices.plan("a.run")
    intend(tmp_path / "a.run", kind="deviceCompliancePolicy", holder="process 1")
    assert devices.apply("a.run").outcomes["unknown"] == 0


# -- one machine -----------------------------------------------------------------------------------------------------


def test_two_runs_that_write_the_same_kinds_are_not_applied_at_once(world):
    world.plan()
    pooled(world, 50, 51)
    world.plan("b.run")
    refused = []

    def try_the_other(progress):
        if progress.done and not refused:
            with ThreadPoolExecutor(1) as elsewhere:  # an event loop of its own, as in another process
                refused.append(elsewhere.submit(world.apply, "b.run").exception())

    assert world.apply(observer=try_the_other).outcomes["done"] == 47
    assert isinstance(refused[0], InUse)
    message = refused[0].message
    assert "a.run is being applied" in message
    assert "group.member" in message
    assert "since 20" in message
    assert "\n" not in message
    assert refused[0].exit_code == 5
    assert refused[0].hint
    assert world.apply("b.run").apply_exit_code == 0


FENCES = [
    ("", "", True),
    ("RX1", "", True),
    ("", "RX1", True),
    ("RX1", "RX1", True),
    ("RX1", "RX2", False),
]


@pytest.mark.parametrize(("first", "second", "collide"), FENCES)
def test_runs_of_different_organisations_work_side_by_side(tmp_path, first, second, collide):
    with claimed(tmp_path, "t", ["group", "team"], org=first, run=tmp_path / "a.run"):
        attempt = claimed(tmp_path, "t", ["team"], org=second, run=tmp_path / "b.run")
        if collide:
            with pytest.raises(InUse, match=r"a\.run .* writes team too"), attempt:
                pass
        else:
            with attempt:
                pass


def test_runs_in_other_tenants_or_of_other_kinds_never_collide(tmp_path):
    with (
        claimed(tmp_path, "t", ["group"], org="", run=tmp_path / "a.run"),
        claimed(tmp_path, "t", ["team"], org="", run=tmp_path / "b.run"),
        claimed(tmp_path, "u", ["group"], org="", run=tmp_path / "c.run"),
    ):
        assert len(list(tmp_path.glob("*.claim"))) == 3
    assert not list(tmp_path.glob("*.claim"))


HOLDER = """
    import pathlib, sys
    from graphkit.engine.claim import claimed
    folder = pathlib.Path(sys.argv[1])
    with claimed(folder, "t", ["group"], org="", run=folder / "a.run"):
        print("held", flush=True)
        sys.stdin.read()
"""


def test_a_claim_dies_with_its_process_whatever_its_age(tmp_path):
    command = [sys.executable, "-c", textwrap.dedent(HOLDER), str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "held\n"
        with (
            pytest.raises(InUse, match=f"process {other.pid} since"),
            claimed(tmp_path, "t", ["group"], org="", run=tmp_path / "b.run"),
        ):
            pass
        other.kill()
    assert list(tmp_path.glob("*.claim"))
    with claimed(tmp_path, "t", ["group"], org="", run=tmp_path / "b.run"):
        assert len(list(tmp_path.glob("*.claim"))) == 1


def test_who_holds_a_run_file_since_when_is_told_in_one_line(world):
    world.plan()
    with RunFile.open(world.folder / "a.run", write=True), pytest.raises(InUse) as caught:
        world.apply()
    assert "since 20" in caught.value.message
    assert "\n" not in caught.value.message
    assert caught.value.exit_code == 5


def test_who_is_looked_at_before_their_own_claim_is_locked_is_refused_in_words(tmp_path):
    """Another run tries every claim that it finds: for a moment it holds that of whoever is just beginning."""
    run = tmp_path / "a.run"
    with (
        claimed(tmp_path, "t", ["group"], org="", run=run),
        pytest.raises(InUse, match="another run is just beginning or ending in this tenant") as caught,
        claimed(tmp_path, "t", ["group"], org="", run=run),
    ):
        pass
    assert caught.value.hint == "try again"


def test_a_file_system_without_locks_is_not_taken_for_another_process(world, monkeypatch):
    world.plan()

    def no_locks(handle):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("graphkit.engine.lock.lock_now", no_locks)
    with pytest.raises(RunFileError, match=r"a\.run\.lock cannot be locked: No locks available") as caught:
        world.apply()
    assert not isinstance(caught.value, InUse)
    assert caught.value.hint
