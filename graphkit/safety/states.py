"""Every state that a run passes through, as far as it matters to the emergency accounts. No I/O.

The plan's order gives the states. Whatever is planned is judged as if it were on: the ladder that begins with
report-only ends there. A policy that locked somebody out before the run did not do so through it; such a state may be
passed through, if the run ends with it mended.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from graphkit.engine.change import Action, Change
from graphkit.protocol.touch import Touch
from graphkit.safety.lockout import ON, Account, Finding, Policy, lock_outs

OFF = "disabled"
KIND = "conditionalAccessPolicy"


@dataclass(slots=True)
class State:
    """Policies by id (``new:<name>`` while they have none), accounts by id, and which named groups have a rule."""

    policies: dict[str, Policy]
    accounts: dict[str, Account]
    dynamic: frozenset[str] = frozenset()
    above: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def findings(self) -> dict[tuple[str, str], Finding]:
        named = {key: policy for key, policy in self.policies.items() if policy.get("state") == ON}
        found = lock_outs(named, self.accounts.values(), self.dynamic)
        return {
            (each.policy, each.account): each._replace(policy=shown(self.policies.get(each.policy, {}), each.policy))
            for each in found
        }

    def take(self, change: Change, touch: Touch) -> None:
        """One more step of the plan is done."""
        if change.kind == KIND:
            self._take_policy(change)
            return
        for key, account in list(self.accounts.items()):
            if key in touch.users or account.membership.groups & set(touch.groups):
                self.accounts[key] = self._after(account, touch, itself=key in touch.users)

    def _take_policy(self, change: Change) -> None:
        key = str((change.before or {}).get("id") or f"new:{change.key}")
        if change.action is Action.DELETE:
            self.policies.pop(key, None)
        else:
            self.policies[key] = as_if_on({**(change.after or {}), "displayName": change.key})

    def _after(self, account: Account, touch: Touch, *, itself: bool) -> Account:
        membership, roles = account.membership, account.roles
        for group in touch.groups:
            if touch.joins and itself:
                membership = membership.joined(group, self.above.get(group, ()))
            elif touch.leaves and (itself or not touch.users):
                membership = membership.left(group)
            elif touch.rule:
                membership = membership.ruled(group)
        if touch.roles and touch.joins and roles is not None:
            roles |= frozenset(touch.roles)
        enabled = account.enabled
        if itself:
            enabled = (touch.enabled if touch.enabled is not None else enabled) and touch.harm != "deletes"
        return replace(account, membership=membership, roles=roles, enabled=enabled)


def as_if_on(policy: Policy) -> dict[str, Any]:
    """Unless it is off: report-only is one step away from being enforced."""
    return {**policy, "state": OFF if policy.get("state") == OFF else ON}


def shown(policy: Policy, key: str) -> str:
    return str(policy.get("displayName") or key)


def walk(state: State, steps: Sequence[tuple[Change, Touch]], told: Collection[tuple[str, str]] = ()) -> Iterator[str]:
    """Whatever the run would bring about, or leave behind. ``told`` are (policy, account) that others report."""
    at_first = state.findings()
    reported = set(told)
    for change, touch in steps:
        state.take(change, touch)
        for key, finding in state.findings().items():
            if key not in at_first and key not in reported:
                reported.add(key)
                yield f"{finding} (after {change.action} {change.kind} {change.key})"
    for key, finding in state.findings().items():
        if key not in reported:
            yield str(finding)
