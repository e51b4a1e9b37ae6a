from __future__ import annotations

from datetime import UTC, datetime

import pytest

from graphkit.protocol.throttle import (
    LONGEST_WAIT,
    limit_percentage,
    resource_units,
    retry_after,
    throttle_scope,
)

NOW = datetime(2026, 1, 5, 9, 0, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("10", 10.0),
        (" 10 ", 10.0),
        ("0.249", 0.249),
        ("2.128", 2.128),
        ("0", 0.0),
        ("-5", 0.0),
        ("Mon, 05 Jan 2026 09:00:30 GMT", 30.0),
        ("Mon, 05 Jan 2026 08:59:00 GMT", 0.0),
        ("Mon, 05 Jan 2026 09:00:30", 30.0),
        ("Mon, 05 Jan 2026 10:00:30 +0100", 30.0),
        ("86400", 86400.0),
        ("1e300", LONGEST_WAIT),
        ("inf", LONGEST_WAIT),
        ("-inf", 0.0),
        ("nan", None),
        ("", None),
        ("soon", None),
        ("10 seconds", None),
        ("99999999999999999999999", LONGEST_WAIT),
        ("Mon, 99 Foo 99999 99:99:99 GMT", None),
    ],
)
def test_retry_after_is_read_in_every_form_seen_in_the_wild(value, seconds):
    assert retry_after({"retry-after": value}, NOW) == seconds


@pytest.mark.parametrize(
    ("date", "seconds"),
    [
        ("Mon, 05 Jan 2026 08:00:00 GMT", 3630.0),
        ("Mon, 05 Jan 2026 09:00:20 GMT", 10.0),
        ("Mon, 05 Jan 2026 10:00:00 GMT", 0.0),
        ("today", 30.0),
        ("", 30.0),
    ],
)
def test_a_date_is_held_against_the_date_of_the_same_answer(date, seconds):
    assert retry_after({"retry-after": "Mon, 05 Jan 2026 09:00:30 GMT", "date": date}, NOW) == seconds


def test_no_retry_after_is_told_from_a_wait_of_nothing():
    assert retry_after({}, NOW) is None


@pytest.mark.parametrize(("value", "expected"), [("0.8", 0.8), ("1.25", 1.25), ("many", None), ("nan", None)])
def test_limit_percentage(value, expected):
    assert limit_percentage({"x-ms-throttle-limit-percentage": value}) == expected


def test_limit_percentage_is_absent_below_four_fifths():
    assert limit_percentage({}) is None


@pytest.mark.parametrize(("value", "expected"), [("3", 3.0), ("-1", None), ("x", None)])
def test_resource_units(value, expected):
    assert resource_units({"x-ms-resource-unit": value}) == expected


@pytest.mark.parametrize(
    ("value", "scope", "limit"),
    [
        ("Tenant_Application/Write/app-id/tenant-id", "Tenant_Application", "Write"),
        ("Tenant/ReadWrite/app-id/tenant-id", "Tenant", "ReadWrite"),
        ("Application", "Application", ""),
        ("", "", ""),
    ],
)
def test_throttle_scope(value, scope, limit):
    found = throttle_scope({"x-ms-throttle-scope": value})
    assert (found.scope, found.limit) == (scope, limit)
