"""The authentication methods policy, temporary access passes, and who is registered for what."""

from __future__ import annotations

from collections import Counter

import pytest

from graphkit.sandbox import Seed, SimulatedTenant
from graphkit.sandbox.seeding.credentials import methods_of, set_methods

POLICY = "/policies/authenticationMethodsPolicy"
METHODS = f"{POLICY}/authenticationMethodConfigurations"
DETAILS = "/reports/authenticationMethods/userRegistrationDetails"
FIDO = "#microsoft.graph.fido2AuthenticationMethodConfiguration"
TAP = "#microsoft.graph.temporaryAccessPassAuthenticationMethodConfiguration"
SMS = "#microsoft.graph.smsAuthenticationMethodConfiguration"
NOBODY = "00000000-0000-0000-0000-00000000dead"
V1 = ["Fido2", "MicrosoftAuthenticator", "Sms", "TemporaryAccessPass", "SoftwareOath", "Voice", "Email",
      "X509Certificate", "QRCodePin"]  # fmt: skip


def group(key):
    return {"id": key, "targetType": "group"}


def campaign(**changes):
    return {"registrationEnforcement": {"authenticationMethodsRegistrationCampaign": changes}}


@pytest.fixture
def passes(graph):
    """Passes are allowed for everybody; the path of the first user's."""
    assert graph("PATCH", f"{METHODS}/TemporaryAccessPass", {"@odata.type": TAP, "state": "enabled"}).status == 204
    return f"/users/{graph.user(1)}/authentication/temporaryAccessPassMethods"


# -- the policy --


def test_the_policy_shows_its_methods(graph):
    """authenticationmethodspolicy-get.md"""
    found = graph("GET", POLICY).json
    assert found["displayName"] == "Authentication Methods Policy"
    assert [each["id"] for each in found["authenticationMethodConfigurations"]] == V1
    beta = graph("GET", POLICY, version="beta").json["authenticationMethodConfigurations"]
    assert [each["id"] for each in beta if each["id"] not in V1] == ["HardwareOath"]


@pytest.mark.parametrize(
    ("key", "status", "beta"), [("Fido2", 200, 200), ("fido2", 200, 200), ("HardwareOath", 404, 200), ("Owl", 404, 404)]
)
def test_a_method_is_found_in_any_case_in_the_version_that_knows_it(graph, key, status, beta):
    assert graph("GET", f"{METHODS}/{key}").status == status
    assert graph("GET", f"{METHODS}/{key}", version="beta").status == beta


def test_a_method_is_enabled_for_a_group_and_brought_back(graph):
    key = graph.group()
    body = {"@odata.type": FIDO, "state": "disabled", "includeTargets": [group(key)], "excludeTargets": []}
    assert graph("PATCH", f"{METHODS}/Fido2", body).status == 204
    found = graph("GET", f"{METHODS}/Fido2").json
    assert found["state"] == "disabled"
    assert found["includeTargets"] == [{**group(key), "isRegistrationRequired": False}]
    assert graph("DELETE", f"{METHODS}/Fido2").status == 204
    assert graph("GET", f"{METHODS}/Fido2").json["includeTargets"][0]["id"] == "all_users"


@pytest.mark.parametrize(
    ("method", "body"),
    [
        ("Fido2", {"@odata.type": SMS, "state": "enabled"}),
        ("Fido2", {"@odata.type": FIDO, "state": "perhaps"}),
        ("Fido2", {"@odata.type": FIDO, "includeTargets": [group(NOBODY)]}),
        ("Fido2", {"@odata.type": FIDO, "includeTargets": [{"id": "all_users", "targetType": "user"}]}),
        ("Fido2", {"@odata.type": FIDO, "excludeTargets": [group("everybody")]}),
        ("Fido2", {"isAttestationEnforced": True}),
        ("Fido2", {"state": "disabled"}),
        ("TemporaryAccessPass", {"@odata.type": TAP, "defaultLength": 7}),
        ("TemporaryAccessPass", {"@odata.type": TAP, "minimumLifetimeInMinutes": 9}),
        ("TemporaryAccessPass", {"@odata.type": TAP, "maximumLifetimeInMinutes": 43_201}),
        ("TemporaryAccessPass", {"@odata.type": TAP, "defaultLifetimeInMinutes": 30}),
    ],
)
def test_a_configuration_that_breaks_a_rule_is_refused(graph, method, body):
    assert graph("PATCH", f"{METHODS}/{method}", body).status == 400


