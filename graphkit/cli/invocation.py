"""One command line as it was given: the global options, the settings they lead to, and the way out."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from graphkit.cli.output import Output

if TYPE_CHECKING:
    from graphkit.recording import Player
    from graphkit.session import Session
    from graphkit.settings import Settings

T = TypeVar("T")

_SETTINGS = ("target", "state", "config", "virtual_time", "log_format", "log_file", "record", "record_rules")
_LEVELS = ("warning", "info", "debug")


@dataclass
class Invocation:
    """What every command receives.

    ``given`` holds the global options that were given, by name. ``facts`` are known even if the command then fails, and
    ``go_on`` is the command that continues what was begun.
    """

    given: dict[str, Any] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    go_on: str = ""
    _player: Player | None = None

    @property
    def quiet(self) -> bool:
        return bool(self.given.get("quiet"))

    @property
    def verbosity(self) -> int:
        """How often ``-v`` was given."""
        return int(self.given.get("verbose", 0))

    @cached_property
    def output(self) -> Output:
        return Output(self.given.get("output", "table"), self.given.get("query", ""))

    @cached_property
    def settings(self) -> Settings:
        """Resolved on first use, which also sets up the logs. Raises ``UsageError``."""
        return self.load_settings()

    def load_settings(self, **further: Any) -> Settings:
        """The settings with the global options, and ``further`` flags of one command."""
        from graphkit import log
        from graphkit.settings import load

        flags = {name: self.given[name] for name in _SETTINGS if name in self.given} | further
        if self.verbosity:
            flags["log_level"] = _LEVELS[min(self.verbosity, 2)]
        elif self.quiet:
            flags["log_level"] = "error"
        settings = load(flags)
        log.setup(settings.log_level, settings.log_format, settings.log_file, settings.secrets)
        return settings

    def say(self, line: str) -> None:
        """One line for the person, on standard error; nothing with ``--quiet``."""
        if not self.quiet:
            tell(line)

    def in_session(self, work: Callable[[Session], Awaitable[T]]) -> T:
        """Connect to the target, do the work there, and return what came of it."""
        from graphkit import clock
        from graphkit.session import open_session

        async def main() -> T:
            async with open_session(self.settings) as session:
                return await work(session)

        with self._replaying():
            return clock.run(main(), virtual=self.settings.target.virtual_time)

    @contextmanager
    def _replaying(self) -> Iterator[None]:
        """The sessions of one command are one conversation: each goes on where the one before stopped.

        Raises ``Unmatched`` if something was asked in vain, whatever became of the command: no reading is to be trusted
        then.
        """
        if self.settings.target.kind != "replay":
            yield
            return
        from graphkit.recording import player_for, shared

        path = self.settings.target.cassette
        player = self._player = self._player or player_for(path)
        try:
            with shared(path, player=player):
                yield
        finally:
            player.raise_if_unmatched()

    def target_flags(self) -> str:
        """What to add to a command so that it talks to the same target."""
        from graphkit.cli.text import quoted

        named = (("-t", "target"), ("--state", "state"), ("--config", "config"))
        flags = [f"{flag} {quoted(self.given[name])}" for flag, name in named if name in self.given]
        flags += ["--virtual-time"] if "virtual_time" in self.given else []
        return " ".join(flags)


def tell(line: str) -> None:
    """One line on standard error, whatever an outsider may have put into it made harmless."""
    from graphkit.reports.text import printable

    print("\n".join(printable(part) for part in line.split("\n")), file=sys.stderr)
