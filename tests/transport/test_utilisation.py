"""Two counters of one bucket as one row."""

from __future__ import annotations

from graphkit.transport.utilisation import Utilisation


def row(**fields):
    return Utilisation(**{"bucket": "b", "title": "writes", "used": 0.0, "waiting": 0, "stopped_for": 0.0, **fields})


ONE = row(used=0.7, waiting=3, stopped_for=5.0, pace=0.5, taken=10.0, refusals=1, waits=4, waited_s=2.5)
OTHER = row(used=0.2, waiting=1, stopped_for=60.0, pace=1.0, taken=7.0, refusals=2, waits=8, waited_s=1.0)
BOTH = row(used=0.7, waiting=4, stopped_for=60.0, pace=0.5, taken=17.0, refusals=3, waits=12, waited_s=3.5)


def test_the_fullest_and_the_slowest_count_and_what_is_a_number_is_added_up():
    assert ONE.plus(OTHER) == OTHER.plus(ONE) == BOTH


def test_it_says_what_keeps_people_waiting():
    assert ONE.told() == "writes (stopped by the service for 5 s)"
    assert row(used=0.684).told() == "writes (68% of the quota)"
    assert row(used=0.3, pace=0.5).told() == "writes (30% of the quota, slowed to 50%)"