def test_a_registration_campaign_is_changed_by_the_policy(graph):
    """authenticationmethodspolicy-update.md: 200 with the policy"""
    key = graph.group()
    target = {**group(key), "targetedAuthenticationMethod": "microsoftAuthenticator"}
    told = graph("PATCH", POLICY, campaign(state="enabled", snoozeDurationInDays=3, includeTargets=[target]))
    assert told.status == 200
    found = graph("GET", POLICY).json["registrationEnforcement"]["authenticationMethodsRegistrationCampaign"]
    assert (found["state"], found["snoozeDurationInDays"], found["includeTargets"]) == ("enabled", 3, [target])
    assert found["excludeTargets"] == []


@pytest.mark.parametrize(
    "body",
    [
        {"displayName": "Mine"},
        campaign(snoozeDurationInDays=15),
        campaign(includeTargets=[{**group("all_users"), "targetedAuthenticationMethod": "sms"}]),
        campaign(excludeTargets=[group(NOBODY)]),
    ],
)
def test_a_policy_that_breaks_a_rule_is_refused(graph, body):
    assert graph("PATCH", POLICY, body).status == 400


# -- temporary access passes --


def test_a_pass_is_told_once(graph, passes):
    made = graph("POST", passes, {})
    assert made.status == 201
    assert len(made.json["temporaryAccessPass"]) == 8
    assert (made.json["lifetimeInMinutes"], made.json["isUsable"]) == (60, True)
    found = graph("GET", passes).json["value"]
    assert [each["id"] for each in found] == [made.json["id"]]
    assert found[0]["temporaryAccessPass"] is None
    assert made.json["temporaryAccessPass"] not in str(graph.tenant.state.table("temporaryAccessPasses").objects)


def test_a_new_pass_takes_the_place_of_the_old(graph, passes):
    """authentication-post-temporaryaccesspassmethods.md"""
    first, second = (graph("POST", passes, {}).json["id"] for _ in range(2))
    assert graph("GET", f"{passes}/{first}").status == 404
    assert graph("GET", f"{passes}/{second}").status == 200
    assert graph("DELETE", f"{passes}/{second}").status == 204
    assert graph("GET", passes).json["value"] == []


@pytest.mark.parametrize(
    "body",
    [
        {"lifetimeInMinutes": 59},
        {"lifetimeInMinutes": 481},
        {"startDateTime": "2020-01-01T00:00:00Z"},
        {"temporaryAccessPass": "secret"},
    ],
)
def test_a_pass_that_breaks_a_rule_is_refused(graph, passes, body):
    assert graph("POST", passes, body).status == 400


def test_a_pass_is_usable_in_its_time_and_by_leave_of_the_policy(graph, passes):
    body = {"startDateTime": "2026-01-05T10:00:00Z", "lifetimeInMinutes": 120}
    path = f"{passes}/{graph('POST', passes, body).json['id']}"
    reasons = []
    for wait in (0, 3_600, 7_200):
        graph.clock.at += wait
        reasons.append(graph("GET", path).json["methodUsabilityReason"])
    assert reasons == ["NotYetValid", "EnabledByPolicy", "Expired"]
    graph("PATCH", f"{METHODS}/TemporaryAccessPass", {"@odata.type": TAP, "state": "disabled"})
    assert graph("GET", path).json["methodUsabilityReason"] == "DisabledByPolicy"


def test_only_whom_the_policy_names_gets_a_pass(graph):
    """MicrosoftDocs/azure-docs#111778"""
    key = graph.group()
    body = {"@odata.type": TAP, "state": "enabled", "includeTargets": [group(key)]}
    graph("PATCH", f"{METHODS}/TemporaryAccessPass", body)
    path = f"/users/{graph.user(1)}/authentication/temporaryAccessPassMethods"
    refused = graph("POST", path, {})
    assert "AuthMethodType [TemporaryAccessPass]" in refused.message
    graph("POST", f"/groups/{key}/members/$ref", {"@odata.id": graph.link(graph.user(1))})
    assert graph("POST", path, {}).status == 201


def test_a_policy_of_one_use_makes_passes_of_one_use(graph, passes):
    graph("PATCH", f"{METHODS}/TemporaryAccessPass", {"@odata.type": TAP, "isUsableOnce": True})
    assert graph("POST", passes, {"isUsableOnce": False}).status == 400
    assert graph("POST", passes, {}).json["isUsableOnce"] is True


def test_a_users_methods_are_those_of_the_report(graph, passes):
    set_methods(graph.tenant, graph.user(1), "mobilePhone", "fido2")
    graph("POST", passes, {})
    found = graph("GET", f"/users/{graph.user(1)}/authentication/methods").json["value"]
    kinds = [each["@odata.type"].removesuffix("AuthenticationMethod").rpartition(".")[2] for each in found]
    assert kinds == ["password", "phone", "fido2", "temporaryAccessPass"]


# -- registration --


