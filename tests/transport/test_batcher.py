from __future__ import annotations

import asyncio
import json

import pytest

from graphkit.clock import VirtualClock
from graphkit.errors import AuthError, ConnectionFailed, OutcomeUnknown
from graphkit.protocol.message import Request, Response
from graphkit.transport.batcher import Batcher


class Service:
    """Answers envelopes; ``inner(item)`` gives one answer, ``outer(items)`` may answer for all."""

    def __init__(self, inner=None, outer=None, latency=1.0):
        self.inner = inner or (lambda item: {"status": 200, "body": {"url": item["url"]}})
        self.outer = outer
        self.latency = latency
        self.clock = VirtualClock()
        self.sizes, self.bare, self.versions = [], [], []
        self.in_flight = self.most = 0

    async def send(self, request):
        self.in_flight += 1
        self.most = max(self.most, self.in_flight)
        try:
            await self.clock.sleep(self.latency)
            return self._answer(request)
        finally:
            self.in_flight -= 1

    def _answer(self, request):
        self.versions.append(request.version)
        if request.path != "/$batch":
            self.bare.append(request.path)
            answer = self.inner({"url": request.path, "id": "", "method": request.method})
            return Response(answer["status"], answer.get("headers", {}), json.dumps(answer.get("body")).encode())
        items = json.loads(request.body)["requests"]
        self.sizes.append(len(items))
        if self.outer is not None:
            whole = self.outer(items)
            if isinstance(whole, Exception):
                raise whole
            return whole
        responses = [{"id": item["id"], **self.inner(item)} for item in items]
        return envelope(responses[::-1])


def envelope(responses, status=200):
    return Response(status, {"date": "today"}, json.dumps({"responses": responses}).encode(), client_request_id="c-1")


async def send_all(batcher, requests):
    return await asyncio.gather(*(batcher.send(request) for request in requests), return_exceptions=True)


def gets(count, path="/users/{}"):
    return [Request(method="GET", path=path.format(number)) for number in range(count)]


def test_a_lone_request_goes_bare(virtual):
    service = Service()
    assert virtual(send_all(Batcher(service), gets(1)))[0].status == 200
    assert (service.bare, service.sizes) == (["/users/0"], [])


@pytest.mark.parametrize(("count", "sizes", "bare"), [(2, [2], 0), (20, [20], 0), (21, [20], 1), (41, [20, 20], 1)])
def test_twenty_fill_an_envelope(virtual, count, sizes, bare):
    service = Service()
    virtual(send_all(Batcher(service), gets(count)))
    assert (service.sizes, len(service.bare)) == (sizes, bare)


def test_each_caller_gets_the_answer_to_its_own(virtual):
    answers = virtual(send_all(Batcher(Service()), gets(45)))
    assert [answer.json()["url"] for answer in answers] == [f"/users/{number}" for number in range(45)]


def test_under_load_the_queue_fills_the_batches(virtual):
    service = Service()
    batcher = Batcher(service, slots=2)

    async def main():
        async def trickle(number):
            await service.clock.sleep(number * 0.05)
            return await batcher.send(Request(method="GET", path=f"/users/{number}"))

        await asyncio.gather(*(trickle(number) for number in range(200)))

    virtual(main())
    assert service.most == 2
    assert service.sizes[-1] > 8
    assert len(service.sizes) + len(service.bare) < 30


def test_no_more_calls_in_flight_than_slots(virtual):
    service = Service()
    virtual(send_all(Batcher(service, slots=8), gets(400)))
    assert service.most == 8


def test_a_slow_workload_leaves_the_others_at_full_speed(virtual):
    class Uneven(Service):
        async def send(self, request):
            slow = b"/teams/" in (request.body or b"") or "/teams/" in request.path
            await self.clock.sleep(100.0 if slow else 0.0)
            return await super().send(request)

    service = Uneven()
    batcher = Batcher(service)

    async def main():
        slow = asyncio.create_task(send_all(batcher, gets(400, "/teams/{}")))
        await asyncio.sleep(0)
        await send_all(batcher, gets(100))
        reached = service.clock.monotonic()
        await slow
        return reached

    assert virtual(main()) < 3


