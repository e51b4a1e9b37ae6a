"""Faults: rules that make single calls go wrong, the same way every time.

A rule is a plain JSON object; several make a scenario, and they add up. See ``docs/simulated-tenant.md`` for all keys::

    {"method": "PATCH", "path": "/groups/*", "nth": 2, "action": "throttle", "retry_after": "2.5"}

Which calls
===========  ========================================================================================================
``method``   one or a list; ``path`` a glob over the path without version and query (``/$batch`` is the batch itself,
             ``/oauth2/v2.0/token`` the login service's)
``workload`` a service of ``data/limits.txt``, or ``graph``, ``login`` or ``batch`` (the envelope); ``in_batch``: only
             items of a batch, or (false) none of them; ``app`` an application's id, or an opaque token's text
``from``     and ``until``: seconds since the rule was loaded, or times; outside, calls are not counted either
``nth``      1 = the first call that matches, a list, or ``from`` and ``every``; or ``probability``; or all
``times``    how often at most
``name``     for messages
===========  ========================================================================================================

What happens: outcomes, of which the first that is due strikes
======================  =============================================================================================
``answer``              nothing is executed; ``status`` (500), ``headers``, ``retry_after``, ``body`` or ``code`` and
                        ``message`` are told, or with ``failure`` (timeout, reset) nothing; ``aadsts`` for logins
``throttle``            the same with 429 and no ``Retry-After`` unless ``retry_after`` has one
``reset`` ``refuse``    and ``goaway`` ``html``, of the wire (``doors/mishaps.py``): nothing is executed
``commit-then``         the call is executed and committed, then told as by ``answer`` (503); of ``/$batch`` ``items``
``answer-then-commit``  told as by ``answer`` (504), and executed ``after`` seconds (5)
``kill``                the process dies at once: ``when`` ``before`` the call, ``after`` the commit (default), or
                        ``answered``: as soon as the caller has the answer
``challenge``           401 with a claims challenge until the app comes with a newer token
``forbid``              403 for ``seconds`` (60) from the first call on
======================  =============================================================================================

and changes to calls that are executed, which all add up
======================  =============================================================================================
``delay``               the answer, whatever it is, comes ``seconds`` (1) later
``alter``               the answer with another ``status``, ``headers`` (null drops one), ``retry_after``, ``body``,
                        ``code``, ``message``, or a JSON ``merge`` patch; ``if_status``: only if that is its status
``lag``                 what was made or changed arrives ``seconds`` (60) late at ``replicas`` (2 of 3); ``mode``
                        ``alternate``: seen, unseen, seen
``batch``               ``mode`` reorder (``order``), drop, repeat, number-id, no-id, case, extra, text-status,
                        no-headers, no-body, or fail (with what ``answer`` has; ``executed``); ``items`` says which
``page``                ``mode`` loop, cycle (``length``), empty, repeat, foreign (``link``), truncate, count (``by``),
                        or expire, an outcome: the page token is too old (``status``, ``code``, ``message``)
``truncate`` ``drip``   and ``bomb`` ``gzip``, of the wire: what becomes of the answer's body
``concurrency``         a write within ``ms`` of another to the same object is refused with 409
======================  =============================================================================================
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from graphkit.sandbox.call import Call, Json, Mishap, Reply
from graphkit.sandbox.doors import mishaps
from graphkit.sandbox.faults import batches, conflicts, identity, late, pages, replicas, wire  # noqa: F401 - they register
from graphkit.sandbox.faults.actions import ACTIONS, Struck, Told
from graphkit.sandbox.faults.checks import check_keys, where
from graphkit.sandbox.faults.outcomes import die
from graphkit.sandbox.faults.rules import Asked, Rule, shown

if TYPE_CHECKING:
    from graphkit.sandbox.tenant import SimulatedTenant

__all__ = ["ACTIONS", "NOTHING", "Asked", "Faults", "Foreseen", "Rule", "Strikes", "check_rule", "die"]


def check_rule(spec: Any, number: int = 1) -> Json:
    """Raises ``ValueError`` with the reason, naming the rule, for what is not one."""
    rule = where(spec, number)
    if not isinstance(spec, dict):
        raise ValueError(f"{rule} is a JSON object, not {shown(spec)}")
    known = ACTIONS.get(spec["action"]) if isinstance(spec.get("action"), str) else None
    if known is None:
        raise ValueError(f"{rule} needs an action, one of {', '.join(sorted(ACTIONS))}")
    check_keys(spec, dict(known.keys), known.required, rule)
    try:
        known.check(spec)
    except ValueError as error:
        raise ValueError(f"{rule}: {error}") from None
    return spec


class Strikes:
    """The rules that strike one call, on its way through the tenant."""

    __slots__ = ("_changes", "_outcome")

    def __init__(self, outcome: Struck | None = None, changes: tuple[Struck, ...] = ()) -> None:
        self._outcome = outcome
        self._changes = changes

    def __bool__(self) -> bool:
        return self._outcome is not None or bool(self._changes)

    def __iter__(self) -> Iterator[Struck]:
        if self._outcome is not None:
            yield self._outcome
        yield from self._changes

    @property
    def early(self) -> Mishap | None:
        """What happens before the body of the request is read."""
        spec = self._outcome.spec if self._outcome is not None else None
        mishap = mishaps.mishap_of(spec) if spec and spec["action"] in mishaps.WIRE_ACTIONS else None
        return mishap if mishap and mishap.early else None

    def before(self) -> Reply | None:
        """What is told instead of executing the call."""
        return self._outcome.action.before(self._outcome) if self._outcome is not None else None

    def at_the_door(self, call: Call) -> Reply | None:
        """The same, once the call is found, permitted and charged. Raises ``Refusal``."""
        for struck in self:
            told = struck.action.at_the_door(struck, call)
            if told is not None:
                return told
        return None

    def executed(self, call: Call, reply: Reply) -> None:
        """A call was executed and is not committed yet."""
        for struck in self:
            struck.action.executed(struck, call, reply)

    def told(self, status: int) -> Told:
        """What the log says that the caller is told."""
        told: Told = status, False
        for struck in self:
            told = struck.action.told(struck, told[0]) or told
        return told

    def after(self, reply: Reply, *, refused: bool = False) -> Reply:
        """What is told once the call has been executed."""
        for struck in self:
            reply = struck.action.after(struck, reply, refused)
        return reply

    def delayed(self, reply: Reply) -> Reply:
        """What is told of a call that was not executed."""
        for struck in self._changes:
            if struck.action.always:
                reply = struck.action.after(struck, reply, True)
        return reply

    # -- batches -------------------------------------------------------------------------------------------------

    @property
    def items(self) -> int | None:
        """How many items of a batch are executed at all; ``None`` for all."""
        return self._outcome.spec.get("items") if self._outcome is not None else None

    def instead(self, requests: list[Json]) -> dict[str, Reply]:
        """Items of a batch that are told something else and not executed, by id."""
        found: dict[str, Reply] = {}
        for struck in self._changes:
            if isinstance(struck.action, batches.BatchAction):
                found |= dict(struck.action.instead(struck, requests))
        return found

    def fates(self, requests: list[Json]) -> dict[str, Told]:
        """What the log says of items of a batch that are executed and told otherwise, by id."""
        whole = self._outcome.action.told(self._outcome, 200) if self._outcome is not None else None
        if whole is not None:
            return {str(request["id"]): whole for request in requests}
        found: dict[str, Told] = {}
        for struck in self._changes:
            if isinstance(struck.action, batches.BatchAction):
                found |= struck.action.fates(struck, requests)
        return found


NOTHING = Strikes()


@dataclass(frozen=True)
class Foreseen:
    """What strikes a request of which only the head is known, if it was asked for then."""

    strikes: Strikes = NOTHING
    asked: Asked | None = None

    @property
    def early(self) -> Mishap | None:
        """What happens before the body is read."""
        return self.strikes.early


def _early(rule: Rule) -> bool:
    return rule.spec["action"] in mishaps.WIRE_ACTIONS and mishaps.mishap_of(rule.spec).early


class Faults:
    """The rules in force, in order. Counts and memories live in the state file."""

    def __init__(self, tenant: SimulatedTenant, seed: int) -> None:
        self._tenant = tenant
        self._state = tenant.state
        self._seed = seed
        self.rules: list[Rule] = []

    def load(self) -> None:
        if self._state.file is not None:
            rows = self._state.file.execute("SELECT rule, matched, fired FROM faults ORDER BY position")
            self.rules = [Rule.read(*row) for row in rows]

    def add(self, spec: Json) -> None:
        """Add one rule. Raises ``ValueError``."""
        self.extend([spec])

    def extend(self, specs: Iterable[Json]) -> None:
        """Add several, all or none. Raises ``ValueError``, which names the rule by its place."""
        try:
            now = self._tenant.clock.now()
        except RuntimeError:  # virtual time stands still outside its loop
            now = None
        self.rules += [Rule(check_rule(spec, number), now) for number, spec in enumerate(specs, 1)]
        self._store()

    def clear(self) -> None:
        self.rules.clear()
        self._store()

    def foresee(self, asked: Asked) -> Foreseen:
        """What strikes a call before its body is read; if nothing can, the rules are asked when it is."""
        asked.incoming.connected = True
        return Foreseen(self.match(asked), asked) if any(_early(rule) for rule in self.rules) else Foreseen()

    def refuses_connection(self) -> bool:
        """Count a connection, for a way in that has some."""
        counting = [(place, rule) for place, rule in enumerate(self.rules) if mishaps.counts_connections(rule.spec)]
        for _, rule in counting:
            rule.matched += 1
        struck = next((rule for place, rule in counting if rule.due(f"{self._seed}/{place}")), None)
        if struck is not None:
            struck.fired += 1
        self.save([rule for _, rule in counting])
        return struck is not None

    def match(self, asked: Asked) -> Strikes:
        """Count a call against every rule that fits; those that strike it."""
        foreseen = asked.incoming.foreseen
        if foreseen is not None and foreseen.asked is not None:
            foreseen.asked.incoming = asked.incoming  # with its body, by now
            return foreseen.strikes
        fitting = [(place, rule) for place, rule in enumerate(self.rules) if self._fits(rule, asked)]
        if not fitting:
            return NOTHING
        outcome: Struck | None = None
        changes: list[Struck] = []
        for place, rule in fitting:
            rule.matched += 1
            kind = ACTIONS[rule.spec["action"]]
            ends = kind.is_outcome(rule.spec)
            if ends and outcome is not None:
                continue
            seed = f"{self._seed}/{place}"
            if kind.applies(rule, asked, rule.due(seed)):
                struck = Struck(self, rule, asked, f"{seed}/{rule.matched}")
                if ends:
                    rule.fired += 1
                    outcome = struck
                else:
                    changes.append(struck)
        self.save([rule for _, rule in fitting])  # at once: a kill must not forget that it has struck
        return Strikes(outcome, tuple(changes))

    @staticmethod
    def _fits(rule: Rule, asked: Asked) -> bool:
        return rule.fits(asked) and ACTIONS[rule.spec["action"]].fits(rule.spec, asked)

    # -- the state file ------------------------------------------------------------------------------------------

    def save(self, rules: Iterable[Rule]) -> None:
        """Keep the counts and memories of some."""
        if self._state.file is None:
            return
        places = {id(rule): place for place, rule in enumerate(self.rules)}
        self._state.file.executemany(
            "UPDATE faults SET rule = ?, matched = ?, fired = ? WHERE position = ?",
            [(rule.stored(), rule.matched, rule.fired, places[id(rule)]) for rule in rules],
        )

    def _store(self) -> None:
        if self._state.file is None:
            return
        self._state.file.execute("DELETE FROM faults")
        self._state.file.executemany(
            "INSERT INTO faults VALUES (?, ?, ?, ?)",
            [(place, rule.stored(), rule.matched, rule.fired) for place, rule in enumerate(self.rules)],
        )
