"""``assignLicense``: what a body may ask for, and doing so for one user at once.

api-reference/v1.0/api/user-assignlicense.md. Refusals are 400 Request_BadRequest with the texts that clients report;
the words for a prohibited location and for an address that is taken are assumptions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graphkit.sandbox.call import Call, Json, bad_request, conflict
from graphkit.sandbox.memory.state import State
from graphkit.sandbox.rules.license_rules import (
    active_skus,
    clash,
    clash_told,
    enabled_plans,
    lack_told,
    lacking,
    state_of,
    states_of,
)
from graphkit.sandbox.rules.licenses import LicenseBook, inherited
from graphkit.sandbox.schema.check import check, is_guid
from graphkit.sandbox.seeding.skus import MAILBOX

_PARAMETERS = ("addLicenses", "removeLicenses")


def read_assignment(call: Call) -> tuple[dict[str, list[str]], list[str]]:
    """``(skuId -> disabledPlans, removals)`` of an assignLicense body. Both arrays must be there."""
    body = call.json
    unknown = set(body) - set(_PARAMETERS)
    if unknown:
        raise bad_request(f"The parameter '{min(unknown)}' does not exist on the action 'assignLicense'.", "BadRequest")
    for name in _PARAMETERS:
        if not isinstance(body.get(name), list):
            raise bad_request(f"One or more parameters of the operation 'assignLicense' are missing from the request "
                              f"payload. The missing parameters are: {name}.")  # fmt: skip
    skus = call.tenant.licenses.skus()
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


def assign_to_user(call: Call, user: Json) -> Json:
    """Adds and removals of one call, all or none. Adding what is held replaces its disabledPlans."""
    added, removed = read_assignment(call)
    book = call.tenant.licenses
    # A location that was set a moment ago may be unknown here still, as people report.
    seen = call.tenant.replication.as_seen(user, call.now, call.replica)
    _check_assignable(book, seen.get("usageLocation"), added)
    direct = {s["skuId"]: s for s in states_of(user) if s["assignedByGroup"] is None}
    for sku in removed:
        _check_removal(user, sku, direct)
        direct.pop(sku)
    for sku, disabled in added.items():
        direct[sku] = state_of(sku, None, disabled, call.now)
    states = [*direct.values(), *inherited(user)]
    _check_seats(book, user, states)
    _check_plans(user, states)
    if address_taken(call.tenant.state, user, enabled_plans(states) - enabled_plans(states_of(user))):
        raise conflict("proxyAddresses")
    return book.put(user, states)


def _check_assignable(book: LicenseBook, location: str | None, added: dict[str, list[str]]) -> None:
    if added and not location:
        raise bad_request("License assignment cannot be done for user with invalid usage location.")
    skus = book.skus()
    for key in added:
        if skus[key]["appliesTo"] != "User":  # microsoftgraph/microsoft-graph-docs#7539
            raise bad_request(f"License {key} cannot be assigned to a user.")
        if book.prohibits(skus[key], str(location)):
            raise bad_request(
                f"License assignment failed because license {key} cannot be used in the usage location {location}."
            )


def _check_removal(user: Json, sku: str, direct: dict[str, Json]) -> None:
    if sku in direct:
        return
    if any(s["skuId"] == sku for s in inherited(user)):
        raise bad_request(
            "User license is inherited from a group membership and it cannot be removed directly from the user."
        )
    raise bad_request(f"User does not have a corresponding license. User: {user['id']}, license: {sku}.")


def _check_seats(book: LicenseBook, user: Json, states: Sequence[Json]) -> None:
    skus = book.skus()
    for sku in active_skus({"licenseAssignmentStates": states}) - active_skus(user):
        if book.seats_left(skus[sku]) < 1:
            raise bad_request(f"Subscription with SKU {sku} does not have any available licenses.")


def _check_plans(user: Json, states: Sequence[Json]) -> None:
    """What the plans ask of each other, unless it was unmet before."""
    before, after = enabled_plans(states_of(user)), enabled_plans(states)
    pair = clash(after)
    if pair and not set(pair) <= before:
        raise bad_request(clash_told(pair))
    known = lacking(before)
    missing = {name: wanted for name, wanted in lacking(after).items() if name not in known}
    if missing:
        raise bad_request(lack_told(missing))


def address_taken(state: State, user: Json, plans: frozenset[str]) -> bool:
    """Whether the mailbox that the licence brings would have an address that somebody else has.

    The address is the user's mail, or else mailNickname at the default domain ("how the proxyAddresses attribute is
    populated", support.microsoft.com/help/3190357).
    """
    if plans.isdisjoint(MAILBOX):
        return False
    address = user.get("mail") or _made_up(state, user)
    return any(other["id"] != user["id"] for other in state.table("users").find("mail", address)) if address else False


def _made_up(state: State, user: Json) -> str:
    if not user.get("mailNickname"):
        return ""
    organisation = next(iter(state.table("organization").objects.values()))
    domain = next(each["name"] for each in organisation["verifiedDomains"] if each["isDefault"])
    return f"{user['mailNickname']}@{domain}"
