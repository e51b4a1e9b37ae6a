"""Rows for which a recipe wishes nothing: not due yet, or of others. They too have a line in the results."""

from __future__ import annotations

from collections.abc import Callable

from graphkit.engine.change import Origin

_TOGETHER = 1000


class Unasked:
    """What was given out and not wished for, as long as nobody knows better; ``keep`` takes it in, some at a time.

    A row that is wished for later does no harm: whoever keeps rows keeps each once.
    """

    def __init__(self) -> None:
        self.read = 0
        """Rows that were read, whatever became of them."""
        self.keep: Callable[[list[Origin]], None] = lambda _: None
        self._rows: list[Origin] = []

    def given(self, row: Origin) -> None:
        if len(self._rows) >= _TOGETHER:
            self.flush()
        self._rows.append(row)

    def wished(self, row: Origin) -> None:
        """Wishes follow the row that they are for."""
        if self._rows and self._rows[-1] is row:
            self._rows.pop()

    def flush(self) -> None:
        if self._rows:
            self.keep(self._rows)
            self._rows = []
