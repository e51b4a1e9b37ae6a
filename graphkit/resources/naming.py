"""What ids stand for: names that lead back to the same object, for files that are to be read in any tenant.

The reverse of :mod:`graphkit.resources.references`. An id whose name is not its own alone stays an id.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from graphkit.engine.resource import Context
from graphkit.errors import ServiceError
from graphkit.protocol.odata import literal, query, segment
from graphkit.resources.references import (
    Found,
    find_apps,
    find_filters,
    find_groups,
    find_locations,
    find_roles,
    find_scope_tags,
    find_strengths,
    find_templates,
    find_users,
)
from graphkit.resources.users import GUID

GROUP = "id,displayName,description,groupTypes,mailEnabled,securityEnabled,membershipRule,membershipRuleProcessingState"
_ONE: Mapping[str, tuple[str, str]] = {
    "group": (f"/groups/{{}}?$select={GROUP}", "displayName"),
    "user": ("/users/{}?$select=id,userPrincipalName", "userPrincipalName"),
}
"""Nouns that are asked for one by one: path, and the property that is the name."""
_LISTED: Mapping[str, tuple[str, str]] = {
    "role": ("v1.0", "/directoryRoleTemplates?$select=id,displayName"),
    "location": ("v1.0", "/identity/conditionalAccess/namedLocations"),
    "strength": ("v1.0", "/policies/authenticationStrengthPolicies?$select=id,displayName"),
    "template": ("v1.0", "/deviceManagement/notificationMessageTemplates"),
    "filter": ("beta", "/deviceManagement/assignmentFilters?$select=id,displayName"),
    "scope tag": ("beta", "/deviceManagement/roleScopeTags?$select=id,displayName"),
}
"""Nouns whose lists are short: version of Graph, path."""
_FIND: Mapping[str, Callable[[Context, Iterable[str]], Awaitable[Found]]] = {
    "group": find_groups,
    "user": find_users,
    "role": find_roles,
    "app": find_apps,
    "location": find_locations,
    "strength": find_strengths,
    "template": find_templates,
    "filter": find_filters,
    "scope tag": find_scope_tags,
}


class Namer:
    """Names by noun and id. ``groups`` holds what was read of each group by id, ``unnamed`` why an id stays one."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._names: dict[tuple[str, str], str] = {}
        self.groups: dict[str, dict[str, Any]] = {}
        self.unnamed: dict[tuple[str, str], str] = {}

    async def learn(self, noun: str, ids: Iterable[str]) -> None:
        """Ask for the names of these. Raises what stops a list, or what the service refuses."""
        new = sorted({each.lower() for each in ids} - {known for what, known in self._names if what == noun})
        if not new:
            return
        told = await self._told(noun, new)
        back, _ = await _FIND[noun](self._context, sorted(set(told.values())))
        for each in new:
            name = told.get(each, "")
            self._names[noun, each] = name if name and back.get(name, "").lower() == each else each
            if not name:
                self.unnamed[noun, each] = f"there is no {noun} {each}: its id stays"
            elif self._names[noun, each] == each:
                self.unnamed[noun, each] = f"more than one {noun} is called {name}, or it reads as an id: {each} stays"

    def name(self, noun: str, given: str) -> str:
        """The name, or the id as it was given where there is none."""
        return self._names.get((noun, given.lower()), given)

    async def _told(self, noun: str, ids: list[str]) -> dict[str, str]:
        if noun in _LISTED:
            version, path = _LISTED[noun]
            listed = self._context.client.list(path, version=version)
            return {str(each["id"]).lower(): str(each.get("displayName") or "") async for each in listed}
        found = await asyncio.gather(*(self._one(noun, each) for each in ids))
        return {each: name for each, name in zip(ids, found, strict=True) if name}

    async def _one(self, noun: str, object_id: str) -> str:
        if not GUID.fullmatch(object_id):
            return ""
        if noun == "app":
            asked = query({"$filter": f"appId eq {literal(object_id)}", "$select": "appId,displayName"})
            apps = [each async for each in self._context.client.list(f"/servicePrincipals{asked}")]
            return str(apps[0].get("displayName") or "") if apps else ""
        path, name = _ONE[noun]
        try:
            found = await self._context.client.get(path.format(segment(object_id)))
        except ServiceError as error:
            if error.status != 404:
                raise
            return ""
        if noun == "group":
            self.groups[object_id] = found
        return str(found.get(name) or "")
