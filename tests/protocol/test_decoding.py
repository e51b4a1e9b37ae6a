"""The body of an answer, decoded once."""

from __future__ import annotations

import gc
import json

import pytest

from graphkit.protocol.message import Response

PAGE = json.dumps({"value": [{"id": str(number), "licenses": [{"plans": []}]} for number in range(999)]}).encode()


def test_it_is_the_same_object_each_time():
    answer = Response(200, {}, PAGE)
    assert answer.json() is answer.json()
    assert len(answer.json()["value"]) == 999


def test_a_number_may_stand_behind_a_byte_order_mark():
    assert Response(200, {}, b"\xef\xbb\xbf8000").json() == 8000


@pytest.mark.parametrize("body", [b'{"value": [', b'{"value": ["\xff"]}', b"[" * 100_000, b"<html>"])
def test_what_is_no_json_is_a_value_error(body):
    with pytest.raises(ValueError, match="not JSON"):
        Response(200, {}, body).json()


@pytest.fixture
def collections():
    """How often the garbage collector has run. It is left as it was found."""
    found, ran = gc.isenabled(), []

    def note(phase, info):
        ran.append(phase)

    gc.callbacks.append(note)
    yield ran
    gc.callbacks.remove(note)
    (gc.enable if found else gc.disable)()


def test_the_garbage_collector_does_not_look_through_a_page_while_it_is_made(collections):
    gc.enable()
    gc.collect()
    collections.clear()
    Response(200, {}, PAGE).json()
    assert collections.count("start") <= 1


@pytest.mark.parametrize("body", [PAGE, PAGE[:-1]])
@pytest.mark.parametrize("on", [True, False])
def test_the_garbage_collector_is_left_as_it_was(collections, body, on):
    (gc.enable if on else gc.disable)()
    try:
        Response(200, {}, body).json()
    except ValueError:
        assert body != PAGE
    assert gc.isenabled() is on


def test_the_answer_to_a_part_says_what_it_says_itself_though_the_whole_was_read_before():
    whole = Response(207, {"request-id": "r1"}, b'{"value": []}', attempts=2)
    whole.json()
    part = whole.saying(400, b'{"error": {"code": "NotFound"}}')
    assert (part.status, part.error.code, part.error.request_id, part.attempts) == (400, "NotFound", "r1", 2)
    assert whole.saying(200, b"").json() is None
