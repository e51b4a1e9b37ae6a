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
        ("https://graph.microsoft.com", "other"),
    ],
)
def test_the_service_behind_a_path(path, expected):
    assert workload(path) == expected


def test_an_absolute_address_names_its_version():
    route = parse("https://graph.microsoft.com/beta/users?$skiptoken=a/b")
    assert (route.version, route.shape, route.query) == ("beta", "/users", "$skiptoken=a/b")
