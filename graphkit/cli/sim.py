"""``graphkit sim``: the simulated tenant for clients outside this process."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from graphkit import clock
from graphkit.cli.invocation import Invocation
from graphkit.cli.options import Group
from graphkit.errors import UsageError
from graphkit.sandbox import (
    Entry,
    Seed,
    SimulatedTenant,
    differences,
    instant,
    make_authority,
    serve,
    stored_time,
)

if TYPE_CHECKING:
    import ssl

TOKEN = "simulated"  # noqa: S105 - any text will do, which is the point


@click.group("sim", cls=Group)
def command() -> None:
    """Serve the simulated tenant on a local address, and look after one that is kept in a file."""


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


@dataclass(frozen=True)
class _Still:
    """A clock that stands: looking at a kept tenant takes none of its time."""

    at: float

    def now(self) -> float:
        return self.at

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("nobody waits here")


def _state_file(invocation: Invocation) -> Path:
    state = invocation.load_settings(target="simulated").target.state
    if state is None:
        raise UsageError("--state FILE names the tenant and is missing")
    return state


@contextmanager
def _kept(path: Path) -> Iterator[SimulatedTenant]:
    if not path.is_file():
        raise UsageError(f"{path}: no such tenant", hint="'graphkit sim seed --state FILE' makes one")
    try:
        tenant = SimulatedTenant.open(path, _Still(stored_time(path) or 0.0))
    except ValueError as error:
        raise UsageError(str(error)) from error
    try:
        yield tenant
    finally:
        tenant.close()


@command.command("seed")
@click.option("--users", type=click.IntRange(1), default=8000, show_default=True, help="Accounts in all.")
@click.option("--organisations", type=click.IntRange(1), default=3, show_default=True, help="RX1, RX2 ...")
@click.option(
    "--licensed",
    type=click.IntRange(0),
    default=20,
    show_default=True,
    help="How many of each organisation hold the first SKU.",
)
@click.option("--domain", default="contoso.example", show_default=True, help="The verified domain.")
@click.option("--dice", type=int, default=1, show_default=True, help="Equal dice fall equally.")
@click.pass_obj
def seed_tenant(invocation: Invocation, /, **chosen: int | str) -> None:
    """Make a tenant and keep it in --state FILE, which must not exist yet."""
    path = _state_file(invocation)
    if path.exists():
        raise UsageError(f"{path} exists already; a tenant is never seeded over another")
    seed = Seed(**chosen)  # type: ignore[arg-type]  # click has made each what its option says
    SimulatedTenant.open(path, _Still(0.0), seed=seed).close()
    made = {"tenant": seed.tenant_id, "domain": seed.domain, "organisations": list(seed.codes), "users": seed.users}
    invocation.output.emit(made)


@command.group("faults", cls=Group)
def faults() -> None:
    """What goes wrong in a kept tenant. Not while it is being served: a tenant has one process at a time."""


@faults.command("load")
@click.argument("scenario", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.pass_obj
def load_faults(invocation: Invocation, /, scenario: Path) -> None:
    """Add the rules of SCENARIO, a JSON array, to those in force."""
    with _kept(_state_file(invocation)) as tenant:
        try:
            rules = json.loads(scenario.read_text(encoding="utf-8"))
            tenant.faults.extend(rules if isinstance(rules, list) else [rules])
        except ValueError as error:
            raise UsageError(f"{scenario}: {error}") from error
        invocation.say(f"{len(tenant.faults.rules)} rules in force")


@faults.command("list")
@click.pass_obj
def list_faults(invocation: Invocation, /) -> None:
    """The rules in force, in order, with how often each matched a call and fired."""
    with _kept(_state_file(invocation)) as tenant:
        invocation.output.emit(
            [{"matched": rule.matched, "fired": rule.fired, **rule.spec} for rule in tenant.faults.rules]
        )


@faults.command("clear")
@click.pass_obj
def clear_faults(invocation: Invocation, /) -> None:
    """Let everything go well again."""
    with _kept(_state_file(invocation)) as tenant:
        tenant.faults.clear()


@command.command("log")
@click.pass_obj
def show_log(invocation: Invocation, /) -> None:
    """Every write that the tenant committed, in order, with what the caller was told (status 0: nothing).

    By "visible" every replica shows it. "effective" is when the service had done what it only accepted at first; it is
    empty while there is something to do.
    """
    with _kept(_state_file(invocation)) as tenant:
        invocation.output.emit([_shown(entry) for entry in tenant.log])


def _shown(entry: Entry) -> dict[str, object]:
    effective = instant(entry.effective) if entry.effective else None
    return {
        **entry._asdict(),
        "at": instant(entry.at),
        "visible": instant(entry.visible),
        "effective": effective,
    }


@command.command("diff")
@click.argument("a", type=click.Path(path_type=Path))
@click.argument("b", type=click.Path(path_type=Path))
@click.option("--detailed-exitcode", is_flag=True, help="Exit 2 if they differ.")
@click.pass_obj
def show_diff(invocation: Invocation, /, a: Path, b: Path, detailed_exitcode: bool) -> int:
    """What the tenants in A and B hold that the other does not, ids and times apart."""
    with _kept(a) as ours, _kept(b) as theirs:
        found = [
            {**each._asdict(), "properties": list(each.properties)} for each in differences(ours.state, theirs.state)
        ]
    invocation.output.emit(
        found,
        lambda: (
            [
                f"{'<' if each['only'] == 'a' else '>' if each['only'] else '~'} {each['kind']}: {each['name']}"
                + (f" ({', '.join(each['properties'])})" if each["properties"] else "")
                for each in found
            ]
            or ["they hold the same"]
        ),
    )
    return 2 if found and detailed_exitcode else 0
