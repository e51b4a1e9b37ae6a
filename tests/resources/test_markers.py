from __future__ import annotations

import pytest

from graphkit.resources.markers import marked_key, marker


@pytest.mark.parametrize(
    ("description", "key"),
    [
        (marker("devices.compliance", "win-floor"), "win-floor"),
        ("Agreed with the board.\n\n[gk:devices.compliance/win-floor]\n", "win-floor"),
        ("Agreed with the board.\r\n[gk:devices.compliance/win-floor]", "win-floor"),
        ("[gk:devices.compliance/win-floor]\nwritten below it", ""),
        ("see [gk:devices.compliance/win-floor]", ""),
        ("[gk:devices.update-rings/win-floor]", ""),
        ("", ""),
        (None, ""),
    ],
)
def test_only_a_last_line_of_this_recipe_is_a_key(description, key):
    assert marked_key("devices.compliance", description) == key
