"""The published limits as data: one row per bucket, with what it counts and its page.

Figures are Microsoft's, read from learn.microsoft.com/graph/throttling-limits (page date 2025-01-14) and its includes
in microsoftgraph/microsoft-graph-docs-contrib; they are subject to change and can be overridden in ``graphkit.toml``.
Teams and Intune have modules of their own. Not ours: SharePoint, OneDrive, OneNote and mailboxes.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from graphkit.protocol.bucket import WRITES, Bucket
from graphkit.protocol.quota_intune import intune
from graphkit.protocol.quota_teams import teams

__all__ = ["RESOURCE_UNITS", "Bucket", "buckets", "by_workload"]

_IDENTITY = "microsoftgraph/microsoft-graph-docs-contrib includes/throttling-identity-and-access.md"
_OURS = "no published limit; counted so that a 429 can stop it"

RESOURCE_UNITS = {"S": 3500, "M": 5000, "L": 8000}
"""Identity resource units per 10 s of app and tenant: S under 50 users, M to 500, L above [throttling-identity]."""

_DELETES_TOO = "POST PATCH DELETE"
_units = partial(Bucket, unit="resource_units", source=_IDENTITY)
_writes = partial(Bucket, unit="writes", methods=WRITES, source=_IDENTITY)
_sign_ins = partial(Bucket, methods="GET", shapes=("/users", "/users/*"), when="signInActivity")

EVERYTHING = Bucket("global.app", "all requests", 130_000, 10, "app")
OTHER = Bucket("other", "unlisted services", 0, 1, split=True, source=_OURS)

_ROWS: dict[str, tuple[Bucket, ...]] = {
    "identity": (
        _units("identity.app.ru", "directory units, all tenants", 150_000, 20, "app"),
        _writes("identity.app.writes", "directory writes, all tenants", 35_000, 300, "app"),
        _sign_ins("identity_reports.signInActivity.app", "sign-in activity, all tenants", 10, 60, "app"),
        # The page gives no scope for this figure. Apps for personal accounts have one of their own (60 a minute), which
        # nothing in an address tells apart.
        Bucket(
            "identity.applications.org_audience", "app registrations", 70_000, 300, "app", methods=_DELETES_TOO,
            shapes=("/applications/**",),
        ),
        _writes("identity.tenant.writes", "directory writes, all apps", 18_000, 300, "tenant"),
        Bucket(
            "identity.export_personal_data.subjects", "exports of personal data", 1000, 86_400, "tenant",
            methods="POST", shapes=("/users/*/exportpersonaldata",), retry_after=False,
        ),
        _units("identity.app_tenant.ru", "directory resource units", RESOURCE_UNITS["S"], 10),
        Bucket(
            "identity.device.app_tenant.writes", "device writes", 3000, 150, methods=_DELETES_TOO,
            shapes=("/devices/**",),
        ),
        _sign_ins("identity_reports.signInActivity.app_tenant", "sign-in activity", 10, 60),
        _writes("identity.app_tenant.writes", "directory writes", 3000, 150),
        Bucket(
            id="identity.export_personal_data.one_subject", title="exports of one person's data", quota=100,
            window_s=86_400, scope="tenant+resource", split=True, methods="POST",
            shapes=("/users/*/exportpersonaldata",), retry_after=False,
        ),
        Bucket(
            "identity.device.user_tenant.writes", "device writes, one person", 25, 10, "user+tenant",
            methods=_DELETES_TOO, shapes=("/devices/**",),
        ),
    ),
    "data-policy": (
        Bucket("identity.data_policy.other", "data policy operations", 10_000, 3600, "tenant", retry_after=False),
    ),
    # Reads count too, all apps of the tenant share it, and its 429 states no wait. Published for
    # /identity/conditionalAccess/policies and namedLocations, /identityProtection/riskDetections and riskyUsers; what
    # else lies below these two roots, and authentication strengths, are assumed to be the same service's.
    "conditional-access": (
        Bucket("identity_protection_ca.tenant", "conditional access", 1, 1, "tenant", retry_after=False, headroom=1.1),
    ),
    # /identity/identityProviders, b2xUserFlows, userFlowAttributes, /policies/authenticationFlowsPolicy
    "identity-providers": (
        Bucket("identity_providers.tenant", "identity providers, all apps", 300, 60, "tenant"),
        Bucket("identity_providers.app_tenant", "identity providers", 200, 60),
    ),
    # /auditLogs (sign-ins, directory audits, provisioning), /reports/authenticationMethods,
    # credentialUserRegistrationDetails and the sign-in summaries of applications
    "identity-reports": (
        Bucket("identity_reports.app", "identity reports, all tenants", 122, 10, "app"),
        Bucket("identity_reports.app_tenant", "identity reports", 5, 10),
    ),
    # Usage reports, each counted by itself; JSON is given by beta only, and has no figure for all apps together.
    "m365-reports": (
        Bucket(
            "m365_reports.csv.tenant", "one usage report (CSV), all apps", 40, 600, "tenant", split=True,
            when="csv",
        ),
        Bucket("m365_reports.csv.app_tenant", "one usage report (CSV)", 14, 600, split=True, when="csv"),
        Bucket("m365_reports.json.app_tenant", "one usage report (JSON)", 100, 600, split=True, when="json"),
    ),
    "invitations": (
        Bucket("invitations.tenant", "invitations, all apps", 150, 5, "tenant"),
    ),
    "multitenant": (
        Bucket("multitenant.tenant.any", "multitenant management requests, all apps", 2000, 20, "tenant"),
        Bucket(
            "multitenant.tenant.writes", "multitenant management writes, all apps", 200, 20, "tenant",
            methods=WRITES,
        ),
        Bucket("multitenant.app_tenant.any", "multitenant management requests", 1000, 20),
        Bucket("multitenant.app_tenant.writes", "multitenant management writes", 100, 20, methods=WRITES),
    ),
    "subscriptions": (
        Bucket("subscriptions.writes.app", "subscription writes, all tenants", 2000, 20, "app", methods=WRITES),
        Bucket(
            "subscriptions.reauthorize.app", "subscriptions reauthorised, all tenants", 4000, 20, "app",
            methods="POST", shapes=("/subscriptions/*/reauthorize",),
        ),
        Bucket(
            "subscriptions.get.app", "subscriptions read, all tenants", 2000, 20, "app", methods="GET",
            shapes=("/subscriptions/*",),
        ),
        Bucket(
            "subscriptions.list.app", "subscriptions listed, all tenants", 40, 20, "app", methods="GET",
            shapes=("/subscriptions",),
        ),
        Bucket("subscriptions.writes.app_tenant", "subscription writes", 500, 20, methods=WRITES),
        Bucket(
            "subscriptions.reauthorize.app_tenant", "subscriptions reauthorised", 1000, 20, methods="POST",
            shapes=("/subscriptions/*/reauthorize",),
        ),
        Bucket(
            "subscriptions.get.app_tenant", "subscriptions read", 500, 20, methods="GET",
            shapes=("/subscriptions/*",),
        ),
        Bucket(
            "subscriptions.list.app_tenant", "subscriptions listed", 25, 20, methods="GET",
            shapes=("/subscriptions",),
        ),
    ),
    # /schemaExtensions, and /extensions below any object
    "extensions": (Bucket("extensions.app_tenant", "extensions", 455, 10),),
    # /admin/serviceAnnouncement
    "service-communications": (
        Bucket("service_communications.60s", "service announcements, a minute", 240, 60),
        Bucket("service_communications.1h", "service announcements, an hour", 800, 3600),
    ),
    "security": (
        Bucket(
            "security.alerts", "security alerts, actions and scores", 150, 60, shapes=("/security/alerts~",
            "/security/securityactions/**", "/security/securescores/**"),
        ),
    ),
    # /users/{id}/presence and /communications/getPresencesByUserId; /communications/presences is assumed
    "presence": (Bucket("presence.app_tenant", "presence", 10_000, 30),),
    "education": (
        Bucket("education.app", "education, all tenants", 400_000, 20, "app"),
        Bucket("education.app_tenant", "education", 35_000, 10),
    ),
    "intune": tuple(intune()),
    "teams": tuple(teams()),
}  # fmt: skip


def by_workload() -> Mapping[str, tuple[Bucket, ...]]:
    """The rows of each service, whose names are those of :func:`graphkit.protocol.routes.workload`."""
    return _ROWS


def buckets() -> dict[str, Bucket]:
    """Every bucket by id, with the published figures (identity resource units of the smallest tenant size)."""
    return {bucket.id: bucket for rows in ((EVERYTHING, OTHER), *_ROWS.values()) for bucket in rows}
