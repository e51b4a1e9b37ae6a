"""Every service area's endpoints in one router. A new area is one line here."""

from __future__ import annotations

from itertools import chain

from graphkit.sandbox.areas import (
    archiving,
    channel_members,
    channels,
    conditional_access,
    directory,
    groups,
    intune,
    licensing,
    team_creation,
    team_members,
    team_operations,
    team_templates,
    teams,
    users,
)
from graphkit.sandbox.router import Route, Router

AREAS = (
    archiving,
    channel_members,
    channels,
    conditional_access,
    directory,
    groups,
    intune,
    licensing,
    team_creation,
    team_members,
    team_operations,
    team_templates,
    teams,
    users,
)
ROUTES: tuple[Route, ...] = tuple(chain.from_iterable(area.routes for area in AREAS))
ROUTER = Router(ROUTES)

LEAST: frozenset[str] = frozenset(need[0] for route in ROUTES for need in route.needs)
"""One permission for each need: enough for everything that is modelled."""
