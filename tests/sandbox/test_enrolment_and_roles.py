"""Autopilot: imported now, registered later, listed later still. Scope tags, Intune's own roles, and messages."""

from __future__ import annotations

import base64

import pytest

from graphkit.sandbox import Seed, SimulatedTenant

IMPORTS = "/deviceManagement/importedWindowsAutopilotDeviceIdentities"
AUTOPILOT = "/deviceManagement/windowsAutopilotDeviceIdentities"
TAGS = "/deviceManagement/roleScopeTags"
ROLES = "/deviceManagement/roleAssignments"
NOBODY = "00000000-0000-0000-0000-00000000dead"
HASH = base64.b64encode(b"OA3 hardware").decode()


@pytest.fixture
def tenant(clock):
    return SimulatedTenant(clock, seed=Seed(organisations=2, users=120, devices=40), throttling=False, replication_s=0)


def listed(graph, serial=""):
    return graph("GET", f"{AUTOPILOT}?$filter=contains(serialNumber,'{serial}')").json["value"]


def to_import(serial, **changes):
    return {"serialNumber": serial, "hardwareIdentifier": HASH, "groupTag": "RX1-ward", **changes}


def imported(graph, *entries):
    told = graph("POST", f"{IMPORTS}/import", {"importedWindowsAutopilotDeviceIdentities": list(entries)})
    assert told.status == 200, told.json
    return told.json["value"]


def states(graph, entries):
    shown = [graph("GET", f"{IMPORTS}/{entry['id']}").json["state"] for entry in entries]
    return [(s["deviceImportStatus"], s["deviceErrorCode"], s["deviceErrorName"]) for s in shown]


def test_an_import_is_polled_and_its_devices_appear_later_still(graph):
    entries = imported(graph, to_import("A-1"), to_import("A-2"))
    assert [entry["state"]["deviceImportStatus"] for entry in entries] == ["unknown", "unknown"]
    assert [entry["hardwareIdentifier"] for entry in entries] == [None, None]
    assert states(graph, entries) == [("pending", 0, "")] * 2
    graph.clock.at += graph.tenant.intune_s
    assert states(graph, entries) == [("complete", 0, "None")] * 2
    assert listed(graph) == []
    graph.clock.at += graph.tenant.intune_s
    (found,) = listed(graph, "A-1")
    assert found["id"] == graph("GET", f"{IMPORTS}/{entries[0]['id']}").json["state"]["deviceRegistrationId"]
    assert (found["groupTag"], found["enrollmentState"]) == ("RX1-ward", "notContacted")
    entra = graph("GET", f"/devices(deviceId='{found['azureActiveDirectoryDeviceId']}')").json
    assert f"[ZTDId]:{found['id']}" in entra["physicalIds"]


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"hardwareIdentifier": base64.b64encode(b"no hash").decode()}, (802, "InvalidZtdHardwareHash")),
        ({"serialNumber": None}, (803, "MissingZtdSerialNumberAndProductKey")),
        ({"serialNumber": "known"}, (806, "ZtdDeviceAlreadyAssigned")),
    ],
)
def test_what_cannot_be_imported_fails_later_and_alone(graph, changes, error):
    imported(graph, to_import("KNOWN"))
    graph.clock.at += 1
    entries = imported(graph, to_import("new", **changes), to_import("other"))
    graph.clock.at += graph.tenant.intune_s
    assert states(graph, entries) == [("error", *error), ("complete", 0, "None")]


def test_what_does_not_fit_the_model_is_refused_at_once(graph):
    entries = [to_import("B", hardwareIdentifier="not base64!")]
    told = graph("POST", f"{IMPORTS}/import", {"importedWindowsAutopilotDeviceIdentities": entries})
    assert (told.status, told.code) == (400, "ModelValidationFailure")


def registered(graph, serial="C-1"):
    graph("POST", IMPORTS, to_import(serial))
    graph.clock.at += 2 * graph.tenant.intune_s + 1
    return listed(graph, serial)[0]


def test_a_registered_device_is_changed_by_actions(graph):
    one = f"{AUTOPILOT}/{registered(graph)['id']}"
    assert graph("POST", f"{one}/updateDeviceProperties", {"groupTag": "RX1-lab", "displayName": "LAB"}).status == 204
    upn = "rx1-0001@contoso.example"
    assert graph("POST", f"{one}/assignUserToDevice", {"userPrincipalName": upn}).status == 204
    shown = graph("GET", one).json
    assert (shown["groupTag"], shown["displayName"], shown["userPrincipalName"]) == ("RX1-lab", "LAB", upn)
    assert graph("POST", f"{one}/unassignUserFromDevice").status == 204
    assert graph("GET", one).json["userPrincipalName"] == ""
    for action, body in (("updateDeviceProperties", {"serialNumber": "x"}), ("assignUserToDevice", {}),
                         ("assignUserToDevice", {"userPrincipalName": "nobody@contoso.example"})):  # fmt: skip
        assert graph("POST", f"{one}/{action}", body).status == 400


def test_a_deleted_device_can_be_imported_again(graph):
    first = registered(graph)
    assert graph("DELETE", f"{AUTOPILOT}/{first['id']}").status == 204
    assert registered(graph)["id"] != first["id"]


def test_a_device_that_intune_manages_already_is_enrolled(graph):
    managed = graph("GET", "/deviceManagement/managedDevices").json["value"][0]
    found = registered(graph, managed["serialNumber"])
    assert (found["managedDeviceId"], found["enrollmentState"]) == (managed["id"], "enrolled")


