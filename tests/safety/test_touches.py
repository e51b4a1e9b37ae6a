"""Whom a request concerns, read from its address and body."""

from __future__ import annotations

import json

import pytest

from graphkit.protocol.message import Request
from graphkit.protocol.touch import NOBODY, touch_of

ROOT = "https://graph.microsoft.com/v1.0"


def touch(method, path, body=None):
    return touch_of(Request(method=method, path=path, body=None if body is None else json.dumps(body).encode()))


@pytest.mark.parametrize(
    ("link", "users"),
    [
        (f"{ROOT}/users/AB", ("ab",)),
        (f"{ROOT}/users('AB')", ("ab",)),
        (f"{ROOT}/directoryObjects/AB/", ("ab",)),
        (f"{ROOT}/users/a%23b@contoso.example", ("a#b@contoso.example",)),
        ("", ()),
        (7, ()),
    ],
)
def test_a_reference_names_whom_it_ends_in(link, users):
    assert touch("POST", "/groups/G/members/$ref", {"@odata.id": link}).users == users
    bound = touch("PATCH", "/groups/G", {"members@odata.bind": [link]})
    assert (bound.users, bound.groups, bound.joins) == (users, ("g",), bool(users))


@pytest.mark.parametrize(
    ("method", "path", "body", "users", "groups", "harm"),
    [
        ("DELETE", "/groups/G/members/U/$ref", None, ("u",), ("g",), True),
        ("DELETE", "/groups/G/members/U", None, ("u",), ("g",), True),
        ("DELETE", f"{ROOT}/groups('G')/members/U/$ref", None, ("u",), ("g",), True),
        ("PATCH", "/groups(uniqueName='X')", {"displayName": "x"}, (), ("uniquename='x",), False),
        ("POST", "/teams/G/members", {"user@odata.bind": f"{ROOT}/users('U')"}, ("u",), ("g",), False),
        (
            "POST",
            "/teams/G/members/add",
            {"values": [{"user@odata.bind": f"{ROOT}/users/U"}, 5]},
            ("u",),
            ("g",),
            False,
        ),
        ("POST", "/teams/G/members/remove", {"values": [{"user@odata.bind": f"{ROOT}/users/U"}]}, ("u",), ("g",), True),
        ("PATCH", "/users/U", {"accountEnabled": True}, ("u",), (), False),
        ("PATCH", "/users/U", {"accountEnabled": False}, ("u",), (), True),
        ("POST", "/users/U/assignLicense", {"addLicenses": [], "removeLicenses": []}, ("u",), (), False),
        ("POST", "/users/U/revokeSignInSessions", None, ("u",), (), True),
    ],
)
def test_whom_and_what(method, path, body, users, groups, harm):
    found = touch(method, path, body)
    assert (found.users, found.groups, bool(found.harm)) == (users, groups, harm)


@pytest.mark.parametrize("path", ["/deviceManagement/deviceConfigurations", "/subscribedSkus", "/", ""])
def test_what_concerns_nobody(path):
    assert touch("POST", path, {"displayName": "x"}) == NOBODY


@pytest.mark.parametrize("body", [b"not JSON", b"[]", b"7", b'{"members@odata.bind": 7}'])
def test_a_body_that_is_none_says_nothing(body):
    assert touch_of(Request(method="PATCH", path="/groups/G", body=body)).users == ()


def test_policies_and_locations_are_told_in_any_spelling():
    for path in ("/identity/conditionalAccess/policies", "/Identity/ConditionalAccess/namedLocations/x"):
        assert touch("POST", path, {}).policy
    assert not touch("POST", "/identity/conditionalAccess/templates", {}).policy
