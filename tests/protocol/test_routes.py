from __future__ import annotations

import pytest

from graphkit.protocol.routes import parse, workload


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("/groups/g1", "groups/g1"),
        ("/groups/g1/members/$ref", "groups/g1"),
        ("/users/u1/assignLicense?x=1", "users/u1"),
        ("/groups(uniqueName='staff')", "groups/uniqueName='staff'"),
        ("/identity/conditionalAccess/policies/p1", "identity/conditionalaccess/policies/p1"),
        ("/deviceManagement/deviceCompliancePolicies/p1/assign", "devicemanagement/devicecompliancepolicies/p1"),
        ("/me/assignLicense", "users/me"),
        ("/directory/administrativeUnits/a1/members/$ref", "directory/administrativeunits/a1"),
        (
            "/identityGovernance/entitlementManagement/accessPackages/p1",
            "identitygovernance/entitlementmanagement/accesspackages/p1",
        ),
        ("/tenantRelationships/delegatedAdminRelationships/r1", "tenantrelationships/delegatedadminrelationships/r1"),
        ("/users", ""),
        ("/users/delta", ""),
        ("/directoryObjects/getByIds", ""),
        ("/identity/conditionalAccess/policies", ""),
        ("/deviceManagement", ""),
        ("/", ""),
    ],
)
def test_the_first_object_of_a_path_is_its_target(path, target):
    assert parse(path).target == target


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/users/u1", "identity"),
        ("/groups/g1/team", "teams"),
        ("/groups/g1/drive", "other"),
        ("/users/u1/joinedTeams", "teams"),
        ("/teams/t1/channels", "teams"),
        ("/Identity/ConditionalAccess/policies", "conditional-access"),
        ("/deviceAppManagement/mobileApps", "intune"),
        ("/policies/tokenLifetimePolicies", "identity"),
        ("/policies/identitySecurityDefaultsEnforcementPolicy", "other"),
        ("https://graph.microsoft.com/beta/teams/t1", "teams"),
        ("/me/chats", "teams"),
        ("/users/u1/presence", "presence"),
        ("/users/u1/extensions/e1", "extensions"),
        ("/users/u1/managedDevices", "intune"),
        ("/invitations", "invitations"),
        ("/subscriptions/s1", "subscriptions"),
        ("/identity/b2xUserFlows/f1", "identity-providers"),
        ("/policies/authenticationStrengthPolicies/p1", "conditional-access"),
        ("/auditLogs/directoryAudits", "identity-reports"),
        ("/reports/getEmailActivityCounts(period='D7')", "m365-reports"),
        ("/reports/partners/billing/usage", "other"),
        ("/admin/serviceAnnouncement/messages", "service-communications"),
        ("/admin/sharepoint/settings", "other"),
        ("/security/alerts_v2", "security"),
        ("https://graph.microsoft.com", "other"),
    ],
)
def test_the_service_behind_a_path(path, expected):
    assert workload(path) == expected


@pytest.mark.parametrize(
    ("path", "shape"),
    [
        ("/Users/u1/MemberOf", "/users/*/memberof"),
        ("/users/u1/teamwork/installedApps/a1", "/users/*/teamwork/installedapps/*"),
        ("/teams/t1/schedule/shifts/s1", "/teams/*/schedule/shifts/*"),
        ("/users/u1/authentication/methods/m1", "/users/*/authentication/methods/*"),
        ("/groups/g1/settings/s1", "/groups/*/settings/*"),
        ("/teams/t1/channels/getAllMessages", "/teams/*/channels/getallmessages"),
        ("/users//u1/", "/users/*"),
    ],
)
def test_a_shape_holds_no_id_and_every_name(path, shape):
    assert parse(path).shape == shape


def test_an_absolute_address_names_its_version():
    route = parse("https://graph.microsoft.com/beta/users?$skiptoken=a/b")
    assert (route.version, route.shape, route.query) == ("beta", "/users", "$skiptoken=a/b")
