"""What an input model holds, in words: for ``recipe show``, the manual's tables and starter files.

Importing this module loads pydantic; import it where a model is described.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import MaxLen
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from graphkit.inputs.types import DocumentModel, Says

DEEPEST = 4
"""Levels of models inside models that are described."""
WORDS = {str: "text", int: "whole number", float: "number", bool: "true or false", date: "date", Any: "anything"}


@dataclass(frozen=True, slots=True)
class Described:
    """One column or key. ``path`` is how messages call it (``pools[].cap``), ``kind`` what it may hold."""

    path: str
    kind: str
    required: bool
    default: str
    meaning: str


def describe(model: type[BaseModel], *, prefix: str = "", depth: int = 0) -> Iterator[Described]:
    """Every field in the order of the model, those of models inside it below them."""
    for name, field in model.model_fields.items():
        path = prefix + (field.alias or name)
        kind, inner = _kind(field.annotation, field.metadata)
        yield Described(path, kind, field.is_required(), _default(field), field.description or "")
        if depth < DEEPEST:
            for nested, suffix in inner:
                yield from describe(nested, prefix=f"{path}{suffix}.", depth=depth + 1)


def is_table(model: type[BaseModel]) -> bool:
    """Could a row of a table hold it? Not if anything is nested, nor if it says itself that it is a document."""
    return not issubclass(model, DocumentModel) and not any(
        kind == "object" or inner for kind, inner in (_kind(f.annotation, f.metadata) for f in fields(model))
    )


def fields(model: type[BaseModel]) -> list[FieldInfo]:
    return list(model.model_fields.values())


_Inner = list[tuple[type[BaseModel], str]]


def _kind(annotation: Any, metadata: list[Any]) -> tuple[str, _Inner]:
    """(words, the models inside with what stands between their names and this one's)."""
    limit = next((f", up to {each.max_length}" for each in metadata if isinstance(each, MaxLen)), "")
    said = next((each.words for each in metadata if isinstance(each, Says)), "")
    if said:
        return said + limit, []
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _kind(arguments[0], [*arguments[1:], *metadata])
    if origin in (Union, UnionType):
        return _either([each for each in arguments if each is not NoneType])
    if origin is Literal:
        return " | ".join(map(str, arguments)), []
    if origin in (list, tuple, set, frozenset):
        return _several(arguments[0], limit)
    if origin is dict or annotation is dict:
        return "object", []
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "object", [(annotation, "")]
    return WORDS.get(annotation, "text") + (f"{limit} characters" if limit else ""), []


def _either(alternatives: list[Any]) -> tuple[str, _Inner]:
    found = [_kind(each, []) for each in alternatives]
    words = list(dict.fromkeys(words for words, _ in found))
    return " or ".join(words), [each for _, inner in found for each in inner]


def _several(item: Any, limit: str) -> tuple[str, _Inner]:
    words, inner = _kind(item, [])
    if inner:
        return f"list{limit}", [(model, f"[]{suffix}") for model, suffix in inner]
    return f"list of {words}{limit}", []


def _default(field: FieldInfo) -> str:
    value = field.default
    if value is PydanticUndefined or value in (None, "", (), []) or isinstance(value, BaseModel):
        return ""
    if isinstance(value, tuple):
        return "; ".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)
