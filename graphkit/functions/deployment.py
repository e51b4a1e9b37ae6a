"""What every handler works with: the settings, the runs on the share, and the queue."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from graphkit.clock import RealClock
from graphkit.errors import UsageError
from graphkit.functions.mounts import is_on_a_share
from graphkit.functions.queue import Queue, StorageQueue
from graphkit.functions.store import Runs
from graphkit.settings import Settings, load


@dataclass(frozen=True, slots=True)
class Deployment:
    """One function app as configured. ``now`` tells the time, in seconds since the epoch."""

    settings: Settings
    queue: Queue
    now: Callable[[], float] = RealClock().now

    @classmethod
    def open(cls, **flags: Any) -> Deployment:
        """As the environment says. Raises ``UsageError`` if the runs would be lost with this instance."""
        settings = load(flags)
        require_share(settings)
        return cls(settings, StorageQueue(settings))

    @property
    def runs(self) -> Runs:
        return Runs(self.settings.runs_dir)


def require_share(settings: Settings) -> None:
    """Raises ``UsageError`` for a runs folder on the disk of one instance: what is there is gone with it."""
    if settings.functions_local_runs or is_on_a_share(settings.runs_dir):
        return
    raise UsageError(
        f"the runs folder {settings.runs_dir} ({settings.origin('runs_dir')}) is not on a mounted share: runs would be "
        "lost with this instance, and another instance would not see them",
        hint="mount an Azure Files share and set GRAPHKIT_RUNS_DIR; GRAPHKIT_FUNCTIONS_LOCAL_RUNS=1 accepts a disk",
    )
