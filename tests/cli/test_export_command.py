"""``graphkit export``: what comes out of one tenant can be planned there without a change, and made in another."""

import json
import re
import shutil
from contextlib import closing
from pathlib import Path

import pytest
import yaml

from graphkit.inputs.strict_yaml import parse_yaml
from graphkit.jobs.export_folder import MANIFEST, File, open_folder, paths, stem_of
from graphkit.jobs.export_yaml import to_yaml

DATA = Path(__file__).parents[3] / "shared/data"
BASELINE = DATA / "conditional-access-baseline"
TEMPLATES = DATA / "conditional-access-templates"
INTUNE = DATA / "windows10-intune"
BREAK_GLASS = "breakglass-1@contoso.example"
SERVER_FIELDS = re.compile(
    r"(?m)^\s*(?:- )?(id|createdDateTime|modifiedDateTime|lastModifiedDateTime|version|isAssigned|settingCount"
    r"|creationSource|secretReferenceValueId|'?@odata\.(context|id|etag)'?):"
)
GUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
BLOCK = [{"ruleName": "PasswordRequired", "scheduledActionConfigurations": [{"actionType": "block"}]}]


def target(kind, **more):
    return {"target": {"@odata.type": f"#microsoft.graph.{kind}AssignmentTarget", **more}}


POLICIES = [
    {
        "@odata.type": "#microsoft.graph.windows10CompliancePolicy",
        "displayName": "Floor",
        "description": "Two lines\nof text",
        "osMinimumVersion": "10.0.22631.4000",
        "scheduledActionsForRule": BLOCK,
        "assignments": [target("allDevices"), target("exclusionGroup", groupName="Kiosks")],
    },
    {
        "@odata.type": "#microsoft.graph.windowsUpdateForBusinessConfiguration",
        "displayName": "Ring: fast",
        "qualityUpdatesDeferralPeriodInDays": 3,
        "assignments": [target("group", groupName="Pilots"), target("exclusionGroup", groupName="Kiosks")],
    },
    {
        "@odata.type": "#microsoft.graph.windows10CustomConfiguration",
        "displayName": "Custom",
        "omaSettings": [
            {
                "@odata.type": "#microsoft.graph.omaSettingString",
                "displayName": "Key",
                "omaUri": "./Vendor/MSFT/Key",
                "value": "not for files",
            }
        ],
    },
    {
        "@odata.type": "#microsoft.graph.iosManagedAppProtection",
        "displayName": "Phones",
        "pinRequired": True,
        "apps": [
            {
                "mobileAppIdentifier": {
                    "@odata.type": "#microsoft.graph.iosMobileAppIdentifier",
                    "bundleId": "com.example.mail",
                }
            }
        ],
    },
]


@pytest.fixture
def other(tenant, tmp_path):
    """A second tenant."""
    (tmp_path / "b").mkdir()
    return type(tenant)(tmp_path / "b" / "tenant.db").seed(users=60)


@pytest.fixture
def there(simulated, other):
    return type(simulated)(other.flags)


@pytest.fixture
def filled(simulated, tmp_path):
    """The first tenant with policies of several kinds, and the groups that they name."""
    path = tmp_path / "policies.json"
    path.write_text(json.dumps(POLICIES), encoding="utf-8")
    done = simulated("apply", "devices.policies", "-i", path, "--create-groups", "--yes", "-o", "json")
    assert (done.code, done.json["outcomes"]["failed"]) == (0, 0), done.stderr
    return simulated


def texts(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8")
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != MANIFEST
    }


def exported(line, folder, *more):
    result = line("export", *more, folder, "-o", "json")
    assert result.code == 0, result.stderr
    return result.json


def status(line, recipe, folder, *flags):
    result = line("plan", recipe, "-i", folder, *flags, "-o", "json")
    assert result.code == 0, result.stdout + result.stderr
    return result.json["status"]


# -- what the files hold -------------------------------------------------------------------------------------------


