"""Several app registrations for one tenant: each has counters, lanes and a token of its own.

It stands between retry and the governors, and is left out where there is only one. What all apps of the tenant share is
one counter that every governor holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from graphkit.errors import Parked
from graphkit.protocol.budget import is_read
from graphkit.protocol.message import Answer, Request, Response
from graphkit.transport.auth import Auth
from graphkit.transport.batcher import Batcher
from graphkit.transport.governor import Governor
from graphkit.transport.together import singly
from graphkit.transport.use import Use
from graphkit.transport.utilisation import Utilisation


@dataclass(slots=True)
class Ship:
    """One app registration on its way; ``under_way`` counts what it was given and has not brought back."""

    app: str
    governor: Governor
    batcher: Batcher
    auth: Auth
    under_way: int = 0


class Fleet:
    """Gives each write to the identity that can take it soonest, and again when it comes back to be repeated.

    Whoever reads is the first: the pages of a collection, its nextLinks and delta links belong to the app that began
    it, and no run is held up by the quota of reads. Raises what the governors raise; ``Parked`` only if no identity is
    left.
    """

    def __init__(self, ships: Sequence[Ship]) -> None:
        self._ships = ships
        for ship in ships:
            ship.governor.companions = [other.governor for other in ships if other is not ship]

    async def send(self, request: Request) -> Response:
        candidates = self._candidates(request)
        while True:
            number = self._soonest(candidates, request)
            ship = self._ships[number]
            ship.under_way += 1
            try:
                response = await ship.governor.send(request)
            except Parked:
                candidates.remove(number)
                if not candidates:
                    raise
                continue
            finally:
                ship.under_way -= 1
            response.identity = number
            return response

    async def send_batch(self, requests: Sequence[Request]) -> list[Answer]:
        """All by the identity that can take the first of them soonest; by another what that one cannot take today."""
        reads = list(map(is_read, requests))
        if any(reads) and not all(reads) and len(self._ships) > 1:
            return await singly(self, requests)  # rare, and whoever reads is the first
        number = self._soonest(self._candidates(requests[0]), requests[0])
        ship = self._ships[number]
        ship.under_way += len(requests)
        try:
            answers = await ship.governor.send_batch(requests)
        finally:
            ship.under_way -= len(requests)
        for answer in answers:
            if isinstance(answer, Response):
                answer.identity = number
        parked = [place for place, answer in enumerate(answers) if isinstance(answer, Parked)]
        if parked and len(self._ships) > 1:
            for place, answer in zip(parked, await singly(self, [requests[place] for place in parked]), strict=True):
                answers[place] = answer
        return answers

    async def renew(self, refused: Response) -> None:
        """A fresh token for the identity that ``refused`` was asked by."""
        await self._ships[refused.identity].auth.renew(refused)

    async def aclose(self) -> None:
        for ship in self._ships:
            await ship.batcher.aclose()
            await ship.governor.aclose()

    def _candidates(self, request: Request) -> list[int]:
        return [0] if is_read(request) else list(range(len(self._ships)))

    def _soonest(self, candidates: Sequence[int], request: Request) -> int:
        if len(candidates) == 1:
            return candidates[0]
        return min(candidates, key=lambda number: self._outlook(number, request))

    def _outlook(self, number: int, request: Request) -> float:
        ship = self._ships[number]
        return ship.governor.outlook(request, ship.under_way)

    # What is asked of one governor is answered for all

    @property
    def throttled(self) -> int:
        return sum(ship.governor.throttled for ship in self._ships)

    @property
    def delegated(self) -> bool:
        return self._ships[0].governor.delegated

    @delegated.setter
    def delegated(self, signed_in: bool) -> None:
        for ship in self._ships:
            ship.governor.delegated = signed_in

    @property
    def deadline(self) -> float:
        return self._ships[0].governor.deadline

    @deadline.setter
    def deadline(self, at: float) -> None:
        for ship in self._ships:
            ship.governor.deadline = at

    def utilisation(self) -> list[Utilisation]:
        """Of each bucket all counters together; what all apps share is one, whoever shows it."""
        return self._ships[0].governor.utilisation(of_all=True)

    def uses(self, tenant: str, _: str) -> list[Use]:
        return [use for ship in self._ships for use in ship.governor.uses(tenant, ship.app)]

    def binding(self) -> Utilisation | None:
        found = [row for ship in self._ships if (row := ship.governor.binding())]
        return max(found, key=lambda row: row.waiting, default=None)
