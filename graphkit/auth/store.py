"""Where a person's sign-in is kept: the platform's encrypted store, else memory; a plain file only if asked for.

App-only tokens are never stored.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from graphkit.errors import AuthError
from graphkit.private import make_folder


@dataclass(frozen=True, slots=True)
class Store:
    """An open store. ``persistence`` is ``None`` for memory; ``note`` says what a person should know about it."""

    kind: Literal["encrypted", "plaintext", "memory"]
    persistence: Any = None
    note: str = ""

    def cache(self) -> Any:
        """A token cache for MSAL, shared with other processes unless it is in memory."""
        import msal
        import msal_extensions

        if self.persistence is None:
            return msal.SerializableTokenCache()
        return msal_extensions.PersistedTokenCache(self.persistence)

    def accounts(self) -> list[dict[str, str]]:
        """The signed-in accounts, without asking the network."""
        found: list[dict[str, str]] = list(self.cache().search("Account"))
        return found

    def clear(self) -> None:
        """Forget every sign-in."""
        if self.kind == "encrypted":
            self.persistence.save("{}")
        elif self.kind == "plaintext":
            Path(self.persistence.get_location()).unlink(missing_ok=True)


def open_store(folder: Path, *, insecure: bool = False, encrypted: Callable[[str], Any] | None = None) -> Store:
    """The best store that this machine offers.

    ``insecure`` permits a plain file (0600) where there is no encrypted store; one that exists is used. ``encrypted``
    builds the platform's. A damaged store is set aside, and the caller signs in again. Raises ``AuthError`` if
    another process holds it.
    """
    from msal_extensions import FilePersistence, build_encrypted_persistence

    make_folder(folder)
    plain = folder / "sign-in.json"
    try:
        persistence = (encrypted or build_encrypted_persistence)(str(folder / "sign-in.bin"))
    except Exception as error:  # whatever a missing keyring, bus or binding raises on this platform
        if not insecure and not plain.exists():
            return Store("memory", note=_why_memory(error))
        plain.touch(mode=0o600)
        plain.chmod(0o600)
        persistence = FilePersistence(str(plain))
        note = _usable(persistence)
        return Store("plaintext", persistence, note or f"the sign-in is kept unencrypted in {plain}")
    return Store("encrypted", persistence, _usable(persistence))


def _why_memory(error: Exception) -> str:
    return (
        f"this machine offers no encrypted store ({type(error).__name__}): the sign-in lasts for this command only; "
        "an app with a certificate needs none, and --insecure-cache keeps it in a plain file"
    )


def _usable(persistence: Any) -> str:
    """Set a damaged store aside. Under the lock, or a half-written file would look damaged."""
    from msal_extensions import CrossPlatLock, LockError

    location = Path(persistence.get_location())
    lock = f"{location}.lockfile"
    try:
        with CrossPlatLock(lock):
            if _readable(persistence):
                return ""
            aside = location.with_name(f"{location.name}.damaged")
            if location.exists():
                location.replace(aside)
            return f"the stored sign-in was damaged and has been set aside as {aside}"
    except LockError as error:
        raise AuthError(
            "the stored sign-in is locked by another process", hint=f"if none is running, delete {lock}"
        ) from error


def _readable(persistence: Any) -> bool:
    from msal_extensions.persistence import PersistenceNotFound

    try:
        text = persistence.load()
        return not text or isinstance(json.loads(text), dict)
    except PersistenceNotFound:
        return True
    except (ValueError, OSError):
        return False
