"""What the service says of a failure, however it says it."""

from __future__ import annotations

import json

import pytest

from graphkit.protocol.message import GraphProblem, Response

TOLD = {"request-id": "r-1", "date": "d-1"}
VAGUE, PRECISE = "The request is malformed.", "1064: 'clientAppTypes' does not support []."
DEEP = {"innererror": {"code": "deep", "request-id": "r-3", "date": "d-3"}}


@pytest.mark.parametrize(
    ("headers", "document", "expected"),
    [
        ({}, {"error": {"code": "A", "message": "no"}}, GraphProblem("A", "no")),
        ({}, {"error": {"code": None, "message": None}}, GraphProblem()),
        ({}, {"error": {"innerError": {"code": "b", **DEEP}}}, GraphProblem("", "", "r-3", "d-3", ("b", "deep"))),
        (TOLD, {"error": {"code": "A", **DEEP}}, GraphProblem("A", "", "r-1", "d-1", ("deep",))),
        (
            {},
            {"error": {"code": "A", "message": VAGUE, "innerError": {"message": PRECISE}}},
            GraphProblem("A", f"{VAGUE} {PRECISE}"),
        ),
        (
            {},
            {"error": {"message": VAGUE, "innerError": {"message": VAGUE, "code": "b"}}},
            GraphProblem("", VAGUE, inner_codes=("b",)),
        ),
        ({"request-id": "r-1"}, {"error": "gone"}, GraphProblem("", "", "r-1")),
        ({"request-id": "r-1"}, [], GraphProblem("", "", "r-1")),
    ],
)
def test_the_codes_the_message_and_what_support_asks_for(headers, document, expected):
    assert GraphProblem.read(Response(400, headers, json.dumps(document).encode())) == expected


def test_a_web_page_is_told_by_its_beginning():
    problem = GraphProblem.read(Response(502, {"request-id": "r-1"}, b"<html>" + b"x" * 1000 + b"\xff"))
    assert (len(problem.message), problem.request_id) == (200, "r-1")


def test_errors_that_never_end_are_followed_for_ten_levels():
    document = {"code": "last"}
    for _ in range(50):
        document = {"code": "c", "innerError": document}
    assert len(GraphProblem.read(Response(400, {}, json.dumps({"error": document}).encode())).inner_codes) == 10
