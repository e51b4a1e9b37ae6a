"""The one place where an error becomes words and an exit code."""

from __future__ import annotations

import os
import sqlite3
import sys
from collections.abc import Sequence
from typing import Any

import click

from graphkit.cli.invocation import Invocation, tell
from graphkit.cli.output import to_json, write
from graphkit.errors import AuthError, GraphkitError, InputErrors, Interrupted, UsageError

READER_GONE = 141
"""What a shell reports for a process that wrote into a closed pipe."""
PROBLEMS_SHOWN = 500


class SystemFailed(GraphkitError):
    """The operating system refused something: a file, a disk, an address."""

    code = "system"


class Defect(GraphkitError):
    """Nobody foresaw this: it is ours to repair."""

    code = "defect"


def explain(error: BaseException, invocation: Invocation, arguments: Sequence[str] = ()) -> int:
    """Tell what went wrong, on standard error or as JSON on standard output, and return the exit code."""
    if isinstance(error, BrokenPipeError):
        _give_up_on_output()
        return READER_GONE
    known = as_graphkit_error(error)
    if invocation.go_on:
        # Whoever was turned away must do something about it first.
        first = f"{known.hint}; then " if isinstance(known, AuthError) and known.hint else ""
        known.hint = first + invocation.go_on
    if isinstance(known, Defect) or invocation.verbosity > 1:
        _show_traceback(error)
    if not (wants_json(invocation, arguments) and _wrote({**invocation.facts, "error": known.to_json()})):
        tell_error(known)
    return known.exit_code


def _wrote(facts: dict[str, Any]) -> bool:
    """As JSON; False where standard output takes no more, which may be the very error."""
    try:
        write(to_json(facts, indent=2) + "\n")
        sys.stdout.flush()
    except OSError:
        _give_up_on_output()
        return False
    return True


def _give_up_on_output() -> None:
    """Python would complain once more when it flushes at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def as_graphkit_error(error: BaseException) -> GraphkitError:
    """Every error as one of ours, with a message for people."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    match error:
        case GraphkitError():
            return error
        case click.ClickException():
            return _usage(error)
        case KeyboardInterrupt() | click.Abort():
            return Interrupted("interrupted")
        case sqlite3.Error():
            return SystemFailed(f"the database refused: {error}", hint="is the disk full, or the file in use?")
        case OSError():
            subject = f"{error.filename}: " if error.filename else ""
            return SystemFailed(f"{subject}{error.strerror or error}")
    from graphkit.redact import redact

    return Defect(
        redact(f"{type(error).__name__}: {error}"),
        hint="this is a defect of graphkit; please report it with the lines above",
    )


def _usage(error: click.ClickException) -> UsageError:
    context = getattr(error, "ctx", None)
    path = context.command_path if context else "graphkit"
    return UsageError(error.format_message(), hint=f"{path} --help")


def tell_error(error: GraphkitError) -> None:
    """Every problem of the input on its own line, then what happened, then what to do."""
    if isinstance(error, InputErrors):
        for problem in error.problems[:PROBLEMS_SHOWN]:
            tell(str(problem))
        if len(error.problems) > PROBLEMS_SHOWN:
            tell(f"... and {len(error.problems) - PROBLEMS_SHOWN:,} more; -o json lists all")
    tell(f"error: {error.message}")
    if error.hint:
        tell(f"hint: {error.hint}")


def wants_json(invocation: Invocation, arguments: Sequence[str]) -> bool:
    """Also where the command line itself could not be read to its end."""
    asked = invocation.given.get("output")
    if asked is None:
        text = " ".join(arguments)
        return any(spelling in f"{text} " for spelling in ("-o json ", "-ojson ", "--output json ", "--output=json "))
    return bool(asked == "json")


def _show_traceback(error: BaseException) -> None:
    import traceback

    from graphkit.redact import redact

    lines: list[Any] = traceback.format_exception(error)
    tell(redact("".join(lines)).rstrip())
