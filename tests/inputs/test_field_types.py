"""The field types that input models share."""

from __future__ import annotations

from datetime import date

import pytest
from pydantic import TypeAdapter, ValidationError

from graphkit.inputs.types import Day, Flag, Key, Org, TextList, Upn, UpnList


def read(kind, value):
    return TypeAdapter(kind).validate_python(value)


@pytest.mark.parametrize(
    ("kind", "given", "value"),
    [
        (Upn, "RX1-0001@contoso.example", "RX1-0001@contoso.example"),
        (Upn, "o'neil+x_y%z$@contoso.example", "o'neil+x_y%z$@contoso.example"),
        (Upn, "a_fabrikam.example#EXT#@contoso.example", "a_fabrikam.example#EXT#@contoso.example"),
        (Org, "RX1", "RX1"),
        (Org, "10001", "10001"),
        (Key, "rx1-ward 7", "rx1-ward 7"),
        (Key, "Caf\u0065\u0301", "Caf\u00e9"),
        (Key, "東京カフェ ward", "東京カフェ ward"),
        (Key, "Отдел 7", "Отдел 7"),
        (TextList, " a ; b;;a; ", ("a", "b")),
        (TextList, ["a", "b"], ("a", "b")),
        (TextList, "", ()),
        (UpnList, "a@x.example; b@x.example", ("a@x.example", "b@x.example")),
        (Flag, "Yes", True),
        (Flag, "1", True),
        (Flag, "TRUE", True),
        (Flag, "no", False),
        (Flag, 0, False),
        (Flag, True, True),
        (Day, "2026-02-28", date(2026, 2, 28)),
        (Day, "3/12/2026", date(2026, 12, 3)),
    ],
)
def test_a_value_is_read(kind, given, value):
    assert read(kind, given) == value


@pytest.mark.parametrize(
    ("kind", "given", "reason"),
    [
        (Upn, "nobody", "is not a user principal name"),
        (Upn, "a@b@contoso.example", "is not a user principal name"),
        (Upn, "a b@contoso.example", "is not a user principal name"),
        (Upn, "a/../b@contoso.example", "is not a user principal name"),
        (Upn, "p\u0430ul@contoso.example", "mixes alphabets (CYRILLIC, LATIN): U+0430 CYRILLIC SMALL LETTER A"),
        (Upn, "a\u200b@contoso.example", "invisible characters: U+200B ZERO WIDTH SPACE"),
        (Upn, "a\uff20contoso.example", "stand for others: U+FF20 FULLWIDTH COMMERCIAL AT"),
        (Upn, "stra\u00dfe@contoso.example", "no user principal name may have: U+00DF"),
        (Upn, "\u0131@contoso.example", "no user principal name may have: U+0131"),
        (Key, "", "at least 1 character"),
        (Key, "a\u00a0b", "U+00A0 NO-BREAK SPACE"),
        (Key, "a\u202eb", "U+202E RIGHT-TO-LEFT OVERRIDE"),
        (Key, "a\nb", "U+000A"),
        (Key, "\u0391BC", "mixes alphabets (GREEK, LATIN)"),
        (Org, "rx1", "is not an organisation code"),
        (Org, "RX12345678", "is not an organisation code"),
        (Org, "RX\u0661", "is not an organisation code"),
        (UpnList, "a@x.example;b", "is not a user principal name"),
        (Flag, "maybe", "is neither true, yes or 1"),
        (Day, "45678", "is a spreadsheet's day number"),
        (Day, "2026-02-30", "is not a day of the calendar"),
        (Day, "31.12.2026", "is not a date"),
    ],
)
def test_a_value_is_refused_with_the_reason(kind, given, reason):
    with pytest.raises(ValidationError) as raised:
        read(kind, given)
    assert reason in str(raised.value)
