"""The authentication methods policy: api-reference/v1.0/api/authenticationmethodspolicy-*.md and the
``*authenticationmethodconfiguration-*.md`` of each method. Defaults are in ``seeding/policies.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from graphkit.sandbox.areas.groups import directory_object, groups_of
from graphkit.sandbox.areas.policy_base import absent, plain, refuse
from graphkit.sandbox.call import Call, Json, Refusal, Reply
from graphkit.sandbox.ids import instant
from graphkit.sandbox.permissions import METHODS_READ, METHODS_WRITE
from graphkit.sandbox.query.listing import Kind, entity
from graphkit.sandbox.router import Routes
from graphkit.sandbox.schema.check import as_seen, check, check_changeable, find_type, is_guid
from graphkit.sandbox.seeding.policies import SERVICE_METHODS

routes = Routes()

POLICY_KIND = Kind("authenticationMethodsPolicy", "authenticationMethodsPolicy")
METHOD_KIND = Kind("authenticationMethodConfigurations", "authenticationMethodConfiguration")
EVERYONE = "all_users"
_PATH = "/policies/authenticationMethodsPolicy"
_METHOD = _PATH + "/authenticationMethodConfigurations/{method}"


def configuration(call: Call, key: str) -> Json | None:
    """A method's configuration by its id, in whatever case (``fido2`` is what the pages write in paths)."""
    for found in call.tenant.state.table("methodConfigurations").objects.values():
        if found["id"].lower() == key.lower():
            return found
    return None


def allows(call: Call, key: str, user_id: str) -> bool:
    """Whether a method is enabled for a user: included, by a group or as everybody, and not excluded."""
    method = configuration(call, key)
    if method is None or method["state"] != "enabled":
        return False
    return _holds(call, method["includeTargets"], user_id) and not _holds(call, method["excludeTargets"], user_id)


def _holds(call: Call, targets: list[Json], user_id: str) -> bool:
    named = {target["id"] for target in targets}
    if not named or EVERYONE in named or user_id in named:
        return bool(named)
    return any(group["id"] in named for group in groups_of(call, user_id, transitive=True))


def allowed(call: Call) -> Callable[[str], frozenset[str]]:
    """A function of a user's id: the ids of the methods that are enabled for that user.

    Where every method is for everybody or for nobody, as is usual, no user is looked at.
    """
    methods = call.tenant.state.table("methodConfigurations").objects.values()
    enabled = [method for method in methods if method["state"] == "enabled" and method["includeTargets"]]
    for_all = frozenset(
        method["id"]
        for method in enabled
        if not method["excludeTargets"] and EVERYONE in [target["id"] for target in method["includeTargets"]]
    )
    rest = [method["id"] for method in enabled if method["id"] not in for_all]
    if not rest:
        return lambda _: for_all
    return lambda user_id: for_all | {key for key in rest if allows(call, key, user_id)}


@routes.get(_PATH, METHODS_READ, page="authenticationmethodspolicy-get")
def get_policy(call: Call) -> Reply:
    """With all configurations in it, though they are a relationship (the page's own example)."""
    return _policy_reply(call)


def _policy_reply(call: Call) -> Reply:
    policy = next(iter(call.tenant.state.table("methodsPolicy").objects.values()))
    reply = entity(call, POLICY_KIND, policy)
    select = call.query.select
    if not select or "authenticationMethodConfigurations" in select:
        reply.body["authenticationMethodConfigurations"] = list(_seen(call))
    return reply


def _seen(call: Call) -> Iterator[Json]:
    """The configurations of this version: beta knows methods that v1.0 does not."""
    for method in call.tenant.state.table("methodConfigurations").objects.values():
        type_name = method["@odata.type"].rpartition(".")[2]
        if find_type(type_name, call.version) is not None:
            yield as_seen(method, type_name, call.version)


@routes.patch(_PATH, METHODS_WRITE, page="authenticationmethodspolicy-update")
def update_policy(call: Call) -> Reply:
    found = check(call.json, "authenticationMethodsPolicy", call.version, code="BadRequest")
    check_changeable(call.json, found, code="BadRequest")
    body = plain(call.json)
    body.pop("@odata.type", None)
    if "authenticationMethodConfigurations" in body:
        raise Refusal(501, "NotModelled", "The simulated tenant changes configurations one by one, by their own path.")
    _check_campaign(call, body.get("registrationEnforcement"))
    policy = next(iter(call.tenant.state.table("methodsPolicy").objects.values()))
    changed = {**policy, **body, "lastModifiedDateTime": instant(call.now)}
    before = policy["registrationEnforcement"]["authenticationMethodsRegistrationCampaign"]
    campaign = (body.get("registrationEnforcement") or {}).get("authenticationMethodsRegistrationCampaign")
    if campaign is not None:
        changed["registrationEnforcement"] = {"authenticationMethodsRegistrationCampaign": {**before, **campaign}}
    call.tenant.state.put("methodsPolicy", changed)
    return _policy_reply(call)


