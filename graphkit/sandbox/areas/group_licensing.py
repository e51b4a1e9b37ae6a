"""Licences by group: accepted at once, carried out later, user by user; what fails is recorded on the user.

api-reference/v1.0/api/group-assignlicense.md; MicrosoftDocs/entra-docs docs/fundamentals/
licensing-groups-resolve-problems.md and docs/identity/users/licensing-group-advanced.md. A user's groups are looked at
together whenever one of them changes, so that what one group no longer gives makes room for what another one does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from graphkit.sandbox.areas.direct_licensing import address_taken, read_assignment
from graphkit.sandbox.call import Call, Json, bad_request
from graphkit.sandbox.memory.pending import work
from graphkit.sandbox.rules.license_rules import (
    ACTIVE,
    active_skus,
    clash,
    clash_told,
    enabled_plans,
    lack_told,
    lacking,
    state_of,
    states_of,
)

if TYPE_CHECKING:
    from graphkit.sandbox.tenant import SimulatedTenant

_Key = tuple[str, str]
"""Group and SKU."""


# -- what a group is asked to give -------------------------------------------------------------------------------


def assign_to_group(call: Call, group: Json) -> Json:
    """Accepted with 202 and done later: there is no operation to poll, only ``licenseProcessingState``."""
    if not group.get("securityEnabled"):
        # licensing-group-advanced.md: security groups, and Microsoft 365 groups that are security-enabled. The words
        # are an assumption.
        raise bad_request("Licenses can only be assigned to security-enabled groups.")
    added, removed = read_assignment(call)
    licences = {licence["skuId"]: licence for licence in group.get("assignedLicenses") or []}
    for sku in removed:
        if licences.pop(sku, None) is None:
            raise bad_request(f"Group does not have a corresponding license: {sku}.")
    for sku, disabled in added.items():
        licences[sku] = {"skuId": sku, "disabledPlans": disabled}
    _check_group(licences.values())
    changed = {
        **group,
        "assignedLicenses": list(licences.values()),
        "licenseProcessingState": {"state": "QueuedForProcessing"},
    }
    call.tenant.state.put("groups", changed)
    call.tenant.later(call.now + call.tenant.licensing_s, "group-licensing", group["id"], None)
    return changed


def _check_group(licences: Any) -> None:
    """An add-on and its prerequisite must be in the same group ("Manage licenses for products with prerequisites")."""
    plans = enabled_plans([{**licence, "state": "Active"} for licence in licences])
    pair, missing = clash(plans), lacking(plans)
    if pair:
        raise bad_request(clash_told(pair))
    if missing:
        raise bad_request(lack_told(missing))


def membership_changed(tenant: SimulatedTenant, group: Json, members: list[str], now: float) -> None:
    """Members of a licensed group gain or lose its licences a little later."""
    if group.get("assignedLicenses"):
        tenant.later(now + tenant.licensing_s, "group-licensing", group["id"], members)


def members_in_error(tenant: SimulatedTenant, group_id: str) -> Iterator[str]:
    members = tenant.state.linked("members", group_id)
    return (key for key in tenant.licenses.failed.get(group_id, {}) if key in members)


# -- carrying it out ---------------------------------------------------------------------------------------------


@work("group-licensing")
def process_group(tenant: SimulatedTenant, now: float, arguments: Any) -> None:
    """Bring the users named (``None``: all who are or were concerned) in line with their groups' licences."""
    group_id, members = arguments
    if members is None:
        members = list({**tenant.state.linked("members", group_id), **tenant.licenses.heirs.get(group_id, {})})
    skus = tenant.licenses.skus()
    for member in members:
        user = tenant.state.get("users", member)  # whatever else is a member inherits nothing, nor do its members
        if user is not None:
            _Settling(tenant, user, now, skus).settle()
    group = tenant.state.get("groups", group_id)
    if group is None:
        return
    busy = tenant.pending.waiting("group-licensing", group_id)
    state = {"state": "ProcessingInProgress" if busy else "ProcessingComplete"}
    if group.get("licenseProcessingState") != state:
        tenant.state.put("groups", {**group, "licenseProcessingState": state})


