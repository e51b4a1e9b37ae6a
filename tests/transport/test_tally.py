"""Processes of one machine that use the same app and tenant share one budget."""

from __future__ import annotations

import asyncio
import json
import os
import random
from bisect import bisect_left

import pytest

from graphkit.clock import VirtualClock
from graphkit.protocol.message import Request, Response
from graphkit.protocol.quota import table
from graphkit.transport.governor import Governor
from graphkit.transport.locking import lock_now
from graphkit.transport.tally import SCOPES, Grant, TalliedMeter
from graphkit.transport.tally_file import FileTally

OK = Response(200, {})
WRITES = "identity.app_tenant.writes"


class Party:
    """One process: a governor whose counters take their places from the file, and what it sent."""

    def __init__(self, folder, stage, *, app="app", share=1.0, tenant="contoso", tally=None):
        ticking = VirtualClock()
        self.stage = stage
        self.tally = tally
        if tally is None:
            self.tally = FileTally(folder, ticking.now)
            self.tally.open(tenant)

        def make(key, bucket, share):
            owner = "" if bucket.scope == "tenant" else app
            return TalliedMeter(key, bucket, share, tally=self.tally, now=ticking.monotonic, owner=owner)

        self.governor = Governor(
            stage, ticking, share=share, size="L", chance=random.Random(3), make_meter=make, park_after=1e9
        )

    async def write(self, count):
        requests = [Request(method="PATCH", path=f"/users/u{number}") for number in range(count)]
        await asyncio.gather(*(self.governor.send(request) for request in requests))

    def sent(self, since=0.0, until=1e12):
        return sum(since <= time < until for time in self.stage.times)


def most_in_any_window(times, window):
    times = sorted(times)
    return max(bisect_left(times, start + window - 1e-9) - index for index, start in enumerate(times))


def test_two_processes_together_stay_within_the_quota_and_use_it(tmp_path, script, virtual):
    async def story():
        first, second = Party(tmp_path, script(OK)), Party(tmp_path, script(OK))
        await asyncio.gather(first.write(4000), second.write(4000))
        return first.stage.times, second.stage.times

    first, second = virtual(story())
    assert most_in_any_window([*first, *second], 150) <= 3000
    assert max(*first, *second) <= 8000 / 20 * 1.05
    assert first[2000] == pytest.approx(second[2000], rel=0.05)  # fairly, too


@pytest.mark.parametrize("count", [3, 5])
def test_more_than_two_stay_within_it_too(tmp_path, script, virtual, count):
    async def story():
        parties = [Party(tmp_path, script(OK)) for _ in range(count)]
        await asyncio.gather(*(party.write(1500) for party in parties))
        return [time for party in parties for time in party.stage.times]

    assert most_in_any_window(virtual(story()), 150) <= 3000


def test_alone_a_process_is_as_fast_as_without_the_file(tmp_path, script, virtual):
    party = Party(tmp_path, script(OK))
    virtual(party.write(8000))
    assert party.stage.times[-1] <= 8000 / 20 * 1.05


def test_the_file_is_touched_a_few_times_a_second_however_many_requests_go(tmp_path, script, virtual):
    party = Party(tmp_path, script(OK))
    virtual(party.write(4000))
    assert party.tally.touched / party.stage.times[-1] <= 5


def test_when_one_dies_the_other_has_the_whole_pace_within_seconds(tmp_path, script, virtual):
    async def story():
        first, second = Party(tmp_path, script(OK)), Party(tmp_path, script(OK))
        dying = asyncio.create_task(first.write(10_000))
        going_on = asyncio.create_task(second.write(4000))
        await asyncio.sleep(100)
        shared = second.sent(90, 100)
        dying.cancel()
        await first.governor.aclose()
        await asyncio.sleep(20)
        going_on.cancel()
        return shared, second.sent(103, 113)

    shared, alone = virtual(story())
    assert shared == pytest.approx(100, abs=25)
    assert alone >= 190


