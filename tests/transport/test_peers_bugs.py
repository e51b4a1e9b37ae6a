"""What other tools for Microsoft Graph get wrong, as threads and measurements show it: none of it may be ours.

Each goes through the whole chain; where the simulated tenant can produce the situation, against it and its log of
committed writes, which is the only judge of duplicates.
"""

from __future__ import annotations

import asyncio
from email.utils import formatdate

import httpx
import pytest

from graphkit.clock import VIRTUAL_EPOCH, VirtualClock
from graphkit.errors import ConnectionFailed, IncompleteList, OutcomeUnknown, Parked, ServiceError
from graphkit.protocol.message import Idempotency, Request, Response
from graphkit.sandbox import SandboxTransport, Seed, SimulatedTenant
from graphkit.transport.retry import MOST_ATTEMPTS

CONVERGENT, KEYED, ONCE = Idempotency.CONVERGENT, Idempotency.KEYED, Idempotency.ONCE


@pytest.fixture
def world(connected):
    """A simulated tenant with such faults, a chain that ends there, and a client on it."""

    def build(*faults, **chain):
        tenant = SimulatedTenant(VirtualClock(), seed=Seed(organisations=1, users=600), latency_s=0.1)
        tenant.faults.extend(faults)
        _, client = connected(SandboxTransport(tenant), tenant_size="L", **chain)
        return tenant, client

    return build


def create(number, idempotency=KEYED):
    body = b'{"displayName": "Pool %d", "mailNickname": "pool-%d", "mailEnabled": false, "securityEnabled": true}' % (
        number,
        number,
    )
    return Request(method="POST", path="/groups", body=body, idempotency=idempotency)


def creates(count):
    return [create(number) for number in range(count)]


def patch(tenant, number, body=b'{"department": "Nursing"}'):
    user = tenant.seed.id_of("user", f"rx1-{number:04}@contoso.example")
    return Request(method="PATCH", path=f"/users/{user}", body=body, idempotency=CONVERGENT)


def statuses(answers):
    return [answer.status if isinstance(answer, Response) else type(answer).__name__ for answer in answers]


# --- batches ---


def test_a_batch_is_not_posted_again_for_the_items_that_were_throttled(world, virtual):
    """msgraph-sdk posts all twenty again after an inner 429, those that succeeded among them."""
    throttled = {"method": "POST", "path": "/groups", "nth": [4, 9], "action": "throttle", "retry_after": "3"}
    tenant, client = world(throttled)
    assert statuses(virtual(client.batch(creates(20)))) == [201] * 20
    assert sorted(entry.path for entry in tenant.log) == ["/groups"] * 20
    assert tenant.faults.rules[0].matched == 22
    names = {group["mailNickname"] for group in tenant.state.table("groups").objects.values()}
    assert {f"pool-{number}" for number in range(20)} <= names


@pytest.mark.parametrize("committed", [0, 1, 12, 20])
def test_a_batch_that_broke_off_is_not_posted_again_as_if_nothing_had_been_done(world, virtual, committed):
    """msgraph-sdk and CLI for Microsoft 365 send it whole once more after a 503 or 504."""
    broken = {"method": "POST", "path": "/$batch", "nth": 1, "action": "commit-then", "status": 504, "items": committed}
    tenant, client = world(broken)
    answers = virtual(client.batch(creates(20)))
    assert statuses(answers) == ["OutcomeUnknown"] * 20
    assert len(tenant.log) == committed


def test_answers_missing_from_a_batch_are_not_dropped(connected, far_end, virtual):
    """IntuneCD passes over them, msgraph-sdk gives None: rows in are more than outcomes out."""

    def outer(call, items):
        answers = [{"id": item["id"], "status": 204, "headers": {}} for item in items]
        return httpx.Response(200, json={"responses": answers[5:]}) if call == 1 else None

    _, client = connected(far_end(lambda arrival: (204, {}, None), outer=outer))
    users = [Request(method="PATCH", path=f"/users/u{n}", body=b"{}", idempotency=CONVERGENT) for n in range(3)]
    answers = virtual(client.batch([*creates(5)[:2], *users, *creates(9)[5:]]))
    assert statuses(answers) == ["OutcomeUnknown"] * 2 + [204] * 7


def test_an_inner_failure_is_not_hidden_by_the_outer_200(world, virtual):
    """CIPP never looks at the status of an item."""
    refused = {"method": "PATCH", "path": "/users/*", "nth": 2, "action": "answer", "status": 403}
    tenant, client = world(refused)
    answers = virtual(client.batch([patch(tenant, number) for number in (1, 2, 3)]))
    assert statuses(answers) == [204, 403, 204]
    assert answers[1].error.code


