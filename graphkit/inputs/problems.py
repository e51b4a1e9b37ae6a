"""Where everything that is wrong with the inputs is collected, so that it can be told at once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from graphkit.errors import InputErrors, InputProblem

if TYPE_CHECKING:
    from graphkit.inputs.source import Source

KEPT_PROBLEMS = 10_000
"""How many problems are kept in full; beyond it they are only counted, so that memory stays bounded."""


class Problems:
    """A list that readers add to and never raise from; the caller ends with :meth:`raise_if_any`.

    ``found`` holds the problems in the order of the input, ``warnings`` one line each for what is odd but harmless,
    ``opened`` by its name everything that was opened: what the plan is bound to. ``within`` is the only folder from
    which files may be opened, where somebody else wrote the inputs; names are then relative to it.
    """

    def __init__(self, *, within: Path | None = None) -> None:
        self.within = within
        self.found: list[InputProblem] = []
        self.warnings: list[str] = []
        self.total = 0
        self.opened: dict[str, Source] = {}

    def __len__(self) -> int:
        return self.total

    def add(self, file: str, where: int | str, code: str, message: str) -> None:
        """``where`` is a row number, a path inside a document, or empty for the file as a whole."""
        self.total += 1
        if self.total <= KEPT_PROBLEMS:
            self.found.append(InputProblem(file, where, code, message))

    def warn(self, message: str) -> None:
        if message not in self.warnings:
            self.warnings.append(message)

    def raise_if_any(self) -> None:
        """Raise all problems as one :class:`~graphkit.errors.InputErrors`."""
        if not self.total:
            return
        more = self.total - len(self.found)
        tail = [InputProblem("", "", "more-problems", f"and {more} more")] if more else []
        raise InputErrors([*self.found, *tail], total=self.total)
