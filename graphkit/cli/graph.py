"""``graphkit graph``: single requests over the same transport, paced and repeated like everything else."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import click

from graphkit.cli.consent import ask, require_answerable
from graphkit.cli.invocation import Invocation
from graphkit.cli.options import Group
from graphkit.client import service_error
from graphkit.errors import GraphkitError, UsageError
from graphkit.protocol.budget import effect_of, is_read
from graphkit.protocol.message import Answer, Idempotency, Request, Response
from graphkit.session import Session, cloud_of

F = TypeVar("F", bound=Callable[..., Any])

_SAFE = "%/:?[]@!$&'()*+,;=~"
_CONVERGENT = ("PUT", "DELETE")
PARTLY_FAILED = 3


class UnreadableAnswer(GraphkitError):
    """The service answered with something else than JSON."""

    code = "unreadable-answer"


@click.group("graph", cls=Group)
def command() -> None:
    """Single requests to Microsoft Graph, over the same transport."""


def _headers(ctx: click.Context, param: click.Parameter, value: Sequence[str]) -> dict[str, str]:
    pairs = [item.partition(":") for item in value]
    if any(not (name.strip() and colon) for name, colon, _ in pairs):
        raise click.BadParameter("must be of the form 'Name: value'", ctx, param)
    return {name.strip(): text.strip() for name, _, text in pairs}


def _request_options(function: F) -> F:
    beta = click.option("--beta", "version", flag_value="beta", default="v1.0", help="Use the beta version.")
    header = click.option(
        "-H", "--header", "headers", multiple=True, callback=_headers, metavar="'NAME: VALUE'", help="Repeatable."
    )
    return beta(header(function))


def _write_options(function: F) -> F:
    yes = click.option("-y", "--yes", is_flag=True, help="Do not ask. Needed where there is no terminal.")
    return yes(_request_options(function))


_body_option = click.option("--body", metavar="JSON|@FILE|-", help="The body: as it is, from a file, or - for stdin.")


@command.command("get")
@click.argument("path")
@click.option("--all", "every", is_flag=True, help="All pages, as one list.")
@_request_options
@click.pass_obj
def get(invocation: Invocation, /, path: str, every: bool, **given: Any) -> None:
    """Read PATH, such as /users?$top=5."""
    request = _request(invocation, "GET", path, **given)
    if every:
        _get_all(invocation, request)
        return
    data = invocation.in_session(lambda session: _send(session, request))
    rows = data.get("value") if isinstance(data, dict) else None
    invocation.output.emit(rows if invocation.output.is_table and isinstance(rows, list) else data)


def _get_all(invocation: Invocation, request: Request) -> None:
    async def read(session: Session) -> list[Any]:
        kept: list[Any] = []
        keep = invocation.output.row if invocation.output.streams else kept.append
        async for item in session.client.list(request.path, headers=request.headers, version=request.version):
            keep(item)
        return kept

    kept = invocation.in_session(read)
    if not invocation.output.streams:
        invocation.output.emit(kept)


@command.command("post")
@click.argument("path")
@_body_option
@_write_options
@click.pass_obj
def post(invocation: Invocation, /, path: str, body: str | None, yes: bool, **given: Any) -> None:
    """Create something, or call an action. A lost answer is reported as unknown, never repeated."""
    _write(invocation, _request(invocation, "POST", path, body, **given), yes=yes)


@command.command("patch")
@click.argument("path")
@_body_option
@_write_options
@click.pass_obj
def patch(invocation: Invocation, /, path: str, body: str | None, yes: bool, **given: Any) -> None:
    """Change what stands at PATH."""
    _write(invocation, _request(invocation, "PATCH", path, body, **given), yes=yes)


@command.command("delete")
@click.argument("path")
@_write_options
@click.pass_obj
def delete(invocation: Invocation, /, path: str, yes: bool, **given: Any) -> None:
    """Delete what stands at PATH."""
    _write(invocation, _request(invocation, "DELETE", path, **given), yes=yes)


@command.command("batch")
@click.argument("path", metavar="FILE|-")
@click.option("-y", "--yes", is_flag=True, help="Do not ask. Needed where there is no terminal.")
@click.pass_obj
def batch(invocation: Invocation, /, path: str, yes: bool) -> int:
    """Send every request of FILE, a body as Graph's $batch takes it, of any length. Exit 3 if some were refused."""
    named = _read_batch(invocation, path)
    requests = [request for _, request in named]
    _ask_about(invocation, requests, yes=yes)

    async def send(session: Session) -> list[Answer]:
        _allow(session, requests)
        return await session.client.batch(requests)

    answers = invocation.in_session(send)
    rows = [_answered(name, answer) for (name, _), answer in zip(named, answers, strict=True)]
    invocation.output.emit(rows if invocation.output.is_table else {"responses": rows})
    return 0 if all(isinstance(answer, Response) and answer.ok for answer in answers) else PARTLY_FAILED


