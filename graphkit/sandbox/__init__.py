"""A simulated Microsoft 365 tenant that speaks Microsoft Graph.

It imports nothing else of graphkit: a double that shares code shares the bug. See ``docs/simulated-tenant.md``.
"""

from __future__ import annotations

from graphkit.sandbox.call import Answer
from graphkit.sandbox.doors.server import serve
from graphkit.sandbox.doors.tls import ClientFiles, make_authority
from graphkit.sandbox.doors.transport import SandboxTransport
from graphkit.sandbox.ids import instant
from graphkit.sandbox.login.apps import App
from graphkit.sandbox.login.federation import FederatedCredential
from graphkit.sandbox.memory.diff import Difference, differences
from graphkit.sandbox.memory.log import Entry
from graphkit.sandbox.memory.state import stored_time
from graphkit.sandbox.scenarios import Scenario, load_scenario, scenario_names, scenarios
from graphkit.sandbox.seeding.adopt import adopt, seed_after
from graphkit.sandbox.seeding.furnish import furnish
from graphkit.sandbox.seeding.seed import Seed
from graphkit.sandbox.tenant import Clock, SimulatedTenant

__all__ = [
    "Answer",
    "App",
    "ClientFiles",
    "Clock",
    "Difference",
    "Entry",
    "FederatedCredential",
    "SandboxTransport",
    "Scenario",
    "Seed",
    "SimulatedTenant",
    "adopt",
    "differences",
    "furnish",
    "instant",
    "load_scenario",
    "make_authority",
    "scenario_names",
    "scenarios",
    "seed_after",
    "serve",
    "stored_time",
]
