"""devices.policies: Intune policies of any kind, through the command line and against a tenant on virtual time."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from bench import Bench, bench, counts

from graphkit.clock import run
from graphkit.protocol.schema import schema

PUBLISHED = Path(__file__).parents[3] / "shared/data/windows10-intune"
GROUP = "0fc81c18-92f0-4a95-bf84-6662c8be3f41"
BLOCK = [{"ruleName": "PasswordRequired", "scheduledActionConfigurations": [{"actionType": "block"}]}]
ALL_DEVICES = {"target": {"@odata.type": "#microsoft.graph.allDevicesAssignmentTarget"}}


def ring(name="Ring", **properties):
    return {
        "@odata.type": "#microsoft.graph.windowsUpdateForBusinessConfiguration",
        "displayName": name,
        "automaticUpdateMode": "autoInstallAtMaintenanceTime",
        **properties,
    }


def catalog(name="Catalog", value="_1", **properties):
    definition = "device_vendor_msft_bitlocker_requiredeviceencryption"
    instance = {
        "@odata.type": "#microsoft.graph.deviceManagementConfigurationChoiceSettingInstance",
        "settingDefinitionId": definition,
        "settingInstanceTemplateReference": None,
        "choiceSettingValue": {
            "@odata.type": "#microsoft.graph.deviceManagementConfigurationChoiceSettingValue",
            "value": definition + value,
            "children": [],
        },
    }
    setting = {"@odata.type": "#microsoft.graph.deviceManagementConfigurationSetting", "settingInstance": instance}
    return {"name": name, "platforms": "windows10", "technologies": "mdm", "settings": [setting], **properties}


def on_tenant(folder: Path, test: Any) -> None:
    async def go() -> None:
        async with bench(folder) as here:
            await test(here)

    run(go(), virtual=True)


async def plan(here: Bench, value: Any, **options: Any) -> Any:
    return await here.plan("devices.policies", json.dumps(value), suffix="json", **options)


async def applied(here: Bench, value: Any, **options: Any) -> dict[str, int]:
    with await plan(here, value, **options) as planned:
        outcomes = await here.apply(planned, **options)
    await here.client.clock.sleep(30)
    return outcomes


async def status(here: Bench, value: Any, **options: Any) -> str:
    with await plan(here, value, **options) as planned:
        return planned.header()["status"]


def live(here: Bench, table="deviceConfigurations") -> dict[str, Any]:
    (found,) = here.tenant.state.table(table).objects.values()
    return found


# -- every kind ----------------------------------------------------------------------------------------------------


def one_of_each(version, families=("deviceConfiguration", "deviceCompliancePolicy", "managedAppPolicy")):
    for name in (name for family in families for name in schema(version).concrete(family)):
        body = {"@odata.type": f"#microsoft.graph.{name}", "displayName": f"One {name}"}
        compliance = "deviceCompliancePolicy" in schema(version).structured(name).ancestors
        yield {**body, "scheduledActionsForRule": BLOCK} if compliance else body


@pytest.mark.parametrize(("version", "least"), [("v1.0", 38), ("beta", 150)])
def test_every_kind_of_the_metadata_is_made_and_a_second_plan_is_empty(tmp_path, version, least):
    bodies = list(one_of_each(version))
    assert len(bodies) >= least

    async def check(here: Bench) -> None:
        options = {"allow_beta": version == "beta"}
        with await plan(here, bodies, **options) as planned:
            made = counts(planned)["create"]
            assert made == len(bodies)
            outcomes = await here.apply(planned, **options)
        assert outcomes["done"] == made
        assert await status(here, bodies, **options) == "empty"

    on_tenant(tmp_path, check)


@pytest.mark.parametrize(
    "body",
    [
        catalog(),
        {"@odata.type": "#microsoft.graph.windowsFeatureUpdateProfile", "displayName": "F",
         "featureUpdateVersion": "Windows 11, version 24H2"},
        {"displayName": "Q", "expeditedUpdateSettings": {"qualityUpdateRelease": "2025-10-14T00:00:00Z",
         "daysUntilForcedReboot": 1}},
        {"displayName": "P", "hotpatchEnabled": True},
        {"displayName": "D", "approvalType": "manual"},
        {"displayName": "A", "policyConfigurationIngestionType": "builtIn"},
        {"displayName": "Filter", "platform": "windows10AndLater", "rule": '(device.model -eq "X")'},
    ],
)  # fmt: skip
def test_what_only_beta_has_needs_consent_and_is_told_by_its_shape(tmp_path, simulated, body):
    path = tmp_path / "one.json"
    path.write_text(json.dumps(body), encoding="utf-8")
    refused = simulated("validate", "devices.policies", "-i", path, "-o", "json")
    assert (refused.code, [error["code"] for error in refused.json["errors"]]) == (5, ["needs-beta"])
    assert "--allow-beta" in refused.json["errors"][0]["message"]
    made = simulated("apply", "devices.policies", "-i", path, "--allow-beta", "--yes", "-o", "json")
    assert (made.code, made.json["outcomes"]["done"]) == (0, 1)
    again = simulated("plan", "devices.policies", "-i", path, "--allow-beta", "-o", "json")
    assert again.json["status"] == "empty"


@pytest.mark.skipif(not PUBLISHED.exists(), reason="the published set is not beside this checkout")
def test_of_the_published_set_every_configuration_and_compliance_policy_applies(tmp_path, simulated):
    typed = {}
    for path in sorted(PUBLISHED.rglob("*.json")):
        value = json.loads(path.read_text("utf-8-sig"))
        given = str(value.get("@odata.type", "")) if isinstance(value, dict) else ""
        kinds = schema("beta").concrete("deviceConfiguration") + schema("beta").concrete("deviceCompliancePolicy")
        typed[str(path)] = given.removeprefix("#microsoft.graph.") in kinds
    flags = ("--allow-beta", "--skip-invalid")
    results = tmp_path / "results.csv"
    done = simulated("apply", "devices.policies", "-i", PUBLISHED, *flags, "--yes", "--results", results, "-o", "json")
    assert done.code == 3  # what was left out is told
    with results.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["file"] for row in rows} == set(typed)
    applied = {row["file"] for row in rows if row["path"] == "" and row["gk_status"] == "done"}
    assert applied == {path for path, is_typed in typed.items() if is_typed}
    assert all(row["gk_error"] for row in rows if row["gk_status"] != "done")
    again = simulated("plan", "devices.policies", "-i", PUBLISHED, *flags, "-o", "json")
    assert again.json["status"] == "empty"


def test_of_the_published_set_each_other_file_is_named_with_its_reason(simulated):
    if not PUBLISHED.exists():
        pytest.skip("the published set is not beside this checkout")
    told = simulated("validate", "devices.policies", "-i", PUBLISHED, "--allow-beta", "-o", "json").json["errors"]
    reasons = {(error["file"].split("/")[-2], error["code"]) for error in told}
    assert reasons == {
        ("Win10-ADMX", "not-a-graph-body"),
        ("Win10-Apps", "unknown-type"),
        ("Win10-EndpointSecurity", "legacy-intent"),
        ("Win10-SecurityBaselines", "legacy-intent"),
        ("Win10-WIP", "missing-binding"),
    }


def test_placeholders_are_bound_to_what_they_stand_for_here(tmp_path):
    body = {
        "@odata.type": "#microsoft.graph.windowsInformationProtectionPolicy",
        "displayName": "WIP",
        "enterpriseDomain": "$EnterpriseDomain",
        "isAssigned": False,
        "enterpriseProxiedDomains": [
            {"displayName": "SP", "proxiedDomains": [{"ipAddressOrFQDN": "$Sharepoint.sharepoint.com", "proxy": None}]}
        ],
    }
    (tmp_path / "bind.yaml").write_text("$EnterpriseDomain: contoso.example\n$Sharepoint: contoso\n", encoding="utf-8")

    async def check(here: Bench) -> None:
        assert await applied(here, body, bind=str(tmp_path / "bind.yaml")) == {"done": 1}
        found = live(here, "windowsInformationProtectionPolicies")
        assert found["enterpriseDomain"] == "contoso.example"
        (domain,) = found["enterpriseProxiedDomains"][0]["proxiedDomains"]
        assert domain["ipAddressOrFQDN"] == "contoso.sharepoint.com"
        assert await status(here, body, bind=str(tmp_path / "bind.yaml")) == "empty"

    on_tenant(tmp_path, check)


# -- offline -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "path", "code", "said"),
    [
        (ring(unheardOf=1), "unheardOf", "unknown-property", "has no property unheardOf"),
        (ring(qualityUpdatesPausd=True), "qualityUpdatesPausd", "unknown-property", "did you mean quality"),
        (ring(automaticUpdateMode="now"), "automaticUpdateMode", "wrong-value", "use userDefined"),
        (ring(driversExcluded="no"), "driversExcluded", "wrong-type", "true or false"),
        (ring(installationSchedule={"@odata.type": "#microsoft.graph.windowsUpdateActiveHoursInstall",
              "activeHoursStart": "8"}), "installationSchedule.activeHoursStart", "wrong-type", "TimeOfDay"),
        ({"@odata.type": "#microsoft.graph.windows10CompliancePolicy", "displayName": "C"},
         "scheduledActionsForRule", "missing-block-action", "one and only one"),
        ({"@odata.type": "#microsoft.graph.windowsUpdateForBusinessConfiguration"}, "displayName", "missing", "needs"),
        ({"@odata.type": "#microsoft.graph.windowsUpdateForBisnessConfiguration", "displayName": "x"}, "",
         "unknown-type", "is not a policy of Intune"),
        ({"@odata.type": "#microsoft.graph.deviceManagementIntent", "displayName": "x"}, "", "legacy-intent", "anew"),
        ({"some": "thing"}, "", "not-a-graph-body", "neither @odata.type nor its properties"),
        ("text", "", "not-a-graph-body", "an object or a list"),
        ({"@odata.type": "#microsoft.graph.windowsWifiConfiguration", "displayName": "W", "preSharedKey": "x"},
         "preSharedKey", "plain-secret", "no plan may keep"),
        (catalog(settings=[{"settingInstance": {
            "@odata.type": "#microsoft.graph.deviceManagementConfigurationSimpleSettingInstance",
            "settingDefinitionId": "x",
            "simpleSettingValue": {"@odata.type": "#microsoft.graph.deviceManagementConfigurationSecretSettingValue",
                                   "valueState": "notEncrypted", "value": "s"}}}]),
         "settings[0].settingInstance.simpleSettingValue.value", "plain-secret", "no plan may keep"),
    ],
)  # fmt: skip
def test_what_graph_would_not_take_is_told_with_file_and_path_before_any_request(
    graphkit, tmp_path, body, path, code, said
):
    file = tmp_path / "one.json"
    file.write_text(json.dumps(body), encoding="utf-8")
    told = graphkit("validate", "devices.policies", "-i", file, "--allow-beta", "-o", "json")
    assert told.code == 5
    (error,) = told.json["errors"]
    assert (error["file"], error["path"], error["code"]) == (str(file), path, code)
    assert said in error["message"]


def test_one_bad_file_hides_no_other(tmp_path, simulated):
    folder = tmp_path / "set"
    folder.mkdir()
    (folder / "a.json").write_text("{oops", encoding="utf-8")
    (folder / "b.json").write_text(json.dumps(ring("B")), encoding="utf-8")
    (folder / "c.json").write_text(json.dumps(ring("C", unheardOf=1)), encoding="utf-8")
    told = simulated("validate", "devices.policies", "-i", folder, "-o", "json")
    assert [error["code"] for error in told.json["errors"]] == ["not-a-graph-body", "unknown-property"]
    done = simulated("apply", "devices.policies", "-i", folder, "--skip-invalid", "--yes", "-o", "json")
    assert (done.code, done.json["outcomes"]["done"], done.json["leftOut"]) == (3, 1, 2)


# -- layouts -------------------------------------------------------------------------------------------------------

EXPORTED = {
    **ring("Exported"),
    "@odata.context": "https://graph.microsoft.com/beta/$metadata#deviceManagement/deviceConfigurations/$entity",
    "id": GROUP,
    "createdDateTime": "2024-01-01T00:00:00Z",
    "lastModifiedDateTime": "2024-01-01T00:00:00Z",
    "version": 7,
    "supportsScopeTags": True,
    "roleScopeTagIds": ["0"],
    "roleScopeTagIds@odata.type": "#Collection(String)",
    "featureUpdatesPauseExpiryDateTime": "0001-01-01T00:00:00Z",
    "deviceManagementApplicabilityRuleOsEdition": None,
    "assignments@odata.context": "https://graph.microsoft.com/beta/$metadata#x",
    "assignments": [],
    "#microsoft.graph.assign": {"target": "x"},
}


def as_utf_16(value):
    return json.dumps(value).encode("utf-16")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("portal.json", json.dumps(EXPORTED)),
        ("utf16.json", as_utf_16(EXPORTED)),
        ("list.json", json.dumps([EXPORTED])),
        ("collection.json", json.dumps({"@odata.context": "x", "value": [EXPORTED]})),
        ("wrapper.json", json.dumps({"policy": EXPORTED, "assignments": []})),
        ("text.json", json.dumps(json.dumps(EXPORTED))),
        ("inner-text.json", json.dumps({"Displayname": "Exported", "Type": "Device", "RAWJson": json.dumps(ring())})),
        ("named-lists.json", json.dumps({"deviceConfigurations": [EXPORTED]})),
        ("intunecd.yaml", "'@odata.type': '#microsoft.graph.windowsUpdateForBusinessConfiguration'\n"
                          "displayName: Exported\nautomaticUpdateMode: autoInstallAtMaintenanceTime\n"),
    ],
)  # fmt: skip
def test_each_layout_that_others_publish_is_read(tmp_path, simulated, tenant, name, content):
    folder = tmp_path / "set" / "DeviceConfigurations"
    folder.mkdir(parents=True)
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    done = simulated("apply", "devices.policies", "-i", folder.parent, "--yes", "-o", "json")
    assert (done.code, done.json["outcomes"]["done"]) == (0, 1), done.stderr
    assert simulated("plan", "devices.policies", "-i", folder.parent, "-o", "json").json["status"] == "empty"
    (made,) = [entry for entry in tenant.log() if entry.method == "POST"]
    assert made.path == "/deviceManagement/deviceConfigurations"


def test_settings_as_they_are_posted_make_an_administrative_template(tmp_path):
    posted = {"added": template("%tenantid%")["definitionValues"], "updated": [], "deletedIds": []}
    wrapped = {"Displayname": "OneDrive", "Type": "Admin", "RAWJson": json.dumps(posted)}

    async def check(here: Bench) -> None:
        assert await applied(here, {"JSON": json.dumps(wrapped)}, allow_beta=True) == {"done": 2}
        policy = live(here, "groupPolicyConfigurations")
        assert policy["displayName"] == "OneDrive"
        assert policy["_values"][0]["_shown"][0]["value"] == here.tenant.tenant_id
        assert await status(here, wrapped, allow_beta=True) == "empty"

    on_tenant(tmp_path, check)


def test_a_policy_in_two_files_is_read_once_and_two_of_one_name_are_an_error(graphkit, tmp_path):
    folder = tmp_path / "set"
    folder.mkdir()
    (folder / "a.json").write_text(json.dumps(ring()), encoding="utf-8")
    (folder / "b.json").write_text(json.dumps(ring()), encoding="utf-8")
    told = graphkit("validate", "devices.policies", "-i", folder, "-o", "json")
    assert (told.code, len(told.json["warnings"])) == (0, 1)
    (folder / "c.json").write_text(json.dumps(ring(driversExcluded=True)), encoding="utf-8")
    told = graphkit("validate", "devices.policies", "-i", folder, "-o", "json")
    assert [error["code"] for error in told.json["errors"]] == ["duplicate-key"]


def test_a_member_that_only_beta_has_needs_beta(graphkit, tmp_path):
    path = tmp_path / "one.json"
    path.write_text(json.dumps(ring(automaticUpdateMode="windowsDefault")), encoding="utf-8")
    told = graphkit("validate", "devices.policies", "-i", path, "-o", "json")
    assert [error["code"] for error in told.json["errors"]] == ["needs-beta"]
    assert graphkit("validate", "devices.policies", "-i", path, "--allow-beta").code == 0


def test_groups_of_the_source_tenant_are_found_by_the_names_that_exporters_keep(tmp_path):
    folder = tmp_path / "set"
    (folder / "Groups").mkdir(parents=True)
    (folder / "DeviceConfigurations").mkdir()
    assigned = {"target": {"@odata.type": "#microsoft.graph.groupAssignmentTarget", "groupId": GROUP}}
    (folder / "MigrationTable.json").write_text(
        json.dumps({"TenantId": "x", "Objects": [{"Id": GROUP, "DisplayName": "Kiosks", "Type": "Group"}]}), "utf-8"
    )
    (folder / "DeviceConfigurations" / "a.json").write_text(json.dumps(ring(assignments=[assigned])), "utf-8")
    from graphkit.engine.resource import PlanOptions
    from graphkit.inputs.problems import Problems
    from graphkit.inputs.source import open_source
    from recipes.devices.policies import Reader
    from recipes.devices.published import read_published

    for given in (folder, folder / "DeviceConfigurations"):
        problems = Problems()
        found = read_published(open_source(given, problems), problems)
        reader = Reader(problems, PlanOptions(), {}, found.names.by_id)
        wishes = [wish for each in found.policies for wish in reader.wishes(each)]
        assert [wish.properties["include"] for wish in wishes if wish.kind.endswith(".assignment")] == [["Kiosks"]]
        assert not problems.total


# -- assignments ---------------------------------------------------------------------------------------------------


async def group(here: Bench, name: str) -> str:
    body = {"displayName": name, "mailEnabled": False, "mailNickname": name, "securityEnabled": True}
    made = await here.client.create("/groups", body)
    await here.client.clock.sleep(30)
    return str(made["id"])


def to(kind, name="", **more):
    return {"target": {"@odata.type": f"#microsoft.graph.{kind}AssignmentTarget", "groupName": name, **more}}


def test_assignments_are_merged_by_default_and_replaced_when_asked(tmp_path):
    async def check(here: Bench) -> None:
        wards, kiosks = await group(here, "Wards"), await group(here, "Kiosks")
        assert await applied(here, ring(assignments=[to("group", "Wards")])) == {"done": 2}
        other = ring(assignments=[to("exclusionGroup", "Kiosks"), ALL_DEVICES])
        assert await applied(here, other) == {"done": 1, "already": 1}
        assert {each["target"].get("groupId") for each in live(here)["assignments"]} == {wards, kiosks, None}
        with await plan(here, other, mode="authoritative") as planned:
            change = next(planned.changes("deviceConfiguration.assignment"))
            assert (change.action, change.note) == ("remove", "1 no longer")
            assert await here.apply(planned) == {"done": 1, "already": 1}
        assert {each["target"].get("groupId") for each in live(here)["assignments"]} == {kiosks, None}
        assert await status(here, other, mode="authoritative") == "empty"
        assert await status(here, ring(assignments=[])) == "empty"
        assert await applied(here, ring(assignments=[]), mode="authoritative") == {"done": 1, "already": 1}
        assert live(here)["assignments"] == []

    on_tenant(tmp_path, check)


def test_filters_are_part_of_the_difference_by_name(tmp_path):
    key = "deviceAndAppManagementAssignmentFilter"

    async def check(here: Bench) -> None:
        rule = {"displayName": "Corporate", "platform": "windows10AndLater", "rule": '(device.model -eq "X")'}
        made = await here.client.create("/deviceManagement/assignmentFilters", rule, version="beta")
        await here.client.clock.sleep(30)
        wish = ring(assignments=[to("allDevices", **{f"{key}Id": "Corporate", f"{key}Type": "include"})])
        with await plan(here, wish) as planned:
            (line,) = planned.changes("deviceConfiguration.assignment")
            assert (line.action, "--allow-beta" in line.note) == ("blocked", True)
        assert await applied(here, wish, allow_beta=True) == {"done": 2}
        (assignment,) = live(here)["assignments"]
        assert (assignment["target"][f"{key}Id"], assignment["target"][f"{key}Type"]) == (made["id"], "include")
        assert await status(here, wish, allow_beta=True) == "empty"
        turned = ring(assignments=[to("allDevices", **{f"{key}Id": "Corporate", f"{key}Type": "exclude"})])
        assert await applied(here, turned, allow_beta=True) == {"done": 1, "already": 1}
        assert live(here)["assignments"][0]["target"][f"{key}Type"] == "exclude"

    on_tenant(tmp_path, check)


def test_a_group_that_is_not_here_blocks_its_set_alone(tmp_path):
    async def check(here: Bench) -> None:
        wish = ring(groupAssignments=[{"id": "x", "targetGroupId": GROUP, "excludeGroup": False}])
        with await plan(here, wish) as planned:
            assert counts(planned) == {"create": 1, "blocked": 1}
            (line,) = planned.changes("deviceConfiguration.assignment")
            assert line.note.startswith("missing binding:")
        wards = await group(here, "Wards")
        (tmp_path / "bind.json").write_text(json.dumps({GROUP: "Wards"}), "utf-8")
        assert await applied(here, wish, bind=str(tmp_path / "bind.json")) == {"done": 2}
        assert live(here)["assignments"][0]["target"]["groupId"] == wards

    on_tenant(tmp_path, check)


def test_apps_of_a_protection_are_merged_and_sent_by_their_own_action(tmp_path):
    def app(name, kind="iosMobileAppIdentifier", key="bundleId"):
        return {
            "mobileAppIdentifier": {"@odata.type": f"#microsoft.graph.{kind}", key: name},
            "id": name,
            "version": "1",
        }

    kind = "#microsoft.graph.targetedManagedAppConfiguration"
    android = app("com.b", "androidMobileAppIdentifier", "packageId")

    async def check(here: Bench) -> None:
        body = {"@odata.type": kind, "displayName": "Apps", "apps": [app("com.a")]}
        assert await applied(here, body) == {"done": 2}
        assert await applied(here, {**body, "apps": [android]}) == {"done": 1, "already": 1}
        kept = live(here, "targetedManagedAppConfigurations")["apps"]
        assert sorted(each["id"] for each in kept) == ["com.a.ios", "com.b.android"]
        assert await status(here, {**body, "apps": [android]}) == "empty"

    on_tenant(tmp_path, check)


def test_groups_that_the_tenant_lacks_are_made_when_asked_for_one_for_all_policies(tmp_path):
    async def check(here: Bench) -> None:
        bodies = [
            ring("A", assignments=[to("group", "Wards"), to("exclusionGroup", "Kiosks")]),
            {**ring("B", assignments=[to("group", "Wards")])},
            {**catalog("C"), "assignments": [to("group", "Wards")]},
        ]
        with await plan(here, bodies, allow_beta=True) as planned:
            assert counts(planned) == {"create": 3, "blocked": 3}
            assert "--create-groups" in next(planned.changes("deviceConfiguration.assignment")).note
        options = {"allow_beta": True, "create_groups": True}
        with await plan(here, bodies, **options) as planned:
            assert planned.counts_by_kind()["group"] == {"create": 2}
            assert await here.apply(planned, **options) == {"done": 8}
        await here.client.clock.sleep(200)
        assert await status(here, bodies, **options) == "empty"
        groups = {
            each["displayName"]: each["id"] for each in here.tenant.state.table("groups").objects.values() if each
        }
        policies = here.tenant.state.table("deviceConfigurations").objects.values()
        assigned = {each["displayName"]: {a["target"]["groupId"] for a in each["assignments"]} for each in policies}
        assert assigned == {"A": {groups["Wards"], groups["Kiosks"]}, "B": {groups["Wards"]}}

    on_tenant(tmp_path, check)


# -- changing ------------------------------------------------------------------------------------------------------


def test_what_differs_is_patched_and_what_the_file_does_not_name_stays(tmp_path):
    hours = {"@odata.type": "#microsoft.graph.windowsUpdateActiveHoursInstall", "activeHoursStart": "08:00:00",
             "activeHoursEnd": "17:00:00"}  # fmt: skip

    async def check(here: Bench) -> None:
        await applied(here, ring(installationSchedule=hours, description="Ours"))
        put_by_hand = {**live(here), "driversExcluded": True}
        here.tenant.state.put("deviceConfigurations", put_by_hand)
        changed = ring(installationSchedule={**hours, "activeHoursEnd": "18:00:00.0000000"}, description="Theirs")
        assert await applied(here, changed) == {"done": 1}
        found = live(here)
        assert found["driversExcluded"] is True
        assert found["description"] == "Theirs\n[gk:devices.policies/Ring]"
        assert found["installationSchedule"]["activeHoursStart"].startswith("08:00:00")
        assert found["installationSchedule"]["activeHoursEnd"].startswith("18:00:00")
        assert await status(here, changed) == "empty"

    on_tenant(tmp_path, check)


def test_a_settings_catalog_policy_is_put_as_a_whole_when_its_settings_differ(tmp_path):
    async def check(here: Bench) -> None:
        await applied(here, catalog(), allow_beta=True)
        assert await status(here, catalog(), allow_beta=True) == "empty"
        assert await applied(here, catalog(value="_0"), allow_beta=True) == {"done": 1}
        assert here.writes()[-1].startswith("PUT ")
        (setting,) = live(here, "configurationPolicies")["settings"]
        assert setting["settingInstance"]["choiceSettingValue"]["value"].endswith("_0")
        assert await status(here, catalog(value="_0"), allow_beta=True) == "empty"
        assert await applied(here, catalog(value="_0", description="New"), allow_beta=True) == {"done": 1}
        assert here.writes()[-1].startswith("PATCH ")

    on_tenant(tmp_path, check)


DEFINITION = "81c07ba0-7512-402d-b1f6-00856975cfab"
PRESENTATION = "4640c3f7-b89a-41be-948b-e86a2a97cae4"


def template(text="one", *more):
    root = f"https://graph.microsoft.com/beta/deviceManagement/groupPolicyDefinitions('{DEFINITION}')"
    shown = {
        "@odata.type": "#microsoft.graph.groupPolicyPresentationValueText",
        "value": text,
        "presentation@odata.bind": f"{root}/presentations('{PRESENTATION}')",
    }
    value = {"definition@odata.bind": root, "enabled": "true", "presentationValues": [shown]}
    others = [{"definition": {"id": key}, "enabled": False} for key in more]
    return {"displayName": "OneDrive", "definitionValues": [value, *others]}


def test_the_settings_of_an_administrative_template_are_kept_below_it(tmp_path):
    other = "61b07a01-7e60-4127-b086-f6b32458a5c5"

    async def check(here: Bench) -> None:
        assert await applied(here, template(), allow_beta=True) == {"done": 2}
        assert await status(here, template(), allow_beta=True) == "empty"
        assert await applied(here, template("two", other), allow_beta=True) == {"done": 1, "already": 1}
        values = {each["_definition"]: each for each in live(here, "groupPolicyConfigurations")["_values"]}
        assert values[DEFINITION]["_shown"][0]["value"] == "two"
        assert values[other]["enabled"] is False
        assert await status(here, template("two"), allow_beta=True) == "empty"
        with await plan(here, template("$TenantID"), allow_beta=True, skip_invalid=True) as planned:
            assert planned.left_out() == 1

    on_tenant(tmp_path, check)


def test_null_in_an_export_asks_for_nothing_and_takes_back_what_was_set(tmp_path):
    async def check(here: Bench) -> None:
        await applied(here, ring(deadlineForQualityUpdatesInDays=3))
        assert await applied(here, ring(deadlineForQualityUpdatesInDays=None)) == {"done": 1}
        assert live(here)["deadlineForQualityUpdatesInDays"] is None
        assert await status(here, ring(deadlineForQualityUpdatesInDays=None)) == "empty"

    on_tenant(tmp_path, check)


def test_a_policy_that_no_run_made_is_taken_over_only_when_asked(tmp_path):
    async def check(here: Bench) -> None:
        body = {**ring(), "displayName": "Ring"}
        await here.client.create("/deviceManagement/deviceConfigurations", body)
        await here.client.clock.sleep(30)
        assert await status(here, ring()) == "empty"
        with await plan(here, ring(driversExcluded=True)) as planned:
            (line,) = planned.changes()
            assert (line.action, "--adopt" in line.note) == ("blocked", True)
        assert await applied(here, ring(driversExcluded=True), adopt=True) == {"done": 1}
        assert live(here)["description"] == "[gk:devices.policies/Ring]"
        assert await status(here, ring(driversExcluded=True)) == "empty"

    on_tenant(tmp_path, check)


def test_two_policies_of_one_name_are_not_guessed_between(tmp_path):
    async def check(here: Bench) -> None:
        for _ in range(2):
            await here.client.create("/deviceManagement/deviceConfigurations", ring())
        await here.client.clock.sleep(30)
        with await plan(here, ring()) as planned:
            (line,) = planned.changes()
            assert (line.action, line.note.startswith("2 policies are called Ring")) == ("blocked", True)

    on_tenant(tmp_path, check)


# -- secrets -------------------------------------------------------------------------------------------------------


def custom(value, **more):
    setting = {
        "@odata.type": "#microsoft.graph.omaSettingString",
        "displayName": "Banner",
        "omaUri": "./Device/Vendor/MSFT/Banner",
        "value": value,
        **more,
    }
    kind = "#microsoft.graph.windows10CustomConfiguration"
    return {"@odata.type": kind, "displayName": "Custom", "omaSettings": [setting]}


def test_masked_values_are_compared_by_what_they_hide_and_never_kept(tmp_path):
    async def check(here: Bench) -> None:
        await applied(here, custom("hello"), allow_beta=True)
        assert live(here)["omaSettings"][0]["value"] == "****"
        masked = {**live(here), "omaSettings": live(here)["omaSettings"]}
        assert await status(here, custom("hello")) == "empty"
        (tmp_path / "x").mkdir()
        with await plan(here, custom("other")) as planned:
            assert "not compared" in next(planned.changes()).note
        beta = {**custom("other"), "roleScopeTagIds": ["0", "0"]}
        with await plan(here, beta, allow_beta=True) as planned:
            (line,) = planned.changes()
            assert line.action == "update"
            assert "hello" not in line.line()
            assert await here.apply(planned, allow_beta=True) == {"done": 1}
        assert masked["omaSettings"][0]["value"] == "****"

    on_tenant(tmp_path, check)


def test_a_secret_by_reference_is_named_and_not_written(tmp_path):
    async def check(here: Bench) -> None:
        wish = custom("****", isEncrypted=True, secretReferenceValueId=f"{GROUP}_{GROUP}_{GROUP}")
        with await plan(here, wish) as planned:
            (line,) = planned.changes()
            assert (line.action, line.note.startswith("secret by reference: omaSettings[0].value")) == ("blocked", True)
        await applied(here, custom("hello"))
        assert await status(here, wish) == "empty"

    on_tenant(tmp_path, check)


# -- doubt ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("failure", ["timeout", "reset"])
def test_after_a_lost_answer_the_policy_is_found_by_its_marker(tmp_path, failure):
    async def check(here: Bench) -> None:
        path = "/deviceManagement/deviceConfigurations"
        here.tenant.faults.add({"method": "POST", "path": path, "nth": 1, "action": "commit-then", "failure": failure})
        assert await applied(here, ring(assignments=[ALL_DEVICES])) == {"done": 2}
        assert len([each for each in here.writes() if each == f"POST {path}"]) == 1

    on_tenant(tmp_path, check)


def test_the_starter_file_is_applied_and_a_second_plan_is_empty(simulated, tmp_path):
    assert simulated("recipe", "template", "devices.policies", tmp_path).code == 0
    starter = tmp_path / "policies.json"
    done = simulated("apply", "devices.policies", "-i", starter, "--yes", "-o", "json")
    assert (done.code, done.json["outcomes"]["done"]) == (0, 2)
    assert simulated("plan", "devices.policies", "-i", starter, "-o", "json").json["status"] == "empty"
