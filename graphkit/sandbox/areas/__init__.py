"""Every service area's endpoints in one router. A new area is one line here."""

from __future__ import annotations

from itertools import chain

from graphkit.sandbox.areas import (
    administrative_units,
    app_protection,
    archiving,
    assignment_filters,
    autopilot,
    channel_members,
    channels,
    compliance,
    conditional_access,
    configurations,
    device_reports,
    directory_objects,
    entra_devices,
    group_lifecycle,
    group_members,
    group_policies,
    groups,
    intune_roles,
    licensing,
    managed_devices,
    notification_templates,
    organization,
    roles,
    scope_tags,
    service_principals,
    settings_catalog,
    team_creation,
    team_members,
    team_operations,
    team_templates,
    teams,
    update_profiles,
    users,
)
from graphkit.sandbox.router import Route, Router

AREAS = (
    administrative_units,
    app_protection,
    archiving,
    assignment_filters,
    autopilot,
    channel_members,
    channels,
    compliance,
    conditional_access,
    configurations,
    device_reports,
    directory_objects,
    entra_devices,
    group_lifecycle,
    group_members,
    group_policies,
    groups,
    intune_roles,
    licensing,
    managed_devices,
    notification_templates,
    organization,
    roles,
    scope_tags,
    service_principals,
    settings_catalog,
    team_creation,
    team_members,
    team_operations,
    team_templates,
    teams,
    update_profiles,
    users,
)
ROUTES: tuple[Route, ...] = tuple(chain.from_iterable(area.routes for area in AREAS))
ROUTER = Router(ROUTES)

LEAST: frozenset[str] = frozenset(need[0] for route in ROUTES for need in route.needs)
"""One permission for each need: enough for everything that is modelled."""
