"""Whatever is asked of whatever service, and however that fails: given at once it ends as if given one by one."""

from __future__ import annotations

import asyncio
import json
import math
import os
from collections import defaultdict
from dataclasses import dataclass, field, replace
from itertools import combinations

import httpx
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from graphkit import clock
from graphkit.errors import Blocked, ConnectionFailed, GraphkitError, Stopped
from graphkit.protocol.budget import WriteBudget, effect_of
from graphkit.protocol.clouds import CLOUDS
from graphkit.protocol.identity import Token
from graphkit.protocol.message import Idempotency, Request, Response
from graphkit.protocol.routes import parse
from graphkit.transport.chain import build_chain
from graphkit.transport.tally import Grant
from graphkit.transport.together import singly

EXAMPLES = int(os.environ.get("GRAPHKIT_EXAMPLES", "50"))
PLENTY = WriteBudget(creates=500, updates=500, removals=500, deletions=500, members=500)
CONFLICT = {"error": {"code": "Directory_ConcurrencyViolation"}}

ANSWERS = {
    "done": (200, {}, None),
    "gone": (404, {}, {"error": {"code": "NotFound"}}),
    "busy": (429, {}, None),
    "busy for two seconds": (429, {"Retry-After": "2"}, None),
    "down": (503, {}, None),
    "down for three seconds": (503, {"Retry-After": "3"}, None),
    "failed": (500, {}, None),
    "failed but done": (504, {}, None),
    "conflict": (409, {}, CONFLICT),
    "locked": (423, {}, None),
    "not attempted": (424, {}, None),
    "old token": (401, {}, None),
    "crowded": (200, {"x-ms-throttle-limit-percentage": "1.2"}, None),
    "cheap": (200, {"x-ms-resource-unit": "0"}, None),
    "dear": (200, {"x-ms-resource-unit": "7"}, None),
    "closed": (429, {"Retry-After": "7000"}, None),
    "lost": None,
    "told twice": None,
}
EXECUTED = frozenset({"done", "crowded", "cheap", "dear", "failed but done", "lost", "told twice"})
ENVELOPES = {
    "none": (404, {}),
    "not allowed": (405, {}),
    "bad": (400, {}),
    "too large": (413, {}),
    "busy": (429, {"Retry-After": "2"}),
    "busy for long": (429, {"Retry-After": "700"}),
    "failed": (500, {}),
    "old token": (401, {}),
}


@dataclass
class Service:
    """Does with the nth sending of a request what the nth word of its script says, however it comes.

    ``envelopes`` does the same with the nth envelope as a whole.
    """

    scripts: dict[str, list[str]]
    envelopes: list[str] = field(default_factory=list)
    sent: dict[str, list[tuple[float, float]]] = field(default_factory=lambda: defaultdict(list))
    executed: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    targets: dict[str, str] = field(default_factory=dict)

    async def handle(self, request: httpx.Request) -> httpx.Response:
        begun = clock.VirtualClock().monotonic()
        path = request.url.raw_path.decode()
        if path.endswith("/$batch"):
            return await self._envelope(json.loads(request.content)["requests"])
        name = path.partition("name=")[2]
        word = self._do(name)
        await self._pass(begun, [name])
        if ANSWERS[word] is None:
            raise httpx.ReadError("reset", request=request)
        status, headers, body = self._answer(word, name)
        return httpx.Response(status, headers=headers, json=body)

    async def _envelope(self, items) -> httpx.Response:
        begun = clock.VirtualClock().monotonic()
        whole = self.envelopes.pop(0) if self.envelopes else ""
        names = [item["url"].partition("name=")[2] for item in items]
        if whole == "not reached":
            raise httpx.ConnectError("nobody there")
        if whole in ENVELOPES:
            await self._pass(begun, [])
            status, headers = ENVELOPES[whole]
            return httpx.Response(status, headers=headers, json={"error": {"code": "x"}})
        answers = []
        for item, name in zip(items, names, strict=True):
            word = self._do(name)
            if word == "lost":
                continue
            status, headers, body = self._answer(word, name)
            answers.append({"id": item["id"], "status": status, "headers": headers, "body": body})
            if word == "told twice":
                answers.append(answers[-1])
        await self._pass(begun, names)
        if whole == "cut":
            raise httpx.RemoteProtocolError("cut")
        if whole == "nonsense":
            return httpx.Response(200, json={"value": []})
        return httpx.Response(200, json={"responses": answers[::-1]})

    def _answer(self, word: str, name: str):
        status, headers, body = ANSWERS[word] or ANSWERS["done"]
        return status, headers, {"id": name} if status == 200 else body

    def _do(self, name: str) -> str:
        script = self.scripts[name]
        word = script.pop(0) if script else "done"
        self.executed[name] += word in EXECUTED
        self.sent[name].append((math.inf, math.inf))
        return word

    async def _pass(self, begun: float, names) -> None:
        try:
            await clock.VirtualClock().sleep(0.2)
        finally:
            for name in names:
                self.sent[name][-1] = (begun, clock.VirtualClock().monotonic())


