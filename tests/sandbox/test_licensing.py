"""Direct and group licensing. api-reference/v1.0/api/user-assignlicense.md, group-assignlicense.md."""

from __future__ import annotations

import pytest

E3 = "05e9a617-0261-4cee-bb44-138d3ef5d965"
F3 = "66b55226-6b4f-492c-910c-a3b7a3c9d993"
EMS = "efccb6f7-5641-4e0e-bd10-b4976e1bf68e"
TEAMS = "57ff2da0-773e-42df-b2af-ffb7a2317929"


def assignment(*add, remove=(), disabled=()):
    return {
        "addLicenses": [{"skuId": sku, "disabledPlans": list(disabled)} for sku in add],
        "removeLicenses": [*remove],
    }


def consumed(graph, sku=E3):
    return next(row["consumedUnits"] for row in graph("GET", "/subscribedSkus").json["value"] if row["skuId"] == sku)


def states(graph, user):
    return graph("GET", f"/users/{user}?$select=licenseAssignmentStates").json["licenseAssignmentStates"]


def test_a_direct_licence_takes_a_seat_and_adding_it_again_replaces_the_disabled_plans(graph):
    user, before = graph.user(50), consumed(graph)
    assert graph("POST", f"/users/{user}/assignLicense", assignment(E3)).status == 200
    graph("POST", f"/users/{user}/assignLicense", assignment(E3, disabled=[TEAMS]))
    assert consumed(graph) == before + 1
    found = graph("GET", f"/users/{user}?$select=assignedLicenses,assignedPlans").json
    assert found["assignedLicenses"] == [{"skuId": E3, "disabledPlans": [TEAMS]}]
    assert TEAMS not in {plan["servicePlanId"] for plan in found["assignedPlans"]}
    details = graph("GET", f"/users/{user}/licenseDetails").json["value"][0]["servicePlans"]
    assert {p["provisioningStatus"] for p in details if p["servicePlanId"] == TEAMS} == {"Disabled"}


def test_a_swap_in_one_call_frees_one_seat_and_takes_another(graph):
    user, before = graph.user(1), consumed(graph)
    assert graph("POST", f"/users/{user}/assignLicense", assignment(F3, remove=[E3])).status == 200
    assert (consumed(graph), consumed(graph, F3)) == (before - 1, 1)


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"addLicenses": []}, "removeLicenses"),
        ({"removeLicenses": []}, "addLicenses"),
        (assignment("11111111-1111-1111-1111-111111111111"), "valid company License"),
        (assignment(E3, disabled=["11111111-1111-1111-1111-111111111111"]), "service plan"),
        (assignment(remove=[F3]), "does not have a corresponding license"),
        (assignment(F3), "mutually exclusive"),
        ({**assignment(E3), "extra": 1}, "extra"),
    ],
)
def test_an_assignment_that_makes_no_sense_is_refused(graph, body, text):
    told = graph("POST", f"/users/{graph.user(1)}/assignLicense", body)
    assert told.status == 400
    assert text in told.message


def test_a_usage_location_comes_first(graph):
    user = graph.user(50)
    graph("PATCH", f"/users/{user}", {"usageLocation": None})
    told = graph("POST", f"/users/{user}/assignLicense", assignment(E3))
    assert told.message == "License assignment cannot be done for user with invalid usage location."


def test_the_last_seat_is_the_last(graph):
    free = 60 - consumed(graph)
    told = [graph("POST", f"/users/{graph.user(n)}/assignLicense", assignment(E3)) for n in range(21, 22 + free)]
    assert [t.status for t in told] == [200] * free + [400]
    assert "does not have any available licenses" in told[-1].message


def licensed_pool(graph, sku=E3, members=5):
    group = graph.group(f"Pool{sku[:4]}")
    graph("POST", f"/groups/{group}/assignLicense", assignment(sku))
    bind = [graph.link(graph.user(n)) for n in range(21, 21 + members)]
    for start in range(0, members, 20):
        assert graph("PATCH", f"/groups/{group}", {"members@odata.bind": bind[start : start + 20]}).status == 204
    return group


def test_group_licences_arrive_later_and_leave_with_the_membership(graph):
    before = consumed(graph)
    group = graph.group()
    accepted = graph("POST", f"/groups/{group}/assignLicense", assignment(E3))
    assert accepted.status == 202
    state = graph("GET", f"/groups/{group}?$select=licenseProcessingState").json["licenseProcessingState"]
    assert state == {"state": "QueuedForProcessing"}
    user = graph.user(21)
    graph("POST", f"/groups/{group}/members/$ref", {"@odata.id": graph.link(user)})
    assert states(graph, user) == []
    graph.clock.at += 10
    assert [(s["assignedByGroup"], s["state"]) for s in states(graph, user)] == [(group, "Active")]
    state = graph("GET", f"/groups/{group}?$select=licenseProcessingState").json["licenseProcessingState"]
    assert state == {"state": "ProcessingComplete"}
    assert consumed(graph) == before + 1
    graph("DELETE", f"/groups/{group}/members/{user}/$ref")
    graph.clock.at += 10
    assert (states(graph, user), consumed(graph)) == ([], before)


def test_a_shortage_is_recorded_on_the_users_not_returned(graph):
    free = 60 - consumed(graph)
    group = licensed_pool(graph, members=free + 3)
    graph.clock.at += 10
    assert consumed(graph) == 60
    found = graph("GET", f"/groups/{group}?$select=hasMembersWithLicenseErrors").json
    assert found["hasMembersWithLicenseErrors"] is True
    failed = graph("GET", f"/groups/{group}/membersWithLicenseErrors?$select=id").json["value"]
    assert len(failed) == 3
    assert states(graph, failed[0]["id"])[0]["error"] == "CountViolation"


def test_reprocessing_cures_what_has_become_curable(graph):
    group = licensed_pool(graph, members=60 - consumed(graph) + 1)
    graph.clock.at += 10
    user = graph("GET", f"/groups/{group}/membersWithLicenseErrors?$select=id").json["value"][0]["id"]
    graph("POST", f"/users/{graph.user(1)}/assignLicense", assignment(remove=[E3]))
    graph("POST", f"/users/{user}/reprocessLicenseAssignment", {})
    graph.clock.at += 10
    assert states(graph, user)[0]["state"] == "Active"
    assert (
        graph("GET", f"/groups/{group}?$select=hasMembersWithLicenseErrors").json["hasMembersWithLicenseErrors"]
        is False
    )


def test_an_inherited_licence_is_not_removed_directly(graph):
    licensed_pool(graph, members=1)
    graph.clock.at += 10
    told = graph("POST", f"/users/{graph.user(21)}/assignLicense", assignment(remove=[E3]))
    assert "inherited from a group" in told.message


def test_direct_and_inherited_of_one_sku_take_one_seat(graph):
    before = consumed(graph, EMS)
    licensed_pool(graph, EMS, members=1)
    graph("POST", f"/users/{graph.user(21)}/assignLicense", assignment(EMS))
    graph.clock.at += 10
    assert len(states(graph, graph.user(21))) == 2
    assert consumed(graph, EMS) == before + 1


def test_a_group_with_licences_is_not_deleted(graph):
    group = licensed_pool(graph, members=1)
    assert "active licenses" in graph("DELETE", f"/groups/{group}").message
    graph("POST", f"/groups/{group}/assignLicense", assignment(remove=[E3]))
    assert graph("DELETE", f"/groups/{group}").status == 204
    graph.clock.at += 10
    assert states(graph, graph.user(21)) == []
