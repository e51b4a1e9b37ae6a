"""What holds for every collection of Intune policies, and what some have of their own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

MANAGEMENT = "/deviceManagement"
APPS = "/deviceAppManagement"
CONFIGURATIONS = f"{MANAGEMENT}/deviceConfigurations"
CATALOGUE = f"{MANAGEMENT}/configurationPolicies"
FILTERS = f"{MANAGEMENT}/assignmentFilters"
PUBLISHED = Path(__file__).parents[3] / "shared/data/windows10-intune"
NOBODY = "00000000-0000-0000-0000-00000000dead"
EVERY_DEVICE = {"@odata.type": "#microsoft.graph.allDevicesAssignmentTarget"}
EVERYBODY = {"@odata.type": "#microsoft.graph.allLicensedUsersAssignmentTarget"}


def typed(name, **properties):
    return {"@odata.type": f"#microsoft.graph.{name}", "displayName": "One", **properties}


BLOCK = [{"ruleName": None, "scheduledActionConfigurations": [{"actionType": "block"}]}]
SETTING = {
    "@odata.type": "#microsoft.graph.deviceManagementConfigurationSetting",
    "settingInstance": {
        "@odata.type": "#microsoft.graph.deviceManagementConfigurationChoiceSettingInstance",
        "settingDefinitionId": "device_vendor_msft_bitlocker_requiredeviceencryption",
        "choiceSettingValue": {
            "@odata.type": "#microsoft.graph.deviceManagementConfigurationChoiceSettingValue",
            "value": "device_vendor_msft_bitlocker_requiredeviceencryption_1",
            "children": [],
        },
    },
}
CATALOGUED = {"name": "One", "platforms": "windows10", "technologies": "mdm", "settings": [SETTING]}
EXPEDITED = {"qualityUpdateRelease": "2025-10-14T00:00:00Z", "daysUntilForcedReboot": 1}
BODIES = {
    f"{MANAGEMENT}/deviceCompliancePolicies": typed("windows10CompliancePolicy", scheduledActionsForRule=BLOCK),
    CONFIGURATIONS: typed("windowsUpdateForBusinessConfiguration"),
    CATALOGUE: CATALOGUED,
    f"{MANAGEMENT}/groupPolicyConfigurations": {"displayName": "One"},
    f"{MANAGEMENT}/windowsFeatureUpdateProfiles": {
        "displayName": "One",
        "featureUpdateVersion": "Windows 11, version 24H2",
    },
    f"{MANAGEMENT}/windowsQualityUpdateProfiles": {"displayName": "One", "expeditedUpdateSettings": EXPEDITED},
    f"{MANAGEMENT}/windowsQualityUpdatePolicies": {"displayName": "One", "hotpatchEnabled": True},
    f"{MANAGEMENT}/windowsDriverUpdateProfiles": {"displayName": "One", "approvalType": "manual"},
    f"{APPS}/iosManagedAppProtections": {"displayName": "One", "minimumPinLength": 4},
    f"{APPS}/androidManagedAppProtections": {"displayName": "One"},
    f"{APPS}/windowsManagedAppProtections": {"displayName": "One"},
    f"{APPS}/windowsInformationProtectionPolicies": {"displayName": "One"},
    f"{APPS}/mdmWindowsInformationProtectionPolicies": {"displayName": "One"},
}
SILENT = ("windowsFeature", "windowsQuality", "windowsDriver", "ManagedApp", "InformationProtection")


@pytest.fixture
def make(graph):
    """``make(path, **changes)`` creates a policy in beta and gives it back, once every replica shows it."""

    def create(path, view="beta", **changes):
        told = graph("POST", path, {**BODIES.get(path, {}), **changes}, view)
        assert told.status == 201, told.json
        graph.clock.at += 5
        return told.json

    return create


def group_target(key, kind="groupAssignmentTarget"):
    return {"@odata.type": f"#microsoft.graph.{kind}", "groupId": key}


def assigned(*targets):
    return {"assignments": [{"target": target} for target in targets]}


def without_filter(target):
    return {name: value for name, value in target.items() if "Filter" not in name}


@pytest.mark.parametrize("path", BODIES)
def test_a_policy_is_made_listed_changed_and_deleted(graph, make, path):
    made = make(path)
    assert [p["id"] for p in graph("GET", path, version="beta").json["value"]] == [made["id"]]
    one = f"{path}/{made['id']}"
    type_name = {n: v for n, v in made.items() if n == "@odata.type"}
    changed = graph("PATCH", one, {**type_name, "description": "changed"}, "beta")
    assert (changed.status, changed.json["description"]) == (200, "changed")
    assert changed.json.get("version") != made.get("version") or "version" not in made
    assert graph("DELETE", one, version="beta").status == 204
    assert graph("GET", one, version="beta").code == "ResourceNotFound"


@pytest.mark.parametrize("path", BODIES)
def test_assign_replaces_the_whole_set(graph, make, path):
    """microsoft/Intune-PowerShell-SDK#70; which of them answer is told by their pages."""
    one = f"{path}/{make(path)['id']}"
    graph("POST", f"{one}/assign", assigned(EVERYBODY), "beta")
    group = graph.group("Pilot")
    told = graph(
        "POST", f"{one}/assign", assigned(group_target(group), group_target(NOBODY, "exclusionGroupAssignmentTarget")),
        "beta",
    )  # fmt: skip
    assert told.status == (204 if any(word in path for word in SILENT) else 200)
    listed = graph("GET", f"{one}/assignments", version="beta").json["value"]
    assert [a["id"] for a in listed] == [f"{one.rpartition('/')[2]}_{key}" for key in (group, NOBODY)]
    assert graph("GET", one + "?$expand=assignments", version="beta").json["assignments"] == listed
    assert "assignments" not in graph("GET", one, version="beta").json
    if told.status == 200:
        assert told.json["value"] == listed


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"displayName": None, "name": None}, None),
        ({"displayName": "", "name": ""}, None),
        ({"unheardOf": 1}, "ModelValidationFailure"),
        ({"roleScopeTagIds": ["77"]}, "BadRequest"),
    ],
)
def test_what_breaks_a_rule_is_not_created(graph, path, change, code):
    body = {**BODIES[path], **{n: v for n, v in change.items() if n in ("unheardOf", "roleScopeTagIds", *BODIES[path])}}
    told = graph("POST", path, body, "beta")
    assert told.status == 400
    assert code in (None, told.code)
    assert graph("GET", path, version="beta").json["value"] == []


