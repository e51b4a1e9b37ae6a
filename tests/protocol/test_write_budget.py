from __future__ import annotations

import pytest

from graphkit.errors import Blocked
from graphkit.protocol.budget import WriteBudget, effect_of, is_read
from graphkit.protocol.message import Effect, Request


def request(method, path, body=None, effect=None):
    return Request(method=method, path=path, body=body, effect=effect)


def test_what_is_spent_is_gone_and_what_is_refunded_is_back():
    budget = WriteBudget(updates=2, members=20)
    budget.spend(Effect(updates=1, members=20))
    assert (budget.updates, budget.members) == (1, 0)
    budget.refund(Effect(members=20))
    assert budget.members == 20


@pytest.mark.parametrize("column", ["creates", "updates", "removals", "deletions", "members"])
def test_no_column_can_be_overdrawn(column):
    budget = WriteBudget(creates=1, updates=1, removals=1, deletions=1, members=1)
    with pytest.raises(Blocked, match=f"{column}: 2 wanted, 1 left"):
        budget.spend(Effect(**{column: 2}))


def test_an_overdraft_takes_nothing():
    budget = WriteBudget(updates=5)
    with pytest.raises(Blocked):
        budget.spend(Effect(updates=1, deletions=1))
    assert budget.updates == 5


def test_read_only_blocks_even_what_declares_no_effect():
    with pytest.raises(Blocked, match="read-only"):
        WriteBudget.read_only().spend(Effect())


def test_a_new_allowance_replaces_what_was_left_and_none_is_nothing():
    budget = WriteBudget(creates=5, updates=5, removals=5, deletions=5, members=5)
    budget.allow(Effect(updates=2))
    assert budget == WriteBudget(updates=2)
    budget.allow_nothing()
    assert budget == WriteBudget.read_only()
    budget.allow(Effect(creates=1))
    budget.spend(Effect(creates=1))


def test_unlimited_is():
    budget = WriteBudget.unlimited()
    budget.spend(Effect(creates=10**9, members=10**9))


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "/users", True),
        ("HEAD", "/users", True),
        ("POST", "/directoryObjects/getByIds", True),
        ("POST", "/users/u1/checkMemberGroups", True),
        ("POST", "/users/u1/microsoft.graph.getMemberGroups?x=1", True),
        ("POST", "/users/u1/assignLicense", False),
        ("POST", "/groups", False),
        ("POST", "/groups/getByIds/members", False),
        ("PATCH", "/users/u1/checkMemberGroups", False),
        ("DELETE", "/users/u1", False),
    ],
)
def test_the_posts_that_only_ask_count_as_reads(method, path, expected):
    assert is_read(request(method, path)) is expected


@pytest.mark.parametrize(
    ("method", "path", "body", "expected"),
    [
        ("POST", "/groups", None, Effect(creates=1)),
        ("POST", "/groups", b'{"members@odata.bind": ["a", "b"]}', Effect(creates=1, members=2)),
        ("POST", "/users/u1/assignLicense", b"{}", Effect(updates=1)),
        ("POST", "/teams/t1/archive", None, Effect(updates=1)),
        ("POST", "/groups/g1/members/$ref", b"{}", Effect(members=1)),
        ("POST", "/teams/t1/members", b"{}", Effect(members=1)),
        ("POST", "/teams/t1/members/add", b'{"values": [1, 2, 3]}', Effect(members=3)),
        ("POST", "/teams/t1/members/add", b"not json", Effect(members=1)),
        ("POST", "/teams/t1/members/remove", b'{"values": [1, 2, 3]}', Effect(removals=3)),
        ("PATCH", "/users/u1", b"{}", Effect(updates=1)),
        ("PATCH", "/groups/g1", b'{"members@odata.bind": ["a", "b"]}', Effect(updates=1, members=2)),
        ("PUT", "/groups/g1/team", b"{}", Effect(updates=1)),
        ("DELETE", "/users/u1", None, Effect(deletions=1)),
        ("DELETE", "/groups/g1/members/u1/$ref", None, Effect(removals=1)),
        ("DELETE", "/teams/t1/members/m1", None, Effect(removals=1)),
    ],
)
def test_the_effect_of_an_undeclared_write_follows_from_method_and_path(method, path, body, expected):
    assert effect_of(request(method, path, body)) == expected


def test_a_declared_effect_is_believed():
    declared = Effect(members=20)
    assert effect_of(request("PATCH", "/groups/g1", b"{}", declared)) == declared
