"""reports.patching: which devices are below the floor, in which organisation, and since when."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema

from graphkit.engine.resource import Context
from graphkit.inputs.types import Day, InputModel
from graphkit.recipe import Inputs, Report
from graphkit.reports.findings import Cell, Findings, Section
from graphkit.resources.audience import NO_ORG, org_of
from graphkit.resources.device_inventory import devices
from graphkit.resources.os_builds import Build, parse_build, show_build

COMPLIANT, BELOW, NO_FLOOR, STALE, UNKNOWN, OTHER = STATES = (
    *("compliant", "below", "no_floor", "stale", "unknown", "other_system"),
)
"""Every device is in exactly one; the first alone counts as compliant."""
DEVICE = "report.device"
WINDOWS = "windows"
_BRANCH = re.compile(r"(\d+\.\d+\.)?\d{4,5}")
NEVER = "0001"


def _read_floors(given: Any) -> Any:
    """``{"10.0.22631": 6060}``, ``{22631: 6060}`` or whole builds, as builds by branch."""
    if not isinstance(given, Mapping):
        return given
    floors = {}
    for branch, build in given.items():
        name = str(branch)
        if not _BRANCH.fullmatch(name):
            raise ValueError(f"{name} is not a branch such as 10.0.22631")
        whole = name if name.count(".") == 2 else f"10.0.{name}"
        text = str(build)
        floor = parse_build(text if text.count(".") == 3 else f"{whole}.{text}")
        if show_build(floor).rpartition(".")[0] != whole:
            raise ValueError(f"{text} is not a build of branch {name}")
        if whole in floors:
            raise ValueError(f"{whole} is there twice")
        floors[whole] = show_build(floor)
    return floors


def _read_released(given: Any) -> Any:
    if not isinstance(given, Mapping):
        return given
    return {show_build(parse_build(str(build))): day for build, day in given.items()}


class Settings(InputModel):
    """The floor, and what counts as stale."""

    floors: Annotated[
        dict[str, str],
        BeforeValidator(_read_floors),
        WithJsonSchema({"type": "object", "additionalProperties": {"type": ["integer", "string"]}}),
    ] = Field(min_length=1, description="{branch: build}, such as 10.0.22631: 6060; below it a device is not compliant")
    released: Annotated[dict[str, Day], BeforeValidator(_read_released)] = Field(
        default_factory=dict, description="{build: day it came out}, for days behind: floors, and builds before them"
    )
    stale_days: int = Field(default=14, ge=1, description="days without a check-in after which nothing is known")
    source: Literal["devices", "export"] = Field(
        default="devices", description="devices reads them page by page; export lets the service write one file"
    )


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a build says. ``behind`` are days since the first build that it lacks came out; None where nobody knows."""

    state: str
    build: str
    branch: str = ""
    floor: str = ""
    behind: int | None = None


@dataclass(slots=True)
class Judge:
    """Builds against the floors. There are few of them among any number of devices, so each is judged once."""

    settings: Settings
    now: float
    known: dict[str, Verdict] = field(default_factory=dict)

    def of(self, version: str) -> Verdict:
        if version not in self.known:
            self.known[version] = self._judged(version)
        return self.known[version]

    def _judged(self, version: str) -> Verdict:
        try:
            build = parse_build(version.strip())
        except ValueError:
            return Verdict(UNKNOWN, version)
        branch = ".".join(map(str, build[:3]))
        floor = self.settings.floors.get(branch, "")
        if not floor:
            return Verdict(NO_FLOOR, show_build(build), branch)
        if build >= parse_build(floor):
            return Verdict(COMPLIANT, show_build(build), branch, floor, 0)
        return Verdict(BELOW, show_build(build), branch, floor, self._behind(build, parse_build(floor)))

    def _behind(self, build: Build, floor: Build) -> int | None:
        """Of the builds up to the floor that it lacks, the first one counts."""
        today = datetime.fromtimestamp(self.now, UTC).date()
        days = [
            (today - day).days
            for each, day in self.settings.released.items()
            if build < (lacked := parse_build(each)) <= floor and lacked[:3] == floor[:3]
        ]
        return max(0, *days) if days else None


@dataclass(slots=True)
class Tally:
    """The counts: by organisation, and by organisation and build, with the last check-in of any of its devices."""

    by_org: dict[str, Counter[str]] = field(default_factory=dict)
    by_build: dict[tuple[str, str], Counter[str]] = field(default_factory=dict)
    last_seen: dict[tuple[str, str], str] = field(default_factory=dict)
    behind: dict[str, int] = field(default_factory=dict)

    def add(self, org: str, verdict: Verdict, state: str, seen: str) -> None:
        self.by_org.setdefault(org, Counter())[state] += 1
        if state == OTHER:
            return
        key = (org, verdict.build)
        self.by_build.setdefault(key, Counter())[state] += 1
        if seen > self.last_seen.get(key, ""):
            self.last_seen[key] = seen
        if state == BELOW and verdict.behind is not None:
            self.behind[org] = max(verdict.behind, self.behind.get(org, 0))


async def build(context: Context, inputs: Inputs) -> Findings:
    """Counts in memory, the evidence on disk: a row per device that is not compliant."""
    settings = inputs.settings(Settings)
    inputs.problems.raise_if_any()
    now = _now(context)
    judge, tally = Judge(settings, now), Tally()
    async for chunk in devices(context, settings.source):
        _take_in(context, judge, tally, chunk)
    return Findings(
        sections=_sections(context, judge, tally),
        totals=_totals(tally),
        notes=tuple(_notes(context, settings)),
    )


