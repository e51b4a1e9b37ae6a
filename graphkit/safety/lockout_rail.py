"""The lock-out proof over a plan: the union of what is there and what is planned, in every state on the way."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from graphkit.engine.change import Change
from graphkit.engine.resource import Context, PlanView
from graphkit.errors import AuthError, GraphkitError, Stopped
from graphkit.protocol.touch import Touch
from graphkit.resources.break_glass import not_excluded
from graphkit.safety.facts import Facts, Listed
from graphkit.safety.lockout import Account
from graphkit.safety.states import KIND, OFF, State, as_if_on, walk

REMEDY = "exclude it there by its id or by an assigned group first"
UNREAD = "what cannot be looked up counts as locked out"
DENIED = (
    "conditional access policies may not be read (Policy.Read.All): nothing proves that this plan locks no break-glass "
    "account out"
)


class LockOut:
    """Looks only where something is written that could matter: policies, their locations, and what makes an emergency
    account a member, a holder of a role, or usable at all."""

    def __init__(self, context: Context, facts: Facts) -> None:
        self._context = context
        self._facts = facts
        self._steps: list[tuple[Change, Touch]] = []
        self._unknown: dict[str, str] = {}
        self._warnings: list[str] = []

    async def judge(self, changes: Sequence[tuple[Change, Touch]]) -> Mapping[int, str]:
        if self._context.options.break_glass:
            for change, given in changes:
                touch = await self._facts.by_id(given) if matters(given) else given
                if touch.policy or (matters(touch) and await self._concerns(touch)):
                    self._steps.append((change, touch))
        return {}

    async def _concerns(self, touch: Touch) -> bool:
        accounts = await self._facts.accounts()
        self._unknown.update({each.name: each.why for each in accounts if each.why})
        return concerns(touch, accounts)

    def warnings(self) -> Iterable[str]:
        return self._warnings

    async def reasons(self, view: PlanView) -> Iterable[str]:
        if not (self._steps or self._unknown):
            return ()
        accounts = await self._facts.accounts()
        self._unknown.update({each.name: each.why for each in accounts if each.why})
        if view.wanted_count(KIND):  # the policies' own guard names those that were declared and are not known
            for each in await self._facts.declared():
                if each.why:
                    self._unknown.pop(each.name, None)
        unread = [f"break-glass {name}: {why}; {UNREAD}" for name, why in sorted(self._unknown.items())]
        policies = await self._facts.policies()
        if policies.denied and not view.wanted_count(KIND):
            self._warnings.append(DENIED)
            return unread
        if policies.why:
            return [*unread, f"conditional access policies could not be read: {policies.why}; {UNREAD}"]
        try:
            state = await self._state(view, policies, [each for each in accounts if not each.why])
        except (AuthError, Stopped):
            raise
        except GraphkitError as error:
            return [*unread, f"{error.message}; {UNREAD}"]
        found = walk(state, self._steps, await self._told(view, state))
        return [*unread, *(f"{reason}: {REMEDY}" for reason in found)]

    async def _state(self, view: PlanView, policies: Listed, accounts: Sequence[Account]) -> State:
        """What is there, a policy that is wished for as far as its ladder goes."""
        ladder = {item.key for item in view.wanted(KIND) if item.properties.get("state") != OFF}
        live = {
            str(each["id"]): as_if_on(each) if each.get("displayName") in ladder else each for each in policies.items
        }
        planned = [change.after or {} for change, _ in self._steps if change.kind == KIND]
        joined = {group for change, touch in self._steps if touch.joins for group in touch.groups}
        return State(
            policies=dict(live),
            accounts={each.id: each for each in accounts},
            dynamic=await self._facts.dynamic([*live.values(), *planned]),
            above={group: await self._facts.above(group) for group in sorted(joined)},
        )

    async def _told(self, view: PlanView, state: State) -> set[tuple[str, str]]:
        """A planned policy without the exclusions is named, with its remedy, by the policies' own guard."""
        declared = [each for each in await self._facts.declared() if not each.why]
        plain = {item.key for item in view.wanted(KIND) if not_excluded(item.properties, declared)}
        keys = {f"new:{key}" for key in plain}
        keys |= {key for key, policy in state.policies.items() if policy.get("displayName") in plain}
        return {(key, account.name) for key in keys for account in state.accounts.values()}


def matters(touch: Touch) -> bool:
    """Could it change what policies mean for somebody?"""
    return touch.joins or touch.leaves or touch.rule or touch.enabled is not None or touch.harm == "deletes"


def concerns(touch: Touch, accounts: Iterable[Account]) -> bool:
    """Is one of the accounts among those concerned, or in a group that is?"""
    for account in accounts:
        if account.id and account.id in touch.users:
            return True
        if account.membership.groups & set(touch.groups) and (touch.roles or not touch.users):
            return True
    return False