def test_versions_do_not_share_an_envelope(virtual):
    service = Service()
    requests = [Request(method="GET", path=f"/users/{n}", version=v) for n in range(4) for v in ("v1.0", "beta")]
    virtual(send_all(Batcher(service), requests))
    assert sorted(zip(service.versions, service.sizes, strict=True)) == [("beta", 4), ("v1.0", 4)]


def test_links_go_bare_among_others(virtual):
    service = Service()
    link = "https://graph.microsoft.com/v1.0/users?$skiptoken=x"
    virtual(send_all(Batcher(service), [*gets(3), Request(method="GET", path=link), *gets(3)]))
    assert service.bare == [link]
    assert service.sizes == [3, 3]


def test_bodies_that_together_are_too_large_are_parted(virtual):
    service = Service()
    body = json.dumps("x" * 1_500_000).encode()
    requests = [Request(method="PATCH", path=f"/users/{number}", body=body) for number in range(4)]
    virtual(send_all(Batcher(service), requests))
    assert service.sizes == [2, 2]


def test_inner_failures_reach_only_their_own_caller(virtual):
    def inner(item):
        number = int(item["url"].rpartition("/")[2])
        return {0: {"status": 429, "headers": {"Retry-After": "7"}}, 1: {"status": 424}, 2: {"status": 503}}.get(
            number, {"status": 204}
        )

    answers = virtual(send_all(Batcher(Service(inner)), gets(6)))
    assert [answer.status for answer in answers] == [429, 424, 503, 204, 204, 204]
    assert answers[0].headers == {"date": "today", "retry-after": "7"}
    assert {answer.client_request_id for answer in answers} == {"c-1"}