class _Settling:
    """One user, and all that the groups they are in give them."""

    def __init__(self, tenant: SimulatedTenant, user: Json, now: float, skus: dict[str, Json]) -> None:
        self.tenant = tenant
        self.book = tenant.licenses
        self.user = user
        self.now = now
        self.skus = skus
        states = states_of(user)
        self.direct = [s for s in states if s["assignedByGroup"] is None]
        self.before: dict[_Key, Json] = {
            (s["assignedByGroup"], s["skuId"]): s for s in states if s["assignedByGroup"] is not None
        }
        self.held = active_skus(user)
        self.given = dict(self._given())

    def _given(self) -> Iterator[tuple[str, Sequence[Json]]]:
        groups = self.tenant.state.table("groups").objects
        for key in self.tenant.state.linked_back("members", self.user["id"]):
            licences = groups[key].get("assignedLicenses")
            if licences:
                yield key, licences

    def settle(self) -> None:
        standing = [key for key, licences in self.given.items() if self._stands(key, licences)]
        leaving = [s for s in self.before.values() if not self._is_given(s)]
        if len(standing) == len(self.given) and not leaving:
            return
        found = {key: [self.before[key, licence["skuId"]] for licence in self.given[key]] for key in standing}
        for key, licences in self.given.items():
            if key not in found:
                others = [*self.direct, *(state for states in found.values() for state in states)]
                found[key] = self._grant(key, licences, others)
        # In the order of the groups, however the licences came to be.
        states = [*self.direct, *(state for key in self.given for state in found[key])]
        states += self._kept(states, leaving)
        if states != states_of(self.user):
            self.book.put(self.user, states)

    def _stands(self, group_id: str, licences: Sequence[Json]) -> bool:
        """Whether the user has exactly what the group gives."""
        for licence in licences:
            state = self.before.get((group_id, licence["skuId"]))
            if state is None or state["state"] != "Active" or state["disabledPlans"] != licence["disabledPlans"]:
                return False
        return True

    def _is_given(self, state: Json) -> bool:
        return any(each["skuId"] == state["skuId"] for each in self.given.get(state["assignedByGroup"], ()))

    def _grant(self, group_id: str, licences: Sequence[Json], others: list[Json]) -> list[Json]:
        """All licences of a group or none: those that fail say why, the rest say Other."""
        wanted = [state_of(each["skuId"], group_id, each["disabledPlans"], self.now) for each in licences]
        errors = {state["skuId"]: self._error(state, [*others, *wanted]) for state in wanted}
        if not any(errors.values()):
            return [self._unless_same(state) for state in wanted]
        return [self._refused(state, errors[state["skuId"]] or "Other") for state in wanted]

    def _error(self, state: Json, together: list[Json]) -> str:
        sku, alone = self.skus[state["skuId"]], enabled_plans([state])
        if state["skuId"] not in self.held and self.book.seats_left(sku) < 1:
            return "CountViolation"
        if self.book.prohibits(sku, self.user.get("usageLocation") or self.book.country):
            return "ProhibitedInUsageLocationViolation"
        plans = enabled_plans(together)
        if not alone.isdisjoint(clash(plans) or ()):
            return "MutuallyExclusiveViolation"
        if not alone.isdisjoint(lacking(plans)):
            return "DependencyViolation"
        fresh = alone - enabled_plans(states_of(self.user))
        return "UniquenessViolation" if address_taken(self.tenant.state, self.user, fresh) else ""

    def _refused(self, state: Json, error: str) -> Json:
        """What was held already goes on as it was, and says that its change failed."""
        old = self.before.get((state["assignedByGroup"], state["skuId"]))
        if old is not None and old["state"] in ACTIVE:
            return self._unless_same({**state, "disabledPlans": old["disabledPlans"], **_held_back(error)})
        return self._unless_same({**state, "state": "Error", "error": error})

    def _kept(self, states: list[Json], leaving: list[Json]) -> list[Json]:
        """Nothing is taken away that something which stays depends on ("Missing dependent service plans")."""
        kept: list[Json] = []
        for group_id in dict.fromkeys(state["assignedByGroup"] for state in leaving):
            going = [s for s in leaving if s["assignedByGroup"] == group_id and s["state"] in ACTIVE]
            missing = lacking(enabled_plans(states)).keys() - lacking(enabled_plans([*states, *going])).keys()
            if missing:
                needed = set().union(*(lacking(enabled_plans(states))[name] for name in missing))
                kept += [self._unless_same({**s, **_held_back(_why(s, needed))}) for s in going]
        return kept

    def _unless_same(self, state: Json) -> Json:
        """The old state, with its old time, if nothing else differs."""
        old = self.before.get((state["assignedByGroup"], state["skuId"]))
        new = {**state, "lastUpdatedDateTime": state_of("", None, (), self.now)["lastUpdatedDateTime"]}
        same = old is not None and all(old[name] == new[name] for name in new if name != "lastUpdatedDateTime")
        return old if old is not None and same else new


def _held_back(error: str) -> Json:
    return {"state": "ActiveWithError", "error": error}


def _why(state: Json, needed: set[str]) -> str:
    return "Other" if enabled_plans([state]).isdisjoint(needed) else "DependencyViolation"
