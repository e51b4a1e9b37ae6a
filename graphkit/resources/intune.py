"""The collections of Intune policies: where each is kept, what it is called, how it is read whole.

https://learn.microsoft.com/graph/api/resources/intune-graph-overview; which of them only beta has follows from the
metadata of v1.0 (2026-08-20).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from graphkit.protocol.odata import query
from graphkit.protocol.schema import Version, schema

AUTHORITATIVE = "authoritative"
"""The mode in which what the input does not list is taken out of a set."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """``kind`` is the name of the type that all its objects are or derive from, and the kind of the plan's lines.

    ``expand`` is what a plain GET leaves out; ``sealed`` what a PATCH cannot change, so that the whole is put again;
    ``name`` the property that holds the name. ``assigned``: there is ``/assign``.
    """

    kind: str
    path: str
    beta_only: bool = False
    name: str = "displayName"
    expand: str = ""
    sealed: tuple[str, ...] = ()
    assigned: bool = True

    @property
    def detail(self) -> str:
        """The query that reads one object whole."""
        return query(expand=self.expand) if self.expand else ""

    def version(self, properties: Mapping[str, Any]) -> Version:
        """The version of Graph that an object is read and written through."""
        return "beta" if self.beta_only or properties.get("api") == "beta" else "v1.0"

    def types(self, version: Version) -> list[str]:
        """The names that an ``@odata.type`` may give here."""
        known = schema(version)
        return known.concrete(self.kind) if self.kind in known else []


_DEVICES, _APPS = "/deviceManagement/", "/deviceAppManagement/"

ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint(kind="deviceCompliancePolicy", path=_DEVICES + "deviceCompliancePolicies"),
    Endpoint(kind="deviceConfiguration", path=_DEVICES + "deviceConfigurations"),
    Endpoint(
        kind="deviceManagementConfigurationPolicy",
        path=_DEVICES + "configurationPolicies",
        beta_only=True,
        name="name",
        expand="settings",
        # microsoftgraph/powershell-intune-samples#286: a PATCH of the settings is refused, the whole policy is PUT.
        sealed=("settings",),
    ),
    Endpoint(kind="groupPolicyConfiguration", path=_DEVICES + "groupPolicyConfigurations", beta_only=True),
    Endpoint(kind="windowsFeatureUpdateProfile", path=_DEVICES + "windowsFeatureUpdateProfiles", beta_only=True),
    Endpoint(kind="windowsQualityUpdateProfile", path=_DEVICES + "windowsQualityUpdateProfiles", beta_only=True),
    Endpoint(kind="windowsQualityUpdatePolicy", path=_DEVICES + "windowsQualityUpdatePolicies", beta_only=True),
    Endpoint(kind="windowsDriverUpdateProfile", path=_DEVICES + "windowsDriverUpdateProfiles", beta_only=True),
    Endpoint(kind="roleScopeTag", path=_DEVICES + "roleScopeTags", beta_only=True),
    Endpoint(
        kind="deviceAndAppManagementAssignmentFilter",
        path=_DEVICES + "assignmentFilters",
        beta_only=True,
        assigned=False,
    ),
    Endpoint(kind="iosManagedAppProtection", path=_APPS + "iosManagedAppProtections", expand="apps"),
    Endpoint(kind="androidManagedAppProtection", path=_APPS + "androidManagedAppProtections", expand="apps"),
    Endpoint(
        kind="windowsManagedAppProtection", path=_APPS + "windowsManagedAppProtections", beta_only=True, expand="apps"
    ),
    Endpoint(
        kind="defaultManagedAppProtection",
        path=_APPS + "defaultManagedAppProtections",
        expand="apps",
        assigned=False,
    ),
    Endpoint(kind="targetedManagedAppConfiguration", path=_APPS + "targetedManagedAppConfigurations", expand="apps"),
    Endpoint(kind="windowsInformationProtectionPolicy", path=_APPS + "windowsInformationProtectionPolicies"),
    Endpoint(kind="mdmWindowsInformationProtectionPolicy", path=_APPS + "mdmWindowsInformationProtectionPolicies"),
)
BY_KIND: Mapping[str, Endpoint] = {endpoint.kind: endpoint for endpoint in ENDPOINTS}


def endpoint_of(type_name: str) -> Endpoint | None:
    """Where objects of this type are kept; ``None`` if it is no Intune policy that v1.0 or beta knows."""
    name = type_name.removeprefix("#").removeprefix("microsoft.graph.")
    return next((each for each in ENDPOINTS if name in (each.kind, *each.types("beta"))), None)


def segments() -> Iterator[tuple[str, Endpoint]]:
    """The last segment of each path, by which an ``@odata.context`` tells the kind."""
    for endpoint in ENDPOINTS:
        yield endpoint.path.rpartition("/")[2].casefold(), endpoint
