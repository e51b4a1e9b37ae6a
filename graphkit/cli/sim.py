"""``graphkit sim``: the simulated tenant for clients outside this process."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from graphkit import clock
from graphkit.cli.invocation import Invocation
from graphkit.cli.options import Group
from graphkit.clock import StillClock
from graphkit.errors import UsageError
from graphkit.reports import text
from graphkit.sandbox import (
    Entry,
    Seed,
    SimulatedTenant,
    adopt,
    differences,
    furnish,
    instant,
    load_scenario,
    make_authority,
    scenarios,
    seed_after,
    serve,
    stored_time,
)
from graphkit.sandbox.areas import ROUTES

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
    metavar="SECONDS",
    help="How long an access token lasts, if not as long as the service's.",
)
@click.option(
    "--faults",
    multiple=True,
    metavar="FILE|NAME",
    help="A scenario: what goes wrong. Can be repeated.",
)
@click.option(
    "--time-scale",
    type=click.FloatRange(1),
    default=1.0,
    show_default=True,
    metavar="N",
    help="How many times as fast the tenant's time passes: quotas, delays, replication.",
)
@click.option(
    "--latency",
    type=click.FloatRange(0),
    default=0.0,
    show_default=True,
    metavar="MS",
    help="How long each answer takes, in the tenant's time.",
)
@click.option(
    "--other-load",
    type=click.FloatRange(0, 1, max_open=True),
    default=0.0,
    show_default=True,
    metavar="SHARE",
    help="What other apps use up of the quotas that all share.",
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
    token_lifetime: float | None,
    faults: tuple[str, ...],
    time_scale: float,
    latency: float,
    other_load: float,
) -> None:
    """Answer Microsoft Graph on a local address until Ctrl-C or kill; --state FILE keeps the tenant."""
    if "virtual_time" in invocation.given:
        raise UsageError("--virtual-time: a served tenant lives in real time, as its clients do")
    if https != (ca_folder is not None):
        raise UsageError("--https and --ca-folder belong together")
    state = invocation.load_settings(target="simulated").target.state
    given = {
        "seed": Seed(users=users),
        "token_s": token_lifetime,
        "latency_s": latency / 1000,
        "other_load": other_load,
    }

    async def main() -> None:
        _end_when_told_to()
        with closing(_begin(state, time_scale, given)) as tenant:
            _add_faults(tenant, faults)
            tls, environment = _secured(tenant, host, ca_folder) if ca_folder else (None, {})
            await serve(
                tenant,
                host,
                port,
                tls=tls,
                on_ready=lambda address: _announce(
                    invocation, address, {**environment, **tenant.login.managed.environment(address)}, tls is not None
                ),
            )

    try:
        clock.run(main())
    except (KeyboardInterrupt, asyncio.CancelledError):
        invocation.say("stopped")
    except (ValueError, ImportError) as error:
        raise UsageError(str(error)) from error


def _end_when_told_to() -> None:
    """SIGTERM is all that stops a server that a shell started with ``&`` and made to ignore Ctrl-C."""
    serving = asyncio.current_task()
    if serving and sys.platform != "win32":
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, serving.cancel)


@dataclass(frozen=True)
class _Ahead:
    """A clock that is ahead of another: a kept tenant's time never goes back, even if it once passed faster."""

    followed: clock.Clock
    by: float

    def now(self) -> float:
        return self.followed.now() + self.by

    async def sleep(self, seconds: float) -> None:
        await self.followed.sleep(seconds)


def _begin(state: Path | None, time_scale: float, given: dict[str, Any]) -> SimulatedTenant:
    """The tenant to serve. Its clients live in real time, and so do their tokens and assertions."""
    wall = clock.RealClock()
    quick = clock.RealClock(time_scale)
    if state:
        lead = (stored_time(state) or 0.0) - wall.now()
        tenant = SimulatedTenant.open(state, _Ahead(quick, max(0.0, lead)), **given)
    else:
        tenant = SimulatedTenant(quick, **given)
    tenant.login.watch = wall
    return tenant


def _add_faults(tenant: SimulatedTenant, wanted: Iterable[str]) -> None:
    """Rules that a kept tenant has already go on with their counts."""
    kept = [rule.spec for rule in tenant.faults.rules]
    rules = [rule for scenario in wanted for rule in load_scenario(scenario)]
    tenant.faults.extend(rule for rule in rules if rule not in kept)


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


def _announce(invocation: Invocation, address: str, environment: dict[str, str], secure: bool) -> None:
    own = {"GRAPHKIT_AUTHORITY_URL": address} if secure else {"GRAPHKIT_ACCESS_TOKEN": TOKEN}
    environment = {"GRAPHKIT_GRAPH_URL": address, **own, **environment}
    invocation.output.emit(
        {"address": address, "environment": environment},
        lambda: [
            f"a simulated tenant answers on {address} until Ctrl-C",
            *(f"{name}={value}" for name, value in environment.items()),
        ],
    )
    sys.stdout.flush()  # whoever started us as a child waits for these lines


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
        tenant = SimulatedTenant.open(path, StillClock(stored_time(path) or 0.0))
    except ValueError as error:
        raise UsageError(str(error)) from error
    try:
        yield tenant
    finally:
        tenant.close()


def _units(_: click.Context, __: click.Parameter, given: tuple[str, ...]) -> dict[str, int]:
    """``SPE_E3=60`` ...: a product, and the units bought."""
    found = {}
    for each in given:
        name, _equals, number = each.partition("=")
        if not number.isdecimal():
            raise UsageError(f"--sku {each}: NAME=UNITS, as in SPE_E3=60")
        found[name] = int(number)
    return found


