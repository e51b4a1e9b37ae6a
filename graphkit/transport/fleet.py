"""Several app registrations for one tenant: each has counters, lanes and a token of its own.

It stands between retry and the governors, and is left out where there is only one. What all apps of the tenant share is
one counter that every governor holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from graphkit.errors import Parked
from graphkit.protocol.budget import is_read
from graphkit.protocol.message import Request, Response
from graphkit.transport.auth import Auth
from graphkit.transport.batcher import Batcher
from graphkit.transport.governor import Governor, Utilisation


@dataclass(slots=True)
class Ship:
    """One app registration on its way; ``under_way`` counts what it was given and has not brought back."""

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

    async def send(self, request: Request) -> Response:
        candidates = self._candidates(request)
        while True:
            number = min(candidates, key=lambda each: self._outlook(each, request)) if candidates[1:] else candidates[0]
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

    async def renew(self, refused: Response) -> None:
        """A fresh token for the identity that ``refused`` was asked by."""
        await self._ships[refused.identity].auth.renew(refused)

    async def aclose(self) -> None:
        for ship in self._ships:
            await ship.batcher.aclose()
            await ship.governor.aclose()

    def _candidates(self, request: Request) -> list[int]:
        return [0] if is_read(request) else list(range(len(self._ships)))

    def _outlook(self, number: int, request: Request) -> float:
        ship = self._ships[number]
        return ship.governor.outlook(request, ship.under_way)

    # What is asked of one governor is answered for all

    @property
    def throttled(self) -> int:
        return sum(ship.governor.throttled for ship in self._ships)

    def utilisation(self) -> list[Utilisation]:
        """Of each bucket the fullest counter."""
        rows: dict[str, Utilisation] = {}
        for row in (row for ship in self._ships for row in ship.governor.utilisation()):
            known = rows.get(row.bucket)
            if known is None or (row.waiting, row.used) > (known.waiting, known.used):
                rows[row.bucket] = row
        return sorted(rows.values(), key=lambda row: (-row.used, row.bucket))

    def binding(self) -> str:
        return next((title for ship in self._ships if (title := ship.governor.binding())), "")