def test_other_apps_share_only_what_the_whole_tenant_shares(tmp_path, script, virtual):
    async def story():
        parties = [Party(tmp_path, script(OK), app=f"app-{number}") for number in range(4)]
        await asyncio.gather(*(party.write(4000) for party in parties))
        return [time for party in parties for time in party.stage.times]

    times = virtual(story())
    assert most_in_any_window(times, 300) <= 18_000
    assert max(times) <= 16_000 / 60 * 1.08  # each holds some places that another could use


def test_another_tenant_has_a_budget_of_its_own(tmp_path, script, virtual):
    async def story():
        parties = [Party(tmp_path, script(OK), tenant=name) for name in ("contoso", "fabrikam")]
        await asyncio.gather(*(party.write(2000) for party in parties))
        return [party.stage.times[-1] for party in parties]

    assert max(virtual(story())) <= 2000 / 20 * 1.05


def test_what_the_service_closes_for_one_is_closed_for_all(tmp_path, script, virtual):
    closed = Response(429, {"retry-after": "60", "x-ms-throttle-scope": "Tenant_Application/Write/a/t"})

    async def story():
        first, second = Party(tmp_path, script(closed, OK)), Party(tmp_path, script(OK))
        await first.governor.send(Request(method="PATCH", path="/users/u"))
        await second.write(40)
        return second.stage.times

    assert min(virtual(story())) >= 60


def test_a_slow_trickle_of_several_processes_is_never_held_up(tmp_path, script, virtual):
    async def trickle(party):
        for number in range(100):
            await party.governor.send(Request(method="GET", path=f"/users/u{number}"))
            await asyncio.sleep(0.1)

    async def story():
        parties = [Party(tmp_path, script(OK)) for _ in range(6)]
        await asyncio.gather(*(trickle(party) for party in parties))
        return asyncio.get_running_loop().time()

    assert virtual(story()) == pytest.approx(10, abs=0.5)


def test_a_bucket_of_one_a_second_is_kept_by_two(tmp_path, script, virtual):
    async def story():
        parties = [Party(tmp_path, script(OK)) for _ in range(2)]
        requests = [Request(method="GET", path="/identity/conditionalAccess/policies") for _ in range(10)]
        await asyncio.gather(*(party.governor.send(request) for party in parties for request in requests))
        return [time for party in parties for time in party.stage.times]

    times = virtual(story())
    assert most_in_any_window(times, 1) == 1
    assert max(times) <= 20 * 1.1


# --- the file ---


def grant(tally, amount=10.0, interval=1.0, now=0.0):
    return tally.reserve("a/b", amount, interval, now)


@pytest.fixture
def tally(tmp_path):
    tally = FileTally(tmp_path, lambda: 1000.0)
    tally.open("contoso")
    return tally


def file_of(folder):
    return next(folder.glob("pace-*.json"))


def test_places_follow_each_other(tally):
    assert grant(tally) == Grant(10.0, 0.0, -1000.0)
    assert grant(tally).start == 10.0


def test_the_file_is_private(tally, tmp_path):
    grant(tally)
    assert os.name != "posix" or file_of(tmp_path).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("text", ["", "\n", "nonsense\n", "[]\n", '{"format":2,"rows":{}}\n', '{"format":1,"ro'])
def test_a_damaged_file_is_set_aside(tally, tmp_path, text):
    grant(tally)
    file_of(tmp_path).write_text(text)
    assert grant(tally).start == 0.0
    assert grant(tally).start == 10.0
    assert len(list(tmp_path.glob("*.damaged"))) == bool(text.strip())


def test_what_was_written_by_a_clock_that_ran_ahead_does_not_count(tally, tmp_path):
    file_of_rows(tally, tmp_path, {"a/b": [4600.0, 9000.0, 0.0]})
    assert grant(tally).start == 0.0


