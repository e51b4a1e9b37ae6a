"""What a handler answers, and refusals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from graphkit.errors import GraphkitError


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer with a JSON body."""

    status: int
    body: Mapping[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict)


class Refused(GraphkitError):
    """A request that is not carried out. ``status`` is that of the HTTP answer."""

    code = "refused"

    def __init__(self, status: int, message: str, *, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.status = status


def answer_to(error: GraphkitError, status: int) -> Answer:
    """An error as an answer, in the shape that the command line prints with ``-o json``."""
    return Answer(status, {"error": error.to_json()})
