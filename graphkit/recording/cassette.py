"""A conversation in a file: JSON lines, the first about the cassette, each further one about one operation.

An operation that travelled in a ``$batch`` stands here as if it had been sent alone. Nothing in a cassette tells how
requests were folded, so a client may fold them otherwise when it is replayed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from graphkit.errors import UsageError
from graphkit.private import replacing
from graphkit.protocol.budget import is_read
from graphkit.protocol.message import Request

FORMAT = 1


class Header(msgspec.Struct, omit_defaults=True):
    """``started`` is the time of the recording (epoch seconds): a replay happens then."""

    cassette: int
    started: float


class Operation(msgspec.Struct, omit_defaults=True):
    """One request and its answer, in pseudonyms.

    ``at`` is when it was sent, in seconds since the beginning, and ``ms`` how long the answer took. ``body`` and
    ``answer`` are JSON; text of another kind stands in ``text``. ``lost`` says that there was no answer, so that nobody
    can know what became of it; ``status`` is 0 then. ``size`` is that of a body that was not written.
    """

    method: str
    address: str
    status: int
    at: float = 0.0
    ms: int = 0
    body: Any = None
    headers: dict[str, str] = {}
    answer: Any = None
    text: str = ""
    size: int = 0
    lost: str = ""

    @property
    def is_write(self) -> bool:
        return not is_read(as_request(self))


@dataclass(slots=True)
class Cassette:
    """What a file holds."""

    header: Header
    operations: list[Operation] = field(default_factory=list)


def as_request(operation: Operation) -> Request:
    _, version, path = operation.address.split("/", 2)
    return Request(method=operation.method, path=f"/{path}", version=version)


def read(path: Path) -> Cassette:
    """Raises ``UsageError`` for a file that is no cassette, or one of a newer format."""
    try:
        lines = [line for line in path.read_bytes().splitlines() if line.strip()]
    except OSError as error:
        raise UsageError(
            f"{path}: {error.strerror}", hint="graphkit record FILE -- COMMAND makes a cassette"
        ) from error
    try:
        header = msgspec.json.decode(lines[0] if lines else b"", type=Header)
        if header.cassette > FORMAT:
            raise UsageError(
                f"{path} has format {header.cassette}, this graphkit reads {FORMAT}", hint="update graphkit"
            )
        return Cassette(header, [msgspec.json.decode(line, type=Operation) for line in lines[1:]])
    except msgspec.DecodeError as error:
        raise UsageError(f"{path} is not a cassette: {error}") from error


def write(path: Path, header: Header, operations: Iterable[Operation]) -> None:
    """All or nothing: a cassette that was there before stays until the new one is whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as stream:
        for item in (header, *operations):
            stream.write(msgspec.json.encode(item) + b"\n")


def inputs_of(path: Path) -> Path:
    """The folder beside a cassette with the inputs, in its pseudonyms."""
    return path.with_name(f"{path.stem}.inputs")


def comparable(value: Any, root: str = "") -> Any:
    """A body in one form: keys and lists in order, for the order of a list means nothing in Graph's writes and may
    follow names that are others in a replay; ``root``, the server that was asked, as if it were Graph.
    """
    from graphkit.recording.addresses import ROOT

    if isinstance(value, Mapping):
        return {name: comparable(value[name], root) for name in sorted(value)}
    if isinstance(value, list):
        return sorted((comparable(item, root) for item in value), key=msgspec.json.encode)
    if isinstance(value, str) and root and value.startswith(f"{root}/"):
        return ROOT + value[len(root) :]
    return value