def test_names_repeat_so_a_repeated_create_makes_a_second_policy(graph, make):
    assert make(CONFIGURATIONS)["id"] != make(CONFIGURATIONS)["id"]


def test_what_only_the_service_sets_is_passed_over(graph, make):
    """microsoftgraph/microsoft-graph-docs#4003: such bodies are accepted, only a true supportsScopeTags is not."""
    noise = {"id": NOBODY, "createdDateTime": "2019-02-18T12:54:49Z", "lastModifiedDateTime": "2019-02-18T12:54:49Z",
             "version": 7, "supportsScopeTags": False, "@odata.context": "x"}  # fmt: skip
    made = make(CONFIGURATIONS, **noise)
    assert (made["version"], made["supportsScopeTags"], made["roleScopeTagIds"]) == (1, True, ["0"])
    assert made["id"] != NOBODY
    assert made["createdDateTime"] > "2025"
    assert graph("POST", CONFIGURATIONS, {**BODIES[CONFIGURATIONS], "supportsScopeTags": True}, "beta").status == 400


@pytest.mark.parametrize("path", [CONFIGURATIONS, f"{MANAGEMENT}/deviceCompliancePolicies"])
def test_a_body_must_say_its_type_at_creation_and_at_every_change(graph, make, path):
    """microsoftgraph/microsoft-graph-docs#5517"""
    body = {name: value for name, value in BODIES[path].items() if name != "@odata.type"}
    one = f"{path}/{make(path)['id']}"
    for method, where, sent in (("POST", path, body), ("PATCH", one, {"description": "x"})):
        told = graph(method, where, sent)
        assert (told.status, told.code, told.message) == (
            400,
            "ModelValidationFailure",
            "Cannot create an abstract class.",
        )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({}, "at least 1 property must be changed"),
        ({"id": NOBODY}, "at least 1 property must be changed"),
        ({"assignments": []}, "Cannot apply PATCH to navigation property 'assignments'"),
        ({"roleScopeTagIds": []}, "An error has occurred"),
        ({"displayName": ""}, "must have a value"),
    ],
)
def test_a_change_that_breaks_a_rule_is_refused(graph, make, change, words):
    made = make(CONFIGURATIONS)
    told = graph("PATCH", f"{CONFIGURATIONS}/{made['id']}", {"@odata.type": made["@odata.type"], **change}, "beta")
    assert told.status == 400
    assert words in told.message