def test_a_file_holds_names_and_neither_ids_nor_server_fields_nor_our_marker(filled, tmp_path):
    told = exported(filled, tmp_path / "out")
    files = texts(tmp_path / "out")
    kinds = ("compliance", "configuration", "update-rings", "app-protection")
    assert [told["kinds"][name] for name in kinds] == [1, 1, 1, 1]
    assert sorted(files) == sorted(told["added"])
    for name, text in files.items():
        assert not SERVER_FIELDS.search(text), name
        assert not GUID.search(text), name
        assert "[gk:" not in text
    floor = files["devices/compliance/Floor.yaml"]
    assert floor.startswith("'@odata.type': '#microsoft.graph.windows10CompliancePolicy'\ndisplayName: Floor\n")
    assert "description: |-\n  Two lines\n  of text\n" in floor
    assert "groupName: Kiosks" in floor
    assert {"groups/Kiosks.yaml", "groups/Pilots.yaml", "devices/update-rings/Ring- fast.yaml"} <= files.keys()


def test_a_secret_is_named_and_not_exported(filled, tmp_path):
    told = exported(filled, tmp_path / "out")
    (secret,) = told["secrets"]
    assert secret == {"file": "devices/configuration/Custom.yaml", "path": "omaSettings[0].value"}
    assert "not for files" not in "".join(texts(tmp_path / "out").values())
    shown = filled("export", tmp_path / "out").stdout
    assert "not exported: devices/configuration/Custom.yaml: omaSettings[0].value is a secret" in shown


def test_a_wifi_key_that_the_service_never_shows_is_named(simulated, tmp_path):
    wifi = {
        "@odata.type": "#microsoft.graph.androidForWorkEnterpriseWiFiConfiguration",
        "displayName": "Wifi",
        "networkName": "N",
        "ssid": "n",
    }
    kinds = ["#microsoft.graph.windowsWifiConfiguration", wifi["@odata.type"]]
    path = tmp_path / "wifi.json"
    path.write_text(json.dumps({**wifi, "@odata.type": kinds[0]}), encoding="utf-8")
    done = simulated("apply", "devices.policies", "-i", path, "--allow-beta", "--yes", "-o", "json")
    assert done.code == 0, done.stdout
    told = exported(simulated, tmp_path / "out", "configuration", "--allow-beta")
    assert {"file": "devices/configuration/Wifi.yaml", "path": "preSharedKey"} in told["secrets"]


def test_the_same_tenant_gives_the_same_bytes_and_json_holds_the_same(filled, tmp_path):
    exported(filled, tmp_path / "one")
    exported(filled, tmp_path / "two")
    exported(filled, tmp_path / "json", "--format", "json")
    assert texts(tmp_path / "one") == texts(tmp_path / "two")
    as_json = {Path(name).with_suffix(""): json.loads(text) for name, text in texts(tmp_path / "json").items()}
    as_yaml = {Path(name).with_suffix(""): yaml.safe_load(text) for name, text in texts(tmp_path / "one").items()}
    assert as_json == as_yaml


def test_only_the_kinds_that_are_named_are_read(filled, tmp_path):
    told = exported(filled, tmp_path / "out", "compliance")
    assert {name.partition("/")[0] for name in texts(tmp_path / "out")} == {"devices", "groups"}
    assert told["kinds"] == {"compliance": 1, "groups": 1}
    wrong = filled("export", "complience", tmp_path / "other")
    assert (wrong.code, "complience is not a kind" in wrong.stderr) == (5, True)
    beta = filled("export", "settings-catalog", tmp_path / "other")
    assert (beta.code, "--allow-beta" in beta.stderr, (tmp_path / "other").exists()) == (5, True, False)


def test_an_export_writes_nothing_to_the_tenant(filled, tenant, tmp_path):
    before = len(tenant.log())
    exported(filled, tmp_path / "out", "--allow-beta")
    assert len(tenant.log()) == before


# -- the folder ----------------------------------------------------------------------------------------------------


