"""What binds a whole tenant is confirmed by typing one of the tenant's domains."""

from __future__ import annotations

from typing import Any

from graphkit.engine.resource import Context, PlanView, Resource
from graphkit.errors import ServiceError


async def unconfirmed(resource: Resource, view: PlanView, what: str) -> list[str]:
    """The reason to stop a plan that changes ``what`` for everybody, if it does and nobody has confirmed it."""
    if not any(change.action.writes for change in view.changes(resource.kind)):
        return []
    asked = resource.context.options.confirm.strip().lower()
    domains = await verified_domains(resource.context)
    if asked and asked in domains:
        return []
    said = f"{asked} is no domain of it: " if asked and domains else ""
    name = domains[0] if domains else "the tenant's domain, which could not be read (Organization.Read.All)"
    return [f"{what} would change for the whole tenant: {said}--confirm {name} allows it"]


async def verified_domains(context: Context) -> list[str]:
    """The tenant's domains in lower case, the default one first; empty if they cannot be read."""
    try:
        found = await context.client.get("/organization", params={"$select": "id,verifiedDomains"})
    except ServiceError:
        return []
    organization: dict[str, Any] = next(iter(found.get("value") or ()), {})
    domains = sorted(organization.get("verifiedDomains") or (), key=lambda each: not each.get("isDefault"))
    return [str(each["name"]).lower() for each in domains]
