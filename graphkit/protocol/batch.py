"""The ``$batch`` envelope: up to 20 requests in, one answer for each out.

Bodies stay raw slices of JSON both ways; nobody decodes what nobody asks for.
Source: microsoftgraph/microsoft-graph-docs-contrib concepts/json-batching.md.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from graphkit.protocol.message import Request, Response
from graphkit.protocol.routes import workload

MAX_ITEMS = 20
MAX_BYTES = 3_500_000
"""Bodies of one envelope together. No limit is published; 4 MB is what Graph accepts in a single request."""

_EMPTY = msgspec.Raw(b"{}")
_NOTHING = msgspec.Raw()
_JSON = {"Content-Type": "application/json"}
_NUMBERS = {str(number): number for number in range(MAX_ITEMS)}


class _Item(msgspec.Struct, omit_defaults=True, gc=False):
    id: str
    method: str
    url: str
    headers: dict[str, str] | None = None
    body: msgspec.Raw | str | None = None


class _Envelope(msgspec.Struct, gc=False):
    requests: list[_Item]


class _Answer(msgspec.Struct, gc=False):
    id: str | int
    status: int
    headers: dict[str, str] | None = None
    body: msgspec.Raw = _NOTHING


class _LooseAnswer(msgspec.Struct):
    id: str | int
    status: int
    headers: dict[str, Any] | None = None
    body: msgspec.Raw = _NOTHING


class _Answers(msgspec.Struct, gc=False):
    responses: list[_Answer]


class _LooseAnswers(msgspec.Struct):
    responses: list[msgspec.Raw]


_encoder = msgspec.json.Encoder()
# Not strict, so that a status written as "204" is read as the number it means.
_decoder = msgspec.json.Decoder(_Answers, strict=False)
_loose_decoder = msgspec.json.Decoder(_LooseAnswers)
_answer_decoder = msgspec.json.Decoder(_LooseAnswer, strict=False)


def batchable(request: Request) -> bool:
    """Can it travel in an envelope? Links that must stay byte for byte, and large bodies, go alone."""
    return request.path[0] == "/" and (request.body is None or len(request.body) <= MAX_BYTES)


def fold(requests: Sequence[Request], places: Iterable[int]) -> list[list[int]]:
    """Which of the ``places`` in ``requests`` travel together: up to 20 of one API version and workload, in order."""
    folded: list[list[int]] = []
    latest: dict[tuple[str, str], list[int]] = {}
    sizes: dict[tuple[str, str], int] = {}
    for place in places:
        request = requests[place]
        if not batchable(request):
            folded.append([place])
            continue
        lane = (request.version, workload(request.path))
        size = len(request.body or b"")
        if lane not in latest or len(latest[lane]) == MAX_ITEMS or sizes[lane] + size > MAX_BYTES:
            latest[lane] = []
            sizes[lane] = 0
            folded.append(latest[lane])
        latest[lane].append(place)
        sizes[lane] += size
    return folded


def encode(requests: Sequence[Request]) -> bytes:
    """The envelope for up to 20 requests of one API version; their ids are "0", "1" and so on, in order."""
    return _encoder.encode(_Envelope([_item(str(number), request) for number, request in enumerate(requests)]))


def decode(body: bytes, count: int) -> list[Response | None]:
    """One answer per request sent, in the order of the requests.

    ``None`` where there is no answer to rely on: missing, repeated, or not an answer at all. What the service did with
    such a request is unknown. Answers to ids that were never sent are ignored. Raises ``ValueError`` if ``body`` is not
    an envelope.
    """
    answers: list[Response | None] = [None] * count
    seen: set[int] = set()
    for answer in _read(body):
        number = _number(answer.id, count)
        if number is None:
            continue
        answers[number] = None if number in seen else _response(answer)
        seen.add(number)
    return answers


def _item(number: str, request: Request) -> _Item:
    if request.body is None:
        if request.method != "POST":
            return _Item(number, request.method, request.path, request.headers or None)
        # A POST without a body is refused inside a batch unless it carries an empty object.
        return _Item(number, "POST", request.path, request.headers | _JSON if request.headers else _JSON, _EMPTY)
    if not request.headers:
        return _Item(number, request.method, request.path, _JSON, msgspec.Raw(request.body))
    content_type = _content_type(request.headers)
    headers = request.headers if content_type else request.headers | _JSON
    json = not content_type or "json" in content_type
    body = msgspec.Raw(request.body) if json else base64.b64encode(request.body).decode()
    return _Item(number, request.method, request.path, headers, body)


def _content_type(headers: Mapping[str, str]) -> str:
    return next((value.lower() for name, value in headers.items() if name.lower() == "content-type"), "")


def _read(body: bytes) -> list[_Answer]:
    try:
        return _decoder.decode(body).responses
    except msgspec.ValidationError:
        return _read_loosely(body)
    except msgspec.DecodeError as error:
        raise ValueError(f"not a batch answer: {error}") from error


def _read_loosely(body: bytes) -> list[_Answer]:
    """Save the answers that can be read from an envelope in which some cannot."""
    try:
        raw = _loose_decoder.decode(body).responses
    except msgspec.DecodeError as error:
        raise ValueError(f"not a batch answer: {error}") from error
    answers = []
    for item in raw:
        try:
            answer = _answer_decoder.decode(item)
        except msgspec.DecodeError:
            continue
        headers = {name: _text(value) for name, value in (answer.headers or {}).items()}
        answers.append(_Answer(answer.id, answer.status, headers, answer.body))
    return answers


def _number(answer_id: str | int, count: int) -> int | None:
    if type(answer_id) is str and (number := _NUMBERS.get(answer_id, count)) < count:
        return number
    text = str(answer_id).strip()
    if not text.isdecimal() or not text.isascii():
        return None
    number = int(text)
    return number if number < count and str(number) == text else None


def _response(answer: _Answer) -> Response | None:
    if not 200 <= answer.status < 600:
        return None
    headers = {name.lower(): value for name, value in answer.headers.items()} if answer.headers else {}
    if answer.body is _NOTHING:
        return Response(answer.status, headers)
    body = bytes(answer.body)
    if body == b"null":
        body = b""
    elif body.startswith(b'"'):
        body = _unwrap(body, headers)
    return Response(answer.status, headers, body)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else str(value)


def _unwrap(body: bytes, headers: Mapping[str, str]) -> bytes:
    """A body that is not JSON travels as a string: base64 for binary content, text as it is.

    A number could be either (four digits are base64, too), and is what ``/$count`` answers.
    """
    if "json" in headers.get("content-type", "json"):
        return body
    text = str(msgspec.json.decode(body))
    if text.isascii() and text.isdecimal():
        return text.encode()
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        return text.encode()
