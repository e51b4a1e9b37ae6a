"""Licences by group. api-reference/v1.0/api/group-assignlicense.md; licensing-groups-resolve-problems.md."""

from __future__ import annotations

import pytest
from test_licensing import AUDIO, E3, EMS, F3, SKYPE, TEAMS, assign, assignment, consumed, sells, states

from graphkit.sandbox import SimulatedTenant
from graphkit.sandbox.seeding.skus import PLANS, PRODUCTS


def group_assign(graph, group, *add, remove=(), disabled=()):
    return graph("POST", f"/groups/{group}/assignLicense", assignment(*add, remove=remove, disabled=disabled))


def pool(graph, name, *skus, users=()):
    """A group that gives these products to these users, settled."""
    group = graph.group(name)
    assert group_assign(graph, group, *skus).status == 202
    for user in users:
        join(graph, group, user)
    graph.clock.at += 10
    return group


def join(graph, group, user):
    told = graph("POST", f"/groups/{group}/members/$ref", {"@odata.id": graph.link(user)})
    assert told.status == 204, told.json


def leave(graph, group, user):
    assert graph("DELETE", f"/groups/{group}/members/{user}/$ref").status == 204


def held(graph, user):
    """``{(group, SKU): "state/error"}``"""
    return {(s["assignedByGroup"], s["skuId"]): f"{s['state']}/{s['error']}" for s in states(graph, user)}


def in_error(graph, group):
    return [user["id"] for user in graph("GET", f"/groups/{group}/membersWithLicenseErrors?$select=id").json["value"]]


FINE = "Active/None"


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


def test_one_product_that_fails_holds_back_the_rest_of_its_group(graph):
    sells(graph, "SPE_E3", "EMSPREMIUM", seats={"EMSPREMIUM": 0})
    premium = PRODUCTS["EMSPREMIUM"].id
    group = pool(graph, "Both", E3, premium, users=[graph.user(1)])
    assert held(graph, graph.user(1)) == {(group, E3): "Error/Other", (group, premium): "Error/CountViolation"}
    assert consumed(graph) == 0


@pytest.mark.parametrize(
    ("error", "prepare"),
    [
        ("CountViolation", lambda graph, user: [assign(graph, graph.user(n), E3) for n in (11, 12, 13)]),
        ("MutuallyExclusiveViolation", lambda graph, user: assign(graph, user, F3)),
        (
            "ProhibitedInUsageLocationViolation",
            lambda graph, user: graph("PATCH", f"/users/{user}", {"usageLocation": "NL"}),
        ),
        (
            "UniquenessViolation",
            lambda graph, user: graph("PATCH", f"/users/{user}", {"mail": None, "mailNickname": "rx1-0002"}),
        ),
    ],
)
def test_every_failure_is_recorded_with_its_cause(graph, error, prepare):
    sells(graph, "SPE_E3", "SPE_F1", seats={"SPE_E3": 3}, prohibited={"SPE_E3": ("NL",)})
    user = graph.user(1)
    prepare(graph, user)
    group = pool(graph, "Pool", E3, users=[user, graph.user(3)])
    assert held(graph, user)[group, E3] == f"Error/{error}"
    assert user in in_error(graph, group)
    assert graph("GET", f"/groups/{group}?$select=hasMembersWithLicenseErrors").json["hasMembersWithLicenseErrors"]


def test_users_without_a_location_are_taken_to_be_where_the_directory_is(graph):
    sells(graph, "SPE_E3", country="NL", prohibited={"SPE_E3": ("NL",)})
    user = graph.user(1)
    graph("PATCH", f"/users/{user}", {"usageLocation": None})
    group = pool(graph, "Pool", E3, users=[user, graph.user(2)])
    assert held(graph, user) == {(group, E3): "Error/ProhibitedInUsageLocationViolation"}
    assert held(graph, graph.user(2)) == {(group, E3): FINE}
    assert graph("GET", f"/users/{user}?$select=usageLocation").json["usageLocation"] is None


