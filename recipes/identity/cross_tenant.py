"""identity.cross-tenant: what the partners of a joined-up service may do here, and we there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from pydantic import Field

from graphkit.engine.change import Desired, Origin
from graphkit.engine.resource import PlanOptions
from graphkit.inputs.types import Flag, InputModel, TenantId
from graphkit.recipe import Inputs, Recipe
from graphkit.resources.cross_tenant import access

Direction = Literal["inbound", "outbound", "both", "none"]


class Rules(InputModel):
    """What the other side may do."""

    collaboration: Direction = Field(description="B2B collaboration (guests): inbound, outbound, both or none")
    direct_connect: Direction = Field(description="B2B direct connect (shared channels): inbound, outbound, both, none")
    trust_mfa: Flag = Field(description="accept multifactor authentication done in the other tenant")
    trust_compliant_device: Flag = Field(description="accept the other tenant's word that a device is compliant")

    def settings(self) -> dict[str, Any]:
        """As Graph has them; who is trusted for hybrid joined devices stays as it is."""
        ways = {"b2bCollaboration": self.collaboration, "b2bDirectConnect": self.direct_connect}
        found: dict[str, Any] = {
            f"{name}{way.capitalize()}": access(direction in (way, "both"))
            for name, direction in ways.items()
            for way in ("inbound", "outbound")
        }
        trust = {"isMfaAccepted": self.trust_mfa, "isCompliantDeviceAccepted": self.trust_compliant_device}
        return {**found, "inboundTrust": trust}


class Partner(Rules):
    """One row."""

    partner_name: str = Field(min_length=1, description="who it is, for readers: the service keeps no name")
    tenant_id: TenantId = Field(description="the partner's tenant id")
    action: Literal["", "Set", "Remove"] = Field(default="", description="optional: Set (default) or Remove")


class Defaults(InputModel):
    """The page beside the list."""

    defaults: Rules = Field(description="what counts for every tenant that is no partner; binds the whole tenant")


def desired(inputs: Inputs, options: PlanOptions) -> Iterator[Desired]:
    """The default first, then a configuration for each partner."""
    tables, documents = inputs.apart()
    seen = ""
    for source, document in documents.documents(Defaults):
        if seen:
            inputs.problems.add(source.name, "defaults", "duplicate-key", f"defaults are there twice, first in {seen}")
            continue
        seen = source.name
        origin = Origin(source.name, "defaults")
        yield Desired(kind="crossTenantDefault", key="default", origin=origin, properties=document.defaults.settings())
    for origin, row in tables.rows(Partner, key=lambda row: row.tenant_id):
        yield Desired(
            kind="crossTenantPartner",
            key=row.tenant_id,
            origin=origin,
            properties={} if row.action == "Remove" else row.settings(),
            rails={"note": row.partner_name},
        )


RECIPE = Recipe(
    name="identity.cross-tenant",
    summary="Partners of a joined-up service: guests, shared channels and what is trusted, tenant by tenant",
    permissions=("Policy.Read.All", "Policy.ReadWrite.CrossTenantAccess"),
    desired=desired,
    template="cross_tenant.csv",
    given_with=("cross_tenant.defaults.yaml",),
    models=(Defaults, Partner),
    essential=True,
)
