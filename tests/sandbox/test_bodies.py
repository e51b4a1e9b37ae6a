"""What bodies may hold: the schema refuses what the service's reader would, in its words."""

from __future__ import annotations

import pytest

from graphkit.sandbox.call import Refusal
from graphkit.sandbox.schema import facts as schema_facts
from graphkit.sandbox.schema.check import as_seen, check, check_changeable, check_required, check_writable, find_type


def told(judge, body, kind, version="beta"):
    """The message of a refusal, or nothing."""
    try:
        judge(body, find_type(kind, version))
    except Refusal as refusal:
        return refusal.message if refusal.status == 400 else f"a refusal of status {refusal.status}"
    return ""


def refused(kind, body, version="v1.0"):
    """The message, or nothing if the body is taken."""
    return told(lambda body, found: check(body, found.name, version), body, kind)


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("user", {"employeeHireDate": "2026-01-31T08:00:00Z"}),
        ("user", {"employeeHireDate": "2026-01-31T08:00:00.1234567+01:00"}),
        ("user", {"employeeHireDate": None}),
        ("appRoleAssignment", {"principalId": "0A0B0C0D-0000-0000-0000-000000000001"}),
        ("importedWindowsAutopilotDeviceIdentity", {"hardwareIdentifier": "AQ ID\nBA=="}),
        ("iosManagedAppProtection", {"periodOfflineBeforeAccessCheck": "PT12H", "periodBeforePinReset": "P90D"}),
        ("iosManagedAppProtection", {"periodOfflineBeforeAccessCheck": "-P1DT2H3M4.5S"}),
        ("windows10GeneralConfiguration", {"passwordMinimumLength": 2**31 - 1}),
        ("windowsUpdateForBusinessConfiguration", {"qualityUpdatesPauseStartDate": "2024-02-29"}),
        ("windowsUpdateScheduledInstall", {"scheduledInstallTime": "03:00:00.0000000"}),
        ("managedDevice", {"totalStorageSpaceInBytes": 2**40}),
        ("deviceGeoLocation", {"latitude": 1, "longitude": "NaN"}),
    ],
)
def test_a_value_of_the_right_form_is_taken(kind, body):
    assert refused(kind, body) == ""


@pytest.mark.parametrize(
    ("kind", "body", "expected"),
    [
        ("user", {"employeeHireDate": "2026-01-31T08:00:00"}, "Edm.DateTimeOffset"),  # no zone
        ("user", {"employeeHireDate": "2026-02-30T08:00:00Z"}, "Edm.DateTimeOffset"),
        ("user", {"employeeHireDate": "31/01/2026"}, "Edm.DateTimeOffset"),
        ("user", {"employeeHireDate": 20260131}, "Edm.DateTimeOffset"),
        ("user", {"displayName": 7}, "Edm.String"),
        ("user", {"accountEnabled": "true"}, "Edm.Boolean"),
        ("user", {"accountEnabled": 1}, "Edm.Boolean"),
        ("appRoleAssignment", {"principalId": "not-a-guid"}, "Edm.Guid"),
        ("importedWindowsAutopilotDeviceIdentity", {"hardwareIdentifier": "AQI"}, "Edm.Binary"),
        ("importedWindowsAutopilotDeviceIdentity", {"hardwareIdentifier": "_-8="}, "Edm.Binary"),
        ("iosManagedAppProtection", {"periodOfflineBeforeAccessCheck": "12:00"}, "Edm.Duration"),
        ("iosManagedAppProtection", {"periodOfflineBeforeAccessCheck": "P1Y"}, "Edm.Duration"),
        ("iosManagedAppProtection", {"periodOfflineBeforeAccessCheck": "P"}, "Edm.Duration"),
        ("iosManagedAppProtection", {"minimumPinLength": 2**31}, "Edm.Int32"),
        ("iosManagedAppProtection", {"minimumPinLength": 4.0}, "Edm.Int32"),
        ("iosManagedAppProtection", {"minimumPinLength": "4"}, "Edm.Int32"),
        ("iosManagedAppProtection", {"minimumPinLength": True}, "Edm.Int32"),
        ("windowsUpdateForBusinessConfiguration", {"qualityUpdatesPauseStartDate": "2026-02-29"}, "Edm.Date"),
        ("windowsUpdateScheduledInstall", {"scheduledInstallTime": "25:00:00"}, "Edm.TimeOfDay"),
        ("deviceGeoLocation", {"latitude": "51.5"}, "Edm.Double"),
        ("group", {"visibility": None, "groupTypes": [1]}, "Edm.String"),
        ("conditionalAccessPolicy", {"state": "perhaps"}, "microsoft.graph.conditionalAccessPolicyState"),
    ],
)
def test_a_value_of_another_form_is_a_literal_that_cannot_be_converted(kind, body, expected):
    """microsoftgraph/msgraph-sdk-python#566, Microsoft365DSC/Microsoft365DSC#5954"""
    message = refused(kind, body)
    assert message.startswith("Cannot convert the literal '")
    assert f"to the expected type '{expected}'." in message


