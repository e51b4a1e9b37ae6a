"""``graphkit auth``: sign in and out, and see what may be done."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from graphkit import auth, recipe
from graphkit.auth.app_roles import GRAPH_APP_ID, app_roles, azure_cli, powershell
from graphkit.auth.permissions import TAKE_OVER
from graphkit.cli.invocation import Invocation, tell
from graphkit.cli.options import Group
from graphkit.reports import text
from graphkit.session import Session, cloud_of

if TYPE_CHECKING:
    from graphkit.settings import Settings


@click.group("auth", cls=Group)
def command() -> None:
    """Sign in and out, and see what may be done."""


@command.command("login")
@click.option("--device-code", is_flag=True, help="Sign in on another device, with a code.")
@click.option("--insecure-cache", is_flag=True, help="Where nothing encrypts, keep the sign-in in a plain file (0600).")
@click.pass_obj
def login(invocation: Invocation, /, device_code: bool, insecure_cache: bool) -> None:
    """Sign in as a person; the sign-in is kept encrypted."""
    settings = invocation.load_settings(**({"auth": "device-code"} if device_code else {}))
    account = auth.login(settings, cloud_of(settings.target), show=tell, insecure_cache=insecure_cache)
    if account.note:
        invocation.say(account.note)
    facts = {"username": account.username, "tenant": account.tenant_id, "store": account.store}
    invocation.output.emit(facts, lambda: [f"signed in as {text.printable(account.username)}"])


@command.command("status")
@click.pass_obj
def status(invocation: Invocation, /) -> int:
    """How requests would be authenticated. Asks no network; exit 4 if they could not be."""
    found = auth.status(invocation.settings)
    facts = asdict(found)
    invocation.output.emit(facts, lambda: text.pairs({name: value for name, value in facts.items() if value}))
    return 4 if found.problem else 0


@command.command("logout")
@click.pass_obj
def logout(invocation: Invocation, /) -> None:
    """Forget every stored sign-in."""
    count = auth.logout(invocation.settings)
    invocation.output.emit({"forgotten": count}, lambda: [f"{count} sign-in{'' if count == 1 else 's'} forgotten"])


@command.command("permissions")
@click.argument("recipes", nargs=-1, required=True, metavar="RECIPE...")
@click.option("--for-identity", is_flag=True, help="The app roles to grant to a managed identity, and how. Offline.")
@click.pass_obj
def permissions(invocation: Invocation, /, recipes: tuple[str, ...], for_identity: bool) -> None:
    """What each RECIPE needs, against what the token gives."""
    wanted = [recipe.find(name) for name in recipes]
    if for_identity:
        facts = to_grant(wanted, invocation.settings)
        invocation.output.emit(facts, lambda: _told(facts))
        return

    async def ask(session: Session) -> list[dict[str, Any]]:
        return [compared(session, each) for each in wanted]

    rows = invocation.in_session(ask)
    invocation.output.emit(rows, lambda: _shown(rows))


def to_grant(wanted: Sequence[recipe.Recipe | recipe.Report], settings: Settings) -> dict[str, Any]:
    """The app roles that the recipes need between them, no more, and the commands that grant them to an identity.

    Those that only some inputs need are named and not granted.
    """
    base = recipe.base_permissions(settings.break_glass)
    names = {*base, *(name for each in wanted for name in each.permissions)}
    roles, graph_root = app_roles(names), cloud_of(settings.target).graph_root
    return {
        "recipes": [each.name for each in wanted],
        "resource": GRAPH_APP_ID,
        "roles": [role._asdict() for role in roles],
        "ifAskedFor": sorted({name for each in wanted for name in recipe.if_asked_for(each)} - names),
        "takeOver": sorted(TAKE_OVER & names),
        "azureCli": azure_cli(roles, graph_root),
        "powershell": powershell(roles),
    }


def _told(facts: dict[str, Any]) -> Iterator[str]:
    yield f"app roles of Microsoft Graph ({facts['resource']}) for {', '.join(facts['recipes'])}:"
    for role in facts["roles"]:
        yield f"  {role['id']}  {role['name']}"
    if facts["ifAskedFor"]:
        yield f"  only if the input asks for what needs them, and not below: {', '.join(facts['ifAskedFor'])}"
    if facts["takeOver"]:
        yield f"  ! {', '.join(facts['takeOver'])}: whoever holds this identity can take over the tenant"
    for title, lines in (("with the Azure CLI", facts["azureCli"]), ("with PowerShell", facts["powershell"])):
        yield ""
        yield f"# {title}, as someone who may grant them (Privileged Role Administrator)"
        yield from lines


def compared(session: Session, wanted: recipe.Recipe | recipe.Report) -> dict[str, Any]:
    """One recipe's permissions, granted, missing and in excess. What only some inputs need is neither."""
    required = sorted({*recipe.base_permissions(session.settings.break_glass), *wanted.permissions})
    optional = sorted({*recipe.if_asked_for(wanted)} - {*required})
    found = session.permissions([*required, *optional])
    return {
        "recipe": wanted.name,
        "known": found.known,
        "required": required,
        "ifAskedFor": optional,
        "granted": list(found.granted),
        "missing": [name for name in found.missing if name not in optional],
        "excess": list(found.excess),
        "take_over": list(found.take_over),
    }


def _shown(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    for row in rows:
        yield row["recipe"]
        yield f"  required: {', '.join(row['required'])}"
        if row["ifAskedFor"]:
            yield f"  only if the input asks for what needs them: {', '.join(row['ifAskedFor'])}"
        if not row["known"]:
            yield "  the token does not say what it permits; missing permissions will show as refused requests"
            continue
        yield f"  granted:  {', '.join(row['granted']) or 'nothing'}"
        yield f"  missing:  {', '.join(row['missing']) or 'nothing'}"
        yield f"  excess:   {', '.join(row['excess']) or 'nothing'}"
        if row["take_over"]:
            yield f"  ! {', '.join(row['take_over'])}: whoever holds this identity can take over the tenant"
