"""licenses.assign: licences given to users directly, seats of the whole plan checked before any write."""

from __future__ import annotations

from collections.abc import Iterator

from graphkit.engine.change import Desired
from graphkit.engine.resource import PlanOptions
from graphkit.inputs.types import InputModel, Key, Org, TextList, Upn
from graphkit.recipe import Inputs, Recipe


class License(InputModel):
    """One row: a user and a SKU."""

    upn: Upn
    sku: Key
    disabled_plans: TextList = ()
    org: Org


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
    columns={
        "upn": "userPrincipalName; the user must have a usageLocation",
        "sku": "skuPartNumber or skuId",
        "disabled_plans": "service plans to turn off, by name or id, separated by ; (those off already stay off)",
        "org": "organisation code, 1 to 9 capital letters and digits",
    },
)