@pytest.mark.parametrize(
    ("kind", "body", "read", "expected"),
    [
        ("group", {"groupTypes": "Unified"}, "PrimitiveValue", "StartArray"),
        ("group", {"groupTypes": {"Length": 1}}, "StartObject", "StartArray"),
        ("group", {"displayName": ["x"]}, "StartArray", "PrimitiveValue"),
        ("user", {"passwordProfile": "secret"}, "PrimitiveValue", "StartObject"),
        ("conditionalAccessPolicy", {"conditions": {"users": []}}, "StartArray", "StartObject"),
    ],
)
def test_a_value_of_another_shape_is_an_unexpected_node(kind, body, read, expected):
    """OData/odata.net#488"""
    message = refused(kind, body)
    assert message.startswith(f"An unexpected '{read}' node was found for property named '")
    assert message.endswith(f"A '{expected}' node was expected.")


@pytest.mark.parametrize(
    ("kind", "body", "expected"),
    [
        ("servicePrincipal", {"appRoleAssignmentRequired": None}, "'Edm.Boolean[Nullable=False]'"),
        ("deviceConfiguration", {"displayName": None}, "'Edm.String[Nullable=False]'"),
        ("windowsUpdateForBusinessConfiguration", {"userPauseAccess": None}, "'microsoft.graph.enablement[Nullable"),
        ("user", {"businessPhones": None}, "'Collection(Edm.String)[Nullable=False]' does not allow null values"),
        ("user", {"businessPhones": [None]}, "'Edm.String[Nullable=False]'"),
        ("managedDevice", {"deviceActionResults": None}, "cannot be null but it can have null values"),
    ],
)
def test_null_where_nothing_can_be_null_is_refused(kind, body, expected):
    assert expected in refused(kind, body)


@pytest.mark.parametrize("body", [{"usageLocation": None}, {"passwordProfile": None}, {"ageGroup": None}])
def test_null_clears_what_can_be_null(body):
    assert refused("user", body) == ""


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("user", {"faxNumbr": "1"}),
        ("team", {"colour": "red"}),
        ("application", {"colour": "red"}),  # open in CSDL, for registered schema extensions only
        ("conditionalAccessPolicy", {"conditions": {"users": {"includeUser": ["All"]}}}),
    ],
)
def test_an_unknown_name_is_refused_at_any_depth(kind, body):
    assert "does not exist on type 'microsoft.graph." in refused(kind, body)


