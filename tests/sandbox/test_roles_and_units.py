"""Directory roles, administrative units, and the roles held over them."""

from __future__ import annotations

import pytest

from graphkit.sandbox.areas.roles import assignment_id

READER = "f2ef992c-3afb-46b9-b7cf-a126ee74c451"
GLOBAL = "62e90394-69f5-4237-9190-012177145e10"
ASSIGNMENTS = "/roleManagement/directory/roleAssignments"


def reference(graph, key):
    return {"@odata.id": graph.link(key)}


def activate(graph, template=READER):
    return graph("POST", "/directoryRoles", {"roleTemplateId": template})


def ids(graph, path):
    return [item["id"] for item in graph("GET", path).json["value"]]


# -- roles -------------------------------------------------------------------------------------------------------


def test_a_role_is_there_once_it_is_activated(graph):
    """directoryrole-post-directoryroles.md"""
    assert graph("GET", f"/directoryRoles(roleTemplateId='{READER}')").status == 404
    made = activate(graph)
    assert (made.status, made.json["displayName"]) == (201, "Global Reader")
    assert "A conflicting object" in activate(graph).message
    assert graph("GET", f"/directoryRoles(roleTemplateId='{READER}')").json["id"] == made.json["id"]
    assert graph("GET", f"/directoryRoles/{made.json['id']}").json["roleTemplateId"] == READER
    assert made.json["id"] in ids(graph, "/directoryRoles")


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        ({}, 400),
        ({"roleTemplateId": READER, "displayName": "Mine"}, 400),
        ({"roleTemplateId": "00000000-0000-0000-0000-00000000dead"}, 404),
    ],
)
def test_what_activates_no_role(graph, sent, status):
    assert graph("POST", "/directoryRoles", sent).status == status


def test_a_role_is_given_and_taken_by_reference(graph):
    role, user = activate(graph).json["id"], graph.user(1)
    path = f"/directoryRoles/{role}/members"
    assert graph("POST", f"{path}/$ref", reference(graph, user)).status == 204
    assert "already exist" in graph("POST", f"{path}/$ref", reference(graph, user)).message
    assert ids(graph, path) == ids(graph, f"/directoryRoles(roleTemplateId='{READER}')/members") == [user]
    assert graph("GET", f"{path}/$count", ConsistencyLevel="eventual").json == "1"
    assert graph("GET", "/directoryRoles?$expand=members").status == 200
    assert graph("DELETE", f"{path}/{user}/$ref").status == 204
    assert graph("DELETE", f"{path}/{user}/$ref").status == 404
    assert ids(graph, path) == []


def test_a_group_holds_a_role_only_if_it_was_made_for_it(graph):
    role, group = activate(graph).json["id"], graph.group("R", isAssignableToRole=True)
    path = f"/directoryRoles/{role}/members/$ref"
    assert graph("POST", path, reference(graph, graph.group("S"))).status == 400
    assert graph("POST", path, reference(graph, group)).status == 204
    assert role in ids(graph, f"/groups/{group}/memberOf")


def test_somebody_remains_global_administrator(graph):
    role = graph("GET", f"/directoryRoles(roleTemplateId='{GLOBAL}')").json["id"]
    first, last = ids(graph, f"/directoryRoles/{role}/members")
    assert graph("DELETE", f"/directoryRoles/{role}/members/{first}/$ref").status == 204
    assert graph("DELETE", f"/directoryRoles/{role}/members/{last}/$ref").status == 400


def test_definitions_and_templates_have_the_same_ids(graph):
    assert set(ids(graph, "/directoryRoleTemplates")) == set(ids(graph, "/roleManagement/directory/roleDefinitions"))
    one = graph("GET", f"/roleManagement/directory/roleDefinitions/{READER}").json
    assert (one["displayName"], one["isBuiltIn"], one["templateId"]) == ("Global Reader", True, READER)
    assert graph("GET", f"/directoryRoleTemplates/{READER}").json["displayName"] == "Global Reader"
    assert graph("GET", "/roleManagement/directory/roleDefinitions/nonsense").status == 404


