"""Feature, quality and driver updates of Windows, beta only. ``/assign`` answers nothing (204).

api-reference/beta/api/intune-softwareupdate-windows*updateprofile-*.md. Nothing keeps two expedited updates of one
release apart: that is for the client to see to.
"""

from __future__ import annotations

from graphkit.sandbox.areas.intune_policies import Collection, Policies
from graphkit.sandbox.areas.intune_words import refuse
from graphkit.sandbox.call import Call, Json
from graphkit.sandbox.schema.edm import PRIMITIVES

# learn.microsoft.com/lifecycle/products/windows-11-enterprise-and-education and windows-10-enterprise-and-education
FEATURE_UPDATES = {
    "Windows 10, version 22H2": "2025-10-14",
    "Windows 11, version 21H2": "2024-10-08",
    "Windows 11, version 22H2": "2025-10-14",
    "Windows 11, version 23H2": "2026-11-10",
    "Windows 11, version 24H2": "2027-10-12",
    "Windows 11, version 25H2": "2028-10-10",
}
"""The names are those of the catalogue; one that it does not hold is refused (Microsoft365DSC/Microsoft365DSC#3438)."""
MOST_DAYS_TO_REBOOT = 2
MOST_DAYS_OF_DEFERRAL = 30


def _feature(call: Call, profile: Json, _: Json | None) -> Json:
    version = profile["featureUpdateVersion"]
    if version not in FEATURE_UPDATES:
        raise refuse(call)
    return {
        **profile,
        "deployableContentDisplayName": version,
        "endOfSupportDate": f"{FEATURE_UPDATES[version]}T00:00:00Z",
    }


def _quality(call: Call, profile: Json, _: Json | None) -> Json:
    """``qualityUpdateRelease`` is the time of a release; a reboot is forced within two days (admin centre)."""
    settings = profile.get("expeditedUpdateSettings") or {}
    release, days = str(settings.get("qualityUpdateRelease")), settings.get("daysUntilForcedReboot")
    if not PRIMITIVES["DateTimeOffset"](release) or not (days is None or 0 <= days <= MOST_DAYS_TO_REBOOT):
        raise refuse(call, "Invalid property values")
    year, month, day = release[:10].split("-")
    shown = f"{month}/{day}/{year} - {year}.{month} B Security Updates for Windows 10 and later"
    return {
        **profile,
        "expeditedUpdateSettings": {"daysUntilForcedReboot": 0, **settings},
        "deployableContentDisplayName": shown,
        "releaseDateDisplayName": shown,
    }


def _driver(call: Call, profile: Json, before: Json | None) -> Json:
    """Days of deferral belong to automatic approval and to nothing else (almenscorner/IntuneCD#184)."""
    days = profile.get("deploymentDeferralInDays")
    fits = days is None if profile["approvalType"] == "manual" else days in range(MOST_DAYS_OF_DEFERRAL + 1)
    if not fits or (before and before["approvalType"] != profile["approvalType"]):
        raise refuse(call, "Invalid property values")
    return {**profile, "deviceReporting": 0, "newUpdates": 0}


PROFILES = (
    Policies(
        Collection(
            "/deviceManagement/windowsFeatureUpdateProfiles",
            "windowsFeatureUpdateProfile",
            "intune-softwareupdate-windowsfeatureupdateprofile",
            assignment="windowsFeatureUpdateProfileAssignment",
            answers=False,
            beta_only=True,
            rule=_feature,
        )
    ),
    Policies(
        Collection(
            "/deviceManagement/windowsQualityUpdateProfiles",
            "windowsQualityUpdateProfile",
            "intune-softwareupdate-windowsqualityupdateprofile",
            assignment="windowsQualityUpdateProfileAssignment",
            answers=False,
            beta_only=True,
            rule=_quality,
        )
    ),
    Policies(
        Collection(
            "/deviceManagement/windowsQualityUpdatePolicies",
            "windowsQualityUpdatePolicy",
            "intune-softwareupdate-windowsqualityupdatepolicy",
            assignment="windowsQualityUpdatePolicyAssignment",
            answers=False,
            beta_only=True,
        )
    ),
    Policies(
        Collection(
            "/deviceManagement/windowsDriverUpdateProfiles",
            "windowsDriverUpdateProfile",
            "intune-softwareupdate-windowsdriverupdateprofile",
            assignment="windowsDriverUpdateProfileAssignment",
            answers=False,
            beta_only=True,
            rule=_driver,
        )
    ),
)
routes = PROFILES[0].routes()
for _more in PROFILES[1:]:
    routes += _more.routes()