# --- writes ---


@pytest.mark.parametrize("idempotency", [KEYED, ONCE])
@pytest.mark.parametrize(
    "told", [{"status": 504}, {"status": 502}, {"status": 500}, {"status": 503}, {"failure": "timeout"}]
)
def test_a_post_is_not_repeated_after_504(world, virtual, idempotency, told):
    """Kiota repeats it: one mail went out four times (learn.microsoft.com/answers/questions/2286986)."""
    tenant, client = world({"method": "POST", "path": "/groups", "nth": 1, "action": "commit-then", **told})
    (answer,) = virtual(client.batch([create(1, idempotency)]))
    assert isinstance(answer, OutcomeUnknown)
    assert (len(tenant.log), tenant.faults.rules[0].matched) == (1, 1)


def test_a_write_that_may_be_repeated_ends_well_after_504(world, virtual):
    tenant = world()[0]
    fault = {"method": "PATCH", "path": "/users/*", "nth": [1, 2], "action": "commit-then", "status": 504}
    tenant, client = world(fault)
    assert statuses(virtual(client.batch([patch(tenant, 1)]))) == [204]
    assert tenant.faults.rules[0].matched == 3


def test_an_accepted_202_with_a_stated_wait_is_not_sent_again(world, virtual):
    """Retrying it doubled mails (microsoftgraph/msgraph-sdk-java issue 1487)."""
    accepted = {
        "method": "POST", "path": "/groups", "action": "commit-then", "status": 202, "headers": {"Retry-After": "5"},
    }  # fmt: skip
    tenant, client = world(accepted)

    async def main():
        answers = await client.batch([create(1)])
        return answers, client.clock.monotonic()

    answers, now = virtual(main())
    assert statuses(answers) == [202]
    assert (len(tenant.log), tenant.faults.rules[0].matched) == (1, 1)
    assert now < 5


@pytest.mark.parametrize(
    ("request_", "most"),
    [(Request(method="GET", path="/groups"), MOST_ATTEMPTS), (create(1, KEYED), 1), (create(1, ONCE), 1)],
    ids=["read", "keyed", "once"],
)
def test_retries_do_not_multiply_by_each_other(world, virtual, request_, most):
    """An outer retry around the inner one makes 4 times 5 sends (microsoftgraph/msgraph-sdk-dotnet issue 2805)."""
    tenant, client = world({"path": "/groups*", "action": "answer", "status": 503})
    virtual(client.batch([request_]))
    assert tenant.faults.rules[0].matched == most


@pytest.mark.filterwarnings("ignore")  # what the generated code warns about is its own affair
def test_not_even_where_msgraph_sdk_stands_above(world, virtual):
    pytest.importorskip("msgraph", reason="the extra sdk is not installed: pip install 'graphkit-m365[sdk]'")
    from kiota_abstractions.api_error import APIError

    tenant, client = world({"path": "/users*", "action": "answer", "status": 503})

    async def main():
        with pytest.raises(APIError) as caught:
            await client.sdk.users.get()
        return caught.value.response_status_code

    assert virtual(main()) == 503
    assert tenant.faults.rules[0].matched == MOST_ATTEMPTS


# --- waits ---


@pytest.mark.parametrize("wait", [65, 90, 125, 599])
@pytest.mark.parametrize("form", [str, lambda wait: formatdate(VIRTUAL_EPOCH + wait, usegmt=True)], ids=["s", "date"])
def test_a_wait_of_minutes_is_not_cut_to_its_seconds_component(world, virtual, wait, form):
    """timedelta.seconds, or the last two digits of a time: 90 s become 30, a day becomes nothing."""
    _, client = world({"path": "/users", "nth": 1, "action": "throttle", "retry_after": form(wait)})

    async def main():
        await client.get("/users")
        return client.clock.monotonic()

    assert wait <= virtual(main()) < wait + 2


@pytest.mark.parametrize("wait", [86_400, 86_405, 90_061, 2 * 86_400])
@pytest.mark.parametrize("form", [str, lambda wait: formatdate(VIRTUAL_EPOCH + wait, usegmt=True)], ids=["s", "date"])
def test_a_wait_of_days_is_not_cut_to_what_is_left_of_the_last_one(world, virtual, wait, form):
    tenant, client = world({"path": "/users", "nth": 1, "action": "throttle", "retry_after": form(wait)})
    (answer,) = virtual(client.batch([Request(method="GET", path="/users")]))
    assert isinstance(answer, Parked)
    assert answer.seconds == pytest.approx(wait, abs=1)
    assert tenant.faults.rules[0].matched == 1


