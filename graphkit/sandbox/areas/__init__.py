"""Every service area's endpoints in one router. A new area is one line here."""

from __future__ import annotations

from importlib import import_module

from graphkit.sandbox.router import Route, Router

AREAS = (
    "administrative_units",
    "app_protection",
    "archiving",
    "assignment_filters",
    "authentication_contexts",
    "authentication_methods",
    "authentication_strengths",
    "autopilot",
    "channel_members",
    "channels",
    "compliance",
    "conditional_access",
    "conditional_access_templates",
    "configurations",
    "cross_tenant",
    "deleted_items",
    "deleted_policies",
    "delta",
    "device_reports",
    "directory_objects",
    "entra_devices",
    "group_lifecycle",
    "group_members",
    "group_policies",
    "groups",
    "intune_roles",
    "invitations",
    "licensing",
    "managed_devices",
    "managers",
    "memberships",
    "named_locations",
    "notification_templates",
    "organization",
    "registration",
    "roles",
    "scope_tags",
    "security_defaults",
    "service_principals",
    "settings_catalog",
    "sign_ins",
    "sponsors",
    "team_creation",
    "team_members",
    "team_operations",
    "team_templates",
    "teams",
    "terms_of_use",
    "update_profiles",
    "usage_reports",
    "user_authentication",
    "users",
    "what_if",
)
ROUTES: tuple[Route, ...] = tuple(
    route for area in AREAS for route in import_module(f"graphkit.sandbox.areas.{area}").routes
)
ROUTER = Router(ROUTES)

LEAST: frozenset[str] = frozenset(need[0] for route in ROUTES for need in route.needs)
"""One permission for each need: enough for everything that is modelled."""
