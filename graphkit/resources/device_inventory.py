"""Every device that Intune manages, as rows: read page by page, or from one file that the service writes.

The export is quicker for a large tenant, and older: https://learn.microsoft.com/intune/intune-service/fundamentals/
reports-export-graph-apis. Its job changes no object of the tenant; asking for one takes
DeviceManagementManagedDevices.ReadWrite.All all the same.
"""

from __future__ import annotations

import csv
import io
import tempfile
import zipfile
from collections.abc import AsyncIterator, Iterator, Mapping
from itertools import islice
from typing import Any, BinaryIO, cast

from graphkit.engine.resource import Context
from graphkit.errors import GraphkitError
from graphkit.protocol.message import Idempotency
from graphkit.protocol.odata import segment
from graphkit.resources.audience import inventory

COLUMNS = ("id", "deviceName", "operatingSystem", "osVersion", "lastSyncDateTime", "serialNumber", "userPrincipalName")
JOBS = "/deviceManagement/reports/exportJobs"
REPORT = "DevicesWithInventory"
EXPORTED: Mapping[str, tuple[str, str]] = {
    "id": ("DeviceId", "Device ID"),
    "deviceName": ("DeviceName", "Device name"),
    "operatingSystem": ("OS", "OS"),
    "osVersion": ("OSVersion", "OS version"),
    "lastSyncDateTime": ("LastContact", "Last check-in"),
    "serialNumber": ("SerialNumber", "Serial number"),
    "userPrincipalName": ("UPN", "Primary user UPN"),
}
"""Our columns: what the job calls each, and its heading in the file."""
CHUNK = 1000
POLLS_S = (2.0, 5.0, 10.0, 20.0, 30.0)
"""Waits between looks at the job; the last one again and again."""
PATIENCE_S = 1800.0
"""How long a job may take before it counts as lost (an assumption: large ones take minutes)."""


async def devices(context: Context, source: str) -> AsyncIterator[list[dict[str, Any]]]:
    """Chunks of all devices with ``COLUMNS``, by ``source``: devices or export. Raises if there is not everything."""
    if source == "export":
        async for chunk in _exported(context):
            yield chunk
    else:
        async for page in inventory(context, ",".join(COLUMNS)):
            yield page


async def _exported(context: Context) -> AsyncIterator[list[dict[str, Any]]]:
    body = {"reportName": REPORT, "format": "csv", "select": [name for name, _ in EXPORTED.values()]}
    # Asked for twice there are two files of which one is not fetched.
    job = await context.client.create(JOBS, body, idempotency=Idempotency.READ)
    link = await _finished(context, str(job["id"]))
    with tempfile.TemporaryFile() as file:
        await context.client.download(link, cast(BinaryIO, file))
        rows = _rows(cast(BinaryIO, file))
        while chunk := list(islice(rows, CHUNK)):
            yield chunk


async def _finished(context: Context, job: str) -> str:
    """The link to the file, once the service has written it."""
    began, looks = context.clock.monotonic(), iter(POLLS_S)
    while context.clock.monotonic() - began < PATIENCE_S:
        await context.clock.sleep(next(looks, POLLS_S[-1]))
        state = await context.client.get(f"{JOBS}/{segment(job)}")
        if state.get("status") == "completed":
            return str(state["url"])
        if state.get("status") == "failed":
            raise GraphkitError("the service could not export the devices", hint="try again, or read them one by one")
    raise GraphkitError(
        f"the service has not exported the devices within {PATIENCE_S / 60:.0f} minutes",
        hint="try again later, or read them one by one: --set source=devices",
    )


def _rows(file: BinaryIO) -> Iterator[dict[str, Any]]:
    with (
        zipfile.ZipFile(file) as archive,
        archive.open(archive.namelist()[0]) as inner,
        io.TextIOWrapper(inner, encoding="utf-8-sig", newline="") as text,
    ):
        reader = csv.reader(text)
        header = next(reader, [])
        places = {column: _place(header, names) for column, names in EXPORTED.items()}
        for row in reader:
            yield {column: row[place] for column, place in places.items()}


def _place(header: list[str], names: tuple[str, str]) -> int:
    for name in names:
        if name in header:
            return header.index(name)
    raise GraphkitError(f"the exported file has no column {names[1]}", hint="--set source=devices reads the devices")
