"""The rails that every door puts up."""

from __future__ import annotations

from graphkit.engine.rails import Rail
from graphkit.engine.resource import Context
from graphkit.safety.facts import Facts
from graphkit.safety.lockout_rail import LockOut
from graphkit.safety.protection import Protection


def standard_rails(context: Context) -> list[Rail]:
    """For one plan."""
    facts = Facts(context)
    return [Protection(context, facts), LockOut(context, facts)]
