"""licenses.assign: licences given to users directly, seats of the whole plan checked before any write."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import Field

from graphkit.engine.change import Desired
from graphkit.engine.resource import PlanOptions
from graphkit.inputs.types import InputModel, Key, Org, TextList, Upn
from graphkit.recipe import Inputs, Recipe


class License(InputModel):
    """One row: a user and a SKU."""

    upn: Upn = Field(description="userPrincipalName; the user must have a usageLocation")
    sku: Key = Field(description="skuPartNumber or skuId")
    disabled_plans: TextList = Field(
        default=(), description="service plans to turn off, by name or id (those off already stay off)"
    )
    org: Org = Field(description="organisation code")


def desired(inputs: Inputs, options: PlanOptions) -> Iterator[Desired]:
    """One licence a row; rows of other organisations than ``--org`` ask for nothing."""
    for origin, row in inputs.rows(License, key=lambda row: (row.upn, row.sku)):
        if options.org in ("", row.org):
            yield Desired(
                kind="user.license",
                key=f"{row.upn.lower()}/{row.sku}",
                origin=origin,
                properties={"user": row.upn, "sku": row.sku, "disabledPlans": list(row.disabled_plans)},
                rails={"org": row.org},
            )


RECIPE = Recipe(
    name="licenses.assign",
    summary="Licences by user, directly; seats are checked before any write",
    permissions=("LicenseAssignment.ReadWrite.All",),
    desired=desired,
    template="assign.csv",
    models=(License,),
    rails=(
        "seats of a SKU that the whole plan needs and the tenant does not have: blocked",
        "no usageLocation, or a plan to be off that a group leaves on: that licence alone is blocked",
    ),
)
