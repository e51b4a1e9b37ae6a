"""orgs.csv: which organisations there are, and whose somebody is."""

from __future__ import annotations

import pytest

from graphkit.engine.orgs import Org, Orgs
from graphkit.inputs.document import read_document
from graphkit.inputs.orgs import read_orgs
from graphkit.inputs.rows import read_rows
from graphkit.inputs.table import open_table
from graphkit.inputs.types import AnyOrg, InputModel
from graphkit.inputs.types import Org as OrgCode

HEADER = "code,name,domain,attribute,caps,status\n"


@pytest.fixture
def orgs(source, problems):
    return lambda rows: read_orgs(source(HEADER + rows, "orgs.csv"), problems)


def test_a_registry_is_read_whole(orgs, problems):
    found = orgs("RX1,Royal Infirmary,Infirmary.example;rx1.example,companyName=Infirmary,SPE_E3=20;ems=5,\n"
                 "RX2,,,officeLocation,,closed\n")  # fmt: skip
    assert not problems
    assert found.get("RX1") == Org(
        code="RX1",
        name="Royal Infirmary",
        domains=("infirmary.example", "rx1.example"),
        marks=(("companyName", "Infirmary"),),
        caps={"spe_e3": 20, "ems": 5},
    )
    assert found.get("RX2") == Org(code="RX2", marks=(("officeLocation", "RX2"),), open=False)
    assert (found.cap("RX1", "SPE_E3"), found.cap("RX1", "F1"), found.cap("RX9", "F1")) == (20, None, None)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("RX1,,,,,\nrx1,,,,,\n", "row 3, code: 'rx1': is not an organisation code"),
        ("RX1,,,,,\nRX1,,,,,\n", "row 3, RX1: already in row 2"),
        (
            "RX1,,not a domain,,,\n",
            "row 2, domain: 'not a domain': holds what is no domain such as contoso.example: not a domain",
        ),
        ("RX1,,,=x,,\n", "holds what is not of the form companyName=VALUE: =x"),
        ("RX1,,,,SPE_E3,\n", "row 2, caps: 'SPE_E3': holds what is not of the form SPE_E3=50: SPE_E3"),
        ("RX1,,,,,shut\n", "row 2, status: 'shut'"),
        ("RX1,,a.example,,,\nRX2,,A.example,,,\n", "row 3, a.example is that of RX1 already"),
        ("RX1,,,city=Leeds,,\nRX2,,,city=leeds,,\n", "row 3, city=leeds is that of RX1 already"),
    ],
)
def test_whatever_is_wrong_is_told_with_its_row(orgs, told, rows, message):
    orgs(rows)
    assert len(told()) == 1
    assert message in told()[0]


# --- whose somebody is ---

REGISTRY = Orgs(
    [
        Org(code="RX1", domains=("rx1.example",), marks=(("companyName", "Infirmary"),)),
        Org(code="RX2", marks=(("onPremisesExtensionAttributes.extensionAttribute1", "RX2"), ("city", "Leeds"))),
    ]
)


@pytest.mark.parametrize(
    ("user", "code"),
    [
        ({"userPrincipalName": "a@RX1.example"}, "RX1"),
        ({"userPrincipalName": "a@other.example"}, ""),
        ({"userPrincipalName": "a@sub.rx1.example"}, ""),
        ({"userPrincipalName": "a@other.example", "companyName": " infirmary "}, "RX1"),
        ({"userPrincipalName": "a@rx1.example", "city": "Leeds"}, "RX2"),
        ({"onPremisesExtensionAttributes": {"extensionAttribute1": "rx2"}}, "RX2"),
        ({"onPremisesExtensionAttributes": None, "city": None}, ""),
        ({"companyName": "Infirmary", "city": "Leeds"}, ""),
        ({"userPrincipalName": "b_other.example#EXT#@rx1.example"}, ""),
        ({}, ""),
    ],
)
def test_attributes_go_before_the_domain_and_doubt_is_nobody(user, code):
    assert REGISTRY.of(user) == code


