"""What rules do: the frame of an action, and where actions are registered."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from graphkit.sandbox.call import Call, Json, Reply
from graphkit.sandbox.faults.checks import Kind
from graphkit.sandbox.faults.rules import Asked, Rule, dice

if TYPE_CHECKING:
    from graphkit.sandbox.faults import Faults

Told = tuple[int, bool]
"""What the log says of a call: the status that the caller was told (0: nothing), and whether a fault put it there."""


class Struck:
    """A rule that spoils a call."""

    __slots__ = ("_faults", "_seed", "asked", "rule")

    def __init__(self, faults: Faults, rule: Rule, asked: Asked, seed: str) -> None:
        self._faults = faults
        self._seed = seed
        self.rule = rule
        self.asked = asked

    @property
    def spec(self) -> Json:
        return self.rule.spec

    @property
    def action(self) -> Action:
        return ACTIONS[self.rule.spec["action"]]

    def dice(self) -> random.Random:
        """Dice that fall the same way whenever this rule strikes this call."""
        return dice(self._seed)

    def hit(self) -> None:
        """Count a change to a call that was executed."""
        self.rule.fired += 1
        self._faults.save([self.rule])


class Action:
    """``keys`` are its own, ``required`` those that it cannot do without.

    Of the actions that are an outcome the first that is due strikes. The others add up: each changes something of a
    call that is executed (with ``always``: of its answer, whatever that is), and is counted when it has.
    """

    keys: dict[str, Kind] = {}  # noqa: RUF012 - replaced, never changed
    required: tuple[str, ...] = ()
    outcome = True
    always = False

    def check(self, spec: Json) -> None:
        """Raises ``ValueError`` for keys that do not go together."""

    def is_outcome(self, spec: Json) -> bool:
        return self.outcome

    def fits(self, spec: Json, asked: Asked) -> bool:
        return True

    def applies(self, rule: Rule, asked: Asked, due: bool) -> bool:
        """Whether it strikes this call, which is ``due`` or not by ``nth``, ``probability`` and ``times``."""
        return due

    def before(self, struck: Struck) -> Reply | None:
        """What is told instead of executing the call."""
        return None

    def at_the_door(self, struck: Struck, call: Call) -> Reply | None:
        """The same, once the call was found, permitted and charged. May raise :class:`Refusal`."""
        return None

    def executed(self, struck: Struck, call: Call, reply: Reply) -> None:
        """The write is made and not yet committed."""

    def told(self, struck: Struck, status: int) -> Told | None:
        """What the log says, if that is not ``status``."""
        return None

    def after(self, struck: Struck, reply: Reply, refused: bool) -> Reply:
        """What is told once the call was executed and committed, or was ``refused`` by the service itself."""
        return reply


ACTIONS: dict[str, Action] = {}


A = TypeVar("A", bound=type[Action])


def action(name: str, keys: dict[str, Kind] | None = None, required: tuple[str, ...] = ()) -> Callable[[A], A]:
    """Register an action with its keys."""

    def register(kind: A) -> A:
        kind.keys = keys or {}
        kind.required = required
        ACTIONS[name] = kind()
        return kind

    return register
