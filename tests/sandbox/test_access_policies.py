"""Conditional access: policies, named locations, and what is left of them when they are deleted."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from graphkit.sandbox import Seed, SimulatedTenant
from graphkit.sandbox.schema.check import is_guid

CA = "/identity/conditionalAccess/policies"
LOCATIONS = "/identity/conditionalAccess/namedLocations"
DELETED = "/identity/conditionalAccess/deletedItems"
DEFAULTS = "/policies/identitySecurityDefaultsEnforcementPolicy"
NOBODY = "00000000-0000-0000-0000-00000000dead"
MFA = "00000000-0000-0000-0000-000000000002"
REGISTER = "urn:user:registersecurityinfo"
GUESTS = {"guestOrExternalUserTypes": "b2bCollaborationGuest"}
DATA = Path(__file__).parents[3] / "shared/data"
BASELINE = DATA / "conditional-access-baseline"


def policy(**changes):
    body = {
        "displayName": "Require MFA",
        "state": "enabledForReportingButNotEnforced",
        "conditions": {"users": {"includeUsers": ["All"]}, "applications": {"includeApplications": ["All"]}},
        "grantControls": {"operator": "OR", "builtInControls": ["mfa"]},
    }
    return {name: value for name, value in {**body, **changes}.items() if value != "absent"}


ANY = {"includePlatforms": ["all"]}


def conditions(**changes):
    return {"conditions": {**policy()["conditions"], **changes}}


def test_a_policy_is_made_read_changed_and_deleted(graph):
    made = graph("POST", CA, policy())
    assert made.status == 201
    assert made.json["conditions"]["clientAppTypes"] == ["all"]
    graph.clock.at += 5
    path = f"{CA}/{made.json['id']}"
    assert graph("PATCH", path, {"state": "enabled"}).status == 204
    assert graph("GET", path).json["state"] == "enabled"
    assert graph("DELETE", path).status == 204
    assert graph("GET", CA).json["value"] == []


def test_names_repeat_so_a_repeated_create_makes_a_second_policy(graph):
    assert {graph("POST", CA, policy()).status for _ in range(2)} == {201}
    graph.clock.at += 5
    assert len(graph("GET", CA).json["value"]) == 2


@pytest.mark.parametrize(
    "changes",
    [
        {"displayName": "absent"},
        {"state": "absent"},
        {"state": "perhaps"},
        {"unheardOf": 1},
        {"grantControls": "absent"},
        {"grantControls": {"operator": "XOR", "builtInControls": ["mfa"]}},
        {"grantControls": {"operator": "OR", "builtInControls": ["hope"]}},
        {"grantControls": {"operator": "OR", "builtInControls": ["block", "mfa"]}},
        {"grantControls": {"operator": "OR", "builtInControls": [], "authenticationStrength": {"id": NOBODY}}},
        {"grantControls": {"operator": "OR", "builtInControls": [], "termsOfUse": [NOBODY]}},
        conditions(users={}),
        conditions(applications={}),
        conditions(users={"includeUsers": [NOBODY]}),
        conditions(users={"includeUsers": ["All"], "excludeGroups": [NOBODY]}),
        conditions(applications={"includeApplications": [NOBODY]}),
        conditions(locations={"includeLocations": [NOBODY]}),
        conditions(platforms={"includePlatforms": ["toaster"]}),
        conditions(agents={"includeAgentUsers": ["All"]}),
        conditions(users={"includeUsers": ["All", "GuestsOrExternalUsers"]}),
        conditions(users={"includeUsers": ["All"], "excludeUsers": ["All"]}),
        conditions(users={"includeUsers": ["All"], "includeRoles": ["All"]}),
        conditions(users={"includeUsers": ["GuestsOrExternalUsers"], "includeGuestsOrExternalUsers": GUESTS}),
        conditions(applications={"includeApplications": ["All", "Office365"]}),
        conditions(applications={"includeApplications": ["All"], "excludeApplications": ["All"]}),
        conditions(applications={"includeApplications": ["All"], "includeUserActions": [REGISTER]}),
        conditions(applications={"includeUserActions": ["urn:user:dance"]}),
        conditions(applications={"includeAuthenticationContextClassReferences": ["c1"]}),
        conditions(locations={"includeLocations": []}),
        conditions(platforms={"includePlatforms": [], "excludePlatforms": ["iOS"]}),
        conditions(devices={"deviceFilter": {"mode": "include"}}),
        conditions(clientApplications={"includeServicePrincipals": [NOBODY]}),
        conditions(clientAppTypes=None),
        {"grantControls": {"operator": "OR", "builtInControls": ["mfa"], "authenticationStrength": {"id": MFA}}},
        {"grantControls": {"operator": "OR", "authenticationStrength": {"displayName": "Multifactor authentication"}}},
        {"grantControls": {"operator": "OR", "builtInControls": []}},
        {"sessionControls": {"signInFrequency": {"isEnabled": True, "frequencyInterval": "timeBased"}}},
        {"sessionControls": {"signInFrequency": {"isEnabled": True, "frequencyInterval": "everyTime", "value": 1}}},
        {"createdDateTime": "2026-01-01T00:00:00Z"},
        {"deletedDateTime": None},
    ],
)
def test_a_policy_that_breaks_a_rule_is_refused(graph, changes):
    """conditionalaccessroot-post-policies.md"""
    told = graph("POST", CA, policy(**changes))
    assert (told.status, told.code) == (400, "BadRequest")


@pytest.mark.parametrize(
    ("changes", "number"),
    [
        ({"state": "absent"}, "1007:"),
        ({"grantControls": "absent"}, "1032: ConditionalActionPolicy validation failed due to InvalidControls."),
        (conditions(applications={"includeApplications": ["All"], "includeUserActions": [REGISTER]}), "1012:"),
        (conditions(clientAppTypes=[]), "1064: 'clientAppTypes' condition does not support []."),
        (conditions(locations={"includeLocations": [NOBODY]}), f"1040: NamedLocation with id {NOBODY} does not"),
    ],
)
def test_a_refusal_has_the_words_that_public_reports_show(graph, changes, number):
    assert graph("POST", CA, policy(**changes)).reason.startswith(number)


RISKY = {"userRiskLevels": ["high"], "clientAppTypes": ["all"]}


@pytest.mark.parametrize(
    ("operator", "controls", "more", "status"),
    [
        ("AND", ["mfa", "passwordChange"], RISKY, 201),
        ("OR", ["mfa", "passwordChange"], RISKY, 400),
        ("AND", ["passwordChange"], RISKY, 400),
        ("AND", ["mfa", "passwordChange"], {}, 400),
        ("AND", ["mfa", "passwordChange"], {**RISKY, "clientAppTypes": ["browser"]}, 400),
        ("AND", ["mfa", "passwordChange"], {**RISKY, "signInRiskLevels": ["high"]}, 400),
        ("AND", ["mfa", "passwordChange"], {**RISKY, "applications": {"includeApplications": ["Office365"]}}, 400),
    ],
)
def test_a_password_change_is_for_risky_users_with_mfa_in_all_apps(graph, operator, controls, more, status):
    """conditionalaccessgrantcontrols.md; the words are those of AlexFilipin/ConditionalAccess#4"""
    told = graph(
        "POST",
        CA,
        policy(grantControls={"operator": operator, "builtInControls": controls}, **conditions(**more)),
    )
    assert told.status == status
    assert status == 201 or told.reason.endswith("InvalidPasswordResetControl.")


