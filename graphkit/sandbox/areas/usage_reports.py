"""Usage reports: api-reference/v1.0/api/reportroot-get*detail.md, and the setting that conceals names.

A report is answered by a redirect to a CSV (``downloads.py``): on reports.office.com in earnest, on the tenant's own
host here. What it says is in ``usage_rows.py``. Reports are there for the global cloud only (the pages); the tenant is
one of that cloud.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from graphkit.sandbox.areas import usage_rows
from graphkit.sandbox.areas.policy_base import change_body, refuse
from graphkit.sandbox.areas.usage_rows import Asked
from graphkit.sandbox.call import Call, Json, Refusal, Reply
from graphkit.sandbox.downloads import download, link
from graphkit.sandbox.permissions import REPORT_SETTINGS, REPORT_SETTINGS_WRITE, REPORTS
from graphkit.sandbox.query.listing import Kind, entity
from graphkit.sandbox.router import Routes

if TYPE_CHECKING:
    from graphkit.sandbox.tenant import SimulatedTenant

routes = Routes()

SETTINGS_KIND = Kind("admin/reportSettings", "adminReportSettings")
PERIODS = {"D7": 7, "D30": 30, "D90": 90, "D180": 180}
LAG = timedelta(days=2)
"""How far reports are behind (learn.microsoft.com/microsoft-365/admin/activity-reports: "within 48 hours")."""
KEPT_DAYS = 30
"""How far back a report of one day may go (the pages)."""
_LINES = 2_000
_BOM = b"\xef\xbb\xbf"

LASTS_S = 300.0
"""How long a link is good: "a few minutes" (the pages)."""


class Report(NamedTuple):
    columns: str
    rows: Callable[[Asked], Iterable[tuple[str, ...]]]


FILES = {
    "Office365ActiveUserDetail": Report(usage_rows.ACTIVE_USERS, usage_rows.active_users),
    "TeamsUserActivityUserDetail": Report(usage_rows.TEAMS_USERS, usage_rows.teams_users),
    "TeamsTeamActivityDetail": Report(usage_rows.TEAMS, usage_rows.teams),
    "MailboxUsageDetail": Report(usage_rows.MAILBOXES, usage_rows.mailboxes),
}


@routes.get(
    "/reports/getOffice365ActiveUserDetail(period)/{period}", REPORTS, page="reportroot-getoffice365activeuserdetail"
)
@routes.get("/reports/getOffice365ActiveUserDetail/{day}", REPORTS, page="reportroot-getoffice365activeuserdetail")
def active_users(call: Call) -> Reply:
    return _redirect(call, "Office365ActiveUserDetail")


@routes.get(
    "/reports/getTeamsUserActivityUserDetail(period)/{period}",
    REPORTS,
    page="reportroot-getteamsuseractivityuserdetail",
)
@routes.get("/reports/getTeamsUserActivityUserDetail/{day}", REPORTS, page="reportroot-getteamsuseractivityuserdetail")
def teams_users(call: Call) -> Reply:
    return _redirect(call, "TeamsUserActivityUserDetail")


@routes.get(
    "/reports/getTeamsTeamActivityDetail(period)/{period}", REPORTS, page="reportroot-getteamsteamactivitydetail"
)
@routes.get("/reports/getTeamsTeamActivityDetail/{day}", REPORTS, page="reportroot-getteamsteamactivitydetail")
def teams(call: Call) -> Reply:
    return _redirect(call, "TeamsTeamActivityDetail")


@routes.get("/reports/getMailboxUsageDetail(period)/{period}", REPORTS, page="reportroot-getmailboxusagedetail")
def mailboxes(call: Call) -> Reply:
    return _redirect(call, "MailboxUsageDetail")


def _redirect(call: Call, report: str) -> Reply:
    """The link says all that the file depends on: the report, what it covers, when it was asked for, and by which
    setting of names.
    """
    if "json" in call.query.get("$format"):
        raise Refusal(501, "NotModelled", "The simulated tenant models usage reports as CSV only.")
    covered = _covered(call)
    _read(call.tenant, covered, call.now, concealed=False)
    names = "concealed" if _settings(call)["displayConcealedNames"] else "plain"
    name = f"{report}/{covered}/{call.now:.0f}/{names}.csv"
    where = link(call.tenant, call.base, "usageReports", name, call.now + LASTS_S)
    return Reply(302, None, {"Location": where, "Content-Type": "text/plain"})


def _covered(call: Call) -> str:
    """A period, or a day that the router has left as it stands in the parentheses: ``date=2026-01-05``."""
    period, day = call.params.get("period", ""), call.params.get("day", "")
    if period not in PERIODS and not day.startswith("date="):
        raise refuse(f"A report needs the parameter period, one of {', '.join(PERIODS)}, or date.")
    return period or day.removeprefix("date=")


@download("usageReports", redirected=True)
def _file(tenant: SimulatedTenant, name: str) -> tuple[bytes, str] | None:
    report, covered, asked_at, names = name.split("/")
    columns, rows = FILES[report]
    asked = _read(tenant, covered, float(asked_at), concealed=names.startswith("concealed"))
    return _csv(columns, rows(asked)), "application/octet-stream"


def _read(tenant: SimulatedTenant, covered: str, now: float, *, concealed: bool) -> Asked:
    """What a report is to cover: a period or a day. Raises :class:`Refusal` (400), whose words are an assumption."""
    today = datetime.fromtimestamp(now, UTC).date()
    refreshed = today - LAG
    days = PERIODS.get(covered)
    if days is not None:
        return Asked(tenant, now, refreshed, days, None, concealed)
    try:
        day = date.fromisoformat(covered)
    except ValueError:
        raise refuse("Invalid value for parameter 'date': it must have the form YYYY-MM-DD.") from None
    if not refreshed - timedelta(days=KEPT_DAYS) <= day <= today:
        raise refuse(f"Invalid value for parameter 'date': it must lie within the past {KEPT_DAYS} days.")
    return Asked(tenant, now, refreshed, 1, day, concealed)


def _csv(columns: str, rows: Iterable[tuple[str, ...]]) -> bytes:
    """UTF-8 with its mark. In chunks: a million people are some hundred megabytes of text."""
    found = bytearray(_BOM + columns.encode() + b"\r\n")
    for chunk in _chunks(rows):
        found += chunk
    return bytes(found)


def _chunks(rows: Iterable[tuple[str, ...]]) -> Iterator[bytes]:
    lines: list[str] = []
    for row in rows:
        lines.append(",".join(row) + "\r\n")
        if len(lines) == _LINES:
            yield "".join(lines).encode()
            lines.clear()
    yield "".join(lines).encode()


# -- the setting ---------------------------------------------------------------------------------------------------


@routes.get("/admin/reportSettings", REPORT_SETTINGS, page="adminreportsettings-get")
def get_settings(call: Call) -> Reply:
    return entity(call, SETTINGS_KIND, _without_id(_settings(call)))


def _settings(call: Call) -> Json:
    return next(iter(call.tenant.state.table("reportSettings").objects.values()))


def _without_id(settings: Json) -> Json:
    return {name: value for name, value in settings.items() if name != "id"}


@routes.patch("/admin/reportSettings", REPORT_SETTINGS_WRITE, page="adminreportsettings-update")
def update_settings(call: Call) -> Reply:
    body, _ = change_body(call, "adminReportSettings")
    if set(body) != {"displayConcealedNames"}:
        raise refuse("displayConcealedNames is required.")
    call.tenant.state.put("reportSettings", {**_settings(call), **body})
    return Reply(204)
