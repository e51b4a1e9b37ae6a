"""A batch that somebody else packed, taken apart and put together again."""

from __future__ import annotations

import json

import pytest

from graphkit.errors import UntrustedDestination
from graphkit.protocol import envelope
from graphkit.protocol.message import Response

ROOT = "https://graph.microsoft.com"


def read(*parts, version="v1.0"):
    return envelope.read(json.dumps({"requests": parts}).encode(), version=version, graph_root=ROOT)


def part(number=1, **fields):
    return {"id": str(number), "method": "GET", "url": "/users", **fields}


def test_a_part_is_a_request():
    (found,) = read(
        part(
            method="patch",
            url="/users/u1",
            headers={"Content-Type": "application/json", "If-Match": "x"},
            body={"a": 1},
        ),
        version="beta",
    )
    request = found.request
    assert (found.id, request.method, request.path, request.version) == ("1", "PATCH", "/users/u1", "beta")
    assert request.headers == {"content-type": "application/json", "if-match": "x"}
    assert json.loads(request.body) == {"a": 1}


@pytest.mark.parametrize("fields", [{}, {"body": None}])
def test_a_part_without_a_body_has_none(fields):
    (found,) = read(part(method="POST", url="/users/u1/revokeSignInSessions", **fields))
    assert found.request.body is None


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("/users", "/users"),
        ("users?$top=5", "/users?$top=5"),
        ("users?$filter=city eq null&$count=true", "/users?$filter=city%20eq%20null&$count=true"),
        ("/users/a%23EXT%23@x.example", "/users/a%23EXT%23@x.example"),
        ("/users/a#EXT#@x.example", "/users/a%23EXT%23@x.example"),
        ("/groups?$filter=displayName eq 'é'", "/groups?$filter=displayName%20eq%20'%C3%A9'"),
        (f"{ROOT}/v1.0/users/u1", "/users/u1"),
        (f"{ROOT}/v1.0/users?$skiptoken=a+b%7B", f"{ROOT}/v1.0/users?$skiptoken=a+b%7B"),
        (f"{ROOT}/v1.0/users/delta?$deltatoken=x", f"{ROOT}/v1.0/users/delta?$deltatoken=x"),
        ("/users?$skiptoken=a%2Bb", "/users?$skiptoken=a%2Bb"),
    ],
)
def test_addresses_come_in_every_form_that_clients_write(url, path):
    assert read(part(url=url))[0].request.path == path


def test_an_absolute_address_has_its_own_version():
    (found,) = read(part(url=f"{ROOT}/beta/users"))
    assert (found.request.version, found.request.path) == ("beta", "/users")


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/v1.0/users",
        "http://graph.microsoft.com/v1.0/users",
        "HTTPS://graph.microsoft.com/v1.0/users",
        "https://graph.microsoft.com:444/v1.0/users",
        "https://graph.microsoft.com@evil.example/v1.0/users",
        "https://graph.microsoft.com.evil.example/v1.0/users",
        "https://gr\u0430ph.microsoft.com/v1.0/users",
        "//evil.example/users",
    ],
)
def test_one_part_that_leads_elsewhere_spoils_the_whole(url):
    with pytest.raises(UntrustedDestination, match="nothing was sent"):
        read(part(1), part(2, url=url))


@pytest.mark.parametrize(
    ("parts", "complaint"),
    [
        ([], "Invalid batch payload"),
        ([part(number) for number in range(21)], "exceeds the maximum value of 20"),
        ([part(1), part(1)], "more than once"),
        ([part("a"), part("A")], "more than once"),
        ([part(1, dependsOn=["2"])], "not in the batch"),
        ([part(1, dependsOn=["2"]), part(2, dependsOn=["1"])], "circle"),
        ([part(1, dependsOn=["1"])], "circle"),
        ([part(1, method="BREW")], "method"),
        ([part(1, url="")], "url"),
        ([{"id": 1, "method": "GET", "url": "/x"}], "Invalid batch payload"),
        ([{"method": "GET", "url": "/x"}], "Invalid batch payload"),
        ([part(1, url=f"{ROOT}/v9/users")], "Invalid version"),
        ([part(1, method="PUT", headers={"Content-Type": "image/jpeg"}, body="!")], "base64"),
    ],
)
def test_what_the_service_would_refuse_is_refused(parts, complaint):
    with pytest.raises(ValueError, match=complaint):
        read(*parts)


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"requests": {}}', b"not json"])
def test_what_is_no_envelope_is_refused(body):
    with pytest.raises(ValueError, match="Invalid batch payload"):
        envelope.read(body, version="v1.0", graph_root=ROOT)


@pytest.mark.parametrize("name", ["dependsOn", "depends_on"])
def test_a_part_waits_for_those_that_it_depends_on(name):
    """msgraph-core 1.5 spells it in its own way."""
    _, second = read(part("A"), part("b", **{name: ["a"]}))
    assert second.after == ("a",)


@pytest.mark.parametrize(
    ("headers", "body", "expected"),
    [
        ({}, None, None),
        ({"Content-Type": "application/json"}, {}, b"{}"),
        ({}, {"a": 1}, b'{"a": 1}'),
        ({"Content-Type": "application/json"}, "text", b'"text"'),
        ({"Content-Type": "image/jpeg"}, "/+8=", b"\xff\xef"),
        ({"Content-Type": "image/jpeg"}, "_-8", b"\xff\xef"),
    ],
)
def test_bodies_are_json_or_base64(headers, body, expected):
    fields = {} if body is None else {"body": body}
    assert read(part(method="POST", headers=headers, **fields))[0].request.body == expected


def test_answers_are_put_together_as_the_service_does():
    written = envelope.write(
        [
            ("a", Response(200, {"content-type": "application/json", "x-ms-resource-unit": "1"}, b'{"x": 1}')),
            ("b", Response(204, {})),
            ("c", Response(429, {"retry-after": "7"}, b'{"error": {}}')),
            ("d", Response(200, {"content-type": "image/jpeg"}, b"\xff\xef")),
        ]
    )
    assert json.loads(written) == {
        "responses": [
            {"id": "a", "status": 200, "headers": {"Content-Type": "application/json", "x-ms-resource-unit": "1"},
             "body": {"x": 1}},
            {"id": "b", "status": 204, "headers": {}},
            {"id": "c", "status": 429, "headers": {"Retry-After": "7"}, "body": {"error": {}}},
            {"id": "d", "status": 200, "headers": {"Content-Type": "image/jpeg"}, "body": "/+8="},
        ]
    }  # fmt: skip