def test_the_service_fills_in_what_a_policy_leaves_out(graph):
    """The shape of published exports."""
    made = graph("POST", CA, policy(**conditions(users={"includeUsers": ["none"]}, platforms=ANY))).json
    assert (made["deletedDateTime"], made["modifiedDateTime"]) == (None, None)
    assert made["conditions"]["users"] == {
        "includeUsers": ["None"],
        "excludeUsers": [],
        "includeGroups": [],
        "excludeGroups": [],
        "includeRoles": [],
        "excludeRoles": [],
        "includeGuestsOrExternalUsers": None,
        "excludeGuestsOrExternalUsers": None,
    }
    assert made["conditions"]["platforms"] == {"includePlatforms": ["all"], "excludePlatforms": []}
    assert made["grantControls"]["authenticationStrength"] is None
    assert (made["conditions"]["locations"], made["conditions"]["signInRiskLevels"]) == (None, [])


def test_session_controls_are_complete_or_none(graph):
    hourly = {"signInFrequency": {"value": 4, "type": "hours", "isEnabled": True}}
    made = graph("POST", CA, policy(sessionControls=hourly)).json["sessionControls"]
    assert made["signInFrequency"]["frequencyInterval"] == "timeBased"
    assert made["persistentBrowser"] is None
    assert graph("POST", CA, policy(sessionControls={"persistentBrowser": None})).json["sessionControls"] is None
    assert graph("POST", CA, policy(sessionControls=hourly, grantControls="absent")).status == 201


