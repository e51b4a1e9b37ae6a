"""Names that an input gives for objects of the tenant, and the ids they stand for.

A name is no key: it counts only if it belongs to exactly one object. Whatever is asked for by its id must be there too,
but for ids that are the same in every tenant.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any

from graphkit.engine.change import Reading, present
from graphkit.engine.resource import Context
from graphkit.protocol.odata import literal, query, segment
from graphkit.protocol.schema import Version
from graphkit.resources.reading import read_each, read_list
from graphkit.resources.users import GUID, Users

Found = tuple[dict[str, str], dict[str, str]]
"""(ids, reasons): a name is in the one or, where it leads nowhere, in the other."""

BUILT_IN = "00000000-0000-0000-0000-0000000000"
"""How the ids of what Microsoft puts into every tenant begin (built-in authentication strengths)."""


async def find_groups(context: Context, names: Iterable[str]) -> Found:
    """Groups by displayName or id as given."""
    matches = await match_groups(context, names)
    return settle("group", matches)


async def match_groups(context: Context, names: Iterable[str]) -> dict[str, Reading]:
    """The groups that each name or id may mean, as ``{"value": [...]}``."""
    wanted = sorted(set(names))
    return dict(zip(wanted, await asyncio.gather(*(_groups(context, name) for name in wanted)), strict=True))


async def _groups(context: Context, name: str) -> Reading:
    if not GUID.fullmatch(name):
        options = query({"$filter": f"displayName eq {literal(name)}", "$select": "id,displayName"})
        return await read_list(context.client, f"/groups{options}")
    (reading,) = await read_each(context.client, [f"/groups/{segment(name)}?$select=id,displayName"])
    return present({"value": [reading.value] if reading.value else []}) if reading.known else reading


async def find_users(context: Context, names: Iterable[str]) -> Found:
    """Users by userPrincipalName or id."""
    readings = await Users(context).find(sorted(set(names)))
    as_lists = {
        name: present({"value": [reading.value] if reading.value else []}) if reading.known else reading
        for name, reading in readings.items()
    }
    return settle("user", as_lists)


async def find_apps(context: Context, names: Iterable[str]) -> Found:
    """Applications by appId or displayName of their service principal here; the ids are appIds."""
    wanted = sorted(set(names))
    paths = [f"/servicePrincipals{query({'$filter': _app_filter(name), '$select': 'appId'})}" for name in wanted]
    readings = await asyncio.gather(*(read_list(context.client, path) for path in paths))
    return settle("application", dict(zip(wanted, readings, strict=True)), key="appId")


def _app_filter(name: str) -> str:
    return f"{'appId' if GUID.fullmatch(name) else 'displayName'} eq {literal(name)}"


async def find_roles(context: Context, names: Iterable[str]) -> Found:
    """Directory roles by displayName; a template's id is taken as it is, for it is the same everywhere."""
    return await _find_listed(context, "role", "/directoryRoleTemplates?$select=id,displayName", names, known="")


async def find_locations(context: Context, names: Iterable[str]) -> Found:
    """Named locations by displayName or id."""
    return await _find_listed(context, "named location", "/identity/conditionalAccess/namedLocations", names)


async def find_strengths(context: Context, names: Iterable[str]) -> Found:
    """Authentication strengths by displayName or id."""
    path = "/policies/authenticationStrengthPolicies?$select=id,displayName"
    return await _find_listed(context, "authentication strength", path, names, known=BUILT_IN)


async def find_intune_roles(context: Context, names: Iterable[str]) -> Found:
    """Roles of Intune by displayName or id."""
    path = "/deviceManagement/roleDefinitions?$select=id,displayName"
    return await _find_listed(context, "role of Intune", path, names)


async def find_filters(context: Context, names: Iterable[str]) -> Found:
    """Assignment filters of Intune by displayName or id; only beta has them."""
    path = "/deviceManagement/assignmentFilters?$select=id,displayName"
    return await _find_listed(context, "assignment filter", path, names, version="beta")


async def find_scope_tags(context: Context, names: Iterable[str]) -> Found:
    """Scope tags of Intune by displayName or id (a number); only beta has them. Ids are taken as they are."""
    wanted = sorted(set(names))
    ids = {name: name for name in wanted if name.isdigit()}
    path = "/deviceManagement/roleScopeTags?$select=id,displayName"
    found, reasons = await _find_listed(context, "scope tag", path, set(wanted) - set(ids), version="beta")
    return {**ids, **found}, reasons


async def find_templates(context: Context, names: Iterable[str]) -> Found:
    """Notification message templates of Intune by displayName or id."""
    return await _find_listed(context, "notification template", "/deviceManagement/notificationMessageTemplates", names)


async def _find_listed(
    context: Context,
    noun: str,
    path: str,
    names: Iterable[str],
    *,
    known: str | None = None,
    version: Version = "v1.0",
) -> Found:
    """In a list short enough to be read whole. Ids that begin with ``known`` need no look-up."""
    wanted = sorted(set(names))
    ids = {name: name for name in wanted if known is not None and GUID.fullmatch(name) and name.startswith(known)}
    ask = [name for name in wanted if name not in ids]
    if not ask:
        return ids, {}
    everything = await read_list(context.client, path, version)
    found, reasons = settle(noun, {name: _among(everything, name) for name in ask})
    return {**ids, **found}, reasons


def _among(everything: Reading, name: str) -> Reading:
    items: list[dict[str, Any]] = (everything.value or {}).get("value") or []
    key = "id" if GUID.fullmatch(name) else "displayName"
    exact = [item for item in items if item.get(key) == name]
    alike = [item for item in items if str(item.get(key)).casefold() == name.casefold()]
    return present({"value": exact or alike}) if everything.known else everything


def settle(noun: str, matches: dict[str, Reading], *, key: str = "id") -> Found:
    """One id for each name, or why there is none."""
    ids, reasons = {}, {}
    for name, reading in matches.items():
        found = sorted(str(each[key]) for each in (reading.value or {}).get("value") or ())
        if not reading.known:
            reasons[name] = f"{noun} {name} could not be looked up: {reading.why}"
        elif len(found) == 1:
            ids[name] = found[0]
        else:
            reasons[name] = _why_not(noun, name, found)
    return ids, reasons


def _why_not(noun: str, name: str, matches: Sequence[str]) -> str:
    if not matches:
        return f"there is no {noun} {name}" if GUID.fullmatch(name) or "@" in name else f"no {noun} is called {name}"
    return f"{len(matches)} {noun}s are called {name} ({', '.join(matches)}): give the id of the one that is meant"
