"""The limits of Intune as published: one row per area, each with counters of its own.

Source: microsoftgraph/microsoft-graph-docs-contrib includes/throttling-intune-*.md, rendered in
learn.microsoft.com/graph/throttling-limits. The page lists types, not paths; these are the collections of those types.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from graphkit.protocol.bucket import WRITES, Bucket

_SOURCE = "microsoftgraph/microsoft-graph-docs-contrib includes/throttling-intune-*.md"
_WINDOW_S = 20


class Area(NamedTuple):
    """``writes`` in 20 s for an app in a tenant; ten times as many with reads, and twice for all apps of a tenant.

    ``management`` and ``apps`` are the collections below ``/deviceManagement`` and ``/deviceAppManagement``.
    """

    management: str = ""
    apps: str = ""
    writes: int = 100


AREAS = {
    # The page prints the resources of device_enrollment a second time, as an area called enrollment: counted once.
    "device_configuration": Area(
        "deviceconfigurations devicecompliancepolicies devicecompliancepolicydevicestatesummary"
    ),
    "device_config_v2": Area(
        "configurationpolicies configurationsettings configurationpolicytemplates reusablepolicysettings"
    ),
    "device_enrollment": Area(
        "deviceenrollmentconfigurations devicecategories mobilethreatdefenseconnectors compliancemanagementpartners",
        "vpptokens",
    ),
    "applications": Area("", "mobileapps mobileappconfigurations mobileappcategories"),
    "managed_applications": Area(
        "",
        "iosmanagedappprotections androidmanagedappprotections defaultmanagedappprotections managedapppolicies "
        "managedappregistrations targetedmanagedappconfigurations windowsinformationprotectionpolicies",
    ),
    "bundles": Area("assignmentfilters", "policysets"),
    "updates": Area("windowsfeatureupdateprofiles windowsqualityupdateprofiles windowsupdatecatalogitems"),
    "device_intent": Area("intents templates"),
    "rbac": Area("roledefinitions roleassignments rolescopetags"),
    "notifications": Area("notificationmessagetemplates"),
    "auditing": Area("auditevents"),
    "company_terms": Area("termsandconditions"),
    "troubleshooting": Area("troubleshootingevents autopilotevents"),
    "partner_integration": Area("", "deviceappmanagementtasks"),
    "wip": Area("intunebrandingprofiles"),
    "unlock": Area("", "wdacsupplementalpolicies"),
    "endpoint_protection": Area("derivedcredentials resourceaccessprofiles"),
    "android_for_work": Area("androidforworksettings androiddeviceownerenrollmentprofiles"),
    "gp_analytics": Area("grouppolicymigrationreports"),
    "tunnel": Area("microsofttunnelsites"),
    "books": Area("", "managedebooks"),
    "chromebook_sync": Area("chromeosonboardingsettings"),
    "odj": Area("domainjoinconnectors"),
    "remote_assistance": Area("remoteassistancepartners"),
    "telephony": Area("embeddedsimactivationcodepools"),
    "tem": Area("telecomexpensemanagementpartners"),
    "devices": Area(
        "manageddevices devicemanagementscripts devicehealthscripts deviceshellscripts detectedapps "
        "userexperienceanalytics~",
        writes=200,
    ),
    # Not documented: Autopilot and the like are in no list, so the common figure is assumed, for an app in a tenant.
    "unlisted": Area(),
}


def intune() -> Iterator[Bucket]:
    """Every area as four buckets: writes and everything, for one app and for all."""
    for area, row in AREAS.items():
        shapes = tuple(_shapes(area, row))
        for kind, methods, factor in (("any", "*", 10), ("writes", WRITES, 1)):
            for scope, label, apps in (("tenant", ", all apps", 2), ("app_tenant", "", 1)):
                if area == "unlisted" and scope == "tenant":
                    continue
                yield Bucket(
                    id=f"intune.{area}.{scope}.{kind}",
                    title=f"Intune: {area.replace('_', ' ')} {'requests' if kind == 'any' else kind}{label}",
                    quota=row.writes * factor * apps,
                    window_s=_WINDOW_S,
                    scope=scope.replace("_", "+"),
                    methods=methods,
                    shapes=shapes,
                    default=area == "unlisted",
                    source=_SOURCE,
                )


def _shapes(area: str, row: Area) -> Iterator[str]:
    if area == "unlisted":
        yield "/**"
    if area == "device_configuration":
        yield "/devicemanagement"  # the tenant's own settings
    for root, names in (("devicemanagement", row.management), ("deviceappmanagement", row.apps)):
        for name in names.split():
            yield f"/{root}/{name}" if name.endswith("~") else f"/{root}/{name}/**"
