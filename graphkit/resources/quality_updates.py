"""Expedited quality updates of Windows: one profile a release, whoever made it.

Nothing in the service keeps two apart (https://learn.microsoft.com/graph/api/resources/
intune-softwareupdate-windowsqualityupdateprofile), and what a device does that is in both is told nowhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from graphkit.engine.change import Desired
from graphkit.resources.intune import BY_KIND
from graphkit.resources.intune_policies import IntunePolicies


class QualityUpdateProfiles(IntunePolicies):
    """A release that another live profile expedites already is blocked."""

    kind = "windowsQualityUpdateProfile"
    endpoint = BY_KIND[kind]

    def _match(self, item: Desired, policies: Sequence[dict[str, Any]]) -> tuple[dict[str, Any] | None, str]:
        found, why = super()._match(item, policies)
        wanted = release_of(item.properties)
        others = [each for each in policies if each is not found and wanted and release_of(each) == wanted]
        if others and not why:
            names = ", ".join(sorted(f"{each.get('displayName')} ({each['id']})" for each in others))
            return None, f"the release of {wanted} is expedited already by {names}: assign that one, or delete it"
        return found, why


def release_of(profile: Mapping[str, Any]) -> str:
    """The day of the release that a profile expedites; empty if it expedites none."""
    settings = profile.get("expeditedUpdateSettings") or {}
    return str(settings.get("qualityUpdateRelease") or "")[:10]