def test_a_folder_that_is_not_its_own_is_refused_and_left_as_it_is(filled, tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "thesis.txt").write_text("x", encoding="utf-8")
    refused = filled("export", folder)
    assert (refused.code, "is not empty, and no export wrote it" in refused.stderr) == (5, True)
    assert [path.name for path in folder.iterdir()] == ["thesis.txt"]
    assert filled("export", folder / "thesis.txt").code == 5


def test_its_own_folder_is_brought_up_to_date_and_other_files_in_it_stay(filled, tenant, tmp_path):
    folder = tmp_path / "out"
    exported(filled, folder)
    (folder / "README.md").write_text("ours", encoding="utf-8")
    with tenant.changed() as changed:
        table = changed.state.table("iosManagedAppProtections")
        for key in list(table.objects):
            changed.state.delete("iosManagedAppProtections", key)
    told = exported(filled, folder)
    assert (told["removed"], told["added"], told["changed"]) == (["devices/app-protection/Phones.yaml"], [], [])
    assert (folder / "README.md").read_text(encoding="utf-8") == "ours"


def test_a_file_of_somebody_else_is_never_written_over(filled, tmp_path):
    folder = tmp_path / "out"
    exported(filled, folder, "compliance")
    path = folder / "devices/update-rings/Ring- fast.yaml"
    path.parent.mkdir()
    path.write_text("mine", encoding="utf-8")
    refused = filled("export", folder)
    assert (refused.code, "would be written over" in refused.stderr) == (5, True)
    assert path.read_text(encoding="utf-8") == "mine"


def test_the_export_of_another_tenant_is_not_written_over(filled, tmp_path):
    folder = tmp_path / "out"
    exported(filled, folder)
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    (folder / MANIFEST).write_text(json.dumps({**manifest, "tenant": "another"}), encoding="utf-8")
    assert "the export of another tenant" in filled("export", folder).stderr
    (folder / MANIFEST).write_text(json.dumps({**manifest, "files": {"../../x": "compliance"}}), encoding="utf-8")
    assert "is damaged" in filled("export", folder).stderr


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("Ring: fast", "Ring- fast"),
        ("../../etc/passwd", "etc-passwd"),
        ("CON", "_CON"),
        ("nul.txt", "_nul.txt"),
        ("...", "_"),
        ("Größe 5 (neu)", "Größe 5 (neu)"),
        ("a\tb\nc", "a b c"),
    ],
)
def test_a_name_becomes_a_file_name_on_every_system(name, stem):
    assert stem_of(name) == stem


def test_names_that_would_share_a_file_get_one_each_whatever_their_order():
    files = [File("d", "A/b", "1", {}), File("d", "a:B", "2", {}), File("d", "x", "3", {}), File("d", "x", "4", {})]
    told = dict(zip("1234", paths(files, ".yaml"), strict=True))
    assert len({path.casefold() for path in told.values()}) == 4
    assert dict(zip("4321", paths(files[::-1], ".yaml"), strict=True)) == told


@pytest.mark.parametrize("mark", ["a", "漢", "𠮷"])
def test_no_name_is_too_long_for_the_disk(tmp_path, mark):
    """Graph takes 256 characters, most file systems 255 bytes."""
    files = [File("d", mark * 256, "1", {}), File("d", mark * 256, "2", {}), File("d", mark * 255, "3", {})]
    named = paths(files, ".yaml")
    assert len(set(named)) == 3
    told = open_folder(tmp_path / "out").write("t", ["k"], dict.fromkeys(named, ("k", "text")))
    assert len(told["added"]) == 3


@pytest.mark.parametrize(
    "value",
    ["on", "NO", "0012", "1.10", "2024-01-01", "null", "~", "", " a ", "a\nb", "a\nb\n", "\n a\n\tb ", "x: y", "# z",
     "a\r\nb", "\x07", "12_000", "1e5", "- x", "&a", "*b", "!c", "%d", "'", '"', True, False, None, 3, -2.5, [], {},
     [[1], {"a": None}], "ä😀", "\u2028", "\ufeff"],
)  # fmt: skip
def test_what_is_written_as_yaml_is_read_back_as_it_was(value):
    assert parse_yaml(to_yaml({"value": value})) == {"value": value}


