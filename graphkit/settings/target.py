"""What a command talks to: a cloud, the simulated tenant, a loopback address or a recording."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from graphkit.settings.readers import as_path, loopback_url

CLOUD_NAMES = ("global", "usgov", "usgov-dod", "china")
REPLAY = "replay:"
TARGET_FLAGS = ("target", "state", "virtual_time")


@dataclass(frozen=True, slots=True)
class Target:
    """What a command talks to.

    ``name`` is the cloud's name, ``simulated``, the loopback address without a trailing slash, or ``replay:`` and the
    cassette's path. ``state`` is the file that keeps the simulated tenant, ``virtual_time`` whether time jumps instead
    of passing.
    """

    kind: Literal["cloud", "simulated", "loopback", "replay"]
    name: str
    state: Path | None = None
    virtual_time: bool = False

    @property
    def url(self) -> str:
        """The loopback root; empty for the other kinds."""
        return self.name if self.kind == "loopback" else ""

    @property
    def cassette(self) -> Path:
        """The file to replay; of a target of that kind only."""
        return Path(self.name.removeprefix(REPLAY))

    def __str__(self) -> str:
        return self.name


def parse_target(text: str, base: Path = Path()) -> Target:
    """A cloud's name, ``simulated``, a loopback address, or ``replay:FILE`` (relative to ``base``) as a target.

    Raises ``ValueError``.
    """
    name = text.strip()
    if name.lower().startswith(REPLAY) and len(name) > len(REPLAY):
        cassette = as_path(name[len(REPLAY) :], base.resolve())
        return Target("replay", f"{REPLAY}{cassette}", virtual_time=True)
    if name.lower() in CLOUD_NAMES:
        return Target("cloud", name.lower())
    if name.lower() == "simulated":
        return Target("simulated", "simulated")
    if "://" in name:
        return Target("loopback", loopback_url(name))
    raise ValueError(f"'{name}' is neither {', '.join(CLOUD_NAMES)}, simulated, replay:FILE, nor a loopback address")


def resolve_target(
    flags: Mapping[str, Any], cwd: Path, values: dict[str, Any], origins: dict[str, str], problems: list[str]
) -> None:
    """``--target``, else GRAPHKIT_GRAPH_URL, else the cloud. ``cloud`` and ``graph_url`` then agree with it."""
    asked = next((name for name in ("graph_url", "cloud") if values.get(name)), "")
    target = Target("cloud", "global")
    try:
        if flags.get("target"):
            target = parse_target(str(flags["target"]), cwd)
            origins["target"] = "flag --target"
        elif asked:
            target = parse_target(values[asked])
            origins["target"] = origins[asked]
    except ValueError as error:
        problems.append(f"flag --target: {error}")
    simulated_only = [f"--{name.replace('_', '-')}" for name in ("state", "virtual_time") if flags.get(name)]
    if simulated_only and target.kind != "simulated":
        problems.append(f"flag {' and '.join(simulated_only)}: only for --target simulated")
    # In process the simulated tenant has a clock of its own, which the folder's setting leaves alone.
    if target.kind == "replay" and values.get("record"):
        problems.append(f"{origins['record']}: a replay is not recorded: it is a recording")
    if "time_scale" in (values.get("limits") or {}) and target.kind == "cloud":
        problems.append(f"{origins['limits']}: time_scale is only for loopback targets; this target is {target}")
    state = as_path(flags["state"], cwd) if flags.get("state") else None
    values["target"] = Target(target.kind, target.name, state, target.virtual_time or bool(flags.get("virtual_time")))
    values["graph_url"] = target.url
    if target.kind == "cloud":
        values["cloud"] = target.name