class Wire(httpx.AsyncBaseTransport):
    def __init__(self, service):
        self.handle_async_request = service.handle


class App:
    def __init__(self, name):
        self.name = name

    async def token(self, *, claims="", renew=False):
        return Token("t", 1e12)


class Places:
    """A tally of which every ``denied``-th asking is in vain."""

    def __init__(self, denied):
        self.free, self.asked, self.denied = {}, 0, denied

    def reserve(self, name, amount, interval, now):
        self.asked += 1
        if self.denied and self.asked % self.denied == 0:
            return Grant(0.0, now + 0.5)
        start = max(now, self.free.get(name, now))
        self.free[name] = start + amount * interval
        return Grant(amount, start)

    def stop(self, name, until, free, now):
        self.free[name] = max(free, self.free.get(name, free))


def requests_of(draw_ops) -> list[Request]:
    return [
        Request(
            method=method,
            path=f"{path}?name=r{number}"
            if path[0] == "/"
            else f"https://graph.microsoft.com/v1.0/users?name=r{number}",
            body=(b'"' + b"x" * size + b'"') if method not in ("GET", "HEAD", "DELETE") else None,
            version=version,
            idempotency=Idempotency.READ if method in ("GET", "HEAD") else idempotency,
            commutative=commutative,
        )
        for number, (method, path, size, version, idempotency, commutative, _) in enumerate(draw_ops)
    ]


PATHS = [
    *(f"/users/{name}" for name in "abc"),
    *(f"/users/{name}/presence/setPresence" for name in "ab"),
    *(f"/teams/{name}" for name in "ab"),
    "/teams/a/channels/general",
    "/groups",
    "/groups/g/members/$ref",
    "/identity/conditionalAccess/policies/p",
    "/sites/s",
    "https://",
]


def operation(words):
    return st.tuples(
        st.sampled_from(["GET", "PATCH", "PATCH", "POST", "PUT", "DELETE"]),
        st.sampled_from(PATHS),
        st.sampled_from([2, 2, 2, 1_800_000]),
        st.sampled_from(["v1.0", "v1.0", "beta"]),
        st.sampled_from([Idempotency.CONVERGENT, Idempotency.KEYED, Idempotency.ONCE]),
        st.sampled_from([False, True, True]),
        st.one_of(st.just([]), st.lists(st.sampled_from(words), max_size=4)),
    )


SETTINGS = st.fixed_dictionaries(
    {
        "slots": st.integers(1, 3),
        "quota_share": st.sampled_from([0.05, 0.7, 1.0]),
        "apps": st.integers(1, 2),
        "seed": st.integers(0, 3),
        "tally": st.sampled_from([None, 0, 3]),
    }
)


def name_of(request):
    return request.path.partition("name=")[2]


def kind_of(answer):
    return answer.status if isinstance(answer, Response) else type(answer)


async def left_beside(before):
    for _ in range(20):
        await asyncio.sleep(0)
    return asyncio.all_tasks() - before


def held(chain):
    """Targets whose turn somebody has, or waits for; who was narrowed is remembered though nobody has it."""
    targets = chain._guard._following._turns._targets
    return {key for key, target in targets.items() if target is None or target.busy or target.waiting}


def rounds_of(words):
    return st.lists(st.lists(operation(words), max_size=25), min_size=1, max_size=3)


def played(rounds, how, giving, *, envelopes=()):
    """What ``giving(chain, rounds of requests)`` comes to; nobody may hold anything afterwards, nor anything run on."""
    operations = [operation for each in rounds for operation in each]
    requests = requests_of(operations)
    service = Service(
        {name_of(request): list(operation[-1]) for request, operation in zip(requests, operations, strict=True)},
        list(envelopes),
        targets={name_of(request): parse(request.path).target for request in requests},
    )
    apps = [App(f"app-{number}") for number in range(how["apps"])]
    how = {key: value for key, value in how.items() if key != "apps"}
    how["tally"] = Places(how["tally"]) if how["tally"] is not None else None
    rest = iter(requests)
    parts = [[next(rest) for _ in each] for each in rounds]

    async def main():
        chain = build_chain(
            Wire(service),
            cloud=CLOUDS["global"],
            source=apps,
            clock=clock.VirtualClock(),
            budget=replace(PLENTY),
            **how,
        )
        before = asyncio.all_tasks()
        answers = await giving(chain, parts)
        assert not held(chain)
        await chain.aclose()
        assert not await left_beside(before)
        assert not held(chain)
        return answers, chain.budget

    return requests, service, *clock.run(main(), virtual=True)


