"""What the areas of policies share: how they refuse, find an object and read a body."""

from __future__ import annotations

from typing import Any

from graphkit.sandbox.call import Call, Json, Refusal, bad_request
from graphkit.sandbox.schema.check import Type, check, check_changeable, check_writable


def refuse(message: str) -> Refusal:
    return bad_request(message, "BadRequest")


def absent(what: str, key: str) -> Refusal:
    """DanielChronlund/DCToolbox#5 shows these words for a named location; an assumption for everything else."""
    return Refusal(404, "ResourceNotFound", f"{what} with id {key} does not exist in the directory.")


def find(call: Call, kind: str, what: str, key: str) -> Json:
    """The object, if the replica that answers this call knows it. Raises :class:`Refusal` (404)."""
    item = call.tenant.state.get(kind, key)
    if item is None or not call.tenant.replication.visible(item, call.now, call.replica):
        raise absent(what, key)
    return item


def create_body(call: Call, type_name: str) -> tuple[Json, Type]:
    """The body, checked, without annotations. Raises :class:`Refusal` (400)."""
    found = check(call.json, type_name, call.version, code="BadRequest")
    check_writable(call.json, found, code="BadRequest")
    return _untyped(call.json), found


def change_body(call: Call, type_name: str) -> tuple[Json, Type]:
    """The same for a change: what can be set at creation only is refused too."""
    found = check(call.json, type_name, call.version, code="BadRequest")
    check_changeable(call.json, found, code="BadRequest")
    return _untyped(call.json), found


def _untyped(body: Json) -> Json:
    kept: Json = plain(body)
    kept.pop("@odata.type", None)
    return kept


def plain(value: Any) -> Any:
    """A body without its annotations, at any depth, but for the ``@odata.type`` that tells shapes apart."""
    if isinstance(value, dict):
        return {
            name: plain(inner) for name, inner in value.items() if "@" not in name or (name == "@odata.type" and inner)
        }
    return [plain(item) for item in value] if isinstance(value, list) else value