def test_the_id_of_an_assignment_is_made_of_role_and_principal():
    """The first example of rbacapplication-list-roleassignments.md"""
    assert assignment_id(GLOBAL, "ace08ec9-aa11-4ada-9145-addf0398233e") == (
        "lAPpYvVpN0KRkAEhdxReEMmO4KwRqtpKkUWt3wOYIz4-1"
    )


def test_a_role_is_assigned_found_and_taken_back(graph):
    user = graph.user(1)
    made = graph("POST", ASSIGNMENTS, {"roleDefinitionId": READER, "principalId": user, "directoryScopeId": "/"})
    assert made.status == 201
    found = graph("GET", f"{ASSIGNMENTS}?$filter=principalId eq '{user}'&$expand=principal").json["value"]
    assert [(each["id"], each["principal"]["@odata.type"]) for each in found] == [
        (made.json["id"], "#microsoft.graph.user")
    ]
    assert ids(graph, f"{ASSIGNMENTS}?$filter=roleDefinitionId eq '{READER}'") == [made.json["id"]]
    assert ids(graph, f"/directoryRoles(roleTemplateId='{READER}')/members") == [user]
    one = graph("GET", f"{ASSIGNMENTS}/{made.json['id']}?$expand=roleDefinition").json
    assert one["roleDefinition"]["displayName"] == "Global Reader"
    assert graph("DELETE", f"{ASSIGNMENTS}/{made.json['id']}").status == 204
    assert graph("GET", f"{ASSIGNMENTS}/{made.json['id']}").status == 404


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"directoryScopeId": None}, 400),
        ({"principalId": None}, 400),
        ({"principalId": "00000000-0000-0000-0000-00000000dead"}, 404),
        ({"roleDefinitionId": "00000000-0000-0000-0000-00000000dead"}, 404),
        ({"directoryScopeId": "/administrativeUnits/00000000-0000-0000-0000-00000000dead"}, 404),
        ({"nonsense": 1}, 400),
        ({"id": "x"}, 400),
        ({"directoryScopeId": None, "appScopeId": "/"}, 501),
    ],
)
def test_what_is_no_assignment_is_refused(graph, change, status):
    sent = {"roleDefinitionId": READER, "principalId": graph.user(1), "directoryScopeId": "/", **change}
    told = graph("POST", ASSIGNMENTS, {name: value for name, value in sent.items() if value is not None})
    assert told.status == status


def test_a_second_assignment_of_the_same_is_a_conflict(graph):
    sent = {"roleDefinitionId": READER, "principalId": graph.user(1), "directoryScopeId": "/"}
    graph("POST", ASSIGNMENTS, sent)
    told = graph("POST", ASSIGNMENTS, sent)
    assert (told.status, "A conflicting object" in told.message) == (400, True)


# -- units -------------------------------------------------------------------------------------------------------

UNITS = "/directory/administrativeUnits"


def unit(graph, **more):
    made = graph("POST", UNITS, {"displayName": "Wards", **more})
    assert made.status == 201, made.json
    graph.clock.at += 5
    return made.json["id"]


def test_a_unit_is_made_changed_and_deleted(graph):
    key = unit(graph, description="All wards")
    assert graph("GET", f"{UNITS}/{key}").json["description"] == "All wards"
    assert graph("PATCH", f"{UNITS}/{key}", {"description": "Some wards"}).status == 204
    assert graph("GET", f"{UNITS}?$filter=displayName eq 'Wards'").json["value"][0]["description"] == "Some wards"
    assert graph("GET", f"{UNITS}/$count", ConsistencyLevel="eventual").json == "1"
    assert graph("DELETE", f"{UNITS}/{key}").status == 204
    assert graph("GET", f"{UNITS}/{key}").status == 404


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"displayName": None}, 400),
        ({"visibility": "Secret"}, 400),
        ({"nonsense": 1}, 400),
        ({"id": "x"}, 400),
        ({"membershipType": "Dynamic", "membershipRule": "x"}, 501),
    ],
)
def test_a_unit_that_breaks_a_rule_is_refused(graph, change, status):
    sent = {"displayName": "Wards", **change}
    told = graph("POST", UNITS, {name: value for name, value in sent.items() if value is not None})
    assert told.status == status


