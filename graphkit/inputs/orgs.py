"""``orgs.csv``: the organisations, checked as a whole.

Importing this module loads pydantic; import it where the file is read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Literal

from pydantic import Field, field_validator

from graphkit.engine.orgs import Org, Orgs
from graphkit.inputs.problems import Problems
from graphkit.inputs.rows import read_rows
from graphkit.inputs.source import Source
from graphkit.inputs.table import Row, open_table
from graphkit.inputs.types import AnyOrg, InputModel, TextList

_PROPERTY = re.compile(r"[A-Za-z][A-Za-z0-9_]*(?:\.[A-Za-z][A-Za-z0-9_]*)?")
_DOMAIN = re.compile(r"(?!-)[a-z0-9-]+(?:\.[a-z0-9-]+)+")


class OrgRow(InputModel):
    """One organisation."""

    code: AnyOrg = Field(description="1 to 9 capital letters and digits")
    name: str = Field(default="", description="what people call it")
    domain: TextList = Field(default=(), description="domains of its people's user principal names, separated by ;")
    attribute: TextList = Field(
        default=(),
        description="PROPERTY=VALUE of its people, separated by ;; a property alone means that it holds the code",
    )
    caps: TextList = Field(default=(), description="SKU=NUMBER that it may hold, separated by ;")
    status: Literal["open", "closed"] = Field(default="open", description="open (default), or closed: gets nothing new")

    @field_validator("domain")
    @classmethod
    def _check_domains(cls, domains: tuple[str, ...]) -> tuple[str, ...]:
        found = tuple(domain.lower() for domain in domains)
        for domain in found:
            if not _DOMAIN.fullmatch(domain):
                raise ValueError(f"holds what is no domain such as contoso.example: {domain}")
        return found

    @field_validator("attribute")
    @classmethod
    def _check_attributes(cls, attributes: tuple[str, ...]) -> tuple[str, ...]:
        for attribute in attributes:
            if not _PROPERTY.fullmatch(attribute.partition("=")[0].strip()):
                raise ValueError(f"holds what is not of the form companyName=VALUE: {attribute}")
        return attributes

    @field_validator("caps")
    @classmethod
    def _check_caps(cls, caps: tuple[str, ...]) -> tuple[str, ...]:
        for cap in caps:
            sku, _, number = cap.partition("=")
            if not (sku.strip() and number.strip().isdecimal()):
                raise ValueError(f"holds what is not of the form SPE_E3=50: {cap}")
        return caps

    def org(self) -> Org:
        return Org(
            code=self.code,
            name=self.name,
            domains=self.domain,
            marks=tuple(_mark(attribute, self.code) for attribute in self.attribute),
            caps={sku.strip().lower(): int(number) for sku, _, number in (cap.partition("=") for cap in self.caps)},
            open=self.status == "open",
        )


def read_orgs(source: Source, problems: Problems) -> Orgs:
    """The registry. A domain or attribute that two organisations claim is a problem: it would tell neither."""
    table = open_table(source, problems, OrgRow)
    claimed: dict[str, str] = {}
    found: list[Org] = []
    for row, item in read_rows(table, OrgRow, problems, key=lambda item: item.code):
        org = item.org()
        claims = [*org.domains, *(f"{name}={value}" for name, value in org.marks)]
        if _claim(row, org.code, claims, claimed, problems.add):
            found.append(org)
    return Orgs(found)


def _claim(
    row: Row, code: str, claims: list[str], claimed: dict[str, str], report: Callable[[str, int, str, str], None]
) -> bool:
    taken = list(_taken(code, claims, claimed))
    for message in taken:
        report(row.file, row.number, "claimed-twice", message)
    return not taken


def _taken(code: str, claims: list[str], claimed: dict[str, str]) -> Iterator[str]:
    for claim in claims:
        first = claimed.setdefault(claim.lower(), code)
        if first != code:
            yield f"{claim} is that of {first} already: one of them needs an attribute of its own"


def _mark(attribute: str, code: str) -> tuple[str, str]:
    name, equals, value = attribute.partition("=")
    return name.strip(), value.strip() if equals else code