def test_what_nobody_has_asked_for_in_an_hour_is_forgotten(tally, tmp_path):
    old, recent = [-5000.0, -4000.0, 0.0], [-2000.0, -1900.0, 0.0]
    file_of_rows(tally, tmp_path, {"old": old, "recent": recent, "closed": [-5000.0, -4000.0, 90_000.0]})
    grant(tally)
    assert set(json.loads(file_of(tmp_path).read_text())["rows"]) == {"a/b", "recent", "closed"}


def file_of_rows(tally, folder, rows):
    grant(tally)
    file_of(folder).write_text(json.dumps({"format": 1, "rows": rows}) + "\n")


def test_leftovers_behind_the_line_of_a_longer_file_are_not_read(tally, tmp_path):
    grant(tally)
    file = file_of(tmp_path)
    file.write_text(file.read_text() + "left over")
    assert grant(tally).start == 10.0


@pytest.mark.skipif(os.name != "posix", reason="there a lock of the same process does not keep it out")
def test_while_another_holds_the_lock_we_ask_again_and_after_five_seconds_go_on_alone(tmp_path, caplog):
    now = 1000.0
    tally = FileTally(tmp_path, lambda: now)
    tally.open("contoso")
    grant(tally)
    handle = os.open(file_of(tmp_path), os.O_RDWR)
    lock_now(handle)
    asked = grant(tally)
    assert (asked.amount, asked.start) == (0.0, pytest.approx(0.02))
    now += 6
    assert grant(tally).amount == 10.0
    assert [record.message for record in caplog.records] == ["quota-unshared"]
    os.close(handle)
    assert grant(tally).start == 4.0  # those of before, and not what went on alone


def test_a_folder_that_cannot_be_written_stops_nobody(tmp_path, caplog):
    (tmp_path / "file").write_text("")
    tally = FileTally(tmp_path / "file" / "folder", lambda: 1000.0)
    tally.open("contoso")
    assert grant(tally) == Grant(10.0, 0.0)
    grant(tally)
    assert [record.message for record in caplog.records] == ["quota-unshared"]


def test_before_the_tenant_is_known_nothing_is_shared(tmp_path):
    tally = FileTally(tmp_path / "runs", lambda: 1000.0)
    assert grant(tally).start == grant(tally).start == 0.0
    assert not (tmp_path / "runs").exists()


def test_a_tally_that_has_no_places_yet_is_asked_again(tmp_path, script, virtual):
    class Slow:
        """As one that asks a network: it has places from the fifth second on."""

        def reserve(self, name, amount, interval, now):
            return Grant(0.0, 5.0) if now < 5 else Grant(amount, now)

        def stop(self, name, until, free, now):
            raise AssertionError

    party = Party(tmp_path, script(OK), tally=Slow())
    virtual(party.write(30))
    assert min(party.stage.times) == pytest.approx(5.0, abs=0.01)


def test_a_stop_is_told_to_all_and_the_longest_counts(tally):
    grant(tally)
    tally.stop("a/b", until=60.0, free=65.0, now=0.0)
    assert grant(tally) == Grant(10.0, 65.0, 60.0)
    tally.stop("a/b", until=30.0, free=31.0, now=0.0)
    assert grant(tally) == Grant(10.0, 75.0, 60.0)
    tally.stop("a/b", until=90.0, free=70.0, now=0.0)
    assert grant(tally) == Grant(10.0, 85.0, 90.0)


def test_places_whose_time_has_passed_are_gone(tmp_path):
    now = 1000.0
    tally = FileTally(tmp_path, lambda: now)
    tally.open("contoso")
    grant(tally)
    now += 500
    assert grant(tally, now=500.0).start == 500.0


# --- the counter ---


class Granting:
    """A tally that gives what it is asked for, from now on, and remembers what that was."""

    def __init__(self, *first):
        self.first = list(first)
        self.asked = []
        self.stops = []

    def reserve(self, name, amount, interval, now):
        self.asked.append(amount)
        return self.first.pop(0) if self.first else Grant(amount, now)

    def stop(self, name, until, free, now):
        self.stops.append((name, until, now))


def tallied(tally, now, bucket="identity.app_tenant.ru"):
    return TalliedMeter(bucket, table("L")[bucket], 1.0, tally=tally, now=lambda: now[0], owner="app")


