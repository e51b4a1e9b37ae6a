"""``validate --fix``: a corrected copy beside the input, which stays as it is."""

import os
import stat

import pytest


@pytest.fixture
def staff(tmp_path):
    """A list as it comes out of a spreadsheet."""

    def write(text, name="staff.csv", encoding="utf-8"):
        path = tmp_path / name
        path.write_bytes(text.encode(encoding))
        return path

    return write


def fixed(path):
    return path.with_name(f"{path.stem}.fixed.csv").read_bytes().decode("utf-8-sig")


def test_the_copy_is_trimmed_unwrapped_and_has_the_headings_of_the_recipe(graphkit, staff):
    path = staff('User Name;SKU ;Org;Note\n rx1-0001@contoso.example ;="EMS";RX1; a \n;;;\n')
    before = path.read_bytes()
    result = graphkit("validate", "licenses.assign", "-i", path, "--fix", "-o", "json")
    assert result.code == 0, result.stderr
    assert fixed(path) == "upn,sku,org,Note\r\nrx1-0001@contoso.example,EMS,RX1,a\r\n"
    assert path.read_bytes() == before
    assert result.json["fixed"] == [{"path": str(path.with_name("staff.fixed.csv")), "rows": 1, "cells": 6}]
    again = graphkit("validate", "licenses.assign", "-i", path.with_name("staff.fixed.csv"), "-o", "json")
    assert (again.code, again.json["valid"]) == (0, 1)


def test_dates_become_iso_and_formulas_stay_harmless(staff):
    from graphkit.inputs.fixing import write_fixed
    from graphkit.inputs.problems import Problems
    from graphkit.inputs.source import open_source
    from graphkit.inputs.types import Day, InputModel

    class Person(InputModel):
        upn: str
        start_date: Day | None = None

    path = staff("upn,Start Date\n'=x,31/03/2026\nb,46112\nc,\n")
    copy = write_fixed(open_source(path, Problems()), Person)
    assert fixed(path) == "upn,start_date\r\n'=x,2026-03-31\r\nb,46112\r\nc,\r\n"
    assert (copy.rows, copy.cells) == (3, 3)


def test_accents_are_composed_and_old_encodings_become_utf_8(graphkit, staff):
    path = staff("upn,sku,org,disabled_plans\nrx1-0001@contoso.example,EMS,RX1,Cafe\u0301\n")
    graphkit("validate", "licenses.assign", "-i", path, "--fix")
    assert "Caf\u00e9" in fixed(path)
    old = staff("upn,sku,org,note\nrx1-0001@contoso.example,EMS,RX1,M\u00fcller\n", "old.csv", "cp1252")
    graphkit("validate", "licenses.assign", "-i", old, "--fix")
    assert "M\u00fcller" in fixed(old)


def test_what_a_machine_cannot_know_stays_for_a_person_to_see_to(graphkit, staff):
    path = staff("upn,sku,org\nnobody,1.2E+05,RX1\nx,y\n")
    result = graphkit("validate", "licenses.assign", "-i", path, "--fix")
    assert result.code == 5
    assert fixed(path) == "upn,sku,org\r\nnobody,1.2E+05,RX1\r\nx,y\r\n"


def test_a_copy_that_is_there_is_not_written_over(graphkit, staff):
    path = staff("upn,sku,org\n")
    path.with_name("staff.fixed.csv").write_text("mine")
    result = graphkit("validate", "licenses.assign", "-i", path, "--fix")
    assert (result.code, "is there already" in result.stderr) == (5, True)
    assert path.with_name("staff.fixed.csv").read_text() == "mine"


@pytest.mark.skipif(os.name == "nt", reason="no modes there")
def test_the_copy_is_for_its_owner_alone(graphkit, staff):
    path = staff("upn,sku,org\nrx1-0001@contoso.example,EMS,RX1\n")
    graphkit("validate", "licenses.assign", "-i", path, "--fix")
    assert stat.S_IMODE(path.with_name("staff.fixed.csv").stat().st_mode) == 0o600


def test_a_table_that_a_document_names_is_put_right_too(graphkit, tmp_path, staff):
    people = staff("User Name\nrx1-0001@contoso.example\n", "rx1.csv")
    pools = tmp_path / "pools.yaml"
    pools.write_text("pools:\n  - {org: RX1, sku: SPE_E3, cap: 5, members_from: rx1.csv}\n")
    assert graphkit("validate", "licenses.pools", "-i", pools, "--fix").code == 0
    assert fixed(people).startswith("upn\r\n")


def test_standard_input_and_documents_alone_cannot_be_put_right(graphkit, tmp_path):
    told = graphkit("validate", "licenses.assign", "-i", "-", "--input-format", "csv", "--fix", stdin="upn,sku,org\n")
    assert (told.code, "standard input is none" in told.stderr) == (5, True)
    policies = tmp_path / "policies.yaml"
    policies.write_text("policies: []\n")
    told = graphkit("validate", "devices.compliance", "-i", policies, "--fix")
    assert (told.code, "no table was read" in told.stderr) == (5, True)
