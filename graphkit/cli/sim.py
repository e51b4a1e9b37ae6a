"""``graphkit sim``: the simulated tenant for clients outside this process."""

from __future__ import annotations

import sys

import click

from graphkit import clock
from graphkit.cli.invocation import Invocation
from graphkit.cli.options import Group
from graphkit.errors import UsageError
from graphkit.sandbox import Seed, SimulatedTenant, serve

TOKEN = "simulated"  # noqa: S105 - any text will do, which is the point


@click.group("sim", cls=Group)
def command() -> None:
    """Serve the simulated tenant on a local address."""


@command.command("serve")
@click.option("--host", default="127.0.0.1", show_default=True, help="A loopback address.")
@click.option("--port", type=click.IntRange(0, 65535), default=8080, show_default=True, help="0 takes a free one.")
@click.option("--users", type=click.IntRange(1), default=8000, show_default=True, help="Accounts of a new tenant.")
@click.pass_obj
def serve_tenant(invocation: Invocation, /, host: str, port: int, users: int) -> None:
    """Answer Microsoft Graph on a local address until Ctrl-C; --state FILE keeps the tenant."""
    if "virtual_time" in invocation.given:
        raise UsageError("--virtual-time: a served tenant lives in real time, as its clients do")
    state = invocation.load_settings(target="simulated").target.state
    wall, seed = clock.RealClock(), Seed(users=users)

    async def main() -> None:
        tenant = SimulatedTenant.open(state, wall, seed=seed) if state else SimulatedTenant(wall, seed=seed)
        try:
            await serve(tenant, host, port, on_ready=lambda address: _announce(invocation, address))
        finally:
            tenant.close()

    try:
        clock.run(main())
    except KeyboardInterrupt:
        invocation.say("stopped")
    except (ValueError, ImportError) as error:
        raise UsageError(str(error)) from error


def _announce(invocation: Invocation, address: str) -> None:
    environment = {"GRAPHKIT_GRAPH_URL": address, "GRAPHKIT_ACCESS_TOKEN": TOKEN}
    invocation.output.emit(
        {"address": address, "environment": environment},
        lambda: [
            f"a simulated tenant answers on {address} until Ctrl-C",
            *(f"{name}={value}" for name, value in environment.items()),
        ],
    )
    sys.stdout.flush()  # whoever started us as a child waits for these lines