def test_so_many_places_are_reserved_as_one_request_costs():
    tally, now = Granting(), [0.0]
    meter = tallied(tally, now)
    assert meter.ready_at(9.0) <= 0
    meter.take(9.0, 0.0)
    assert sum(tally.asked) >= 9


def test_a_cost_that_the_service_corrects_is_paid_from_what_is_reserved():
    """Told 9 where 3 were taken: of 20 places, eleven are left."""
    tally, now = Granting(Grant(20.0, 0.0)), [0.0]
    meter = tallied(tally, now)
    meter.ready_at(3.0)
    meter.take(3.0, 0.0)
    meter.correct(6.0)
    assert meter.taken == 9
    meter.ready_at(11.0)
    assert len(tally.asked) == 1
    meter.ready_at(12.0)
    assert len(tally.asked) == 2


def test_places_that_were_not_used_in_time_are_lost_and_not_saved_up():
    tally, now = Granting(Grant(20.0, 0.0)), [0.0]
    meter = tallied(tally, now)
    meter.ready_at(1.0)
    meter.take(1.0, 0.0)
    now[0] = 60.0
    meter.ready_at(1.0)
    (_, again) = tally.asked
    meter.take(again, 60.0)
    meter.ready_at(1.0)
    assert len(tally.asked) == 3


def test_a_counter_without_places_is_ready_when_there_are_some_and_no_stop_is_in_the_way():
    now = [0.0]
    assert tallied(Granting(Grant(0.0, 5.0)), now).ready_at(1.0) == 5.0
    assert tallied(Granting(Grant(0.0, 5.0, 60.0)), now).ready_at(1.0) == 60.0
    assert tallied(Granting(Grant(8.0, 0.0, 60.0)), now).ready_at(1.0) == 60.0


def test_a_stop_is_told_to_the_tally_and_what_was_reserved_is_given_up():
    tally, now = Granting(Grant(20.0, 0.0)), [0.0]
    meter = tallied(tally, now)
    meter.ready_at(1.0)
    meter.stop(2.0, 0.0)
    assert tally.stops == [("app/identity.app_tenant.ru", 2.0, 0.0)]
    now[0] = 2.0
    meter.ready_at(1.0)
    assert len(tally.asked) == 2


def test_a_counter_is_idle_once_its_places_are_lost_and_its_pace_is_whole(tmp_path):
    tally, now = Granting(Grant(20.0, 0.0)), [0.0]
    meter = tallied(tally, now)
    meter.ready_at(1.0)
    assert not meter.idle(1.0)
    assert meter.idle(60.0)
    meter.slow(0.5, 60.0)
    assert not meter.idle(60.0)


def test_what_an_app_a_tenant_and_both_may_take_is_shared_and_what_a_team_may_is_not(connected, far_end, virtual):
    tally, reserved = Granting(), set()

    class Named(Granting):
        def reserve(self, name, amount, interval, now):
            reserved.add(name)
            return tally.reserve(name, amount, interval, now)

    _, client = connected(far_end(), tally=Named())
    writes = [("PATCH", "/users/u1"), ("POST", "/teams/t1/channels"), ("GET", "/users/u1/messages")]
    virtual(client.batch([Request(method=method, path=path) for method, path in writes]))
    assert {"app/global.app", "/identity.tenant.writes", "app/identity.app_tenant.writes"} <= reserved
    assert "app/teams.create_channel.app_tenant" in reserved
    assert not [name for name in reserved if "|" in name or "other" in name]


def test_every_bucket_worth_sharing_can_be_tallied(tmp_path):
    for bucket in table("L").values():
        if bucket.scope in SCOPES and bucket.quota:
            tally = FileTally(tmp_path, lambda: 0.0)
            meter = TalliedMeter(bucket.id, bucket, 0.7, tally=tally, now=lambda: 0.0)
            assert meter.ready_at(1.0) <= 0.0 or meter.burst < 1
