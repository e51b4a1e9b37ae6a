"""HTTPS for the served tenant: a test authority of its own, and a certificate for its app."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import ssl


class ClientFiles(NamedTuple):
    """What a client needs: ``ca`` to trust, ``app`` (certificate and key, PEM) to sign in as the seeded app."""

    ca: Path
    app: Path


def make_authority(folder: Path, host: str) -> tuple[ssl.SSLContext, ClientFiles, bytes]:
    """A new test authority, its ``ca.pem`` and the app's ``app.pem`` (mode 0600) in ``folder``.

    Returns the server's context, the files, and the app's certificate alone, to be registered. The authority's key
    never leaves this process: what trusts ``ca.pem`` trusts nothing once it has ended. Raises ``ImportError`` with
    advice, ``OSError`` if the folder cannot be written.
    """
    import ssl

    trustme = _trustme()
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    authority.issue_cert(host, "localhost").configure_cert(context)
    issued = authority.issue_cert("app.example", key_type=trustme.KeyType.RSA)
    folder.mkdir(parents=True, exist_ok=True)
    files = ClientFiles(folder / "ca.pem", folder / "app.pem")
    files.ca.write_bytes(authority.cert_pem.bytes())
    _write_privately(files.app, issued.private_key_and_cert_chain_pem.bytes())
    return context, files, issued.cert_chain_pems[0].bytes()


def _write_privately(path: Path, content: bytes) -> None:
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)


def _trustme() -> Any:
    try:
        import trustme
    except ImportError as error:
        raise ImportError("HTTPS needs trustme: pip install 'graphkit-m365[sandbox]'") from error
    return trustme
