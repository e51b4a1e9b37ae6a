"""Files that whoever knows their address may fetch for a few minutes: usage reports.

The service has a host of its own for them (reports.office.com), needs no token there and takes none. Here they are on
the tenant's own host, so a client that follows the redirect may rightly keep its ``Authorization`` header: it is not
looked at. How long an address lasts is "a few minutes" on the pages, and five here.
"""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import TYPE_CHECKING, NamedTuple

from graphkit.sandbox.call import Refusal, Reply
from graphkit.sandbox.ids import random_guid

if TYPE_CHECKING:
    from graphkit.sandbox.tenant import SimulatedTenant

PREFIX = "/reports-download/"
LASTS_S = 300.0


class _File(NamedTuple):
    ends: float
    name: str
    make: Callable[[], bytes]


class Downloads:
    """Addresses given out and what is behind them. They do not outlive the process."""

    def __init__(self, tenant: SimulatedTenant) -> None:
        self._tenant = tenant
        self._files: dict[str, _File] = {}

    def offer(self, name: str, make: Callable[[], bytes]) -> str:
        """A new path, at which ``make`` is called when it is fetched."""
        now = self._tenant.clock.now()
        self._files = {path: file for path, file in self._files.items() if file.ends > now}
        path = PREFIX + random_guid(self._tenant.dice).replace("-", "")
        self._files[path] = _File(now + LASTS_S, name, make)
        return path

    def answers(self, path: str) -> bool:
        return path.startswith(PREFIX)

    def answer(self, method: str, path: str) -> Reply:
        """The file. Raises :class:`Refusal`: 403 for an address that is over or never was (assumption)."""
        if method != "GET":
            raise Refusal(HTTPStatus.METHOD_NOT_ALLOWED, "BadRequest", "Only GET is allowed here.")
        file = self._files.get(path)
        if file is None or file.ends <= self._tenant.clock.now():
            raise Refusal(HTTPStatus.FORBIDDEN, "AuthenticationFailed", "This address is not, or no longer, valid.")
        headers = {
            "Content-Type": "application/octet-stream",
            "Content-Disposition": f'attachment; filename="{file.name}"',
        }
        return Reply(200, file.make(), headers)
