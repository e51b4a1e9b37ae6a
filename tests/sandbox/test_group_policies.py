"""Settings of groups, what they make of names, and the lifecycle policy."""

from __future__ import annotations

import pytest

UNIFIED = "62375ab9-6b52-47ed-826b-58e47e0e304b"
GUESTS = "08d542b9-071f-4e16-94b0-74abb372e3d9"
NAMING = {"PrefixSuffixNamingRequirement": "GRP_[GroupName]_[Department]"}


def rows(values):
    return [{"name": name, "value": value} for name, value in values.items()]


def put(graph, values, template=UNIFIED, path="/groupSettings"):
    return graph("POST", path, {"templateId": template, "values": rows(values)})


def values_of(setting):
    return {row["name"]: row["value"] for row in setting["values"]}


def unified(name, nickname, **more):
    return {"displayName": name, "mailNickname": nickname, "mailEnabled": True, "securityEnabled": False,
            "groupTypes": ["Unified"], **more}  # fmt: skip


# -- templates and settings --------------------------------------------------------------------------------------


def test_the_templates_are_the_published_ones(graph):
    """concepts/group-directory-settings.md"""
    found = {each["displayName"]: each for each in graph("GET", "/groupSettingTemplates").json["value"]}
    assert found.keys() == {
        "Application", "Consent Policy Settings", "Custom Policy Settings", "Group.Unified", "Group.Unified.Guest",
        "Password Rule Settings", "Prohibited Names Restricted Settings", "Prohibited Names Settings",
    }  # fmt: skip
    defaults = {row["name"]: row["defaultValue"] for row in found["Group.Unified"]["values"]}
    assert (defaults["EnableGroupCreation"], defaults["AllowGuestsToBeGroupOwner"]) == ("true", "false")
    assert graph("GET", f"/groupSettingTemplates/{UNIFIED}").json["values"][2]["type"] == "System.String"
    assert graph("GET", "/groupSettingTemplates/nonsense").status == 404


def test_a_new_setting_has_the_template_s_values_and_those_that_were_sent(graph):
    """group-post-settings.md"""
    assert graph("GET", "/groupSettings").json["value"] == []
    made = put(graph, {"EnableGroupCreation": "false"})
    assert (made.status, made.json["displayName"]) == (201, "Group.Unified")
    values = values_of(graph("GET", f"/groupSettings/{made.json['id']}").json)
    assert len(values) == 15
    assert (values["EnableGroupCreation"], values["AllowToAddGuests"]) == ("false", "true")


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        ({"templateId": UNIFIED}, "values"),
        ({"values": []}, "templateId"),
        ({"templateId": "nonsense", "values": []}, "nonsense"),
        ({"templateId": UNIFIED, "values": rows({"Nonsense": "1"})}, "Nonsense"),
        ({"templateId": UNIFIED, "values": rows({"EnableGroupCreation": "perhaps"})}, "EnableGroupCreation"),
        ({"templateId": UNIFIED, "values": rows({"GroupCreationAllowedGroupId": "x"})}, "GroupCreationAllowedGroupId"),
        ({"templateId": UNIFIED, "values": rows({"PrefixSuffixNamingRequirement": "GRP_"})}, "PrefixSuffix"),
        ({"templateId": UNIFIED, "values": [], "displayName": "Mine"}, "displayName"),
        ({"templateId": GUESTS, "values": []}, "Group.Unified.Guest"),
    ],
)
def test_a_setting_that_its_template_does_not_know_is_refused(graph, sent, told):
    refused = graph("POST", "/groupSettings", sent)
    assert refused.status == 400
    assert told in refused.message


def test_there_is_one_setting_for_each_template(graph):
    """MicrosoftDocs/azure-docs#82180"""
    put(graph, {})
    told = put(graph, {})
    assert told.message == "Another object with the same value for property templateId already exists."
    assert put(graph, {}, "80661d51-be2f-4d46-9713-98a2fcaec5bc").status == 201


def test_an_update_replaces_all_values_or_nothing(graph):
    """groupsetting-update.md; MicrosoftDocs/entra-docs#488"""
    made = put(graph, {"UsageGuidelinesUrl": "https://contoso.example"}).json
    path = f"/groupSettings/{made['id']}"
    told = graph("PATCH", path, {"values": rows({"EnableGroupCreation": "false"})})
    assert (told.status, "was not provided" in told.message) == (400, True)
    assert graph("GET", path).json["values"] == made["values"]
    wanted = {**values_of(made), "EnableGroupCreation": "false", "UsageGuidelinesUrl": ""}
    assert graph("PATCH", path, {"values": rows(wanted)}).status == 204
    assert values_of(graph("GET", path).json) == wanted
    assert graph("PATCH", path, {"templateId": GUESTS}).status == 400
    assert graph("DELETE", path).status == 204
    assert graph("GET", path).status == 404