def test_the_platform_of_a_policy_stays(graph, make):
    one = f"{CONFIGURATIONS}/{make(CONFIGURATIONS)['id']}"
    told = graph("PATCH", one, typed("windows10GeneralConfiguration"))
    assert "cannot be changed once created" in json.loads(told.message)["Message"]


@pytest.mark.parametrize(
    "target",
    [
        {},
        {"@odata.type": "#microsoft.graph.groupAssignmentTarget"},
        group_target("Pilot"),
        {"@odata.type": "#microsoft.graph.deviceAndAppManagementAssignmentTarget"},
        {"@odata.type": "#microsoft.graph.configurationManagerCollectionAssignmentTarget", "collectionId": NOBODY},
        {"@odata.type": "#microsoft.graph.everybodyAssignmentTarget"},
    ],
)
def test_a_target_that_is_none_leaves_the_old_set(graph, make, target):
    one = f"{CONFIGURATIONS}/{make(CONFIGURATIONS)['id']}"
    graph("POST", f"{one}/assign", assigned(EVERY_DEVICE))
    assert graph("POST", f"{one}/assign", assigned(EVERYBODY, target)).status == 400
    assert [a["target"] for a in graph("GET", f"{one}/assignments").json["value"]] == [EVERY_DEVICE]


def test_of_two_entries_for_one_target_the_later_is_ignored(graph, make):
    """MG-Cloudflow/Intune-Toolkit#57"""
    one = f"{CONFIGURATIONS}/{make(CONFIGURATIONS)['id']}"
    told = graph(
        "POST", f"{one}/assign", assigned(group_target(NOBODY), group_target(NOBODY, "exclusionGroupAssignmentTarget"))
    )
    assert [a["target"] for a in told.json["value"]] == [group_target(NOBODY)]


RULE = '(device.deviceName -startsWith "RX1 and ") or (device.manufacturer -in ["HP", "LENOVO"])'


def a_filter(**changes):
    return {"displayName": "RX1", "platform": "windows10AndLater", "rule": RULE, **changes}


def test_an_assignment_may_have_a_filter_in_beta_that_v1_does_not_show(graph, make):
    key = make(FILTERS, **a_filter())["id"]
    one = f"{CONFIGURATIONS}/{make(CONFIGURATIONS)['id']}"
    filtered = {**EVERY_DEVICE, "deviceAndAppManagementAssignmentFilterId": key,
                "deviceAndAppManagementAssignmentFilterType": "include"}  # fmt: skip
    assert graph("POST", f"{one}/assign", assigned(filtered)).status == 400, "v1.0 knows no filters"
    assert graph("POST", f"{one}/assign", assigned(filtered), "beta").json["value"][0]["target"] == filtered
    assert graph("GET", f"{one}/assignments").json["value"][0]["target"] == EVERY_DEVICE
    unknown = {**filtered, "deviceAndAppManagementAssignmentFilterId": NOBODY}
    assert NOBODY in graph("POST", f"{one}/assign", assigned(unknown), "beta").message
    assert graph("DELETE", f"{FILTERS}/{key}", version="beta").status == 400, "it is in use"
    graph("POST", f"{one}/assign", assigned(EVERY_DEVICE), "beta")
    assert graph("DELETE", f"{FILTERS}/{key}", version="beta").status == 204


