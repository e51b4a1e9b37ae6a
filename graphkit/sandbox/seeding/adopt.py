"""A tenant made after another: what was read of it is put in, with its ids."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from graphkit.sandbox.call import Json
from graphkit.sandbox.ids import SEEDED_AT, security_identifier
from graphkit.sandbox.seeding.seed import APPLICATIONS, Seed, account, plant_app
from graphkit.sandbox.seeding.skus import PRODUCTS

if TYPE_CHECKING:
    from graphkit.sandbox.tenant import SimulatedTenant

Objects = Mapping[str, Mapping[str, Json]]
AS_READ = ("policies", "locations")
"""Kinds that are kept in the shape in which they are shown."""


def seed_after(objects: Objects) -> Seed:
    """The birth certificate of such a tenant: its id, its domain and its products, and none of the usual accounts.

    As many units of a product are free as were free there. Products that are not modelled are left out.
    """
    organisation = next(iter(objects.get("organization", {}).values()), {})
    domains = organisation.get("verifiedDomains") or [{}]
    domain = next((each for each in domains if each.get("isDefault")), domains[0])
    products = {name: sku for sku in objects.get("subscribedSkus", {}).values() if (name := _product(sku))}
    held = Counter(
        each.get("skuId") for user in objects.get("users", {}).values() for each in user.get("assignedLicenses") or ()
    )
    chosen: dict[str, Any] = {
        "tenant_id": organisation.get("id"),
        "domain": domain.get("name"),
        "name": organisation.get("displayName"),
    }
    return Seed(
        organisations=1,
        users=0,
        licensed=0,
        skus=tuple(products),
        seats={name: _free(sku) + held[PRODUCTS[name].id] for name, sku in products.items()},
        **{name: value for name, value in chosen.items() if value},
    )


def _product(sku: Json) -> str:
    return next((name for name, product in PRODUCTS.items() if product.id == sku.get("skuId")), "")


def _free(sku: Json) -> int:
    units = sku.get("prepaidUnits") or {}
    return max(0, int(units.get("enabled") or 0) + int(units.get("warning") or 0) - int(sku.get("consumedUnits") or 0))


def adopt(tenant: SimulatedTenant, objects: Objects, links: Iterable[tuple[str, str, str]]) -> None:
    """Put ``objects`` (users, groups, policies, locations, servicePrincipals by key) and (relation, group, id) links
    in.

    What was not read of an object is as it is in a new one.
    """
    state, seed = tenant.state, tenant.seed
    for key, user in objects.get("users", {}).items():
        upn = str(user.get("userPrincipalName") or f"unknown-{key[:8]}@{seed.domain}")
        made = {**account(seed, upn, upn.partition("@")[0]), **_without(user, "assignedLicenses"), "id": key}
        state.put("users", made)
        tenant.licenses.put(made, [_held(each) for each in user.get("assignedLicenses") or ()])
    for key, group in objects.get("groups", {}).items():
        state.put("groups", {**_new_group(key), **group, "id": key})
    for kind in AS_READ:
        for key, item in objects.get(kind, {}).items():
            state.put(kind, {**item, "id": key})
    for app_id, app in objects.get("servicePrincipals", {}).items():
        if app_id not in APPLICATIONS:
            plant_app(state, seed, app_id, str(app.get("displayName") or app_id))
            state.put("servicePrincipals", state.table("servicePrincipals").find("appId", app_id)[0])
    for relation, source, target in sorted(links):
        if state.get("groups", source) and (state.get("users", target) or state.get("groups", target)):
            state.link(relation, source, target)
    tenant.keep()


def _without(item: Json, *names: str) -> Json:
    return {name: value for name, value in item.items() if name not in names and value is not None}


def _held(given: Json) -> Json:
    return {
        "skuId": given.get("skuId"),
        "assignedByGroup": None,
        "disabledPlans": list(given.get("disabledPlans") or ()),
        "state": "Active",
        "error": "None",
        "lastUpdatedDateTime": SEEDED_AT,
    }


def _new_group(key: str) -> Json:
    return {
        "displayName": key,
        "groupTypes": [],
        "mailEnabled": False,
        "mailNickname": key,
        "securityEnabled": True,
        "securityIdentifier": security_identifier(key),
        "createdDateTime": SEEDED_AT,
        "renewedDateTime": SEEDED_AT,
    }
