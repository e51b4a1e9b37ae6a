"""What a recipe is, and finding one by name.

A recipe module holds an input model, the permissions it needs, and a pure function from inputs to desired objects. Its
module-level ``RECIPE`` says so; that of a report, which only reads, is called ``REPORT``. Bundles of recipes are
packages registered under the entry point group ``graphkit.recipes``; ``teams.provision`` is the module
``teams/provision.py`` of a bundle.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from difflib import get_close_matches
from importlib.metadata import entry_points
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from graphkit.engine.change import Desired, Origin
from graphkit.engine.orgs import Orgs
from graphkit.engine.resource import Context, PlanOptions
from graphkit.errors import UsageError
from graphkit.inputs.document import begins_a_list, read_document
from graphkit.inputs.problems import KEPT_PROBLEMS, Problems
from graphkit.inputs.rows import explain, judge_rows
from graphkit.inputs.source import Source, open_source
from graphkit.inputs.table import Table, open_table
from graphkit.inputs.unasked import Unasked
from graphkit.reports.findings import Findings

if TYPE_CHECKING:
    from pydantic import BaseModel

M = TypeVar("M", bound="BaseModel")

GROUP = "graphkit.recipes"
FALLBACK = "recipes"
"""The bundle that stands beside graphkit when there is no metadata (source copied into a Function app)."""
DOCUMENTS = ("yaml", "json", "folder")
"""Formats of an input that is one document, or many; the others are tables."""
BASE_PERMISSIONS = ("Organization.Read.All", "User.Read.All", "GroupMember.Read.All")
"""What every plan reads (reference: the least application permissions of the calls)."""
SAFETY_PERMISSIONS = ("Policy.Read.All", "RoleManagement.Read.Directory")
"""What proves that no declared break-glass account is locked out."""


class Inputs:
    """What was given with ``-i``, as a recipe reads it. Whatever is wrong goes to ``problems``; nothing is raised.

    ``rejected`` holds the rows that could not be read as what the recipe wants, ``unasked`` those for which it
    wishes nothing, and how many were read. ``orgs`` is the registry against which fields of the type ``Org`` are
    checked, ``tables`` what was read as a table, and as rows of which model.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        problems: Problems,
        *,
        local_map: Source | None = None,
        values: Mapping[str, str] | None = None,
        orgs: Orgs | None = None,
    ) -> None:
        self.sources = sources
        self.problems = problems
        self.orgs = orgs or Orgs()
        self.rejected: list[Origin] = []
        self.unasked = Unasked()
        self.tables: dict[Path, tuple[Source, type[BaseModel]]] = {}
        self._local_map = local_map
        self._values = values

    def apart(self) -> tuple[Inputs, Inputs]:
        """(tables, documents): for a recipe that takes a list and a page of rules beside it."""
        tables, documents = copy(self), copy(self)
        tables.sources = [source for source in self.sources if self._holds_rows(source)]
        documents.sources = [source for source in self.sources if not self._holds_rows(source)]
        return tables, documents

    def _holds_rows(self, source: Source) -> bool:
        """A folder is where a map finds its files; a list in JSON or YAML is a table."""
        if source.format == "folder":
            return self._local_map is not None
        return source.format not in DOCUMENTS or begins_a_list(source)

    def documents(self, model: type[M]) -> Iterator[tuple[Source, M]]:
        """Each YAML or JSON input against ``model``."""
        for source in self.sources:
            document = read_document(source, model, self.problems, context=self._known)
            if document is not None:
                yield source, document

    def document(self, model: type[M]) -> tuple[Source, M] | None:
        """The one document that was given, if it can be read; a second one is a problem."""
        given = list(self.documents(model))
        for source in self.sources[1:]:
            self.problems.add(source.name, "", "one-too-many", f"{self.sources[0].name} was given already")
        return given[0] if given else None

    def settings(self, model: type[M]) -> M:
        """The one document that was given, or what ``model`` says without one; ``--set`` goes before both."""
        from pydantic import ValidationError

        given = self.document(model)
        stated = given[1].model_dump(exclude_unset=True) if given else {}
        try:
            return model.model_validate({**stated, **(self._values or {})}, context=self._known)
        except ValidationError as error:
            for entry in error.errors(include_url=False):
                where = ".".join(map(str, entry["loc"]))
                code, message = explain(entry)
                self.problems.add("--set", where, code, message)
        return model.model_construct()

    @property
    def _known(self) -> Mapping[str, object]:
        """What validators of fields may ask."""
        return {"orgs": self.orgs}

    def rows(self, model: type[M], key: Callable[[M], object] | None = None) -> Iterator[tuple[Origin, M]]:
        """The valid rows of all tables, ``--map`` applied; ``key`` must be unique among them."""
        for table in self._tables(model):
            yield from self._rows(table, model, key)

    def _tables(self, model: type[BaseModel]) -> Iterator[Table]:
        if self._local_map is None:
            yield from (self._table(source, model) for source in self.sources)
            return
        from graphkit.inputs.localmap import open_mapped_table

        given: Sequence[Source | None] = self.sources or [None]
        for source in given:
            yield open_mapped_table(self._local_map, self.problems, model, given=source, settings=self._values)

    def _table(self, source: Source, model: type[BaseModel], besides: Collection[str] = ()) -> Table:
        self.tables[source.path or Path(source.name)] = (source, model)
        return open_table(source, self.problems, model, besides)

    def rows_beside(
        self, source: Source, name: str, model: type[M], *, headings: Collection[str] = ()
    ) -> Iterator[tuple[Origin, M]]:
        """The valid rows of a table that a document names; its path is relative to the document.

        Of ``headings``, by which the document tells rows apart (``Origin.values``), each must be there.
        """
        beside = open_source(source.beside(name), self.problems)
        table = self._table(beside, model, headings) if beside is not None else None
        if table is None:
            return
        missing = sorted(set(headings) - set(table.header)) if table.columns else []
        for heading in missing:
            message = f"missing column: {heading}, which {source.name} matches"
            self.problems.add(table.file, "", "missing-column", message)
        if not missing:
            yield from self._rows(table, model, None)

    def _rows(self, table: Table, model: type[M], key: Callable[[M], object] | None) -> Iterator[tuple[Origin, M]]:
        empty, told = bool(table.columns), len(self.problems)
        for valid, rejected in judge_rows(table, model, self.problems, key=key, context=self._known):
            empty = empty and not (valid or rejected)
            self.unasked.read += len(valid) + len(rejected)
            if rejected and len(self.rejected) < KEPT_PROBLEMS:  # bounded, like the problems themselves
                self.rejected += [Origin(row.file, row.number, table.header, row.cells) for row in rejected]
            for row, item in valid:
                origin = Origin(row.file, row.number, table.header, row.cells)
                self.unasked.given(origin)
                yield origin, item
        if empty and len(self.problems) == told:
            message = "holds no rows below its header: an empty list is refused, for it is more likely the wrong file"
            self.problems.add(table.file, "", "no-rows", message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """One way to change a tenant in bulk.

    ``desired`` turns inputs into wishes, lazily; it neither reads the tenant nor the clock. ``permissions`` are the
    least application permissions, ``BASE_PERMISSIONS`` apart. ``template`` names the starter file beside the module.
    ``essential`` says that without its permissions the recipe must not even plan.
    """

    name: str
    summary: str
    permissions: tuple[str, ...]
    desired: Callable[[Inputs, PlanOptions], Iterator[Desired]]
    template: str
    given_with: tuple[str, ...] = ()
    """Further starter files that are inputs of their own, each given with ``-i``."""
    models: tuple[type[BaseModel], ...] = ()
    """The input models: documents first, then rows. Each field has a ``description`` of a few words."""
    rails: tuple[str, ...] = ()
    """What stops a plan of this recipe, one line each; the limits that all recipes have go without saying."""
    trial: PlanOptions | None = field(default_factory=PlanOptions)
    """What the starter file needs to be planned (``allow_beta`` ...), for the trials of ``recipe test``. None: what the
    recipe does depends on what it finds, which no starter file can arrange."""
    permissions_for: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Further permissions that are needed only if the plan holds such a kind."""
    builds_on: str = ""
    """The recipe whose starter file makes what this one's is about."""
    options: tuple[str, ...] = ()
    """The fields of ``PlanOptions`` that mean something to it, ``FOR_EVERY_PLAN`` apart; any other is refused."""
    essential: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One way to look at a tenant. It writes nothing: what would is stopped before it leaves.

    ``build`` reads the tenant through the context (``client``, ``clock``, ``snapshot`` for what is too large for
    memory, ``orgs``, ``options.org``) and returns what it found; rows are read while they are printed. ``permissions``
    are the least application permissions, ``BASE_PERMISSIONS`` apart. ``models`` holds the model of its settings, if it
    has any (:meth:`Inputs.settings`), then those of the rows that it may be given.
    """

    name: str
    summary: str
    permissions: tuple[str, ...]
    build: Callable[[Context, Inputs], Awaitable[Findings]]
    models: tuple[type[BaseModel], ...] = ()
    template: str = ""
    essential: bool = False
    options: tuple[str, ...] = ("org", "as_of")
    """As of a recipe."""


def if_asked_for(found: Recipe | Report) -> tuple[str, ...]:
    """The permissions that only some inputs need, each once."""
    given = found.permissions_for.values() if isinstance(found, Recipe) else ()
    return tuple(dict.fromkeys(name for names in given for name in names))


def base_permissions(break_glass: Sequence[str]) -> tuple[str, ...]:
    """What every plan reads where these accounts are declared."""
    return (*BASE_PERMISSIONS, *(SAFETY_PERMISSIONS if break_glass else ()))


def find_recipe(name: str) -> Recipe:
    """The recipe of that name; ``licences.*`` is understood. Raises ``UsageError`` naming the nearest."""
    found = find(name)
    if isinstance(found, Report):
        raise UsageError(f"{found.name} is a report", hint=f"graphkit report {found.name.partition('.')[2]}")
    return found


def find_report(name: str) -> Report:
    """The report of that name, ``reports.`` apart. Raises ``UsageError``."""
    found = find(name if name.startswith("reports.") else f"reports.{name}")
    if isinstance(found, Recipe):
        raise UsageError(f"{found.name} is a recipe", hint=f"graphkit plan {found.name} -i FILE")
    return found


def find(name: str) -> Recipe | Report:
    """The recipe or report of that name. Raises ``UsageError``."""
    canonical = ".".join("licenses" if part == "licences" else part for part in name.split("."))
    for bundle in _bundles():
        found = _load(f"{bundle}.{canonical.replace('-', '_')}") if canonical.count(".") == 1 else None
        if found and found.name == canonical:
            return found
    raise UsageError(f"there is no recipe {name}", hint=f"{_near(canonical)}graphkit recipe list shows all")


def _near(name: str) -> str:
    known = [each.name for each in everything()]
    near = [each for each in known if name in each] or get_close_matches(name, known, cutoff=0.75)
    return f"did you mean {' or '.join(near)}? " if near and name else ""


def all_recipes() -> list[Recipe]:
    """Every recipe of every bundle, by name. Two of one name are an error."""
    return [each for each in everything() if isinstance(each, Recipe)]


def all_reports() -> list[Report]:
    """Every report of every bundle, by name. Two of one name are an error."""
    return [each for each in everything() if isinstance(each, Report)]


def everything() -> list[Recipe | Report]:
    """All recipes and reports, by name. Two of one name are an error."""
    found: dict[str, tuple[Recipe | Report, str]] = {}
    for bundle in _bundles():
        package = importlib.import_module(bundle)
        for module in pkgutil.walk_packages(package.__path__, f"{bundle}."):
            recipe = None if module.ispkg else _load(module.name)
            if recipe is None:
                continue
            if recipe.name in found:
                raise UsageError(f"{recipe.name} is defined by both {found[recipe.name][1]} and {module.name}")
            found[recipe.name] = (recipe, module.name)
    return [found[name][0] for name in sorted(found)]


def template_of(recipe: Recipe | Report) -> Iterator[tuple[str, str]]:
    """(file name, text) of the starter files: the recipe's template and whatever it names beside itself."""
    if not recipe.template:
        return
    family, _, stem = recipe.name.partition(".")
    for bundle in _bundles():
        if _load(f"{bundle}.{family}.{stem.replace('-', '_')}") is not recipe:
            continue
        folder = files(f"{bundle}.{family}")
        for entry in sorted(folder.iterdir(), key=lambda each: each.name):
            if entry.name.startswith(f"{Path(recipe.template).stem}.") and not entry.name.endswith(".py"):
                yield entry.name, entry.read_text(encoding="utf-8")


def _bundles() -> list[str]:
    registered = sorted({point.value for point in entry_points(group=GROUP)})
    return registered or [FALLBACK]


def _load(module: str) -> Recipe | Report | None:
    try:
        found = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name and module.startswith(error.name):
            return None
        raise
    recipe = getattr(found, "RECIPE", None) or getattr(found, "REPORT", None)
    return recipe if isinstance(recipe, Recipe | Report) else None
