from __future__ import annotations

import pytest

from graphkit.resources.markers import found_marker, marker

OURS = marker("devices.compliance", "win-floor")


@pytest.mark.parametrize(
    ("description", "found"),
    [
        (OURS, True),
        (f"Agreed with the board.\n\n{OURS}\n", True),
        (f"Agreed with the board.\r\n{OURS}", True),
        (f"{OURS}\nwritten below it", False),
        (f"see {OURS}", False),
        ("", False),
        (None, False),
    ],
)
def test_only_the_last_line_is_a_marker(description, found):
    assert found_marker(description) == (OURS if found else "")
