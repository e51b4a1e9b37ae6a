"""Licences as the other areas know them, and the products that the company has bought.

Assigning directly is in :mod:`direct_licensing`, by group in :mod:`group_licensing`; how a user's licences are shown is
in :mod:`license_views`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphkit.sandbox.areas.direct_licensing import assign_to_user
from graphkit.sandbox.areas.group_licensing import assign_to_group, members_in_error, membership_changed
from graphkit.sandbox.areas.license_views import assigned_licenses, assigned_plans, license_details, provisioned_plans
from graphkit.sandbox.call import Call, Json, Refusal, Reply, bad_request
from graphkit.sandbox.permissions import LICENSES
from graphkit.sandbox.query.listing import Kind, entity, listing
from graphkit.sandbox.router import Routes
from graphkit.sandbox.rules.license_rules import ACTIVE, active_skus, state_of, states_of
from graphkit.sandbox.rules.licenses import capability_status

if TYPE_CHECKING:
    from graphkit.sandbox.tenant import SimulatedTenant

__all__ = [
    "active_skus",
    "assign_to_group",
    "assign_to_user",
    "assigned_licenses",
    "assigned_plans",
    "license_details",
    "members_in_error",
    "membership_changed",
    "provisioned_plans",
    "release_seats",
    "restore_direct",
    "routes",
    "set_states",
    "sku_table",
    "state_of",
    "states_of",
]

routes = Routes()
SKU_KIND = Kind("subscribedSkus", "subscribedSku")


def sku_table(tenant: SimulatedTenant) -> dict[str, Json]:
    return tenant.licenses.skus()


def set_states(tenant: SimulatedTenant, user: Json, states: list[Json]) -> Json:
    return tenant.licenses.put(user, states)


def release_seats(tenant: SimulatedTenant, user: Json) -> None:
    tenant.licenses.release(user)


def restore_direct(tenant: SimulatedTenant, user: Json, states: list[Json]) -> Json:
    """Give a restored user back what was assigned to them directly, as far as there are seats (an assumption)."""
    book, skus = tenant.licenses, tenant.licenses.skus()
    kept = [state for state in states if state["state"] not in ACTIVE or book.seats_left(skus[state["skuId"]]) > 0]
    return book.put(user, [*states_of(user), *kept]) if kept else user


@routes.get("/subscribedSkus", LICENSES, page="subscribedsku-list")
def list_skus(call: Call) -> Reply:
    """``$select`` is all that it supports (resources/subscribedsku.md)."""
    if call.query.get("$filter"):
        raise bad_request("Query filter expressions are not supported on subscribedSkus.", "Request_UnsupportedQuery")
    return listing(call, SKU_KIND, [_shown(call, sku) for sku in call.tenant.licenses.skus().values()], pages=False)


@routes.get("/subscribedSkus/{sku}", LICENSES, page="subscribedsku-get")
def get_sku(call: Call) -> Reply:
    sku = call.tenant.state.get("subscribedSkus", call.params["sku"])
    if sku is None:
        raise Refusal(404, "Request_ResourceNotFound", f"Resource '{call.params['sku']}' does not exist.")
    return entity(call, SKU_KIND, _shown(call, sku))


def _shown(call: Call, sku: Json) -> Json:
    status = capability_status(sku["prepaidUnits"])
    return {**sku, "consumedUnits": call.tenant.consumed[sku["skuId"]], "capabilityStatus": status}
