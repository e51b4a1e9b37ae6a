"""What someone asks to have planned, before anything is opened."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from graphkit.engine.orgs import Orgs
from graphkit.engine.resource import PlanOptions
from graphkit.errors import UsageError
from graphkit.inputs.problems import Problems
from graphkit.inputs.source import STDIN, open_source
from graphkit.jobs.heeded import refuse_idle
from graphkit.recipe import Inputs, find_recipe, find_report


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A recipe by name and its inputs as given on the command line or in a queue message.

    ``values`` are those of ``--set`` for the ``--map`` file or a report's settings; ``out`` is where the run file goes
    (default: a new name in the runs folder); ``orgs_file`` is the registry of organisations (default: that of the
    settings). ``within`` is the only folder from which inputs may be opened, with names relative to it.

    Raises ``UsageError`` if there is no input at all, unless it is for a report, which can do without, for values that
    nothing takes, and for options that mean nothing to the recipe.
    """

    recipe: str
    inputs: tuple[str, ...]
    options: PlanOptions = field(default_factory=PlanOptions)
    input_format: str | None = None
    map_file: str | None = None
    values: Mapping[str, str] = field(default_factory=dict)
    out: Path | None = None
    stdin: BinaryIO | None = None
    orgs_file: Path | None = None
    for_report: bool = False
    within: Path | None = None

    def __post_init__(self) -> None:
        if not (self.inputs or self.map_file or self.for_report):
            raise UsageError("no input was given", hint="name one with -i FILE, a folder, or - for standard input")
        if self.values and not (self.map_file or self.for_report):
            raise UsageError("--set gives values to a map, and there is none", hint="name it with --map FILE")
        find_one = find_report if self.for_report else find_recipe
        refuse_idle(find_one(self.recipe), self.options)

    def problems(self) -> Problems:
        """Where whatever is wrong with these inputs goes."""
        return Problems(within=self.within)

    def open(self, problems: Problems) -> Inputs:
        """The inputs, ready to be read; what cannot be opened goes to ``problems``, what is wrong with the registry
        too."""
        opened = (
            open_source(given, problems, input_format=self._format_of(given), stdin=self.stdin) for given in self.inputs
        )
        sources = [source for source in opened if source is not None]
        local_map = open_source(self.map_file, problems) if self.map_file else None
        return Inputs(sources, problems, local_map=local_map, values=self.values, orgs=self._orgs(problems))

    def _format_of(self, given: str) -> str | None:
        """``--input-format`` is that of standard input where that is given, for it has no suffix; else of all files."""
        return self.input_format if given == STDIN or STDIN not in self.inputs else None

    def _orgs(self, problems: Problems) -> Orgs:
        # Whoever made the settings named it: it need not be among the files that somebody else may name.
        own = Problems()
        source = open_source(self.orgs_file, own) if self.orgs_file else None
        problems.opened |= own.opened
        for each in own.found:
            problems.add(each.file, each.where, each.code, each.message)
        if source is None:
            return Orgs()
        from graphkit.inputs.orgs import read_orgs

        orgs = read_orgs(source, problems)
        if self.options.org and orgs and orgs.get(self.options.org) is None:
            problems.add(source.name, "", "unknown-org", f"--org {self.options.org}: is not in this registry")
        return orgs
