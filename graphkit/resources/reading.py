"""Three-valued reads: what several nouns share."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from graphkit.client import GraphClient
from graphkit.engine.change import ABSENT, Reading, present, unknown
from graphkit.engine.resource import Context
from graphkit.errors import AuthError, GraphkitError, ServiceError, Stopped
from graphkit.protocol.message import Answer, Request
from graphkit.protocol.odata import segment


async def read_each(client: GraphClient, paths: Sequence[str], version: str = "v1.0") -> list[Reading]:
    """One GET per path, batched by the transport; one reading each, in order.

    Absent only on 404. What stops a whole run (no token, parked, deadline) is raised; any other failure makes that one
    object unknown.
    """
    answers = await client.batch([Request(method="GET", path=path, version=version) for path in paths])
    return [reading_of(answer) for answer in answers]


async def list_below(
    context: Context, kind: str, keys: Iterable[str], path: str, version: str = "v1.0"
) -> dict[str, Reading]:
    """What stands below each object of ``kind``, as ``{"value": [...]}`` by the object's key.

    ``path`` has ``{}`` for the object's id. Absent where the object itself is not there; a list that breaks off is
    unknown, for it proves nothing.
    """
    ids = {key: context.object_ids.get((kind, key)) for key in keys}
    there = {key: object_id for key, object_id in ids.items() if object_id}
    paths = [path.format(segment(each)) for each in there.values()]
    lists = await asyncio.gather(*(read_list(context.client, each, version) for each in paths))
    return {**dict.fromkeys(ids, ABSENT), **dict(zip(there, lists, strict=True))}


async def read_list(client: GraphClient, path: str, version: str = "v1.0") -> Reading:
    """A whole collection as ``{"value": [...]}``; absent if its owner is not there, unknown if it breaks off."""
    items: list[dict[str, Any]] = []
    try:
        async for page in client.pages(path, version=version):
            items += page
    except (AuthError, Stopped):
        raise
    except ServiceError as error:
        return ABSENT if error.status == 404 else unknown(error.message)
    except GraphkitError as error:
        return unknown(error.message)
    return present({"value": items})


def of_type(items: Iterable[Mapping[str, Any]], name: str) -> list[Mapping[str, Any]]:
    """Those of a mixed list that are of one type, or do not say of which.

    In place of a cast in the path, which the service takes of transitive lists only with ``ConsistencyLevel: eventual``
    and ``$count=true`` (https://learn.microsoft.com/graph/aad-advanced-queries), and then from an index that lags.
    """
    return [item for item in items if str(item.get("@odata.type") or name).rpartition(".")[2] == name]


def reading_of(answer: Answer) -> Reading:
    if isinstance(answer, (AuthError, Stopped)):
        raise answer
    if isinstance(answer, GraphkitError):
        return unknown(answer.message)
    if isinstance(answer, Exception):
        raise answer
    if answer.status == 404:
        return ABSENT
    if not answer.ok:
        problem = answer.error
        return unknown(f"the service answered {answer.status} {problem.code}: {problem.message}".rstrip(": "))
    try:
        value = answer.json()
    except ValueError as error:
        return unknown(str(error))
    return present(value) if isinstance(value, dict) else unknown("the answer is not an object")


def same(left: Any, right: Any) -> bool:
    """Null, absent and empty are one."""
    return (left or None) == (right or None)


def differing(wanted: Mapping[str, Any], found: Mapping[str, Any], names: Iterable[str]) -> list[str]:
    """Which of these properties differ."""
    return [name for name in names if not same(wanted.get(name), found.get(name))]