@pytest.mark.parametrize(
    "change",
    [{"rule": "everything"}, {"rule": '(device.deviceName -startsWith "RX1"'}, {"rule": None}, {"platform": "toaster"}],
)
def test_a_filter_that_is_none_is_refused(graph, change):
    assert graph("POST", FILTERS, a_filter(**change), "beta").status == 400


def test_beta_collections_are_not_in_v1(graph):
    told = graph("GET", CATALOGUE)
    assert (told.status, told.message) == (400, "Resource not found for the segment 'configurationPolicies'.")


# -- update rings -------------------------------------------------------------------------------------------------


def test_a_pause_begins_today_and_ends_after_35_days(graph, make):
    """The client's own dates are lost; so is the pause when the flag goes."""
    ring = make(CONFIGURATIONS, qualityUpdatesPauseExpiryDateTime="2030-01-01T00:00:00Z")
    assert ring["qualityUpdatesPauseExpiryDateTime"] == "0001-01-01T00:00:00Z"
    one, kind = f"{CONFIGURATIONS}/{ring['id']}", {"@odata.type": ring["@odata.type"]}
    paused = graph("PATCH", one, {**kind, "qualityUpdatesPaused": True}).json
    assert paused["qualityUpdatesPauseStartDate"] == "2026-01-05"
    assert paused["qualityUpdatesPauseExpiryDateTime"][:10] == "2026-02-09"
    assert paused["featureUpdatesPauseStartDate"] is None
    graph.clock.at += 3 * 86400
    again = graph("PATCH", one, {**kind, "qualityUpdatesPaused": True, "description": "still"}).json
    assert again["qualityUpdatesPauseStartDate"] == "2026-01-05"
    assert graph("PATCH", one, {**kind, "qualityUpdatesPaused": False}).json["qualityUpdatesPauseStartDate"] is None


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"qualityUpdatesDeferralPeriodInDays": 30}, 201),
        ({"qualityUpdatesDeferralPeriodInDays": 31}, 400),
        ({"featureUpdatesDeferralPeriodInDays": 365}, 201),
        ({"deadlineGracePeriodInDays": 8}, 400),
        ({"scheduleRestartWarningInHours": 3}, 400),
        ({"automaticUpdateMode": "whenever"}, 400),
        ({"qualityUpdatesWillBeRolledBack": True}, 501),
    ],
)
def test_a_ring_keeps_to_its_ranges(graph, change, status):
    assert graph("POST", CONFIGURATIONS, typed("windowsUpdateForBusinessConfiguration", **change)).status == status


# -- custom configurations ----------------------------------------------------------------------------------------


def test_secret_values_come_back_masked_and_survive_being_sent_back(graph, make):
    text = {"@odata.type": "#microsoft.graph.omaSettingString", "displayName": "Key", "omaUri": "./X", "value": "s3"}
    number = {"@odata.type": "#microsoft.graph.omaSettingInteger", "displayName": "N", "omaUri": "./Y", "value": 1}
    made = make(CONFIGURATIONS, **typed("windows10CustomConfiguration", omaSettings=[text, number]))
    secret, plain = made["omaSettings"]
    assert (secret["value"], secret["isEncrypted"], plain["value"], plain["isEncrypted"]) == ("****", True, 1, False)
    body = {"@odata.type": made["@odata.type"], "omaSettings": [secret]}
    again = graph("PATCH", f"{CONFIGURATIONS}/{made['id']}", body, "beta").json["omaSettings"]
    assert again == [secret]
    assert "s3" not in json.dumps(graph("GET", f"{CONFIGURATIONS}/{made['id']}", version="beta").json)
    for reference, value in ((secret["secretReferenceValueId"], "s3"), (NOBODY, None)):
        function = f"getOmaSettingPlainTextValue(secretReferenceValueId='{reference}')"
        assert graph("GET", f"{CONFIGURATIONS}/{made['id']}/{function}").json.get("value") == value


