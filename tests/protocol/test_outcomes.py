from __future__ import annotations

import pytest

from graphkit.protocol.message import Idempotency, Response
from graphkit.protocol.outcomes import Action, decide, no_answer, not_sent

READ, CONVERGENT, KEYED, ONCE = Idempotency
CONCURRENCY = b'{"error": {"code": "Directory_ConcurrencyViolation", "message": "wait briefly and retry"}}'
INNER_CONCURRENCY = b'{"error": {"code": "", "innerError": {"code": "Directory_ConcurrencyViolation"}}}'
EXISTS = b'{"error": {"code": "Request_MultipleObjectsWithSameKeyValue", "message": "exists"}}'

# what came back; then what becomes of a read, a convergent, a keyed and a once
TABLE = {
    "2xx": ((204, {}, b""), "final final final final"),
    "202 with Retry-After": ((202, {"retry-after": "10"}, b""), "final final final final"),
    "a redirect": ((302, {"location": "https://evil.example"}, b""), "final final final final"),
    "401": ((401, {}, b""), "renew renew renew renew"),
    "424": ((424, {}, b""), "repeat repeat repeat repeat"),
    "429": ((429, {"retry-after": "3"}, b""), "wait wait wait wait"),
    "429 without a header": ((429, {}, b""), "wait wait wait wait"),
    "503 with Retry-After": ((503, {"retry-after": "3"}, b""), "wait wait unknown unknown"),
    "509 with Retry-After": ((509, {"retry-after": "3"}, b""), "wait wait unknown unknown"),
    "409 concurrency": ((409, {}, CONCURRENCY), "wait wait wait wait"),
    "409 concurrency inside": ((409, {}, INNER_CONCURRENCY), "wait wait wait wait"),
    "423": ((423, {}, b""), "wait wait wait wait"),
    "409 already exists": ((409, {}, EXISTS), "final final final final"),
    "400": ((400, {}, EXISTS), "final final final final"),
    "403": ((403, {}, b""), "final final final final"),
    "404": ((404, {}, b""), "final final final final"),
    "412": ((412, {}, b""), "final final final final"),
    "500": ((500, {}, b""), "repeat repeat unknown unknown"),
    "502 with a web page": ((502, {}, b"<html>"), "repeat repeat unknown unknown"),
    "503": ((503, {}, b""), "repeat repeat unknown unknown"),
    "504": ((504, {}, b""), "repeat repeat unknown unknown"),
    "504 with Retry-After": ((504, {"retry-after": "3"}, b""), "repeat repeat unknown unknown"),
    "509": ((509, {}, b""), "repeat repeat unknown unknown"),
    "501": ((501, {}, b""), "final final final final"),
}
CELLS = [
    pytest.param(answer, idempotency, action, id=f"{name}-{idempotency}")
    for name, (answer, actions) in TABLE.items()
    for idempotency, action in zip(Idempotency, actions.split(), strict=True)
]


@pytest.mark.parametrize(("answer", "idempotency", "action"), CELLS)
def test_every_cell_of_the_table(answer, idempotency, action):
    assert decide(idempotency, Response(*answer), workload="identity").action == action


@pytest.mark.parametrize("workload", ["identity", "intune", "conditional-access", "other"])
def test_a_throttled_create_is_repeated(workload):
    assert decide(KEYED, Response(429, {}), workload=workload).action is Action.WAIT


@pytest.mark.parametrize(
    ("idempotency", "action"), list(zip(Idempotency, ["wait", "wait", "unknown", "unknown"], strict=True))
)
def test_a_throttled_create_of_teams_is_looked_up_first(idempotency, action):
    assert decide(idempotency, Response(429, {"retry-after": "1"}), workload="teams").action == action


@pytest.mark.parametrize("idempotency", Idempotency)
def test_a_second_401_is_final(idempotency):
    assert decide(idempotency, Response(401, {}), renewed=True).action is Action.FINAL


@pytest.mark.parametrize("status", [409, 423])
def test_writes_that_collided_go_on_one_at_a_time(status):
    assert decide(CONVERGENT, Response(status, {}, CONCURRENCY)).narrow


def test_throttling_says_nothing_about_collisions():
    assert not decide(CONVERGENT, Response(429, {})).narrow


def test_what_was_never_sent_is_always_repeated():
    assert not_sent().action is Action.REPEAT


@pytest.mark.parametrize(
    ("idempotency", "action"), list(zip(Idempotency, ["repeat", "repeat", "unknown", "unknown"], strict=True))
)
def test_a_lost_answer_leaves_a_create_unknown(idempotency, action):
    assert no_answer(idempotency).action == action