def test_a_group_has_settings_of_its_own(graph):
    group = graph.unified()
    path = f"/groups/{group}/settings"
    made = put(graph, {"AllowToAddGuests": "false"}, GUESTS, path)
    assert made.status == 201
    assert [each["id"] for each in graph("GET", path).json["value"]] == [made.json["id"]]
    assert graph("GET", "/groupSettings").json["value"] == []
    assert graph("GET", f"/groupSettings/{made.json['id']}").status == 404
    # MicrosoftDocs/azure-docs#16950
    assert "A conflicting object" in put(graph, {"AllowToAddGuests": "true"}, GUESTS, path).message
    one = f"{path}/{made.json['id']}"
    assert graph("PATCH", one, {"values": rows({"AllowToAddGuests": "true"})}).status == 204
    assert values_of(graph("GET", one).json) == {"AllowToAddGuests": "true"}
    assert graph("DELETE", one).status == 204
    assert graph("GET", path).json["value"] == []


@pytest.mark.parametrize("template", [UNIFIED, GUESTS])
def test_a_security_group_has_no_settings(graph, template):
    assert put(graph, {}, template, f"/groups/{graph.group()}/settings").status == 400


def test_beta_calls_the_same_settings(graph):
    made = put(graph, {}).json
    assert graph("GET", "/settings", version="beta").json["value"][0]["id"] == made["id"]
    assert graph("GET", f"/directorySettingTemplates/{UNIFIED}", version="beta").status == 200
    assert graph("GET", "/settings").status == 400


# -- names -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "nickname", "fits"),
    [
        ("GRP_Ward_", "GRP_ward_", True),
        ("Ward", "GRP_ward_", False),
        ("GRP_Ward_", "ward", False),
        ("GRP_Ward_Nursing", "GRP_ward_", False),
    ],
)
def test_names_must_have_the_prefix_and_suffix_and_an_app_has_no_department(graph, name, nickname, fits):
    """microsoftgraph/microsoft-graph-docs#7842, microsoftgraph/msgraph-sdk-dotnet#1153"""
    put(graph, NAMING)
    told = graph("POST", "/groups", unified(name, nickname))
    assert (told.status == 201) is fits
    if not fits:
        assert told.message.startswith("The property is missing a required prefix/suffix")
        assert told.json["error"]["details"][0]["code"] == "MissingPrefixSuffix"


def test_the_refusal_suggests_a_name(graph):
    put(graph, {"PrefixSuffixNamingRequirement": "[Contoso - ][GroupName]"})
    told = graph("POST", "/groups", unified("Ward", "Contoso-ward"))
    assert told.json["error"]["details"] == [
        {"target": "displayName", "code": "MissingPrefixSuffix", "suggestedPropertyValue": "Contoso - Ward"}
    ]
    assert graph("POST", "/groups", unified("Contoso - Ward", "Contoso-ward")).status == 201


@pytest.mark.parametrize(
    ("name", "fits"), [("Payroll", False), ("The CEO club", False), ("Class", True), ("payrolls", True)]
)
def test_blocked_words_are_whole_words_whatever_their_case(graph, name, fits):
    """groups-naming-policy.md of entra-docs"""
    put(graph, {"CustomBlockedWordsList": "payroll, ceo,lass"})
    assert (graph("POST", "/groups", unified(name, "ward")).status == 201) is fits


def test_the_policy_is_for_microsoft_365_groups_and_for_names_that_are_touched(graph):
    before = graph.unified("Payroll")
    put(graph, {**NAMING, "CustomBlockedWordsList": "Payroll"})
    assert graph.group("Payroll")
    assert graph("PATCH", f"/groups/{before}", {"description": "x"}).status == 204
    assert graph("PATCH", f"/groups/{before}", {"displayName": "Payroll"}).status == 400


def test_an_app_that_is_user_administrator_is_exempt(graph):
    put(graph, NAMING)
    app = graph.tenant.seed.id_of("servicePrincipal", graph.tenant.seed.app_id)
    role = {"roleDefinitionId": "fe930be7-5e62-47db-91af-98c3a49a38b1", "principalId": app, "directoryScopeId": "/"}
    assert graph("POST", "/roleManagement/directory/roleAssignments", role).status == 201
    signer = graph.tenant.login.signer
    claims = {"iss": signer.issuer, "exp": graph.clock.at + 99, "idtyp": "app", "appid": graph.tenant.seed.app_id,
              "roles": ["Group.ReadWrite.All"]}  # fmt: skip
    told = graph("POST", "/groups", unified("Ward", "ward"), Authorization=f"Bearer {signer.sign(claims)}")
    assert told.status == 201


def test_a_default_classification_is_filled_in_and_others_must_be_listed(graph):
    put(graph, {"ClassificationList": "Low,High", "DefaultClassification": "Low"})
    assert graph("POST", "/groups", unified("A", "a")).json["classification"] == "Low"
    assert graph("POST", "/groups", unified("B", "b", classification="High")).json["classification"] == "High"
    assert graph("POST", "/groups", unified("C", "c", classification="Secret")).status == 400


