"""identity.mfa-rollout: multifactor authentication for everybody, wave by wave."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator
from datetime import date
from fnmatch import fnmatchcase
from typing import Literal

from pydantic import Field, model_validator

from graphkit.engine.change import Desired, Origin
from graphkit.engine.resource import PlanOptions
from graphkit.inputs.types import Day, InputModel, Org, Upn
from graphkit.recipe import Inputs, Recipe
from graphkit.resources.groups import security_group
from graphkit.resources.scheduled import scheduled
from recipes.passes import PERMISSIONS, Passes, access_pass


class Wave(InputModel):
    """When one wave begins."""

    wave: int = Field(ge=1, description="number of the wave")
    starts: Day = Field(description="day from which its people are in the group")


class Rollout(InputModel):
    """The page of dates."""

    waves: list[Wave] = Field(min_length=1, description="number and first day of each wave")
    max_wave_size: int = Field(default=1000, ge=1, description="people allowed in one wave")
    pause_above_pct: int = Field(
        default=20,
        ge=0,
        le=100,
        description="a wave waits while more of an earlier one have not registered",
    )
    pause_after_days: int = Field(default=7, ge=0, description="days that people have to register")
    skip: list[str] = Field(
        default_factory=list, description="accounts nobody signs in with, by pattern, such as svc-*@*"
    )
    access_passes: Passes | None = Field(
        default=None, description="temporary access passes for those who have not registered; none without it"
    )

    @model_validator(mode="after")
    def _one_day_each(self) -> Rollout:
        days = Counter(wave.wave for wave in self.waves)
        if twice := [str(number) for number, count in days.items() if count > 1]:
            raise ValueError(f"wave {', '.join(twice)} is there twice")
        return self


class Person(InputModel):
    """One row."""

    upn: Upn = Field(description="userPrincipalName; each account in one wave only")
    org: Org = Field(description="organisation code, 1 to 9 capital letters and digits")
    wave: int = Field(ge=1, description="number of the wave")
    policy: Literal["standard", "named-location"] = Field(
        description="which group of the wave: standard, or named-location for those who work from known places only"
    )

    @property
    def group(self) -> str:
        return f"mfa.wave-{self.wave}.{self.policy}"


def desired(inputs: Inputs, options: PlanOptions) -> Iterator[Desired]:
    """A group for each wave that has begun and has people, and its members; the others wait for their day."""
    tables, documents = inputs.apart()
    found, rows = documents.document(Rollout), tables.rows(Person, key=lambda row: row.upn.lower())
    if found is None:
        if not documents.sources:
            named = tables.sources[0].name if tables.sources else "the input"
            inputs.problems.add(named, "", "missing-value", "no page of wave dates was given: add one with -i (YAML)")
        deque(rows, maxlen=0)  # what is wrong with them is told as well
        return
    source, page = found
    today = date.fromisoformat(options.as_of) if options.as_of else date.max
    starts = {wave.wave: wave.starts for wave in page.waves}
    sizes: Counter[int] = Counter()
    groups: dict[str, int] = {}
    for origin, person in rows:
        if options.org not in ("", person.org):
            continue
        if person.wave not in starts:
            message = f"wave: {person.wave} has no day in {source.name}"
            inputs.problems.add(origin.file, origin.place, "unknown-wave", message)
            continue
        sizes[person.wave] += 1
        if starts[person.wave] > today:
            what = f"wave {person.wave}: joins {person.group}"
            yield scheduled(person.upn.lower(), origin, starts[person.wave], what)
            continue
        groups[person.group] = person.wave
        member = _member(person, origin, page)
        yield member
        if page.access_passes:
            yield _pass(person, member, page.access_passes, starts[person.wave], today)
    for key in sorted(groups):
        yield _group(key, Origin(source.name, "waves"))
    for wave in page.waves:
        if sizes[wave.wave]:
            keys = [key for key, number in sorted(groups.items()) if number == wave.wave]
            yield _wave(wave, sizes[wave.wave], keys, page, Origin(source.name, "waves"))


def _member(person: Person, origin: Origin, page: Rollout) -> Desired:
    pattern = next((each for each in page.skip if fnmatchcase(person.upn.lower(), each.lower())), "")
    return Desired(
        kind="group.member",
        key=f"{person.group}/{person.upn.lower()}",
        origin=origin,
        properties={"group": person.group, "user": person.upn},
        rails={"signs_in": True},
        blocked=f"nobody signs in with it (skip: {pattern})" if pattern else "",
    )


def _pass(person: Person, member: Desired, passes: Passes, day: date, today: date) -> Desired:
    """For whoever is let into the wave and has no second factor to sign in with yet."""
    return access_pass(
        passes,
        person.upn.lower(),
        member.origin,
        passes.starting(day, today),
        properties={"user": person.upn},
        needs=((member.kind, member.key),),
        rails={"unless_registered": True},
    )


def _group(key: str, origin: Origin) -> Desired:
    _, wave, policy = key.split(".")
    properties = security_group(key, f"MFA {wave.replace('-', ' ')} {policy}")
    return Desired(kind="group", key=key, origin=origin, properties=properties)


def _wave(wave: Wave, size: int, groups: list[str], page: Rollout, origin: Origin) -> Desired:
    return Desired(
        kind="mfaWave",
        key=f"wave {wave.wave}",
        origin=origin,
        properties={"wave": wave.wave, "starts": wave.starts.isoformat(), "size": size, "groups": groups},
        rails={
            "most": page.max_wave_size,
            "pause_above_pct": page.pause_above_pct,
            "after_days": page.pause_after_days,
        },
    )


RECIPE = Recipe(
    name="identity.mfa-rollout",
    summary="Multifactor authentication in waves: a group a wave for policies to name, and a pause when one fails",
    permissions=("Group.ReadWrite.All", "AuditLog.Read.All"),
    permissions_for=PERMISSIONS,
    desired=desired,
    template="mfa_rollout.csv",
    given_with=("mfa_rollout.waves.yaml",),
    models=(Rollout, Person),
    options=("org", "adopt", "as_of"),
    rails=("passes that the tenant's policy does not allow: blocked",),
)