@pytest.mark.parametrize(
    "how",
    [
        {"authenticationStrength": {"id": MFA}},
        {"authenticationStrength@odata.bind": f"https://graph.microsoft.com/v1.0/policies/x/{MFA}"},
        {"authenticationStrength@odata.bind": f"https://graph.microsoft.com/v1.0/policies/x('{MFA}')"},
    ],
)
def test_a_strength_is_named_by_id_and_shown_whole(graph, how):
    made = graph("POST", CA, policy(grantControls={"operator": "OR", "builtInControls": [], **how}))
    assert made.status == 201
    assert made.json["grantControls"]["authenticationStrength"]["displayName"] == "Multifactor authentication"


def test_a_change_keeps_the_conditions_that_it_does_not_name(graph):
    key = graph("POST", CA, policy(**conditions(platforms=ANY))).json["id"]
    graph.clock.at += 5
    assert graph("PATCH", f"{CA}/{key}", {"conditions": {"signInRiskLevels": ["high"]}}).status == 204
    found = graph("GET", f"{CA}/{key}").json
    assert found["conditions"]["platforms"]["includePlatforms"] == ["all"]
    assert found["conditions"]["users"]["includeUsers"] == ["All"]
    assert found["modifiedDateTime"] is not None
    assert graph("PATCH", f"{CA}/{key}", {"id": NOBODY}).status == 400
    assert graph("PATCH", f"{CA}/{NOBODY}", {"state": "disabled"}).status == 404


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ("?$filter=state eq 'disabled'", ["B"]),
        ("?$filter=displayName eq 'C'", ["C"]),
        ("?$orderby=displayName desc", ["C", "B", "A"]),
        ("?$top=2", ["A", "B"]),
        ("?$filter=startswith(displayName,'a')&$select=displayName", ["A"]),
    ],
)
def test_policies_are_listed_as_asked(graph, options, names):
    for name in "ABC":
        graph("POST", CA, policy(displayName=name, state="disabled" if name == "B" else policy()["state"]))
    graph.clock.at += 5
    assert [each["displayName"] for each in graph("GET", CA + options).json["value"]] == names


def test_195_policies_are_the_limit(graph):
    for _ in range(195):
        graph("POST", CA, policy())
    assert "195" in graph("POST", CA, policy()).message


def test_a_new_location_may_not_be_found_yet_by_the_policy_that_names_it(graph):
    """CIPP-API's New-CIPPCAPolicy.ps1 tries again on 1040."""
    graph.tenant.replication.window_s = 2.0
    key = graph("POST", LOCATIONS, location()).json["id"]
    where = conditions(locations={"includeLocations": [key]})
    told = {graph("POST", CA, policy(**where)).status for _ in range(20)}
    graph.clock.at += 5
    assert 400 in told
    assert graph("POST", CA, policy(**where)).status == 201


def test_security_defaults_are_not_enabled_beside_an_enabled_policy(graph):
    key = graph("POST", CA, policy(state="enabled")).json["id"]
    graph.clock.at += 5
    assert graph("PATCH", DEFAULTS, {"isEnabled": True}).status == 400
    assert graph("PATCH", f"{CA}/{key}", {"state": "disabled"}).status == 204
    assert graph("PATCH", DEFAULTS, {"isEnabled": True}).status == 204
    assert graph("GET", DEFAULTS).json["isEnabled"] is True
    assert "Security Defaults" in graph("PATCH", f"{CA}/{key}", {"state": "enabled"}).message


