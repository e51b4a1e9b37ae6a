"""Products, and licences given directly (by group: test_group_licensing). v1.0/api/user-assignlicense.md"""

from __future__ import annotations

from urllib.parse import quote

import pytest

from graphkit.sandbox import Seed, SimulatedTenant
from graphkit.sandbox.seeding.skus import PLANS, PRODUCTS

E3 = "05e9a617-0261-4cee-bb44-138d3ef5d965"
F3 = "66b55226-6b4f-492c-910c-a3b7a3c9d993"
EMS = "efccb6f7-5641-4e0e-bd10-b4976e1bf68e"
TEAMS = "57ff2da0-773e-42df-b2af-ffb7a2317929"
AUDIO = PRODUCTS["MCOMEETADV"].id
SKYPE = PLANS["MCOSTANDARD"].id


def sells(graph, *skus, **seed):
    """Another tenant for the client: nobody licensed, these products on the shelf."""
    seed = {"organisations": 1, "users": 60, "licensed": 0, **seed}
    graph.tenant = SimulatedTenant(graph.clock, seed=Seed(skus=skus, **seed), throttling=False, replication_s=0)


def assign(graph, user, *add, remove=(), disabled=()):
    return graph("POST", f"/users/{user}/assignLicense", assignment(*add, remove=remove, disabled=disabled))


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


def test_an_add_on_wants_its_prerequisite_and_keeps_it(graph):
    """licensing-groups-resolve-problems.md: Audio Conferencing depends on Skype for Business."""
    sells(graph, "SPE_E3", "MCOMEETADV")
    user = graph.user(1)
    alone = assign(graph, user, AUDIO)
    assert (alone.status, alone.code) == (400, "Request_BadRequest")
    assert f"depends on the service plan(s) {SKYPE}" in alone.message
    assert assign(graph, user, E3, AUDIO).status == 200
    assert "depends on" in assign(graph, user, remove=[E3]).message
    assert "depends on" in assign(graph, user, E3, disabled=[SKYPE]).message
    assert assign(graph, user, remove=[E3, AUDIO]).status == 200


def test_teams_bought_apart_goes_with_the_product_that_lacks_it(graph):
    without, apart = "Microsoft_365_E3_(no_Teams)", "Microsoft_Teams_Enterprise_New"
    sells(graph, without, apart)
    told = assign(graph, graph.user(1), PRODUCTS[without].id, PRODUCTS[apart].id)
    assert told.status == 200, told.json
    plans = graph("GET", f"/users/{graph.user(1)}?$select=assignedPlans").json["assignedPlans"]
    assert [plan["capabilityStatus"] for plan in plans if plan["servicePlanId"] == TEAMS] == ["Enabled"]


def test_an_address_is_given_once(graph):
    sells(graph, "SPE_E3")
    assert assign(graph, graph.user(1), E3).status == 200
    body = {"accountEnabled": True, "displayName": "Namesake", "mailNickname": "rx1-0001", "usageLocation": "GB",
            "userPrincipalName": "namesake@contoso.example", "passwordProfile": {"password": "Long-1234"}}  # fmt: skip
    twin = graph("POST", "/users", body).json["id"]
    graph.clock.at += 5
    assert "proxyAddresses" in assign(graph, twin, E3).message


def test_what_is_the_companys_is_nobodys(graph):
    """microsoftgraph/microsoft-graph-docs#7539"""
    sells(graph, "WINDOWS_STORE", "EMS")
    told = assign(graph, graph.user(1), PRODUCTS["WINDOWS_STORE"].id)
    assert told.message == f"License {PRODUCTS['WINDOWS_STORE'].id} cannot be assigned to a user."
    assign(graph, graph.user(1), EMS)
    of_user = graph("GET", f"/users/{graph.user(1)}?$select=assignedPlans").json["assignedPlans"]
    of_company = graph("GET", "/organization").json["value"][0]["assignedPlans"]
    foundation = PLANS["EXCHANGE_S_FOUNDATION"].id
    assert foundation not in {plan["servicePlanId"] for plan in of_user}
    assert foundation in {plan["servicePlanId"] for plan in of_company}


def test_a_place_where_a_product_may_not_be_used_is_refused(graph):
    sells(graph, "SPE_E3", prohibited={"SPE_E3": ("NL",)})
    graph("PATCH", f"/users/{graph.user(1)}", {"usageLocation": "NL"})
    assert "usage location NL" in assign(graph, graph.user(1), E3).message
    assert assign(graph, graph.user(2), E3).status == 200


@pytest.mark.parametrize(
    ("units", "status", "can_be_assigned"),
    [
        ({"seats": 1}, "Enabled", True),
        ({"seats": 1, "suspended": 9}, "Enabled", True),
        ({"seats": 0, "warning": 1}, "Warning", True),
        ({"seats": 0, "suspended": 9}, "Suspended", False),
        ({"seats": 0, "locked_out": 9}, "LockedOut", False),
        ({"seats": 0}, "Deleted", False),
    ],
)
def test_units_that_have_run_out_say_so_and_cannot_be_assigned(graph, units, status, can_be_assigned):
    """resources/licenseunitsdetail.md"""
    sells(graph, "SPE_E3", **{name: {"SPE_E3": number} for name, number in units.items()})
    shown = graph("GET", "/subscribedSkus").json["value"][0]
    assert shown["capabilityStatus"] == status
    assert shown["prepaidUnits"]["enabled"] == units["seats"]
    assert (assign(graph, graph.user(1), E3).status == 200) is can_be_assigned


def test_a_licence_outlives_its_subscription_but_its_plans_say_so(graph):
    sells(graph, "SPE_E3", licensed=1, seats={"SPE_E3": 0}, suspended={"SPE_E3": 5})
    plans = graph("GET", f"/users/{graph.user(1)}?$select=assignedPlans").json["assignedPlans"]
    assert {plan["capabilityStatus"] for plan in plans} == {"Suspended"}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (f"assignedLicenses/any(x:x/skuId eq {E3})", 4),
        (f"assignedLicenses/any(x:x/skuId eq {EMS})", 1),
        (f"not assignedLicenses/any(x:x/skuId eq {E3})", 58),
        ("assignedLicenses/$count eq 0", 58),
        (f"assignedPlans/any(p:p/servicePlanId eq {TEAMS} and p/capabilityStatus eq 'Enabled')", 3),
        ("assignedPlans/any(p:p/service eq 'exchange')", 4),
    ],
)
def test_users_are_found_by_what_they_hold(graph, text, found):
    sells(graph, "SPE_E3", "EMS", licensed=3)
    assign(graph, graph.user(10), E3, EMS, disabled=[])
    assign(graph, graph.user(1), E3, disabled=[TEAMS])
    told = graph("GET", f"/users?$filter={quote(text)}&$count=true&$select=id", ConsistencyLevel="eventual")
    assert told.json["@odata.count"] == len(told.json["value"]) == found
    count = graph("GET", f"/users/$count?$filter={quote(text)}", ConsistencyLevel="eventual")
    assert count.json == str(found)


def test_products_are_listed_whole(graph):
    assert graph("GET", "/subscribedSkus?$select=skuId").json["value"][0].keys() == {"skuId"}
    assert graph("GET", "/subscribedSkus?$filter=skuPartNumber eq 'EMS'").code == "Request_UnsupportedQuery"
