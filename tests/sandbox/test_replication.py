"""No read after write: each read asks one of three replicas, and any of them may lag."""

from __future__ import annotations

import pytest

from graphkit.sandbox import Seed, SimulatedTenant

LAGGING = Seed(organisations=1, users=30, licensed=0)
MEMBERS = "/groups/{}/members?$select=id"


@pytest.fixture
def lagging(graph, clock):
    graph.tenant = SimulatedTenant(clock, seed=LAGGING, throttling=False, replication_s=10)
    return graph


def watched(graph, look, seconds=12.0):
    """What a look shows, ten times a second."""
    seen = []
    for _ in range(int(seconds * 10)):
        seen.append(look())
        graph.clock.at += 0.1
    return seen


def goes_back(seen, old, new):
    return old in seen[seen.index(new) :]


def settled(graph, look):
    return {look() for _ in range(20)}


def test_a_changed_property_is_seen_and_missed_and_seen_again_then_stays(lagging):
    path = f"/users/{lagging.user(1)}?$select=jobTitle"
    lagging("PATCH", f"/users/{lagging.user(1)}", {"jobTitle": "Nurse"})
    look = lambda: lagging("GET", path).json["jobTitle"]  # noqa: E731 - three looks of one kind
    seen = watched(lagging, look)
    assert set(seen) == {None, "Nurse"}
    assert goes_back(seen, None, "Nurse")
    assert settled(lagging, look) == {"Nurse"}


def test_a_listing_lags_as_single_reads_do(lagging):
    lagging("PATCH", f"/users/{lagging.user(1)}", {"department": "Theatre"})
    path = "/users?$filter=department eq 'Theatre'&$select=id"
    seen = watched(lagging, lambda: len(lagging("GET", path).json["value"]))
    assert set(seen) == {0, 1}
    assert goes_back(seen, 0, 1)


@pytest.mark.parametrize("relation", ["members", "owners"])
def test_memberships_lag_when_they_come_and_when_they_go(lagging, relation):
    group, person = lagging.group(), lagging.user(1)
    lagging.clock.at += 10
    path = f"/groups/{group}/{relation}"
    look = lambda: [each["id"] for each in lagging("GET", path).json["value"]] == [person]  # noqa: E731
    assert lagging("POST", f"{path}/$ref", {"@odata.id": lagging.link(person)}).status == 204
    coming = watched(lagging, look)
    assert goes_back(coming, False, True)
    assert settled(lagging, look) == {True}
    if relation == "owners":  # the last owner stays
        lagging("POST", f"{path}/$ref", {"@odata.id": lagging.link(lagging.user(2))})
        lagging.clock.at += 10
        look = lambda: person in [each["id"] for each in lagging("GET", path).json["value"]]  # noqa: E731
    assert lagging("DELETE", f"{path}/{person}/$ref").status == 204
    going = watched(lagging, look)
    assert goes_back(going, True, False)
    assert settled(lagging, look) == {False}


def test_writes_go_where_the_truth_is(lagging):
    group, person = lagging.group(), lagging.user(1)
    lagging.clock.at += 10
    reference = {"@odata.id": lagging.link(person)}
    assert lagging("POST", f"/groups/{group}/members/$ref", reference).status == 204
    assert lagging("POST", f"/groups/{group}/members/$ref", reference).status == 400
    assert lagging("DELETE", f"/groups/{group}/members/{person}/$ref").status == 204


def test_the_answer_to_a_write_shows_it(lagging):
    sku = {"addLicenses": [{"skuId": "efccb6f7-5641-4e0e-bd10-b4976e1bf68e"}], "removeLicenses": []}
    path = f"/users/{lagging.user(1)}/assignLicense?$select=assignedLicenses"
    told = {len(lagging("POST", path, sku).json["assignedLicenses"]) for _ in range(20)}
    assert told == {1}


def test_two_changes_are_seen_in_their_order(lagging):
    path = f"/users/{lagging.user(1)}"
    for title in ("Nurse", "Matron"):
        lagging("PATCH", path, {"jobTitle": title})
        lagging.clock.at += 1
    seen = watched(lagging, lambda: lagging("GET", f"{path}?$select=jobTitle").json["jobTitle"])
    assert set(seen) == {None, "Nurse", "Matron"}
    assert seen[-1] == "Matron"


def test_what_is_remembered_of_old_versions_is_forgotten(lagging):
    for number in range(1, 21):
        lagging("PATCH", f"/users/{lagging.user(number)}", {"jobTitle": "Nurse"})
    held = lagging.tenant.state.table("users").objects
    assert sum("_previous" in held[lagging.user(number)] for number in range(1, 21)) == 20
    lagging.clock.at += 10
    lagging("PATCH", f"/users/{lagging.user(21)}", {"jobTitle": "Nurse"})
    assert sum("_previous" in held[lagging.user(number)] for number in range(1, 21)) == 0
