"""Several app registrations for one tenant, against a tenant that counts for itself."""

from __future__ import annotations

import asyncio
import json
from bisect import bisect_left

import httpx
import pytest

from graphkit import clock
from graphkit.errors import DeadlineReached, Parked
from graphkit.protocol.budget import WriteBudget
from graphkit.protocol.clouds import CLOUDS
from graphkit.protocol.identity import Token
from graphkit.protocol.message import Idempotency, Request
from graphkit.protocol.quota import table
from graphkit.sandbox import SandboxTransport, Seed, SimulatedTenant
from graphkit.transport.admission import Admission
from graphkit.transport.chain import build_chain
from graphkit.transport.meter import Meter


class App:
    """A token source whose tokens tell their app apart, and count their renewals."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.renewed = 0

    async def token(self, *, claims: str = "", renew: bool = False) -> Token:
        self.renewed += renew
        return Token(f"{self.name}.{self.renewed}", 1e12)


def fleet(wire, count, ticking, **settings):
    apps = [App(f"app-{number}") for number in range(count)]
    settings = {"quota_share": 1.0, "tenant_size": "L", "budget": WriteBudget.unlimited(), "seed": 5, **settings}
    return apps, build_chain(wire, cloud=CLOUDS["global"], source=apps, clock=ticking, **settings)


def patch(number):
    body = b'{"department":"Ward"}'
    return Request(method="PATCH", path=f"/users/{number}", body=body, idempotency=Idempotency.CONVERGENT)


def write(count, apps, at_once=False, **settings):
    """``count`` writes to a simulated tenant by so many apps: seconds taken, their times, answers 429."""

    async def main():
        ticking = clock.VirtualClock()
        tenant = SimulatedTenant(ticking, seed=Seed(users=600, licensed=0), latency_s=0.2)
        listed = tenant.handle("GET", "https://graph.microsoft.com/v1.0/users?$top=500", {"authorization": "Bearer t"})
        ids = [user["id"] for user in json.loads(listed.body)["value"]]
        _, chain = fleet(SandboxTransport(tenant), apps, ticking, **settings)
        begun = ticking.monotonic()
        patches = [patch(ids[number % len(ids)]) for number in range(count)]
        answers = await (chain.batch(patches) if at_once else asyncio.gather(*map(chain.send, patches)))
        taken = ticking.monotonic() - begun
        await chain.aclose()
        times = sorted(entry.at for entry in tenant.log if entry.method == "PATCH")
        tenant.close()
        assert all(answer.ok for answer in answers)
        return taken, times, chain.throttled

    return clock.run(main(), virtual=True)


def most_in_any_window(times, window):
    return max(bisect_left(times, start + window - 1e-9) - index for index, start in enumerate(times))


@pytest.mark.parametrize("at_once", [False, True])
def test_three_apps_write_almost_three_times_as_fast_as_one_and_never_above_the_tenants_limit(at_once):
    alone, _, throttled = write(5_000, 1, at_once)
    together, times, refused = write(15_000, 3, at_once)
    assert throttled == refused == 0
    assert len(times) == 15_000
    assert 3 * alone / together >= 2.8
    assert most_in_any_window(times, 300) <= 18_000


def test_a_fourth_app_gains_nothing_and_costs_no_refusal():
    three, _, _ = write(12_000, 3)
    four, times, refused = write(12_000, 4)
    assert refused == 0
    assert four == pytest.approx(three, rel=0.03)
    assert most_in_any_window(times, 300) <= 18_000


class Service(httpx.AsyncBaseTransport):
    """Answers every operation, by token; ``closed`` maps an app to the headers of its 429."""

    def __init__(self, ticking) -> None:
        self.clock = ticking
        self.seen: list[tuple[float, str, str, str]] = []
        self.closed: dict[str, dict[str, str]] = {}
        self.refused_tokens: set[str] = set()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        token = request.headers["authorization"].partition(" ")[2]
        items = [{"id": "", "method": request.method, "url": request.url.raw_path.decode()}]
        if request.url.path.endswith("$batch"):
            items = json.loads(request.content)["requests"]
        self.seen += [(self.clock.monotonic(), token, item["method"], item["url"]) for item in items]
        await self.clock.sleep(0.2)
        if token in self.refused_tokens:
            return httpx.Response(401, json={"error": {"code": "InvalidAuthenticationToken"}})
        headers = self.closed.get(token.partition(".")[0])
        status = 429 if headers else 200
        if len(items) == 1 and not items[0]["id"]:
            return httpx.Response(status, headers=headers or {}, json={})
        inner = [{"id": item["id"], "status": status, "headers": headers or {}, "body": {}} for item in items]
        return httpx.Response(200, json={"responses": inner})

    def apps(self, method: str) -> list[str]:
        return [token.partition(".")[0] for _, token, verb, _ in self.seen if verb == method]


def at_service(story, apps=2, **settings):
    async def main():
        ticking = clock.VirtualClock()
        service = Service(ticking)
        sources, chain = fleet(service, apps, ticking, **settings)
        try:
            return await story(service, chain, sources)
        finally:
            await chain.aclose()

    return clock.run(main(), virtual=True)


def test_reads_go_by_the_first_app_so_that_a_page_stays_with_the_app_that_began_it():
    async def story(service, chain, _):
        requests = [Request(method="GET", path=f"/users?$skiptoken={number}") for number in range(50)]
        requests.append(Request(method="POST", path="/directoryObjects/getByIds", body=b"{}"))
        await asyncio.gather(*(chain.send(request) for request in requests))
        assert {token for _, token, _, _ in service.seen} == {"app-0.0"}

    at_service(story)


def test_no_batch_mixes_apps_and_each_carries_its_own_token():
    async def story(service, chain, _):
        await asyncio.gather(*(chain.send(patch(number)) for number in range(200)))
        counts = {app: service.apps("PATCH").count(app) for app in ("app-0", "app-1")}
        assert sum(counts.values()) == 200
        assert min(counts.values()) >= 90

    at_service(story)


def test_a_refused_token_is_renewed_for_its_own_app_only():
    async def story(service, chain, sources):
        service.refused_tokens = {"app-1.0"}
        answers = await asyncio.gather(*(chain.send(patch(number)) for number in range(100)))
        assert all(answer.ok for answer in answers)
        assert [source.renewed for source in sources] == [0, 1]

    at_service(story)


def test_while_one_app_is_stopped_the_other_goes_on():
    async def story(service, chain, _):
        closed = {"retry-after": "300", "x-ms-throttle-scope": "Tenant_Application/Write/app/tenant"}
        service.closed["app-1"] = closed
        first = [asyncio.create_task(chain.send(patch(number))) for number in range(40)]
        await service.clock.sleep(10)
        service.seen.clear()
        later = await asyncio.gather(*(chain.send(patch(number)) for number in range(100, 300)))
        assert all(answer.ok for answer in later)
        assert set(service.apps("PATCH")) == {"app-0"}
        service.closed.clear()
        assert all(answer.ok for answer in await asyncio.gather(*first))

    at_service(story)


def test_an_app_that_is_closed_for_a_day_leaves_its_work_to_the_others_and_only_the_last_is_parked():
    async def story(service, chain, _):
        day = {"retry-after": "86400", "x-ms-throttle-scope": "Tenant_Application/Write/app/tenant"}
        service.closed = {"app-0": day}
        assert (await chain.send(patch(0))).ok
        assert (await chain.send(patch(1))).ok
        assert service.apps("PATCH") == ["app-0", "app-1", "app-1"]
        service.closed["app-1"] = day
        for number in (2, 3):
            with pytest.raises(Parked):
                await chain.send(patch(number))
        assert service.apps("PATCH")[3:] == ["app-1"]

    at_service(story)


def test_what_an_app_was_given_that_is_closed_for_a_day_goes_by_another():
    async def story(service, chain, _):
        service.closed["app-1"] = {"retry-after": "86400", "x-ms-throttle-scope": "Tenant_Application/Write/app/tenant"}
        answers = await asyncio.gather(*(chain.send(patch(number)) for number in range(400)))
        assert all(answer.ok for answer in answers)
        assert 0 < service.apps("PATCH").count("app-1") <= 80  # those in flight when it was closed

    at_service(story)


def test_after_the_deadline_no_app_sends_anything():
    async def story(service, chain, _):
        chain.deadline = 5.0
        answers = await asyncio.gather(*(chain.send(patch(number)) for number in range(1000)), return_exceptions=True)
        late = [answer for answer in answers if isinstance(answer, DeadlineReached)]
        assert len(late) + len(service.seen) == 1000
        assert max(time for time, _, _, _ in service.seen) <= 5
        assert chain.deadline == 5.0
        for number in range(2):
            with pytest.raises(DeadlineReached):
                await asyncio.gather(*(chain.send(patch(number)) for number in range(200)))

    at_service(story)


def test_what_several_apps_take_is_told_once_for_what_the_tenant_counts_and_added_up_for_what_each_counts():
    async def story(service, chain, _):
        working = asyncio.gather(*(chain.send(patch(number)) for number in range(400)))
        await service.clock.sleep(1)
        rows = {row.bucket: row for row in chain.governor.utilisation()}
        binding = chain.governor.binding()
        assert rows["identity.tenant.writes"].taken == rows["identity.app_tenant.writes"].taken > 100
        assert rows["identity.app_tenant.writes"].waiting > binding.waiting > 100
        assert binding.bucket == "identity.app_tenant.writes"
        uses = chain.governor.uses("t", "")
        writes = [use for use in uses if use.bucket == "identity.app_tenant.writes"]
        assert sorted(use.app for use in writes) == ["app-0", "app-1"]
        await working
        rows = {row.bucket: row for row in chain.governor.utilisation()}
        assert rows["identity.tenant.writes"].taken == rows["identity.app_tenant.writes"].taken == 400
        assert chain.governor.binding() is None

    at_service(story)


def test_the_limits_of_a_person_count_for_every_app():
    async def story(service, chain, _):
        assert not chain.governor.delegated
        chain.governor.delegated = True
        assert chain.governor.delegated
        posts = [Request(method="POST", path=f"/chats/c{number}/messages", body=b"{}") for number in range(12)]
        await asyncio.gather(*(chain.send(post) for post in posts))
        assert service.clock.monotonic() >= 5  # one a second for a person, by each app

    at_service(story)


def test_what_is_read_among_writes_is_read_by_the_first_app():
    """Its nextLinks will be, too, and they are good for the app that began."""

    async def story(service, chain, _):
        def page(number):
            return Request(method="GET", path=f"/users/u{number}/memberOf")

        await chain.batch([patch(number) for number in range(10)])
        await chain.batch([each for number in range(10) for each in (patch(number), page(number))])
        return service.apps("GET"), service.apps("PATCH")

    reads, writes = at_service(story, apps=3)
    assert set(reads) == {"app-0"}
    assert set(writes) - {"app-0"}


def test_when_one_app_is_closed_another_looks_after_the_counter_that_they_share():
    async def main():
        ticking = clock.VirtualClock()
        meter = Meter("policies", table()["identity_protection_ca.tenant"], 1.0)
        first, second = Admission(ticking, park_after=600), Admission(ticking, park_after=600)
        costs = [(meter, 1.0)]
        meter.take(1.0, 0.0)
        waiting = asyncio.create_task(first.wait(meter, costs, 0.0, ahead=False))
        await asyncio.sleep(0)
        await first.aclose()
        await asyncio.wait([waiting])
        await asyncio.wait_for(second.wait(meter, costs, 0.0, ahead=False), 60)
        return waiting.cancelled(), ticking.monotonic()

    cancelled, at = clock.run(main(), virtual=True)
    assert cancelled
    assert at == pytest.approx(1.1)