def test_sync_brings_what_is_registered_sooner(graph):
    graph("POST", IMPORTS, to_import("D-1"))
    graph.clock.at += graph.tenant.intune_s
    assert graph("POST", "/deviceManagement/windowsAutopilotSettings/sync", {}, "beta").status == 204
    graph.clock.at += 5
    assert len(listed(graph)) == 1


def test_imports_can_be_deleted_but_not_changed(graph):
    (entry,) = imported(graph, to_import("E-1"))
    assert graph("PATCH", f"{IMPORTS}/{entry['id']}", {"groupTag": "x"}).code == "No method match route template"
    assert graph("DELETE", f"{IMPORTS}/{entry['id']}").status == 204
    graph.clock.at += 3 * graph.tenant.intune_s
    assert listed(graph) == []


# -- scope tags, roles, messages ----------------------------------------------------------------------------------


def test_scope_tags_are_numbered_and_the_default_one_stays(graph):
    made = [graph("POST", TAGS, {"displayName": name}, "beta").json["id"] for name in ("RX1", "RX2")]
    assert made == ["1", "2"]
    graph.clock.at += 5
    for told in (
        graph("DELETE", f"{TAGS}/0", version="beta"),
        graph("PATCH", f"{TAGS}/0", {"displayName": "x"}, "beta"),
    ):
        assert told.status == 400
    assert graph("DELETE", f"{TAGS}/2", version="beta").status == 204
    assert graph("POST", TAGS, {"displayName": "RX3"}, "beta").json["id"] == "3"
    target = {"@odata.type": "#microsoft.graph.groupAssignmentTarget", "groupId": NOBODY}
    told = graph("POST", f"{TAGS}/1/assign", {"assignments": [{"target": target}]}, "beta")
    assert (told.status, told.json["value"][0]["id"]) == (200, f"1_{NOBODY}")
    ring = {"@odata.type": "#microsoft.graph.windowsUpdateForBusinessConfiguration", "displayName": "Ring"}
    tagged = graph("POST", "/deviceManagement/deviceConfigurations", {**ring, "roleScopeTagIds": ["1"]}, "beta")
    assert tagged.json["roleScopeTagIds"] == ["1"]


def a_role_assignment(role, **changes):
    link = f"https://graph.microsoft.com/beta/deviceManagement/roleDefinitions('{role}')"
    kind = "#microsoft.graph.deviceAndAppManagementRoleAssignment"
    return {"@odata.type": kind, "displayName": "RX1 helpdesk", "members": [NOBODY], "resourceScopes": [NOBODY],
            "roleDefinition@odata.bind": link, **changes}  # fmt: skip


def role_of(graph, name="Help Desk Operator"):
    roles = graph("GET", "/deviceManagement/roleDefinitions").json["value"]
    return next(role["id"] for role in roles if role["displayName"] == name)


def test_a_role_is_assigned_with_scope_tags(graph):
    graph("POST", TAGS, {"displayName": "RX1"}, "beta")
    role = role_of(graph)
    bound = {"roleScopeTags@odata.bind": ["https://graph.microsoft.com/beta/deviceManagement/roleScopeTags('1')"]}
    made = graph("POST", ROLES, a_role_assignment(role, **bound), "beta")
    assert (made.status, made.json["roleScopeTagIds"]) == (201, ["1"])
    graph.clock.at += 5
    one = f"{ROLES}/{made.json['id']}"
    shown = graph("GET", f"{one}?$expand=roleDefinition,roleScopeTags", version="beta").json
    assert shown["roleDefinition"]["id"] == role
    assert [tag["displayName"] for tag in shown["roleScopeTags"]] == ["RX1"]
    cast = f"{one}/microsoft.graph.deviceAndAppManagementRoleAssignment/roleScopeTags"
    assert [tag["id"] for tag in graph("GET", cast, version="beta").json["value"]] == ["1"]
    listed = graph("GET", f"/deviceManagement/roleDefinitions/{role}/roleAssignments").json["value"]
    assert [item["id"] for item in listed] == [made.json["id"]]
    assert "roleScopeTagIds" not in graph("GET", one).json
    assert graph("PATCH", one, {"members": []}).json["members"] == []
    assert graph("DELETE", one).status == 204


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"roleDefinition@odata.bind": None}, 400),
        ({"roleDefinition@odata.bind": f"https://graph.microsoft.com/x/roleDefinitions('{NOBODY}')"}, 404),
        ({"members": ["somebody"]}, 400),
        ({"displayName": "x" * 129}, 400),
        ({"roleScopeTagIds": ["9"]}, 400),
    ],
)
def test_a_role_assignment_that_breaks_a_rule_is_refused(graph, changes, status):
    assert graph("POST", ROLES, a_role_assignment(role_of(graph), **changes), "beta").status == status


def test_a_message_has_one_default_language(graph):
    path = "/deviceManagement/notificationMessageTemplates"
    one = f"{path}/{graph('POST', path, {'displayName': 'Not compliant'}).json['id']}"
    graph.clock.at += 5
    message = {"subject": "Hello", "messageTemplate": "Please update", "isDefault": True}
    for locale in ("en-gb", "cy-gb"):
        assert graph("POST", f"{one}/localizedNotificationMessages", {**message, "locale": locale}).status == 201
    shown = graph("GET", f"{one}/localizedNotificationMessages").json["value"]
    assert [(m["locale"], m["isDefault"]) for m in shown] == [("en-gb", False), ("cy-gb", True)]
    assert graph("GET", one).json["defaultLocale"] == "cy-gb"
    assert graph("DELETE", f"{one}/localizedNotificationMessages/{shown[0]['id']}").status == 204
    assert len(graph("GET", f"{one}?$expand=localizedNotificationMessages").json["localizedNotificationMessages"]) == 1
