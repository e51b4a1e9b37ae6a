"""Every service area's endpoints in one router. A new area is one line here."""

from __future__ import annotations

from itertools import chain

from graphkit.sandbox import conditional_access, directory, groups, intune, licensing, teams, users
from graphkit.sandbox.router import Router

AREAS = (conditional_access, directory, groups, intune, licensing, teams, users)
ROUTER = Router(chain.from_iterable(area.routes for area in AREAS))
