"""Where a conditional access policy refers to something else, by name or id, and what it cannot do without.

https://learn.microsoft.com/graph/api/resources/conditionalaccesspolicy
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

PLACES: Mapping[tuple[str, ...], str] = {
    ("conditions", "users", "includeUsers"): "user",
    ("conditions", "users", "excludeUsers"): "user",
    ("conditions", "users", "includeGroups"): "group",
    ("conditions", "users", "excludeGroups"): "group",
    ("conditions", "users", "includeRoles"): "role",
    ("conditions", "users", "excludeRoles"): "role",
    ("conditions", "applications", "includeApplications"): "app",
    ("conditions", "applications", "excludeApplications"): "app",
    ("conditions", "locations", "includeLocations"): "location",
    ("conditions", "locations", "excludeLocations"): "location",
    ("grantControls", "authenticationStrength", "id"): "strength",
}
"""Where a policy refers to something else, and to what."""
WORDS: Mapping[str, frozenset[str]] = {
    "user": frozenset({"All", "None", "GuestsOrExternalUsers"}),
    "app": frozenset({"All", "None", "Office365", "MicrosoftAdminPortals", "AllAgentIdResources"}),
    # The zeros stand for the trusted addresses of the old multifactor service.
    "location": frozenset({"All", "AllTrusted", "00000000-0000-0000-0000-000000000000"}),
}
"""What stands in those places without being a name (api-reference/v1.0/resources/conditionalaccess*.md)."""


def references(policy: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], str, list[str]]]:
    """(place, noun, names) wherever the policy refers to something that has to be looked up."""
    for place, noun in PLACES.items():
        value: Any = policy
        for step in place:
            value = value.get(step) if isinstance(value, Mapping) else None
        names = [value] if isinstance(value, str) else value if isinstance(value, list) else []
        yield place, noun, [name for name in names if isinstance(name, str) and word(noun, name) is None]


def put(policy: dict[str, Any], place: tuple[str, ...], noun: str, by: Mapping[str, str]) -> None:
    """Replace the names in one place as ``by`` says, and words by their own spelling."""
    holder: Any = policy
    for step in place[:-1]:
        holder = holder.get(step) if isinstance(holder, dict) else None
    value = holder.get(place[-1]) if isinstance(holder, dict) else None
    if isinstance(value, str):
        holder[place[-1]] = by.get(value, value)
    elif isinstance(value, list):
        holder[place[-1]] = [word(noun, name) or by.get(name, name) for name in value]


def word(noun: str, name: str) -> str | None:
    """The word that a name is in this place, by its own spelling; None if it is a name."""
    return next((word for word in WORDS.get(noun, ()) if word.casefold() == name.casefold()), None)


def incomplete(policy: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """(place, what is missing there) without which the service takes no policy.

    https://learn.microsoft.com/graph/api/conditionalaccessroot-post-policies: an application rule, a user rule, and a
    grant or session control; resources/conditionalaccessgrantcontrols: an operator, which the metadata calls text.
    """
    conditions = policy.get("conditions") or {}
    people = [conditions.get(name) or {} for name in ("users", "clientApplications", "agents")]
    apps = conditions.get("applications") or {}
    if not any(value for part in people for name, value in part.items() if name.startswith("include")):
        yield "conditions.users", "nobody is included"
    if not any(value for name, value in apps.items() if name.startswith("include") or name == "applicationFilter"):
        yield "conditions.applications", "no application or user action is included"
    if not (policy.get("grantControls") or any((policy.get("sessionControls") or {}).values())):
        yield "grantControls", "neither a grant nor a session control is given"
    if policy.get("grantControls") and policy["grantControls"].get("operator") not in ("AND", "OR"):
        yield "grantControls.operator", "AND or OR must say how the controls combine"
