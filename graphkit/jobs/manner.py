"""How a plan is carried out, beside what it says: caution that whoever applies it adds."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from graphkit.engine.course import FAILED_SHARE
from graphkit.engine.rails import broken_rails
from graphkit.engine.resource import PlanOptions
from graphkit.engine.runfile import RunFile
from graphkit.errors import Blocked, UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Numbers of changes below those that the plan was made with. None leaves the plan's own."""

    max_changes: int | None = None
    max_removals: int | None = None
    max_deletes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """``canary``: so many changes go first and are read back before the others follow; of a run that was begun, 0 means
    what was asked for when it was.

    ``failed_share`` is the part of the last 200 outcomes that may fail before the run stops. ``wait_s``: how long to
    wait until what was accepted is effective; None does not wait. ``limits`` may be lower than the plan's, not higher.
    """

    canary: int = 0
    failed_share: float = FAILED_SHARE
    wait_s: float | None = None
    limits: Limits = Limits()


USUAL = Manner()


def planned_options(run: RunFile) -> PlanOptions:
    """What the run was planned with."""
    header = run.header()
    kept: dict[str, Any] = {**header["options"], **header["limits"]}
    kept.update({name: tuple(value) for name, value in kept.items() if isinstance(value, list)})
    return PlanOptions(**kept)


def check_limits(run: RunFile, limits: Limits) -> None:
    """Raises ``UsageError`` for a limit above the plan's, ``Blocked`` if the plan does not keep to a lower one."""
    options = planned_options(run)
    given: dict[str, Any] = {name: value for name, value in asdict(limits).items() if value is not None}
    for name, value in given.items():
        planned = getattr(options, name)
        if planned is not None and value > planned:
            raise UsageError(
                f"--{name.replace('_', '-')} {value}: {run.path} was planned with {planned}, and only a lower limit "
                "can be set now",
                hint="plan again with the higher one",
            )
    reasons = broken_rails(run, replace(options, **given)) if given else []
    if reasons:
        raise Blocked(reasons, hint="the limit given is lower than what the plan does; nothing was sent")