# -- round trips ---------------------------------------------------------------------------------------------------


def test_an_export_planned_on_its_own_tenant_is_empty(filled, tmp_path):
    exported(filled, tmp_path / "out")
    assert status(filled, "devices.policies", tmp_path / "out" / "devices") == "empty"


def test_what_one_tenant_exports_another_one_matches_once_it_is_applied(filled, there, tmp_path):
    a, b = tmp_path / "out-a", tmp_path / "out-b"
    exported(filled, a)
    (a / "devices/configuration/Custom.yaml").unlink()  # its secret stays behind
    given = ("-i", a / "devices", "--create-groups", "--confirm", "contoso.example")
    done = there("apply", "devices.policies", *given, "--yes", "-o", "json")
    assert (done.code, done.json["outcomes"]["done"]) == (0, 3 + 2 + 1 + 2), done.stdout
    assert status(there, "devices.policies", a / "devices") == "empty"
    exported(there, b)
    assert texts(a) == texts(b)


def test_a_secret_that_was_left_behind_blocks_its_policy_alone(filled, there, tmp_path):
    exported(filled, tmp_path / "out")
    given = ("-i", tmp_path / "out/devices", "--create-groups", "--confirm", "contoso.example")
    done = there("apply", "devices.policies", *given, "--yes", "-o", "json")
    assert (done.code, done.json["outcomes"]["skipped"]) == (3, 1)


def test_a_mapping_says_which_groups_of_the_other_tenant_are_meant(filled, there, other, tmp_path):
    exported(filled, tmp_path / "out", "update-rings")
    bind = tmp_path / "bind.yaml"
    bind.write_text("Pilots: Kiosks B\nKiosks: Shared B\n", encoding="utf-8")
    given = ("-i", tmp_path / "out/devices", "--bind", bind)
    missing = there("plan", "devices.policies", "-i", tmp_path / "out/devices", "-o", "json", "--full")
    notes = [item["note"] for item in missing.json["items"] if item["action"] == "blocked"]
    assert notes
    assert all("--create-groups makes it, --bind names another" in note for note in notes)
    assert there("apply", "devices.policies", *given, "--create-groups", "--yes").code == 0
    with closing(other.look()) as look:
        names = {group["displayName"] for group in look.state.table("groups").objects.values()}
    assert {"Kiosks B", "Shared B"} <= names
    assert not {"Pilots", "Kiosks"} & names


def test_a_group_with_a_rule_is_made_with_its_rule(simulated, there, tenant, other, tmp_path):
    rule = '(device.displayName -startsWith "RX1-")'
    group = {
        "displayName": "RX1 devices",
        "mailEnabled": False,
        "securityEnabled": True,
        "mailNickname": "rx1-devices",
        "groupTypes": ["DynamicMembership"],
        "membershipRule": rule,
        "membershipRuleProcessingState": "On",
    }
    made = simulated("graph", "post", "/groups", "--body", json.dumps(group), "--yes", "-o", "json")
    assert made.code == 0, made.stderr
    path = tmp_path / "ring.json"
    path.write_text(json.dumps([{**POLICIES[1], "assignments": [target("group", groupName="RX1 devices")]}]))
    assert simulated("apply", "devices.policies", "-i", path, "--yes").code == 0
    exported(simulated, tmp_path / "out")
    given = ("-i", tmp_path / "out/devices", "--create-groups", "--yes", "-o", "json")
    assert there("apply", "devices.policies", *given).code == 0
    with closing(other.look()) as look:
        (found,) = [g for g in look.state.table("groups").objects.values() if g["displayName"] == "RX1 devices"]
    assert (found["membershipRule"], found["groupTypes"]) == (rule, ["DynamicMembership"])
    exported(there, tmp_path / "back")
    assert texts(tmp_path / "back") == texts(tmp_path / "out")