def test_security_defaults_forbid_enabled_policies_only(clock, graph):
    """ "Security Defaults is enabled in the tenant ..." (community); report-only is accepted."""
    tenant = SimulatedTenant(clock, seed=Seed(users=0, organisations=0, security_defaults=True), throttling=False)
    graph.tenant = tenant
    assert graph("POST", CA, policy()).status == 201
    assert "Security Defaults" in graph("POST", CA, policy(state="enabled")).message


def test_beta_knows_agents_and_v1_does_not_show_them(graph):
    made = graph("POST", CA, policy(**conditions(agents={"includeAgentUsers": ["All"]})), version="beta")
    assert made.status == 201
    graph.clock.at += 5
    path = f"{CA}/{made.json['id']}"
    assert "agents" in graph("GET", path, version="beta").json["conditions"]
    assert "agents" not in graph("GET", path).json["conditions"]


def test_a_location_is_made_before_the_policy_that_names_it(graph):
    network = {"@odata.type": "#microsoft.graph.iPv4CidrRange", "cidrAddress": "203.0.113.0/24"}
    kind = "#microsoft.graph.ipNamedLocation"
    location = {"@odata.type": kind, "displayName": "Office", "isTrusted": True, "ipRanges": [network]}
    made = graph("POST", LOCATIONS, location)
    assert made.status == 201
    graph.clock.at += 5
    key = made.json["id"]
    for kind, found in (("ip", 1), ("country", 0)):
        told = graph("GET", f"{LOCATIONS}?$filter=isof('microsoft.graph.{kind}NamedLocation')")
        assert len(told.json["value"]) == found
    where = {"includeLocations": ["All"], "excludeLocations": [key]}
    assert graph("POST", CA, policy(**conditions(locations=where))).status == 201
    assert "Set isTrusted to false" in graph("DELETE", f"{LOCATIONS}/{key}").message
    assert (
        graph("PATCH", f"{LOCATIONS}/{key}", {"@odata.type": location["@odata.type"], "isTrusted": False}).status == 204
    )
    assert "is used by" in graph("DELETE", f"{LOCATIONS}/{key}").message


def network(address, kind="iPv4CidrRange"):
    return {"@odata.type": f"#microsoft.graph.{kind}", "cidrAddress": address}


def location(*ranges, **changes):
    kind = {"@odata.type": "#microsoft.graph.ipNamedLocation", "displayName": "Office"}
    return {**kind, "ipRanges": list(ranges) or [network("203.0.113.0/24")], **changes}


@pytest.mark.parametrize(
    "body",
    [
        {"displayName": "untyped"},
        location(ipRanges=[]),
        location(displayName=""),
        location(network("203.0.113.0")),
        location(network("203.0.113.0/33")),
        location(network("10.0.0.0/8")),
        location(network("somewhere/24")),
        location(network("2001:db8::/48")),
        location(network("203.0.113.0/24", "iPv6CidrRange")),
        location({"cidrAddress": "203.0.113.0/24"}),
        location(*[network(f"203.0.{n // 256}.{n % 256}/32") for n in range(2001)]),
        {"@odata.type": "#microsoft.graph.countryNamedLocation", "displayName": "x", "countriesAndRegions": ["gb"]},
        {"@odata.type": "#microsoft.graph.countryNamedLocation", "displayName": "x", "countriesAndRegions": []},
        {"@odata.type": "#microsoft.graph.compliantNetworkNamedLocation", "displayName": "beta only"},
    ],
)
def test_a_location_that_breaks_a_rule_is_refused(graph, body):
    """concept-assignment-network.md: 2,000 ranges, only masks greater than /8"""
    assert graph("POST", LOCATIONS, body).status == 400


