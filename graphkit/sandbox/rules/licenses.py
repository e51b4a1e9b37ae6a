"""The book of licences: who holds what, the seats taken, and the errors that groups left on their members.

Everything that changes somebody's licences goes through :meth:`LicenseBook.put`, so that nothing has to be counted
over all users.
"""

from __future__ import annotations

from collections import Counter

from graphkit.sandbox.call import Json
from graphkit.sandbox.memory.state import State
from graphkit.sandbox.rules.license_rules import active_skus, states_of
from graphkit.sandbox.seeding.seed import Seed

_ByGroup = dict[str, dict[str, None]]


def capability_status(units: Json) -> str:
    """resources/subscribedsku.md: Enabled if at least one unit is; the order of the others is an assumption."""
    for name in ("enabled", "warning", "suspended", "lockedOut"):
        if units[name]:
            return name[0].upper() + name[1:]
    return "Deleted"


class LicenseBook:
    """``heirs`` are the users who hold anything of a group's, ``failed`` those with whom something went wrong."""

    def __init__(self, state: State, seed: Seed) -> None:
        self._state = state
        self.heirs: _ByGroup = {}
        self.failed: _ByGroup = {}
        self.consumed: Counter[str] = Counter({held["skuId"]: seed.staff.licensed for held in seed.staff.held})
        self._prohibited = {(sku, place) for sku, places in seed.prohibited.items() for place in places}
        self._tenant_id = seed.tenant_id
        self._open(seed)

    def _open(self, seed: Seed) -> None:
        """Counted once: what the seed says, corrected by what has changed since."""
        users = self._state.table("users")
        for key in users.held():
            position = seed.staff.position(key)
            if position is not None:
                self.consumed.subtract(active_skus(seed.staff.at(position)))
            user = users.objects.get(key, {})
            self.consumed.update(active_skus(user))
            _note(self.heirs, key, frozenset(), _givers(user))
            _note(self.failed, key, frozenset(), _failing(user))

    def skus(self) -> dict[str, Json]:
        return {sku["skuId"]: sku for sku in self._state.table("subscribedSkus").objects.values()}

    def seats_left(self, sku: Json) -> int:
        """Units in their grace period can be assigned, suspended ones cannot (resources/licenseunitsdetail.md)."""
        units = sku["prepaidUnits"]
        return int(units["enabled"]) + int(units["warning"]) - self.consumed[sku["skuId"]]

    @property
    def country(self) -> str:
        """Where a user without a location of their own is taken to be (licensing-groups-resolve-problems.md)."""
        return str(self._state.table("organization").objects[self._tenant_id]["countryLetterCode"])

    def prohibits(self, sku: Json, location: str) -> bool:
        return (sku["skuPartNumber"], location) in self._prohibited

    def put(self, user: Json, states: list[Json]) -> Json:
        """Give a user a new list of assignment states."""
        changed = {**user, "licenseAssignmentStates": states}
        self._count(user, changed)
        self._state.put("users", changed)
        self._note_all(user, changed)
        return changed

    def release(self, user: Json) -> None:
        """A user goes, and all seats with them."""
        self._count(user, {})
        self._note_all(user, {"id": user["id"]})

    def _count(self, before: Json, after: Json) -> None:
        held, holds = active_skus(before), active_skus(after)
        if held != holds:
            self.consumed.update(holds - held)
            self.consumed.subtract(held - holds)

    def _note_all(self, before: Json, after: Json) -> None:
        _note(self.heirs, after["id"], _givers(before), _givers(after))
        for group_id in _note(self.failed, after["id"], _failing(before), _failing(after)):
            self._mark(group_id)

    def _mark(self, group_id: str) -> None:
        """A group says whether anything went wrong with any member."""
        group, failed = self._state.get("groups", group_id), bool(self.failed.get(group_id))
        if group is not None and bool(group.get("hasMembersWithLicenseErrors")) != failed:
            self._state.put("groups", {**group, "hasMembersWithLicenseErrors": failed})


def inherited(user: Json) -> list[Json]:
    return [state for state in states_of(user) if state["assignedByGroup"] is not None]


def _givers(user: Json) -> frozenset[str]:
    return frozenset(state["assignedByGroup"] for state in inherited(user))


def _failing(user: Json) -> frozenset[str]:
    return frozenset(state["assignedByGroup"] for state in inherited(user) if state["state"] != "Active")


def _note(book: _ByGroup, user_id: str, before: frozenset[str], after: frozenset[str]) -> frozenset[str]:
    """Write a user down under the groups of ``after`` instead of those of ``before``; which groups that concerns."""
    for group_id in before - after:
        book.get(group_id, {}).pop(user_id, None)
    for group_id in after - before:
        book.setdefault(group_id, {})[user_id] = None
    return before ^ after
