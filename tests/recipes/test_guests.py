"""teams.guests through the command line, on a simulated tenant kept in a file."""

from __future__ import annotations

import json

import pytest
from office import STARTERS, Office, example, upn

from graphkit.sandbox.seeding.activity import set_last_seen

HEADER = "email,org,sponsor,domain_ok,expires"
DELETING = ("--max-deletes", "1")


@pytest.fixture
def office(simulated, tenant, tmp_path):
    """The tenant's day is 5 January 2026."""
    tenant.seed(organisations=1, users=20, licensed=10)
    return Office(tmp_path, simulated, tenant)


def guest(name, *, domain="fabrikam.example", sponsor=1, ok="yes", expires="2026-12-31", org="RX1"):
    return f"{name}@{domain},{org},{upn(sponsor)},{ok},{expires}"


def asked(office, *rows):
    return office.write("guests.csv", "\n".join([HEADER, *rows, ""]))


def invite(office, *names, domain="fabrikam.example"):
    for name in names:
        body = {"invitedUserEmailAddress": f"{name}@{domain}", "inviteRedirectUrl": "https://contoso.example"}
        office.graph("post", "/invitations", body)


def guests(office):
    found = office.graph("get", "/users?$filter=userType eq 'Guest'&$select=mail")["value"]
    return sorted(each["mail"] for each in found)


def again(office, *flags):
    return office.plan("teams.guests", office.folder / "guests.csv", run="again.run", flags=flags)


FIVE = (
    guest("new-1"),
    guest("New-2", sponsor=2),
    guest("there"),
    guest("other", domain="tailspin.example", ok="no"),
    guest("gone", expires="2026-01-04"),
)


def test_of_five_rows_two_are_invited_one_is_there_one_blocked_and_one_deleted(office):
    invite(office, "there", "gone")
    plan, code, _ = office.make("teams.guests", asked(office, *FIVE), flags=DELETING)
    assert plan["kinds"]["guest"] == {"create": 2, "noop": 1, "blocked": 1, "delete": 1}
    assert (code, [each["gk_status"] for each in office.results()]) == (
        3, ["done", "done", "already", "skipped", "done"],
    )  # fmt: skip
    assert "tailspin.example" in office.results()[3]["gk_error"]
    assert guests(office) == ["New-2@fabrikam.example", "new-1@fabrikam.example", "there@fabrikam.example"]
    new = office.graph("get", "/users?$filter=mail eq 'new-2@fabrikam.example'")["value"][0]["id"]
    assert [each["userPrincipalName"] for each in office.graph("get", f"/users/{new}/sponsors")["value"]] == [upn(2)]
    code, plan = again(office)
    assert (code, plan["status"], plan["kinds"]["guest"]) == (0, "empty", {"noop": 4, "blocked": 1})


def test_nobody_is_deleted_unless_their_number_was_allowed(office):
    invite(office, "gone")
    code, plan = office.plan("teams.guests", asked(office, guest("gone", expires="2026-01-04")))
    assert (code, plan["status"]) == (6, "blocked")
    assert any("--max-deletes 1" in reason for reason in plan["blocked"])


def test_a_deletion_can_be_taken_back_for_a_time_and_tells_when_the_guest_was_last_here(office):
    invite(office, "gone", "quiet")
    with office.changed() as tenant:
        users = tenant.state.table("users")
        (account,) = users.find("mail", "gone@fabrikam.example")
        tenant.state.put("users", {**account, "externalUserState": "Accepted"})
        set_last_seen(tenant, account["id"], 10)
    rows = [guest("gone", expires="2026-01-04"), guest("quiet", expires="05/01/2026")]
    code, plan = office.plan("teams.guests", asked(office, *rows), flags=DELETING)
    gone, quiet = plan["items"]
    assert (code, gone["action"], quiet["action"]) == (0, "delete", "noop"), "the last day is a day"
    assert gone["note"].startswith("expired on 2026-01-04; last signed in on 2025-12-2")
    assert quiet["note"] == "has not accepted the invitation yet"
    assert office.apply()[0] == 0
    assert office.graph("get", f"/directory/deletedItems/{account['id']}")["mail"] == "gone@fabrikam.example"


def test_a_plan_can_be_made_for_another_day(office):
    invite(office, "gone")
    path = asked(office, guest("gone", expires="2026-06-30"))
    code, plan = office.plan("teams.guests", path, flags=(*DELETING, "--as-of", "2026-07-01"))
    assert (code, plan["changes"]["delete"]) == (0, 1)


DOMAINS = [
    ("yes", None, True),
    ("", None, False),
    ("no", None, False),
    ("", "[fabrikam.example]", True),
    ("yes", "[Fabrikam.example, x.example]", True),
    ("yes", "[tailspin.example]", False),
    ("no", "[fabrikam.example]", False),
    ("", "[example]", None),
]