@pytest.mark.parametrize(
    ("sent", "codes"),
    [
        ({"displayName": "GRP_A_", "mailNickname": "GRP_a_"}, []),
        ({"displayName": "A", "mailNickname": "a"}, ["MissingPrefixSuffix", "MissingPrefixSuffix"]),
        ({"displayName": "GRP_Payroll_"}, ["ContainsBlockedWord"]),
        ({"displayName": "GRP_Payrolls_"}, []),
        ({"mailNickname": "GRP_taken_"}, ["PropertyConflict"]),
    ],
)
def test_names_can_be_tried_before(graph, sent, codes):
    """directoryobject-validateproperties.md"""
    put(graph, {**NAMING, "CustomBlockedWordsList": "Payroll"})
    assert graph("POST", "/groups", unified("GRP_T_", "GRP_taken_")).status == 201
    told = graph("POST", "/directoryObjects/validateProperties", {"entityType": "Group", **sent})
    assert told.status == (422 if codes else 204)
    if codes:
        assert told.code == "Request_UnprocessableEntity"
        assert [detail["code"] for detail in told.json["error"]["details"]] == codes


def test_a_group_may_keep_its_own_name(graph):
    group = graph.unified("Ward")
    assert graph("POST", f"/groups/{group}/validateProperties", {"mailNickname": "Ward"}).status == 204
    assert graph("POST", "/directoryObjects/validateProperties", {"mailNickname": "Ward"}).status == 422
    assert graph("POST", f"/groups/{group}/validateProperties", {}).status == 400


# -- expiry ------------------------------------------------------------------------------------------------------

POLICY = {"groupLifetimeInDays": 180, "managedGroupTypes": "Selected", "alternateNotificationEmails": "a@x.example"}


def policy(graph, **more):
    return graph("POST", "/groupLifecyclePolicies", {**POLICY, **more})


@pytest.mark.parametrize(
    "change",
    [{"groupLifetimeInDays": 29}, {"groupLifetimeInDays": None}, {"managedGroupTypes": "some"}, {"id": "x"}],
)
def test_a_policy_that_breaks_a_rule_is_refused(graph, change):
    assert policy(graph, **change).status == 400


def test_a_tenant_has_one_lifecycle_policy(graph):
    """microsoftgraph/microsoft-graph-docs#4013"""
    made = policy(graph)
    assert made.status == 201
    assert policy(graph).code == "MaxExpirationPoliciesCountReached"
    path = f"/groupLifecyclePolicies/{made.json['id']}"
    changed = graph("PATCH", path, {"groupLifetimeInDays": 90})
    assert (changed.status, changed.json["groupLifetimeInDays"]) == (200, 90)
    assert graph("DELETE", path).status == 204
    assert graph("GET", "/groupLifecyclePolicies").json["value"] == []
    assert policy(graph).status == 201


def test_selected_groups_expire_and_are_renewed(graph):
    group, other, security = graph.unified("A"), graph.unified("B"), graph.group("C")
    path = f"/groupLifecyclePolicies/{policy(graph).json['id']}"
    for key, done in ((group, True), (security, False)):
        assert graph("POST", f"{path}/addGroup", {"groupId": key}).json["value"] is done
    expiry = graph("GET", f"/groups/{group}?$select=expirationDateTime").json["expirationDateTime"]
    assert expiry == "2026-07-04T09:00:00Z"  # 180 days after the group was made
    assert graph("GET", f"/groups/{other}").json["expirationDateTime"] is None
    assert len(graph("GET", f"/groups/{group}/groupLifecyclePolicies").json["value"]) == 1
    assert graph("GET", f"/groups/{other}/groupLifecyclePolicies").json["value"] == []
    graph.clock.at += 86400
    assert graph("POST", f"/groups/{group}/renew").status == 204
    assert graph("GET", f"/groups/{group}").json["expirationDateTime"].startswith("2026-07-05")
    assert graph("POST", f"{path}/removeGroup", {"groupId": group}).json["value"] is True
    assert graph("POST", f"{path}/removeGroup", {"groupId": group}).json["value"] is False
    assert graph("GET", f"/groups/{group}").json["expirationDateTime"] is None


def test_a_policy_for_all_is_for_every_microsoft_365_group(graph):
    group, security = graph.unified("A"), graph.group("C")
    made = policy(graph, managedGroupTypes="All").json
    assert graph("GET", f"/groups/{group}").json["expirationDateTime"]
    assert graph("GET", f"/groups/{security}").json["expirationDateTime"] is None
    assert graph("POST", f"/groupLifecyclePolicies/{made['id']}/addGroup", {"groupId": group}).json["value"] is False
    found = graph("GET", "/groups?$filter=expirationDateTime le 2030-01-01T00:00:00Z&$count=true",
                  ConsistencyLevel="eventual").json  # fmt: skip
    assert [each["id"] for each in found["value"]] == [group]


def test_a_security_group_is_not_renewed(graph):
    assert graph("POST", f"/groups/{graph.group()}/renew").status == 400
