"""The settings catalogue (configurationPolicies) and administrative templates (groupPolicyConfigurations), beta only.

api-reference/beta/api/intune-deviceconfigv2-devicemanagementconfigurationpolicy-*.md. Which settings exist, and what
values they take, is not modelled: a definition's id is taken as it comes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from graphkit.sandbox.areas.intune_policies import Collection, Policies
from graphkit.sandbox.areas.intune_words import absent, read, refuse
from graphkit.sandbox.call import Call, Json, Refusal, Reply
from graphkit.sandbox.ids import instant
from graphkit.sandbox.permissions import INTUNE, INTUNE_WRITE
from graphkit.sandbox.query.listing import Kind, listing
from graphkit.sandbox.schema.check import check_required

ROOT = "/deviceManagement/configurationPolicies"
FIXED = ("platforms", "technologies", "creationSource")
SEALED = "#microsoft.graph.deviceManagementConfigurationSecretSettingValue"
NO_TEMPLATE = {
    "templateId": "",
    "templateFamily": "none",
    "templateDisplayName": None,
    "templateDisplayVersion": None,
}
SETTING_KIND = Kind(
    "deviceManagement/configurationPolicies/settings", "deviceManagementConfigurationSetting", page=1000, max_page=1000
)


def _settings(_: Call, policy: Json) -> list[Json]:
    return list(policy.get("settings") or [])


def _rules(call: Call, policy: Json, before: Json | None) -> Json:
    """A PATCH leaves the settings alone; they are numbered anew when they come."""
    template = {**NO_TEMPLATE, **(policy.get("templateReference") or {})}
    if before is not None:
        if any(policy.get(name) != before.get(name) for name in FIXED):
            # KelvinTegelaar/CIPP#3744
            raise refuse(call, "Platform, PolicyType, and CreationSource cannot be changed once created.")
        if template != before["templateReference"]:
            raise refuse(call)
        if policy.get("settings") is before["settings"]:
            return policy
    settings = [
        {"id": str(number), **_sealed(call, {n: v for n, v in setting.items() if "@" not in n and n != "id"})}
        for number, setting in enumerate(policy.get("settings") or [])
    ]
    return {
        **policy,
        "description": policy.get("description") or "",
        "templateReference": template,
        "settings": settings,
        "settingCount": len(settings),
    }


def _sealed(call: Call, value: Any) -> Any:
    """Secrets are exchanged for tokens: the value itself is never shown again."""
    if isinstance(value, list):
        return [_sealed(call, item) for item in value]
    if not isinstance(value, dict):
        return value
    if value.get("@odata.type") == SEALED and value.get("valueState") == "notEncrypted":
        return {**value, "value": call.tenant.new_id(), "valueState": "encryptedValueToken"}
    return {name: _sealed(call, item) for name, item in value.items()}


POLICIES = Policies(
    Collection(
        ROOT,
        "deviceManagementConfigurationPolicy",
        "intune-deviceconfigv2-devicemanagementconfigurationpolicy",
        assignment="deviceManagementConfigurationPolicyAssignment",
        beta_only=True,
        name="name",
        rule=_rules,
        expands={"settings": _settings},
    )
)
routes = POLICIES.routes()


@routes.put(ROOT + "/{policy}", INTUNE_WRITE, page="intune-deviceconfigv2-devicemanagementconfigurationpolicy-update")
def replace_policy(call: Call) -> Reply:
    """How settings are changed: the whole policy is sent again (microsoftgraph/powershell-intune-samples#286).

    Not on the page; as the admin centre and Microsoft365DSC/Microsoft365DSC#6625 do it. 204 is an assumption.
    """
    policy = POLICIES.find(call)
    body, found = read(call, call.json, "deviceManagementConfigurationPolicy")
    check_required(body, found, code="BadRequest")
    POLICIES.change(call, policy, {"settings": [], **body})
    return Reply(204)


@routes.get(ROOT + "/{policy}/settings", INTUNE, page="intune-deviceconfigv2-devicemanagementconfigurationsetting-list")
def list_settings(call: Call) -> Reply:
    return listing(call, SETTING_KIND, list(POLICIES.find(call)["settings"]))


TEMPLATES = Policies(
    Collection(
        "/deviceManagement/groupPolicyConfigurations",
        "groupPolicyConfiguration",
        "intune-grouppolicy-grouppolicyconfiguration",
        assignment="groupPolicyConfigurationAssignment",
        beta_only=True,
        # What an administrator makes is of this kind; the enumeration's first member is "unknown".
        rule=lambda _, policy, __: {**policy, "policyConfigurationIngestionType": "builtIn"},
    )
)
routes += TEMPLATES.routes()
ONE = "/deviceManagement/groupPolicyConfigurations/{policy}"
VALUES = ONE + "/definitionValues"
_VALUE_PAGE = "intune-grouppolicy-grouppolicydefinitionvalue"
_BOUND = re.compile(r"\('([0-9a-fA-F-]{36})'\)$|/([0-9a-fA-F-]{36})$")


def _bound(call: Call, item: Json, name: str) -> str:
    """The id at the end of ``name@odata.bind``. Whether there is such a definition is not asked."""
    found = _BOUND.search(str(item.get(f"{name}@odata.bind")))
    if found is None:
        raise refuse(call)
    return (found[1] or found[2]).lower()


@routes.get(VALUES, INTUNE, page=f"{_VALUE_PAGE}-list")
def list_values(call: Call) -> Reply:
    """With the ids of the definitions that they bind to, and no more of them: those are not modelled."""
    expand = call.query.get("$expand") or ""
    if expand and not expand.startswith("definition"):
        raise Refusal(501, "NotModelled", "The simulated tenant expands the definitions of group policies only.")
    context = call.context("deviceManagement/groupPolicyConfigurations/definitionValues")
    values = [
        {**_public(value), **({"definition": {"id": value["_definition"]}} if expand else {})}
        for value in TEMPLATES.find(call).get("_values", [])
    ]
    return Reply(200, {"@odata.context": context, "value": values})


@routes.get(VALUES + "/{value}/presentationValues", INTUNE, page="intune-grouppolicy-grouppolicypresentationvalue-list")
def list_presentations(call: Call) -> Reply:
    for value in TEMPLATES.find(call).get("_values", []):
        if value["id"] == call.params["value"]:
            shown = [{**_public(each), "presentation": {"id": each["_presentation"]}} for each in value["_shown"]]
            return Reply(200, {"@odata.context": call.context("groupPolicyPresentationValues"), "value": shown})
    raise absent(call)


def _public(item: Json) -> Json:
    return {name: value for name, value in item.items() if name[0] != "_"}


@routes.post(VALUES, INTUNE_WRITE, page=f"{_VALUE_PAGE}-create")
def create_value(call: Call) -> Reply:
    value = _value(call, call.json)
    _keep(call, [value], ())
    return Reply(201, {"@odata.context": call.context("groupPolicyDefinitionValues/$entity"), **_public(value)})


def _value(call: Call, body: Json, key: str = "") -> Json:
    """Published sets write ``enabled`` as text, and are taken."""
    enabled = str(body.get("enabled")).lower()
    if enabled not in ("true", "false"):
        raise refuse(call)
    shown = [
        {
            "id": call.tenant.new_id(),
            **{name: item for name, item in each.items() if "@odata.bind" not in name},
            "_presentation": _bound(call, each, "presentation"),
        }
        for each in body.get("presentationValues") or ()
    ]
    return {
        "id": key or call.tenant.new_id(),
        "createdDateTime": instant(call.now),
        "lastModifiedDateTime": instant(call.now),
        "configurationType": "policy",
        "enabled": enabled == "true",
        "_definition": _bound(call, body, "definition"),
        "_shown": shown,
    }


def _keep(call: Call, values: list[Json], gone: Iterable[str]) -> None:
    """A definition has one value (assumption): a later one takes its place."""
    policy = TEMPLATES.find(call)
    new, gone = {value["_definition"] for value in values}, set(gone)
    kept = [each for each in policy.get("_values", []) if each["id"] not in gone and each["_definition"] not in new]
    call.tenant.state.put("groupPolicyConfigurations", {**policy, "_values": [*kept, *values]})


@routes.post(
    ONE + "/updateDefinitionValues",
    INTUNE_WRITE,
    page="intune-grouppolicy-grouppolicyconfiguration-updatedefinitionvalues",
)
def update_values(call: Call) -> Reply:
    added, updated = call.json.get("added") or [], call.json.get("updated") or []
    there = {value["id"] for value in TEMPLATES.find(call).get("_values", [])}
    if any(each.get("id") not in there for each in updated):
        raise absent(call)
    values = [_value(call, each) for each in added] + [_value(call, each, each["id"]) for each in updated]
    _keep(call, values, call.json.get("deletedIds") or ())
    return Reply(204)
