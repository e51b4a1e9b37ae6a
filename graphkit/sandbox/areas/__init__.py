"""Every service area's endpoints in one router. A new area is one line here."""

from __future__ import annotations

from itertools import chain

from graphkit.sandbox.areas import (
    administrative_units,
    conditional_access,
    directory_objects,
    group_lifecycle,
    group_members,
    group_policies,
    groups,
    intune,
    licensing,
    organization,
    roles,
    service_principals,
    teams,
    users,
)
from graphkit.sandbox.router import Route, Router

AREAS = (
    administrative_units,
    conditional_access,
    directory_objects,
    group_lifecycle,
    group_members,
    group_policies,
    groups,
    intune,
    licensing,
    organization,
    roles,
    service_principals,
    teams,
    users,
)
ROUTES: tuple[Route, ...] = tuple(chain.from_iterable(area.routes for area in AREAS))
ROUTER = Router(ROUTES)

LEAST: frozenset[str] = frozenset(need[0] for route in ROUTES for need in route.needs)
"""One permission for each need: enough for everything that is modelled."""
