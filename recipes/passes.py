"""Temporary access passes as a page of rules asks for them. No recipe of its own."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from graphkit.engine.change import Desired, Origin
from graphkit.inputs.types import Flag, InputModel, Says

PERMISSIONS = {
    "user.accessPass": (
        "UserAuthMethod-TAP.ReadWrite.All",
        "Policy.Read.AuthenticationMethod",
        "RoleManagement.Read.Directory",
    )
}
"""What a recipe needs only if its page asks for passes, by the kind that they are: to issue them, to look up what the
tenant allows, and to tell whose pass would be an administrator's (least privileged application permissions of the pages
authentication-post-temporaryaccesspassmethods, as far as it writes,
temporaryaccesspassauthenticationmethodconfiguration-get and rbacapplication-list-roleassignments)."""
_TIME = re.compile(r"([01]\d|2[0-3]):[0-5]\d(Z|[+-]([01]\d|2[0-3]):[0-5]\d)")


def _check_time(text: str) -> str:
    if not _TIME.fullmatch(text):
        raise ValueError("is not a time of day with its offset from UTC, such as 08:00+01:00 or 07:00Z")
    return text


class Passes(InputModel):
    """What kind of passes."""

    starts_at: Annotated[str, AfterValidator(_check_time), Says("time of day with offset")] = Field(
        description="when a pass is good from on its first day: 08:00+01:00, or 07:00Z"
    )
    lifetime_minutes: int = Field(ge=10, le=43_200, description="minutes that a pass is good for")
    one_time: Flag = Field(default=True, description="whether a pass can be used once only")

    def starting(self, day: date, today: date) -> str:
        """The first moment as an instant in UTC; empty, which is at once, for a day that is over."""
        if day < today:
            return ""
        moment = datetime.fromisoformat(f"{day.isoformat()}T{self.starts_at}")
        return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def access_pass(passes: Passes, key: str, origin: Origin, starts: str, **more: Any) -> Desired:
    """A pass for one person; ``more`` are further fields of the wish, its ``properties`` naming the person."""
    properties = {
        **more.pop("properties"),
        "startsAt": starts,
        "lifetimeInMinutes": passes.lifetime_minutes,
        "isUsableOnce": passes.one_time,
    }
    return Desired(kind="user.accessPass", key=key, origin=origin, properties=properties, **more)
