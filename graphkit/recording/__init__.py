"""Conversations with Microsoft Graph, recorded in pseudonyms and replayed.

A cassette holds one line for each operation. The recorder and the player are transports; ``graphkit.testing`` makes
fixtures of them. See ``docs/testing-recipes.md``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from graphkit.recording.before import what_was_there as what_was_there
from graphkit.recording.cassette import Cassette as Cassette
from graphkit.recording.cassette import Operation as Operation
from graphkit.recording.cassette import inputs_of as inputs_of
from graphkit.recording.cassette import read as read
from graphkit.recording.doors import ReplayTransport as ReplayTransport
from graphkit.recording.doors import graph_pattern as graph_pattern
from graphkit.recording.doors import mount as mount
from graphkit.recording.doors import side_effect as side_effect
from graphkit.recording.inputs import Given as Given
from graphkit.recording.player import Player as Player
from graphkit.recording.player import Unmatched as Unmatched
from graphkit.recording.recorder import Recorder as Recorder
from graphkit.recording.recorder import RecordingTransport as RecordingTransport

_players: dict[Path, Player] = {}
_recorders: dict[Path, Recorder] = {}


def player_for(path: Path) -> Player:
    """A new player, but inside :func:`shared` the one that all commands share. Raises ``UsageError``."""
    return _players.get(path.resolve()) or Player(read(path))


def recorder_for(path: Path, rules: Iterable[str] = ()) -> Recorder:
    """One for each file and process, however many sessions it hears. Raises ``UsageError`` if the file is there."""
    key = path.resolve()
    if key not in _recorders:
        _recorders[key] = Recorder(path, rules=rules)
    return _recorders[key]


@contextmanager
def shared(path: Path, *, player: Player | None = None, recorder: Recorder | None = None) -> Iterator[None]:
    """Inside, every session that plays or records ``path`` goes on where the one before stopped."""
    key = path.resolve()
    before = dict(_players), dict(_recorders)
    if player:
        _players[key] = player
    if recorder:
        _recorders[key] = recorder
    try:
        yield
    finally:
        _players.clear()
        _players.update(before[0])
        _recorders.clear()
        _recorders.update(before[1])