@pytest.mark.parametrize(("ok", "listed", "invited"), DOMAINS)
def test_a_domain_is_acceptable_if_a_list_says_so_or_else_the_row(office, ok, listed, invited):
    inputs = [asked(office, guest("new", ok=ok))]
    if listed:
        inputs.append(office.write("domains.yaml", f"allowed_domains: {listed}\n"))
    code, plan = office.plan("teams.guests", *inputs)
    if invited is None:
        assert code == 5
    else:
        assert (code, plan["kinds"]["guest"]) == (0, {"create" if invited else "blocked": 1})


def test_a_sponsor_must_be_there_and_active(office):
    office.graph("patch", f"/users/{upn(3)}", {"accountEnabled": False})
    code, plan = office.plan("teams.guests", asked(office, guest("new", sponsor=3), guest("other")))
    assert (code, plan["kinds"]["guest"]) == (0, {"blocked": 1, "create": 1})
    code, told = office.plan("teams.guests", asked(office, guest("new", sponsor=99)))
    assert (code, told["error"]["errors"][0]["code"]) == (5, "unknown-user")
    code, plan = office.plan("teams.guests", asked(office, guest("gone", sponsor=99, expires="2026-01-01")))
    assert (code, plan["status"]) == (0, "empty"), "who is to go needs nobody to answer for them"


def test_an_address_of_the_tenant_is_no_guest(office):
    code, plan = office.plan("teams.guests", asked(office, guest("rx1-0005", domain="contoso.example")))
    assert (code, plan["kinds"]["guest"]) == (0, {"blocked": 1})


def test_a_member_of_that_address_is_never_deleted(office):
    path = asked(office, guest("rx1-0005", domain="contoso.example", expires="2026-01-01"))
    code, plan = office.plan("teams.guests", path, flags=DELETING)
    assert (code, plan["status"]) == (0, "empty")


def test_in_a_tenant_that_does_not_tell_sign_ins_the_plan_says_so_and_goes_on(office, tenant):
    tenant.seed(organisations=1, users=20, skus=("ENTERPRISEPACK",))
    invite(office, "there")
    code, plan = office.plan("teams.guests", asked(office, guest("there"), guest("new")))
    assert (code, plan["kinds"]["guest"]) == (0, {"noop": 1, "create": 1})
    assert any("last signed in is not known" in remark for remark in plan["remarks"])


@pytest.mark.parametrize("fault", [{"status": 504}, {"status": 503}, {"failure": "reset"}], ids=["504", "503", "reset"])
def test_a_guest_is_invited_once_though_the_answer_is_lost(office, fault):
    with office.tenant() as tenant:
        tenant.faults.add({"method": "POST", "path": "/invitations", "times": 1, "action": "commit-then", **fault})
    _, code, _ = office.make("teams.guests", asked(office, guest("new-1"), guest("new-2")))
    assert (code, office.writes().count("POST /invitations")) == (0, 2)


def test_killed_after_an_invitation_a_resume_invites_the_others_only(office):
    assert office.plan("teams.guests", asked(office, *(guest(f"new-{number}") for number in range(3))))[0] == 0
    office.kill(method="POST", path="/invitations", when="after", nth=2)
    code, ended = office.apply(verb="resume")
    assert (code, ended["outcomes"]["unknown"], len(guests(office))) == (0, 0, 3)
    assert office.writes().count("POST /invitations") == 3


def test_whatever_is_wrong_is_told_at_once(office):
    rows = [guest("a b"), guest("x", expires="soon"), guest("y", ok="perhaps"), guest("z"), guest("Z")]
    code, told = office.plan("teams.guests", asked(office, *rows))
    assert (code, [each["row"] for each in told["error"]["errors"]]) == (5, [2, 3, 4, 6])


def test_only_the_organisation_asked_for_is_planned(office):
    code, plan = office.plan("teams.guests", asked(office, guest("a"), guest("b", org="RX2")), flags=("--org", "RX2"))
    assert (code, [each["key"] for each in plan["items"]]) == (0, ["b@fabrikam.example"])


def test_the_starter_files_are_valid(simulated):
    given = ("-i", STARTERS / "guests.csv", "-i", STARTERS / "guests.domains.yaml")
    result = simulated("validate", "teams.guests", *given, "-o", "json")
    assert (result.code, result.json["errors"]) == (0, [])


def test_the_worked_example_of_the_page_is_true(office):
    invite(office, "bo", "cy")
    path = office.write("guests.csv", example("teams.guests", "csv"))
    domains = office.write("domains.yaml", example("teams.guests", "yaml"))
    code, plan = office.plan("teams.guests", path, domains, flags=DELETING)
    assert (code, plan["kinds"]) == (0, json.loads(example("teams.guests", "json")))
