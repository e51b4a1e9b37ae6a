"""When people were last here."""

from __future__ import annotations

import pytest

from graphkit.sandbox import Seed, SimulatedTenant
from graphkit.sandbox.seeding.activity import DAY, last_seen, last_seen_at, set_last_seen


@pytest.fixture
def crowd(clock):
    return SimulatedTenant(clock, seed=Seed(organisations=2, users=20_000), throttling=False)


def test_most_are_here_some_are_idle_and_a_few_never_came(crowd):
    seen = [last_seen(crowd.seed.staff.key(position), crowd) for position in range(20_000)]
    shares = {
        "lately": sum(days is not None and days <= 14 for days in seen),
        "long ago": sum(days is not None and 91 <= days <= 400 for days in seen),
        "between": sum(days is not None and 15 <= days <= 90 for days in seen),
        "never": seen.count(None),
    }
    expected = {"lately": 0.88, "long ago": 0.06, "between": 0.03, "never": 0.03}
    assert {name: count / 20_000 for name, count in shares.items()} == pytest.approx(expected, abs=0.006)
    assert sum(shares.values()) == 20_000


def test_an_equal_tenant_says_the_same(graph, clock):
    twin = SimulatedTenant(clock, seed=graph.tenant.seed)
    people = [graph.user(number) for number in range(1, 61)]
    assert [last_seen(p, graph.tenant) for p in people] == [last_seen(p, twin) for p in people]


def test_the_instant_lies_in_the_past_and_holds_all_day(graph, clock):
    people = [graph.user(number) for number in range(1, 61)]
    morning = [last_seen_at(p, graph.tenant, clock.at) for p in people]
    assert [last_seen_at(p, graph.tenant, clock.at + 60) for p in people] == morning
    for at, days in zip(morning, (last_seen(p, graph.tenant) for p in people), strict=True):
        assert (at, days) == (None, None) or days <= (clock.at - at) / DAY <= days + 2


def test_a_new_user_has_never_been_here(graph):
    body = {
        "accountEnabled": True,
        "displayName": "New",
        "mailNickname": "new",
        "userPrincipalName": "new@contoso.example",
        "passwordProfile": {"password": "Irrelevant-here-1"},
    }
    made = graph("POST", "/users", body)
    assert last_seen(made.json["id"], graph.tenant) is None


def test_a_test_may_say_otherwise(graph):
    set_last_seen(graph.tenant, graph.user(1), 200)
    set_last_seen(graph.tenant, graph.user(2), None)
    assert [last_seen(graph.user(number), graph.tenant) for number in (1, 2)] == [200, None]
