"""The tenant's table of limits against the pacer's: two readings of one page, which share no code.

Every difference is named. One that is not is a mistake in one of them.
"""

from __future__ import annotations

import pytest

from graphkit.protocol.quota import charges
from graphkit.protocol.quota import table as buckets
from graphkit.sandbox.throttle.table import tariff

IDENTITY = {("app", 150_000, 20), ("app+tenant", 8000, 10)}
IDENTITY_WRITES = {*IDENTITY, ("app", 35_000, 300), ("app+tenant", 3000, 150), ("tenant", 18_000, 300)}
CONDITIONAL_ACCESS = {("tenant", 1, 1)}

SAME = """
    GET /organization
    GET /users
    GET /users?$select=id&$top=999
    GET /users/u
    GET /users/u?$select=id
    POST /users
    PATCH /users/u
    POST /users/u/assignLicense
    POST /users/u/reprocessLicenseAssignment
    POST /users/u/revokeSignInSessions
    GET /users/u/licenseDetails
    GET /users/u/memberOf
    GET /users/u/transitiveMemberOf
    PUT /users/u/manager/$ref
    GET /subscribedSkus
    GET /groups
    POST /groups
    PATCH /groups(uniqueName='x')
    PATCH /groups/g
    DELETE /groups/g
    GET /groups/g/members
    GET /groups/g/members?$select=id&$top=999
    DELETE /groups/g/members/u/$ref
    POST /groups/g/assignLicense
    GET /groups/g/membersWithLicenseErrors
    POST /directoryObjects/getByIds
    POST /directoryObjects/getByIds?$select=id
    GET /directoryRoles
    GET /roleManagement/directory/roleAssignments
    GET /servicePrincipals/s/appRoleAssignments
    GET /directory/deletedItems/microsoft.graph.user
    POST /directory/deletedItems/u/restore
    GET /groupSettings
    PATCH /groupSettings/s
    PUT /groups/g/team
    POST /teams
    GET /teams/t
    PATCH /teams/t
    POST /teams/t/archive
    GET /teams/t/operations/o
    GET /teams/t/channels
    POST /teams/t/channels
    GET /teams/t/channels/c
    PATCH /teams/t/channels/c
    GET /teams/t/members
    POST /teams/t/members
    POST /teams/t/members/add
    POST /teams/t/members/remove
    PATCH /teams/t/members/m
    DELETE /teams/t/members/m
    GET /identity/conditionalAccess/policies
    POST /identity/conditionalAccess/policies
    PATCH /identity/conditionalAccess/policies/p
    GET /identity/conditionalAccess/namedLocations
    GET /identityGovernance/termsOfUse/agreements
    GET /deviceManagement/deviceCompliancePolicies
    POST /deviceManagement/deviceCompliancePolicies
    POST /deviceManagement/deviceCompliancePolicies/p/assign
    POST /deviceManagement/deviceConfigurations
    POST /deviceManagement/configurationPolicies
    GET /deviceManagement/managedDevices
    POST /deviceManagement/managedDevices/d/retire
    POST /deviceManagement/importedWindowsAutopilotDeviceIdentities/import
    POST /deviceManagement/reports/exportJobs
    GET /admin/reportSettings
    GET /users?$select=id,signInActivity
    GET /auditLogs/signIns
    GET /reports/authenticationMethods/userRegistrationDetails
    GET /reports/getOffice365ActiveUserDetail(period='D7')
    GET /reports/getTeamsTeamActivityDetail(period='D7')
    POST /invitations
    POST /deviceManagement/windowsFeatureUpdateProfiles
    POST /deviceManagement/windowsQualityUpdateProfiles
    POST /deviceManagement/roleScopeTags
    POST /deviceManagement/roleAssignments
    POST /deviceAppManagement/iosManagedAppProtections
"""
UNLISTED = "in no list; the tenant counts it as the directory's"
POLICY_BASE = "policyBase is listed, and the tenant counts all of /policies as the directory's"
STRENGTHS = "in no list; the pacer is careful, the tenant is not"

# call: what only the pacer counts, what only the tenant counts, and why
DIFFERENT = {
    "GET /groupLifecyclePolicies": (set(), IDENTITY, UNLISTED),
    "POST /groupLifecyclePolicies": (set(), IDENTITY_WRITES, UNLISTED),
    "GET /policies/authenticationMethodsPolicy": (set(), IDENTITY, POLICY_BASE),
    "PATCH /policies/authenticationMethodsPolicy": (set(), IDENTITY_WRITES, POLICY_BASE),
    "GET /policies/identitySecurityDefaultsEnforcementPolicy": (set(), IDENTITY, POLICY_BASE),
    "POST /policies/crossTenantAccessPolicy/partners": (set(), IDENTITY_WRITES, POLICY_BASE),
    "GET /policies/authenticationStrengthPolicies": (CONDITIONAL_ACCESS, IDENTITY, STRENGTHS),
    "GET /identity/conditionalAccess/authenticationStrength/policies": (CONDITIONAL_ACCESS, set(), STRENGTHS),
}


def pacer(call: str) -> tuple[set[tuple[str, float, float]], float, bool]:
    """The limits that the pacer counts, the resource units, and whether a refusal says how long to wait."""
    method, url = call.split()
    counted = [(charge, buckets("L")[charge.bucket]) for charge in charges(method, url)]
    bound = [(charge, bucket) for charge, bucket in counted if bucket.quota > 0]
    found = {
        (_of_one(bucket.scope) if charge.partition else bucket.scope, bucket.quota, bucket.window_s)
        for charge, bucket in bound
    }
    units = max((charge.amount for charge, bucket in bound if bucket.unit == "resource_units"), default=0)
    return found, units, all(bucket.retry_after for _, bucket in bound)


def _of_one(scope: str) -> str:
    """Counted for each team, channel or report by itself."""
    return "tenant+one" if scope == "tenant" else "app+one"


def tenant(call: str) -> tuple[set[tuple[str, float, float]], float, bool]:
    method, url = call.split()
    path, _, query = url.partition("?")
    due = tariff(method, path)
    rows = [row for row in due.rows if not row.query or row.query[0] == "!" or row.query in query.lower()]
    limits = [limit for row in rows for limit in row.limits if not limit.name.endswith("sustained")]
    found = {(_one(limit.scope), limit.quotas[-1], limit.window_s) for limit in limits}
    counted = any(limit.unit == "units" for limit in limits)
    units = 2 if path.endswith("getByIds") and query else max(1, due.units - ("$select" in query))
    return found, units if counted else 0, all(limit.retry_after for limit in limits)


def _one(scope: str) -> str:
    plain = scope in ("app", "app+tenant", "tenant")
    return scope if plain else f"{scope.partition('+')[0]}+one"


@pytest.mark.parametrize("call", [line.strip() for line in SAME.strip().splitlines()])
def test_both_tables_count_a_call_alike(call):
    assert tenant(call) == pacer(call)


@pytest.mark.parametrize("call", DIFFERENT)
def test_where_they_differ_is_known(call):
    only_pacer, only_tenant, _ = DIFFERENT[call]
    theirs, ours = pacer(call)[0], tenant(call)[0]
    assert (theirs - ours, ours - theirs) == (only_pacer, only_tenant)
