"""reports.mfa: who can sign in with a second factor, by which methods, and which administrators cannot."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from pydantic import Field

from graphkit.engine.resource import Context
from graphkit.inputs.types import InputModel, TextList
from graphkit.recipe import Inputs, Report
from graphkit.reports.findings import Cell, Findings, Section
from graphkit.resources.registration import ALLOWED_BY, registrations

SELECT = ("id", "userPrincipalName", "accountEnabled", "userType")
PAGE = 999
NOBODY = ("disabled", "guests", "skipped")
"""Accounts that are counted, and are no people who should register."""
COUNTED = ("people", "capable", "not_capable", "registered", "phone_only", "not_registered", "unknown", *NOBODY)
REGISTERED, GAP, ADMIN = "report.registered", "report.gap", "report.admin"
"""Kinds under which registrations and the evidence are staged."""
PHONES = frozenset({"mobilePhone", "alternateMobilePhone", "officePhone"})


class Settings(InputModel):
    """Who is not expected to register."""

    skip: TextList = Field(default=(), description="accounts nobody signs in with, by pattern, such as svc-*@*")


@dataclass(slots=True)
class Tally:
    """What was counted, by organisation; in ``methods`` a person counts once for each that is registered."""

    by_org: dict[str, Counter[str]] = field(default_factory=dict)
    methods: dict[str, Counter[str]] = field(default_factory=dict)
    administrators: int = 0
    gaps: int = 0

    def total(self, what: str) -> int:
        return sum(counts[what] for counts in self.by_org.values())


async def build(context: Context, inputs: Inputs) -> Findings:
    """The service's report first, on disk; then all accounts. Whoever that report does not name is unknown."""
    settings = inputs.settings(Settings)
    notes = [] if context.orgs else ["no registry of organisations is set (GRAPHKIT_ORGS): nobody's is known"]
    async for page in registrations(context.client):
        context.snapshot.put(REGISTERED, ((str(row["id"]), row) for row in page))
    tally = Tally()
    select = ",".join(dict.fromkeys((*SELECT, *context.orgs.select)))
    users = context.client.list_partitioned("/users", params={"$select": select, "$top": str(PAGE)})
    async for page in users.pages():
        _take_in(context, settings, tally, page)
    return Findings(
        sections=_sections(context, tally),
        totals={
            **{what: tally.total(what) for what in COUNTED},
            "administrators": tally.administrators,
            "privileged_gaps": tally.gaps,
        },
        notes=tuple(notes),
    )


def _take_in(context: Context, settings: Settings, tally: Tally, page: Sequence[Mapping[str, Any]]) -> None:
    """Count a page of accounts, and stage what is evidence by organisation and person."""
    rows = context.snapshot.get(REGISTERED, [str(user["id"]) for user in page])
    evidence: dict[str, list[tuple[str, Any]]] = {GAP: [], ADMIN: []}
    for user in page:
        org, name = context.orgs.of(user), str(user.get("userPrincipalName") or user["id"])
        if context.options.org not in ("", org):
            continue
        row, use = rows.get(str(user["id"])), _use(user, settings)
        state = _state(row)
        _count(tally, org, use, state, row)
        # A guest who holds a role is no less of a danger, nor is an account that nobody is thought to sign in with.
        is_admin = use != "disabled" and bool(row and row.get("isAdmin"))
        tally.administrators += is_admin
        if state != "capable":
            tally.gaps += is_admin
            told = [org, name, state.replace("_", " "), "; ".join((row or {}).get("methodsRegistered") or ())]
            key = f"{org}/{name.lower()}"
            evidence[GAP] += [(key, told)] if use not in NOBODY else []
            evidence[ADMIN] += [(key, [*told, use == "guests"])] if is_admin else []
    for kind, found in evidence.items():
        context.snapshot.put(kind, found)


def _use(user: Mapping[str, Any], settings: Settings) -> str:
    """Each account once: a guest who is disabled is a guest."""
    name = str(user.get("userPrincipalName")).lower()
    if user.get("userType") == "Guest":
        return "guests"
    if user.get("accountEnabled") is False:
        return "disabled"
    return "skipped" if any(fnmatchcase(name, pattern.lower()) for pattern in settings.skip) else "people"


def _state(row: Mapping[str, Any] | None) -> str:
    """``capable``: something is registered that the policy allows; ``not_capable``: what is registered, it does not."""
    if row is None:
        return "unknown"
    if row.get("isMfaCapable"):
        return "capable"
    return "not_capable" if row.get("isMfaRegistered") else "not_registered"


def _count(tally: Tally, org: str, use: str, state: str, row: Mapping[str, Any] | None) -> None:
    counts = tally.by_org.setdefault(org, Counter())
    counts[use] += 1
    if use in NOBODY:
        return
    counts[state] += 1
    counts["registered"] += state in ("capable", "not_capable")
    methods = set((row or {}).get("methodsRegistered") or ())
    strong = methods & ALLOWED_BY.keys()
    counts["phone_only"] += bool(strong) and strong <= PHONES
    tally.methods.setdefault(org, Counter()).update(methods)


def _sections(context: Context, tally: Tally) -> tuple[Section, ...]:
    by_org: list[list[Cell]] = [
        [org, *(counts[what] for what in COUNTED), _share(counts)] for org, counts in sorted(tally.by_org.items())
    ]
    methods: list[list[Cell]] = [
        [org, method, people]
        for org, counts in sorted(tally.methods.items())
        for method, people in sorted(counts.items())
    ]
    snapshot = context.snapshot
    return (
        Section(
            name="organisations",
            title="By organisation",
            columns=("org", *COUNTED, "capable_pct"),
            rows=lambda: by_org,
            org="org",
        ),
        Section(
            name="methods",
            title="Methods that people have registered",
            columns=("org", "method", "people"),
            rows=lambda: methods,
            org="org",
        ),
        Section(
            name="privileged",
            title="Administrators without a second factor",
            columns=("org", "upn", "state", "methods", "guest"),
            rows=lambda: (row for _, row in snapshot.each(ADMIN)),
            org="org",
        ),
        Section(
            name="gaps",
            title="People without a second factor",
            columns=("org", "upn", "state", "methods"),
            rows=lambda: (row for _, row in snapshot.each(GAP)),
            org="org",
        ),
    )


def _share(counts: Mapping[str, int]) -> float | None:
    """Per cent of the people; of none it is not known."""
    return round(100 * counts["capable"] / counts["people"], 1) if counts["people"] else None


REPORT = Report(
    name="reports.mfa",
    summary="Multifactor authentication: who is capable, who registered what, and administrators without it",
    permissions=("AuditLog.Read.All",),
    build=build,
    models=(Settings,),
    options=("org",),
)