def test_seven_in_ten_are_registered_and_some_by_phone_only(clock):
    tenant = SimulatedTenant(clock, seed=Seed(organisations=1, users=10_000))
    found = Counter(methods_of(tenant.seed.staff.key(position), tenant) for position in range(10_000))
    assert found[()] / 10_000 == pytest.approx(0.30, abs=0.02)
    assert found["mobilePhone",] / 10_000 == pytest.approx(0.12, abs=0.02)


def test_the_report_has_a_row_for_everybody(graph):
    rows = graph("GET", f"{DETAILS}?$top=999").json["value"]
    assert len(rows) == 122
    for row in rows:
        assert row["isMfaRegistered"] == bool(row["methodsRegistered"])
    assert graph("GET", f"{DETAILS}/{rows[0]['id']}").json["userPrincipalName"] == rows[0]["userPrincipalName"]
    assert graph("GET", f"{DETAILS}/{NOBODY}").status == 404


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("isAdmin eq true", ["break-glass-1@contoso.example", "break-glass-2@contoso.example"]),
        (
            "isAdmin eq true and isMfaRegistered eq false",
            ["break-glass-1@contoso.example", "break-glass-2@contoso.example"],
        ),
        ("isAdmin eq true and isMfaRegistered eq true", []),
        ("userPrincipalName eq 'RX1-0003@contoso.example'", ["rx1-0003@contoso.example"]),
        ("methodsRegistered/any(m:m eq 'securityQuestion')", ["rx1-0002@contoso.example"]),
        ("userType eq 'guest'", []),
    ],
)
def test_the_report_answers_filters(graph, question, expected):
    set_methods(graph.tenant, graph.user(2), "securityQuestion")
    found = graph("GET", f"{DETAILS}?$filter={question}").json["value"]
    assert [row["userPrincipalName"] for row in found] == expected


def test_twelve_people_who_have_a_phone_only_can_be_made(graph):
    for number in range(1, 61):
        set_methods(graph.tenant, graph.user(number), *(["mobilePhone"] if number <= 12 else ["fido2"]))
        set_methods(graph.tenant, graph.user(number, 2))
    found = graph("GET", f"{DETAILS}?$filter=methodsRegistered/any(m:m eq 'mobilePhone')").json["value"]
    assert len(found) == 12
    assert {row["userPreferredMethodForSecondaryAuthentication"] for row in found} == {"sms"}


def test_capable_is_who_may_use_what_is_registered(graph):
    set_methods(graph.tenant, graph.user(1), "fido2")
    path = f"{DETAILS}/{graph.user(1)}"
    assert graph("GET", path).json["isPasswordlessCapable"] is True
    graph("PATCH", f"{METHODS}/Fido2", {"@odata.type": FIDO, "state": "disabled"})
    row = graph("GET", path).json
    assert (row["isMfaRegistered"], row["isMfaCapable"], row["isPasswordlessCapable"]) == (True, False, False)


def test_capable_is_told_group_by_group(graph):
    key = graph.group()
    graph("POST", f"/groups/{key}/members/$ref", {"@odata.id": graph.link(graph.user(1))})
    graph("PATCH", f"{METHODS}/Fido2", {"@odata.type": FIDO, "includeTargets": [group(key)]})
    for number in (1, 2):
        set_methods(graph.tenant, graph.user(number), "fido2")
    capable = [graph("GET", f"{DETAILS}/{graph.user(number)}").json["isMfaCapable"] for number in (1, 2)]
    assert capable == [True, False]


def test_the_summaries_count_what_the_rows_say(graph):
    rows = graph("GET", f"{DETAILS}?$top=999").json["value"]
    asked = "(includedUserTypes='all',includedUserRoles='all')"
    methods = graph("GET", f"/reports/authenticationMethods/usersRegisteredByMethod{asked}").json
    counts = {row["authenticationMethod"]: row["userCount"] for row in methods["userRegistrationMethodCounts"]}
    assert counts["password"] == len(rows)
    assert counts["mobilePhone"] == sum("mobilePhone" in row["methodsRegistered"] for row in rows)
    features = graph("GET", f"/reports/authenticationMethods/usersRegisteredByFeature{asked}").json
    capable = {row["feature"]: row["userCount"] for row in features["userRegistrationFeatureCounts"]}
    assert capable["mfaCapable"] == sum(row["isMfaCapable"] for row in rows)
    admins = "(includedUserTypes='member',includedUserRoles='privilegedAdmin')"
    assert graph("GET", f"/reports/authenticationMethods/usersRegisteredByFeature{admins}").json["totalUserCount"] == 2
    assert graph("GET", f"/reports/authenticationMethods/usersRegisteredByMethod{asked[:-6]}x')").status == 400
