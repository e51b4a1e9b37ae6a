"""``challenge`` and ``forbid``: refusals that last until something has changed."""

from __future__ import annotations

import hashlib

from graphkit.sandbox.call import Json, Reply
from graphkit.sandbox.faults import checks
from graphkit.sandbox.faults.actions import Action, Struck, action
from graphkit.sandbox.faults.rules import Asked, Rule
from graphkit.sandbox.faults.telling import refuse, tell, telling
from graphkit.sandbox.login.bearer import challenge, issued_at


@action("challenge")
class ChallengeAction(Action):
    """401 with a claims challenge, to an app's tokens of before, until it comes with a newer one.

    A rule without ``nth`` or ``probability`` challenges each app once. With probability 1 no token will ever do.
    """

    def fits(self, spec: Json, asked: Asked) -> bool:
        return not asked.login

    def applies(self, rule: Rule, asked: Asked, due: bool) -> bool:
        known: Json | None = rule.memory.get(asked.app)
        token = _token(asked)
        if due and (known is None or rule.selective):
            known = rule.memory.setdefault(asked.app, {"since": 0, "tokens": []})
            known["since"] = int(asked.now)
            known["tokens"] = [*known["tokens"], token][-64:]
        if known is None:
            return False
        issued = issued_at(asked.incoming.headers.get("authorization", ""))
        return token in known["tokens"] or (issued is not None and issued < known["since"])

    def before(self, struck: Struck) -> Reply | None:
        since = struck.rule.memory[struck.asked.app]["since"]
        return refuse(struck, challenge(since))


def _token(asked: Asked) -> str:
    return hashlib.sha256(asked.incoming.headers.get("authorization", "").encode()).hexdigest()[:16]


@action("forbid", {"seconds": checks.SECONDS, **telling("code", "message", "headers")})
class ForbidAction(Action):
    """403 from the first call that it strikes on, for ``seconds``: a permission that is on its way."""

    def applies(self, rule: Rule, asked: Asked, due: bool) -> bool:
        since = rule.memory.get("since")
        if due and (since is None or rule.selective):
            since = rule.memory["since"] = asked.now
        return since is not None and asked.now < since + float(rule.spec.get("seconds", 60))

    def before(self, struck: Struck) -> Reply | None:
        return tell(struck, 403)
