"""The root command: a table of verbs, each imported when it is asked for."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module

import click

from graphkit.cli.invocation import Invocation
from graphkit.cli.options import global_options

COMMANDS = {
    "demo": "The whole job on a simulated tenant, in seconds",
    "init": "Start a folder: graphkit.toml, .env and inputs to fill in",
    "auth": "Sign in and out, and see what may be done",
    "recipe": "The recipes, and starter inputs for them",
    "validate": "Check inputs without asking the tenant",
    "plan": "Work out what would change, and keep it as a run file",
    "show": "What a run would do, or did",
    "apply": "Carry out a plan",
    "resume": "Go on with a run that stopped",
    "runs": "The runs on this machine",
    "graph": "Single requests to Microsoft Graph, over the same transport",
    "sim": "Serve the simulated tenant on a local address",
    "doctor": "Check the set-up, and say what to do",
}
"""A verb is ``command`` in the module of its name. The text is kept here, so that help imports none of them."""


class Root(click.Group):
    """``graphkit`` itself."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        found = import_module(f"graphkit.cli.{cmd_name}").command
        assert isinstance(found, click.Command)  # noqa: S101 - a broken invariant of this package
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


def _version(ctx: click.Context, _: click.Parameter, asked: bool) -> None:
    if asked:
        from graphkit import __version__

        click.echo(f"graphkit {__version__}")
        ctx.exit()


root = Root(
    name="graphkit",
    help="Bulk changes to Microsoft 365 tenants through Microsoft Graph: planned, paced, resumable, provable.",
    epilog="Exit codes: 0 done or nothing to do, 1 error, 2 changes found, 3 partly failed, 4 sign-in or consent, "
    "5 usage or input, 6 blocked by a rail, 7 stopped early, 130 interrupted.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    params=[
        *global_options(hidden=False),
        click.Option(["--version"], is_flag=True, is_eager=True, expose_value=False, callback=_version,
                     help="Print the version and exit."),
    ],
)  # fmt: skip


def run(arguments: Sequence[str]) -> int:
    """Run a command line and return its exit code; whatever goes wrong is told, never raised."""
    invocation = Invocation()
    _speak_utf8()
    try:
        # Not root.main, which has ideas of its own about closed pipes.
        with root.make_context("graphkit", list(arguments), obj=invocation) as context:
            code = root.invoke(context)
        sys.stdout.flush()
    except click.exceptions.Exit as ended:  # after --help and --version
        return ended.exit_code
    except (Exception, KeyboardInterrupt) as error:
        from graphkit.cli.failure import explain

        return explain(error, invocation, arguments)
    return code if isinstance(code, int) else 0


def _speak_utf8() -> None:
    """Whatever the console's code page: names are not to be mangled, nor to end a run."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure:
            reconfigure(encoding="utf-8", errors="backslashreplace")