BETA_ONLY = [
    ("deviceManagementConfigurationPolicy", {"platforms": "windows10", "technologies": "mdm,configManager"}),
    ("windowsFeatureUpdateProfile", {"rolloutSettings": {"offerIntervalInDays": 3}}),
    ("windowsQualityUpdateProfile", {"expeditedUpdateSettings": {"daysUntilForcedReboot": 1}}),
    ("windowsQualityUpdatePolicy", {"hotpatchEnabled": True}),
    ("windowsDriverUpdateProfile", {"approvalType": "manual"}),
    ("roleScopeTag", {"displayName": "RX1"}),
    ("deviceAndAppManagementAssignmentFilter", {"platform": "windows10AndLater", "rule": "(x)"}),
    ("directorySetting", {"templateId": "x"}),
    ("namedLocation", {"@odata.type": "#microsoft.graph.compliantNetworkNamedLocation", "displayName": "x"}),
    ("deviceConfiguration", {"@odata.type": "#microsoft.graph.windowsDeliveryOptimizationConfiguration"}),
    ("deviceCompliancePolicy", {"@odata.type": "#microsoft.graph.androidDeviceOwnerCompliancePolicy"}),
]


@pytest.mark.parametrize(("kind", "body"), BETA_ONLY)
def test_beta_knows_types_that_v1_does_not(kind, body):
    assert refused(kind, body, "beta") == ""
    assert "could not be resolved by the model" in refused(kind, body)


CHOICE = {
    "@odata.type": "#microsoft.graph.deviceManagementConfigurationSetting",
    "settingInstance": {
        "@odata.type": "#microsoft.graph.deviceManagementConfigurationChoiceSettingInstance",
        "settingDefinitionId": "device_vendor_msft_policy_config_update_allowoptionalcontent",
        "choiceSettingValue": {"value": "device_vendor_1", "children": []},
    },
}


def test_settings_of_the_catalogue_are_checked_to_the_last_value():
    assert refused("deviceManagementConfigurationPolicy", {"settings": [CHOICE]}, "beta") == ""
    wrong = {**CHOICE["settingInstance"], "simpleSettingValue": {}}
    message = refused("deviceManagementConfigurationPolicy", {"settings": [{"settingInstance": wrong}]}, "beta")
    assert "'simpleSettingValue' does not exist on type" in message


def test_v1_shows_nothing_of_beta_inside_lists_either():
    target = {"@odata.type": "#microsoft.graph.groupAssignmentTarget", "groupId": "x"}
    filtered = {**target, "deviceAndAppManagementAssignmentFilterId": "y"}
    item = {"displayName": "x", "assignments": [{"id": "1", "target": filtered}]}
    assert as_seen(item, "deviceConfiguration", "v1.0")["assignments"] == [{"id": "1", "target": target}]
    assert as_seen(item, "deviceConfiguration", "beta")["assignments"][0]["target"] == filtered


@pytest.mark.parametrize(
    ("judge", "kind", "body", "named"),
    [
        (check_writable, "windowsUpdateForBusinessConfiguration", {"version": 3}, "'version' is read-only"),
        (check_writable, "iosManagedAppProtection", {"isAssigned": True}, "'isAssigned' is read-only"),
        (check_writable, "windows10GeneralConfiguration", {"displayName": "x"}, ""),
        (check_writable, "group", {"uniqueName": "x"}, ""),
        (check_changeable, "group", {"uniqueName": "x"}, "'uniqueName' cannot be changed"),
        (check_changeable, "group", {"mail": "x"}, "'mail' is read-only"),
        (check_changeable, "group", {"displayName": "x"}, ""),
        (check_required, "invitation", {"inviteRedirectUrl": "https://x.example"}, "'invitedUserEmailAddress' of res"),
        (check_required, "sharedPCConfiguration", {"displayName": ""}, "of resource 'SharedPCConfiguration'"),
        (check_required, "roleScopeTag", {"displayName": "x"}, ""),
    ],
)
def test_what_the_service_sets_and_what_it_needs_is_told_by_name(judge, kind, body, named):
    message = told(judge, body, kind)
    assert named in message
    assert bool(named) == bool(message)


@pytest.mark.parametrize("table", ["READ_ONLY", "IMMUTABLE", "REQUIRED"])
def test_every_fact_is_about_a_property_that_exists(table):
    for kind, names in getattr(schema_facts, table).items():
        assert names <= find_type(kind, "beta").properties.keys(), kind


def test_no_create_needs_what_it_may_not_send():
    for kind, names in schema_facts.REQUIRED.items():
        assert not told(check_writable, dict.fromkeys(names), kind), kind
