"""One pure function from request to recorded response, and its doors."""

from __future__ import annotations

import asyncio
import json

import httpx
import pytest

from graphkit.protocol.message import Request
from graphkit.recording import Cassette, Operation, Player, ReplayTransport, Unmatched
from graphkit.recording.cassette import Header

ROOT = "https://graph.microsoft.com"
LOCAL = "http://127.0.0.1:8080"


def player(*operations):
    return Player(Cassette(Header(1, 0.0), [Operation(*each[:3], **each[3]) for each in operations]))


def get(path, **fields):
    return Request(method="GET", path=path, **fields)


def write(method, path, body):
    return Request(method=method, path=path, body=json.dumps(body).encode())


def bind(*names):
    return {"members@odata.bind": [f"{ROOT}/v1.0/directoryObjects/{name}" for name in names]}


def test_a_request_is_matched_whatever_the_order_of_its_options_and_the_spelling_of_its_escapes():
    one = player(("GET", "/v1.0/users?$filter=a%20eq%20'b'&$top=5", 200, {"answer": {"value": []}}))
    assert one.answer(get("/users?$top=5&$filter=a+eq+%27b%27")).json() == {"value": []}


def test_a_body_is_matched_whatever_the_order_of_its_keys_and_lists():
    one = player(("POST", "/v1.0/groups", 201, {"body": {"a": 1, "b": ["x", "y"]}, "answer": {"id": "1"}}))
    assert one.answer(write("POST", "/groups", {"b": ["y", "x"], "a": 1})).status == 201


@pytest.mark.parametrize(
    "asked",
    [
        write("PATCH", "/groups", {"a": 1}),
        write("POST", "/groups/1", {"a": 1}),
        write("POST", "/groups", {"a": 2}),
        write("POST", "/groups?x=1", {"a": 1}),
        Request(method="POST", path="/groups", body=b'{"a":1}', version="beta"),
    ],
    ids=["method", "path", "body", "option", "version"],
)
def test_anything_else_is_unmatched_and_remembered(asked):
    one = player(("POST", "/v1.0/groups", 201, {"body": {"a": 1}}))
    with pytest.raises(Unmatched, match="the cassette has no answer"):
        one.answer(asked)
    assert len(one.unmatched) == 1
    assert one.unused == ["POST /v1.0/groups"]


def test_the_same_request_gets_its_answers_in_the_order_in_which_they_were_recorded():
    one = player(("GET", "/v1.0/me", 429, {}), ("GET", "/v1.0/me", 404, {}), ("GET", "/v1.0/me", 200, {}))
    assert [one.answer(get("/me")).status for _ in range(3)] == [429, 404, 200]


def test_what_was_asked_once_is_answered_once():
    one = player(("GET", "/v1.0/me", 200, {}))
    assert one.answer(get("/me")).ok
    with pytest.raises(Unmatched):
        one.answer(get("/me"))


def test_what_was_asked_until_something_came_about_may_be_asked_again_but_no_write_is_done_twice():
    one = player(
        *(("GET", "/v1.0/me", status, {}) for status in (404, 200)),
        *(("POST", "/v1.0/groups/1/owners/$ref", status, {"body": {"a": 1}}) for status in (404, 400)),
        *(("DELETE", "/v1.0/groups/1", status, {}) for status in (503, 204)),
    )
    assert [one.answer(get("/me")).status for _ in range(3)] == [404, 200, 200]
    ref = write("POST", "/groups/1/owners/$ref", {"a": 1})
    assert [one.answer(ref).status for _ in range(3)] == [404, 400, 400]
    gone = Request(method="DELETE", path="/groups/1")
    assert [one.answer(gone).status for _ in range(2)] == [503, 204]
    with pytest.raises(Unmatched):
        one.answer(gone)


def test_of_several_writes_to_one_address_whoever_comes_first_meets_the_refusal_that_passes():
    one = player(
        ("POST", "/v1.0/teams/1/channels", 404, {"body": {"n": "a"}}),
        ("POST", "/v1.0/teams/1/channels", 201, {"body": {"n": "a"}}),
        ("POST", "/v1.0/teams/1/channels", 201, {"body": {"n": "b"}}),
    )
    asked = [write("POST", "/teams/1/channels", {"n": name}) for name in ("b", "b", "a")]
    assert [one.answer(each).status for each in asked] == [404, 201, 201]
    assert one.unused == []


def test_secrets_are_not_compared_for_none_was_recorded():
    one = player(("POST", "/v1.0/users", 201, {"body": {"passwordProfile": {"password": "<removed>"}}}))
    assert one.answer(write("POST", "/users", {"passwordProfile": {"password": "Winter-2026"}})).status == 201


def test_reads_that_nobody_asked_for_do_not_matter_but_writes_do():
    one = player(
        ("GET", "/v1.0/me", 200, {}),
        ("POST", "/v1.0/directoryObjects/getByIds", 200, {"body": {"ids": []}}),
        ("DELETE", "/v1.0/groups/1", 204, {}),
    )
    assert one.unused == ["DELETE /v1.0/groups/1"]


def test_a_batch_is_taken_apart_and_each_part_gets_its_own_answer():
    one = player(("GET", "/v1.0/users/a", 200, {"answer": {"id": "a"}}), ("GET", "/v1.0/users/b", 404, {}))
    body = {"requests": [{"id": name, "method": "GET", "url": f"/users/{name}"} for name in ("b", "a")]}
    answers = one.answer(write("POST", "/$batch", body)).json()["responses"]
    assert [(each["id"], each["status"]) for each in answers] == [("b", 404), ("a", 200)]


