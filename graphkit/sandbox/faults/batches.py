"""``batch``: answers of ``/$batch`` that are out of order, missing, doubled or malformed.

The items are executed as ever, but for those of the mode ``fail``, which are refused; that mode can be told to execute
them first. An outer 424 with the answers in it, as old copies of concepts/json-batching.md had it, is an ``alter``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from graphkit.sandbox.batch import answer_of
from graphkit.sandbox.call import Json, Reply
from graphkit.sandbox.faults import checks
from graphkit.sandbox.faults.actions import Action, Struck, Told, action
from graphkit.sandbox.faults.rules import Asked
from graphkit.sandbox.faults.telling import tell, telling

FAILING = ("status", "headers", "retry_after", "body", "code", "message")


@action(
    "batch",
    {
        **telling(*FAILING),
        "mode": checks.one_of(
            "reorder", "drop", "repeat", "number-id", "no-id", "case", "extra", "text-status", "no-headers", "no-body",
            "fail",
        ),
        "items": checks.ITEMS,
        "order": checks.one_of("shuffle", "reverse", "given"),
        "executed": checks.FLAG,
    },
    required=("mode",),
)  # fmt: skip
class BatchAction(Action):
    outcome = False

    def check(self, spec: Json) -> None:
        if "order" in spec and spec["mode"] != "reorder":
            raise ValueError("'order' is for the mode 'reorder' only")
        only = {*FAILING, "executed"} & set(spec)
        if only and spec["mode"] != "fail":
            raise ValueError(f"{', '.join(map(repr, sorted(only)))} is for the mode 'fail' only")

    def fits(self, spec: Json, asked: Asked) -> bool:
        return asked.batch

    def instead(self, struck: Struck, requests: list[Json]) -> Iterator[tuple[str, Reply]]:
        """Items that are told something else and not executed, by id."""
        if struck.spec["mode"] == "fail" and not struck.spec.get("executed"):
            struck.hit()
            yield from ((key, tell(struck, 429)) for key in _chosen(struck, requests))

    def fates(self, struck: Struck, requests: list[Json]) -> dict[str, Told]:
        """What the log says of items that are executed and told otherwise, by id."""
        spec = struck.spec
        if spec["mode"] == "drop":
            return dict.fromkeys(_chosen(struck, requests), (0, True))
        if spec["mode"] == "fail" and spec.get("executed"):
            return dict.fromkeys(_chosen(struck, requests), (int(spec.get("status", 429)), True))
        return {}

    def after(self, struck: Struck, reply: Reply, refused: bool) -> Reply:
        spec = struck.spec
        if refused or not isinstance(reply.body, dict) or "responses" not in reply.body:
            return reply
        if spec["mode"] == "fail" and not spec.get("executed"):
            return reply
        struck.hit()
        requests = struck.asked.incoming.body["requests"]
        answers: list[Json] = reply.body["responses"]
        if spec["mode"] == "reorder":
            reply.body["responses"] = _reordered(struck, answers, requests)
        else:
            chosen = set(_chosen(struck, requests))
            reply.body["responses"] = [
                each for answer in answers for each in _changed(struck, answer, answer.get("id") in chosen)
            ]
        return reply


def _chosen(struck: Struck, requests: list[Json]) -> list[str]:
    """The ids of the items meant: those in the places named, or so many by the dice."""
    ids = [str(request["id"]) for request in requests]
    wanted = struck.spec.get("items", 1)
    if isinstance(wanted, list):
        return [ids[place - 1] for place in wanted if place <= len(ids)]
    return struck.dice().sample(ids, min(wanted, len(ids)))


def _reordered(struck: Struck, answers: list[Json], requests: list[Json]) -> list[Json]:
    order = struck.spec.get("order", "shuffle")
    places = {str(request["id"]): place for place, request in enumerate(requests)}
    ordered = sorted(answers, key=lambda answer: places.get(str(answer.get("id")), 0), reverse=order == "reverse")
    if order == "shuffle":
        struck.dice().shuffle(ordered)
    return ordered


def _changed(struck: Struck, answer: Json, meant: bool) -> list[Json]:
    return _MODES[struck.spec["mode"]](struck, answer) if meant else [answer]


def _failed(struck: Struck, answer: Json) -> list[Json]:
    return [answer_of(answer["id"], tell(struck, 429))]


def _without(name: str) -> Callable[[Struck, Json], list[Json]]:
    return lambda struck, answer: [{key: value for key, value in answer.items() if key != name}]


def _with(name: str, change: Callable[[Any], Any]) -> Callable[[Struck, Json], list[Json]]:
    return lambda struck, answer: [{**answer, name: change(answer[name])}]


_MODES: dict[str, Callable[[Struck, Json], list[Json]]] = {
    "drop": lambda struck, answer: [],
    "repeat": lambda struck, answer: [answer, dict(answer)],
    "number-id": _with("id", lambda text: int(text) if text.isdecimal() else len(text)),
    "no-id": _without("id"),
    "case": _with("id", str.swapcase),
    "extra": lambda struck, answer: [answer, {**answer, "id": f"{answer['id']}-nobody-asked"}],
    "text-status": _with("status", str),
    "no-headers": _without("headers"),
    "no-body": _without("body"),
    "fail": _failed,
}
