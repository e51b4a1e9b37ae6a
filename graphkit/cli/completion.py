"""``graphkit completion``: what a shell needs to complete commands."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from graphkit.cli.options import Command

VARIABLE = "_GRAPHKIT_COMPLETE"
"""Set by the shell's function when it asks what may follow."""


@click.command("completion", cls=Command)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print the completion script for SHELL; evaluate it in the shell's start file.

    \b
    bash  eval "$(graphkit completion bash)"
    zsh   eval "$(graphkit completion zsh)"
    fish  graphkit completion fish | source
    """
    found = get_completion_class(shell)
    assert found is not None  # noqa: S101 - the choice above holds only those that click knows
    from graphkit.cli.app import root

    click.echo(found(root, {}, "graphkit", VARIABLE).source())


def answer(instruction: str) -> int:
    """What the script asks on each press of the key; prints what may follow."""
    from click.shell_completion import shell_complete

    from graphkit.cli.app import root

    return shell_complete(root, {}, "graphkit", VARIABLE, instruction)
