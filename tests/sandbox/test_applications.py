"""Applications, service principals, what they are granted, and the organization."""

from __future__ import annotations

import pytest

from graphkit.sandbox import Seed, SimulatedTenant
from graphkit.sandbox.login.apps import App
from graphkit.sandbox.permissions import APP_ROLES

GRAPH_APP = "00000003-0000-0000-c000-000000000000"
OTHER = "11111111-2222-3333-4444-555555555555"
DESKTOP = "9cdead84-a844-4324-93f2-b2e6bb768d07"


@pytest.fixture
def app(graph):
    """Another app registration, with one permission and a secret that ends."""
    roles = frozenset({"User.Read.All"})
    return graph.tenant.login.register(App(OTHER, "Rota", roles, secrets={"s3cret-of-rota": graph.clock.at + 30}))


def principal(graph, app_id):
    return graph("GET", f"/servicePrincipals(appId='{app_id}')").json["id"]


def token_roles(graph, secret="s3cret-of-rota"):
    form = f"grant_type=client_credentials&client_id={OTHER}&client_secret={secret}"
    form += "&scope=https://graph.microsoft.com/.default"
    tenant = graph.tenant
    url = f"https://login.microsoftonline.com/{tenant.tenant_id}/oauth2/v2.0/token"
    answer = tenant.handle("POST", url, {"Content-Type": "application/x-www-form-urlencoded"}, form.encode())
    import json

    return set(tenant.login.signer.read(json.loads(answer.body)["access_token"])["roles"])


def grant(graph, role="Group.Read.All", **change):
    own, resource = principal(graph, OTHER), principal(graph, GRAPH_APP)
    return {"principalId": own, "resourceId": resource, "appRoleId": APP_ROLES.get(role, role), **change}


# -- applications ------------------------------------------------------------------------------------------------


def test_registrations_are_listed_with_the_ends_of_their_secrets(graph, app):
    found = {each["appId"]: each for each in graph("GET", "/applications").json["value"]}
    assert found.keys() == {graph.tenant.seed.app_id, OTHER}
    secret = found[OTHER]["passwordCredentials"][0]
    assert (secret["endDateTime"], secret["hint"], secret["secretText"]) == ("2026-01-05T09:00:30Z", "s3c", None)
    assert found[OTHER]["requiredResourceAccess"][0]["resourceAccess"][0]["id"] == APP_ROLES["User.Read.All"]
    assert graph("GET", f"/applications/{found[OTHER]['id']}").json["displayName"] == "Rota"
    assert graph("GET", f"/applications(appId='{OTHER}')?$select=displayName").json["displayName"] == "Rota"
    assert graph("GET", "/applications/nonsense").status == 404
    assert "s3cret-of-rota" not in str(graph("GET", "/applications").json)


# -- service principals ------------------------------------------------------------------------------------------


def test_a_service_principal_is_made_of_an_app_once(graph):
    made = graph("POST", "/servicePrincipals", {"appId": DESKTOP})
    assert (made.status, made.json["displayName"]) == (201, "Azure Virtual Desktop")
    again = graph("POST", "/servicePrincipals", {"appId": DESKTOP})
    assert (again.status, again.code) == (409, "Request_MultipleObjectsWithSameKeyValue")
    graph.clock.at += 5
    assert principal(graph, DESKTOP) == made.json["id"]


@pytest.mark.parametrize(
    "sent",
    [{}, {"appId": "nonsense"}, {"appId": OTHER}, {"appId": DESKTOP, "nonsense": 1}, {"appId": DESKTOP, "id": 1}],
)
def test_what_makes_no_service_principal(graph, sent):
    assert graph("POST", "/servicePrincipals", sent).status == 400


def test_an_app_is_disabled(graph):
    path = f"/servicePrincipals(appId='{GRAPH_APP}')"
    assert graph("PATCH", path, {"accountEnabled": False}).status == 204
    assert graph("GET", path).json["accountEnabled"] is False
    assert graph("PATCH", path, {"appId": DESKTOP}).status == 400


def test_service_principals_are_filtered_by_app(graph):
    found = graph("GET", f"/servicePrincipals?$filter=appId eq '{GRAPH_APP}'").json["value"]
    assert [each["displayName"] for each in found] == ["Microsoft Graph"]


# -- grants ------------------------------------------------------------------------------------------------------


