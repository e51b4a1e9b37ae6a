"""What a recipe takes, writes and costs: worked out from its models, its starter file and its resources."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

from msgspec.structs import replace

from graphkit.client import GraphClient
from graphkit.clock import RealClock
from graphkit.engine.change import Action, Change, Desired, Undo
from graphkit.engine.resource import Context, PlanOptions, Resource
from graphkit.engine.snapshot import Snapshot
from graphkit.inputs.described import Described, describe, is_table
from graphkit.inputs.problems import Problems
from graphkit.inputs.source import open_source
from graphkit.jobs.heeded import flag_of
from graphkit.protocol import quota
from graphkit.recipe import BASE_PERMISSIONS, Inputs, Recipe, Report, if_asked_for, template_of
from graphkit.resources import ResourceTable, resource_class

RAILS = (
    "at most 10,000 changes (--max-changes)",
    "removals: at most the higher of 10 and 5 % of the kind (--max-removals)",
    "deletions: none (--max-deletes)",
)
"""What holds for every recipe; its own come on top."""
EVERYTHING_ALLOWED = PlanOptions(
    allow_public=True, allow_beta=True, allow_irreversible=True, allow_privileged=True, as_of="2026-01-05"
)
SHARE = 0.7
"""The part of each quota that a run takes unless it is told otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Writes:
    """What one kind of object costs: a write (``first`` is the one that makes a new object) carries up to ``per_write``
    changes and draws on the quota ``bucket``. A thousand of them take ``seconds_full`` if every write is full, and
    ``seconds_single`` if each carries one. ``undo`` is R (can be taken back), C (within 30 days) or X (not).
    """

    kind: str
    first: str
    per_write: int
    bucket: str
    seconds_full: float
    seconds_single: float
    undo: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """A recipe or report in words. ``inputs`` is (what it is, its fields) for each model, ``if_asked`` the permissions
    that only some inputs need, ``options`` those that not every recipe heeds, as they are typed."""

    name: str
    summary: str
    permissions: tuple[str, ...]
    if_asked: tuple[str, ...]
    inputs: tuple[tuple[str, tuple[Described, ...]], ...]
    writes: tuple[Writes, ...]
    options: tuple[str, ...]
    rails: tuple[str, ...]
    template: str

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "summary": self.summary,
            "permissions": [*BASE_PERMISSIONS, *self.permissions],
            "permissionsIfAskedFor": list(self.if_asked),
            "input": [{"title": title, "fields": [asdict(each) for each in rows]} for title, rows in self.inputs],
            "writes": [asdict(each) for each in self.writes],
            "options": list(self.options),
            "rails": list(self.rails),
            "template": self.template,
        }


def description_of(found: Recipe | Report) -> Description:
    """Asks no tenant. The kinds are those that the starter file asks for."""
    return Description(
        name=found.name,
        summary=found.summary,
        permissions=found.permissions,
        if_asked=if_asked_for(found),
        inputs=tuple((_title(found, place), tuple(describe(model))) for place, model in enumerate(found.models)),
        writes=tuple(_writes(found)) if isinstance(found, Recipe) else (),
        options=tuple(map(flag_of, found.options)),
        rails=(*RAILS, *found.rails) if isinstance(found, Recipe) else ("nothing is written",),
        template=found.template,
    )


def _title(found: Recipe | Report, place: int) -> str:
    model = found.models[place]
    if isinstance(found, Report) and place == 0:
        return "settings (YAML or JSON, or --set)"
    return "rows (CSV, TSV, XLSX, JSON lines)" if is_table(model) else "document (YAML or JSON)"


def schema_of(found: Recipe | Report) -> dict[str, Any]:
    """JSON Schema (2020-12) of the input: of one document, or of one row of a table, whichever is meant."""
    from pydantic.json_schema import models_json_schema

    refs, shared = models_json_schema(
        [(model, "validation") for model in found.models], ref_template="#/$defs/{model}", title=found.name
    )
    whole = {"$schema": "https://json-schema.org/draft/2020-12/schema", "description": found.summary, **shared}
    several = [refs[model, "validation"] for model in found.models]
    return {**whole, **(several[0] if len(several) == 1 else {"anyOf": several})}


def _writes(recipe: Recipe) -> Iterator[Writes]:
    with closing(Snapshot()) as snapshot:
        # Nobody is asked: a resource says what a write looks like without a tenant.
        context = Context(cast(GraphClient, None), RealClock(), snapshot, EVERYTHING_ALLOWED)
        resources = ResourceTable(context)
        wishes = sample_of(recipe)
        for kind in sorted(wishes, key=lambda kind: (resources[kind].rank, kind)):
            cost = _cost(resources[kind], *wishes[kind])
            if cost.first:  # what only stands in the plan is never written
                yield cost


def sample_of(recipe: Recipe) -> dict[str, tuple[Desired, Action]]:
    """The first wish of each kind that the starter file asks for, and what is done for it."""
    found: dict[str, tuple[Desired, Action]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, text in template_of(recipe):
            (Path(folder) / name).write_text(text, encoding="utf-8")
        problems = Problems()
        opened = [open_source(Path(folder) / name, problems) for name in (recipe.template, *recipe.given_with)]
        inputs = Inputs([source for source in opened if source], problems)
        for wish in recipe.desired(inputs, EVERYTHING_ALLOWED):
            found.setdefault(wish.kind, (wish, _done_for(wish)))
            for kind, action in resource_class(wish.kind).leads_to.items():
                # What only the tenant can spell out: no more is known of it here.
                found.setdefault(kind, (Desired(kind=kind, key="", origin=wish.origin), action))
        problems.raise_if_any()
    return found


def _done_for(wish: Desired) -> Action:
    if wish.absent:
        return Action.REMOVE
    return Action.UPDATE if wish.rails.get("must_exist") else Action.CREATE


def _cost(resource: Resource, wish: Desired, action: Action) -> Writes:
    taking = action in (Action.REMOVE, Action.DELETE)
    made = Change(kind=wish.kind, key=wish.key, action=action, origin=wish.origin)
    made = replace(made, before=wish.properties) if taking else replace(made, after=wish.properties)
    size = resource.pack_size(made) if taking else resource.pack_limit
    routes = list(resource.routes(made))
    bucket, single = _slowest(routes, 1000)
    return Writes(
        kind=wish.kind,
        first=" ".join(routes[0]) if routes else "",
        per_write=size,
        bucket=bucket,
        seconds_full=_slowest(routes, math.ceil(1000 / size))[1],
        seconds_single=single,
        # The recycle bin is for what was made or deleted.
        undo=str(Undo.REVERSIBLE if action is Action.UPDATE and resource.undo is Undo.WINDOW else resource.undo),
    )


def _slowest(routes: list[tuple[str, str]], packs: int) -> tuple[str, float]:
    """The quota that binds, and how long so many packs take at our share of it."""
    totals: dict[str, float] = {}
    for method, path in routes:
        for charge in quota.charges(method, path):
            totals[charge.bucket] = totals.get(charge.bucket, 0.0) + charge.amount * packs
    rows = quota.forecast(totals, SHARE)
    return (str(rows[0]["bucket"]), float(rows[0]["seconds"])) if rows else ("", 0.0)
