"""``graphkit doctor``: is everything there, and what to do about what is not. Shows no secret."""

from __future__ import annotations

import math
import os
import platform
import re
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import click

from graphkit import __version__, clock
from graphkit.auth import make_token_sources
from graphkit.auth.source import FixedSource
from graphkit.cli.auth import compared
from graphkit.cli.invocation import Invocation
from graphkit.cli.options import Command
from graphkit.errors import GraphkitError
from graphkit.private import make_folder
from graphkit.protocol.identity import TokenSource
from graphkit.recipe import all_recipes
from graphkit.reports import text
from graphkit.session import Session, cloud_of
from graphkit.settings import SETTINGS, Settings

OK, WARN, FAIL = "ok", "warn", "fail"
PACKAGES = ("httpx", "azure-identity", "msal", "msal-extensions", "pydantic", "msgspec", "click", "rich")
SHORT_S = 600
_USER_INFO = re.compile(r"//[^/]*@")


@dataclass(frozen=True, slots=True)
class Check:
    """One line. ``exit_code`` is that of the command if this check fails."""

    name: str
    state: str
    found: str
    advice: str = ""
    exit_code: int = 0


@click.command("doctor", cls=Command)
@click.pass_obj
def command(invocation: Invocation, /) -> int:
    """Check the set-up: versions, settings, network, runs folder, sign-in, permissions."""
    checks = list(_all(invocation))
    rows = [{name: value for name, value in asdict(check).items() if name != "exit_code"} for check in checks]
    invocation.output.emit({"checks": rows}, lambda: _shown(checks))
    return next((check.exit_code for check in checks if check.state == FAIL), 0)


def _all(invocation: Invocation) -> Iterator[Check]:
    settings = invocation.settings
    yield from _versions()
    yield from _settings(settings)
    yield _proxy(settings)
    yield _trust(settings)
    yield _runs_folder(settings.runs_dir)
    tokens = list(_tokens(settings))
    yield from tokens
    if all(token.state != FAIL for token in tokens):
        yield from _tenant(invocation)


def _shown(checks: list[Check]) -> Iterator[str]:
    for check in checks:
        yield f"{check.state:<4}  {check.name}: {text.printable(check.found)}"
        if check.advice:
            yield f"      -> {text.printable(check.advice)}"


def _failed(name: str, error: GraphkitError) -> Check:
    return Check(name, FAIL, error.message, error.hint, error.exit_code)


def _versions() -> Iterator[Check]:
    yield Check("python", OK, f"{platform.python_version()} on {platform.system()} {platform.machine()}")
    found, missing = [f"graphkit {__version__}"], []
    for package in PACKAGES:
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            missing.append(package)
    if missing:
        yield Check("packages", FAIL, f"missing: {', '.join(missing)}", "install graphkit-m365 again", 1)
    else:
        yield Check("packages", OK, ", ".join(found))


def _settings(settings: Settings) -> Iterator[Check]:
    """The target, then whatever is not a default, with its origin."""
    yield Check("target", OK, f"{settings.target} ({settings.origin('target')})")
    for setting in SETTINGS:
        if setting.name in settings.origins:
            value = "(set, not shown)" if setting.secret else str(getattr(settings, setting.name))
            yield Check(f"setting {setting.name}", OK, f"{value} ({settings.origin(setting.name)})")
    if not settings.break_glass:
        advice = "name them in GRAPHKIT_BREAK_GLASS or graphkit.toml [safety] break_glass"
        yield Check("break-glass accounts", WARN, "none declared; conditional access policies will be refused", advice)


def _proxy(settings: Settings) -> Check:
    host = cloud_of(settings.target).graph_root.partition("://")[2]
    proxy = settings.proxy_for(host)
    return Check("proxy", OK, _USER_INFO.sub("//<...>@", proxy) if proxy else f"none for {host}")


def _trust(settings: Settings) -> Check:
    try:
        settings.ssl_context()
    except GraphkitError as error:
        return _failed("certificates", error)
    return Check("certificates", OK, settings.ca_bundle or "the system's store")


def _runs_folder(folder: Path) -> Check:
    try:
        make_folder(folder)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        advice = "choose another with GRAPHKIT_RUNS_DIR"
        return Check("runs folder", FAIL, f"{folder}: {error.strerror}", advice, 1)
    if os.name == "posix" and folder.stat().st_mode & 0o077:
        advice = f"run files hold personal data: chmod 700 {folder}"
        return Check("runs folder", WARN, f"{folder}: others on this machine may look into it", advice)
    return Check("runs folder", OK, f"{folder}: writable" + (" and private" if os.name == "posix" else ""))


def _tokens(settings: Settings) -> Iterator[Check]:
    """One line for each identity."""
    wall = clock.RealClock()
    try:
        sources = make_token_sources(settings, cloud_of(settings.target), wall)
    except GraphkitError as error:
        yield _failed("token", error)
        return
    for source in sources:
        yield _token(source, wall)


def _token(source: TokenSource, wall: clock.Clock) -> Check:
    async def ask() -> float:
        return (await source.token()).expires_on - wall.now()

    name = source.name
    try:
        left = clock.run(ask())
    except GraphkitError as error:
        return replace(_failed("token", error), found=f"for {name}: {error.message}")
    if math.isinf(left):
        return Check("token", OK, f"for {name}; it does not say when it ends")
    found = f"for {name}, good for {text.duration(left)}"
    if left < SHORT_S and isinstance(source, FixedSource):
        return Check("token", WARN, found, "a token that was handed over is not renewed: get a new one")
    return Check("token", OK, found)


def _tenant(invocation: Invocation) -> Iterator[Check]:
    async def ask(session: Session) -> list[Check]:
        return [Check("tenant", OK, session.tenant.shown), *_permissions(session)]

    try:
        yield from invocation.in_session(ask)
    except GraphkitError as error:
        yield _failed("tenant", error)


def _permissions(session: Session) -> Iterator[Check]:
    rows = [compared(session, recipe) for recipe in all_recipes()]
    if not all(row["known"] for row in rows):
        yield Check("permissions", WARN, "the token does not say what it permits", "refused requests will tell")
        return
    yield _beyond_need(session, {name for row in rows for name in (*row["required"], *row["ifAskedFor"])})
    for row in rows:
        missing = ", ".join(row["missing"])
        advice = f"graphkit auth permissions {row['recipe']}" if missing else ""
        state = WARN if missing else OK
        yield Check(f"permissions for {row['recipe']}", state, f"missing: {missing}" if missing else "all", advice)


def _beyond_need(session: Session, needed: set[str]) -> Check:
    """What no recipe needs is a risk for nothing; some of it is the keys to the tenant."""
    found = session.permissions(needed)
    unnamed = sorted(set(found.take_over) - set(session.settings.take_over))
    if unnamed:
        advice = "plans and runs stop with it: take it away, or name it in GRAPHKIT_TAKE_OVER"
        return Check("permissions to take over the tenant", WARN, ", ".join(unnamed), advice)
    if found.excess:
        return Check("permissions that no recipe needs", WARN, ", ".join(found.excess), "take them away")
    return Check("permissions that no recipe needs", OK, "none")
