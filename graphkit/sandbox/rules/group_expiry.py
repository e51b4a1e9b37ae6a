"""When a Microsoft 365 group expires: the lifecycle policy of the tenant (resources/grouplifecyclepolicy.md)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from graphkit.sandbox.call import Json
from graphkit.sandbox.memory.state import State


def lifecycle_policy(state: State) -> Json | None:
    return next(iter(state.table("groupLifecyclePolicies").objects.values()), None)


def is_managed(state: State, group: Json, policy: Json | None) -> bool:
    """Whether a lifecycle policy is for this group: for Microsoft 365 groups only, all or those that were added."""
    if policy is None or "Unified" not in (group.get("groupTypes") or []):
        return False
    kinds = policy["managedGroupTypes"]
    return kinds == "All" or (kinds == "Selected" and group["id"] in state.linked("lifecycleGroups", policy["id"]))


def expires(state: State, group: Json) -> str | None:
    """``expirationDateTime``: the last renewal and the policy's days. Nothing is deleted here when that time comes."""
    policy = lifecycle_policy(state)
    if policy is None or not is_managed(state, group, policy) or not group.get("renewedDateTime"):
        return None
    renewed = datetime.strptime(group["renewedDateTime"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    return (renewed + timedelta(days=policy["groupLifetimeInDays"])).strftime("%Y-%m-%dT%H:%M:%SZ")
