"""What the tests of the people recipes share: a people file, a page beside it, groups and what became of a run."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

COLUMNS = (
    "employee_id", "first_name", "last_name", "upn", "org", "job_title", "department", "manager_employee_id",
    "start_date", "end_date", "moved_on", "licence_profile", "mobile",
)  # fmt: skip
PAGE = "usage_location: GB\ndomain: contoso.example\n"


def row(employee_id, first="Alex", last="Example", **more):
    """A row as a mapping; whoever is not said to be elsewhere is with RX1 since January."""
    return {
        "employee_id": employee_id,
        "first_name": first,
        "last_name": last,
        "org": "RX1",
        "start_date": "2026-01-05",
        **more,
    }


def employee(number, org="RX1"):
    """The employee id of a seeded account."""
    return f"{org}{number:05}"


@dataclass
class Office:
    """``office("joiners", rows)`` plans; ``office.apply`` carries out."""

    simulated: Any
    folder: Path
    recipe: str
    page: str = PAGE
    day: str = "2026-01-20"
    flags: tuple[str, ...] = ()
    runs: list[Path] = field(default_factory=list)

    def given(self, rows):
        table, page = self.folder / "people.csv", self.folder / "people.yaml"
        lines = [",".join(COLUMNS), *(",".join(str(each.get(name, "")) for name in COLUMNS) for each in rows)]
        table.write_text("\n".join([*lines, ""]), encoding="utf-8")
        page.write_text(self.page, encoding="utf-8")
        return "-i", table, "-i", page, "--as-of", self.day, *self.flags

    def plan(self, rows, *more):
        return self.simulated("plan", self.recipe, *self.given(rows), *more, "-o", "json", "--full")

    def apply(self, rows, *more):
        run = self.folder / f"{len(self.runs)}.run"
        self.runs.append(run)
        given = (*self.given(rows), *more, "--out", run)
        return self.simulated("apply", self.recipe, *given, "--yes", "-o", "json")

    def graph(self, path):
        result = self.simulated("graph", "get", path, "-o", "json")
        return result.json if result.code == 0 else None

    def user(self, employee_id):
        select = "id,userPrincipalName,accountEnabled,department,companyName,usageLocation,jobTitle,displayName"
        found = self.graph(f"/users?$filter=employeeId eq '{employee_id}'&$select={select}")
        return found["value"][0] if found["value"] else None

    def post(self, path, body):
        result = self.simulated("graph", "post", path, "--body", json.dumps(body), "--yes", "-o", "json")
        assert result.code == 0, result.stderr
        return result.json if result.stdout.strip() else None

    def group(self, name, **more):
        body = {
            "displayName": name,
            "uniqueName": name,
            "mailNickname": name,
            "mailEnabled": False,
            "securityEnabled": True,
            **more,
        }
        return self.post("/groups", body)["id"]

    def members(self, group):
        return {each["id"] for each in self.graph(f"/groups/{group}/members?$select=id")["value"]}


def lines(result, kind):
    """The items of a plan of one kind, by key."""
    return {item["key"]: item for item in result.json["items"] if item["kind"] == kind}
