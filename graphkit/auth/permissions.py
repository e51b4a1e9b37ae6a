"""What a token may do, and how that compares with what a recipe needs. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from graphkit.auth.claims import read_claims

TAKE_OVER = frozenset(
    {
        "AppRoleAssignment.ReadWrite.All",
        "Application.ReadWrite.All",
        "RoleAssignmentSchedule.ReadWrite.Directory",
        "RoleEligibilitySchedule.ReadWrite.Directory",
        "RoleManagement.ReadWrite.Directory",
    }
)
"""Permissions with which an app can give itself any other: whoever holds its credentials holds the tenant."""

_SIGN_IN_SCOPES = frozenset({"openid", "profile", "email", "offline_access"})

# "Higher privileged permissions" of the API pages named, in microsoftgraph/microsoft-graph-docs-contrib
# api-reference/v1.0/includes/permissions/<page>-permissions.md. Only what a page says: a permission wrongly
# believed to suffice ends in a refusal halfway through a run.
_ALSO_GRANTS: dict[str, tuple[str, ...]] = {
    "Directory.ReadWrite.All": (
        "Directory.Read.All",
        "Group.Create",  # group-post-groups
        "Team.Create",  # team-post
        "Channel.Create",  # channel-post
        "LicenseAssignment.ReadWrite.All",  # user-assignlicense
    ),
    "Directory.Read.All": (
        "User.Read.All",  # user-list
        "Group.Read.All",  # group-list
        "GroupMember.Read.All",  # group-list-members
        "Organization.Read.All",  # subscribedsku-list
        "LicenseAssignment.Read.All",  # subscribedsku-list
    ),
    "Organization.Read.All": ("LicenseAssignment.Read.All",),  # subscribedsku-list
    "Group.ReadWrite.All": (
        "Group.Create",  # group-post-groups
        "GroupMember.ReadWrite.All",  # group-post-members
        "Team.Create",  # team-post
        "Channel.Create",  # channel-post
    ),
    "Group.Read.All": ("GroupMember.Read.All",),  # group-list-members
    "GroupMember.Read.All": ("Group.ReadBasic.All",),  # group-list
    "TeamMember.ReadWrite.All": ("TeamMember.ReadWriteNonOwnerRole.All",),  # team-post-members
}


@dataclass(frozen=True, slots=True)
class Permissions:
    """A comparison, each list sorted. Nothing is missing or in excess where ``known`` is false: nobody could tell."""

    granted: tuple[str, ...]
    missing: tuple[str, ...]
    excess: tuple[str, ...]
    known: bool

    @property
    def take_over(self) -> tuple[str, ...]:
        """Those in excess with which the tenant could be taken over."""
        return tuple(name for name in self.excess if name in TAKE_OVER)


def granted(token: str) -> frozenset[str] | None:
    """The application (``roles``) and delegated (``scp``) permissions in a token; ``None`` if it cannot be read."""
    claims = read_claims(token)
    roles, scopes = claims.get("roles"), claims.get("scp")
    if roles is None and scopes is None:
        return None
    named = [str(role) for role in roles] if isinstance(roles, list) else []
    return frozenset(named) | frozenset(scopes.split() if isinstance(scopes, str) else ())


def is_delegated(token: str) -> bool | None:
    """Whether a token is that of a signed-in person rather than of an app; ``None`` if it cannot be read.

    ``scp`` is in theirs only (MicrosoftDocs/entra-docs docs/identity-platform/access-token-claims-reference.md).
    """
    claims = read_claims(token)
    return "scp" in claims if claims else None


def tenant_id(token: str) -> str:
    """The tenant that a token is for, or an empty string if it cannot be read."""
    return str(read_claims(token).get("tid") or "")


def compare(required: Iterable[str], granted: Iterable[str] | None) -> Permissions:
    """What is missing of ``required``, and what is in ``granted`` without being required.

    Wider permissions cover narrower ones and then count as excess: they do more than is needed.
    ``granted`` is ``None`` where it is unknown.
    """
    if granted is None:
        return Permissions((), (), (), known=False)
    have, need = frozenset(granted), frozenset(required)
    covered = _closure(have)
    return Permissions(
        granted=tuple(sorted(have)),
        missing=tuple(sorted(need - covered)),
        excess=tuple(sorted(have - need - _SIGN_IN_SCOPES)),
        known=True,
    )


def together(found: Sequence[Permissions]) -> Permissions:
    """Several identities that share the work: what one lacks is missing, what one has in excess is in excess."""
    if len(found) == 1 or not all(each.known for each in found):
        return found[0] if len(found) == 1 else Permissions((), (), (), known=False)
    return Permissions(
        granted=tuple(sorted(frozenset.intersection(*(frozenset(each.granted) for each in found)))),
        missing=tuple(sorted({name for each in found for name in each.missing})),
        excess=tuple(sorted({name for each in found for name in each.excess})),
        known=True,
    )


def names_of_assignments(assignments: Iterable[Mapping[str, Any]], graph: Mapping[str, Any]) -> frozenset[str]:
    """Permission names from ``GET /servicePrincipals/{app}/appRoleAssignments``.

    ``graph`` is the service principal of Microsoft Graph itself (appId 00000003-0000-0000-c000-000000000000) with
    its ``id`` and ``appRoles``; assignments to other resources are left out
    (microsoftgraph/microsoft-graph-docs-contrib api-reference/v1.0/resources/approleassignment.md).
    """
    names = {str(role["id"]): str(role["value"]) for role in graph.get("appRoles", ()) if role.get("value")}
    ids = (str(item["appRoleId"]) for item in assignments if item.get("resourceId") == graph.get("id"))
    return frozenset(names[role_id] for role_id in ids if role_id in names)


def _closure(have: frozenset[str]) -> frozenset[str]:
    covered: set[str] = set()
    waiting = list(have)
    while waiting:
        name = waiting.pop()
        if name not in covered:
            covered.add(name)
            waiting += _narrower(name)
    return frozenset(covered)


def _narrower(name: str) -> list[str]:
    """What ``name`` includes: writing includes reading, reading includes the basics, and what the pages say."""
    found = list(_ALSO_GRANTS.get(name, ()))
    parts = name.split(".")
    if "ReadWrite" in parts[1:]:
        found.append(".".join("Read" if part == "ReadWrite" else part for part in parts))
    if parts[1:] == ["Read", "All"]:
        found.append(f"{parts[0]}.ReadBasic.All")
    return found
