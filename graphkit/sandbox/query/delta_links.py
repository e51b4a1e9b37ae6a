"""The links of delta queries: what their tokens hold, how long they live, and what may be asked besides.

concepts/delta-query-overview.md and concepts/errors.md of microsoft-graph-docs-contrib.
"""

from __future__ import annotations

import base64
import binascii

import msgspec

from graphkit.sandbox.call import Call, Json, Refusal, bad_request
from graphkit.sandbox.query.filter import parse_filter
from graphkit.sandbox.query.shape import Kind, selected
from graphkit.sandbox.schema.tables import find_type

LIFE_S = 7 * 86_400
""" "For directory objects [...] the limit is seven days"."""
MAX_IDS = 50


class Mark(msgspec.Struct, frozen=True, array_like=True):
    """Where a client is. It knows what happened up to change ``since``, and goes on at ``cursor``: a change's number,
    or a place among all objects if these are not ``changes`` yet; of that object's links it has seen those up to
    ``after``. The next round begins behind change ``then``.
    """

    kind: str
    tenant: str
    at: float
    since: int
    then: int
    cursor: int = 0
    changes: bool = False
    after: str = ""
    select: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()


def first_mark(call: Call, kind: Kind, relations: tuple[str, ...]) -> Mark:
    """Where the first call begins. ``$top``, ``$expand`` and ``$orderby`` are not supported, and ignored
    (microsoft-graph-docs#6194, #17516).
    """
    then = _settled(call, kind)
    select = _selected(call, kind, relations)
    return Mark(kind.name, call.tenant.tenant_id, call.now, then, then, select=select, ids=_ids(call, kind))


def _settled(call: Call, kind: Kind) -> int:
    """The last change that every replica knows of."""
    return call.tenant.state.journals[kind.name].settled(call.now - call.tenant.replication.window_s)


def _selected(call: Call, kind: Kind, relations: tuple[str, ...]) -> tuple[str, ...]:
    found = find_type(kind.type, call.version)
    others = {name for name, declared in found.properties.items() if declared.startswith(">")} if found else set[str]()
    names = selected(call, kind)
    for name in names:
        if name in others.difference(relations) or name == "signInActivity":
            raise Refusal(501, "NotModelled", f"The simulated tenant does not model delta of {name} on {kind.name}.")
    return names


def _ids(call: Call, kind: Kind) -> tuple[str, ...]:
    """``$filter=id eq 'x' or id eq 'y'``, the only filter there is (msgraph-sdk-powershell#1879)."""
    text = call.query.get("$filter")
    if not text:
        return ()
    wanted = parse_filter(text, kind.types, call.version)
    values = wanted.equal("id")
    if values is None or wanted.negated or any(clause.path != "id" for clause in wanted.clauses):
        raise bad_request("Filter not supported.", "Request_UnsupportedQuery")
    ids = tuple(dict.fromkeys(values))
    if len(ids) > MAX_IDS:
        raise bad_request(f"At most {MAX_IDS} objects can be filtered by id.", "Request_UnsupportedQuery")
    return ids


def link_to(call: Call, name: str, following: Mark | None, mark: Mark) -> Json:
    """The link of an answer: to the next page, or if there is none to the next round."""
    if following is not None:
        return {"@odata.nextLink": _link(call, name, "$skiptoken", following)}
    done = Mark(name, mark.tenant, call.now, mark.then, 0, mark.then, True, "", mark.select, mark.ids)
    return {"@odata.deltaLink": _link(call, name, "$deltatoken", done)}


def _link(call: Call, name: str, option: str, mark: Mark) -> str:
    token = base64.urlsafe_b64encode(msgspec.json.encode(mark)).decode().rstrip("=")
    return f"{call.root}/{name}/delta?{option}={token}"


def read_mark(call: Call, kind: Kind) -> Mark:
    """Where a link leads. Raises :class:`Refusal`; 410 if the client must begin anew."""
    query = call.query
    token = query.get("$skiptoken") or query.get("$deltatoken")
    mark = _decoded(token)
    if mark.kind != kind.name or mark.changes < bool(query.get("$deltatoken")):
        raise _malformed()
    if mark.tenant != call.tenant.tenant_id or mark.since > call.tenant.state.journals[kind.name].end:
        # A token of another life, in which more had happened.
        raise _gone(call, kind, "resyncRequired")
    if call.now > mark.at + LIFE_S:
        raise _gone(call, kind, "syncStateNotFound")
    if query.get("$deltatoken"):
        select = selected(call, kind) or mark.select
        return msgspec.structs.replace(mark, then=_settled(call, kind), select=select)
    if query.get("$select"):
        raise bad_request("The query options of a delta query cannot be changed between its pages.")  # our words
    return mark


def _decoded(token: str) -> Mark:
    try:
        return msgspec.json.decode(base64.urlsafe_b64decode(token.encode() + b"=="), type=Mark)
    except (binascii.Error, ValueError) as error:  # msgspec's errors are ValueErrors
        raise _malformed() from error


def _malformed() -> Refusal:
    return bad_request("Badly formed token.")  # assumption: the words


def _gone(call: Call, kind: Kind, code: str) -> Refusal:
    """410 with where to begin anew: "the Location header contains a URL with an empty $deltatoken"."""
    return Refusal(
        410,
        code,
        "The sync state is not found or has expired. Start a full synchronisation.",
        {"Location": f"{call.root}/{kind.name}/delta?$deltatoken="},
    )
