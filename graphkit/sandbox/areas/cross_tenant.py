"""Cross-tenant access: crosstenantaccesspolicy*.md and crosstenantidentitysyncpolicypartner-*.md in v1.0/api.

A partner's property that is null inherits from the default configuration.
"""

from __future__ import annotations

import msgspec

from graphkit.sandbox.areas.policy_base import absent, change_body, create_body, plain, refuse
from graphkit.sandbox.call import Call, Json, Refusal, Reply
from graphkit.sandbox.permissions import CROSS_TENANT, CROSS_TENANT_WRITE
from graphkit.sandbox.query.listing import Kind, entity, listing
from graphkit.sandbox.router import Routes
from graphkit.sandbox.schema.check import check, is_guid
from graphkit.sandbox.seeding.policies import system_default

routes = Routes()

POLICY_KIND = Kind("policies/crossTenantAccessPolicy", "crossTenantAccessPolicy")
DEFAULT_KIND = Kind("policies/crossTenantAccessPolicy/default", "crossTenantAccessPolicyConfigurationDefault")
PARTNER_KIND = Kind("policies/crossTenantAccessPolicy/partners", "crossTenantAccessPolicyConfigurationPartner")
SYNC_KIND = Kind(
    "policies/crossTenantAccessPolicy/partners/identitySynchronization", "crossTenantIdentitySyncPolicyPartner"
)
CLOUDS = frozenset({"microsoftonline.com", "microsoftonline.us", "partner.microsoftonline.cn"})
MAX_BYTES = 25 * 1024  # crosstenantaccesspolicy-update.md
_PATH = "/policies/crossTenantAccessPolicy"
_PARTNER = _PATH + "/partners/{partner}"
_SYNC = _PARTNER + "/identitySynchronization"
_SETTINGS = ("b2bCollaborationInbound", "b2bCollaborationOutbound", "b2bDirectConnectInbound",
             "b2bDirectConnectOutbound")  # fmt: skip
# The shape of policydeletableitem-list.md, example 1, as far as v1.0 knows the properties.
_NEW_PARTNER: Json = {
    "isServiceProvider": None,
    "isInMultiTenantOrganization": False,
    "inboundTrust": None,
    **dict.fromkeys(_SETTINGS),
    "tenantRestrictions": None,
    "automaticUserConsentSettings": {"inboundAllowed": None, "outboundAllowed": None},
}
_WORDS = {
    "user": frozenset({"AllUsers"}),
    "group": frozenset[str](),
    "application": frozenset({"AllApplications", "AllMicrosoftApps", "Office365"}),
}


def _policy(call: Call) -> Json:
    return next(iter(call.tenant.state.table("crossTenantPolicies").objects.values()))


def _default(call: Call) -> Json:
    return next(iter(call.tenant.state.table("crossTenantDefaults").objects.values()))


def _shown(item: Json) -> Json:
    """Neither has an ``id`` of its own: a partner's key is its tenantId."""
    return {name: value for name, value in item.items() if name != "id"}


@routes.get(_PATH, CROSS_TENANT, page="crosstenantaccesspolicy-get")
def get_policy(call: Call) -> Reply:
    return entity(call, POLICY_KIND, _policy(call))


@routes.patch(_PATH, CROSS_TENANT_WRITE, page="crosstenantaccesspolicy-update")
def update_policy(call: Call) -> Reply:
    body, _ = change_body(call, "crossTenantAccessPolicy")
    if set(body) - {"displayName", "description", "allowedCloudEndpoints"}:
        raise refuse("Only displayName and allowedCloudEndpoints can be updated.")
    if not CLOUDS.issuperset(body.get("allowedCloudEndpoints") or []):
        raise refuse(f"allowedCloudEndpoints may hold {', '.join(sorted(CLOUDS))}.")
    call.tenant.state.put("crossTenantPolicies", {**_policy(call), **body})
    return Reply(204)