async def at_once(chain, parts):
    return [answer for part in parts for answer in await chain.batch(part)]


async def one_by_one(chain, parts):
    return [answer for part in parts for answer in await singly(chain, part)]


def check_answers(requests, answers):
    """One each, by whom it was asked for."""
    for request, answer in zip(requests, answers, strict=True):
        assert isinstance(answer, Response | GraphkitError), repr(answer)
        if isinstance(answer, Response) and answer.ok:
            assert answer.json() == {"id": name_of(request)}


def check_once(requests, service):
    for request in requests:
        if request.idempotency in (Idempotency.ONCE, Idempotency.KEYED) and request.method != "GET":
            assert service.executed[name_of(request)] <= 1


def check_order(requests, service):
    """Writes to one object began in the order given, and none beside another unless both are commutative."""
    writes = [request for request in requests if request.method != "GET" and service.targets[name_of(request)]]
    for earlier, later in combinations(writes, 2):
        target = service.targets[name_of(earlier)]
        if service.targets[name_of(later)] != target or (earlier.commutative and later.commutative):
            continue
        first, second = service.sent[name_of(earlier)], service.sent[name_of(later)]
        assert not second or not first or first[-1][1] <= second[0][0], (
            f"{name_of(later)} did not wait for {name_of(earlier)}"
        )


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(rounds_of([word for word in ANSWERS if word != "closed"]), SETTINGS)
def test_given_at_once_everything_ends_as_if_given_one_by_one(rounds, how):
    requests, alone_service, alone, alone_budget = played(rounds, how, one_by_one)
    _, service, together, budget = played(rounds, how, at_once)
    check_answers(requests, together)
    assert [kind_of(answer) for answer in together] == [kind_of(answer) for answer in alone]
    assert service.executed == alone_service.executed
    assert {name: len(times) for name, times in service.sent.items()} == {
        name: len(times) for name, times in alone_service.sent.items()
    }
    assert budget == alone_budget
    for seen in (service, alone_service):
        check_order(requests, seen)
        check_once(requests, seen)


WHOLE = [*ENVELOPES, "not reached", "cut", "nonsense", "", ""]
UPSETS = st.lists(
    st.tuples(st.sampled_from(["give up", "close", "deadline", "wait"]), st.floats(0, 8), st.integers(0, 2)), max_size=3
)


def left_over(requests, answers):
    """Of the budget: what is proved not to have been executed is given back."""
    budget = replace(PLENTY)
    for request, answer in zip(requests, answers, strict=True):
        refused = isinstance(answer, Response) and 400 <= answer.status < 500
        if request.method != "GET" and not refused and not isinstance(answer, Blocked | ConnectionFailed | Stopped):
            budget.spend(effect_of(request))
    return budget


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    rounds_of(list(ANSWERS)),
    SETTINGS,
    st.lists(st.sampled_from(WHOLE), max_size=8),
    UPSETS,
    st.booleans(),
    st.integers(0, 3),
)
def test_whatever_comes_in_between_everything_ends_and_nobody_holds_anything(
    rounds, how, envelopes, upsets, in_turn, alone
):
    async def upset(chain, parts):
        tasks = []
        for number, part in enumerate(parts):
            giving = singly(chain, part) if number == alone else chain.batch(part)
            tasks.append(asyncio.create_task(giving))
            if in_turn or number == alone:  # who gives them singly needs a turn of the loop to have given them
                await asyncio.sleep(0.3 if in_turn else 1e-9)
        for what, after, which in upsets:
            await asyncio.sleep(after)
            if what == "give up":
                tasks[which % len(tasks)].cancel()
            elif what == "deadline":
                chain.deadline = clock.VirtualClock().monotonic() + 5
            elif what == "close":
                await chain.aclose()
        _, pending = await asyncio.wait(tasks, timeout=1e6)
        assert not pending
        return [None if task.cancelled() else task.result() for task in tasks]

    requests, service, parts, budget = played(rounds, how, upset, envelopes=envelopes)
    check_once(requests, service)
    if None not in parts:
        answers = [answer for part in parts for answer in part]
        check_answers(requests, answers)
        assert budget == left_over(requests, answers)
        check_order(requests, service)
