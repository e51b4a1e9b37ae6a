"""Device configurations: every heir of deviceConfiguration, and the rules that some have of their own.

api-reference/v1.0/api/intune-deviceconfig-*configuration-*.md. The values of a custom configuration's settings that may
be secret come back masked, with a reference that getOmaSettingPlainTextValue exchanges for the value.
"""

from __future__ import annotations

from graphkit.sandbox.areas import update_rings
from graphkit.sandbox.areas.intune_policies import Collection, Policies, counted
from graphkit.sandbox.areas.intune_words import absent
from graphkit.sandbox.call import Call, Json, Reply
from graphkit.sandbox.permissions import INTUNE

MASK = "****"
SECRET = frozenset(["omaSettingString", "omaSettingStringXml", "omaSettingBase64"])
"""Those that the service encrypts; numbers, dates and truth values stay readable in published exports."""


def _rules(call: Call, policy: Json, before: Json | None) -> Json:
    if policy["@odata.type"] == "#microsoft.graph.windowsUpdateForBusinessConfiguration":
        policy = update_rings.rules(call, policy, before)
    if policy.get("omaSettings"):
        policy = _with_secrets(call, policy)
    return policy


def _with_secrets(call: Call, policy: Json) -> Json:
    """Mask what is secret. A setting that comes with the mask and its reference keeps its value."""
    kept: dict[str, str] = policy.get("_secrets") or {}
    secrets: dict[str, str] = {}
    settings: list[Json] = []
    for setting in policy["omaSettings"]:
        reference = setting.get("secretReferenceValueId")
        if str(setting.get("@odata.type")).rpartition(".")[2] not in SECRET:
            settings.append({**setting, "isEncrypted": False, "secretReferenceValueId": None})
            continue
        if reference in kept and setting.get("value") == MASK:
            secrets[reference] = kept[reference]
        else:
            # Policy, setting and value each have their part in it: almenscorner/IntuneCD's exports.
            reference = f"{policy['id']}_{call.tenant.new_id()}_{call.tenant.new_id()}"
            secrets[reference] = setting.get("value") or ""
        settings.append({**setting, "value": MASK, "isEncrypted": True, "secretReferenceValueId": reference})
    return {**policy, "omaSettings": settings, "_secrets": secrets}


POLICIES = Policies(
    Collection(
        "/deviceManagement/deviceConfigurations",
        "deviceConfiguration",
        "intune-deviceconfig-deviceconfiguration",
        assignment="deviceConfigurationAssignment",
        version=counted,
        rule=_rules,
    )
)
routes = POLICIES.routes()


@routes.get(
    "/deviceManagement/deviceConfigurations/{policy}/getOmaSettingPlainTextValue(secretReferenceValueId)/{reference}",
    INTUNE,
    page="intune-deviceconfig-deviceconfiguration-getomasettingplaintextvalue",
)
def get_secret(call: Call) -> Reply:
    secrets = POLICIES.find(call).get("_secrets") or {}
    if call.params["reference"] not in secrets:
        raise absent(call)
    return Reply(200, {"@odata.context": call.context("Edm.String"), "value": secrets[call.params["reference"]]})