def test_a_unit_holds_people_and_groups_one_at_a_time(graph):
    key, user, group = unit(graph), graph.user(1), graph.group()
    path = f"{UNITS}/{key}/members"
    app = graph.tenant.seed.id_of("servicePrincipal", graph.tenant.seed.app_id)
    for member, status in ((user, 204), (group, 204), (user, 400), (app, 400)):
        assert graph("POST", f"{path}/$ref", reference(graph, member)).status == status
    assert ids(graph, path) == [user, group]
    assert ids(graph, f"{path}/microsoft.graph.group") == [group]
    assert len(graph("GET", f"{path}/$ref").json["value"]) == 2
    assert graph("GET", f"{path}/{user}").json["@odata.type"] == "#microsoft.graph.user"
    assert graph("GET", f"{path}/{app}").status == 404
    assert key in ids(graph, f"/groups/{group}/memberOf/microsoft.graph.administrativeUnit")
    assert graph("DELETE", f"{path}/{user}/$ref").status == 204
    assert graph("DELETE", f"{path}/{user}/$ref").status == 404
    assert graph("GET", f"{path}/$count", ConsistencyLevel="eventual").json == "1"


def test_who_is_deleted_is_in_no_unit(graph):
    path = f"{UNITS}/{unit(graph)}/members"
    graph("POST", f"{path}/$ref", reference(graph, graph.user(1)))
    graph("DELETE", f"/users/{graph.user(1)}")
    assert graph("GET", f"{path}/$count", ConsistencyLevel="eventual").json == "0"


def test_an_object_is_in_thirty_units_at_most(graph):
    for number in range(30):
        graph.tenant.state.link("unitMembers", f"unit-{number}", graph.user(1))
    told = graph("POST", f"{UNITS}/{unit(graph)}/members/$ref", reference(graph, graph.user(1)))
    assert (told.status, told.code) == (403, "Directory_QuotaExceeded")


def test_a_role_over_a_unit_is_an_assignment_too(graph):
    key, user, role = unit(graph), graph.user(1), activate(graph).json["id"]
    path = f"{UNITS}/{key}/scopedRoleMembers"
    made = graph("POST", path, {"roleId": role, "roleMemberInfo": {"id": user}})
    assert (made.status, made.json["roleMemberInfo"]["displayName"]) == (201, "RX1 Staff 0001")
    found = graph("GET", f"{ASSIGNMENTS}?$filter=principalId eq '{user}'").json["value"]
    assert [each["directoryScopeId"] for each in found] == [f"/administrativeUnits/{key}"]
    assert ids(graph, f"/directoryRoles/{role}/members") == []
    assert ids(graph, path) == [made.json["id"]]
    assert graph("DELETE", f"{path}/{made.json['id']}").status == 204
    assert ids(graph, path) == []
    assert graph("POST", path, {"roleId": role}).status == 404


def test_roles_over_a_deleted_unit_are_gone(graph):
    key, user = unit(graph), graph.user(1)
    sent = {"roleDefinitionId": READER, "principalId": user, "directoryScopeId": f"/administrativeUnits/{key}"}
    made = graph("POST", ASSIGNMENTS, sent)
    assert made.status == 201
    assert graph("DELETE", f"{UNITS}/{key}").status == 204
    assert graph("GET", f"{ASSIGNMENTS}/{made.json['id']}").status == 404
