"""Options that mean nothing to a recipe: whoever gives one expects something of it, and is told."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import fields

from graphkit.engine.resource import FOR_EVERY_PLAN, PlanOptions
from graphkit.errors import UsageError
from graphkit.recipe import Recipe, Report, everything


def refuse_idle(found: Recipe | Report, options: PlanOptions) -> None:
    """Raises ``UsageError`` with every option that was chosen and that ``found`` does not heed.

    An option is chosen if it is not as it is by default. What settings say by themselves is ``FOR_EVERY_PLAN``.
    """
    idle = list(_idle(options, found.options))
    if idle:
        raise UsageError(
            f"{found.name} does not use {', '.join(map(flag_of, idle))}",
            hint="; ".join(_meant_for(name, type(found)) for name in idle),
        )


def _idle(options: PlanOptions, heeded: Collection[str]) -> Iterator[str]:
    usual = PlanOptions()
    for name in (field.name for field in fields(options)):
        if name not in FOR_EVERY_PLAN and name not in heeded and getattr(options, name) != getattr(usual, name):
            yield name


def _meant_for(name: str, what: type[Recipe | Report]) -> str:
    others = [each.name for each in everything() if isinstance(each, what) and name in each.options]
    return f"{flag_of(name)} is for {', '.join(others) or 'none'}"


def flag_of(name: str) -> str:
    """The option as it is typed."""
    return "--" + name.replace("_", "-")
