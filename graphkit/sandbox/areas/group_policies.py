"""Settings of groups, for the tenant and for one group, and names held against them.

api-reference/v1.0/api/groupsetting-*.md, group-post-settings.md, groupsettingtemplate-list.md, *-validateproperties.md.
In beta the same objects are called ``settings`` and ``directorySettingTemplates``.
"""

from __future__ import annotations

import re

from graphkit.sandbox.areas.group_rules import is_unified
from graphkit.sandbox.areas.groups import find
from graphkit.sandbox.call import Call, Json, Refusal, Reply, bad_request, conflict, not_found
from graphkit.sandbox.permissions import DIRECTORY, GROUP_SETTINGS, GROUP_SETTINGS_WRITE
from graphkit.sandbox.query.listing import Kind, entity, listing
from graphkit.sandbox.router import Routes
from graphkit.sandbox.rules.group_settings import TEMPLATES, UNIFIED_GUEST
from graphkit.sandbox.rules.naming_policy import breaches
from graphkit.sandbox.schema.check import check, check_changeable, check_required, check_writable, is_guid

routes = Routes()

SETTING_KIND = Kind("groupSettings", "groupSetting")
TEMPLATE_KIND = Kind("groupSettingTemplates", "groupSettingTemplate")
TEMPLATES_READ = ("GroupSettings.Read.All", "GroupSettings.ReadWrite.All", *DIRECTORY)
MAX_NAMING = 64
_FORMS = {
    "System.Boolean": re.compile(r"true|false", re.IGNORECASE),
    "System.Int32": re.compile(r"\d{1,9}"),
    "System.String": re.compile(r".*", re.DOTALL),
}


# -- templates ---------------------------------------------------------------------------------------------------


@routes.get("/groupSettingTemplates", TEMPLATES_READ, page="groupsettingtemplate-list")
@routes.get("/directorySettingTemplates", TEMPLATES_READ, page="directorysettingtemplate-list", beta_only=True)
def list_templates(call: Call) -> Reply:
    return listing(call, TEMPLATE_KIND, list(TEMPLATES.values()), pages=False)


@routes.get("/groupSettingTemplates/{template}", TEMPLATES_READ, page="groupsettingtemplate-get")
@routes.get("/directorySettingTemplates/{template}", TEMPLATES_READ, page="directorysettingtemplate-get",
            beta_only=True)  # fmt: skip
def get_template(call: Call) -> Reply:
    found = TEMPLATES.get(call.params["template"].lower())
    if found is None:
        raise not_found(call.params["template"])
    return entity(call, TEMPLATE_KIND, found)


# -- settings ----------------------------------------------------------------------------------------------------


def _settings_of(call: Call, group_id: str | None) -> list[Json | None]:
    """Those of a group, or the tenant's own."""
    state = call.tenant.state
    found = state.table("groupSettings").objects.values()
    return [setting for setting in found if setting.get("_group") == group_id]


def _setting(call: Call, group_id: str | None) -> Json:
    found = call.tenant.state.get("groupSettings", call.params["setting"].lower())
    if found is None or found.get("_group") != group_id:
        raise not_found(call.params["setting"])
    return found


@routes.get("/groupSettings", GROUP_SETTINGS, page="groupsetting-list")
@routes.get("/settings", GROUP_SETTINGS, page="directorysetting-list", beta_only=True)
def list_settings(call: Call) -> Reply:
    return listing(call, SETTING_KIND, _settings_of(call, None), pages=False)


@routes.post("/groupSettings", GROUP_SETTINGS_WRITE, page="group-post-settings")
@routes.post("/settings", GROUP_SETTINGS_WRITE, page="directorysetting-post-settings", beta_only=True)
def create_setting(call: Call) -> Reply:
    return _create(call, None)


@routes.get("/groupSettings/{setting}", GROUP_SETTINGS, page="groupsetting-get")
@routes.get("/settings/{setting}", GROUP_SETTINGS, page="directorysetting-get", beta_only=True)
def get_setting(call: Call) -> Reply:
    return entity(call, SETTING_KIND, _setting(call, None))


