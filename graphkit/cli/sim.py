"""``graphkit sim``: the simulated tenant for clients outside this process."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from graphkit import clock
from graphkit.cli.invocation import Invocation
from graphkit.cli.options import Group
from graphkit.errors import UsageError
from graphkit.sandbox import Seed, SimulatedTenant, make_authority, serve

if TYPE_CHECKING:
    import ssl

TOKEN = "simulated"  # noqa: S105 - any text will do, which is the point


@click.group("sim", cls=Group)
def command() -> None:
    """Serve the simulated tenant on a local address."""


@command.command("serve")
@click.option("--host", default="127.0.0.1", show_default=True, help="A loopback address.")
@click.option("--port", type=click.IntRange(0, 65535), default=8080, show_default=True, help="0 takes a free one.")
@click.option("--users", type=click.IntRange(1), default=8000, show_default=True, help="Accounts of a new tenant.")
@click.option("--https", is_flag=True, help="HTTPS, as login libraries insist; needs --ca-folder.")
@click.option(
    "--ca-folder",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Where ca.pem (to trust) and app.pem (to sign in with) are written.",
)
@click.option(
    "--token-lifetime",
    type=click.FloatRange(1),
    default=3600.0,
    show_default=True,
    metavar="SECONDS",
    help="How long an access token lasts.",
)
@click.pass_obj
def serve_tenant(
    invocation: Invocation,
    /,
    host: str,
    port: int,
    users: int,
    https: bool,
    ca_folder: Path | None,
    token_lifetime: float,
) -> None:
    """Answer Microsoft Graph on a local address until Ctrl-C; --state FILE keeps the tenant."""
    if "virtual_time" in invocation.given:
        raise UsageError("--virtual-time: a served tenant lives in real time, as its clients do")
    if https != (ca_folder is not None):
        raise UsageError("--https and --ca-folder belong together")
    state = invocation.load_settings(target="simulated").target.state
    wall, seed = clock.RealClock(), Seed(users=users)

    async def main() -> None:
        if state:
            tenant = SimulatedTenant.open(state, wall, seed=seed, token_s=token_lifetime)
        else:
            tenant = SimulatedTenant(wall, seed=seed, token_s=token_lifetime)
        try:
            tls, environment = _secured(tenant, host, ca_folder) if ca_folder else (None, {})
            await serve(
                tenant, host, port, tls=tls, on_ready=lambda address: _announce(invocation, address, environment)
            )
        finally:
            tenant.close()

    try:
        clock.run(main())
    except KeyboardInterrupt:
        invocation.say("stopped")
    except (ValueError, ImportError) as error:
        raise UsageError(str(error)) from error


def _secured(tenant: SimulatedTenant, host: str, folder: Path) -> tuple[ssl.SSLContext, dict[str, str]]:
    """The server's side of TLS, and what a client sets to trust it and to sign in as the seeded app."""
    app = tenant.login.apps[tenant.seed.app_id]
    tls, files, certificate = make_authority(folder, host)
    app.certificates.append(certificate)
    return tls, {
        "GRAPHKIT_CA_BUNDLE": str(files.ca.resolve()),
        "AZURE_TENANT_ID": tenant.tenant_id,
        "AZURE_CLIENT_ID": app.id,
        "AZURE_CLIENT_SECRET": next(iter(app.secrets)),
        "AZURE_CLIENT_CERTIFICATE_PATH": str(files.app.resolve()),
    }


def _announce(invocation: Invocation, address: str, environment: dict[str, str]) -> None:
    environment = {
        "GRAPHKIT_GRAPH_URL": address,
        **({"GRAPHKIT_AUTHORITY_URL": address, **environment} if environment else {"GRAPHKIT_ACCESS_TOKEN": TOKEN}),
    }
    invocation.output.emit(
        {"address": address, "environment": environment},
        lambda: [
            f"a simulated tenant answers on {address} until Ctrl-C",
            *(f"{name}={value}" for name, value in environment.items()),
        ],
    )
    sys.stdout.flush()  # whoever started us as a child waits for these lines
