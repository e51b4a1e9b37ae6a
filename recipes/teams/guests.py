"""teams.guests: who is invited, who answers for them, and when they go again."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pydantic import Field, field_validator

from graphkit.engine.change import Desired
from graphkit.engine.resource import PlanOptions
from graphkit.inputs.types import Day, DocumentModel, Flag, InputModel, Key, Org, TextList, Upn
from graphkit.recipe import Inputs, Recipe

_DOMAIN = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)+")
_ADDRESS = re.compile(r"[^\s@]+@([^\s@]+)")


class AllowList(DocumentModel):
    """A second input: the domains that guests may come from."""

    allowed_domains: TextList = Field(min_length=1, description="domains that guests may come from")

    @field_validator("allowed_domains")
    @classmethod
    def _check(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if not _DOMAIN.fullmatch(name.lower()):
                raise ValueError(f"{name} is not a domain such as fabrikam.example")
        return tuple(name.lower() for name in names)


class Guest(InputModel):
    """One row."""

    email: Key = Field(description="mail address of the guest")
    org: Org = Field(description="organisation code, 1 to 9 capital letters and digits")
    sponsor: Upn = Field(description="user principal name of the active user who answers for the guest")
    domain_ok: Flag | None = Field(default=None, description="whether the guest's domain was found acceptable")
    expires: Day = Field(description="last day of the guest; afterwards the account is deleted")

    @field_validator("email")
    @classmethod
    def _check_email(cls, text: str) -> str:
        found = _ADDRESS.fullmatch(text)
        if not (text.isascii() and found and _DOMAIN.fullmatch(found[1].lower())):
            raise ValueError(f"{text} is not a mail address")
        return text

    @property
    def key(self) -> str:
        return self.email.lower()

    @property
    def domain(self) -> str:
        return self.key.rpartition("@")[2]


def desired(inputs: Inputs, options: PlanOptions) -> Iterator[Desired]:
    """One guest a row, gone or there, as of the day for which is planned."""
    tables, documents = inputs.apart()
    allowed = _allowed(documents)
    for origin, guest in tables.rows(Guest, key=lambda guest: guest.key):
        if options.org not in ("", guest.org):
            continue
        expired = bool(options.as_of) and guest.expires.isoformat() < options.as_of
        yield Desired(
            kind="guest",
            key=guest.key,
            origin=origin,
            properties={"email": guest.email, "sponsor": guest.sponsor, "expires": guest.expires.isoformat()},
            absent=expired,
            blocked="" if expired else _why_not(guest, allowed),
        )


def _allowed(inputs: Inputs) -> frozenset[str] | None:
    """The domains of all lists that were given; None if there is no list."""
    lists = [document.allowed_domains for _, document in inputs.documents(AllowList)]
    return frozenset(name for names in lists for name in names) if lists else None


def _why_not(guest: Guest, allowed: frozenset[str] | None) -> str:
    """A list decides where there is one; a row may only be stricter."""
    if guest.domain_ok is False:
        return f"{guest.domain} is marked as not acceptable"
    if allowed is not None:
        return "" if guest.domain in allowed else f"{guest.domain} is not among the allowed domains"
    return "" if guest.domain_ok else f"nothing says that {guest.domain} is acceptable (domain_ok, allowed_domains)"


RECIPE = Recipe(
    name="teams.guests",
    summary="Guests invited with a sponsor, and deleted when their time is over",
    permissions=("User.Invite.All", "User.DeleteRestore.All", "AuditLog.Read.All"),
    desired=desired,
    template="guests.csv",
    given_with=("guests.domains.yaml",),
    models=(AllowList, Guest),
    options=("org", "as_of"),
    rails=(
        "a domain that is not acceptable, or an inactive sponsor: that row is blocked",
        "expired guests are deleted, which --max-deletes has to allow",
    ),
)
