"""Licences: direct (at once), by group (later), the seats they take, and the errors that are recorded on the user.

api-reference/v1.0/api/user-assignlicense.md, group-assignlicense.md; resources/licenseassignmentstate.md;
MicrosoftDocs/entra-docs docs/fundamentals/licensing-groups-resolve-problems.md.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from graphkit.sandbox.call import Call, Json, Refusal, Reply, bad_request
from graphkit.sandbox.ids import instant
from graphkit.sandbox.pending import work
from graphkit.sandbox.permissions import LICENSES
from graphkit.sandbox.query import Kind, entity, listing
from graphkit.sandbox.router import Routes
from graphkit.sandbox.schema import check, is_guid
from graphkit.sandbox.seed import Seed
from graphkit.sandbox.skus import EXCLUSIVE, PLANS
from graphkit.sandbox.state import State

if TYPE_CHECKING:
    from graphkit.sandbox.tenant import SimulatedTenant

routes = Routes()
SKU_KIND = Kind("subscribedSkus", "subscribedSku")
DETAILS_KIND = Kind("licenseDetails", "licenseDetails")


# -- what a user holds -------------------------------------------------------------------------------------------


def states_of(user: Json) -> list[Json]:
    return user.get("licenseAssignmentStates") or []


def active_skus(user: Json) -> frozenset[str]:
    states = user.get("licenseAssignmentStates")
    return frozenset(s["skuId"] for s in states if s["state"] == "Active") if states else frozenset()


def assigned_licenses(_: Call | None, user: Json) -> list[Json]:
    """One entry per SKU; a plan is off only where every source turns it off."""
    found: dict[str, set[str]] = {}
    for state in states_of(user):
        if state["state"] == "Active":
            disabled = set(state["disabledPlans"])
            found[state["skuId"]] = found[state["skuId"]] & disabled if state["skuId"] in found else disabled
    return [{"skuId": sku, "disabledPlans": sorted(disabled)} for sku, disabled in found.items()]


def assigned_plans(call: Call, user: Json) -> list[Json]:
    skus = sku_table(call.tenant)
    changed = {s["skuId"]: s["lastUpdatedDateTime"] for s in states_of(user)}
    return [
        {
            "assignedDateTime": changed[licence["skuId"]],
            "capabilityStatus": "Enabled",
            "service": PLANS[plan["servicePlanName"]].service,
            "servicePlanId": plan["servicePlanId"],
        }
        for licence in assigned_licenses(call, user)
        for plan in skus[licence["skuId"]]["servicePlans"]
        if plan["servicePlanId"] not in licence["disabledPlans"]
    ]


def license_details(call: Call, user: Json) -> Reply:
    skus = sku_table(call.tenant)
    found: list[Json | None] = []
    for licence in assigned_licenses(call, user):
        sku = skus[licence["skuId"]]
        plans = [
            {**plan, "provisioningStatus": "Disabled"} if plan["servicePlanId"] in licence["disabledPlans"] else plan
            for plan in sku["servicePlans"]
        ]
        found.append(
            {"id": sku["id"], "skuId": sku["skuId"], "skuPartNumber": sku["skuPartNumber"], "servicePlans": plans}
        )
    return listing(call, DETAILS_KIND, found)


# -- seats -------------------------------------------------------------------------------------------------------


def sku_table(tenant: SimulatedTenant) -> dict[str, Json]:
    return {sku["skuId"]: sku for sku in tenant.state.table("subscribedSkus").objects.values()}


def count_seats(state: State, seed: Seed) -> Counter[str]:
    """Counted once, at the opening: what the seed says, corrected by what has changed since."""
    users = state.table("users")
    seats = Counter({state["skuId"]: seed.staff.licensed for state in seed.staff.held})
    for key in users.held():
        position = seed.staff.position(key)
        if position is not None:
            seats.subtract(active_skus(seed.staff.at(position)))
        seats.update(active_skus(users.objects.get(key, {})))
    return seats


def seats_left(tenant: SimulatedTenant, sku: Json) -> int:
    units = sku["prepaidUnits"]
    return int(units["enabled"]) + int(units["warning"]) - tenant.consumed[sku["skuId"]]


def set_states(tenant: SimulatedTenant, user: Json, states: list[Json]) -> Json:
    """Give a user a new list of assignment states, and count seats accordingly."""
    before = active_skus(user)
    changed = {**user, "licenseAssignmentStates": states}
    after = active_skus(changed)
    tenant.consumed.update(after - before)
    tenant.consumed.subtract(before - after)
    tenant.state.put("users", changed)
    return changed


def release_seats(tenant: SimulatedTenant, user: Json) -> None:
    tenant.consumed.subtract(active_skus(user))


def restore_direct(tenant: SimulatedTenant, user: Json, states: list[Json]) -> Json:
    """Give a restored user back what was assigned to them directly, as far as there are seats (an assumption)."""
    skus = sku_table(tenant)
    kept = [state for state in states if state["state"] != "Active" or seats_left(tenant, skus[state["skuId"]]) > 0]
    return set_states(tenant, user, [*states_of(user), *kept]) if kept else user


def state_of(sku: str, group: str | None, disabled: Iterable[str], now: float, error: str = "None") -> Json:
    return {
        "skuId": sku,
        "assignedByGroup": group,
        "disabledPlans": list(disabled),
        "state": "Active" if error == "None" else "Error",
        "error": error,
        "lastUpdatedDateTime": instant(now),
    }


@routes.get("/subscribedSkus", LICENSES, page="subscribedsku-list")
def list_skus(call: Call) -> Reply:
    shown = [with_consumed(call.tenant, sku) for sku in call.tenant.state.table("subscribedSkus").objects.values()]
    return listing(call, SKU_KIND, shown, pages=False)


@routes.get("/subscribedSkus/{sku}", LICENSES, page="subscribedsku-get")
def get_sku(call: Call) -> Reply:
    sku = call.tenant.state.get("subscribedSkus", call.params["sku"])
    if sku is None:
        raise Refusal(404, "Request_ResourceNotFound", f"Resource '{call.params['sku']}' does not exist.")
    return entity(call, SKU_KIND, with_consumed(call.tenant, sku))


def with_consumed(tenant: SimulatedTenant, sku: Json) -> Json:
    return {**sku, "consumedUnits": tenant.consumed[sku["skuId"]]}


# -- what is asked for -------------------------------------------------------------------------------------------


def read_assignment(call: Call) -> tuple[dict[str, list[str]], list[str]]:
    """``(skuId -> disabledPlans, removals)`` of an assignLicense body. Both arrays must be there."""
    body = call.json
    unknown = set(body) - {"addLicenses", "removeLicenses"}
    if unknown:
        raise bad_request(f"The parameter '{min(unknown)}' does not exist on the action 'assignLicense'.", "BadRequest")
    for name in ("addLicenses", "removeLicenses"):
        if not isinstance(body.get(name), list):
            raise bad_request(f"One or more parameters of the operation 'assignLicense' are missing from the request "
                              f"payload. The missing parameters are: {name}.")  # fmt: skip
    skus = sku_table(call.tenant)
    added: dict[str, list[str]] = {}
    for licence in body["addLicenses"]:
        if not isinstance(licence, dict):
            raise bad_request("addLicenses holds objects of type microsoft.graph.assignedLicense.")
        check(licence, "assignedLicense", call.version)
        sku = _known_sku(skus, licence.get("skuId"))
        added[sku["skuId"]] = _known_plans(sku, licence.get("disabledPlans") or [])
    removed = [_known_sku(skus, key)["skuId"] for key in body["removeLicenses"]]
    both = set(added) & set(removed)
    if both:
        raise bad_request(f"License {min(both)} cannot be added and removed in one request.")
    return added, removed


def _known_sku(skus: dict[str, Json], key: Any) -> Json:
    found = skus.get(str(key).lower()) if is_guid(key) else None
    if found is None:
        raise bad_request(f"License {key} does not correspond to a valid company License.")
    return found


def _known_plans(sku: Json, disabled: list[str]) -> list[str]:
    known = {plan["servicePlanId"] for plan in sku["servicePlans"]}
    wanted = [str(plan).lower() for plan in disabled]
    for plan in wanted:
        if plan not in known:
            raise bad_request(f"The service plan {plan} is not part of the license {sku['skuId']}.")
    return wanted


# -- direct ------------------------------------------------------------------------------------------------------


def assign_to_user(call: Call, user: Json) -> Json:
    """Adds and removals of one call, all or none. Adding what is held replaces its disabledPlans."""
    added, removed = read_assignment(call)
    if added and not user.get("usageLocation"):
        raise bad_request("License assignment cannot be done for user with invalid usage location.")
    direct = {s["skuId"]: s for s in states_of(user) if s["assignedByGroup"] is None}
    inherited = [s for s in states_of(user) if s["assignedByGroup"] is not None]
    for sku in removed:
        _check_removal(user, sku, direct, inherited)
        direct.pop(sku)
    for sku, disabled in added.items():
        direct[sku] = state_of(sku, None, disabled, call.now)
    states = [*direct.values(), *inherited]
    _check_seats(call.tenant, user, states)
    clash = exclusive_plans(call.tenant, states)
    if clash:
        raise bad_request(
            f"License assignment failed because service plans {clash[0]} and {clash[1]} are mutually exclusive.",
        )
    return set_states(call.tenant, user, states)


def _check_removal(user: Json, sku: str, direct: dict[str, Json], inherited: list[Json]) -> None:
    if sku in direct:
        return
    if any(s["skuId"] == sku for s in inherited):
        raise bad_request(
            "User license is inherited from a group membership and it cannot be removed directly from the user."
        )
    raise bad_request(f"User does not have a corresponding license. User: {user['id']}, license: {sku}.")


def _check_seats(tenant: SimulatedTenant, user: Json, states: list[Json]) -> None:
    wanted = {s["skuId"] for s in states if s["state"] == "Active"} - active_skus(user)
    skus = sku_table(tenant)
    for sku in wanted:
        if seats_left(tenant, skus[sku]) < 1:
            raise bad_request(f"Subscription with SKU {sku} does not have any available licenses.")


def exclusive_plans(tenant: SimulatedTenant, states: list[Json]) -> tuple[str, str] | None:
    """Two plans among the active licences that one user cannot hold together."""
    skus = sku_table(tenant)
    held = {
        plan["servicePlanName"]
        for licence in assigned_licenses(None, {"licenseAssignmentStates": states})
        for plan in skus[licence["skuId"]]["servicePlans"]
        if plan["servicePlanId"] not in licence["disabledPlans"]
    }
    for pair in EXCLUSIVE:
        if pair <= held:
            first, second = sorted(pair)
            return first, second
    return None


# -- by group ----------------------------------------------------------------------------------------------------


def assign_to_group(call: Call, group: Json) -> Json:
    """Accepted with 202 and done later: there is no operation to poll, only ``licenseProcessingState``."""
    added, removed = read_assignment(call)
    licences = {licence["skuId"]: licence for licence in group.get("assignedLicenses") or []}
    for sku in removed:
        if licences.pop(sku, None) is None:
            raise bad_request(f"Group does not have a corresponding license: {sku}.")
    for sku, disabled in added.items():
        licences[sku] = {"skuId": sku, "disabledPlans": disabled}
    changed = {
        **group,
        "assignedLicenses": list(licences.values()),
        "licenseProcessingState": {"state": "QueuedForProcessing"},
    }
    call.tenant.state.put("groups", changed)
    call.tenant.later(call.now + call.tenant.licensing_s, "group-licensing", group["id"], None)
    return changed


def membership_changed(tenant: SimulatedTenant, group: Json, members: list[str], now: float) -> None:
    """Members of a licensed group gain or lose its licences a little later."""
    if group.get("assignedLicenses"):
        tenant.later(now + tenant.licensing_s, "group-licensing", group["id"], members)


@work("group-licensing")
def process_group(tenant: SimulatedTenant, now: float, arguments: Any) -> None:
    """Bring the users named (``None``: all who are or were concerned) in line with the group's licences."""
    group_id, members = arguments
    group = tenant.state.get("groups", group_id)
    licences = (group or {}).get("assignedLicenses") or []
    present = tenant.state.linked("members", group_id)
    if members is None:
        users = tenant.state.table("users")  # a person who was never touched inherits nothing
        held = [key for key in users.held() if key not in present and inherits(users.objects.get(key, {}), group_id)]
        members = [*present, *held]
    failed = False
    for member in members:
        user = tenant.state.get("users", member)
        if user is not None:
            failed |= _inherit(tenant, user, group_id, licences if member in present else [], now)
    if group is None:
        return
    busy = tenant.pending.waiting("group-licensing", group_id)
    state = "ProcessingInProgress" if busy else "ProcessingComplete"
    errors = failed or (bool(group.get("hasMembersWithLicenseErrors")) and any(members_in_error(tenant, group_id)))
    shown = {"licenseProcessingState": {"state": state}, "hasMembersWithLicenseErrors": errors}
    if any(group.get(name) != value for name, value in shown.items()):
        tenant.state.put("groups", {**group, **shown})


