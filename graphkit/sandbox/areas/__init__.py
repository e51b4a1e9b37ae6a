"""Every service area's endpoints in one router. A new area is one line here."""

from __future__ import annotations

from itertools import chain

from graphkit.sandbox.areas import (
    authentication_contexts,
    authentication_methods,
    authentication_strengths,
    conditional_access,
    conditional_access_templates,
    cross_tenant,
    deleted_policies,
    directory,
    groups,
    intune,
    licensing,
    named_locations,
    registration,
    security_defaults,
    sign_ins,
    teams,
    terms_of_use,
    usage_reports,
    user_authentication,
    users,
    what_if,
)
from graphkit.sandbox.router import Route, Router

AREAS = (
    authentication_contexts,
    authentication_methods,
    authentication_strengths,
    conditional_access,
    conditional_access_templates,
    cross_tenant,
    deleted_policies,
    directory,
    groups,
    intune,
    licensing,
    named_locations,
    registration,
    security_defaults,
    sign_ins,
    teams,
    terms_of_use,
    usage_reports,
    user_authentication,
    users,
    what_if,
)
ROUTES: tuple[Route, ...] = tuple(chain.from_iterable(area.routes for area in AREAS))
ROUTER = Router(ROUTES)

LEAST: frozenset[str] = frozenset(need[0] for route in ROUTES for need in route.needs)
"""One permission for each need: enough for everything that is modelled."""