@routes.patch("/groupSettings/{setting}", GROUP_SETTINGS_WRITE, page="groupsetting-update")
@routes.patch("/settings/{setting}", GROUP_SETTINGS_WRITE, page="directorysetting-update", beta_only=True)
def update_setting(call: Call) -> Reply:
    return _update(call, _setting(call, None))


@routes.delete("/groupSettings/{setting}", GROUP_SETTINGS_WRITE, page="groupsetting-delete")
@routes.delete("/settings/{setting}", GROUP_SETTINGS_WRITE, page="directorysetting-delete", beta_only=True)
def delete_setting(call: Call) -> Reply:
    call.tenant.state.delete("groupSettings", _setting(call, None)["id"])
    return Reply(204)


@routes.get("/groups/{group}/settings", GROUP_SETTINGS, page="groupsetting-list")
def list_group_settings(call: Call) -> Reply:
    return listing(call, SETTING_KIND, _settings_of(call, find(call)["id"]), pages=False)


@routes.post("/groups/{group}/settings", GROUP_SETTINGS_WRITE, page="group-post-settings")
def create_group_setting(call: Call) -> Reply:
    return _create(call, find(call))


@routes.get("/groups/{group}/settings/{setting}", GROUP_SETTINGS, page="groupsetting-get")
def get_group_setting(call: Call) -> Reply:
    return entity(call, SETTING_KIND, _setting(call, find(call)["id"]))


@routes.patch("/groups/{group}/settings/{setting}", GROUP_SETTINGS_WRITE, page="groupsetting-update")
def update_group_setting(call: Call) -> Reply:
    return _update(call, _setting(call, find(call)["id"]))


@routes.delete("/groups/{group}/settings/{setting}", GROUP_SETTINGS_WRITE, page="groupsetting-delete")
def delete_group_setting(call: Call) -> Reply:
    setting = _setting(call, find(call)["id"])
    call.tenant.state.unlink("groupSettings", setting["_group"], setting["id"])
    call.tenant.state.delete("groupSettings", setting["id"])
    return Reply(204)


def _create(call: Call, group: Json | None) -> Reply:
    """One object for each template. Values that are not sent get the template's defaults (group-post-settings.md)."""
    body = call.json
    found = check(body, "groupSetting", call.version)
    check_writable(body, found)
    check_required(body, found)
    template = TEMPLATES.get(str(body["templateId"]).lower())
    if template is None:
        raise bad_request(f"SettingTemplate with id '{body['templateId']}' is not found.")
    _check_place(template, group)
    _check_only_one(call, template, group)
    values = {row["name"]: row["defaultValue"] for row in template["values"]}
    setting: Json = {
        "id": call.tenant.new_id(),
        "displayName": template["displayName"],
        "templateId": template["id"],
        "values": _rows(values | _given(template, body["values"])),
        "_group": group["id"] if group else None,
    }
    call.tenant.state.put("groupSettings", setting)
    if group is not None:
        call.tenant.state.link("groupSettings", group["id"], setting["id"])
    return entity(call, SETTING_KIND, setting, status=201)


def _check_place(template: Json, group: Json | None) -> None:
    """Group.Unified.Guest is for one Microsoft 365 group, every other template for the tenant."""
    if (template["id"] == UNIFIED_GUEST) != (group is not None) or (group is not None and not is_unified(group)):
        raise bad_request(f"The setting template '{template['displayName']}' cannot be used here.")


def _check_only_one(call: Call, template: Json, group: Json | None) -> None:
    present = _settings_of(call, group["id"] if group else None)
    if not any(setting and setting["templateId"] == template["id"] for setting in present):
        return
    if group is None:
        raise conflict("templateId")  # MicrosoftDocs/azure-docs#82180
    # MicrosoftDocs/azure-docs#16950
    raise bad_request("A conflicting object with one or more of the specified property values is present in the "
                      "directory.")  # fmt: skip