@pytest.mark.parametrize(
    "found",
    [network("203.0.113.5/32"), network("2001:db8::/48", "iPv6CidrRange"), network("198.51.0.0/9")],
)
def test_both_families_of_addresses_make_a_location(graph, found):
    made = graph("POST", LOCATIONS, location(found))
    assert (made.status, made.json["isTrusted"], made.json["ipRanges"]) == (201, False, [found])


def test_a_location_keeps_its_type(graph):
    key = graph("POST", LOCATIONS, location()).json["id"]
    graph.clock.at += 5
    other = {"@odata.type": "#microsoft.graph.countryNamedLocation", "countriesAndRegions": ["GB"]}
    assert "type" in graph("PATCH", f"{LOCATIONS}/{key}", other).message
    own = {"@odata.type": "#microsoft.graph.ipNamedLocation"}
    assert "must be given" in graph("PATCH", f"{LOCATIONS}/{key}", {"displayName": "Moved"}).message
    assert graph("PATCH", f"{LOCATIONS}/{key}", {**own, "ipRanges": []}).status == 400
    assert graph("PATCH", f"{LOCATIONS}/{key}", {**own, "displayName": "Moved"}).status == 204
    assert graph("GET", f"{LOCATIONS}/{key}").json["displayName"] == "Moved"


def test_195_locations_are_the_limit(graph):
    for _ in range(195):
        graph("POST", LOCATIONS, location())
    assert "195" in graph("POST", LOCATIONS, location()).message


def test_an_absent_location_is_told_as_the_service_tells_it(graph):
    """DanielChronlund/DCToolbox#5"""
    told = graph("GET", f"{LOCATIONS}/{NOBODY}")
    assert (told.status, told.code) == (404, "ResourceNotFound")
    assert told.message == f"NamedLocation with id {NOBODY} does not exist in the directory."


# -- what was deleted --


@pytest.mark.parametrize(
    ("live", "kind", "body"), [(CA, "policies", policy()), (LOCATIONS, "namedLocations", location())]
)
def test_what_was_deleted_can_be_restored_for_30_days(graph, live, kind, body):
    key = graph("POST", live, body).json["id"]
    graph.clock.at += 5
    graph("DELETE", f"{live}/{key}")
    gone = f"{DELETED}/{kind}"
    assert graph("GET", f"{live}/{key}").status == 404
    assert [each["id"] for each in graph("GET", gone).json["value"]] == [key]
    assert graph("GET", f"{gone}/{key}").json["deletedDateTime"] is not None
    restored = graph("POST", f"{gone}/{key}/restore")
    assert (restored.status, restored.json["deletedDateTime"]) == (200, None)
    graph.clock.at += 5
    assert graph("GET", f"{live}/{key}").status == 200
    assert graph("GET", gone).json["value"] == []
    graph("DELETE", f"{live}/{key}")
    graph.clock.at += 30 * 86_400
    assert graph("POST", f"{gone}/{key}/restore").status == 404
    assert graph("GET", gone).json["value"] == []


def test_what_was_deleted_for_good_is_gone(graph):
    key = graph("POST", CA, policy()).json["id"]
    graph.clock.at += 5
    graph("DELETE", f"{CA}/{key}")
    assert graph("DELETE", f"{DELETED}/policies/{key}").status == 204
    assert graph("GET", f"{DELETED}/policies/{key}").status == 404


def test_a_policy_is_not_restored_without_what_it_refers_to(graph):
    place = graph("POST", LOCATIONS, location()).json["id"]
    graph.clock.at += 5
    key = graph("POST", CA, policy(**conditions(locations={"includeLocations": [place]}))).json["id"]
    graph.clock.at += 5
    graph("DELETE", f"{CA}/{key}")
    graph("DELETE", f"{LOCATIONS}/{place}")
    assert graph("POST", f"{DELETED}/policies/{key}/restore").status == 400
    graph("POST", f"{DELETED}/namedLocations/{place}/restore")
    graph.clock.at += 5
    assert graph("POST", f"{DELETED}/policies/{key}/restore").status == 200


# -- published sets --


