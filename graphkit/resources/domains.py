"""The tenant's own domains."""

from __future__ import annotations

from typing import Any

from graphkit.engine.resource import Context
from graphkit.errors import ServiceError


async def verified_domains(context: Context) -> list[str]:
    """In lower case, the default one first; empty if they cannot be read."""
    try:
        found = await context.client.get("/organization", params={"$select": "id,verifiedDomains"})
    except ServiceError:
        return []
    organization: dict[str, Any] = next(iter(found.get("value") or ()), {})
    domains = sorted(organization.get("verifiedDomains") or (), key=lambda each: not each.get("isDefault"))
    return [str(each["name"]).lower() for each in domains]
