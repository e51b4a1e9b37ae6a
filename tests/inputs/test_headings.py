"""Headings of other people's exports find their columns, and what is missing or doubtful is said at once."""

from __future__ import annotations

import pytest

from graphkit.inputs.headers import match_header
from graphkit.inputs.types import InputModel


class Person(InputModel):
    upn: str
    display_name: str = ""
    first_name: str = ""
    last_name: str = ""
    job_title: str = ""
    department: str = ""


class Batch(InputModel):
    display_name: str = ""
    visibility: str = ""
    team_id: str = ""
    template: str = ""


class Membership(InputModel):
    team_key: str
    upn: str
    role: str
    action: str = ""


ADMIN_CENTRE = "User Name,First Name,Last Name,Display Name,Job Title,Department"
ENTRA = "Name [displayName] Required,User name [userPrincipalName] Required,First name [givenName]"
TEAMS = "Team Name,Existing Team ID,Visibility,Team Template ID"
MEMBERS = "User Full Name,User UPN or ID,Team Name,ActionType,Owner or Member"


@pytest.mark.parametrize(
    ("model", "header", "columns"),
    [
        (Person, ADMIN_CENTRE, ["upn", "first_name", "last_name", "display_name", "job_title", "department"]),
        (Person, ENTRA, ["display_name", "upn", "first_name"]),
        (Person, "userPrincipalName,displayName,surname,givenName", ["upn", "display_name", "last_name", "first_name"]),
        (Person, "EMAIL ADDRESS", ["upn"]),
        (Person, "User Principal Name;Display-Name", ["upn", "display_name"]),
        (Batch, TEAMS, ["display_name", "team_id", "visibility", "template"]),
        (Membership, MEMBERS, [None, "upn", "team_key", "action", "role"]),
    ],
)
def test_known_exports_are_understood(model, header, columns):
    headings = header.replace(";", ",").split(",")
    match = match_header(headings, set(model.model_fields))
    assert match.places == {column: place for place, column in enumerate(columns) if column}
    assert match.problems == []


def test_entra_templates_lose_their_version_row_and_their_example(table):
    text = "version:v1.0,\n" + "User name [userPrincipalName] Required,Name [displayName] Required\n"
    text += "Example: someone@contoso.example,Someone\nrx1-0001@contoso.example,RX1 0001\n"
    opened = table(text, Person)
    assert [(row.number, row.values["upn"]) for row in opened] == [(4, "rx1-0001@contoso.example")]
    assert opened.mapping["upn"] == "User name [userPrincipalName] Required"


def test_all_missing_columns_are_named_at_once_with_those_found(table, told):
    assert list(table("name,note\nx,y\n")) == []
    assert told() == ["in.csv: missing columns: upn, sku (found: name, note); other headings need --map"]


def test_unknown_columns_are_ignored_with_one_warning(table, problems):
    list(table("upn,sku,note,age\na@contoso.example,E3,x,1\n"))
    assert [warning.split(": ", 1)[1] for warning in problems.warnings] == [
        "columns without a meaning here are ignored: note, age"
    ]


def test_what_was_found_by_another_name_is_said(table, problems):
    list(table("User Name,Licenses,org\na@contoso.example,E3,RX1\n"))
    assert [warning.split(": ", 1)[1] for warning in problems.warnings] == ["read User Name as upn, Licenses as sku"]


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("upn,sku,UPN", "the heading 'upn' occurs 2 times"),
        ("User Name,Email Address,sku", "'User Name' and 'Email Address' both mean upn: remove one of them"),
    ],
)
def test_a_doubtful_header_is_refused(table, told, header, message):
    assert list(table(f"{header}\na,b,c\n")) == []
    assert told() == [f"in.csv: {message}"]


def test_a_column_by_its_own_name_wins_over_an_alias(table, problems):
    opened = table("Email Address,upn,sku\nold@contoso.example,new@contoso.example,E3\n")
    assert next(iter(opened)).values["upn"] == "new@contoso.example"
    assert any("ignored: Email Address" in warning for warning in problems.warnings)