@command.command("seed")
@click.option("--users", type=click.IntRange(1), default=8000, show_default=True, help="Accounts in all.")
@click.option("--organisations", type=click.IntRange(1), default=3, show_default=True, help="RX1, RX2 ...")
@click.option("--devices", type=click.IntRange(0), default=0, show_default=True, help="Managed Windows devices in all.")
@click.option(
    "--groups", type=click.IntRange(0), default=0, show_default=True, help="Groups of 20 in each organisation."
)
@click.option("--policies", is_flag=True, help="A few policies: conditional access, compliance, a ring of updates.")
@click.option(
    "--sku", "seats", multiple=True, callback=_units, metavar="NAME=UNITS", help="A product; may be repeated."
)
@click.option(
    "--licensed",
    type=click.IntRange(0),
    default=20,
    show_default=True,
    help="How many of each organisation hold the first SKU.",
)
@click.option("--domain", default="contoso.example", show_default=True, help="The verified domain.")
@click.option("--dice", type=int, default=1, show_default=True, help="Equal dice fall equally.")
@click.option(
    "--from",
    "cassette",
    type=click.Path(path_type=Path),
    metavar="CASSETTE",
    help="As the tenant was that a recording read, before it wrote; in place of all other options.",
)
@click.pass_obj
def seed_tenant(
    invocation: Invocation,
    /,
    groups: int,
    policies: bool,
    seats: dict[str, int],
    cassette: Path | None,
    **chosen: int | str,
) -> None:
    """Make a tenant and keep it in --state FILE, which must not exist yet."""
    path = _state_file(invocation)
    if path.exists():
        raise UsageError(f"{path} exists already; a tenant is never seeded over another")
    if cassette:
        _seed_from(invocation, path, cassette)
        return
    products = {"skus": tuple(seats), "seats": seats} if seats else {}
    try:
        seed = Seed(**chosen, **products)  # type: ignore[arg-type]  # click has made each what its option says
    except ValueError as error:
        raise UsageError(str(error)) from error
    with closing(_made(path, clock.VIRTUAL_EPOCH, seed)) as tenant:
        furnish(tenant, groups=groups, policies=policies)
    made = {"tenant": seed.tenant_id, "domain": seed.domain, "organisations": list(seed.codes), "users": seed.users}
    invocation.output.emit({**made, "devices": seed.devices, "groups": groups * len(seed.codes)})


def _seed_from(invocation: Invocation, path: Path, cassette: Path) -> None:
    """A cassette tells when it was recorded, too: the tenant lives at that time."""
    from graphkit.recording import read, what_was_there

    _refuse_further_options()
    recorded = read(cassette)
    before = what_was_there(recorded)
    with closing(_made(path, recorded.header.started, seed_after(before.objects))) as tenant:
        adopt(tenant, before.objects, before.links)
        made = {"tenant": tenant.tenant_id, "domain": tenant.seed.domain}
    counts = {name: len(found) for name, found in sorted(before.objects.items()) if name != "organization"}
    invocation.output.emit({**made, **counts, "links": len(before.links)})


def _made(path: Path, now: float, seed: Seed) -> SimulatedTenant:
    try:
        return SimulatedTenant.open(path, StillClock(now), seed=seed)
    except ValueError as error:
        raise UsageError(str(error)) from error


def _refuse_further_options() -> None:
    context = click.get_current_context()
    given = [
        option.opts[0]
        for option in context.command.params
        if option.name not in (None, "cassette") and isinstance(option, click.Option) and option.expose_value
        if context.get_parameter_source(option.name or "") is ParameterSource.COMMANDLINE
    ]
    if given:
        raise UsageError(f"{', '.join(given)}: --from takes everything from the cassette")


@command.command("endpoints")
@click.pass_obj
def list_endpoints(invocation: Invocation, /) -> None:
    """Everything that is modelled: method, path, version, the permissions that allow it, and the page it follows.

    Of each list of permissions one is needed, and the first is the least; the table for people shows that one.
    """
    rows = [
        {
            "method": route.method,
            "path": route.template,
            "version": "beta" if route.beta_only else "v1.0, beta",
            "permissions": [list(need) for need in route.needs],
            "source": route.source,
        }
        for route in sorted(ROUTES, key=lambda route: (route.template.lower(), route.method))
    ]
    invocation.output.emit(rows, lambda: _endpoints(rows))


def _endpoints(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    shown = [{**row, "permissions": ", ".join(need[0] for need in row["permissions"])} for row in rows]
    return text.table(list(shown[0]), [list(row.values()) for row in shown], widest=200)


@command.group("faults", cls=Group)
def faults() -> None:
    """What goes wrong in a kept tenant. Not while it is being served: a tenant has one process at a time."""


@faults.command("load")
@click.argument("scenario", metavar="FILE|NAME")
@click.pass_obj
def load_faults(invocation: Invocation, /, scenario: str) -> None:
    """Add the rules of a scenario, in a file or by the name of one that comes with graphkit, to those in force."""
    with _kept(_state_file(invocation)) as tenant:
        try:
            tenant.faults.extend(load_scenario(scenario))
        except ValueError as error:
            raise UsageError(str(error)) from error
        invocation.say(f"{len(tenant.faults.rules)} rules in force")


@faults.command("scenarios")
@click.pass_obj
def list_scenarios(invocation: Invocation, /) -> None:
    """The scenarios that come with graphkit, and what goes wrong in each."""
    invocation.output.emit(
        [
            {"name": each.name, "description": each.description, "rules": len(each.rules), "seed": each.seed}
            for each in scenarios()
        ],
        lambda: [f"{each.name}: {each.description}" for each in scenarios()],
    )


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