CA = """\
named_locations:
  - {key: office, name: Head office, ip_ranges: [203.0.113.0/24], trusted: true}
policies:
  - key: mfa
    name: Require MFA
    state: report
    include: {users: [All], roles: []}
    exclude: {users: [USER], groups: [Contractors]}
    apps: {include: [All]}
    conditions: {clientAppTypes: [all], locations: {includeLocations: [All], excludeLocations: [office]}}
    grant: {operator: OR, authenticationStrength: Phishing-resistant MFA}
"""


@pytest.fixture
def declared(monkeypatch):
    monkeypatch.setenv("GRAPHKIT_BREAK_GLASS", "rx1-0001@contoso.example")


def test_conditional_access_goes_from_one_tenant_to_another_by_names(simulated, there, declared, tmp_path):
    path = tmp_path / "ca.yaml"
    path.write_text(CA.replace("USER", "rx1-0001@contoso.example"), encoding="utf-8")
    recipe = "identity.conditional-access"
    assert simulated("apply", recipe, "-i", path, "--create-groups", "--yes").code == 0
    a, b = tmp_path / "out-a", tmp_path / "out-b"
    exported(simulated, a)
    text = texts(a)["conditional-access/policies/Require MFA.yaml"]
    assert "id: Phishing-resistant MFA" in text
    assert "- Head office" in text
    assert "- Contractors" in text
    assert not GUID.search(text)
    assert status(simulated, recipe, a / "conditional-access") == "empty"
    done = there("apply", recipe, "-i", a / "conditional-access", "--create-groups", "--yes", "-o", "json")
    assert (done.code, done.json["outcomes"]["done"]) == (0, 3), done.stdout
    assert status(there, recipe, a / "conditional-access") == "empty"
    exported(there, b)
    assert texts(a) == texts(b)
    one = a / "conditional-access/policies/Require MFA.yaml"
    assert status(simulated, recipe, one) == "empty"


def test_two_groups_of_one_name_stay_ids_and_are_told(simulated, tenant, tmp_path):
    group = {"displayName": "Twins", "mailEnabled": False, "securityEnabled": True}
    ids = []
    for nickname in ("one", "two"):
        body = json.dumps({**group, "mailNickname": nickname})
        ids.append(simulated("graph", "post", "/groups", "--body", body, "--yes", "-o", "json").json["id"])
    path = tmp_path / "ring.json"
    path.write_text(json.dumps([{**POLICIES[1], "assignments": [target("group", groupId=ids[0])]}]))
    assert simulated("apply", "devices.policies", "-i", path, "--yes").code == 0
    told = exported(simulated, tmp_path / "out")
    assert f"groupId: {ids[0]}" in texts(tmp_path / "out")["devices/update-rings/Ring- fast.yaml"]
    assert any("more than one group is called Twins" in note for note in told["notes"])
    assert status(simulated, "devices.policies", tmp_path / "out/devices") == "empty"


def test_scope_tags_and_message_templates_are_named(simulated, there, tmp_path):
    for line, more in ((simulated, 0), (there, 2)):
        for number in range(more):  # so that the numbers of the two tenants differ
            body = json.dumps({"displayName": f"Other {number}"})
            line("graph", "post", "/deviceManagement/roleScopeTags", "--beta", "--body", body, "--yes")
        for path, body in (
            ("roleScopeTags", {"displayName": "RX1"}),
            ("notificationMessageTemplates", {"displayName": "Please update", "brandingOptions": "none"}),
        ):
            made = line("graph", "post", f"/deviceManagement/{path}", "--beta", "--body", json.dumps(body), "--yes")
            assert made.code == 0, made.stderr
    actions = [
        {"actionType": "block", "gracePeriodHours": 24},
        {"actionType": "notification", "notificationTemplateId": "Please update"},
    ]
    rules = [{"ruleName": "PasswordRequired", "scheduledActionConfigurations": actions}]
    path = tmp_path / "floor.json"
    policy = {**POLICIES[0], "roleScopeTagIds": ["RX1"], "scheduledActionsForRule": rules, "assignments": []}
    path.write_text(json.dumps([policy]), encoding="utf-8")
    done = simulated("apply", "devices.policies", "-i", path, "--allow-beta", "--yes", "-o", "json")
    assert done.code == 0, done.stdout + done.stderr
    out = tmp_path / "out"
    exported(simulated, out, "compliance", "--allow-beta")
    (text,) = texts(out).values()
    assert "- RX1" in text
    assert "notificationTemplateId: Please update" in text
    assert status(simulated, "devices.policies", out / "devices", "--allow-beta") == "empty"
    assert there("apply", "devices.policies", "-i", out / "devices", "--allow-beta", "--yes").code == 0
    assert status(there, "devices.policies", out / "devices", "--allow-beta") == "empty"
    exported(there, tmp_path / "back", "compliance", "--allow-beta")
    assert texts(tmp_path / "back") == texts(out)


