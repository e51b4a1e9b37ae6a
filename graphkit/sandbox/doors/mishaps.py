"""Faults of the wire: what can happen to a request or an answer between the client and the service.

These are actions of fault rules as well (``faults/wire.py``):

==============  =====================================================================================================
``reset``       the connection is reset and nothing is executed: with ``when`` ``before``, before the request's body was
                read, else (``after``, the default) once it was
``refuse``      no connection comes about. Served, a rule without ``method`` and ``path`` counts connections and closes
                them at once; one with them closes the connection once it has read the request, without a byte
``goaway``      HTTP/2 GOAWAY. By default the request's stream is above the last one that it names: nothing was
                executed, and the client can know. With ``processed`` it was executed, and is not answered
``truncate``    the call is executed; of its answer's body only ``share`` (default 0.5) arrives, of the full
                Content-Length; with ``gzip`` it is compressed before, if the client accepts that
``drip``        the call is executed; its answer's body comes in ``pieces`` (default 10), ``seconds`` (default 1) apart
``bomb``        the call is executed; its answer's body is gzip that unpacks to ``size`` bytes (default 256 MiB)
``gzip``        the call is executed; its answer is compressed however short, if the client accepts that
``html``        nothing is executed; a proxy in front answers with a page in HTML, ``status`` 502 (default) or another
                5xx, without any of the service's headers
==============  =====================================================================================================

Each has these keys and no others, besides those that choose calls. A ``failure`` of ``commit-then`` (``timeout``,
``reset``, ``goaway``) happens once the call was executed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from graphkit.sandbox.call import Json, Mishap, Reply

MIB = 1024 * 1024
FAILURES = ("timeout", "reset", "goaway")
Check = tuple[Callable[[Any], bool], str]
"""What a key's value must be, and how to say so."""


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


_WHEN: Check = (lambda value: value in ("before", "after"), "before or after")
_FLAG: Check = (lambda value: isinstance(value, bool), "true or false")
_SHARE: Check = (lambda value: _number(value) and 0 <= value < 1, "a share from 0 to below 1")
_PIECES: Check = (lambda value: _whole(value) and value > 1, "a whole number above 1")
_SECONDS: Check = (lambda value: _number(value) and value >= 0, "a number of seconds")
_SIZE: Check = (lambda value: _whole(value) and MIB <= value <= 4096 * MIB, "a number of bytes, 1 MiB to 4 GiB")
_STATUS: Check = (lambda value: _whole(value) and 500 <= value < 600, "a status of 500 to 599")


@dataclass(frozen=True)
class WireAction:
    """One action: its own keys, and the mishap that a rule comes to. ``executed``: whether the call is."""

    keys: Mapping[str, Check]
    mishap: Callable[[Json], Mishap]
    executed: Callable[[Json], bool] = lambda spec: True


def _never(spec: Json) -> bool:
    return False


WIRE_ACTIONS: Mapping[str, WireAction] = {
    "reset": WireAction({"when": _WHEN}, lambda spec: Mishap("reset", early=spec.get("when") == "before"), _never),
    "refuse": WireAction({}, lambda spec: Mishap("refuse", early=True), _never),
    "goaway": WireAction(
        {"processed": _FLAG},
        lambda spec: Mishap("goaway", early=not spec.get("processed"), processed=spec.get("processed", False)),
        lambda spec: bool(spec.get("processed")),
    ),
    "truncate": WireAction(
        {"share": _SHARE, "gzip": _FLAG},
        lambda spec: Mishap("truncate", share=spec.get("share", 0.5), gzip=spec.get("gzip", False)),
    ),
    "drip": WireAction(
        {"pieces": _PIECES, "seconds": _SECONDS},
        lambda spec: Mishap("drip", pieces=spec.get("pieces", 10), seconds=float(spec.get("seconds", 1))),
    ),
    "bomb": WireAction({"size": _SIZE}, lambda spec: Mishap("bomb", size=spec.get("size", 256 * MIB))),
    "gzip": WireAction({}, lambda spec: Mishap("gzip", gzip=True)),
    "html": WireAction({"status": _STATUS}, lambda spec: Mishap("html"), _never),
}


def mishap_of(spec: Json) -> Mishap:
    """What a rule of the wire comes to."""
    return WIRE_ACTIONS[spec["action"]].mishap(spec)


def is_executed(spec: Json) -> bool:
    return WIRE_ACTIONS[spec["action"]].executed(spec)


def instead_of_executing(spec: Json) -> Reply:
    """The answer of a rule of the wire that executes nothing."""
    if spec["action"] != "html":
        return Reply(0, failure=mishap_of(spec))
    status = int(spec.get("status", HTTPStatus.BAD_GATEWAY))
    return Reply(status, proxy_page(status), {"Content-Type": "text/html"}, bare=True)


def after_executing(spec: Json, reply: Reply) -> Reply:
    """The answer of a rule of the wire once the call was executed."""
    mishap = mishap_of(spec)
    if mishap.silent:
        return Reply(0, failure=mishap)
    reply.failure = reply.failure or mishap
    return reply


def counts_connections(spec: Json) -> bool:
    """Whether a rule is asked when a connection comes in, not for each request."""
    return spec["action"] == "refuse" and not {"method", "path"} & set(spec)


def proxy_page(status: int) -> str:
    reason = HTTPStatus(status).phrase if status in {item.value for item in HTTPStatus} else "Error"
    return (
        f"<html>\r\n<head><title>{status} {reason}</title></head>\r\n<body>\r\n<center><h1>{status} {reason}</h1>"
        "</center>\r\n<hr><center>proxy.example</center>\r\n</body>\r\n</html>\r\n"
    )
