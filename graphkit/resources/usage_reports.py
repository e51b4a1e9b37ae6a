"""Usage reports: CSV files that Graph redirects to, read row by row.

https://learn.microsoft.com/graph/api/reportroot-getteamsteamactivitydetail and its neighbours. They lag two days, and a
setting of the tenant conceals all names and ids in them (https://learn.microsoft.com/graph/api/resources/
adminreportsettings).
"""

from __future__ import annotations

import csv
import io
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date
from typing import BinaryIO, cast

from graphkit.client import GraphClient

PERIODS = (7, 30, 90, 180)
"""Days that a report may cover."""
CONCEALED = (
    "nothing in the usage report is known here: either the report settings of the tenant conceal names "
    "(displayConcealedNames), or the report is of another tenant"
)


def period_for(days: int) -> int:
    """The shortest report that covers so many days, or the longest there is."""
    return next((period for period in PERIODS if period >= days), PERIODS[-1])


@asynccontextmanager
async def usage_report(client: GraphClient, name: str, days: int) -> AsyncIterator[csv.DictReader[str]]:
    """The rows of ``/reports/<name>(period='D<days>')``. Raises what ``GraphClient.download`` raises."""
    with tempfile.TemporaryFile() as file:
        await client.download(f"/reports/{name}(period='D{days}')", cast(BinaryIO, file))
        file.seek(0)
        with io.TextIOWrapper(file, encoding="utf-8-sig", newline="") as text:
            yield csv.DictReader(text)


def day_of(row: dict[str, str], column: str) -> date | None:
    """A date of a report; None where the cell is empty or no date."""
    try:
        return date.fromisoformat(row.get(column) or "")
    except ValueError:
        return None