# -- the published sets --------------------------------------------------------------------------------------------


@pytest.mark.skipif(not INTUNE.exists(), reason="the published set is not beside this checkout")
def test_the_published_intune_set_goes_through_two_tenants(simulated, there, tmp_path):
    flags = ("--allow-beta", "--skip-invalid", "--create-groups")
    made = simulated("apply", "devices.policies", "-i", INTUNE, *flags, "--yes", "-o", "json")
    assert made.json["outcomes"]["failed"] == 0
    a, b = tmp_path / "out-a", tmp_path / "out-b"
    told = exported(simulated, a, "--allow-beta")
    assert sum(told["kinds"].values()) >= 9
    assert not [name for name, text in texts(a).items() if SERVER_FIELDS.search(text)]
    assert status(simulated, "devices.policies", a / "devices", "--allow-beta") == "empty"
    done = there("apply", "devices.policies", "-i", a / "devices", *flags, "--yes", "-o", "json")
    assert done.json["outcomes"]["failed"] == 0
    with_secrets = {secret["file"] for secret in told["secrets"] if secret["path"].endswith(".value")}
    again = there("plan", "devices.policies", "-i", a / "devices", *flags, "-o", "json", "--full")
    assert again.json["status"] == "empty"
    assert again.json["changes"]["blocked"] == len(with_secrets)
    exported(there, b, "--allow-beta")
    left, right = texts(a), texts(b)
    assert {name: text for name, text in left.items() if name not in with_secrets} == right


@pytest.mark.parametrize("given", [BASELINE, TEMPLATES], ids=["baseline", "templates"])
def test_the_published_conditional_access_sets_go_through_two_tenants(simulated, there, declared, tmp_path, given):
    if not given.exists():
        pytest.skip("the published set is not beside this checkout")
    recipe = "identity.conditional-access"
    flags = ("--allow-beta", "--create-groups", "--add-break-glass")
    sound = tmp_path / "sound"
    shutil.copytree(given, sound)
    checked = simulated("plan", recipe, "-i", sound, *flags, "-o", "json").json
    for problem in checked.get("error", {}).get("errors", ()):
        Path(problem["file"]).unlink(missing_ok=True)
    made = simulated("apply", recipe, "-i", sound, *flags, "--yes", "-o", "json")
    # What the service refuses is another test's business.
    assert (made.json["outcomes"]["done"] > 30, made.json["outcomes"]["unknown"]) == (True, 0), made.stderr
    a, b = tmp_path / "out-a", tmp_path / "out-b"
    told = exported(simulated, a, "--allow-beta")
    assert told["kinds"]["conditional-access"] > 5
    assert not [name for name, text in texts(a).items() if SERVER_FIELDS.search(text.replace("  id:", ""))]
    assert status(simulated, recipe, a / "conditional-access", "--allow-beta") == "empty"
    done = there("apply", recipe, "-i", a / "conditional-access", *flags, "--yes", "-o", "json")
    assert done.code == 0, done.stdout
    assert status(there, recipe, a / "conditional-access", "--allow-beta") == "empty"
    exported(there, b, "--allow-beta")
    assert texts(a) == texts(b)
