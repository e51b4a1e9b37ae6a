"""Is a folder on a mounted share, or on the disk of one instance that may be gone tomorrow?"""

from __future__ import annotations

import re
from pathlib import Path

SHARES = frozenset({"cifs", "smb3", "nfs", "nfs4"})
_MOUNTS = Path("/proc/self/mounts")
_OCTAL = re.compile(r"\\([0-7]{3})")


def is_on_a_share(folder: Path, mounts: str | None = None) -> bool:
    """By the file system of the nearest mount point; ``mounts`` is the text of ``/proc/self/mounts``.

    Where there is no such file, nothing is known to be a share.
    """
    if mounts is None:
        try:
            mounts = _MOUNTS.read_text(encoding="utf-8", errors="surrogateescape")
        except OSError:
            return False
    place = folder.resolve()
    nearest, kind = Path(), ""
    for line in mounts.splitlines():
        fields = line.split(" ")
        point = Path(_OCTAL.sub(lambda match: chr(int(match[1], 8)), fields[1])) if len(fields) > 2 else Path()
        # Of two mounts on one point the later one is on top.
        if place.is_relative_to(point) and len(point.parts) >= len(nearest.parts):
            nearest, kind = point, fields[2]
    return kind in SHARES
