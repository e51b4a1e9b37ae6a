"""What has to be granted to a managed identity."""

from __future__ import annotations

import json
import re
import shlex

import pytest

from graphkit.auth.app_roles import APP_ROLES, app_roles
from graphkit.errors import UsageError
from graphkit.recipe import BASE_PERMISSIONS, all_recipes
from graphkit.sandbox import permissions as simulated

POOLS = {
    "Group.ReadWrite.All": "62a82d76-70ea-41e2-9197-370581804d09",
    "GroupMember.Read.All": "98830695-27a2-44f7-8c18-0c3ebc9698f6",
    "LicenseAssignment.ReadWrite.All": "5facf0c1-8979-4e95-abcf-ff3d079771c0",
    "Organization.Read.All": "498476ce-e0fe-48b0-b801-37ba7e2685c6",
    "User.Read.All": "df021288-bdef-4463-88db-98f22de89214",
}


def test_every_permission_of_every_recipe_has_its_id():
    for recipe in all_recipes():
        assert app_roles([*BASE_PERMISSIONS, *recipe.permissions])


def test_the_ids_are_those_of_the_simulated_tenant_and_no_two_are_alike():
    tables = [value for value in vars(simulated).values() if isinstance(value, dict) and "User.Read.All" in value]
    (ids,) = [table for table in tables if table["User.Read.All"] == POOLS["User.Read.All"]]
    assert ids == APP_ROLES
    assert len(set(APP_ROLES.values())) == len(APP_ROLES)


def test_a_permission_without_a_known_id_is_told():
    with pytest.raises(UsageError, match=r"Unheard\.Of"):
        app_roles(["User.Read.All", "Unheard.Of"])


def test_exactly_what_the_recipes_need_is_printed_without_any_sign_in(graphkit):
    found = graphkit("auth", "permissions", "licenses.pools", "--for-identity", "-o", "json").json
    assert {role["name"]: role["id"] for role in found["roles"]} == POOLS
    both = graphkit("auth", "permissions", "licenses.pools", "teams.provision", "--for-identity", "-o", "json").json
    assert {role["name"] for role in both["roles"]} > POOLS.keys()


def test_what_guards_break_glass_accounts_is_granted_where_they_are_declared(graphkit, monkeypatch):
    monkeypatch.setenv("GRAPHKIT_BREAK_GLASS", "break-glass-1@contoso.example")
    found = graphkit("auth", "permissions", "licenses.pools", "--for-identity", "-o", "json").json
    extra = {role["name"] for role in found["roles"]} - POOLS.keys()
    assert extra == {"Policy.Read.All", "RoleManagement.Read.Directory"}


def test_what_only_some_inputs_need_is_named_and_not_granted(graphkit):
    found = graphkit("auth", "permissions", "people.joiners", "--for-identity", "-o", "json").json
    assert found["ifAskedFor"]
    assert not {role["name"] for role in found["roles"]} & {*found["ifAskedFor"]}


@pytest.mark.parametrize(("cloud", "root"), [("global", "graph.microsoft.com"), ("usgov", "graph.microsoft.us")])
def test_each_role_is_one_call_of_the_azure_cli(graphkit, cloud, root):
    found = graphkit("auth", "permissions", "licenses.pools", "--for-identity", "-o", "json", "-t", cloud).json
    calls = [shlex.split(line, comments=True) for line in found["azureCli"] if line.startswith("az rest")]
    assert {call[call.index("--url") + 1] for call in calls} == {
        f"https://{root}/v1.0/servicePrincipals/$IDENTITY/appRoleAssignments"
    }
    bodies = [json.loads(call[call.index("--body") + 1]) for call in calls]
    assert {body["appRoleId"] for body in bodies} == set(POOLS.values())
    assert all((body["principalId"], body["resourceId"]) == ("$IDENTITY", "$GRAPH") for body in bodies)


def test_people_see_roles_and_both_scripts(graphkit):
    text = graphkit("auth", "permissions", "licenses.pools", "--for-identity").stdout
    assert text.index("62a82d76-70ea-41e2-9197-370581804d09  Group.ReadWrite.All") < text.index("az rest")
    assert len(re.findall("New-MgServicePrincipalAppRoleAssignment", text)) == len(POOLS)