def test_a_permission_that_is_granted_is_in_the_next_token_and_gone_after(graph, app):
    path = f"/servicePrincipals/{principal(graph, OTHER)}/appRoleAssignments"
    assert token_roles(graph) == {"User.Read.All"}
    made = graph("POST", path, grant(graph))
    assert made.status == 201
    assert (made.json["principalType"], made.json["resourceDisplayName"]) == ("ServicePrincipal", "Microsoft Graph")
    assert token_roles(graph) == {"User.Read.All", "Group.Read.All"}
    assert {each["appRoleId"] for each in graph("GET", path).json["value"]} == {
        APP_ROLES[name] for name in ("User.Read.All", "Group.Read.All")
    }
    assert graph("GET", f"{path}/{made.json['id']}").json["createdDateTime"] == "2026-01-05T09:00:00Z"
    assert graph("POST", path, grant(graph)).message == "Permission being assigned already exists on the object"
    assert graph("DELETE", f"{path}/{made.json['id']}").status == 204
    assert token_roles(graph) == {"User.Read.All"}
    assert graph("DELETE", f"{path}/{made.json['id']}").status == 404


def test_what_an_app_was_registered_with_can_be_revoked(graph, app):
    path = f"/servicePrincipals/{principal(graph, OTHER)}/appRoleAssignments"
    (first,) = graph("GET", path).json["value"]
    assert graph("DELETE", f"{path}/{first['id']}").status == 204
    assert token_roles(graph) == set()
    assert graph("POST", path, grant(graph, "User.Read.All")).status == 201
    assert token_roles(graph) == {"User.Read.All"}


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"appRoleId": "22222222-0000-0000-0000-000000000000"}, 400),
        ({"principalId": "22222222-0000-0000-0000-000000000000"}, 400),
        ({"resourceId": "22222222-0000-0000-0000-000000000000"}, 404),
        ({"appRoleId": None}, 400),
        ({"principalType": "User"}, 400),
    ],
)
def test_what_grants_nothing(graph, app, change, status):
    sent = {name: value for name, value in {**grant(graph), **change}.items() if value is not None}
    assert graph("POST", f"/servicePrincipals/{principal(graph, OTHER)}/appRoleAssignments", sent).status == status


def test_a_resource_says_who_is_assigned_to_it(graph, app):
    """serviceprincipal-post-approleassignedto.md: a person, too"""
    own = principal(graph, OTHER)
    path = f"/servicePrincipals/{own}/appRoleAssignedTo"
    everyone = "00000000-0000-0000-0000-000000000000"
    sent = {"principalId": graph.user(1), "resourceId": own, "appRoleId": everyone}
    made = graph("POST", path, sent)
    assert (made.status, made.json["principalType"]) == (201, "User")
    assert [each["principalId"] for each in graph("GET", path).json["value"]] == [graph.user(1)]
    graph_path = f"/servicePrincipals(appId='{GRAPH_APP}')/appRoleAssignedTo?$top=999"
    assert own in {each["principalId"] for each in graph("GET", graph_path).json["value"]}
    assert graph("DELETE", f"{path}/{made.json['id']}").status == 204


def test_a_grant_outlives_the_process(clock, speak, tmp_path):
    tenant = SimulatedTenant.open(tmp_path / "a.tenant", clock, seed=Seed(users=2), throttling=False)
    graph = speak(tenant)
    own = tenant.seed.app_id
    resource, subject = principal(graph, GRAPH_APP), principal(graph, own)
    sent = {"principalId": subject, "resourceId": resource, "appRoleId": APP_ROLES["Member.Read.Hidden"]}
    assert graph("POST", f"/servicePrincipals/{subject}/appRoleAssignments", sent).status == 201
    tenant.close()
    tenant = SimulatedTenant.open(tmp_path / "a.tenant", clock, throttling=False)
    assert "Member.Read.Hidden" in tenant.login.apps[own].roles
    tenant.close()


# -- the organization --------------------------------------------------------------------------------------------


def test_a_domain_is_read_by_its_name(graph):
    assert [each["id"] for each in graph("GET", "/domains").json["value"]] == [
        "contoso.example",
        "contoso.onmicrosoft.example",
    ]
    domain = graph("GET", "/domains/contoso.example").json
    assert (domain["isDefault"], domain["supportedServices"]) == (True, ["Email", "OfficeCommunicationsOnline"])
    assert graph("GET", "/domains/elsewhere.example").status == 404


def test_few_things_about_the_organization_change(graph):
    """organization-update.md"""
    path = f"/organization/{graph.tenant.tenant_id}"
    change = {"technicalNotificationMails": ["a@contoso.example"]}
    assert graph("PATCH", path, change).status == 204
    assert graph("GET", path).json["technicalNotificationMails"] == ["a@contoso.example"]
    assert graph("PATCH", path, {"displayName": "Mine"}).status == 400


def test_a_directory_object_is_read_whatever_it_is(graph):
    told = graph("GET", f"/directoryObjects/{graph.user(1)}").json
    assert (told["@odata.type"], told["displayName"]) == ("#microsoft.graph.user", "RX1 Staff 0001")
    assert graph("GET", "/directoryObjects/00000000-0000-0000-0000-00000000dead").status == 404