def members_in_error(tenant: SimulatedTenant, group_id: str) -> Iterator[str]:
    users = tenant.state.table("users").objects
    for key in tenant.state.linked("members", group_id):
        if any(s["assignedByGroup"] == group_id and s["state"] == "Error" for s in states_of(users.get(key, {}))):
            yield key


def inherits(user: Json, group_id: str) -> bool:
    return any(s["assignedByGroup"] == group_id for s in states_of(user))


def _inherit(tenant: SimulatedTenant, user: Json, group_id: str, licences: list[Json], now: float) -> bool:
    """Give one user what a group grants; true if that failed. One failing SKU blocks the group's others."""
    others = [s for s in states_of(user) if s["assignedByGroup"] != group_id]
    mine = [s for s in states_of(user) if s["assignedByGroup"] == group_id]
    wanted = [state_of(licence["skuId"], group_id, licence["disabledPlans"], now) for licence in licences]
    if [(s["skuId"], s["disabledPlans"]) for s in mine if s["state"] == "Active"] == [
        (s["skuId"], s["disabledPlans"]) for s in wanted
    ] and len(mine) == len(wanted):
        return False
    error = _inheritance_error(tenant, {**user, "licenseAssignmentStates": mine + others}, others, wanted)
    if error:
        wanted = [state_of(s["skuId"], group_id, s["disabledPlans"], now, error) for s in wanted]
    set_states(tenant, user, others + wanted)
    return bool(error)


def _inheritance_error(tenant: SimulatedTenant, user: Json, others: list[Json], wanted: list[Json]) -> str:
    skus = sku_table(tenant)
    held = active_skus(user)
    if any(s["skuId"] not in held and seats_left(tenant, skus[s["skuId"]]) < 1 for s in wanted):
        return "CountViolation"
    if wanted and exclusive_plans(tenant, others + wanted):
        return "MutuallyExclusiveViolation"
    return ""
