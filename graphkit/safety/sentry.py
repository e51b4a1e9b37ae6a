"""The rails again, just before each write leaves: the tenant may have changed since the plan was made.

What is judged here is the request itself, not what a plan says of it. Writes that could matter to emergency accounts
go one at a time, each against what was read shortly before and what this process has written since.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any

import msgspec

from graphkit.engine.change import Action, Change
from graphkit.engine.resource import Context
from graphkit.errors import Blocked
from graphkit.protocol.message import Request, Response
from graphkit.protocol.odata import path as path_of
from graphkit.protocol.touch import NOBODY, POLICIES, Touch, segments, touch_of
from graphkit.safety.facts import Facts
from graphkit.safety.lockout_rail import REMEDY, UNREAD, concerns, matters
from graphkit.safety.protection import Protection
from graphkit.safety.states import KIND, State

STALE_S = 15.0
"""How old what was read may be. The service admits one request a second for conditional access in all."""
HINT = "the tenant has changed since the plan was made: see to what is named, then graphkit resume, or plan again"
Send = Callable[[Request], Awaitable[Response]]


class Sentry:
    """Stands at the guard of the transport while a run is applied. Raises ``Blocked``; then nothing was sent.

    ``mended`` are the ids of policies that the run itself is going to change: what they do until then is not its work.
    """

    def __init__(self, context: Context, mended: Collection[str] = ()) -> None:
        self._options = context.options
        self._facts = Facts(context, max_age=STALE_S)
        self._protection = Protection(context, self._facts)
        self._mended = frozenset(key.lower() for key in mended)
        self._own: dict[str, Mapping[str, Any]] = {}
        self._turn = asyncio.Lock()

    async def send(self, request: Request, send: Send) -> Response:
        touch = await self._facts.by_id(touch_of(request))
        if touch == NOBODY:
            return await send(request)
        if why := await self._protection.why_not(touch):
            raise Blocked([f"{request.method} {_shown(request)}: {why}"], hint=HINT)
        if not self._options.break_glass or not (touch.policy or matters(touch)):
            return await send(request)
        if not touch.policy and not await self._concerns(touch):
            return await send(request)
        async with self._turn:
            await self._prove(request, touch)
            response = await send(request)
            if response.ok:
                self._remember(request, touch, response)
            return response

    async def _concerns(self, touch: Touch) -> bool:
        accounts = await self._facts.accounts()
        return any(each.why for each in accounts) or concerns(touch, accounts)

    async def _prove(self, request: Request, touch: Touch) -> None:
        accounts = await self._facts.accounts()
        policies = await self._facts.policies()
        reasons = [f"break-glass {each.name}: {each.why}; {UNREAD}" for each in accounts if each.why]
        if policies.why and (touch.policy or not policies.denied):
            reasons.append(f"conditional access policies could not be read: {policies.why}; {UNREAD}")
        if not reasons and not policies.why:
            live = {str(each["id"]).lower(): each for each in policies.items} | self._own
            above = {group: await self._facts.above(group) for group in touch.groups if touch.joins}
            state = State(live, {each.id: each for each in accounts}, frozenset(), above)
            before = state.findings()
            state.take(_as_change(request, live), touch)
            state.dynamic = await self._facts.dynamic(list(state.policies.values()))
            for key, finding in state.findings().items():
                if not (key in before and key[0] in self._mended):
                    reasons.append(f"{finding}: {REMEDY}")
        if reasons:
            raise Blocked(reasons, hint=HINT)

    def _remember(self, request: Request, touch: Touch, response: Response) -> None:
        """What was written is not shown by what was read before."""
        if not touch.policy:
            self._facts.forget()
            return
        change = _as_change(request, self._own)
        body = response.json() if response.body else None
        answer = body if isinstance(body, dict) else {}
        key = str((change.before or {}).get("id") or answer.get("id") or "").lower()
        if change.kind == KIND and key and change.action is not Action.DELETE:
            self._own[key] = {**(change.after or {}), **answer}
        elif change.kind == KIND:
            self._own.pop(key, None)
            self._facts.forget()


def _as_change(request: Request, live: Mapping[str, Mapping[str, Any]]) -> Change:
    """What a write makes of a policy; of what is no policy it says nothing. ``live`` is by id in lower case."""
    parts = segments(request.path)
    if "/".join(parts[:3]).lower() != POLICIES:
        return Change(kind="", key="", action=Action.UPDATE)
    body = msgspec.json.decode(request.body or b"{}")
    key = parts[3].lower() if len(parts) > 3 else ""
    before = {**live.get(key, {}), "id": key} if key else None
    after = merged(before or {}, body)
    action = Action.DELETE if request.method == "DELETE" else Action.UPDATE if key else Action.CREATE
    return Change(kind=KIND, key=str(after.get("displayName") or key), action=action, before=before, after=after)


def merged(live: Mapping[str, Any], part: Mapping[str, Any]) -> dict[str, Any]:
    """A PATCH over what is there: what it does not name stays, inside complex values too; null empties."""
    found = dict(live)
    for name, value in part.items():
        there = found.get(name)
        found[name] = merged(there, value) if isinstance(value, dict) and isinstance(there, dict) else value
    return found


def _shown(request: Request) -> str:
    return path_of(*segments(request.path))
