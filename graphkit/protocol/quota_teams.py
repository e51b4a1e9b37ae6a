"""The limits of Microsoft Teams as published: one row per operation.

Source: learn.microsoft.com/graph/throttling-limits#microsoft-teams-service-limits (page date 2025-01-14).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from graphkit.protocol.bucket import LIMITS, Bucket

SUSTAINED = 0.83
"""Each Teams figure is for short bursts; about 83 % of it is enforced over a longer, unpublished window."""

_SOURCE = f"{LIMITS}#microsoft-teams-service-limits"


class Row(NamedTuple):
    """Requests a second per ``app``, per app and ``tenant``, per ``user``, and for ``each`` team, channel or chat.

    0 is a dash in the page: the default of the method counts there, if there is one. ``window`` is that of ``each``.
    """

    methods: str
    shapes: str
    app: int
    tenant: int
    each: int = 0
    window: int = 1
    user: int = 0


ROWS = {
    # Teams
    "get_team": Row("GET", "/teams/*", 1500, 30, 4),
    "joined_teams": Row("GET", "/users/*/joinedteams", 300, 30),
    "create_team": Row("POST", "/teams", 100, 10),
    "put_group_team": Row("PUT", "/groups/*/team", 150, 6),
    "update_team": Row("PATCH", "/teams/*", 300, 30, 4),
    "clone_team": Row("POST", "/teams/*/clone", 150, 6),
    "complete_migration": Row("POST", "/teams/*/completemigration /teams/*/channels/*/completemigration", 100, 10),
    # Channels
    "list_channels": Row("GET", "/teams/*/channels", 1200, 60, 4),
    "get_channel": Row("GET", "/teams/*/channels/*", 600, 30, 1),
    "list_channel_members": Row("GET", "/teams/*/channels/*/members", 1200, 60, 1),
    "create_channel": Row("POST", "/teams/*/channels", 100, 10, 4),
    "update_channel": Row("PATCH", "/teams/*/channels/*", 300, 30, 1),
    "delete_channel": Row("DELETE", "/teams/*/channels/*", 150, 15, 1),
    "list_channel_messages": Row("GET", "/teams/*/channels/*/messages", 200, 20, 1),
    "post_channel_message": Row(
        "POST", "/teams/*/channels/*/messages /teams/*/channels/*/messages/*/replies", 500, 50, 1, user=1
    ),
    # Chats
    "list_chats": Row("GET", "/chats /users/*/chats", 200, 20, user=1),
    "get_chat": Row("GET", "/chats/*", 2000, 200, 1, user=5),
    "create_chat": Row("POST", "/chats", 200, 20),
    "update_chat": Row("PATCH", "/chats/*", 300, 30, 1),
    "delete_chat": Row("DELETE", "/chats/*", 10, 1, 1),
    "chat_remove_access": Row("POST", "/chats/*/removeallaccessforuser", 300, 30, 1, user=1),
    "list_chat_messages": Row("GET", "/chats/*/messages", 200, 20, 1),
    "post_chat_message": Row("POST", "/chats/*/messages", 200, 20, 1, user=1),
    "update_chat_message": Row("PATCH", "/chats/*/messages/*", 300, 30, 1),
    "softdelete_chat_message": Row(
        "POST", "/chats/*/messages/*/softdelete /chats/*/messages/*/undosoftdelete", 300, 30, 1
    ),
    "chat_hosted_contents": Row("GET", "/chats/*/messages/*/hostedcontents", 500, 50, 1),
    "chat_hosted_content_value": Row("GET", "/chats/*/messages/*/hostedcontents/*/$value", 600, 60, 1),
    # Members: the figure for one team or chat is per minute
    "list_members": Row("GET", "/teams/*/members", 1200, 60, 4),
    "add_member": Row("POST", "/teams/*/members", 300, 30, 4, 60),
    "bulk_add_members": Row("POST", "/teams/*/members/add", 100, 10, 4, 60),
    "add_chat_member": Row("POST", "/chats/*/members", 300, 30, 4, 60),
    "delete_chat_member": Row("DELETE", "/chats/*/members/*", 300, 30, 4, 60),
    # Apps and tabs: "per chat or channel"; counted for the first object that the address names, be it a team or a user
    "get_installed_apps": Row(
        "GET", "/teams/*/installedapps /chats/*/installedapps /users/*/teamwork/installedapps", 1500, 30, 1
    ),
    "get_permission_grants": Row("GET", "/teams/*/permissiongrants /chats/*/permissiongrants", 1500, 30, 1),
    "post_installed_apps": Row(
        "POST", "/teams/*/installedapps /chats/*/installedapps /users/*/teamwork/installedapps", 300, 30, 1
    ),
    "delete_installed_apps": Row(
        "DELETE", "/teams/*/installedapps/* /chats/*/installedapps/* /users/*/teamwork/installedapps/*", 150, 15, 1
    ),
    "get_tabs": Row("GET", "/teams/*/channels/*/tabs /chats/*/tabs", 600, 30, 1),
    "post_tabs": Row("POST", "/teams/*/channels/*/tabs /chats/*/tabs", 300, 30, 1),
    "patch_tab": Row("PATCH", "/teams/*/channels/*/tabs/* /chats/*/tabs/*", 300, 30, 1),
    "delete_tab": Row("DELETE", "/teams/*/channels/*/tabs/* /chats/*/tabs/*", 150, 15, 1),
    "get_app_catalog": Row("GET", "/appcatalogs/teamsapps", 1500, 30),
    "post_app_catalog": Row("POST", "/appcatalogs/teamsapps", 300, 30),
    "delete_app_catalog": Row("DELETE", "/appcatalogs/teamsapps/*", 150, 15),
    # Notifications
    "notify_team": Row("POST", "/teams/*/sendactivitynotification", 50, 5, 4),
    "notify_chat": Row("POST", "/chats/*/sendactivitynotification", 50, 5, 1),
    "notify_user": Row("POST", "/users/*/teamwork/sendactivitynotification", 50, 5),
    "notify_recipients": Row("POST", "/teamwork/sendactivitynotificationtorecipients", 20, 2),
    # Exports
    "export_messages": Row(
        "GET",
        "/teams/*/channels/getallmessages /teams/*/channels/allmessages /teams/*/channels/getallretainedmessages "
        "/users/*/chats/getallmessages /users/*/chats/allmessages /users/*/chats/getallretainedmessages",
        1000,
        200,
    ),
    "copilot_interactions": Row("GET", "/copilot/users/*/interactionhistory/getallenterpriseinteractions", 1500, 30),
    # Schedules; PATCH and DELETE are in the page's older table only, and equal the defaults.
    "get_schedule": Row("GET", "/teams/*/schedule/**", 600, 30),
    "write_schedule": Row("POST PUT", "/teams/*/schedule/**", 300, 30),
    "delete_schedule_legacy": Row("DELETE", "/teams/*/schedule/**", 150, 15),
    "sections": Row("*", "/users/*/teamwork/sections/**", 0, 5),
    # What has no figure of its own falls under the default of its method, scope by scope. "Per chat or channel" has no
    # counterpart for a team, so that calls to a team without a row are bound by app and tenant alone.
    "default_get": Row("GET", "", 1500, 30, 1, user=1),
    "default_write": Row("POST PUT PATCH", "", 300, 30, 1, user=1),
    "default_delete": Row("DELETE", "", 150, 15, 1, user=1),
}

_CHATS_AND_CHANNELS = ("/teams/*/channels/*/**", "/teams/*/primarychannel/**", "/chats/*/**", "/users/*/chats/*/**")


def teams() -> Iterator[Bucket]:
    """Every row as up to four buckets."""
    for name, row in ROWS.items():
        title = "Teams: " + name.replace("_", " ")
        shapes = tuple(row.shapes.split()) or ("/**",)
        each = shapes if row.shapes else _CHATS_AND_CHANNELS
        for dimension, label, scope, quota, window, counted in (
            ("app", f"{title}, all tenants", "app", row.app, 1, shapes),
            ("app_tenant", title, "app+tenant", row.tenant, 1, shapes),
            ("resource", f"{title}, one team, channel or chat", "app+resource", row.each, row.window, each),
            ("user", f"{title}, one person", "user", row.user, 1, shapes),
        ):
            if quota:
                yield Bucket(
                    id=f"teams.{name}.{dimension}",
                    title=label,
                    quota=quota,
                    window_s=window,
                    scope=scope,
                    split=dimension == "resource",
                    methods=row.methods,
                    shapes=counted,
                    default=not row.shapes,
                    sustained=SUSTAINED,
                    source=_SOURCE,
                )
