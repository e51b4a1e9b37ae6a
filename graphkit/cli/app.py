"""The root command: each verb is imported when it is asked for."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module

import click

from graphkit.cli.invocation import Invocation
from graphkit.cli.options import global_options
from graphkit.cli.usage import COMMANDS, page
from graphkit.errors import UsageError

FILE_NAMES = sys.getfilesystemencoding()


class Root(click.Group):
    """``graphkit`` itself."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            _suggest(ctx, cmd_name)
            return None
        found = import_module(f"graphkit.cli.{cmd_name}").command
        assert isinstance(found, click.Command)  # noqa: S101 - a broken invariant of this package
        return found

    def get_help(self, ctx: click.Context) -> str:
        return page()


def _suggest(ctx: click.Context, name: str) -> None:
    """As click does, which does not know the commands that are not imported yet."""
    from difflib import get_close_matches

    if near := get_close_matches(name, COMMANDS):
        ctx.fail(f"No such command {name!r}. (Did you mean {' or '.join(near)}?)")


def _version(ctx: click.Context, _: click.Parameter, asked: bool) -> None:
    if asked:
        from graphkit import __version__

        click.echo(f"graphkit {__version__}")
        ctx.exit()


root = Root(
    name="graphkit",
    no_args_is_help=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    params=[
        *global_options(),
        click.Option(["--version"], is_flag=True, is_eager=True, expose_value=False, callback=_version),
    ],
)


def run(arguments: Sequence[str], invocation: Invocation | None = None) -> int:
    """Run a command line and return its exit code; whatever goes wrong is told, never raised.

    An ``invocation`` holds what is given already, as by the command inside which this one runs.
    """
    invocation = invocation or Invocation()
    _open_what_was_closed()
    _speak_utf8()
    try:
        _refuse_what_is_no_text(arguments)
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


def _open_what_was_closed() -> None:
    """Streams that whoever started us had closed (``>&-``): nobody listens, and no file of ours may become one."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115 - stays open like any of them


def _refuse_what_is_no_text(arguments: Sequence[str]) -> None:
    """Bytes of a file's name that mean nothing in this locale could be kept neither in a run nor in JSON."""
    for argument in arguments:
        try:
            argument.encode()
        except UnicodeEncodeError:
            shown = argument.encode("utf-8", "backslashreplace").decode()
            hint = f"rename it, or say how names are written here, as with PYTHONUTF8=1; now it is {FILE_NAMES}"
            raise UsageError(f"{shown}: holds bytes that are no text", hint=hint) from None


def _speak_utf8() -> None:
    """Whatever the console's code page: names are not to be mangled, nor to end a run, and output is the same bytes."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure:
            reconfigure(encoding="utf-8", errors="backslashreplace", newline="\n")
