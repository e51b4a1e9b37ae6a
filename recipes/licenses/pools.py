"""licenses.pools: one security group per organisation and SKU hands out the licence to its members."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from graphkit.engine.change import Desired, Origin
from graphkit.engine.resource import PlanOptions
from graphkit.inputs.cells import are_plain, clean
from graphkit.inputs.source import Source
from graphkit.inputs.types import InputModel, Org, Upn
from graphkit.recipe import Inputs, Recipe
from graphkit.resources.groups import security_group


class Member(InputModel):
    """One row of ``members_from``."""

    upn: Upn = Field(description="userPrincipalName of a member")


class MatchedCsv(InputModel):
    """A staff list of which only rows with these cells count."""

    csv: str = Field(description="CSV file with a column upn, relative to this file")
    match: dict[str, str] = Field(description="cells that a row must have to count: heading to text")


class Rule(InputModel):
    """A ``$filter`` on ``/users``, evaluated when planning."""

    filter: str = Field(description="$filter on /users, evaluated when planning")


class Pool(InputModel):
    """One group for one organisation and SKU."""

    org: Org = Field(description="organisation code")
    sku: str = Field(description="skuPartNumber or skuId")
    cap: int = Field(ge=0, description="members allowed, present ones included")
    group: str = Field(default="", description="displayName of the group; default '<org> <sku>'")
    addons: list[str] = Field(
        default_factory=list, description="further SKUs that the same group gives: add-ons sit with what they need"
    )
    disabled_plans: list[str] = Field(default_factory=list, description="service plans to leave out, by name or id")
    members_from: str | MatchedCsv | Rule = Field(description="CSV file with a column upn; {csv, match}; or {filter}")

    @property
    def key(self) -> str:
        return f"{self.org}.{self.sku}.pool"


class Pools(InputModel):
    """The whole file."""

    mode: Literal["additive", "authoritative"] = Field(
        default="additive", description="authoritative: members not listed are removed"
    )
    pools: list[Pool] = Field(min_length=1, description="one entry for each organisation and SKU")

    @model_validator(mode="after")
    def _one_entry_each(self) -> Pools:
        seen: set[str] = set()
        for pool in self.pools:
            if pool.key.lower() in seen:
                raise ValueError(f"two pools for {pool.org} and {pool.sku}")
            seen.add(pool.key.lower())
        return self


def desired(inputs: Inputs, options: PlanOptions) -> Iterator[Desired]:
    """The groups and their licences, then the members: each staff list is read once, however many pools share it."""
    lists: dict[Path, tuple[Source, str, Lists]] = {}
    for source, document in inputs.documents(Pools):
        mode = options.mode or document.mode
        for index, pool in enumerate(document.pools):
            if options.org in ("", pool.org):
                origin = Origin(source.name, f"pools[{index}]")
                yield from _pool(pool, origin, authoritative=mode == "authoritative")
                _note_list(lists, source, pool)
    for source, name, shared in lists.values():
        yield from _members(inputs, source, name, shared)


def _pool(pool: Pool, origin: Origin, *, authoritative: bool) -> Iterator[Desired]:
    rails: dict[str, object] = {
        "org": pool.org,
        "cap": pool.cap,
        "sku": pool.sku,
        "addons": pool.addons,
        "authoritative": authoritative,
    }
    if isinstance(pool.members_from, Rule):
        rails["filter"] = pool.members_from.filter
    yield Desired(
        kind="group",
        key=pool.key,
        origin=origin,
        properties=security_group(pool.key, pool.group or f"{pool.org} {pool.sku}"),
        rails=rails,
    )
    for sku, off in ((pool.sku, pool.disabled_plans), *((addon, []) for addon in pool.addons)):
        yield Desired(
            kind="group.license",
            key=f"{pool.key}/{sku}",
            origin=origin,
            properties={"group": pool.key, "sku": sku, "disabledPlans": off},
            rails={"org": pool.org},
        )


Lists = dict[tuple[str, ...], dict[tuple[str, ...], list[str]]]
"""Of one staff list: by the headings that pools match, the pools (keys) by what they want to see there."""


def _note_list(lists: dict[Path, tuple[Source, str, Lists]], source: Source, pool: Pool) -> None:
    given = pool.members_from
    if isinstance(given, Rule):
        return
    name, match = (given, {}) if isinstance(given, str) else (given.csv, given.match)
    headings = tuple(sorted(match))
    cells = tuple(unicodedata.normalize("NFC", match[heading].strip()) for heading in headings)
    _, _, shared = lists.setdefault(source.beside(name), (source, name, {}))
    shared.setdefault(headings, {}).setdefault(cells, []).append(pool.key)


def _members(inputs: Inputs, source: Source, name: str, shared: Lists) -> Iterator[Desired]:
    wanted = {heading for headings in shared for heading in headings}
    places: dict[str, int] = {}
    for origin, member in inputs.rows_beside(source, name, Member, headings=wanted):
        places = places or {heading: place for place, heading in enumerate(origin.columns) if heading in wanted}
        cells = _meant(inputs, origin, places)
        if cells is None:
            continue
        for headings, pools in shared.items():
            for pool in pools.get(tuple([cells[heading] for heading in headings]), ()):
                yield Desired(
                    kind="group.member",
                    key=f"{pool}/{member.upn.lower()}",
                    origin=origin,
                    properties={"group": pool, "user": member.upn},
                )


def _meant(inputs: Inputs, origin: Origin, places: Mapping[str, int]) -> dict[str, str] | None:
    """The cells of a row that pools match, by heading.

    ``None`` if a spreadsheet destroyed one: then nobody knows where the row belongs.
    """
    cells = {heading: origin.cells[place].strip() for heading, place in places.items()}
    if are_plain(cells.values()):
        return cells
    for heading, cell in cells.items():
        try:
            cells[heading] = clean(cell)
        except ValueError as error:
            inputs.problems.add(origin.file, origin.place, "invalid-value", f"{heading}: {error}")
            inputs.rejected.append(origin)
            return None
    return cells


RECIPE = Recipe(
    name="licenses.pools",
    summary="Licences by group: one pool per organisation and SKU, members from a CSV file or a rule",
    permissions=("Group.ReadWrite.All", "LicenseAssignment.ReadWrite.All"),
    desired=desired,
    template="pools.yaml",
    models=(Pools, Member),
    options=("org", "mode", "adopt"),
    rails=(
        "a pool over its cap: blocked, with the row that is too many",
        "seats of a SKU that the whole plan needs and the tenant does not have: blocked",
        "an organisation over its cap in the registry: blocked",
        "an add-on whose prerequisite the same group does not give: that licence alone is blocked",
        "whoever moves from one pool to another is added there before they are removed here",
    ),
)
