"""Authentication strengths and contexts, templates and terms of use: what conditional access policies refer to."""

from __future__ import annotations

import pytest

STRENGTHS = "/policies/authenticationStrengthPolicies"
ROOT = "/identity/conditionalAccess/authenticationStrength/policies"
CONTEXTS = "/identity/conditionalAccess/authenticationContextClassReferences"
TEMPLATES = "/identity/conditionalAccess/templates"
TERMS = "/identityGovernance/termsOfUse/agreements"
POLICIES = "/identity/conditionalAccess/policies"
RESISTANT = "00000000-0000-0000-0000-000000000004"
KEYS = "#microsoft.graph.fido2CombinationConfiguration"
AAGUID = "486c3b50-889c-480a-abc5-c04ef7c873e0"


@pytest.fixture
def strength(graph):
    """``strength("fido2", ...)`` is the path of a new custom strength."""

    def make(*combinations, name="Ward"):
        made = graph("POST", STRENGTHS, {"displayName": name, "allowedCombinations": list(combinations)})
        assert made.status == 201, made.json
        graph.clock.at += 5
        return f"{STRENGTHS}/{made.json['id']}"

    return make


@pytest.fixture
def policy(graph):
    """``policy(grantControls=...)`` is the id of a new policy for everyone in all apps."""

    def make(applications=None, **more):
        body = {
            "displayName": "P",
            "state": "disabled",
            "conditions": {
                "users": {"includeUsers": ["All"]},
                "applications": applications or {"includeApplications": ["All"]},
            },
            "grantControls": {"operator": "OR", "builtInControls": ["mfa"]},
            **more,
        }
        made = graph("POST", POLICIES, body)
        assert made.status == 201, made.json
        graph.clock.at += 5
        return made.json["id"]

    return make


def by_strength(path):
    return {"operator": "OR", "builtInControls": [], "authenticationStrength": {"id": path.rpartition("/")[2]}}


def test_three_strengths_are_built_in_and_cannot_be_touched(graph):
    found = graph("GET", STRENGTHS).json["value"]
    assert [each["displayName"] for each in found] == [
        "Multifactor authentication",
        "Passwordless MFA",
        "Phishing-resistant MFA",
    ]
    assert graph("GET", ROOT).json["value"] == found
    for method, path, body in (
        ("PATCH", f"{STRENGTHS}/{RESISTANT}", {"displayName": "Mine"}),
        ("DELETE", f"{STRENGTHS}/{RESISTANT}", None),
        ("POST", f"{STRENGTHS}/{RESISTANT}/updateAllowedCombinations", {"allowedCombinations": ["fido2"]}),
    ):
        assert "built-in" in graph(method, path, body).message


def test_a_custom_strength_is_made_renamed_and_deleted(graph, strength):
    path = strength("password, sms", "fido2")
    found = graph("GET", path).json
    assert found["allowedCombinations"] == ["password,sms", "fido2"]
    assert (found["policyType"], found["requirementsSatisfied"]) == ("custom", "mfa")
    assert graph("PATCH", path, {"displayName": "Clinic"}).status == 204
    assert graph("GET", path).json["displayName"] == "Clinic"
    assert graph("DELETE", path).status == 204
    assert graph("GET", path).status == 404


@pytest.mark.parametrize(
    "body",
    [
        {"allowedCombinations": ["fido2"]},
        {"displayName": "x"},
        {"displayName": "x", "allowedCombinations": []},
        {"displayName": "x", "allowedCombinations": ["fido2,sms"]},
        {"displayName": "x", "allowedCombinations": ["magic"]},
        {"displayName": "x", "allowedCombinations": ["fido2"], "policyType": "builtIn"},
    ],
)
def test_a_strength_that_breaks_a_rule_is_refused(graph, body):
    assert graph("POST", STRENGTHS, body).status == 400


def test_combinations_change_by_their_own_action_only(graph, strength):
    path = strength("fido2", "password,voice")
    assert "updateAllowedCombinations" in graph("PATCH", path, {"allowedCombinations": ["fido2"]}).message
    told = graph("POST", f"{path}/updateAllowedCombinations", {"allowedCombinations": ["password, sms"]})
    assert told.status == 200
    assert told.json["previousCombinations"] == ["fido2", "password,voice"]
    assert told.json["currentCombinations"] == ["password,sms"]
    assert graph("GET", path).json["allowedCombinations"] == ["password,sms"]


def test_a_strength_in_use_is_neither_deleted_nor_weakened(graph, strength, policy):
    path = strength("fido2")
    key = policy(grantControls=by_strength(path))
    assert graph("GET", f"{path}/usage").json["mfa"] == [{"id": key, "displayName": "P"}]
    assert graph("DELETE", path).status == 400
    assert graph("POST", f"{path}/updateAllowedCombinations", {"allowedCombinations": ["password"]}).status == 400
    told = graph("POST", f"{path}/updateAllowedCombinations", {"allowedCombinations": ["windowsHelloForBusiness"]})
    assert told.json["conditionalAccessReferences"] == [key]
    shown = graph("GET", f"{POLICIES}/{key}").json["grantControls"]["authenticationStrength"]
    assert shown["allowedCombinations"] == ["windowsHelloForBusiness"]
    assert graph("DELETE", f"{POLICIES}/{key}").status == 204
    assert graph("DELETE", path).status == 204


