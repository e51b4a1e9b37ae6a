"""licenses.assign: licences given to users directly or taken, seats of the whole plan checked before any write."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from graphkit.engine.change import Desired, Origin
from graphkit.engine.resource import PlanOptions
from graphkit.inputs.types import AnyOrg, InputModel, Key, TextList, Upn
from graphkit.recipe import Inputs, Recipe

Way = Annotated[Literal["Add", "Remove"], BeforeValidator(lambda text: str(text).strip().capitalize())]


class License(InputModel):
    """One row: a user and a SKU."""

    upn: Upn = Field(description="userPrincipalName; the user must have a usageLocation, or get one here")
    sku: Key = Field(description="skuPartNumber or skuId")
    disabled_plans: TextList = Field(
        default=(), description="service plans to turn off, by name or id (those off already stay off)"
    )
    org: AnyOrg = Field(description="organisation code")
    action: Way = Field(default="Add", description="Add or Remove; those of one user are one write")
    usage_location: str = Field(
        default="",
        pattern="^([A-Z]{2})?$",
        description="two-letter country code to set first, where the user has none or another",
    )


def desired(inputs: Inputs, options: PlanOptions) -> Iterator[Desired]:
    """One licence a row; rows of other organisations than ``--org`` ask for nothing."""
    places: dict[str, tuple[str, Origin]] = {}
    for origin, row in inputs.rows(License, key=lambda row: (row.upn.lower(), row.sku.lower())):
        if options.org not in ("", row.org):
            continue
        if row.action == "Add" and (why := _may_not_get(inputs, row)):
            inputs.problems.add(origin.file, origin.place, "invalid-value", f"org: {why}")
            inputs.rejected.append(origin)
            continue
        if row.usage_location and (wish := _location(inputs, origin, row, places)):
            yield wish
        yield Desired(
            kind="user.license",
            key=f"{row.upn.lower()}/{row.sku}",
            origin=origin,
            properties={"user": row.upn, "sku": row.sku, "disabledPlans": list(row.disabled_plans)},
            rails={"org": row.org},
            absent=row.action == "Remove",
        )


def _may_not_get(inputs: Inputs, row: License) -> str:
    """Any organisation may give licences back; to get some it must be in the registry, if there is one, and open."""
    if not inputs.orgs:
        return ""
    org = inputs.orgs.get(row.org)
    if org is None:
        return f"{row.org!r}: is not in the registry of organisations"
    return "" if org.open else f"{row.org!r}: is closed, as the registry of organisations says"


def _location(inputs: Inputs, origin: Origin, row: License, places: dict[str, tuple[str, Origin]]) -> Desired | None:
    """Once for each user, however many rows repeat it."""
    user = row.upn.lower()
    if user in places:
        place, first = places[user]
        if place != row.usage_location:
            message = f"usage_location: {row.usage_location} here, {place} in {first.file} row {first.place}"
            inputs.problems.add(origin.file, origin.place, "contradiction", message)
        return None
    places[user] = (row.usage_location, origin)
    properties = {"user": row.upn, "usageLocation": row.usage_location}
    return Desired(kind="user.location", key=user, origin=origin, properties=properties, rails={"org": row.org})


RECIPE = Recipe(
    name="licenses.assign",
    summary="Licences by user, directly, given and taken; seats are checked before any write",
    permissions=("LicenseAssignment.ReadWrite.All",),
    desired=desired,
    template="assign.csv",
    models=(License,),
    options=("org",),
    rails=(
        "seats of a SKU that the whole plan needs and neither the tenant has nor the plan frees in time: blocked",
        "an organisation over its cap in the registry: blocked",
        "service plans that exclude or miss each other, no usageLocation, or a plan to be off that a group leaves on: "
        "that licence alone is blocked, and with it what the same user was to lose",
        "usage_location needs User.ReadWrite.All besides; a location that was not set before cannot be unset",
    ),
)