@pytest.mark.parametrize("stated", [{}, {"headers": {"Retry-After": "1"}}, {"headers": {"Retry-After": "0"}}])
def test_a_503_that_never_ends_is_not_asked_for_ever(world, virtual, stated):
    """CLI for Microsoft 365 repeats it without bound."""
    tenant, client = world({"path": "/users", "action": "answer", "status": 503, **stated})

    async def main():
        with pytest.raises(ServiceError) as caught:
            await client.get("/users")
        return caught.value

    error = virtual(main())
    assert (error.status, error.attempts, tenant.faults.rules[0].matched) == (503, MOST_ATTEMPTS, MOST_ATTEMPTS)


def test_an_outage_costs_each_of_many_requests_a_share_of_one_budget(world, virtual):
    """Kiota makes 800 requests for 200 reads, and none succeeds."""
    tenant, client = world({"path": "/users/*", "action": "answer", "status": 500})
    reads = [Request(method="GET", path=f"/users/u{number}") for number in range(1000)]
    assert set(statuses(virtual(client.batch(reads)))) == {500}
    assert tenant.faults.rules[0].matched <= 1000 + 10_000 / 5


def test_one_throttled_service_does_not_put_the_whole_process_to_sleep(world, virtual):
    """IntuneCD sleeps in the middle of everything."""

    async def took(tenant, client):
        intune = asyncio.create_task(client.batch([Request(method="GET", path="/deviceManagement/managedDevices")] * 3))
        await client.batch([patch(tenant, number) for number in range(1, 401)])
        directory = client.clock.monotonic()
        await intune
        return directory, client.clock.monotonic()

    calm, _ = virtual(took(*world()))
    throttled = {"path": "/deviceManagement/*", "nth": [1, 2, 3], "action": "throttle", "retry_after": "300"}
    directory, intune = virtual(took(*world(throttled)))
    assert directory <= calm * 1.05
    assert intune >= 300


def test_the_pace_and_not_the_refusal_is_what_keeps_a_run_within_the_quota(world, virtual):
    """Without pacing, 600 rows of the tenant's own throttling cost thousands of calls and lose half of the rows."""
    tenant, client = world(quota_share=1.0)
    requests = [patch(tenant, 1 + number % 600, b'{"jobTitle": "%d"}' % number) for number in range(3600)]
    assert set(statuses(virtual(client.batch(requests)))) == {204}
    assert tenant.throttle.refused == 0


def test_another_app_that_takes_the_quota_costs_time_and_no_rows(world, virtual):
    """Its calls count for the tenant, and its refusals name no bucket of ours."""
    tenant, client = world(quota_share=1.0)

    async def main():
        policies = [Request(method="GET", path="/identity/conditionalAccess/policies") for _ in range(30)]
        ours = asyncio.create_task(client.batch(policies))
        for _ in range(40):
            headers = {"Authorization": "Bearer another-app"}
            tenant.handle("GET", "https://graph.microsoft.com/v1.0/identity/conditionalAccess/policies", headers)
            await client.clock.sleep(1.5)
        return await ours

    assert set(statuses(virtual(main()))) == {200}
    assert tenant.throttle.refused > 0


# --- data ---


@pytest.mark.parametrize("status", [403, 404, 500])
def test_the_body_of_an_error_is_not_taken_for_data(world, virtual, status):
    """A backup of policies that holds {"error": ...}: the body was kept, the status not looked at."""
    _, client = world({"path": "/groups", "action": "answer", "status": status})

    async def main():
        with pytest.raises(ServiceError) as caught:
            await client.get("/groups")
        with pytest.raises(ServiceError):
            [item async for item in client.list("/groups")]
        return caught.value

    error = virtual(main())
    assert error.status == status
    assert error.service_code


def test_the_body_of_an_error_on_a_later_page_is_not_the_end_of_the_list(world, virtual):
    _, client = world({"method": "GET", "path": "/users", "nth": 3, "action": "answer", "status": 403})
    seen = []

    async def read():
        async for item in client.list("/users", page_size=100):
            seen.append(item["id"])  # noqa: PERF401 - what was read before it broke off counts

    with pytest.raises(IncompleteList):
        virtual(read())
    assert len(seen) == len(set(seen)) == 200


@pytest.mark.parametrize("body", [b"<html><h1>502 Bad Gateway</h1></html>", b"", b'{"value": [{"id": "1"}'])
def test_a_page_of_html_or_half_an_answer_is_not_taken_for_data(connected, virtual, body):
    class Gateway(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request):
            return httpx.Response(200, headers={"content-type": "text/html"}, content=body)

    _, client = connected(Gateway())

    async def main():
        return [item async for item in client.list("/users")]

    with pytest.raises((IncompleteList, ServiceError, ConnectionFailed)):
        virtual(main())
