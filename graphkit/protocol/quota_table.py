"""The published limits as data: one row per bucket, with its page.

Figures are Microsoft's, read from learn.microsoft.com/graph/throttling-limits (page date 2025-01-14) and its includes
in microsoftgraph/microsoft-graph-docs-contrib; they are subject to change and can be overridden in ``graphkit.toml``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

_LIMITS = "https://learn.microsoft.com/graph/throttling-limits"
_IDENTITY = "microsoftgraph/microsoft-graph-docs-contrib includes/throttling-identity-and-access.md"
_INTUNE = "microsoftgraph/microsoft-graph-docs-contrib includes/throttling-intune-*.md"
_TEAMS = f"{_LIMITS}#microsoft-teams-service-limits"
_OURS = "no published limit; counted so that a 429 can stop it"

TEAMS_SUSTAINED = 0.83
"""Each Teams figure is for short bursts; about 83 % of it is enforced over a longer, unpublished window."""


@dataclass(frozen=True, slots=True)
class Bucket:
    """One limit: ``quota`` of ``unit`` in any ``window_s`` seconds. A quota of 0 means no published limit.

    ``scope`` is ``app``, ``tenant``, ``app+tenant`` or ``app+resource`` (a counter for each team or channel).
    ``sustained`` is the part of the quota that holds in the long run. ``retry_after`` False: its 429 states no wait.
    ``headroom`` stretches the window, for limits so tight that network jitter would break them.
    """

    id: str
    title: str
    quota: float
    window_s: float
    unit: str = "requests"
    scope: str = "app+tenant"
    sustained: float = 1.0
    retry_after: bool = True
    headroom: float = 1.0
    source: str = _LIMITS


RESOURCE_UNITS = {"S": 3500, "M": 5000, "L": 8000}
"""Identity resource units per 10 s of app and tenant: S under 50 users, M to 500, L above [throttling-identity]."""

_FIXED = (
    Bucket("global.app", "all requests", 130_000, 10, scope="app"),
    Bucket("other", "unlisted services", 0, 1, source=_OURS),
    Bucket("identity.app_tenant.ru", "directory resource units", 3500, 10, "resource_units", source=_IDENTITY),
    Bucket("identity.app.ru", "directory units, all tenants", 150_000, 20, "resource_units", "app", source=_IDENTITY),
    Bucket("identity.app_tenant.writes", "directory writes", 3000, 150, "writes", source=_IDENTITY),
    Bucket("identity.app.writes", "directory writes, all tenants", 35_000, 300, "writes", "app", source=_IDENTITY),
    Bucket("identity.tenant.writes", "directory writes, all apps", 18_000, 300, "writes", "tenant", source=_IDENTITY),
    # Reads count too, all apps of the tenant share it, and its 429 states no wait.
    Bucket(
        "identity_protection_ca.tenant", "conditional access", 1, 1, scope="tenant", retry_after=False, headroom=1.1,
        source=_IDENTITY,
    ),
    Bucket("identity_reports.app_tenant", "identity reports", 5, 10, source=_IDENTITY),
    Bucket("identity_reports.signInActivity.app_tenant", "sign-in activity", 10, 60, source=_IDENTITY),
)  # fmt: skip

TEAMS_ROWS: dict[str, tuple[str, str, int, int, tuple[int, int] | None]] = {
    # operation: method, path shape below the team, per app, per app and tenant (each a second), per team or channel
    "get_team": ("GET", "/teams/*", 1500, 30, (4, 1)),
    "update_team": ("PATCH", "/teams/*", 300, 30, (4, 1)),
    "create_team": ("POST", "/teams", 100, 10, None),
    "put_group_team": ("PUT", "/groups/*/team", 150, 6, None),
    "clone_team": ("POST", "/teams/*/clone", 150, 6, None),
    "joined_teams": ("GET", "/users/*/joinedteams", 300, 30, None),
    "list_channels": ("GET", "/teams/*/channels", 1200, 60, (4, 1)),
    "create_channel": ("POST", "/teams/*/channels", 100, 10, (4, 1)),
    "get_channel": ("GET", "/teams/*/channels/*", 600, 30, (1, 1)),
    "update_channel": ("PATCH", "/teams/*/channels/*", 300, 30, (1, 1)),
    "delete_channel": ("DELETE", "/teams/*/channels/*", 150, 15, (1, 1)),
    "list_channel_members": ("GET", "/teams/*/channels/*/members", 1200, 60, (1, 1)),
    "list_members": ("GET", "/teams/*/members", 1200, 60, (4, 1)),
    "add_member": ("POST", "/teams/*/members", 300, 30, (4, 60)),
    "bulk_add_members": ("POST", "/teams/*/members/add", 100, 10, (4, 60)),
    # What has no row of its own falls under the defaults of its method. The per-chat and per-channel default has no
    # per-team counterpart, so team-level calls without a row are bound by app and tenant alone.
    "default_get": ("GET", "", 1500, 30, None),
    "default_write": ("POST", "", 300, 30, None),
    "default_delete": ("DELETE", "", 150, 15, None),
}

INTUNE_AREAS: dict[str, tuple[int, frozenset[str]]] = {
    # area: writes in 20 s per app and tenant (ten times as many with reads; twice for a tenant), collections.
    # The page lists types, not paths; each area is its own counter.
    "device_configuration": (100, frozenset({"deviceconfigurations", "devicecompliancepolicies", ""})),
    "device_config_v2": (
        100,
        frozenset({"configurationpolicies", "configurationsettings", "configurationpolicytemplates"}),
    ),
    "device_enrollment": (100, frozenset({"deviceenrollmentconfigurations", "devicecategories"})),
    "devices": (200, frozenset({"manageddevices", "devicemanagementscripts", "devicehealthscripts", "detectedapps"})),
    # Not documented: Autopilot and the like are in no list, so the common figure is assumed.
    "unlisted": (100, frozenset()),
}


def buckets() -> dict[str, Bucket]:
    """Every bucket by id, with the published figures (identity resource units of the smallest tenant size)."""
    return {bucket.id: bucket for bucket in (*_FIXED, *_teams(), *_intune())}


def _teams() -> Iterator[Bucket]:
    for name, (_, _, app, tenant, resource) in TEAMS_ROWS.items():
        title = "Teams: " + name.replace("_", " ")
        yield Bucket(
            f"teams.{name}.app", f"{title}, all tenants", app, 1, "requests", "app", TEAMS_SUSTAINED, source=_TEAMS
        )
        yield Bucket(f"teams.{name}.app_tenant", title, tenant, 1, sustained=TEAMS_SUSTAINED, source=_TEAMS)
        if resource:
            quota, window = resource
            yield Bucket(
                f"teams.{name}.resource", f"{title}, one team or channel", quota, window, scope="app+resource",
                sustained=TEAMS_SUSTAINED, source=_TEAMS,
            )  # fmt: skip


def _intune() -> Iterator[Bucket]:
    for area, (writes, _) in INTUNE_AREAS.items():
        title = "Intune: " + area.replace("_", " ")
        rows = [(writes, "writes", "app_tenant", ""), (writes * 10, "any", "app_tenant", "")]
        if area != "unlisted":
            rows += [(writes * 2, "writes", "tenant", ", all apps"), (writes * 20, "any", "tenant", ", all apps")]
        for quota, unit, scope, suffix in rows:
            name = f"{title} {'writes' if unit == 'writes' else 'requests'}{suffix}"
            yield Bucket(
                f"intune.{area}.{scope}.{unit}", name, quota, 20, scope=scope.replace("_", "+"), source=_INTUNE
            )