def test_in_a_batch_what_depends_on_a_failure_was_never_recorded_and_fails_as_it_does_at_the_service():
    one = player(("POST", "/v1.0/groups", 400, {"body": {"a": 1}}))
    first = {"id": "1", "method": "POST", "url": "/groups", "body": {"a": 1}, "headers": {"content-type": "x/json"}}
    body = {"requests": [first, {"id": "2", "method": "GET", "url": "/me", "dependsOn": ["1"]}]}
    answers = one.answer(write("POST", "/$batch", body)).json()["responses"]
    assert [each["status"] for each in answers] == [400, 424]


def test_an_answer_that_got_lost_gets_lost_again():
    def one():
        return player(("POST", "/v1.0/groups", 0, {"body": {"a": 1}, "lost": "ReadTimeout"}))

    with pytest.raises(httpx.ReadError, match="got lost when this was recorded"):
        httpx.Client(transport=ReplayTransport(one())).post(f"{ROOT}/v1.0/groups", json={"a": 1})
    item = {"id": "1", "method": "POST", "url": "/groups", "body": {"a": 1}, "headers": {"content-type": "x/json"}}
    assert one().answer(write("POST", "/$batch", {"requests": [item]})).json() == {"responses": []}


def test_links_lead_to_the_server_that_was_asked_and_are_matched_when_followed():
    one = player(
        ("GET", "/v1.0/users", 200, {"answer": {"@odata.nextLink": f"{ROOT}/v1.0/users?$skiptoken=x"}}),
        ("GET", "/v1.0/users?$skiptoken=x", 200, {"answer": {"value": []}}),
        ("POST", "/v1.0/teams", 202, {"headers": {"location": f"{ROOT}/v1.0/teams('1')"}}),
        ("POST", "/v1.0/groups/1/owners/$ref", 204, {"body": {"@odata.id": f"{ROOT}/v1.0/users/2"}}),
    )
    link = one.answer(get("/users"), LOCAL).json()["@odata.nextLink"]
    assert link.startswith(LOCAL)
    assert one.answer(get(link), LOCAL).ok
    assert one.answer(Request(method="POST", path="/teams"), LOCAL).headers["location"] == f"{LOCAL}/v1.0/teams('1')"
    assert one.answer(write("POST", "/groups/1/owners/$ref", {"@odata.id": f"{LOCAL}/v1.0/users/2"}), LOCAL).ok


# --- lists of references ---


def test_references_may_travel_in_other_company_than_they_did():
    one = player(
        ("PATCH", "/v1.0/groups/1", 204, {"body": bind("a", "b")}),
        ("PATCH", "/v1.0/groups/1", 204, {"body": bind("c")}),
    )
    assert one.answer(write("PATCH", "/groups/1", bind("c", "a"))).status == 204
    assert one.unused == ["PATCH /v1.0/groups/1"]
    assert one.answer(write("PATCH", "/groups/1", bind("b"))).status == 204
    assert one.unused == []


def test_a_reference_is_given_out_once():
    one = player(("PATCH", "/v1.0/groups/1", 204, {"body": bind("a", "b")}))
    assert one.answer(write("PATCH", "/groups/1", bind("a", "b"))).ok
    with pytest.raises(Unmatched):
        one.answer(write("PATCH", "/groups/1", bind("a")))


def test_a_refusal_that_passed_meets_whoever_comes_first():
    one = player(
        ("PATCH", "/v1.0/groups/1", 429, {"body": bind("a", "b"), "headers": {"retry-after": "3"}}),
        ("PATCH", "/v1.0/groups/1", 204, {"body": bind("a", "b")}),
        ("PATCH", "/v1.0/groups/1", 204, {"body": bind("c")}),
    )
    assert one.answer(write("PATCH", "/groups/1", bind("b", "c"))).headers["retry-after"] == "3"
    assert one.answer(write("PATCH", "/groups/1", bind("b", "c"))).ok
    assert one.answer(write("PATCH", "/groups/1", bind("a"))).ok
    assert one.unused == []


def test_a_refusal_for_good_is_only_for_those_whom_it_met():
    one = player(("PATCH", "/v1.0/groups/1", 400, {"body": bind("a", "b")}))
    with pytest.raises(Unmatched):
        one.answer(write("PATCH", "/groups/1", bind("a")))
    assert one.answer(write("PATCH", "/groups/1", bind("b", "a"))).status == 400


# --- doors ---


def test_one_transport_serves_both_kinds_of_client():
    def one():
        return ReplayTransport(player(("GET", "/v1.0/me", 200, {"answer": {"id": "1"}})))

    assert httpx.Client(transport=one()).get(f"{ROOT}/v1.0/me").json() == {"id": "1"}

    async def ask():
        async with httpx.AsyncClient(transport=one()) as client:
            return (await client.get(f"{ROOT}/v1.0/me")).json()

    assert asyncio.run(ask()) == {"id": "1"}


def test_an_address_that_is_not_graphs_is_never_gone_to():
    one = player()
    with pytest.raises(Unmatched, match=r"does not go to login\.microsoftonline\.com"):
        httpx.Client(transport=ReplayTransport(one)).get("https://login.microsoftonline.com/common/oauth2/v2.0/token")
    assert one.unmatched


def test_a_bare_count_and_a_table_are_answered_as_text():
    one = player(
        ("GET", "/v1.0/users/$count", 200, {"text": "62", "headers": {"content-type": "text/plain"}}),
        ("GET", "/v1.0/reports/x", 200, {"text": "a,b\n", "headers": {"content-type": "text/csv"}}),
    )
    assert one.answer(get("/users/$count")).body == b"62"
    assert one.answer(get("/reports/x")).body == b"a,b\n"
