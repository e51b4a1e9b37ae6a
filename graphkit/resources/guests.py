"""Guests of the tenant, known by their mail.

``POST /invitations`` makes the guest at once; to invite somebody again makes no second one
(https://learn.microsoft.com/graph/api/invitation-post). Sponsors answer for a guest
(https://learn.microsoft.com/graph/api/resources/invitation, invitedUserSponsors); how an invitation names them, as
objects with an id, is an assumption: the page has no example.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from graphkit.engine.change import ABSENT, Action, Change, Desired, Reading, Undo, present
from graphkit.engine.resource import Context, PlanView, Resource
from graphkit.errors import InputProblem, ServiceError
from graphkit.protocol.message import Idempotency, Request, Response
from graphkit.protocol.odata import literal, query, segment
from graphkit.resources.domains import verified_domains
from graphkit.resources.reading import read_each
from graphkit.resources.recycling import deletion, restoring
from graphkit.resources.users import Users

WELCOME = "https://myapplications.microsoft.com"
"""Where guests arrive when they have accepted."""
KEPT = ("id", "mail", "userPrincipalName")
SELECT = ",".join((*KEPT, "externalUserState"))
ACTIVITY = "signInActivity"
GUESTS = "userType eq 'Guest'"


class Guests(Resource):
    """``properties``: email, which is the key in lower case; sponsor; and, where the guest is to be gone, since when.

    ``sponsor`` (userPrincipalName) must be an active user of the tenant; ``resolve`` adds sponsorId.
    """

    kind = "guest"
    visibility_s = 120.0
    undo = Undo.WINDOW

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._sponsors = Users(context, also=("userType",))
        self._domains: list[str] = []

    async def gather(self, view: PlanView) -> None:
        """All guests at once, and when they were last here."""
        self._domains = await verified_domains(self.context)
        try:
            await self._load(f"{SELECT},{ACTIVITY}")
        except ServiceError as error:
            if error.status != 403:
                raise
            self.context.remarks.append(f"when guests last signed in is not known: {error.service_message}")
            await self._load(SELECT)

    async def _load(self, select: str) -> None:
        listing = self.context.client.list(f"/users{query({'$filter': GUESTS, '$select': select})}").proved()
        async for page in listing.pages():
            known = ((str(guest["mail"]).lower(), guest) for guest in page if guest.get("mail"))
            self.context.snapshot.put(self.kind, known)
        self.context.snapshot.mark_complete(self.kind)

    async def resolve(self, items: Sequence[Desired]) -> list[InputProblem]:
        """Whoever is to go needs no sponsor any more."""
        staying = [item for item in items if not item.absent]
        found = await self._sponsors.find([item.properties["sponsor"] for item in staying])
        problems = []
        for item in staying:
            name = item.properties["sponsor"]
            sponsor = found[name]
            if sponsor.value is None:
                why = f"could not be looked up: {sponsor.why}" if sponsor.why else "is not a user of this tenant"
                problem = InputProblem(item.origin.file, item.origin.place, "unknown-user", f"sponsor: {name} {why}")
                problems.append(problem)
                continue
            item.properties["sponsorId"] = sponsor.value["id"]
            if not sponsor.value.get("accountEnabled") or sponsor.value.get("userType") == "Guest":
                item.rails["unfit"] = f"its sponsor {name} is not an active user of this tenant"
            if item.key.rpartition("@")[2] in self._domains:
                item.rails["unfit"] = f"{item.key} has an address of this tenant, and is no guest"
        return problems

    async def read(self, items: Sequence[Desired]) -> Sequence[Reading]:
        keys = [item.key for item in items]
        if self.context.snapshot.is_complete(self.kind):
            seen = self.context.snapshot.get(self.kind, keys)
            return [present(seen[key]) if key in seen else ABSENT for key in keys]
        filters = [f"mail eq {literal(key)} and {GUESTS}" for key in keys]
        paths = [f"/users{query({'$filter': each, '$select': SELECT})}" for each in filters]
        return [_only(reading) for reading in await read_each(self.context.client, paths)]

    def diff(self, wanted: Desired, reading: Reading) -> Iterable[Change]:
        names = ("email", "sponsor", "sponsorId")
        change = self._line(wanted, reading)
        change.after = {name: wanted.properties[name] for name in names if name in wanted.properties}
        if reading.value is None:
            unfit = wanted.rails.get("unfit", "")
            change.action, change.note = (Action.BLOCKED, unfit) if unfit else (Action.CREATE, "")
        return [change]

    def removal(self, wanted: Desired, reading: Reading) -> Iterable[Change]:
        change = self._line(wanted, reading)
        if reading.value is not None:
            change.action = Action.DELETE
            change.note = f"expired on {wanted.properties['expires']}; {change.note}"
        return [change]

    def _line(self, wanted: Desired, reading: Reading) -> Change:
        return Change(
            kind=self.kind,
            key=wanted.key,
            action=Action.NOOP,
            before=self.before_image(reading),
            origin=wanted.origin,
            undo=self.undo,
            note=_seen(reading.value) if reading.value else "",
        )

    def before_image(self, reading: Reading) -> dict[str, Any] | None:
        if reading.value is None:
            return None
        return {**{name: reading.value.get(name) for name in KEPT}, "userId": reading.value["id"]}

    def routes(self, change: Change) -> Iterable[tuple[str, str]]:
        if change.action is Action.DELETE:
            return [("DELETE", "/users/{id}")]
        restored = "id" in (change.after or {})
        return [("POST", "/directory/deletedItems/{id}/restore" if restored else "/invitations")]

    def request(self, pack: Sequence[Change]) -> Request:
        (change,) = pack
        before, after = change.before or {}, change.after or {}
        if change.action is Action.DELETE:
            return deletion(f"/users/{segment(before['id'])}")
        if "id" in after:
            return restoring("/directory/deletedItems", after["id"], target=f"guest/{change.key}")
        body = {
            "invitedUserEmailAddress": after["email"],
            "inviteRedirectUrl": WELCOME,
            "sendInvitationMessage": True,
            "invitedUserSponsors": [{"@odata.type": "#microsoft.graph.user", "id": after["sponsorId"]}],
        }
        return Request(
            method="POST",
            path="/invitations",
            body=msgspec.json.encode(body),
            idempotency=Idempotency.KEYED,
            target=f"guest/{change.key}",
        )

    async def identify(self, change: Change, response: Response) -> str:
        if change.action is not Action.CREATE:
            return await super().identify(change, response)
        body = response.json() if response.body else {}
        return str((body.get("invitedUser") or body).get("id") or "")


def _only(reading: Reading) -> Reading:
    found = (reading.value or {}).get("value") or ()
    return present(found[0]) if found else reading if not reading.known else ABSENT


def _seen(guest: dict[str, Any]) -> str:
    """Attempts of others count for nothing, so that it is the last success; null proves nothing
    (https://learn.microsoft.com/graph/api/resources/signinactivity)."""
    if guest.get("externalUserState") == "PendingAcceptance":
        return "has not accepted the invitation yet"
    last = str((guest.get(ACTIVITY) or {}).get("lastSuccessfulSignInDateTime") or "")[:10]
    return f"last signed in on {last}" if last else "no sign-in is known"
