"""What the Teams recipes did is taken back by ``graphkit undo``."""

from __future__ import annotations

import pytest
from office import Office, upn

OWNERS = f"{upn(1)};{upn(2)}"


@pytest.fixture
def office(simulated, tenant, tmp_path):
    tenant.seed(organisations=1, users=40, licensed=10)
    office = Office(tmp_path, simulated, tenant)
    office.make("teams.provision", teams(office, f"ward-1,RX1,Ward 1,Private,{OWNERS},"))
    return office


def teams(office, *rows):
    header = "team_key,org,display_name,visibility,owners,channels"
    return office.write("teams.csv", "\n".join([header, *rows, ""]))


def people(office, *rows):
    return office.write("people.csv", "\n".join(["team_key,org,upn,role,action", *rows, ""]))


def undo(office, *flags):
    """(exit code, outcomes) of taking the last run back."""
    result = office.line(
        "undo", office.folder / "a.run", "--out", office.folder / "u.run", "--yes", "-o", "json", *flags
    )
    assert result.stdout, result.stderr
    return result.code, result.json["outcomes"]


def members(office):
    found = office.graph("get", f"/teams/{office.team('rx1-ward-1')}/members?$top=999")["value"]
    return {each["email"].partition("@")[0].removeprefix("rx1-0"): "".join(each["roles"]) for each in found}


def test_who_came_goes_who_went_comes_and_roles_are_what_they_were(office):
    office.make("teams.membership", people(office, f"ward-1,RX1,{upn(11)},Member,", f"ward-1,RX1,{upn(12)},Member,"))
    before = members(office)
    rows = [
        f"ward-1,RX1,{upn(13)},Member,", f"ward-1,RX1,{upn(14)},Owner,", f"ward-1,RX1,{upn(11)},,Remove",
        f"ward-1,RX1,{upn(12)},Owner,", f"ward-1,RX1,{upn(2)},Member,",
    ]  # fmt: skip
    _, code, _ = office.make("teams.membership", people(office, *rows))
    assert (code, members(office) == before) == (0, False)
    code, outcomes = undo(office)
    assert (code, outcomes["done"], members(office)) == (0, 5, before)


def test_whoever_was_changed_since_is_left_alone(office):
    office.make("teams.membership", people(office, f"ward-1,RX1,{upn(11)},Member,", f"ward-1,RX1,{upn(12)},Member,"))
    (office.folder / "a.run").rename(office.folder / "first.run")
    office.make("teams.membership", people(office, f"ward-1,RX1,{upn(12)},Owner,"))
    (office.folder / "first.run").replace(office.folder / "a.run")
    code, outcomes = undo(office)
    assert (code, outcomes["done"], outcomes["skipped"]) == (3, 1, 1)
    assert members(office) == {"001": "owner", "002": "owner", "012": "owner"}


def test_a_new_private_channel_and_an_archived_team_are_as_they_were(office):
    header = "team_key,org,display_name,visibility,owners,channels,archive"
    row = f"ward-1,RX1,Ward 1,Private,{OWNERS},Leads:private,true"
    office.make("teams.provision", office.write("teams.csv", f"{header}\n{row}\n"))
    code, _ = undo(office, "--max-deletes", "1")
    team = office.team("rx1-ward-1")
    assert (code, office.graph("get", f"/teams/{team}")["isArchived"]) == (0, False)
    assert [each["displayName"] for each in office.graph("get", f"/teams/{team}/channels")["value"]] == ["General"]


def policy(office, text):
    office.make("teams.policy", office.write("policy.yaml", text), flags=("--confirm", "contoso.example"))


def in_force(office):
    found = office.graph("get", "/groupSettings")["value"], office.graph("get", "/groupLifecyclePolicies")["value"]
    return [{row["name"]: row["value"] for row in each["values"]} for each in found[0]], found[1]


@pytest.mark.parametrize("there", [False, True], ids=["made", "changed"])
def test_settings_of_all_groups_are_as_they_were(office, there):
    if there:
        policy(office, "guests: true\nblocked_words: [a]\nexpiry_days: 90\n")
    before = in_force(office)
    policy(office, "guests: false\nblocked_words: [b]\nexpiry_days: 365\n")
    code, _ = undo(office, "--confirm", "contoso.example", "--max-deletes", "2")
    assert (code, in_force(office)) == (0, before)


def test_a_deleted_guest_comes_back_and_an_invited_one_goes(office):
    body = {"invitedUserEmailAddress": "gone@fabrikam.example", "inviteRedirectUrl": "https://contoso.example"}
    office.graph("post", "/invitations", body)
    rows = [f"gone@fabrikam.example,RX1,{upn(1)},yes,2026-01-01", f"new@fabrikam.example,RX1,{upn(1)},yes,2027-01-01"]
    path = office.write("guests.csv", "\n".join(["email,org,sponsor,domain_ok,expires", *rows, ""]))
    office.make("teams.guests", path, flags=("--max-deletes", "1"))
    code, outcomes = undo(office, "--max-deletes", "1")
    found = office.graph("get", "/users?$filter=userType eq 'Guest'&$select=mail")["value"]
    assert (code, outcomes["done"], [each["mail"] for each in found]) == (0, 2, ["gone@fabrikam.example"])
