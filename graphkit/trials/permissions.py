"""What a recipe declares against what it asked for."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from graphkit.recipe import BASE_PERMISSIONS, Recipe, Report
from graphkit.sandbox.areas import ROUTER
from graphkit.sandbox.permissions import Need


class Undeclared(Exception):
    """A call needs a permission that was not declared; the text says which call and which permission."""


def judge_permissions(recipe: Recipe | Report, calls: Iterable[tuple[str, str, str]]) -> str:
    """What was declared and never needed, in a line; empty if all was. Raises :class:`Undeclared`."""
    declared = {*BASE_PERMISSIONS, *recipe.permissions}
    needed: set[str] = set()
    for method, version, path in calls:
        for need in _needs(method, version, path):
            if declared.isdisjoint(need):
                raise Undeclared(f"{method} {path} needs {need[0]}, which is not declared")
            needed |= declared.intersection(need)
    idle = sorted(set(recipe.permissions) - needed)
    return f"declared and not needed here: {', '.join(idle)}" if idle else "each one needed"


@lru_cache(maxsize=4096)
def _needs(method: str, version: str, path: str) -> tuple[Need, ...]:
    route, _ = ROUTER.find(method, path, version)
    return route.needs