@routes.get(_PATH + "/default", CROSS_TENANT, page="crosstenantaccesspolicyconfigurationdefault-get")
def get_default(call: Call) -> Reply:
    return entity(call, DEFAULT_KIND, _shown(_default(call)))


@routes.patch(_PATH + "/default", CROSS_TENANT_WRITE, page="crosstenantaccesspolicyconfigurationdefault-update")
def update_default(call: Call) -> Reply:
    body, _ = change_body(call, "crossTenantAccessPolicyConfigurationDefault")
    _check_settings(body)
    if any(body.get(name, {}) is None for name in (*_SETTINGS, "inboundTrust")):
        raise refuse("The default configuration has nothing to inherit from: its settings cannot be null.")
    _put(call, "crossTenantDefaults", {**_merged(_default(call), body), "isServiceDefault": False})
    return Reply(204)


@routes.post(
    _PATH + "/default/resetToSystemDefault",
    CROSS_TENANT_WRITE,
    page="crosstenantaccesspolicyconfigurationdefault-resettosystemdefault",
)
def reset_default(call: Call) -> Reply:
    call.tenant.state.put("crossTenantDefaults", system_default())
    return Reply(204)


def _merged(before: Json, body: Json) -> Json:
    """A setting that is given in part keeps its other parts (assumption: what OData says of complex properties)."""
    changed = {**before, **body}
    for name in ("inboundTrust", "automaticUserConsentSettings", *_SETTINGS):
        if before.get(name) and body.get(name):
            changed[name] = {**before[name], **body[name]}
    return changed


def _put(call: Call, kind: str, item: Json) -> None:
    if len(msgspec.json.encode(item)) > MAX_BYTES:
        raise refuse("The size of the policy exceeds 25 KB.")
    call.tenant.state.put(kind, item)


def _check_settings(body: Json) -> None:
    """resources/crosstenantaccesspolicytargetconfiguration.md and crosstenantaccesspolicytarget.md.

    Whether users and groups exist is not looked at: those of inbound settings are another tenant's.
    """
    for name in _SETTINGS:
        for part, kinds in (("usersAndGroups", ("user", "group")), ("applications", ("application",))):
            rule = (body.get(name) or {}).get(part)
            if not rule:
                continue
            if rule.get("accessType") not in ("allowed", "blocked") or not rule.get("targets"):
                raise refuse(f"{part} of {name} must have an accessType and at least one target.")
            for target in rule["targets"]:
                _check_target(target, kinds)


def _check_target(target: Json, kinds: tuple[str, ...]) -> None:
    kind, key = target.get("targetType"), target.get("target")
    if kind not in kinds:
        raise refuse(f"The targetType must be {' or '.join(kinds)}.")
    if not is_guid(key) and key not in _WORDS[kind]:
        raise refuse(f"The target '{key}' is neither an id nor a reserved value for the targetType {kind}.")


# -- partners ------------------------------------------------------------------------------------------------------


@routes.get(_PATH + "/partners", CROSS_TENANT, page="crosstenantaccesspolicy-list-partners")
def list_partners(call: Call) -> Reply:
    found = [_shown(item) if item else None for item in call.tenant.state.table("partners").in_order()]
    return listing(call, PARTNER_KIND, found)


@routes.get(_PARTNER, CROSS_TENANT, page="crosstenantaccesspolicyconfigurationpartner-get")
def get_partner(call: Call) -> Reply:
    return entity(call, PARTNER_KIND, _shown(_partner(call)))


def _partner(call: Call) -> Json:
    key = call.params["partner"]
    found = call.tenant.state.get("partners", key.lower())
    if found is None:
        raise absent("CrossTenantAccessPolicyConfigurationPartner", key)
    return found


