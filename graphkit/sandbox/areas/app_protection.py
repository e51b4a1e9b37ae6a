"""App protection: api-reference/v1.0/api/intune-mam-*.md. ``/assign`` and ``/targetApps`` answer nothing (204).

A policy is found below its own collection and below managedAppPolicies, where all of them are listed.
"""

from __future__ import annotations

from typing import Any

from graphkit.sandbox.areas.intune_policies import PAGE, Collection, Policies, no_rule, stamped
from graphkit.sandbox.areas.intune_words import MODEL, absent, refuse, seen
from graphkit.sandbox.call import Call, Json, Reply
from graphkit.sandbox.permissions import APP_PROTECTION, APP_PROTECTION_WRITE
from graphkit.sandbox.query.listing import Kind, entity, listing
from graphkit.sandbox.router import Routes
from graphkit.sandbox.schema.check import check

ROOT = "/deviceAppManagement"
IDENTIFIERS = {
    "iosManagedAppProtection": ("iosMobileAppIdentifier", "bundleId", "ios"),
    "androidManagedAppProtection": ("androidMobileAppIdentifier", "packageId", "android"),
    "windowsManagedAppProtection": ("windowsAppIdentifier", "windowsAppId", "windows"),
}
RETRIES = range(1, 65536)
"""maximumPinRetries: the range is in its description in the CSDL. Nought is what is shown when nothing was said."""


def _apps(call: Call, policy: Json) -> list[Json]:
    return [seen(call, app, "managedMobileApp") for app in policy.get("apps") or []]


def _rules(call: Call, policy: Json, before: Json | None) -> Json:
    retries = policy.get("maximumPinRetries")
    if before is None:
        policy = {**policy, "apps": [], "deployedAppCount": 0}
    if retries and retries not in RETRIES:
        raise refuse(call)
    return policy


def _collection(
    name: str, type_name: str, *, apps: bool = True, assigned: bool = True, beta_only: bool = False
) -> Policies:
    return Policies(
        Collection(
            f"{ROOT}/{name}",
            type_name,
            f"intune-mam-{type_name.lower()}",
            assignment="targetedManagedAppPolicyAssignment" if assigned else "",
            answers=False,
            beta_only=beta_only,
            read=APP_PROTECTION,
            write=APP_PROTECTION_WRITE,
            version=stamped,
            rule=_rules if apps else no_rule,
            expands={"apps": _apps} if apps else {},
        )
    )


IOS = _collection("iosManagedAppProtections", "iosManagedAppProtection")
ANDROID = _collection("androidManagedAppProtections", "androidManagedAppProtection")
WINDOWS = _collection("windowsManagedAppProtections", "windowsManagedAppProtection", beta_only=True)
MDM = _collection("mdmWindowsInformationProtectionPolicies", "mdmWindowsInformationProtectionPolicy", apps=False)
MAM = _collection("windowsInformationProtectionPolicies", "windowsInformationProtectionPolicy", apps=False)
DEFAULT = _collection("defaultManagedAppProtections", "defaultManagedAppProtection", assigned=False)
CONFIGURATION = _collection("targetedManagedAppConfigurations", "targetedManagedAppConfiguration")
ALL = (IOS, ANDROID, WINDOWS, MDM, MAM, DEFAULT, CONFIGURATION)
KIND = Kind(f"{ROOT[1:]}/managedAppPolicies", "managedAppPolicy", page=PAGE, max_page=PAGE)
APP_KIND = Kind(f"{ROOT[1:]}/managedAppPolicies/apps", "managedMobileApp", page=PAGE, max_page=PAGE)

routes = Routes()
for _each in ALL:
    routes += _each.routes()


def _owner(call: Call) -> Policies:
    """The collection in which the policy that the path names is kept. Raises :class:`Refusal` (404)."""
    for each in ALL:
        if call.tenant.state.get(each.of.table, call.params["policy"].lower()) is not None:
            return each
    raise absent(call)


@routes.get(f"{ROOT}/managedAppPolicies", APP_PROTECTION, page="intune-mam-managedapppolicy-list")
def list_policies(call: Call) -> Reply:
    found = [_typed(each, item) for each in ALL for item in call.tenant.state.table(each.of.table).in_order() if item]
    return listing(call, KIND, list(found))


def _typed(owner: Policies, policy: Json) -> Json:
    """In this list each says what it is; hidden is what only an expansion shows."""
    shown = {name: value for name, value in policy.items() if name not in ("apps", "assignments")}
    return {"@odata.type": f"#microsoft.graph.{owner.of.type}", **shown}


@routes.get(f"{ROOT}/managedAppPolicies/{{policy}}", APP_PROTECTION, page="intune-mam-managedapppolicy-get")
def get_policy(call: Call) -> Reply:
    owner = _owner(call)
    return entity(call, KIND, _typed(owner, owner.find(call)))


@routes.post(
    f"{ROOT}/managedAppPolicies/{{policy}}/assign",
    APP_PROTECTION_WRITE,
    page="intune-mam-targetedmanagedappprotection-assign",
)
def assign(call: Call) -> Reply:
    return _owner(call).assign(call)


def target_apps(call: Call) -> Reply:
    """REPLACES the list of apps."""
    owner = _owner(call)
    policy, apps = owner.find(call), call.json.get("apps")
    if owner in (MDM, MAM) or not isinstance(apps, list):
        raise refuse(call)
    made = {app["id"]: app for app in (_app(call, owner.of.type, item) for item in apps)}
    owner.change(call, policy, {"apps": list(made.values()), "deployedAppCount": len(made)})
    return Reply(204)


def _app(call: Call, type_name: str, item: Any) -> Json:
    """Of a policy's own platform; configurations and the default protection take those of any."""
    check(item, "managedMobileApp", call.version, code=MODEL)
    identifier = item.get("mobileAppIdentifier") or {}
    given = str(identifier.get("@odata.type")).rpartition(".")[2]
    rows = [IDENTIFIERS[type_name]] if type_name in IDENTIFIERS else list(IDENTIFIERS.values())
    kind, name, platform = next((row for row in rows if row[0] == given), ("", "", ""))
    if not identifier.get(name):
        raise refuse(call)
    shown = {"@odata.type": f"#microsoft.graph.{kind}", name: identifier[name]}
    return {"id": f"{identifier[name]}.{platform}".lower(), "version": "0", "mobileAppIdentifier": shown}


def list_apps(call: Call) -> Reply:
    return listing(call, APP_KIND, list(_owner(call).find(call).get("apps") or []))


def _below(path: str, *, beta_only: bool = False) -> None:
    one = f"{path}/{{policy}}"
    routes.post(
        f"{one}/targetApps",
        APP_PROTECTION_WRITE,
        page="intune-mam-managedappprotection-targetapps",
        beta_only=beta_only,
    )(target_apps)
    routes.get(f"{one}/apps", APP_PROTECTION, page="intune-mam-managedmobileapp-list", beta_only=beta_only)(list_apps)


_below(f"{ROOT}/managedAppPolicies")
for _each in (IOS, ANDROID, WINDOWS, DEFAULT, CONFIGURATION):
    _below(_each.of.path, beta_only=_each.of.beta_only)
