"""One noun a module: how it is read in bulk, compared, written and looked up.

``RESOURCES`` is the whole list: kind to class, loaded when a plan or a run names the kind.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping

from graphkit.engine.resource import Context, Resource

RESOURCES: Mapping[str, str] = {
    "authenticationMethod": "graphkit.resources.auth_methods:AuthenticationMethods",
    "channel": "graphkit.resources.channels:Channels",
    "conditionalAccessPolicy": "graphkit.resources.conditional_access:ConditionalAccessPolicies",
    "crossTenantDefault": "graphkit.resources.cross_tenant:CrossTenantDefaults",
    "crossTenantPartner": "graphkit.resources.cross_tenant:CrossTenantPartners",
    "deviceCompliancePolicy": "graphkit.resources.compliance:CompliancePolicies",
    "deviceCompliancePolicy.actions": "graphkit.resources.compliance:ScheduledActions",
    "deviceCompliancePolicy.assignment": "graphkit.resources.assignments:CompliancePolicyAssignments",
    "group": "graphkit.resources.groups:Groups",
    "group.handover": "graphkit.resources.handovers:Handovers",
    "group.license": "graphkit.resources.group_licenses:GroupLicenses",
    "group.member": "graphkit.resources.members:Members",
    "group.owner": "graphkit.resources.owners:Owners",
    "group.reference": "graphkit.resources.group_references:GroupReferences",
    "leaver": "graphkit.resources.leavers:Leavers",
    "managedDevice.retirement": "graphkit.resources.retirements:Retirements",
    "mfaWave": "graphkit.resources.mfa_waves:MfaWaves",
    "mover": "graphkit.resources.movers:Movers",
    "namedLocation": "graphkit.resources.named_locations:NamedLocations",
    "scheduled": "graphkit.resources.scheduled:Scheduled",
    "team": "graphkit.resources.teams:Teams",
    "user": "graphkit.resources.accounts:Accounts",
    "user.deletion": "graphkit.resources.accounts:Deletions",
    "user.license": "graphkit.resources.user_licenses:UserLicenses",
    "user.manager": "graphkit.resources.managers:Managers",
    "user.profile": "graphkit.resources.profiles:Profiles",
    "user.sessions": "graphkit.resources.sessions:Sessions",
    "workforce": "graphkit.resources.workforce:Workforces",
}


class ResourceTable(dict[str, Resource]):
    """Resources by kind, built on first use, all on one context."""

    def __init__(self, context: Context) -> None:
        super().__init__()
        self._context = context

    def __missing__(self, kind: str) -> Resource:
        module, name = RESOURCES[kind].split(":")
        resource: Resource = getattr(importlib.import_module(module), name)(self._context)
        self[kind] = resource
        return resource


def known_kinds() -> Iterable[str]:
    return RESOURCES.keys()
