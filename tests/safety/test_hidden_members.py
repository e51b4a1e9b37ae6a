"""A group whose membership is hidden shows nobody to an app without ``Member.Read.Hidden``: whether it is empty is not
known, and nothing is planned of it."""

from __future__ import annotations

import json

import pytest

PERMISSIONS = ("User.ReadWrite.All", "GroupMember.ReadWrite.All", "Organization.Read.All", "Group.ReadWrite.All")
PEOPLE = ("employee_id", "first_name", "last_name", "org", "start_date", "department", "moved_on")
UPN = "rx1-0001@contoso.example"


@pytest.fixture
def ward(served_tenant):
    """The id of a group with hidden membership, which holds the first person."""
    tenant = served_tenant.tenant
    group = {
        "displayName": "Ward", "mailNickname": "ward", "uniqueName": "RX1.ward", "mailEnabled": True,
        "securityEnabled": False, "groupTypes": ["Unified"], "visibility": "HiddenMembership",
        "members@odata.bind": [f"https://x/v1.0/users/{tenant.seed.id_of('user', UPN)}"],
    }  # fmt: skip
    headers = {"Authorization": "Bearer sandbox", "Content-Type": "application/json"}
    made = tenant.handle("POST", "https://x/v1.0/groups", headers, json.dumps(group).encode())
    assert made.status == 201
    return json.loads(made.body)["id"]


@pytest.fixture
def plan(graphkit, served_tenant, ward, tmp_path, monkeypatch):
    """``plan(recipe, *permissions)`` for the first person, who works in the ward's department."""

    def run(recipe, *permissions):
        monkeypatch.setenv("GRAPHKIT_ACCESS_TOKEN", served_tenant.token(*PERMISSIONS, *permissions))
        row = ("RX100001", "Alex", "Example", "RX1", "2026-01-05", "Ward", "2026-01-06")
        (tmp_path / "people.csv").write_text(f"{','.join(PEOPLE)}\n{','.join(row)}\n", encoding="utf-8")
        page = "usage_location: GB\ndomain: contoso.example\ndepartments:\n  Ward: {groups: [RX1.ward]}\n"
        (tmp_path / "page.yaml").write_text(page, encoding="utf-8")
        inputs = ("-i", tmp_path / "people.csv", "-i", tmp_path / "page.yaml", "--as-of", "2026-01-20")
        result = graphkit("plan", recipe, *inputs, "-t", served_tenant.address, "-o", "json", "--full")
        assert result.code == 0, result.stderr
        return {each["kind"]: each for each in result.json["items"]}

    return run


@pytest.mark.parametrize(("recipe", "kind"), [("people.joiners", "group.member"), ("people.movers", "group.reference")])
def test_members_that_are_not_shown_are_not_taken_for_missing(plan, recipe, kind):
    line = plan(recipe)[kind]
    assert line["action"] == "blocked"
    assert "Member.Read.Hidden" in line["note"]


@pytest.mark.parametrize("recipe", ["people.joiners", "people.movers"])
def test_who_may_see_them_plans_as_with_any_group(plan, recipe):
    assert plan(recipe, "Member.Read.Hidden")["group.member"]["action"] == "noop"