def test_a_prerequisite_does_not_leave_before_what_depends_on_it(graph):
    sells(graph, "SPE_E3", "EMS", "MCOMEETADV")
    user = graph.user(1)
    group = pool(graph, "Pool", E3, EMS, users=[user])
    assign(graph, user, AUDIO)
    leave(graph, group, user)
    graph.clock.at += 10
    assert held(graph, user) == {
        (None, AUDIO): FINE,
        (group, E3): "ActiveWithError/DependencyViolation",
        (group, EMS): "ActiveWithError/Other",
    }
    assert consumed(graph) == 1
    graph("POST", f"/users/{user}/reprocessLicenseAssignment", {})
    graph.clock.at += 10
    assert len(held(graph, user)) == 3
    assign(graph, user, remove=[AUDIO])
    graph("POST", f"/users/{user}/reprocessLicenseAssignment", {})
    graph.clock.at += 10
    assert (held(graph, user), consumed(graph)) == ({}, 0)


def test_reprocessing_does_not_cure_what_is_still_wrong(graph):
    sells(graph, "SPE_E3", "SPE_F1")
    user = graph.user(1)
    assign(graph, user, F3)
    pool(graph, "Pool", E3, users=[user])
    before = states(graph, user)
    assert graph("POST", f"/users/{user}/reprocessLicenseAssignment", {}).status == 200
    graph.clock.at += 10
    assert states(graph, user) == before


def test_moving_between_groups_of_one_product_keeps_the_last_seat(graph):
    sells(graph, "SPE_E3", seats={"SPE_E3": 1})
    user = graph.user(1)
    old, new = pool(graph, "Old", E3, users=[user]), pool(graph, "New", E3)
    join(graph, new, user)
    leave(graph, old, user)
    graph.clock.at += 10
    assert (held(graph, user), consumed(graph)) == ({(new, E3): FINE}, 1)


def test_what_one_group_no_longer_gives_makes_room_for_what_the_next_one_does(graph):
    sells(graph, "SPE_E3", "SPE_F1")
    user = graph.user(1)
    old, new = pool(graph, "Old", F3, users=[user]), pool(graph, "New", E3)
    join(graph, new, user)
    leave(graph, old, user)
    graph.clock.at += 10
    assert held(graph, user) == {(new, E3): FINE}


def test_members_of_members_inherit_nothing(graph):
    sells(graph, "SPE_E3")
    inner = graph.group("Inner", **{"members@odata.bind": [graph.link(graph.user(1))]})
    outer = pool(graph, "Outer", E3, users=[graph.user(2)])
    graph("POST", f"/groups/{outer}/members/$ref", {"@odata.id": graph.link(inner)})
    graph.clock.at += 10
    assert (held(graph, graph.user(1)), consumed(graph)) == ({}, 1)


def test_plans_that_a_group_turns_off_are_off_for_its_members(graph):
    sells(graph, "SPE_E3")
    user = graph.user(1)
    group = pool(graph, "Pool", E3, users=[user])
    group_assign(graph, group, E3, disabled=[TEAMS])
    graph.clock.at += 10
    found = graph("GET", f"/users/{user}?$select=assignedLicenses").json["assignedLicenses"]
    assert found == [{"skuId": E3, "disabledPlans": [TEAMS]}]


def test_what_was_held_goes_on_when_its_group_is_given_more_than_there_is(graph):
    sells(graph, "SPE_E3", "EMSPREMIUM", seats={"EMSPREMIUM": 0})
    user, premium = graph.user(1), PRODUCTS["EMSPREMIUM"].id
    group = pool(graph, "Pool", E3, users=[user])
    group_assign(graph, group, premium)
    graph.clock.at += 10
    assert held(graph, user) == {(group, E3): "ActiveWithError/Other", (group, premium): "Error/CountViolation"}
    group_assign(graph, group, remove=[premium])
    graph.clock.at += 10
    assert (held(graph, user), in_error(graph, group)) == ({(group, E3): FINE}, [])


