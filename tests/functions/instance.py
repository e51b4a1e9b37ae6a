"""One instance of the function app in a process of its own: ``python instance.py SHARE FLAGS MESSAGE LATER``.

It handles one message, its watch so many seconds ahead, and writes those that it puts, a line each, to
``SHARE/queue.jsonl``.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path

from graphkit.clock import RealClock
from graphkit.functions.deployment import Deployment
from graphkit.functions.work import work
from graphkit.settings import load


@dataclass
class FileQueue:
    """Lines appended to a file."""

    path: Path

    def send(self, message, *, delay=0.0):
        with self.path.open("a", encoding="utf-8") as stream:
            stream.write(message.text() + "\n")


def main(share: str, flags: str, text: str, later: str) -> None:
    env = {
        "GRAPHKIT_RUNS_DIR": share,
        "GRAPHKIT_FUNCTIONS_APPLY": "1",
        "GRAPHKIT_BREAK_GLASS": "break-glass-1@contoso.example,Break glass",
        "GRAPHKIT_ACCESS_TOKEN": "any",
    }
    settings = load(json.loads(flags), env=env, cwd=Path(share))
    work(Deployment(settings, FileQueue(Path(share) / "queue.jsonl"), lambda: RealClock().now() + float(later)), text)


if __name__ == "__main__":
    main(*sys.argv[1:])
