"""Named locations: IP ranges and countries that policies refer to.

https://learn.microsoft.com/graph/api/conditionalaccessroot-post-namedlocations. A compliant network location (beta) is
made by the service itself, under its own name (https://learn.microsoft.com/graph/api/resources/
compliantnetworknamedlocation): one that is there is found, and whether one can be created is the service's to say.
"""

from __future__ import annotations

from graphkit.engine.resource import PlanView
from graphkit.resources.break_glass import NOTHING_DECLARED
from graphkit.resources.named import NamedObjects


class NamedLocations(NamedObjects):
    """``properties`` as Graph has them, ``@odata.type`` included, which cannot be changed later."""

    kind = "namedLocation"
    rank = 0
    path = "/identity/conditionalAccess/namedLocations"
    noun = "named location"
    type_name = "namedLocation"
    compared = (
        "ipRanges",
        "isTrusted",
        "countriesAndRegions",
        "includeUnknownCountriesAndRegions",
        "countryLookupMethod",
        "compliantNetworkType",
    )

    async def guard(self, view: PlanView) -> list[str]:
        """Live policies change their meaning with the locations; policies in the same plan bring their own proof."""
        alone = not view.wanted_count("conditionalAccessPolicy")
        return [NOTHING_DECLARED] if alone and not self.context.options.break_glass else []
