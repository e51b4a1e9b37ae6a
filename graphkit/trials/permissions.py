"""What a recipe declares against what it asked for."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from graphkit.recipe import Recipe, Report, base_permissions, if_asked_for
from graphkit.sandbox.areas import ROUTER
from graphkit.sandbox.permissions import Need

MAY_BE_REFUSED = frozenset({"UserAuthenticationMethod.Read.All"})
"""For reads that a rail attempts and can do without: what emergency accounts have registered."""

ENOUGH_FOR_SOME = {
    ("PATCH", "/groups/{group}"): "GroupMember.ReadWrite.All",
    ("PATCH", "/users/{user}"): "User.EnableDisableAccount.All",
}
"""Less than the operation needs, and enough for one kind of body: members alone (api/group-post-members), or
accountEnabled alone (api/user-update). A recipe that declares these and nothing more is taken to send no other."""


class Undeclared(Exception):
    """A call needs a permission that was not declared; the text says which call and which permission."""


def permitted(recipe: Recipe | Report) -> set[str]:
    """What a recipe declares, and what every plan reads where emergency accounts are declared, as they are here."""
    return {*base_permissions(("declared",)), *recipe.permissions, *if_asked_for(recipe)}


def judge_permissions(recipe: Recipe | Report, calls: Iterable[tuple[str, str, str]]) -> str:
    """What was declared and never needed, in a line; empty if all was. Raises :class:`Undeclared`."""
    declared = permitted(recipe)
    needed: set[str] = set()
    for method, version, path in calls:
        for need in _needs(method, version, path):
            if declared.isdisjoint(need) and MAY_BE_REFUSED.isdisjoint(need):
                raise Undeclared(f"{method} {path} needs {need[0]}, which is not declared")
            needed |= declared.intersection(need)
    idle = sorted(set(recipe.permissions) - needed)
    return f"declared and not needed here: {', '.join(idle)}" if idle else "each one needed"


@lru_cache(maxsize=4096)
def _needs(method: str, version: str, path: str) -> tuple[Need, ...]:
    route, _ = ROUTER.find(method, path, version)
    some = ENOUGH_FOR_SOME.get((method, route.template))
    return tuple((*need, some) for need in route.needs) if some else route.needs
