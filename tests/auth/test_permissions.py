import base64
import json

import pytest

from graphkit.auth import compare, granted, names_of_assignments, tenant_id


def jwt(**claims) -> str:
    middle = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    return f"eyJhbGciOiJub25lIn0.{middle}.sig"


@pytest.mark.parametrize(
    ("token", "names"),
    [
        (jwt(roles=["User.Read.All", "Group.Create"]), {"User.Read.All", "Group.Create"}),
        (jwt(scp="User.Read openid"), {"User.Read", "openid"}),
        (jwt(scp="User.Read", roles=["Group.Create"]), {"User.Read", "Group.Create"}),
        (jwt(roles=[]), set()),
        (jwt(tid="t"), None),
        ("opaque", None),
        ("a.b.c", None),
        ("a.!!.c", None),
        ("a." + base64.urlsafe_b64encode(b"[1]").decode() + ".c", None),
        ("", None),
    ],
)
def test_permissions_are_read_where_the_token_can_be_read(token, names):
    assert granted(token) == names


def test_the_tenant_is_read_where_the_token_can_be_read():
    assert (tenant_id(jwt(tid="t-1")), tenant_id(jwt()), tenant_id("opaque")) == ("t-1", "", "")


@pytest.mark.parametrize(
    ("have", "need", "missing"),
    [
        ("User.ReadWrite.All", "User.Read.All", ""),
        ("User.ReadWrite.All", "User.ReadBasic.All", ""),
        ("User.Read.All", "User.ReadWrite.All", "User.ReadWrite.All"),
        ("User.Read", "User.Read.All", "User.Read.All"),
        ("Directory.ReadWrite.All", "User.Read.All Team.Create LicenseAssignment.ReadWrite.All", ""),
        ("Directory.ReadWrite.All", "User.ReadWrite.All", "User.ReadWrite.All"),
        ("Directory.Read.All", "GroupMember.Read.All LicenseAssignment.Read.All", ""),
        ("Group.ReadWrite.All", "Group.Create GroupMember.ReadWrite.All Group.ReadBasic.All Channel.Create", ""),
        ("Group.Create", "Group.Read.All", "Group.Read.All"),
        ("TeamMember.ReadWrite.All", "TeamMember.ReadWriteNonOwnerRole.All", ""),
        ("Policy.ReadWrite.ConditionalAccess", "Policy.Read.All", "Policy.Read.All"),
        ("DeviceManagementConfiguration.ReadWrite.All", "DeviceManagementConfiguration.Read.All", ""),
        ("", "B.Read.All A.Read.All", "A.Read.All B.Read.All"),
    ],
)
def test_a_wider_permission_covers_a_narrower_one_and_never_the_reverse(have, need, missing):
    assert compare(need.split(), have.split()).missing == tuple(missing.split())


def test_what_is_not_required_is_in_excess_and_take_over_is_flagged():
    have = ["User.ReadWrite.All", "openid", "RoleManagement.ReadWrite.Directory", "Group.Create"]
    result = compare(["User.Read.All", "Group.Create"], have)
    assert result.known
    assert result.granted == tuple(sorted(have))
    assert result.excess == ("RoleManagement.ReadWrite.Directory", "User.ReadWrite.All")
    assert result.take_over == ("RoleManagement.ReadWrite.Directory",)


def test_unknown_permissions_miss_nothing_and_exceed_nothing():
    result = compare(["User.Read.All"], None)
    assert (result.known, result.missing, result.excess, result.take_over) == (False, (), (), ())


def test_assignments_are_named_by_the_roles_of_microsoft_graph_only():
    graph = {
        "id": "graph-sp",
        "appRoles": [{"id": "r1", "value": "User.Read.All"}, {"id": "r2", "value": "Group.Create"}, {"id": "r3"}],
    }
    assignments = [
        {"resourceId": "graph-sp", "appRoleId": "r1"},
        {"resourceId": "graph-sp", "appRoleId": "gone"},
        {"resourceId": "graph-sp", "appRoleId": "r3"},
        {"resourceId": "other-sp", "appRoleId": "r2"},
    ]
    assert names_of_assignments(assignments, graph) == {"User.Read.All"}
