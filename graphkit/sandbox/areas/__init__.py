"""Every service area's endpoints in one router. A new area is one line here."""

from __future__ import annotations

from itertools import chain

from graphkit.sandbox.areas import (
    conditional_access,
    deleted_items,
    delta,
    directory,
    groups,
    intune,
    invitations,
    licensing,
    managers,
    memberships,
    teams,
    users,
)
from graphkit.sandbox.permissions import SIGN_INS
from graphkit.sandbox.router import Route, Router

AREAS = (
    conditional_access,
    deleted_items,
    delta,
    directory,
    groups,
    intune,
    invitations,
    licensing,
    managers,
    memberships,
    teams,
    users,
)
ROUTES: tuple[Route, ...] = tuple(chain.from_iterable(area.routes for area in AREAS))
ROUTER = Router(ROUTES)

LEAST: frozenset[str] = frozenset(need[0] for route in ROUTES for need in route.needs) | {SIGN_INS[0]}
"""One permission for each need: enough for everything that is modelled, sign-in activity included."""
