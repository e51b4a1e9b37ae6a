"""What others made and the tests run: it may be missing at home, and must not be in continuous integration."""

from __future__ import annotations

import os
import re
import subprocess
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent
REQUIRED = os.environ.get("GRAPHKIT_FOREIGN_CLIENTS") == "required"  # as in .ci/run
WORKER = FOLDER / "functions" / ".venv"
AZURITE = FOLDER / "azurite" / "node_modules" / "azurite" / "dist" / "src" / "queue" / "main.js"

# The key of every emulator, as published: https://learn.microsoft.com/azure/storage/common/storage-connect-azurite
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


def need(there: bool, what: str) -> None:
    """Skip the calling test where ``what`` is missing, or fail where nothing may be."""
    if there:
        return
    if REQUIRED:
        pytest.fail(f"{what} is missing: `make test` installs it")
    pytest.skip(f"{what} is not installed: `make test` does so where it can")


@contextmanager
def azurite():
    """The connection string of Azurite's queues, kept in memory, as long as the context lasts."""
    need(AZURITE.is_file(), "Azurite")
    flags = ["--queuePort", "0", "--inMemoryPersistence", "--skipApiVersionCheck", "--disableTelemetry"]
    server = subprocess.Popen(["node", str(AZURITE), *flags], stdout=subprocess.PIPE, text=True)
    reading = None
    try:
        told = []
        for line in server.stdout:
            told.append(line)
            if found := re.search(r"listens on (http://\S+)", line):
                break
        else:
            pytest.fail(f"Azurite did not begin: {''.join(told)}")
        reading = threading.Thread(target=server.stdout.read, daemon=True)
        reading.start()
        account = "devstoreaccount1"
        address = f"{found[1]}/{account}"
        yield f"DefaultEndpointsProtocol=http;AccountName={account};AccountKey={KEY};QueueEndpoint={address};"
    finally:
        server.terminate()
        server.wait(10)
        if reading:
            reading.join(10)
        server.stdout.close()