def _update(call: Call, setting: Json) -> Reply:
    """``values`` replace the whole set: "You cannot update a single set of values" (groupsetting-update.md). What is
    left out is a 400 (MicrosoftDocs/entra-docs#488), in the words told in microsoftgraph/microsoft-graph-docs#1607.
    """
    body = {name: value for name, value in call.json.items()
            if name not in ("id", "displayName", "templateId") or value != setting.get(name)}  # fmt: skip
    check_changeable(body, check(body, "groupSetting", call.version))
    template = TEMPLATES[setting["templateId"]]
    values = _given(template, body.get("values") or [])
    for row in template["values"]:
        if row["name"] not in values:
            raise bad_request(
                f"The expected property '{row['name']}' defined in template with SettingTemplateId '{template['id']}' "
                "was not provided."
            )
    call.tenant.state.put("groupSettings", {**setting, "values": _rows(values)})
    return Reply(204)


def _rows(values: dict[str, str]) -> list[Json]:
    return [{"name": name, "value": value} for name, value in values.items()]


def _given(template: Json, rows: list[Json]) -> dict[str, str]:
    kinds = {row["name"]: row["type"] for row in template["values"]}
    values: dict[str, str] = {}
    for row in rows:
        name, value = str(row.get("name")), row.get("value") or ""
        if name not in kinds:
            raise bad_request(f"The property '{name}' is not defined in template with SettingTemplateId "
                              f"'{template['id']}'.")  # fmt: skip
        _check_value(name, value, kinds[name])
        values[name] = value
    return values


def _check_value(name: str, value: str, kind: str) -> None:
    fits = (not value or is_guid(value)) if kind == "System.Guid" else _FORMS[kind].fullmatch(value)
    if name == "PrefixSuffixNamingRequirement" and value:
        # groups-naming-policy.md: one [GroupName], and at most 64 characters
        fits = len(value) <= MAX_NAMING and value.lower().count("[groupname]") == 1
    if not fits:
        raise bad_request(f"Invalid value specified for property '{name}' of resource 'GroupSetting'.")


# -- names -------------------------------------------------------------------------------------------------------


@routes.post("/groups/{group}/validateProperties", ("Group.Read.All", "Group.ReadWrite.All"),
             page="group-validateproperties")  # fmt: skip
def validate_for_group(call: Call) -> Reply:
    return _validate(call, find(call)["id"])


@routes.post("/directoryObjects/validateProperties", ("Group.Read.All", "Group.ReadWrite.All", *DIRECTORY),
             page="directoryobject-validateproperties")  # fmt: skip
def validate_for_new(call: Call) -> Reply:
    if str(call.json.get("entityType") or "Group").lower() != "group":
        raise bad_request("Group is the only supported entityType.")
    return _validate(call, None)


def _validate(call: Call, group_id: str | None) -> Reply:
    """204, or 422 with what the names break. ``onBehalfOfUserId`` is read and not looked at."""
    names = {name: call.json[name] for name in ("displayName", "mailNickname") if call.json.get(name)}
    if not names or not all(isinstance(value, str) for value in names.values()):
        raise bad_request("At least one of displayName and mailNickname is required.")
    found = breaches(call, names) or _taken(call, names.get("mailNickname"), group_id)
    if found:
        told = [{key: value for key, value in detail.items() if key != "suggestedPropertyValue"} for detail in found]
        raise Refusal(422, "Request_UnprocessableEntity",
                      "The values provided contain one or more validation errors.", details=told)  # fmt: skip
    return Reply(204)


def _taken(call: Call, nickname: str | None, own: str | None) -> list[Json]:
    groups = call.tenant.state.table("groups").find("mailNickname", nickname) if nickname else []
    if not any(is_unified(group) and group["id"] != own for group in groups):
        return []
    message = "Another object with the same value for property mailNickname already exists."
    return [{"target": "mailNickname", "code": "PropertyConflict", "message": message}]
