"""What a user's licences look like: assignedLicenses, assignedPlans, provisionedPlans, licenseDetails."""

from __future__ import annotations

from graphkit.sandbox.call import Call, Json, Reply
from graphkit.sandbox.query.listing import Kind, listing
from graphkit.sandbox.rules.license_rules import ACTIVE, states_of
from graphkit.sandbox.rules.licenses import capability_status
from graphkit.sandbox.seeding.skus import PLANS

DETAILS_KIND = Kind("licenseDetails", "licenseDetails")


def assigned_licenses(_: Call | None, user: Json) -> list[Json]:
    """One entry per SKU; a plan is off only where every source turns it off."""
    found: dict[str, set[str]] = {}
    for state in states_of(user):
        if state["state"] in ACTIVE:
            disabled = set(state["disabledPlans"])
            found[state["skuId"]] = found[state["skuId"]] & disabled if state["skuId"] in found else disabled
    return [{"skuId": sku, "disabledPlans": sorted(disabled)} for sku, disabled in found.items()]


def assigned_plans(call: Call, user: Json) -> list[Json]:
    """Each plan once (resources/assignedplan.md). Its status is that of the best subscription it comes from."""
    if not states_of(user):
        return []
    skus = call.tenant.licenses.skus()
    changed = {s["skuId"]: s["lastUpdatedDateTime"] for s in states_of(user)}
    found: dict[str, Json] = {}
    for licence in assigned_licenses(call, user):
        sku = skus[licence["skuId"]]
        status = capability_status(sku["prepaidUnits"])
        for plan in sku["servicePlans"]:
            key = plan["servicePlanId"]
            known = found.get(key)
            if plan["appliesTo"] == "Company" or key in licence["disabledPlans"]:
                continue
            if known is None or known["capabilityStatus"] != "Enabled":
                found[key] = {
                    "assignedDateTime": changed[licence["skuId"]],
                    "capabilityStatus": status,
                    "service": PLANS[plan["servicePlanName"]].service,
                    "servicePlanId": key,
                }
    return list(found.values())


def provisioned_plans(call: Call, user: Json) -> list[Json]:
    """resources/provisionedplan.md: by service, each as often as it has plans."""
    return [
        {"capabilityStatus": p["capabilityStatus"], "provisioningStatus": "Success", "service": p["service"]}
        for p in assigned_plans(call, user)
    ]


def license_details(call: Call, user: Json) -> Reply:
    skus = call.tenant.licenses.skus()
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