def _check_campaign(call: Call, enforcement: Json | None) -> None:
    """resources/authenticationmethodsregistrationcampaign.md and ...includetarget.md."""
    campaign = (enforcement or {}).get("authenticationMethodsRegistrationCampaign") or {}
    snooze = campaign.get("snoozeDurationInDays", 0)
    if not 0 <= snooze <= 14:
        raise refuse("snoozeDurationInDays must be between 0 and 14.")
    for target in campaign.get("includeTargets") or []:
        if target.get("targetedAuthenticationMethod") != "microsoftAuthenticator":
            raise refuse("targetedAuthenticationMethod must be microsoftAuthenticator.")
    _check_targets(call, [*(campaign.get("includeTargets") or []), *(campaign.get("excludeTargets") or [])])


# -- one method ----------------------------------------------------------------------------------------------------


@routes.get(_METHOD, METHODS_READ, page="fido2authenticationmethodconfiguration-get")
def get_method(call: Call) -> Reply:
    return entity(call, METHOD_KIND, _method(call))


def _method(call: Call) -> Json:
    key = call.params["method"]
    found = configuration(call, key)
    if found is None or find_type(found["@odata.type"].rpartition(".")[2], call.version) is None:
        raise absent("AuthenticationMethodConfiguration", key)
    return found


@routes.patch(_METHOD, METHODS_WRITE, page="fido2authenticationmethodconfiguration-update")
def update_method(call: Call) -> Reply:
    """ "The @odata.type property ... must be included in the body"; the words of the refusals are ours."""
    method = _method(call)
    own_type = method["@odata.type"].rpartition(".")[2]
    found = check(call.json, "authenticationMethodConfiguration", call.version, code="BadRequest")
    check_changeable(call.json, found, code="BadRequest")
    if found.name != own_type:
        raise refuse(f"The type of the configuration '{method['id']}' is microsoft.graph.{own_type}.")
    body = {name: value for name, value in plain(call.json).items() if name not in ("@odata.type", "id")}
    changed = {**method, **body}
    _check_targets(call, [*changed["includeTargets"], *changed["excludeTargets"]])
    _CHECKS.get(method["id"], lambda _: None)(changed)
    changed["includeTargets"] = [_completed(method, target) for target in changed["includeTargets"]]
    _put(call, changed)
    return Reply(204)


def _completed(method: Json, target: Json) -> Json:
    """A target with the properties of its kind that the service fills in."""
    default = SERVICE_METHODS[method["id"]]["includeTargets"]
    return {**(default[0] if default else {"isRegistrationRequired": False}), **target}


@routes.delete(_METHOD, METHODS_WRITE, page="fido2authenticationmethodconfiguration-delete")
def reset_method(call: Call) -> Reply:
    """Back to the service's defaults (temporaryaccesspassauthenticationmethodconfiguration.md: "Reverts ...")."""
    _put(call, SERVICE_METHODS[_method(call)["id"]])
    return Reply(204)


def _put(call: Call, method: Json) -> None:
    state = call.tenant.state
    state.put("methodConfigurations", method)
    policy = next(iter(state.table("methodsPolicy").objects.values()))
    state.put("methodsPolicy", {**policy, "lastModifiedDateTime": instant(call.now)})


def _check_targets(call: Call, targets: list[Json]) -> None:
    """resources/authenticationmethodtarget.md: groups, or everybody, who is a group too."""
    for target in targets:
        key, kind = target.get("id"), target.get("targetType")
        if kind not in ("group", "user") or not key:
            raise refuse("A target needs an id and the targetType group.")
        known = directory_object(call, key) if is_guid(key) else None
        if not (key == EVERYONE and kind == "group") and (known is None or known[0] != kind):
            raise refuse(f"The target {kind} '{key}' does not exist in the directory.")


def _check_pass(method: Json) -> None:
    """resources/temporaryaccesspassauthenticationmethodconfiguration.md."""
    least, most = method["minimumLifetimeInMinutes"], method["maximumLifetimeInMinutes"]
    if not (10 <= least <= most <= 43_200 and least <= method["defaultLifetimeInMinutes"] <= most):
        raise refuse("Lifetimes must lie between 10 and 43200 minutes, the default between minimum and maximum.")
    if not 8 <= method["defaultLength"] <= 48:
        raise refuse("defaultLength must be between 8 and 48.")


def _check_code(method: Json) -> None:
    """resources/qrcodepinauthenticationmethodconfiguration.md."""
    if not 8 <= method["pinLength"] <= 20:
        raise refuse("pinLength must be between 8 and 20.")
    if not 1 <= method["standardQRCodeLifetimeInDays"] <= 395:
        raise refuse("standardQRCodeLifetimeInDays must be between 1 and 395.")


_CHECKS = {"TemporaryAccessPass": _check_pass, "QRCodePin": _check_code}
