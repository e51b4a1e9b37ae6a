from __future__ import annotations

import base64
import json

import pytest

from graphkit.protocol.batch import MAX_BYTES, batchable, decode, encode
from graphkit.protocol.message import Request


def sent(*requests):
    return json.loads(encode(requests))["requests"]


def answered(*responses):
    return json.dumps({"responses": list(responses)}).encode()


def test_one_item_looks_as_the_service_wants_it():
    body = b'{"displayName":"x"}'
    assert encode([Request(method="PATCH", path="/groups/g1", body=body)]) == (
        b'{"requests":[{"id":"0","method":"PATCH","url":"/groups/g1",'
        b'"headers":{"Content-Type":"application/json"},"body":{"displayName":"x"}}]}'
    )


@pytest.mark.parametrize("count", [1, 20])
def test_ids_are_unique_and_in_order(count):
    items = sent(*(Request(method="GET", path=f"/users/{number}") for number in range(count)))
    assert [item["id"] for item in items] == [str(number) for number in range(count)]
    assert items[-1] == {"id": str(count - 1), "method": "GET", "url": f"/users/{count - 1}"}


def test_a_bodiless_action_gets_an_empty_object():
    (item,) = sent(Request(method="POST", path="/groups/g1/renew", headers={"Prefer": "x"}))
    assert item["body"] == {}
    assert item["headers"] == {"Prefer": "x", "Content-Type": "application/json"}


def test_headers_of_an_item_stay_with_it():
    (item,) = sent(Request(method="GET", path="/users", headers={"ConsistencyLevel": "eventual"}))
    assert item["headers"] == {"ConsistencyLevel": "eventual"}


def test_a_content_type_given_is_kept():
    body = b'{"a": 1}'
    (item,) = sent(Request(method="POST", path="/x", body=body, headers={"content-type": "application/json;v=2"}))
    assert item["headers"] == {"content-type": "application/json;v=2"}
    assert item["body"] == {"a": 1}


def test_a_body_among_other_headers_is_json_too():
    (item,) = sent(Request(method="PATCH", path="/x", body=b'{"a": 1}', headers={"If-Match": "w"}))
    assert item["headers"] == {"If-Match": "w", "Content-Type": "application/json"}
    assert item["body"] == {"a": 1}


def test_a_body_that_is_not_json_travels_as_base64():
    (item,) = sent(Request(method="PUT", path="/x", body=b"\xff\xd8", headers={"Content-Type": "image/jpeg"}))
    assert base64.b64decode(item["body"]) == b"\xff\xd8"


def test_answers_come_back_in_the_order_of_the_requests():
    answers = decode(answered({"id": "1", "status": 204}, {"id": "0", "status": 200, "body": {"a": 1}}), 2)
    assert [answer.status for answer in answers] == [200, 204]
    assert [answer.body for answer in answers] == [b'{"a": 1}', b""]


def test_header_names_are_lower_case_and_values_text():
    (answer,) = decode(answered({"id": "0", "status": 429, "headers": {"Retry-After": 3}}), 1)
    assert answer.headers == {"retry-after": "3"}


@pytest.mark.parametrize(
    ("responses", "statuses"),
    [
        ([{"id": "0", "status": 200}], [200, None]),
        ([], [None, None]),
        ([{"id": "0", "status": 200}, {"id": "0", "status": 500}, {"id": "1", "status": 204}], [None, 204]),
        ([{"id": "0", "status": 200}, {"id": "1", "status": 204}, {"id": "7", "status": 200}], [200, 204]),
        ([{"id": 0, "status": 200}, {"id": 1, "status": 204}], [200, 204]),
        ([{"id": "0", "status": "200"}, {"id": " 1", "status": "204"}], [200, 204]),
        ([{"id": "0", "status": 200}, {"id": "x", "status": 204}], [200, None]),
        ([{"id": "0", "status": 200}, {"id": "01", "status": 204}], [200, None]),
        ([{"id": "0", "status": 200}, {"id": "-1", "status": 204}], [200, None]),
        ([{"id": "0", "status": 200}, {"id": "1", "status": "fine"}], [200, None]),
        ([{"id": "0", "status": 200}, {"id": "1"}], [200, None]),
        ([{"id": "0", "status": 200}, {"id": None, "status": 204}], [200, None]),
        ([{"id": "0", "status": 200}, "nonsense"], [200, None]),
        ([{"id": "0", "status": 200, "headers": None, "body": None}, {"id": "1", "status": 204}], [200, 204]),
    ],
)
def test_an_answer_counts_only_if_it_is_surely_the_one(responses, statuses):
    answers = decode(answered(*responses), 2)
    assert [answer and answer.status for answer in answers] == statuses


@pytest.mark.parametrize("body", [b"", b"<html>", b"{}", b'{"responses": 1}', b'{"responses": [', b"[]"])
def test_what_is_no_envelope_is_refused(body):
    with pytest.raises(ValueError, match="batch"):
        decode(body, 1)


def test_binary_and_text_bodies_are_unwrapped():
    photo = {"id": "0", "status": 200, "headers": {"Content-Type": "image/jpeg"}, "body": "/9j/"}
    text = {"id": "1", "status": 200, "headers": {"Content-Type": "text/plain"}, "body": "8,000 users"}
    quoted = {"id": "2", "status": 200, "headers": {"Content-Type": "application/json"}, "body": "a string"}
    answers = decode(answered(photo, text, quoted), 3)
    assert [answer.body for answer in answers] == [b"\xff\xd8\xff", b"8,000 users", b'"a string"']


@pytest.mark.parametrize("body", ["1200", "MTIwMA=="])
def test_a_number_is_read_in_either_form(body):
    (answer,) = decode(answered({"id": "0", "status": 200, "headers": {"Content-Type": "text/plain"}, "body": body}), 1)
    assert answer.json() == 1200


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (Request(method="GET", path="/users"), True),
        (Request(method="GET", path="https://graph.microsoft.com/v1.0/users?$skiptoken=x"), False),
        (Request(method="PUT", path="/x", body=b"x" * (MAX_BYTES + 1)), False),
    ],
)
def test_links_and_large_bodies_go_alone(request_, expected):
    assert batchable(request_) is expected


@pytest.mark.parametrize("status", [0, -1, 100, 199, 600, 20400])
def test_a_status_that_http_has_not_is_no_answer(status):
    assert decode(answered({"id": "0", "status": status}, {"id": "1", "status": 204}), 2)[0] is None
