"""What service plans ask of each other, so that a plan is stopped before the service stops it. Pure, and offline.

Sources: https://learn.microsoft.com/entra/identity/users/licensing-service-plan-reference, "Service plans that cannot
be assigned at the same time" (October 2025), and https://learn.microsoft.com/entra/fundamentals/
licensing-groups-resolve-problems. Neither is complete: what they do not name is left to the service to refuse.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache

ONE_OF: tuple[frozenset[str], ...] = (
    frozenset(
        {
            "CRMPLAN1",
            "CRMPLAN2",
            "CRMSTANDARD",
            "DYN365_ENTERPRISE_P1_IW",
            "DYN365_ENTERPRISE_SALES",
            "DYN365_ENTERPRISE_TEAM_MEMBERS",
            "EMPLOYEE_SELF_SERVICE",
        }
    ),
    frozenset({"INTUNE_A", "INTUNE_A_VL", "INTUNE_B"}),
    frozenset({"MCOPSTN1", "MCOPSTN2", "MCOPSTN5"}),
    frozenset({"RMS_S_ENTERPRISE", "RMS_S_ENTERPRISE_GOV"}),
    frozenset(
        {
            "ONEDRIVEENTERPRISE",
            "SHAREPOINTDESKLESS",
            "SHAREPOINTENTERPRISE",
            "SHAREPOINTENTERPRISE_EDU",
            "SHAREPOINTENTERPRISE_MIDMARKET",
            "SHAREPOINTLITE",
            "SHAREPOINTSTANDARD",
            "SHAREPOINTSTANDARD_EDU",
            "SHAREPOINTSTANDARD_YAMMERSHADOW",
            "SHAREPOINT_S_DEVELOPER",
        }
    ),
    frozenset({"YAMMER_EDU", "YAMMER_ENTERPRISE", "YAMMER_MIDSIZE"}),
)
"""Families of which one user has one. Left out are those of Exchange and Skype: Exchange plans have been assigned
together since January 2023 (techcommunity.microsoft.com, "Introducing Support for Concurrent Exchange Online License
Assignments"), and products that carry MCOIMP are sold to be held with others that carry MCOSTANDARD."""

TOGETHER = (frozenset({"SHAREPOINTENTERPRISE", "SHAREPOINTSTANDARD"}),)
"""Pairs of a family that the same page merely does not recommend."""

_CALLS = frozenset({"MCOIMP", "MCOSTANDARD"})
NEEDS_ONE_OF: Mapping[str, frozenset[str]] = {
    "MCOMEETADV": _CALLS,
    "WORKPLACE_ANALYTICS": frozenset({"EXCHANGE_S_ENTERPRISE", "EXCHANGE_S_STANDARD"}),
    # Sold as add-ons to these (https://learn.microsoft.com/microsoftteams/teams-add-on-licensing); that the directory
    # insists on them is an assumption.
    "MCOEV": _CALLS,
    "MCOPSTN1": frozenset({"MCOEV"}),
    "MCOPSTN2": frozenset({"MCOEV"}),
}
"""A plan, and those of which one must be on with it."""

MAILBOX = frozenset(
    {
        "EXCHANGE_B_STANDARD",
        "EXCHANGE_S_DESKLESS",
        "EXCHANGE_S_ENTERPRISE",
        "EXCHANGE_S_ESSENTIALS",
        "EXCHANGE_S_STANDARD",
    }
)
"""Plans that come with a mailbox."""


def clashes(plans: Iterable[str]) -> list[tuple[str, str]]:
    """Pairs that one user cannot have on at the same time, sorted. Names in capitals or not."""
    on = {plan.upper(): plan for plan in plans}
    found = []
    for family in ONE_OF:
        names = sorted(family & on.keys())
        for place, first in enumerate(names):
            found += [(on[first], on[second]) for second in names[place + 1 :] if {first, second} not in TOGETHER]
    return found


def lacking(plans: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Plans without any of those that they need, and what those would be."""
    on = {plan.upper(): plan for plan in plans}
    return {
        on[name]: tuple(sorted(needed))
        for name, needed in NEEDS_ONE_OF.items()
        if name in on and needed.isdisjoint(on.keys())
    }


def obstacle(before: Iterable[str], after: Iterable[str], alone: Iterable[str] | None = None) -> str:
    """Why a user with the plans ``before`` cannot have those of ``after``; empty if nothing is known against it.

    What was wrong before is no news. With ``alone``, only what these plans take part in counts.
    """
    return _obstacle(frozenset(before), frozenset(after), None if alone is None else frozenset(alone))


@lru_cache(maxsize=1024)  # a plan for a million people knows but a few sets of licences
def _obstacle(was: frozenset[str], will: frozenset[str], mine: frozenset[str] | None) -> str:
    known = set(clashes(was))
    for pair in clashes(will):
        if pair not in known and (mine is None or not mine.isdisjoint(pair)):
            return f"{pair[0]} and {pair[1]} cannot be held together (MutuallyExclusiveViolation)"
    lacked = lacking(was)
    for name, needed in lacking(will).items():
        if name not in lacked and (mine is None or name in mine):
            return f"{name} needs {' or '.join(needed)} with it (DependencyViolation)"
    return ""