# -- settings catalogue -------------------------------------------------------------------------------------------


def test_settings_are_listed_apart_and_replaced_by_put(graph, make):
    made = make(CATALOGUE)
    one = f"{CATALOGUE}/{made['id']}"
    assert (made["settingCount"], made["isAssigned"], made["templateReference"]["templateId"]) == (1, False, "")
    assert "settings" not in graph("GET", one, version="beta").json
    (listed,) = graph("GET", f"{one}/settings", version="beta").json["value"]
    assert (listed["id"], listed["settingInstance"]) == ("0", SETTING["settingInstance"])
    told = graph("PATCH", one, {"settings": []}, "beta")
    assert "Cannot apply PATCH to navigation property 'settings'" in told.message
    assert graph("PUT", one, {**CATALOGUED, "name": "Two", "settings": [SETTING, SETTING]}, "beta").status == 204
    after = graph("GET", one + "?$expand=settings", version="beta").json
    assert (after["name"], after["settingCount"], len(after["settings"])) == ("Two", 2, 2)
    assert graph("PATCH", one, {"name": "Three"}, "beta").json["settingCount"] == 2


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_platform_and_technologies_of_a_catalogue_policy_stay(graph, make, method):
    """KelvinTegelaar/CIPP#3744"""
    one = f"{CATALOGUE}/{make(CATALOGUE)['id']}"
    told = graph(method, one, {"name": "One", "platforms": "macOS", "technologies": "mdm"}, "beta")
    assert "Platform, PolicyType, and CreationSource cannot be changed once created." in told.message


def test_a_secret_setting_is_exchanged_for_a_token(graph, make):
    value = {"@odata.type": "#microsoft.graph.deviceManagementConfigurationSecretSettingValue", "value": "s3",
             "valueState": "notEncrypted"}  # fmt: skip
    instance = {"@odata.type": "#microsoft.graph.deviceManagementConfigurationSimpleSettingInstance",
                "settingDefinitionId": "x", "simpleSettingValue": value}  # fmt: skip
    made = make(CATALOGUE, settings=[{"settingInstance": instance}])
    (listed,) = graph("GET", f"{CATALOGUE}/{made['id']}/settings", version="beta").json["value"]
    shown = listed["settingInstance"]["simpleSettingValue"]
    assert shown["valueState"] == "encryptedValueToken"
    assert "s3" not in json.dumps(shown)


# -- update profiles ----------------------------------------------------------------------------------------------


def test_profiles_say_what_they_deploy(graph, make):
    feature = make(f"{MANAGEMENT}/windowsFeatureUpdateProfiles")
    assert feature["deployableContentDisplayName"] == "Windows 11, version 24H2"
    assert feature["endOfSupportDate"] == "2027-10-12T00:00:00Z"
    quality = make(f"{MANAGEMENT}/windowsQualityUpdateProfiles")
    assert quality["releaseDateDisplayName"].startswith("10/14/2025 - 2025.10 B")
    assert make(f"{MANAGEMENT}/windowsQualityUpdateProfiles")["id"] != quality["id"], "one release, two profiles"


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("windowsFeatureUpdateProfiles", {"featureUpdateVersion": "Windows 12"}),
        ("windowsQualityUpdateProfiles", {"expeditedUpdateSettings": {**EXPEDITED, "daysUntilForcedReboot": 3}}),
        ("windowsQualityUpdateProfiles", {"expeditedUpdateSettings": None}),
        ("windowsDriverUpdateProfiles", {"approvalType": "automatic"}),
        ("windowsDriverUpdateProfiles", {"approvalType": "manual", "deploymentDeferralInDays": 1}),
    ],
)
def test_a_profile_that_breaks_a_rule_is_refused(graph, kind, change):
    path = f"{MANAGEMENT}/{kind}"
    assert graph("POST", path, {**BODIES[path], **change}, "beta").status == 400


