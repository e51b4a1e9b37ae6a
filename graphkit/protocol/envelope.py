"""A ``$batch`` that somebody else packed: taken apart into single requests, and put together again from their answers.

So that what stands in it is counted, paced and repeated one by one like everything else. The rules are the service's
own: microsoftgraph/microsoft-graph-docs-contrib concepts/json-batching.md.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import Any
from urllib.parse import quote

import msgspec

from graphkit.errors import UntrustedDestination
from graphkit.protocol.batch import MAX_ITEMS
from graphkit.protocol.clouds import VERSIONS
from graphkit.protocol.message import Request, Response

_NOTHING = msgspec.Raw()
_METHODS = frozenset({"GET", "HEAD", "POST", "PATCH", "PUT", "DELETE"})
# People write filters into the envelope as they think them, spaces included; what is encoded already stays.
_AS_IT_IS = "/?:@!$&'()*+,;=-._~%[]"
# Sent again byte for byte, as an address of its own.
_TOKENS = ("skiptoken=", "deltatoken=")
_URL_SAFE = str.maketrans("-_", "+/")
_SPELT = {
    "cache-control": "Cache-Control",
    "content-type": "Content-Type",
    "etag": "ETag",
    "location": "Location",
    "odata-version": "OData-Version",
    "retry-after": "Retry-After",
}
"""As the service writes them in its answers. Code that reads them looks for exactly that."""


@dataclass(frozen=True, slots=True)
class Part:
    """One request of an envelope. ``after`` are the ids, in lower case, of those that must have succeeded before."""

    id: str
    request: Request
    after: tuple[str, ...] = ()


class _Part(msgspec.Struct):
    id: str
    method: str
    url: str
    headers: dict[str, Any] | None = None
    body: msgspec.Raw = _NOTHING
    depends_on: list[str] | None = msgspec.field(default=None, name="dependsOn")
    # What msgraph-core 1.5 writes for dependsOn (msgraph_core/requests/batch_request_item.py).
    depends_too: list[str] | None = msgspec.field(default=None, name="depends_on")


class _Envelope(msgspec.Struct):
    requests: list[_Part]


class _Answer(msgspec.Struct, omit_defaults=True):
    id: str
    status: int
    headers: dict[str, str]
    body: msgspec.Raw | str | None = None


class _Answers(msgspec.Struct):
    responses: list[_Answer]


_decoder = msgspec.json.Decoder(_Envelope)
_encoder = msgspec.json.Encoder()


def read(body: bytes, *, version: str, graph_root: str) -> list[Part]:
    """The parts in their order.

    Raises ``ValueError`` with the service's words if it would refuse the envelope, and ``UntrustedDestination`` if any
    part leads elsewhere.
    """
    try:
        found = _decoder.decode(body).requests
    except msgspec.DecodeError as error:
        raise ValueError("Invalid batch payload format.") from error
    if not found:
        raise ValueError("Invalid batch payload format.")
    if len(found) > MAX_ITEMS:
        raise ValueError(f"Number of batch request steps exceeds the maximum value of {MAX_ITEMS}.")
    parts = [_part(each, version, graph_root) for each in found]
    _check(parts)
    return parts


def write(answers: Iterable[tuple[str, Response]]) -> bytes:
    """The answer to an envelope, from the answer to each of its parts."""
    return _encoder.encode(_Answers([_answer(part_id, response) for part_id, response in answers]))


def _check(parts: Iterable[Part]) -> None:
    order: TopologicalSorter[str] = TopologicalSorter()
    ids: set[str] = set()
    for part in parts:
        # "Not case-sensitive. Must be unique in the batch."
        if part.id.lower() in ids:
            raise ValueError(f"Request Id '{part.id}' appears more than once in the batch.")
        ids.add(part.id.lower())
        order.add(part.id.lower(), *part.after)
    for part in parts:
        if not ids.issuperset(part.after):
            raise ValueError(f"Request '{part.id}' depends on a request that is not in the batch.")
    try:
        order.prepare()
    except CycleError as error:
        raise ValueError("The requests of the batch depend on each other in a circle.") from error


def _part(found: _Part, version: str, graph_root: str) -> Part:
    method = found.method.upper()
    if not found.id or not found.url or method not in _METHODS:
        raise ValueError("Invalid batch payload format: every request needs an id, a method and a url.")
    headers = {name.lower(): str(value) for name, value in (found.headers or {}).items()}
    version, path = _address(found.url, version, graph_root)
    request = Request(method=method, path=path, body=_body(found.body, headers), headers=headers, version=version)
    parents = found.depends_on or found.depends_too or ()
    return Part(found.id, request, tuple(parent.lower() for parent in parents))


def _address(url: str, version: str, graph_root: str) -> tuple[str, str]:
    """msgraph-core writes absolute addresses (msgraph-sdk-python issue 1015), which the service itself refuses."""
    url = quote(url, safe=_AS_IT_IS)
    if "://" not in url.partition("?")[0]:
        if url.startswith("//"):
            raise UntrustedDestination(f"{url[:200]!r} names another host; nothing was sent")
        return version, url if url.startswith("/") else f"/{url}"
    if not url.startswith(graph_root + "/"):
        where = url.partition("?")[0][:200]
        raise UntrustedDestination(f"a batch leads to {where!r}, outside {graph_root}; nothing was sent")
    own, _, path = url[len(graph_root) + 1 :].partition("/")
    if own not in VERSIONS:
        raise ValueError(f"Invalid version: {own}")
    return own, url if any(token in path for token in _TOKENS) else f"/{path}"


def _body(raw: msgspec.Raw, headers: Mapping[str, str]) -> bytes | None:
    body = bytes(raw)
    if not body or body == b"null":
        return None
    if body.startswith(b'"') and "json" not in headers.get("content-type", "json"):
        text = str(msgspec.json.decode(body)).translate(_URL_SAFE)
        try:
            return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
        except binascii.Error as error:
            raise ValueError("Invalid batch payload format: a body is neither JSON nor base64.") from error
    return body


def _answer(part_id: str, response: Response) -> _Answer:
    headers = {_SPELT.get(name, name): value for name, value in response.headers.items()}
    if not response.body:
        return _Answer(part_id, response.status, headers)
    if "json" in response.headers.get("content-type", "json"):
        return _Answer(part_id, response.status, headers, msgspec.Raw(response.body))
    return _Answer(part_id, response.status, headers, base64.b64encode(response.body).decode())
