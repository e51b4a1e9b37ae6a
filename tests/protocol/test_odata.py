from __future__ import annotations

from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphkit.errors import UsageError
from graphkit.protocol import odata

GUID = "05e9a617-0261-4cee-bb44-138d3ef5d965"


@pytest.mark.parametrize(
    ("value", "expected"),
    [("O'Hare", "'O''Hare'"), ("x' or 'a' eq 'a", "'x'' or ''a'' eq ''a'"), ("", "''"), ("''", "''''''")],
)
def test_a_literal_stays_one_literal(value, expected):
    assert odata.literal(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (GUID, GUID),
        ("rx1-0001@contoso.example", "rx1-0001@contoso.example"),
        ("rx1_contoso.example#EXT#@fabrikam.example", "rx1_contoso.example%23EXT%23@fabrikam.example"),
        ("a/b", "a%2Fb"),
        ("a?b", "a%3Fb"),
        ("a b", "a%20b"),
        ("a+b", "a%2Bb"),
        ("a%2e", "a%252e"),
        ("$ref", "%24ref"),
        ("O'Hare", "O%27Hare"),
        ("ü", "%C3%BC"),
    ],
)
def test_a_segment_is_encoded(value, expected):
    assert odata.segment(value) == expected


@pytest.mark.parametrize("value", ["", ".", "..", "a\0b", "a\r\nb", "\x7f"])
def test_a_segment_that_could_lead_elsewhere_is_refused(value):
    with pytest.raises(UsageError):
        odata.segment(value)


def test_a_path_of_segments():
    assert odata.path("users", "../groups", "assignLicense") == "/users/..%2Fgroups/assignLicense"


def test_an_alternate_key():
    assert odata.keyed("groups", "uniqueName", "o'hare/1") == "/groups(uniqueName='o''hare%2F1')"


@pytest.mark.parametrize(
    ("params", "named", "expected"),
    [
        ({}, {}, ""),
        ({"$select": "id,displayName"}, {"top": 999}, "?$select=id,displayName&$top=999"),
        ({"$filter": "startswith(displayName,'R&D')"}, {}, "?$filter=startswith(displayName,'R%26D')"),
        ({"$count": True}, {}, "?$count=true"),
        ({"$filter": "name eq 'a#b+c'"}, {}, "?$filter=name%20eq%20'a%23b%2Bc'"),
    ],
)
def test_a_query(params, named, expected):
    assert odata.query(params, **named) == expected


PRINTABLE = st.text(st.characters(min_codepoint=32, exclude_characters="\x7f", exclude_categories=["Cs"]), min_size=1)


@given(PRINTABLE)
def test_whatever_is_put_in_a_segment_comes_out_of_it(value):
    if value in {".", ".."}:
        return
    parts = urlsplit("https://graph.microsoft.com/v1.0/users/" + odata.segment(value))
    assert unquote(parts.path.split("/")[-1]) == value
    assert (parts.path.count("/"), parts.query, parts.fragment) == (3, "", "")


@given(PRINTABLE)
def test_whatever_is_put_in_a_literal_ends_where_it_should(value):
    inner = odata.literal(value)[1:-1]
    assert inner.replace("''", "").count("'") == 0
    assert inner.replace("''", "'") == value
