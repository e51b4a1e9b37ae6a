"""What the identity may do beside what a recipe needs: too little for the rails, or enough to take the tenant over."""

from __future__ import annotations

from collections.abc import Mapping

from graphkit.errors import Blocked, MissingPermission
from graphkit.recipe import Recipe, base_permissions
from graphkit.session import Session

DISABLES: Mapping[str, str] = {
    "Organization.Read.All": "the tenant cannot be named, and --confirm not be checked",
    "User.Read.All": "people cannot be looked up, protected ones included",
    "GroupMember.Read.All": "memberships cannot be looked up, those of break-glass accounts included",
    "Policy.Read.All": "nothing proves that no break-glass account is locked out",
    "RoleManagement.Read.Directory": "accounts that hold directory roles are not protected",
}
"""What each base permission is for: the rail that is off without it."""
IDENTITY = "identity."


def check_take_over(session: Session, recipe: Recipe) -> None:
    """Raises ``Blocked`` if the identity could make itself anything, unless a setting names what it holds."""
    held = session.permissions([*base_permissions(session.settings.break_glass), *recipe.permissions]).take_over
    named = {name.lower() for name in session.settings.take_over}
    if unnamed := [name for name in held if name.lower() not in named]:
        raise Blocked(
            [f"{name}: whoever holds this identity can take over the tenant" for name in unnamed],
            hint="use an identity without it, or name it in GRAPHKIT_TAKE_OVER ([safety] take_over in graphkit.toml)",
        )


def check_base(session: Session, recipe: Recipe) -> list[str]:
    """Warnings about rails that are off. Raises ``MissingPermission`` for recipes of the identity family."""
    base = base_permissions(session.settings.break_glass)
    missing = [name for name in session.lacking(base) if name not in recipe.permissions]
    if missing and recipe.name.startswith(IDENTITY):
        raise MissingPermission(
            f"{recipe.name} needs {', '.join(missing)} for its safety rails, which this identity was not granted",
            hint=f"graphkit auth permissions {recipe.name} shows all of them",
        )
    return [f"{name} was not granted: {DISABLES[name]}" for name in missing]
