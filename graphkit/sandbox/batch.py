"""``POST /$batch``: up to 20 operations in one envelope (concepts/json-batching.md).

The envelope is 400 as a whole when it is malformed, else 200 whatever happened inside. Operations run in the order
given, are charged one by one, and are answered in an arbitrary order. A failed operation fails with 424 all that
depend on it.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from graphkit.sandbox.call import Json, Refusal, Reply, bad_request

if TYPE_CHECKING:
    from graphkit.sandbox.faults import Strikes
    from graphkit.sandbox.tenant import Incoming, SimulatedTenant

MAX_ITEMS = 20
METHODS = frozenset({"GET", "POST", "PATCH", "PUT", "DELETE", "HEAD"})
WRITES = frozenset({"POST", "PATCH", "PUT"})
_JSON = "application/json; odata.metadata=minimal; charset=utf-8"


def run(tenant: SimulatedTenant, outer: Incoming, strikes: Strikes) -> Reply:
    """Execute a batch, with the faults that strike it as a whole."""
    requests = read_envelope(outer.body)
    instead, fates = (strikes.instead(requests), strikes.fates(requests)) if strikes else ({}, {})
    answers: list[Json] = []
    failed: set[str] = set()
    reply = Reply()
    for request in requests[: strikes.items]:
        key = request["id"]
        inner = instead.get(key) or _one(tenant, outer, request, failed, fates.get(key))
        reply.delay_s = max(reply.delay_s, inner.delay_s)
        reply.failure = reply.failure or inner.failure
        reply.last = reply.last or inner.last
        if inner.status >= 400 or (inner.failure and inner.failure.silent):
            failed.add(key.lower())
        answers.append(answer_of(key, inner))
    tenant.dice.shuffle(answers)
    reply.body = {"responses": answers}
    return reply


def read_envelope(body: Any) -> list[Json]:
    """Raises :class:`Refusal` (400) for a malformed envelope."""
    requests = body.get("requests") if isinstance(body, dict) else None
    if not isinstance(requests, list) or not requests:
        raise bad_request("Invalid batch payload format.", "BadRequest")
    if len(requests) > MAX_ITEMS:
        raise bad_request(f"Number of batch request steps exceeds the maximum value of {MAX_ITEMS}.", "BadRequest")
    seen: set[str] = set()
    for request in requests:
        _check_item(request, seen)
        seen.add(str(request["id"]).lower())
    return requests


def _check_item(request: Any, seen: set[str]) -> None:
    if not isinstance(request, dict) or not isinstance(request.get("id"), str) or not request["id"]:
        raise bad_request("Invalid batch payload format: every request needs an id that is a string.", "BadRequest")
    key = request["id"].lower()
    if key in seen:
        raise bad_request(f"Request Id '{request['id']}' appears more than once in the batch.", "BadRequest")
    if str(request.get("method", "")).upper() not in METHODS or not isinstance(request.get("url"), str):
        raise bad_request(f"Invalid batch payload format: request '{key}' needs a method and a url.", "BadRequest")
    parents = request.get("dependsOn") or []
    if not isinstance(parents, list) or any(str(parent).lower() not in seen for parent in parents):
        raise bad_request(f"Request '{request['id']}' depends on a request that does not come before it.", "BadRequest")


def _one(
    tenant: SimulatedTenant, outer: Incoming, request: Json, failed: set[str], told: tuple[int, bool] | None
) -> Reply:
    if failed and any(str(parent).lower() in failed for parent in request.get("dependsOn") or ()):
        return tenant.refused(Refusal(424, "FailedDependency", "A request that this one depends on failed."), outer)
    headers = {str(name).lower(): str(value) for name, value in (request.get("headers") or {}).items()}
    headers.setdefault("authorization", outer.headers.get("authorization", ""))
    inner = outer.inner(request["method"].upper(), request["url"], headers)
    inner.told = told or outer.told
    try:
        inner.path, inner.query = _address(request["url"])
        inner.body = _body(request, headers)
    except Refusal as refusal:
        return tenant.refused(refusal, inner)
    return tenant.execute(inner)


def _address(url: str) -> tuple[str, str]:
    if "://" in url:
        raise bad_request(f"Invalid batch url '{url}': it must be relative to the version root.", "BadRequest")
    if url[:1] != "/":
        url = "/" + url
    if url.lower().startswith("/$batch"):
        raise bad_request("A batch cannot hold another batch.", "BadRequest")
    path, _, query = url.partition("?")
    return path, query


def _body(request: Json, headers: dict[str, str]) -> Any:
    body = request.get("body")
    if body is None and request["method"].upper() not in WRITES:
        return None
    if body is None or "content-type" not in headers:
        # Both must be there, the body if only as an empty object, and the header in the item itself:
        # concepts/json-batching.md, of the fourth request of its example.
        raise bad_request(
            "Write requests (excluding DELETE) must contain the Content-Type header declaration.", "BadRequest"
        )
    if isinstance(body, str) and "json" not in headers["content-type"]:
        return base64.urlsafe_b64decode(body + "==")
    return body


def answer_of(item_id: str, inner: Reply) -> Json:
    """Text stays text inside an answer (OData JSON Format 4.01, 19.2; that Graph keeps to it is an assumption)."""
    answer: Json = {"id": item_id, "status": inner.status, "headers": inner.headers}
    if inner.body is not None:
        answer["body"] = inner.body
        inner.headers.setdefault("Content-Type", "text/plain" if isinstance(inner.body, str) else _JSON)
    return answer


def is_batch(path: str) -> bool:
    return urlsplit(path).path.lower() == "/$batch"
