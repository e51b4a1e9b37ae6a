"""Field types that input models share. Only modules that define models import this one, for it loads pydantic."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, WithJsonSchema

from graphkit.inputs.lookalike import check_key


class InputModel(BaseModel):
    """Base of all input models: unknown keys are errors, text is trimmed, a number is taken where text is meant."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True, coerce_numbers_to_str=True, frozen=True)


class DocumentModel(InputModel):
    """Base of those that a whole YAML or JSON file is held against, though nothing in it is nested."""


@dataclass(frozen=True, slots=True)
class Says:
    """What a type is called in the manual: ``Annotated[str, Says("user principal name")]``."""

    words: str


_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_ORG = re.compile(r"[A-Z0-9]{1,9}")
_PLAIN_UPN = re.compile(r"[!#-'*+\-.0-9=?A-Z^-~]+@[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?")
"""The same as ``_UPN`` of what is ASCII and can be printed, so that the many need one look."""
_UPN = re.compile(r"[^\s@,;:\"<>()\[\]\\/]+@[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?")
_DAY = re.compile(r"(\d{4})-(\d{2})-(\d{2})|(\d{1,2})/(\d{1,2})/(\d{4})")
_WORDS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def _check_upn(text: str) -> str:
    """A userPrincipalName: ASCII only (https://learn.microsoft.com/entra/identity/authentication/concept-sspr-policy).

    A guest's ``user_example.com#EXT#@contoso.example`` passes; the tenant decides about the rest.
    """
    if _PLAIN_UPN.fullmatch(text):
        return text
    text = check_key(text)
    if not text.isascii():
        shown = ", ".join(f"U+{ord(character):04X}" for character in text if not character.isascii())
        raise ValueError(f"holds characters that no user principal name may have: {shown}")
    if not _UPN.fullmatch(text):
        raise ValueError("is not a user principal name such as user@contoso.example")
    return text


def _check_org(text: str) -> str:
    if _ORG.fullmatch(text):
        return text
    text = check_key(text)
    if not _ORG.fullmatch(text):
        raise ValueError("is not an organisation code: 1 to 9 capital letters and digits")
    return text


def _read_guid(text: str) -> str:
    if not _GUID.fullmatch(text.lower()):
        raise ValueError("is not an id such as 11111111-2222-3333-4444-555555555555")
    return text.lower()


def _check_registered(code: str, info: ValidationInfo) -> str:
    """Against the registry, where one was read (``context["orgs"]``, a ``graphkit.engine.orgs.Orgs``)."""
    orgs = (info.context or {}).get("orgs")
    if not orgs:
        return code
    org = orgs.get(code)
    if org is None:
        raise ValueError("is not in the registry of organisations")
    if not org.open:
        raise ValueError("is closed, as the registry of organisations says")
    return code


def _split(value: Any) -> Any:
    """``a; b;`` is two items; YAML lists pass. An item that occurs again is dropped, as sets are meant."""
    if not isinstance(value, str):
        return value
    return list(dict.fromkeys(part for part in map(str.strip, value.split(";")) if part))


def _read_flag(value: Any) -> Any:
    if isinstance(value, bool):
        return value
    try:
        return _WORDS[str(value).strip().lower()]
    except KeyError:
        raise ValueError("is neither true, yes or 1 nor false, no or 0") from None


def _read_day(value: Any) -> Any:
    if isinstance(value, date):
        return value
    text = str(value).strip()
    parts = _DAY.fullmatch(text)
    if parts is None:
        serial = re.fullmatch(r"\d{5}(?:\.\d+)?", text)
        reason = "is a spreadsheet's day number" if serial else "is not a date"
        raise ValueError(f"{reason}: write YYYY-MM-DD or DD/MM/YYYY")
    year, month, day = parts.group(1, 2, 3) if parts[1] else parts.group(6, 5, 4)
    try:
        return date(int(year), int(month), int(day))
    except ValueError as error:
        raise ValueError(f"is not a day of the calendar ({error})") from None


def iso_day(text: str) -> str:
    """``31/03/2026`` as ``2026-03-31``. Raises ValueError."""
    day: date = _read_day(text)
    return day.isoformat()


Key = Annotated[str, Field(min_length=1), AfterValidator(check_key)]
"""Text that identifies something: no invisible characters, no mixed alphabets."""

TenantId = Annotated[str, AfterValidator(_read_guid), Says("id of a tenant")]
"""In lower case."""

Upn = Annotated[str, AfterValidator(_check_upn), Says("user principal name")]

AnyOrg = Annotated[str, AfterValidator(_check_org), Says("organisation code")]
"""An organisation's code, be it open, closed or not registered: where something is taken away."""

Org = Annotated[AnyOrg, AfterValidator(_check_registered)]
"""The code of an organisation that may get something: registered and open, where there is a registry."""

Flag = Annotated[
    bool,
    BeforeValidator(_read_flag),
    Says("true or false"),
    WithJsonSchema({"anyOf": [{"type": "boolean"}, {"enum": [*_WORDS, 1, 0]}]}),
]
"""true, yes, 1, false, no or 0, in any case."""

Day = Annotated[date, BeforeValidator(_read_day), Says("date"), WithJsonSchema({"type": "string"})]
"""YYYY-MM-DD or DD/MM/YYYY."""

_LISTED = WithJsonSchema({"anyOf": [{"type": "array", "items": {"type": "string"}}, {"type": "string"}]})

TextList = Annotated[tuple[str, ...], BeforeValidator(_split), Says("texts, separated by ;"), _LISTED]
"""Items separated by ``;``, or a YAML list."""

UpnList = Annotated[tuple[Upn, ...], BeforeValidator(_split), Says("user principal names, separated by ;"), _LISTED]