def _now(context: Context) -> float:
    """The end of the day that was asked for, else now."""
    if not context.options.as_of:
        return context.clock.now()
    day = date.fromisoformat(context.options.as_of) + timedelta(days=1)
    return datetime.combine(day, time(), UTC).timestamp()


def _take_in(context: Context, judge: Judge, tally: Tally, chunk: list[dict[str, Any]]) -> None:
    only, evidence = context.options.org, []
    for device in chunk:
        org = _org(context, device)
        if only not in ("", org):
            continue
        verdict = judge.of(str(device.get("osVersion") or ""))
        seen, days = _seen(device.get("lastSyncDateTime"), judge.now)
        state = _state(device, verdict, days, judge.settings.stale_days)
        tally.add(org, verdict, state, seen)
        if state not in (COMPLIANT, OTHER):
            name = str(device.get("deviceName") or "")
            row = [org, name, device.get("serialNumber") or "", device.get("userPrincipalName") or "", state]
            row += [verdict.branch, verdict.build, verdict.floor, verdict.behind, seen, days]
            evidence.append((f"{org}/{name}/{device.get('id')}", row))
    context.snapshot.put(DEVICE, evidence)


def _state(device: Mapping[str, Any], verdict: Verdict, days: int | None, stale_days: int) -> str:
    """Who has not been seen for long may be patched or not: nobody knows, whatever was last told."""
    if str(device.get("operatingSystem") or WINDOWS).lower() != WINDOWS:
        return OTHER
    if verdict.state == UNKNOWN or days is None:
        return UNKNOWN
    return STALE if days > stale_days else verdict.state


def _seen(given: object, now: float) -> tuple[str, int | None]:
    """(moment in UTC, whole days since); empty and None where it never checked in.

    An export writes times without a zone; that they are UTC is an assumption.
    """
    text = str(given or "")
    if not text or text.startswith(NEVER):
        return "", None
    shown = f"{text[:10]}T{text[11:19]}Z"
    try:
        return shown, max(0, int(now - datetime.fromisoformat(shown).timestamp()) // 86_400)
    except ValueError:
        return "", None


def _org(context: Context, device: Mapping[str, Any]) -> str:
    """By the device's name, which begins with the code; where a registry does not know that, by its user's."""
    code = org_of(device)
    if not context.orgs:
        return "" if code == NO_ORG else code
    return code if context.orgs.get(code) else context.orgs.of_name(str(device.get("userPrincipalName") or ""))


def _totals(tally: Tally) -> dict[str, Cell]:
    counts: Counter[str] = sum(tally.by_org.values(), Counter())
    return {"devices": counts.total(), **{state: counts[state] for state in STATES}}


def _notes(context: Context, settings: Settings) -> list[str]:
    notes = []
    if not context.orgs:
        notes.append("no registry of organisations is set (GRAPHKIT_ORGS): the first part of a device's name is taken")
    if missing := sorted(set(settings.floors.values()) - set(settings.released)):
        notes.append(f"days behind need the day that each floor came out (released): {', '.join(missing)}")
    if settings.source == "export":
        notes.append("the service's export may be older than what it shows device by device")
    return notes


ORG_COLUMNS = ("org", "devices", *STATES, "compliant_pct", "days_behind")
BUILD_COLUMNS = ("org", "branch", "build", "floor", "devices", *STATES[:-1], "days_behind", "last_seen")
DEVICE_COLUMNS = (
    *("org", "device", "serial", "upn", "state", "branch", "build", "floor"),
    *("days_behind", "last_seen", "days_since_seen"),
)


def _sections(context: Context, judge: Judge, tally: Tally) -> tuple[Section, ...]:
    orgs: list[list[Cell]] = [_org_row(org, tally) for org in sorted(tally.by_org)]
    builds: list[list[Cell]] = [_build_row(key, judge, tally) for key in sorted(tally.by_build, key=_by_build)]
    snapshot = context.snapshot
    return (
        Section(name="organisations", title="By organisation", columns=ORG_COLUMNS, rows=lambda: orgs, org="org"),
        Section(name="builds", title="By branch and build", columns=BUILD_COLUMNS, rows=lambda: builds, org="org"),
        Section(
            name="devices",
            title="Not compliant, or not known to be",
            columns=DEVICE_COLUMNS,
            rows=lambda: (row for _, row in snapshot.each(DEVICE)),
            org="org",
        ),
    )


def _org_row(org: str, tally: Tally) -> list[Cell]:
    counts = tally.by_org[org]
    windows = counts.total() - counts[OTHER]
    share = 100 * counts[COMPLIANT] / windows if windows else None
    return [org, counts.total(), *(counts[state] for state in STATES), share, tally.behind.get(org)]


def _build_row(key: tuple[str, str], judge: Judge, tally: Tally) -> list[Cell]:
    org, build = key
    counts, verdict = tally.by_build[key], judge.of(build)
    head: list[Cell] = [org, verdict.branch, build, verdict.floor, counts.total()]
    return [*head, *(counts[state] for state in STATES[:-1]), verdict.behind, tally.last_seen.get(key)]


def _by_build(key: tuple[str, str]) -> tuple[str, tuple[int, ...], str]:
    org, build = key
    return org, tuple(int(part) for part in re.findall(r"\d+", build)), build


REPORT = Report(
    name="reports.patching",
    summary="Devices per branch, build and organisation against a floor; stale and unknown never count as compliant",
    permissions=("DeviceManagementManagedDevices.Read.All",),
    build=build,
    models=(Settings,),
    template="patching.yaml",
)
