"""Messages: one for each slice of a run.

A message is text, as ``messageEncoding: none`` in host.json has it. It holds a run's id and a number, nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from graphkit.errors import UsageError
from graphkit.settings import Settings

if TYPE_CHECKING:
    from azure.storage.queue import QueueClient

QUEUE = "graphkit-runs"
POISON = f"{QUEUE}-poison"
"""Where the host puts what failed ``maxDequeueCount`` times."""
LONGEST_DELAY_S = 6 * 24 * 3600
"""A message may be hidden for 7 days (https://learn.microsoft.com/rest/api/storageservices/put-message)."""


class Message(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Slice number ``slice`` of ``run`` is to be done."""

    run: str
    slice: int

    def text(self) -> str:
        return msgspec.json.encode(self).decode()

    @classmethod
    def parse(cls, text: str) -> Message | None:
        """None for what is no message of ours."""
        try:
            return msgspec.json.decode(text, type=cls)
        except (msgspec.MsgspecError, UnicodeError):
            return None


class Queue(Protocol):
    """Where messages go."""

    def send(self, message: Message, *, delay: float = 0.0) -> None:
        """Put a message that becomes visible after ``delay`` seconds."""
        ...


class StorageQueue:
    """Azure Queue Storage, with the managed identity; or the emulator by its connection string."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._client: QueueClient | None = None

    def send(self, message: Message, *, delay: float = 0.0) -> None:
        from azure.core.exceptions import ResourceNotFoundError

        self._client = self._client or _connect(self._settings)
        hidden = round(min(max(0.0, delay), LONGEST_DELAY_S))
        # Without an end: a run that waits for the weekend is not to vanish.
        how: dict[str, Any] = {"visibility_timeout": hidden, "time_to_live": -1}
        try:
            self._client.send_message(message.text(), **how)
        except ResourceNotFoundError:
            # The host makes its queue when it first listens; a request may come before that.
            self._client.create_queue()
            self._client.send_message(message.text(), **how)


def _connect(settings: Settings) -> QueueClient:
    from azure.storage.queue import QueueClient

    if settings.functions_queues:
        from azure.identity import ManagedIdentityCredential

        client_id = settings.managed_identity_client_id or settings.client_id or None
        credential = ManagedIdentityCredential(client_id=client_id)
        return QueueClient(settings.functions_queues, QUEUE, credential=credential)
    if settings.functions_storage:
        return QueueClient.from_connection_string(settings.functions_storage, QUEUE)
    raise UsageError(
        "no queue is configured",
        hint="set AzureWebJobsStorage__queueServiceUri, or AzureWebJobsStorage for the emulator",
    )