def test_a_missing_answer_is_unknown_and_not_dropped(virtual):
    """IntuneCD drops such a request; msgraph-sdk hands None to its caller."""
    service = Service(outer=lambda items: envelope([{"id": "0", "status": 204}, {"id": "2", "status": 204}]))
    answers = virtual(send_all(Batcher(service), gets(3)))
    assert [type(answer).__name__ for answer in answers] == ["Response", "OutcomeUnknown", "Response"]
    assert "/users/1" in answers[1].message
    assert answers[1].client_request_id == "c-1"


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"responses": [{"id'])
def test_an_unreadable_envelope_leaves_all_unknown(virtual, body):
    answers = virtual(send_all(Batcher(Service(outer=lambda items: Response(200, {}, body))), gets(3)))
    assert {type(answer) for answer in answers} == {OutcomeUnknown}


@pytest.mark.parametrize("status", [401, 403, 429, 500, 503, 504])
def test_an_outer_failure_is_everybodys(virtual, status):
    service = Service(outer=lambda items: Response(status, {"retry-after": "9"}, b"{}"))
    answers = virtual(send_all(Batcher(service), gets(3)))
    assert [(answer.status, answer.headers["retry-after"]) for answer in answers] == [(status, "9")] * 3
    assert len({id(answer) for answer in answers}) == 3


def test_inner_answers_count_whatever_the_outer_status(virtual):
    """Older pages of the service's documentation said that the envelope of a throttled item comes back as 424."""
    service = Service(outer=lambda items: envelope([{"id": "0", "status": 204}, {"id": "1", "status": 429}], 424))
    answers = virtual(send_all(Batcher(service), gets(2)))
    assert [answer.status for answer in answers] == [204, 429]


@pytest.mark.parametrize("error", [ConnectionFailed("no route"), OutcomeUnknown("reset"), AuthError("expired")])
def test_an_error_is_everybodys(virtual, error):
    answers = virtual(send_all(Batcher(Service(outer=lambda items: error)), gets(3)))
    assert {type(answer) for answer in answers} == {type(error)}


@pytest.mark.parametrize("status", [400, 411, 413, 415])
def test_one_bad_item_does_not_spoil_the_envelope_for_others(virtual, status):
    def outer(items):
        bad = any("bad" in item["url"] for item in items)
        return Response(status, {}, b"{}") if bad else envelope([{"id": item["id"], "status": 204} for item in items])

    def inner(item):
        return {"status": 400 if "bad" in item["url"] else 204}

    requests = [*gets(4), Request(method="GET", path="/users/bad")]
    service = Service(inner, outer)
    batcher = Batcher(service)

    async def main():
        first = await send_all(batcher, requests)
        await send_all(batcher, gets(4))
        return first

    answers = virtual(main())
    assert [answer.status for answer in answers] == [204, 204, 204, 204, 400]
    assert service.sizes == [5, 4]


@pytest.mark.parametrize("status", [404, 405, 501])
def test_a_server_that_knows_no_batches_is_served_without(virtual, status):
    service = Service(outer=lambda items: Response(status, {}, b"{}"))
    batcher = Batcher(service)

    async def main():
        return [*await send_all(batcher, gets(3)), *await send_all(batcher, gets(3))]

    assert {answer.status for answer in virtual(main())} == {200}
    assert service.sizes == [3]


def test_who_gives_up_is_not_sent_and_disturbs_nobody(virtual):
    service = Service()
    batcher = Batcher(service, slots=1)

    async def main():
        tasks = [asyncio.create_task(batcher.send(request)) for request in gets(45)]
        await service.clock.sleep(0.5)
        for task in (tasks[0], tasks[30]):
            task.cancel()
        return await asyncio.gather(*tasks, return_exceptions=True)

    answers = virtual(main())
    cancelled = [number for number, answer in enumerate(answers) if isinstance(answer, asyncio.CancelledError)]
    assert cancelled == [0, 30]
    assert sum(service.sizes) == 44


def test_closing_cancels_whoever_waits_and_sends_nothing_more(virtual):
    service = Service(latency=1000)
    batcher = Batcher(service, slots=1)

    async def main():
        tasks = [asyncio.create_task(batcher.send(request)) for request in gets(45)]
        await service.clock.sleep(0.1)
        await batcher.aclose()
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        late = asyncio.create_task(batcher.send(gets(1)[0]))
        await service.clock.sleep(3000)
        late.cancel()
        return answers

    assert {type(answer) for answer in virtual(main())} == {asyncio.CancelledError}
    assert (service.sizes, service.bare) == ([], [])


def test_what_is_sent_one_by_one_can_be_called_back_too(virtual):
    """Its envelope was refused, and so is the first of them: the others must not leave before that wait ends."""
    service = Service(outer=lambda items: Response(400, {}, b"{}"))
    batcher = Batcher(service, slots=1)

    async def main():
        tasks = [asyncio.create_task(batcher.send(request)) for request in gets(5)]
        await service.clock.sleep(2.5)
        tasks[3].cancel()
        await asyncio.sleep(0)
        batcher.recall(lambda request: request.path != "/users/4")
        return await asyncio.gather(*tasks, return_exceptions=True)

    answers = [type(answer).__name__ for answer in virtual(main())]
    assert answers == ["Response", "Response", "Recalled", "CancelledError", "Response"]
    assert service.bare == ["/users/0", "/users/1", "/users/4"]


def test_what_is_not_meant_keeps_its_place_when_others_are_called_back(virtual):
    service = Service()
    batcher = Batcher(service, slots=1)

    async def main():
        tasks = [asyncio.create_task(batcher.send(request)) for request in gets(40)]
        await service.clock.sleep(0.5)
        batcher.recall(lambda request: int(request.path[7:]) % 2 == 1)
        return await asyncio.gather(*tasks, return_exceptions=True)

    answers = [type(answer).__name__ for answer in virtual(main())]
    assert answers == ["Response"] * 20 + ["Response", "Recalled"] * 10
    assert service.sizes == [20, 10]