def _request(
    invocation: Invocation,
    method: str,
    path: str,
    body: str | None = None,
    *,
    version: str = "v1.0",
    headers: dict[str, str] | None = None,
) -> Request:
    root = cloud_of(invocation.settings.target).graph_root
    for known in ("v1.0", "beta"):
        # An address copied from the documentation or from a nextLink.
        if path.startswith(f"{root}/{known}/"):
            path, version = path.removeprefix(f"{root}/{known}"), known
    address = path if "://" in path else "/" + path.removeprefix("/")
    request = Request(
        method=method,
        path=quote(address, safe=_SAFE),
        body=_read_body(body),
        headers=dict(headers or {}),
        version=version,
    )
    if not is_read(request):
        request.idempotency = Idempotency.CONVERGENT if method in _CONVERGENT else Idempotency.ONCE
    return request


def _read_body(given: str | None) -> bytes | None:
    if given is None:
        return None
    content = _content(given.removeprefix("@")) if given == "-" or given.startswith("@") else given.encode()
    try:
        json.loads(content)
    except ValueError as error:
        raise UsageError(f"the body is not JSON: {error}", hint="nothing was sent") from error
    return content


def _content(path: str) -> bytes:
    try:
        return sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}", hint="nothing was sent") from error


def _write(invocation: Invocation, request: Request, *, yes: bool) -> None:
    _ask_about(invocation, [request], yes=yes)

    async def send(session: Session) -> Any:
        _allow(session, [request])
        return await _send(session, request)

    data = invocation.in_session(send)
    if data is not None:
        invocation.output.emit(data)
    elif invocation.output.is_table:
        invocation.say(f"{request.method} {request.path}: done")


def _ask_about(invocation: Invocation, requests: Sequence[Request], *, yes: bool) -> None:
    writes = [request for request in requests if not is_read(request)]
    if not writes:
        return
    require_answerable(yes=yes)
    if not yes:
        one = f"{writes[0].method} {writes[0].path}"
        ask(f"Send {one if len(writes) == 1 else f'{len(writes)} writes'} to {invocation.settings.target}?")


def _allow(session: Session, requests: Sequence[Request]) -> None:
    """Exactly what was asked for may be written, and nothing besides."""
    for request in requests:
        if not is_read(request):
            session.budget.writes_allowed = True
            session.budget.refund(effect_of(request))


async def _send(session: Session, request: Request) -> Any:
    response = await session.client.send(request)
    if not response.ok:
        raise service_error(request, response)
    return _decoded(request.path, response)


def _decoded(path: str, response: Response) -> Any:
    try:
        # /$count answers with a byte order mark before the number.
        return json.loads(response.body.removeprefix(b"\xef\xbb\xbf")) if response.body else None
    except ValueError as error:
        kind = response.headers.get("content-type", "no stated type")
        raise UnreadableAnswer(f"{path} answered with {len(response.body):,} bytes of {kind}, not with JSON") from error


def _read_batch(invocation: Invocation, path: str) -> list[tuple[str, Request]]:
    content = _content(path)
    try:
        entries = json.loads(content)["requests"]
        if any(entry.get("dependsOn") for entry in entries):
            raise UsageError("dependsOn is not supported: the requests of a file are independent of each other")
        return [
            (
                str(entry["id"]),
                _request(
                    invocation,
                    entry["method"].upper(),
                    entry["url"],
                    json.dumps(entry["body"]) if "body" in entry else None,
                    headers=entry.get("headers"),
                ),
            )
            for entry in entries
        ]
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise UsageError(
            f"{path} is not a batch: {error}",
            hint='write {"requests": [{"id": "1", "method": "GET", "url": "/users"}]}',
        ) from error


def _answered(name: str, answer: Answer) -> dict[str, Any]:
    if isinstance(answer, GraphkitError):
        return {"id": name, "status": 0, "error": answer.to_json()}
    if isinstance(answer, Exception):
        raise answer
    try:
        body = answer.json()
    except ValueError:
        body = answer.body.decode("utf-8", "replace")
    return {"id": name, "status": answer.status, "headers": dict(answer.headers), "body": body}