def test_what_must_be_read_of_a_user_is_known():
    assert REGISTRY.select == ("userPrincipalName", "city", "companyName", "onPremisesExtensionAttributes")
    assert Orgs().select == ("userPrincipalName",)
    assert Orgs().of({"userPrincipalName": "a@rx1.example"}) == ""
    assert REGISTRY.of_name("a@rx1.example") == "RX1"


# --- codes in inputs ---


class Row(InputModel):
    org: OrgCode
    old: AnyOrg = "RX0"


class Document(InputModel):
    entries: list[Row]


KNOWN = {"orgs": Orgs([Org(code="RX1"), Org(code="RX2", open=False)])}


def test_an_unknown_or_closed_organisation_is_an_error_with_its_row(source, problems, told):
    opened = open_table(source("org,old\nRX1,RX2\nRX2,\nRX9,\n"), problems, Row)
    assert [row.number for row, _ in read_rows(opened, Row, problems, context=KNOWN)] == [2]
    assert told() == [
        "in.csv: row 3, org: 'RX2': is closed, as the registry of organisations says",
        "in.csv: row 4, org: 'RX9': is not in the registry of organisations",
    ]


def test_the_same_in_a_document_by_its_path(source, problems, told):
    text = "entries:\n  - org: RX1\n  - org: RX9\n"
    assert read_document(source(text, "in.yaml"), Document, problems, context=KNOWN) is None
    assert told() == ["in.yaml: entries[1].org: 'RX9': is not in the registry of organisations (line 3)"]


def test_without_a_registry_any_code_will_do(source, problems):
    opened = open_table(source("org,old\nRX9,RX2\n"), problems, Row)
    assert len(list(read_rows(opened, Row, problems, context={"orgs": Orgs()}))) == 1
    assert len(list(read_rows(opened, Row, problems))) == 1


# --- through the command line ---


def test_a_plan_is_bound_to_the_registry_and_refuses_who_is_not_in_it(simulated, tmp_path, monkeypatch):
    registry, rows = tmp_path / "orgs.csv", tmp_path / "assign.csv"
    registry.write_text(HEADER + "RX1,,,companyName,,open\nRX2,,,companyName,,closed\n", encoding="utf-8")
    (tmp_path / "graphkit.toml").write_text('[orgs]\nfile = "orgs.csv"\n', encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    line = "rx{0}-0001@contoso.example,EMS,RX{0}\n"
    rows.write_text("upn,sku,org\n" + line.format(1) + line.format(2) + line.format(3), encoding="utf-8")
    refused = simulated("plan", "licenses.assign", "-i", rows)
    assert refused.code == 5
    assert "row 3, org: 'RX2': is closed" in refused.stderr
    assert "row 4, org: 'RX3': is not in the registry" in refused.stderr
    checked = simulated("validate", "licenses.assign", "-i", rows, "-o", "json")
    assert [error["row"] for error in checked.json["errors"]] == [3, 4]
    rows.write_text("upn,sku,org\n" + line.format(1), encoding="utf-8")
    assert simulated("plan", "licenses.assign", "-i", rows, "--out", tmp_path / "a.run").code == 0
    from graphkit.engine.runfile import RunFile

    with RunFile.open(tmp_path / "a.run") as run:
        assert any(name.endswith("orgs.csv") for name in run.header()["inputs"])
    assert simulated("plan", "licenses.assign", "-i", rows, "--org", "RX7").code == 5


def test_a_registry_that_is_wrong_stops_every_command_that_reads_it(simulated, tmp_path, monkeypatch):
    (tmp_path / "orgs.csv").write_text(HEADER + "RX1,,,,,shut\n", encoding="utf-8")
    monkeypatch.setenv("GRAPHKIT_ORGS", str(tmp_path / "orgs.csv"))
    told = simulated("report", "licenses")
    assert (told.code, "orgs.csv: row 2, status" in told.stderr) == (5, True)
