"""licenses.reconcile: licences in error are processed again where that helps; for the rest the plan says what does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pydantic import Field, model_validator

from graphkit.engine.change import Desired, Origin
from graphkit.engine.resource import PlanOptions
from graphkit.inputs.types import InputModel, TextList
from graphkit.recipe import Inputs, Recipe
from recipes.licenses.assign import License
from recipes.licenses.pools import Pool


class Scope(InputModel):
    """Where to look: everywhere, or at the pools of a file for licenses.pools."""

    all: bool = Field(default=False, description="true: everybody in the tenant")
    skus: TextList = Field(default=(), description="with all: only these SKUs, by part number or id")
    mode: Literal["additive", "authoritative"] = Field(
        default="additive", description="as in licenses.pools; no matter here"
    )
    pools: tuple[Pool, ...] = Field(default=(), description="pools whose members are looked at, as in licenses.pools")

    @model_validator(mode="after")
    def _somewhere(self) -> Scope:
        if self.all == bool(self.pools):
            raise ValueError("either all: true or pools, as in a file for licenses.pools")
        return self


def desired(inputs: Inputs, options: PlanOptions) -> Iterator[Desired]:
    """Scopes to look at; from rows as in licenses.assign also the licences that somebody lacks."""
    tables, documents = inputs.apart()
    for source, scope in documents.documents(Scope):
        if scope.all:
            properties = {"everybody": True, "skus": list(scope.skus)}
            yield Desired(
                kind="license.scope", key="everybody", origin=Origin(source.name, "all"), properties=properties
            )
        for index, pool in enumerate(scope.pools):
            if options.org in ("", pool.org):
                origin = Origin(source.name, f"pools[{index}]")
                yield Desired(
                    kind="license.scope",
                    key=pool.key,
                    origin=origin,
                    properties={"pool": pool.key},
                    rails={"org": pool.org},
                )
    for origin, row in tables.rows(License, key=lambda row: (row.upn.lower(), row.sku.lower())):
        if options.org in ("", row.org) and row.action == "Add":
            yield _row(origin, row)


def _row(origin: Origin, row: License) -> Desired:
    return Desired(
        kind="license.scope",
        key=f"{row.upn.lower()}/{row.sku}",
        origin=origin,
        properties={"user": row.upn, "sku": row.sku, "disabledPlans": list(row.disabled_plans)},
        rails={"org": row.org},
    )


RECIPE = Recipe(
    name="licenses.reconcile",
    summary="Licences in error: processed again where that helps, and advice for the rest",
    permissions=("LicenseAssignment.ReadWrite.All", "User.ReadWrite.All"),
    desired=desired,
    template="reconcile.csv",
    given_with=("reconcile.yaml",),
    models=(Scope, License),
    options=("org",),
    rails=(
        "what processing cannot fix is blocked, with what can; apply ends with exit 3 then",
        "seats are given out in the order of names: whoever finds none left is advised instead",
        "from rows: what licenses.assign checks",
    ),
)
