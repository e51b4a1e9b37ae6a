"""Usage reports: api-reference/v1.0/api/reportroot-get*detail.md, and the setting that conceals names.

A report is answered by a redirect to a CSV (``downloads.py``). What it says is in ``usage_rows.py``. Reports are there
for the global cloud only (the pages); the tenant is one of that cloud.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, date, datetime, timedelta

from graphkit.sandbox.areas import usage_rows
from graphkit.sandbox.areas.policy_base import change_body, refuse
from graphkit.sandbox.areas.usage_rows import Asked
from graphkit.sandbox.call import Call, Json, Refusal, Reply
from graphkit.sandbox.permissions import REPORT_SETTINGS, REPORT_SETTINGS_WRITE, REPORTS
from graphkit.sandbox.query import Kind, entity
from graphkit.sandbox.router import Routes

routes = Routes()

SETTINGS_KIND = Kind("admin/reportSettings", "adminReportSettings")
PERIODS = {"D7": 7, "D30": 30, "D90": 90, "D180": 180}
LAG = timedelta(days=2)
"""How far reports are behind (learn.microsoft.com/microsoft-365/admin/activity-reports: "within 48 hours")."""
KEPT_DAYS = 30
"""How far back a report of one day may go (the pages)."""
_LINES = 2_000
_BOM = b"\xef\xbb\xbf"

Rows = Callable[[Asked], Iterable[tuple[str, ...]]]


@routes.get(
    "/reports/getOffice365ActiveUserDetail(period)/{period}", REPORTS, page="reportroot-getoffice365activeuserdetail"
)
@routes.get("/reports/getOffice365ActiveUserDetail/{day}", REPORTS, page="reportroot-getoffice365activeuserdetail")
def active_users(call: Call) -> Reply:
    return _redirect(call, "Office365ActiveUserDetail", usage_rows.ACTIVE_USERS, usage_rows.active_users)


@routes.get(
    "/reports/getTeamsUserActivityUserDetail(period)/{period}",
    REPORTS,
    page="reportroot-getteamsuseractivityuserdetail",
)
@routes.get("/reports/getTeamsUserActivityUserDetail/{day}", REPORTS, page="reportroot-getteamsuseractivityuserdetail")
def teams_users(call: Call) -> Reply:
    return _redirect(call, "TeamsUserActivityUserDetail", usage_rows.TEAMS_USERS, usage_rows.teams_users)


@routes.get(
    "/reports/getTeamsTeamActivityDetail(period)/{period}", REPORTS, page="reportroot-getteamsteamactivitydetail"
)
@routes.get("/reports/getTeamsTeamActivityDetail/{day}", REPORTS, page="reportroot-getteamsteamactivitydetail")
def teams(call: Call) -> Reply:
    return _redirect(call, "TeamsTeamActivityDetail", usage_rows.TEAMS, usage_rows.teams)


@routes.get("/reports/getMailboxUsageDetail(period)/{period}", REPORTS, page="reportroot-getmailboxusagedetail")
def mailboxes(call: Call) -> Reply:
    return _redirect(call, "MailboxUsageDetail", usage_rows.MAILBOXES, usage_rows.mailboxes)


def _redirect(call: Call, name: str, columns: str, rows: Rows) -> Reply:
    if "json" in call.query.get("$format"):
        raise Refusal(501, "NotModelled", "The simulated tenant models usage reports as CSV only.")
    asked = _asked(call)
    path = call.tenant.downloads.offer(f"{name}.csv", lambda: _csv(columns, rows(asked)))
    return Reply(302, None, {"Location": call.base + path, "Content-Type": "text/plain"})


def _asked(call: Call) -> Asked:
    """What a report is to cover. Raises :class:`Refusal` (400), whose words are an assumption."""
    today = datetime.fromtimestamp(call.now, UTC).date()
    refreshed = today - LAG
    settings = next(iter(call.tenant.state.table("reportSettings").objects.values()))
    concealed = bool(settings["displayConcealedNames"])
    if "period" in call.params:
        days = PERIODS.get(call.params["period"])
        if days is None:
            raise refuse(f"Invalid value for parameter 'period': '{call.params['period']}'. Valid values are "
                         f"{', '.join(PERIODS)}.")  # fmt: skip
        return Asked(call.tenant, call.now, refreshed, days, None, concealed)
    day = _day(call.params["day"])
    if not refreshed - timedelta(days=KEPT_DAYS) <= day <= today:
        raise refuse(f"Invalid value for parameter 'date': it must lie within the past {KEPT_DAYS} days.")
    return Asked(call.tenant, call.now, refreshed, 1, day, concealed)


def _day(text: str) -> date:
    """``date=2026-01-05``, as the router leaves what stands in the parentheses."""
    name, _, value = text.partition("=")
    try:
        if name == "date":
            return date.fromisoformat(value)
    except ValueError:
        pass
    raise refuse("A report needs the parameter period, or date in the form YYYY-MM-DD.")


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
