"""What changes in a group's membership reaches its team later.

"It may take 24 hours or more" for a change in a Microsoft 365 group to be brought over to its team
(learn.microsoft.com/microsoftteams/office-365-groups); here it is ``team_sync_s``. Changes of the team itself are
written to both at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphkit.sandbox.areas.team_members import drop
from graphkit.sandbox.memory.pending import work

if TYPE_CHECKING:
    from graphkit.sandbox.tenant import SimulatedTenant

_MINE = {"members": "teamMembers", "owners": "teamOwners"}
"""A group's links and those of its team."""


def noticed(tenant: SimulatedTenant, relation: str, source: str, target: str, present: bool) -> None:
    """A link was made or cut; if that leaves a team behind its group, it is put down to be brought over."""
    mine = _MINE.get(relation)
    if mine is None or source not in tenant.state.table("teams").objects:
        return
    behind = (target in tenant.state.linked(mine, source)) != present
    if behind and not tenant.pending.waiting("team-sync", source):
        tenant.later(tenant.clock.now() + tenant.team_sync_s, "team-sync", source)


def copy(tenant: SimulatedTenant, team_id: str) -> None:
    """Make the team's people those of its group. Only people: what else is a member never is one of a team."""
    state, users = tenant.state, tenant.state.table("users").objects
    people: dict[str, None] = {}
    for relation, mine in _MINE.items():
        wanted, present = state.linked(relation, team_id), state.linked(mine, team_id)
        people.update(wanted)
        for key in [key for key in wanted if key not in present and key in users]:
            state.link(mine, team_id, key)
        for key in [key for key in present if key not in wanted]:
            state.unlink(mine, team_id, key)
            if relation == "owners" and key not in people:
                drop(state, team_id, key)


@work("team-sync")
def bring_over(tenant: SimulatedTenant, now: float, arguments: Any) -> None:
    """Not while the group is deleted: the team that comes back with it is the one that left."""
    (team_id,) = arguments
    if tenant.state.get("groups", team_id) is not None:
        copy(tenant, team_id)