@pytest.mark.parametrize(
    ("before", "body", "text"),
    [
        ([], {"addLicenses": []}, "removeLicenses"),
        ([], assignment(remove=[E3]), "does not have a corresponding license"),
        ([], assignment(AUDIO), "depends on the service plan"),
        ([], assignment(E3, F3), "mutually exclusive"),
        ([E3, AUDIO], assignment(remove=[E3]), "depends on the service plan"),
        ([E3, AUDIO], assignment(E3, disabled=[SKYPE]), "depends on the service plan"),
    ],
)
def test_a_group_is_not_given_what_makes_no_sense(graph, before, body, text):
    """ "the system requires that both the prerequisite and add-on service plans ... be present in the same group" """
    sells(graph, "SPE_E3", "SPE_F1", "MCOMEETADV")
    group = pool(graph, "Pool", *before)
    told = graph("POST", f"/groups/{group}/assignLicense", body)
    assert told.status == 400
    assert text in told.message


def test_a_group_swaps_products_in_one_call(graph):
    sells(graph, "SPE_E3", "SPE_F1")
    group = pool(graph, "Pool", F3, users=[graph.user(1)])
    accepted = group_assign(graph, group, E3, remove=[F3])
    assert accepted.status == 202
    assert accepted.headers["Location"].endswith(f"/directoryObjects/{group}/Microsoft.DirectoryServices.Group")
    graph.clock.at += 10
    assert held(graph, graph.user(1)) == {(group, E3): FINE}


def test_only_security_groups_give_licences(graph):
    """licensing-group-advanced.md, "Limitations and known issues" """
    sells(graph, "SPE_E3")
    assert group_assign(graph, graph.unified(), E3).status == 400


def test_whoever_is_deleted_leaves_a_seat_and_no_error(graph):
    sells(graph, "SPE_E3", seats={"SPE_E3": 1})
    group = pool(graph, "Pool", E3, users=[graph.user(1)])
    join(graph, group, graph.user(2))
    graph.clock.at += 10
    assert in_error(graph, group) == [graph.user(2)]
    graph("DELETE", f"/users/{graph.user(2)}")
    assert in_error(graph, group) == []
    graph("DELETE", f"/users/{graph.user(1)}")
    assert consumed(graph) == 0


def test_the_books_are_the_same_after_a_reopening(graph, clock, tmp_path):
    file = tmp_path / "kept.sqlite"
    sells(graph, "SPE_E3")
    seed = graph.tenant.seed
    graph.tenant = SimulatedTenant.open(file, clock, seed=seed, throttling=False, licensing_s=5)
    graph("PATCH", f"/users/{graph.user(2)}", {"mail": None, "mailNickname": "rx1-0003"})
    group = pool(graph, "Pool", E3, users=[graph.user(1), graph.user(2)])
    books = graph.tenant.licenses
    graph.tenant.close()
    graph.tenant = SimulatedTenant.open(file, clock, throttling=False)
    again = graph.tenant.licenses
    assert +again.consumed == +books.consumed
    assert (again.heirs, again.failed) == (books.heirs, books.failed)
    assert in_error(graph, group) == [graph.user(2)]
    graph.tenant.close()


def test_a_licence_carries_the_plans_of_its_product(graph):
    sells(graph, "EMS")
    group = pool(graph, "Pool", EMS, users=[graph.user(1)])
    (details,) = graph("GET", f"/users/{graph.user(1)}/licenseDetails").json["value"]
    assert details["skuPartNumber"] == "EMS"
    assert PLANS["INTUNE_A"].id in {plan["servicePlanId"] for plan in details["servicePlans"]}
    services = graph("GET", f"/users/{graph.user(1)}?$select=provisionedPlans").json["provisionedPlans"]
    assert {"service": "SCO", "capabilityStatus": "Enabled", "provisioningStatus": "Success"} in services
    assert group in {state["assignedByGroup"] for state in states(graph, graph.user(1))}