@routes.post(_PATH + "/partners", CROSS_TENANT_WRITE, page="crosstenantaccesspolicy-post-partners")
def create_partner(call: Call) -> Reply:
    """The page calls the settings required, its example leaves most of them out: they become null."""
    body, _ = create_body(call, "crossTenantAccessPolicyConfigurationPartner")
    key = str(body.get("tenantId"))
    if not is_guid(key) or key == call.tenant.tenant_id:
        raise refuse(f"The tenantId '{key}' is not the identifier of another tenant.")
    if call.tenant.state.get("partners", key.lower()) is not None:
        # Refused with 409; the code and the words are assumptions.
        raise Refusal(409, "Conflict", f"A partner configuration for the tenant '{key}' already exists.")
    _check_settings(body)
    consent = {**_NEW_PARTNER["automaticUserConsentSettings"], **(body.get("automaticUserConsentSettings") or {})}
    partner = {"id": key.lower(), **_NEW_PARTNER, **body, "automaticUserConsentSettings": consent}
    _put(call, "partners", partner)
    return entity(call, PARTNER_KIND, _shown(partner), status=201)


@routes.patch(_PARTNER, CROSS_TENANT_WRITE, page="crosstenantaccesspolicyconfigurationpartner-update")
def update_partner(call: Call) -> Reply:
    """A setting that becomes null inherits again."""
    partner = _partner(call)
    body, _ = change_body(call, "crossTenantAccessPolicyConfigurationPartner")
    _check_settings(body)
    _put(call, "partners", _merged(partner, body))
    return Reply(204)


@routes.delete(_PARTNER, CROSS_TENANT_WRITE, page="crosstenantaccesspolicyconfigurationpartner-delete")
def delete_partner(call: Call) -> Reply:
    """Refused while users are synchronized from there: the policy for that goes first (the page)."""
    partner = _partner(call)
    if call.tenant.state.get("partnerSync", partner["id"]) is not None:
        raise refuse("The identity synchronization policy of the partner must be deleted first.")
    call.tenant.state.delete("partners", partner["id"])
    return Reply(204)


# -- whose users are synchronized ----------------------------------------------------------------------------------


@routes.get(_SYNC, CROSS_TENANT, page="crosstenantidentitysyncpolicypartner-get")
def get_sync(call: Call) -> Reply:
    return entity(call, SYNC_KIND, _shown(_sync(call)))


def _sync(call: Call) -> Json:
    partner = _partner(call)
    found = call.tenant.state.get("partnerSync", partner["id"])
    if found is None:
        raise absent("CrossTenantIdentitySyncPolicyPartner", partner["tenantId"])
    return found


@routes.put(_SYNC, CROSS_TENANT_WRITE, page="crosstenantaccesspolicyconfigurationpartner-put-identitysynchronization")
def put_sync(call: Call) -> Reply:
    partner = _partner(call)
    if call.tenant.state.get("partnerSync", partner["id"]) is not None:
        raise Refusal(409, "Conflict", "An identity synchronization policy already exists for the partner.")
    _put_sync(
        call, {"id": partner["id"], "tenantId": partner["tenantId"], "displayName": None, "userSyncInbound": None}
    )
    return Reply(204)


@routes.patch(_SYNC, CROSS_TENANT_WRITE, page="crosstenantidentitysyncpolicypartner-update")
def update_sync(call: Call) -> Reply:
    _put_sync(call, _sync(call))
    return Reply(204)


def _put_sync(call: Call, before: Json) -> None:
    check(call.json, "crossTenantIdentitySyncPolicyPartner", call.version, code="BadRequest")
    body = {name: value for name, value in plain(call.json).items() if name not in ("@odata.type", "tenantId")}
    call.tenant.state.put("partnerSync", {**before, **body})


@routes.delete(_SYNC, CROSS_TENANT_WRITE, page="crosstenantidentitysyncpolicypartner-delete")
def delete_sync(call: Call) -> Reply:
    call.tenant.state.delete("partnerSync", _sync(call)["id"])
    return Reply(204)
