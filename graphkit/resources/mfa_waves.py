"""A wave of people who are to register for multifactor authentication: not too many, and none after a failure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import date, timedelta
from typing import Any

from graphkit.engine.change import ABSENT, Action, Change, Desired, Reading
from graphkit.engine.resource import PlanView, Resource
from graphkit.errors import AuthError, GraphkitError, Stopped
from graphkit.resources.registration import registrations


class MfaWaves(Resource):
    """``properties``: wave, starts (YYYY-MM-DD), size, groups (keys). ``rails``: most (people), pause_above_pct,
    after_days. Nothing is written; what a wave writes are groups and their members.
    """

    kind = "mfaWave"

    async def read(self, items: Sequence[Desired]) -> Sequence[Reading]:
        return [ABSENT for _ in items]

    def diff(self, wanted: Desired, reading: Reading) -> Iterable[Change]:
        note = f"{wanted.properties['size']:,} people from {wanted.properties['starts']}"
        return [Change(kind=self.kind, key=wanted.key, action=Action.NOOP, note=note, origin=wanted.origin)]

    def routes(self, change: Change) -> Iterable[tuple[str, str]]:
        return []

    async def guard(self, view: PlanView) -> list[str]:
        waves = sorted(view.wanted(self.kind), key=lambda wave: int(wave.properties["wave"]))
        reasons = [
            f"{wave.key}: {wave.properties['size']:,} people, {wave.rails['most']:,} allowed (max_wave_size): "
            "move some to another wave"
            for wave in waves
            if wave.properties["size"] > wave.rails["most"]
        ]
        return [*reasons, *await self._paused(view, waves)]

    async def _paused(self, view: PlanView, waves: Sequence[Desired]) -> list[str]:
        """Of the waves that had their time, those in which too many have not registered; a later one waits for them."""
        today = date.fromisoformat(self.context.options.as_of)
        due = [wave for wave in waves if _asked_by(wave) <= today]
        later = [wave for wave in waves if date.fromisoformat(wave.properties["starts"]) <= today and wave not in due]
        if not (due and later):
            return []
        try:
            missing = await self._not_registered()
        except (AuthError, Stopped):
            raise
        except GraphkitError as error:
            return [f"whether earlier waves have registered could not be read: {error.message}"]
        return [reason for wave in due if (reason := _too_many(wave, self._people(view, wave), missing, later))]

    async def _not_registered(self) -> set[str]:
        found: set[str] = set()
        async for page in registrations(self.context.client):
            found.update(str(person["id"]) for person in page if not person.get("isMfaRegistered"))
        return found

    @staticmethod
    def _people(view: PlanView, wave: Desired) -> Iterator[str]:
        """The ids of those whom the input puts into a wave."""
        for member in view.wanted("group.member"):
            if member.properties["group"] in wave.properties["groups"] and not member.blocked:
                yield str(member.properties["userId"])


def _asked_by(wave: Desired) -> date:
    """The day by which its people should have registered."""
    return date.fromisoformat(wave.properties["starts"]) + timedelta(days=wave.rails["after_days"])


def _too_many(wave: Desired, people: Iterable[str], missing: set[str], later: Sequence[Desired]) -> str:
    everybody = list(people)
    left = sum(person in missing for person in everybody)
    share: Any = 100 * left / len(everybody) if everybody else 0
    if share <= wave.rails["pause_above_pct"]:
        return ""
    return (
        f"{wave.key}: {left:,} of {len(everybody):,} have not registered ({share:.0f} %, "
        f"{wave.rails['pause_above_pct']} % allowed), so that {', '.join(each.key for each in later)} waits: "
        "have them register, or raise pause_above_pct"
    )