# -- app protection -----------------------------------------------------------------------------------------------


def test_apps_are_targeted_by_an_action_that_replaces_them(graph, make):
    path = f"{APPS}/iosManagedAppProtections"
    key = make(path, "v1.0")["id"]
    for app in ("com.microsoft.skydrive", "com.microsoft.Office.Outlook"):
        identifier = {"@odata.type": "#microsoft.graph.iosMobileAppIdentifier", "bundleId": app}
        for below in (path, f"{APPS}/managedAppPolicies"):
            told = graph("POST", f"{below}/{key}/targetApps", {"apps": [{"mobileAppIdentifier": identifier}]})
            assert told.status == 204
    (shown,) = graph("GET", f"{path}/{key}/apps").json["value"]
    assert shown["mobileAppIdentifier"]["bundleId"] == "com.microsoft.Office.Outlook"
    assert graph("GET", f"{path}/{key}?$expand=apps").json["apps"] == [shown]
    assert graph("GET", f"{path}/{key}").json["deployedAppCount"] == 1
    wrong = {"@odata.type": "#microsoft.graph.androidMobileAppIdentifier", "packageId": "x"}
    assert graph("POST", f"{path}/{key}/targetApps", {"apps": [{"mobileAppIdentifier": wrong}]}).status == 400


def test_all_app_policies_are_listed_together_and_say_what_they_are(graph, make):
    for path in (f"{APPS}/iosManagedAppProtections", f"{APPS}/androidManagedAppProtections"):
        make(path, "v1.0")
    shown = graph("GET", f"{APPS}/managedAppPolicies").json["value"]
    assert [p["@odata.type"].rpartition(".")[2] for p in shown] == [
        "iosManagedAppProtection", "androidManagedAppProtection",
    ]  # fmt: skip
    told = graph("POST", f"{APPS}/managedAppPolicies/{shown[0]['id']}/assign", assigned(group_target(NOBODY)))
    assert told.status == 204
    assert graph("GET", f"{APPS}/iosManagedAppProtections/{shown[0]['id']}").json["isAssigned"] is True


# -- published sets -----------------------------------------------------------------------------------------------


def collection_of(document):
    kind = str(document.get("@odata.type")) if isinstance(document, dict) else ""
    for word, path in (
        ("CompliancePolicy", f"{MANAGEMENT}/deviceCompliancePolicies"),
        ("Configuration", CONFIGURATIONS),
        ("mdmWindowsInformationProtectionPolicy", f"{APPS}/mdmWindowsInformationProtectionPolicies"),
        ("windowsInformationProtectionPolicy", f"{APPS}/windowsInformationProtectionPolicies"),
    ):
        if word in kind:
            return path
    return ""


@pytest.mark.skipif(not PUBLISHED.exists(), reason="the published policies are not on this machine")
def test_published_policies_are_accepted_and_come_back_as_they_were_sent(graph):
    found = [json.loads(path.read_text("utf-8-sig")) for path in sorted(PUBLISHED.rglob("*.json"))]
    sets = [(collection_of(document), document) for document in found if collection_of(document)]
    assert len(sets) >= 9
    for path, document in sets:
        told = graph("POST", path, document, "beta")
        assert told.status == 201, (document["displayName"], told.json)
        left_out = {"scheduledActionsForRule", "groupAssignments", "omaSettings"}
        sent = {n: v for n, v in document.items() if n not in left_out and ("@" not in n or n == "@odata.type")}
        if path == CONFIGURATIONS or "Compliance" in path:
            assert {name: told.json.get(name) for name in sent} == sent
