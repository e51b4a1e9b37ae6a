"""Names that an input gives for objects of the tenant, and the ids they stand for.

A name is no key: it counts only if it belongs to exactly one object.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from graphkit.engine.change import Reading, present
from graphkit.engine.resource import Context
from graphkit.protocol.odata import literal, query, segment
from graphkit.resources.reading import read_each, read_list
from graphkit.resources.users import GUID


async def find_groups(context: Context, names: Iterable[str]) -> tuple[dict[str, str], dict[str, str]]:
    """(ids, reasons) by displayName or id as given: a name is in the one or, where it leads nowhere, in the other."""
    wanted = sorted(set(names))
    readings = await asyncio.gather(*(_matches(context, name) for name in wanted))
    ids, reasons = {}, {}
    for name, reading in zip(wanted, readings, strict=True):
        matches = [str(group["id"]) for group in (reading.value or {}).get("value") or ()]
        if not reading.known:
            reasons[name] = f"group {name} could not be looked up: {reading.why}"
        elif len(matches) == 1:
            ids[name] = matches[0]
        else:
            reasons[name] = _why_not(name, matches)
    return ids, reasons


async def _matches(context: Context, name: str) -> Reading:
    """The groups that ``name`` may mean, as ``{"value": [...]}``."""
    if not GUID.fullmatch(name):
        options = query({"$filter": f"displayName eq {literal(name)}", "$select": "id,displayName"})
        return await read_list(context.client, f"/groups{options}")
    (reading,) = await read_each(context.client, [f"/groups/{segment(name)}?$select=id,displayName"])
    return present({"value": [reading.value] if reading.value else []}) if reading.known else reading


def _why_not(name: str, matches: list[str]) -> str:
    if not matches:
        return f"no group is called {name}" if not GUID.fullmatch(name) else f"there is no group {name}"
    return (
        f"{len(matches)} groups are called {name} ({', '.join(sorted(matches))}): give the id of the one that is meant"
    )
