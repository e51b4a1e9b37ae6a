"""Dynamic groups: members by rule, a while after the rule or a person has changed.

MicrosoftDocs/entra-docs docs/identity/users/groups-dynamic-membership.md. A rule that cannot be followed leaves the
members as they are and says so in ``membershipRuleProcessingStatus`` (beta).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from graphkit.sandbox.areas import licensing
from graphkit.sandbox.areas.group_rules import is_dynamic
from graphkit.sandbox.call import Json, Refusal
from graphkit.sandbox.ids import instant
from graphkit.sandbox.memory.pending import work
from graphkit.sandbox.rules.membership_rules import Rule, parse_rule
from graphkit.sandbox.seeding.skus import PLANS

if TYPE_CHECKING:
    from graphkit.sandbox.tenant import SimulatedTenant

FAILED = "Membership updates could not be evaluated: unsupported property."  # as a lab tenant said it in 2026


def rule_changed(tenant: SimulatedTenant, group_id: str, now: float) -> None:
    """The group's rule, or whether it is followed, is new: everybody is looked at, once."""
    tenant.later(now + tenant.dynamic_s, "dynamic-group", group_id)


def people_changed(tenant: SimulatedTenant, now: float) -> None:
    """Whoever is about to be stored anew is looked at again, by every rule."""
    for kind in ("users", "devices"):
        touched = [key for touched_kind, key in tenant.state.touched if touched_kind == kind]
        if touched and any(_followed(tenant)):
            tenant.later(now + tenant.dynamic_s, "dynamic-people", touched, kind)


@work("dynamic-group")
def evaluate_group(tenant: SimulatedTenant, now: float, arguments: Any) -> None:
    group = tenant.state.get("groups", arguments[0])
    rule = _rule(tenant, group) if group else None
    if group is None or rule is None:
        return
    present = tenant.state.linked("members", group["id"])
    matched = dict.fromkeys(
        each["id"] for each in tenant.state.table(f"{rule.about}s").in_order() if each and _fits(tenant, rule, each)
    )
    leaving = [key for key in present if key not in matched]
    _change(tenant, group, now, [key for key in matched if key not in present], leaving)


@work("dynamic-people")
def evaluate_people(tenant: SimulatedTenant, now: float, arguments: Any) -> None:
    kind = arguments[1] if len(arguments) > 1 else "users"
    users = [user for key in arguments[0] if (user := tenant.state.get(kind, key))]
    for group in list(_followed(tenant)):
        rule = _rule(tenant, group)
        if rule is None or f"{rule.about}s" != kind:
            continue
        present = tenant.state.linked("members", group["id"])
        fits = {user["id"]: _fits(tenant, rule, user) for user in users}
        joining = [key for key, fitting in fits.items() if fitting and key not in present]
        leaving = [key for key, fitting in fits.items() if not fitting and key in present]
        _change(tenant, group, now, joining, leaving)


def _followed(tenant: SimulatedTenant) -> Iterator[Json]:
    groups = tenant.state.table("groups")
    for key in groups.indexes["membershipRuleProcessingState"].get("on", ()):
        if is_dynamic(groups.objects[key]):
            yield groups.objects[key]


def _rule(tenant: SimulatedTenant, group: Json) -> Rule | None:
    """The rule that a group follows; ``None`` if it follows none, or cannot."""
    if not is_dynamic(group) or group.get("membershipRuleProcessingState") != "On":
        return None
    try:
        return parse_rule(group["membershipRule"])
    except Refusal:
        _tell(tenant, group, {"status": "Failed", "errorMessage": FAILED})
        return None


def _fits(tenant: SimulatedTenant, rule: Rule, user: Json) -> bool:
    return rule.test({**user, "assignedPlans": list(_plans(tenant, user))} if rule.needs_plans else user)


def _plans(tenant: SimulatedTenant, user: Json) -> Iterator[Json]:
    skus = licensing.sku_table(tenant)
    for licence in licensing.assigned_licenses(None, user):
        for plan in skus[licence["skuId"]]["servicePlans"]:
            if plan["servicePlanId"] not in licence["disabledPlans"]:
                service = PLANS[plan["servicePlanName"]].service
                yield {"capabilityStatus": "Enabled", "service": service, "servicePlanId": plan["servicePlanId"]}


def _change(tenant: SimulatedTenant, group: Json, now: float, joining: list[str], leaving: list[str]) -> None:
    for key in joining:
        tenant.state.link("members", group["id"], key)
    for key in leaving:
        tenant.state.unlink("members", group["id"], key)
    status: Json = {"status": "Succeeded", "errorMessage": None}
    if joining or leaving:
        status["lastMembershipUpdated"] = instant(now)
        licensing.membership_changed(tenant, group, joining + leaving, now)
    _tell(tenant, group, status)


def _tell(tenant: SimulatedTenant, group: Json, status: Json) -> None:
    known = group.get("membershipRuleProcessingStatus") or {}
    if known != {**known, **status}:
        tenant.state.put("groups", {**group, "membershipRuleProcessingStatus": {**known, **status}})
