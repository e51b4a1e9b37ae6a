from __future__ import annotations

import pytest

from graphkit.resources.os_builds import meets_floor, parse_build, show_build


@pytest.mark.parametrize(
    ("build", "floor", "passes"),
    [
        ("10.0.22631.900", "10.0.22631.4000", False),
        ("10.0.22631.10000", "10.0.22631.4000", True),
        ("10.0.22631.4000", "10.0.22631.4000", True),
        ("10.0.22631.3999", "10.0.22631.4000", False),
        ("10.0.19045.9999", "10.0.22631.4000", False),
        ("10.0.26100.1", "10.0.22631.4000", True),
        ("6.3.65535.65535", "10.0.0.0", False),
        ("10.1.0.0", "10.0.65535.0", True),
    ],
)
def test_builds_compare_as_numbers(build, floor, passes):
    assert meets_floor(build, floor) is passes


def test_a_build_is_shown_without_leading_zeros():
    assert show_build(parse_build("10.0.22631.00900")) == "10.0.22631.900"


@pytest.mark.parametrize(
    "text", ["", "10.0.22631", "10.0.22631.4000.1", "10.0.22631.x", "10.0.22631.-1", "10.0.22631.65536", "１0.0.1.1"]
)
def test_what_is_not_a_build_is_refused_by_name(text):
    with pytest.raises(ValueError, match="number"):
        parse_build(text)