def decoded(path: Path):
    raw = path.read_bytes()
    return json.loads(raw.decode("utf-16" if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"))


def without_annotations(value):
    if isinstance(value, list):
        return [without_annotations(item) for item in value]
    if not isinstance(value, dict):
        return value
    kept = {n: v for n, v in value.items() if v is not None and "#" not in n and ("@" not in n or n == "@odata.type")}
    return {name: without_annotations(inner) for name, inner in kept.items()}


def bound(graph, found, groups, locations):
    left_out = {"id", "templateId", "createdDateTime", "modifiedDateTime"}
    body = {name: value for name, value in without_annotations(found).items() if name not in left_out}
    users = body["conditions"].get("users", {})
    for side in ("includeGroups", "excludeGroups"):
        for key in set(users.get(side, [])) - groups.keys():
            groups[key] = graph.group(f"g{len(groups)}")
        users[side] = [groups[key] for key in users.get(side, [])]
    where = body["conditions"].get("locations", {})
    for side in where.keys() & {"includeLocations", "excludeLocations"}:
        where[side] = [locations.get(key, key) for key in where[side]]
    strength = (body.get("grantControls") or {}).get("authenticationStrength")
    if strength:
        body["grantControls"]["authenticationStrength"] = {"id": strength["id"]}
    return {**body, "state": "enabledForReportingButNotEnforced"}


@pytest.mark.skipif(not BASELINE.exists(), reason="the published baseline is not on this machine")
def test_the_published_baseline_of_36_policies_is_accepted_once_bound(graph):
    locations: dict[str, str] = {}
    for path in (BASELINE / "NamedLocations").glob("*.json"):
        found = decoded(path)
        body = {n: v for n, v in without_annotations(found).items() if not n.endswith("DateTime") and n != "id"}
        locations[found["id"]] = graph("POST", LOCATIONS, body, version="beta").json["id"]
    graph.clock.at += 5
    groups: dict[str, str] = {}
    told = [
        graph("POST", CA, bound(graph, decoded(path), groups, locations), version="beta")
        for path in sorted((BASELINE / "ConditionalAccess").glob("*.json"))
    ]
    assert [t.json for t in told if t.status != 201] == []
    assert len(told) == 36


EXCHANGE = "00000002-0000-0ff1-ce00-000000000000"


def templated(graph, found):
    """A published template without its slips: ``<Placeholders>`` become a group, its terms of use an agreement."""
    text = re.sub(r"<\w+>", graph.tenant.seed.id_of("group", "Break glass"), json.dumps(found))
    body = {n[0].lower() + n[1:]: value for n, value in json.loads(text).items() if not n.endswith("DateTime")}
    conditions = body["conditions"]
    conditions["locations"] = conditions.get("locations") or None
    conditions["clientAppTypes"] = [each.replace("All", "all") for each in conditions["clientAppTypes"]]
    for side in ("includeApplications", "excludeApplications"):
        named = conditions["applications"].get(side) or []
        conditions["applications"][side] = [EXCHANGE if is_guid(each) else each for each in named]
    grant = body.get("grantControls")
    if grant and grant.get("termsOfUse"):
        made = graph("POST", "/identityGovernance/termsOfUse/agreements", {"displayName": "Terms"})
        grant["termsOfUse"] = [made.json["id"]]
    if grant and grant.get("authenticationStrength"):
        grant["authenticationStrength"] = {"id": grant["authenticationStrength"]["id"]}
    where = conditions.get("locations") or {}
    for side in where:
        where[side] = [graph.place if is_guid(each) else each for each in where[side]]
    return {**body, "state": "disabled"}


@pytest.mark.skipif(not DATA.exists(), reason="the published templates are not on this machine")
def test_the_59_published_templates_are_accepted_once_bound(graph):
    graph.place = graph("POST", LOCATIONS, location()).json["id"]
    graph.clock.at += 5
    files = sorted((DATA / "conditional-access-templates").rglob("*.json"))
    told = {path.name: graph("POST", CA, templated(graph, decoded(path)), version="beta") for path in files}
    assert {name: each.json for name, each in told.items() if each.status != 201} == {}
    assert len(told) == 59
