"""Deleting what a run made, and bringing back what an undo deleted."""

from __future__ import annotations

from graphkit.protocol.message import Idempotency, Request
from graphkit.protocol.odata import segment


def deletion(path: str, version: str = "v1.0") -> Request:
    """DELETE. Sent again it answers 404, and that is read back."""
    return Request(method="DELETE", path=path, version=version, idempotency=Idempotency.CONVERGENT)


def restoring(recycle_bin: str, object_id: str, *, target: str, version: str = "v1.0") -> Request:
    """Take an object out of a recycle bin; there for 30 days, under the id that it had.

    https://learn.microsoft.com/graph/api/directory-deleteditems-restore. Sent again it answers 404, and that is read
    back.
    """
    return Request(
        method="POST",
        path=f"{recycle_bin}/{segment(object_id)}/restore",
        version=version,
        idempotency=Idempotency.CONVERGENT,
        target=target,
    )