def test_15_custom_strengths_are_the_limit(graph, strength):
    for number in range(15):
        strength("fido2", name=f"S{number}")
    assert "15" in graph("POST", STRENGTHS, {"displayName": "x", "allowedCombinations": ["fido2"]}).message


def test_which_keys_will_do_is_said_once_for_a_combination(graph, strength):
    """authenticationstrengthpolicy-post-combinationconfigurations.md"""
    key = strength("fido2").rpartition("/")[2]
    path = f"{ROOT}/{key}/combinationConfigurations"
    body = {"@odata.type": KEYS, "allowedAAGUIDs": [AAGUID], "appliesToCombinations": ["fido2"]}
    made = graph("POST", path, body)
    assert (made.status, made.json["allowedAAGUIDs"]) == (201, [AAGUID])
    assert graph("POST", path, body).status == 400
    assert graph("PATCH", f"{path}/{made.json['id']}", {"allowedAAGUIDs": ["none"]}).status == 400
    assert graph("PATCH", f"{path}/{made.json['id']}", {"allowedAAGUIDs": []}).status == 204
    assert graph("GET", path).json["value"][0]["allowedAAGUIDs"] == []
    assert graph("DELETE", f"{path}/{made.json['id']}").status == 204
    assert graph("GET", path).json["value"] == []
    for wrong in ({**body, "appliesToCombinations": ["sms"]}, {**body, "appliesToCombinations": []}):
        assert graph("POST", path, wrong).status == 400
    assert graph("POST", f"{ROOT}/{RESISTANT}/combinationConfigurations", body).status == 400


# -- authentication contexts --


def test_a_change_makes_a_context_that_is_not_there(graph):
    """authenticationcontextclassreference-update.md"""
    assert graph("PATCH", f"{CONTEXTS}/c1", {}).status == 204
    assert graph("PATCH", f"{CONTEXTS}/c99", {"displayName": "Vault", "isAvailable": True}).status == 204
    found = graph("GET", CONTEXTS).json["value"]
    assert found == [
        {"id": "c1", "displayName": None, "description": None, "isAvailable": False},
        {"id": "c99", "displayName": "Vault", "description": None, "isAvailable": True},
    ]
    assert [each["id"] for each in graph("GET", f"{CONTEXTS}?$filter=isAvailable eq true").json["value"]] == ["c99"]


@pytest.mark.parametrize("key", ["c0", "c100", "c01", "x1"])
def test_contexts_are_called_c1_to_c99(graph, key):
    assert graph("PATCH", f"{CONTEXTS}/{key}", {"displayName": "x"}).status == 400


def test_a_context_is_withdrawn_and_unused_before_it_is_deleted(graph, policy):
    graph("PATCH", f"{CONTEXTS}/c1", {"isAvailable": True})
    key = policy(applications={"includeAuthenticationContextClassReferences": ["c1"]})
    assert graph("DELETE", f"{CONTEXTS}/c1").status == 403
    graph("PATCH", f"{CONTEXTS}/c1", {"isAvailable": False})
    assert graph("DELETE", f"{CONTEXTS}/c1").status == 400
    graph("DELETE", f"{POLICIES}/{key}")
    assert graph("DELETE", f"{CONTEXTS}/c1").status == 204
    assert graph("GET", f"{CONTEXTS}/c1").status == 404


# -- templates and terms of use --


def test_a_template_can_be_made_into_a_policy(graph, policy):
    found = graph("GET", f"{TEMPLATES}?$filter=scenarios has 'protectAdmins'").json["value"]
    assert [each["name"] for each in found] == [
        "Require multifactor authentication for admins",
        "Block legacy authentication",
    ]
    template = graph("GET", f"{TEMPLATES}/{found[0]['id']}").json
    conditions = template["details"]["conditions"]
    conditions["users"]["excludeUsers"] = [graph.user(1)]
    made = {**template["details"], "conditions": conditions, "templateId": template["id"]}
    assert graph("GET", f"{POLICIES}/{policy(**made)}").json["templateId"] == template["id"]


def test_templates_beyond_the_four_are_not_modelled(graph):
    assert graph("GET", f"{TEMPLATES}/{AAGUID}").status == 501


def test_terms_in_use_are_not_deleted(graph, policy):
    made = graph("POST", TERMS, {"displayName": "House rules"}).json
    key = policy(grantControls={"operator": "OR", "builtInControls": [], "termsOfUse": [made["id"]]})
    assert graph("PATCH", f"{TERMS}/{made['id']}", {"displayName": "Rules"}).json["displayName"] == "Rules"
    assert graph("DELETE", f"{TERMS}/{made['id']}").status == 400
    graph("DELETE", f"{POLICIES}/{key}")
    assert graph("DELETE", f"{TERMS}/{made['id']}").status == 204
    assert graph("GET", TERMS).json["value"] == []
