"""Temporary access passes, through the command line: told once, into one file, for one run."""

import json
import os
import stat
import sys

import pytest
from desk import METHOD, PASSES, POSTED, Desk, upn
from staff import PAGE, lines, row

from graphkit.jobs import handout

JOINERS = [row("90001"), row("90002", "Kim", "Sample"), row("90003", "Sam", "Pattern")]
POSIX = pytest.mark.skipif(os.name == "nt", reason="Windows has neither such modes nor SIGKILL")


@pytest.fixture
def desk(simulated, tmp_path, tenant):
    found = Desk(simulated, tmp_path, "people.joiners", page=PAGE + PASSES, day="2026-01-05", stored=tenant)
    found.allow()
    return found


def state_of(desk):
    return {name: each["methodId"] for name, each in desk.held().items()}


def told_by(desk):
    return {each["userPrincipalName"]: each["id"] for each in desk.handed}


# -- what is issued --------------------------------------------------------------------------------------------------


def test_everybody_who_starts_gets_a_pass_for_the_first_morning(desk):
    run = desk.prepare(JOINERS)
    assert desk.carry_out("apply", run).json["outcomes"]["done"] == 6
    assert [(each["person"], each["userPrincipalName"]) for each in desk.handed] == [
        ("90001", "alex.example@contoso.example"),
        ("90002", "kim.sample@contoso.example"),
        ("90003", "sam.pattern@contoso.example"),
    ]
    (first, *_) = desk.handed
    assert (first["startsAt"], first["lifetimeInMinutes"], first["isUsableOnce"]) == (
        desk.held()["alex.example@contoso.example"]["startDateTime"],
        "480",
        "true",
    )
    assert len({each["pass"] for each in desk.handed}) == 3
    assert state_of(desk) == told_by(desk)
    assert [entry.path.endswith(POSTED) for entry in desk.stored.log()[-3:]] == [True, True, True]


@POSIX
def test_the_file_is_for_its_owner_alone_whatever_the_umask(desk):
    before = os.umask(0)
    try:
        desk.carry_out("apply", desk.prepare(JOINERS[:1]))
    finally:
        os.umask(before)
    assert stat.S_IMODE(desk.told.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("starts", "day", "expected"),
    [
        ("2026-01-07", "2026-01-05", "good from 2026-01-07T07:00:00Z on"),
        ("2026-01-05", "2026-01-05", "good from 2026-01-05T07:00:00Z on"),
        ("2026-01-05", "2026-01-06", "good from the moment it is issued"),
        ("2026-01-05", "2026-01-12", "good from the moment it is issued"),
        ("2026-01-05", "2026-01-13", None),
    ],
)
def test_a_pass_is_issued_about_the_first_day_and_not_for_ever(desk, starts, day, expected):
    desk.day = day
    found = lines(desk.plan([row("90001", start_date=starts)]), "user.accessPass")
    assert [each["note"] for each in found.values()] == ([expected] if expected else [])


def test_who_starts_in_weeks_gets_the_account_now_and_the_pass_later(desk):
    plan = desk.plan([row("90001", start_date="2026-01-20")])
    assert lines(plan, "user.accessPass") == {}
    assert lines(plan, "scheduled")["90001/pass"]["note"] == "a temporary access pass is issued on 2026-01-13"


def test_a_start_that_lies_ahead_is_the_passs_own(desk):
    desk.carry_out("apply", desk.prepare([row("90001", start_date="2026-01-07")]))
    assert [each["startsAt"] for each in desk.handed] == ["2026-01-07T07:00:00Z"]


def test_without_such_a_page_there_is_no_pass_and_no_file(desk):
    desk.page = PAGE
    run = desk.prepare(JOINERS)
    refused = desk.carry_out("apply", run, code=5)
    assert "issues no temporary access passes" in refused.json["error"]["message"]
    desk.line("apply", run, "--yes")
    assert (desk.held(), desk.told.exists()) == ({}, False)


def test_what_a_spreadsheet_would_run_is_disarmed_and_the_passcode_stays_as_it_is(desk, monkeypatch):
    monkeypatch.setattr("graphkit.sandbox.areas.user_authentication._secret", lambda *_: "+1234567")
    desk.carry_out("apply", desk.prepare([row("90001", upn="-cmd@contoso.example")]))
    assert [(each["userPrincipalName"], each["pass"]) for each in desk.handed] == [
        ("'-cmd@contoso.example", "+1234567")
    ]


def test_the_plan_afterwards_is_empty_and_says_who_has_one(desk):
    desk.carry_out("apply", desk.prepare(JOINERS[:1]))
    plan = desk.plan(JOINERS[:1])
    assert plan.json["status"] == "empty"
    assert lines(plan, "user.accessPass")["90001"]["note"].startswith("there is a pass already, which is good now")


def test_one_that_is_over_is_none(desk):
    desk.carry_out("apply", desk.prepare(JOINERS[:1]))
    with desk.stored.changed() as tenant:
        tenant.state.set_meta("now", tenant.clock.now() + 86_400)
    plan = desk.plan(JOINERS[:1])
    assert lines(plan, "user.accessPass")["90001"]["action"] == "create"


# -- the one place where it is told ----------------------------------------------------------------------------------


def test_no_pass_is_told_anywhere_but_in_its_file(desk, tmp_path, monkeypatch):
    monkeypatch.setenv("GRAPHKIT_RUNS_DIR", str(tmp_path / "runs"))
    log = ("--log-file", tmp_path / "a.log", "-v", "-v")
    run = desk.prepare(JOINERS, *log)
    said = [desk.line("apply", run, "--tap-out", desk.told, "--yes", "--html", tmp_path / "a.html", *log)]
    said += [desk.line("show", run, "-o", "jsonl"), desk.line("report", "run", run, "--html", tmp_path / "b.html")]
    said += [desk.line("bundle", run, "--out", tmp_path / "bundle.zip", "--yes"), desk.plan(JOINERS)]
    passes = [each["pass"].encode() for each in desk.handed]
    assert len(passes) == 3
    for path, content in desk.everything_written().items():
        assert not [each for each in passes if each in content], path
    spoken = "".join(each.stdout + each.stderr for each in said).encode()
    assert not [each for each in passes if each in spoken]


def test_a_recording_holds_no_pass(desk, tmp_path):
    run = desk.prepare(JOINERS[:1])
    cassette = tmp_path / "a.cassette"
    desk.line("record", cassette, "--", "apply", run, "--tap-out", desk.told, "--yes", *desk.simulated.flags)
    (only,) = desk.handed
    assert only["pass"] not in cassette.read_text(encoding="utf-8")
    assert '"temporaryAccessPass":"<removed>"' in cassette.read_text(encoding="utf-8").replace(": ", ":")
    desk.line("record", cassette, "--check")


# -- no run without a place to tell them -----------------------------------------------------------------------------


def test_a_plan_with_passes_says_what_applying_it_takes(desk):
    run = desk.folder / "a.run"
    shown = desk.line("plan", desk.recipe, *desk.given(JOINERS), "--out", run).stdout
    assert "3 temporary access passes to hand over: apply with --tap-out FILE" in shown
    assert next(line for line in shown.splitlines() if line.startswith("to apply:")).endswith(" --tap-out FILE")


def test_without_a_file_nothing_is_sent_and_the_plan_stays(desk):
    run = desk.prepare(JOINERS)
    before = len(desk.stored.log())
    refused = desk.line("apply", run, "--yes", "-o", "json", code=5).json["error"]
    assert "issues 3 temporary access passes" in refused["message"]
    assert refused["hint"] == f"graphkit apply {run} --tap-out FILE"
    assert len(desk.stored.log()) == before
    assert desk.carry_out("apply", run).json["outcomes"]["done"] == 6


def test_planning_and_applying_in_one_asks_for_it_too(desk):
    refused = desk.line("apply", desk.recipe, *desk.given(JOINERS), "--yes", "-o", "json", code=5)
    assert "no file was named" in refused.json["error"]["message"]
    assert desk.held() == {}
    desk.carry_out("apply", desk.recipe, *desk.given(JOINERS))
    assert state_of(desk) == told_by(desk)


@POSIX
@pytest.mark.parametrize("kind", ["file", "link", "dangling link", "folder", "the results"])
def test_a_place_that_is_taken_is_refused_before_anything_is_sent(desk, kind):
    run = desk.prepare(JOINERS)
    before = len(desk.stored.log())
    more = ()
    if kind == "file":
        desk.told.write_text("mine")
    elif kind == "folder":
        desk.told.mkdir()
    elif kind == "the results":
        more = ("--results", desk.told)
    else:
        there = desk.folder / "there"
        if kind == "link":
            there.write_text("mine")
        desk.told.symlink_to(there)
    refused = desk.carry_out("apply", run, *more, code=5).json["error"]
    assert "passes.csv" in refused["message"]
    assert len(desk.stored.log()) == before
    assert kind != "file" or desk.told.read_text() == "mine"
    assert kind != "link" or (desk.folder / "there").read_text() == "mine"


def test_a_folder_that_is_not_there_is_an_error_and_no_traceback(desk):
    run = desk.prepare(JOINERS)
    refused = desk.line("apply", run, "--tap-out", desk.folder / "no" / "p.csv", "--yes", "-o", "json", code=5)
    assert refused.json["error"]["code"] == "usage"


def test_a_canary_of_passes_is_read_back_like_any_other(desk):
    desk.employ(JOINERS)
    run = desk.prepare(JOINERS)
    assert desk.carry_out("apply", run, "--canary", 2).json["outcomes"]["done"] == 3
    assert (state_of(desk), desk.issued()) == (told_by(desk), 3)


# -- answers that get lost -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault", [{"action": "commit-then", "status": 504}, {"action": "answer", "status": 504}, {"action": "throttle"}]
)
def test_a_pass_whose_answer_was_lost_is_replaced_and_the_file_says_so(desk, fault):
    desk.employ(JOINERS)
    run = desk.prepare(JOINERS)
    desk.spoil(times=1, **fault)
    assert desk.carry_out("apply", run).json["outcomes"]["done"] == 3
    assert state_of(desk) == told_by(desk)
    lost = fault["action"] == "commit-then"
    assert desk.issued() == 3 + lost
    assert [bool(each["note"]) for each in desk.handed].count(True) == lost


@POSIX
@pytest.mark.parametrize("when", ["before", "after", "answered"])
@pytest.mark.parametrize("nth", [1, 2, 3])
def test_killed_at_any_pass_a_resume_ends_with_a_pass_for_everybody(desk, when, nth):
    desk.employ(JOINERS)
    run = desk.prepare(JOINERS)
    desk.die(run, nth=nth, when=when)
    refused = desk.line("resume", run, "--yes", "-o", "json", code=5).json["error"]
    assert refused["hint"] == f"graphkit resume {run} --tap-out FILE"
    result = desk.carry_out("resume", run).json["outcomes"]
    assert (result["done"], result["failed"], result["skipped"], result["unknown"]) == (3, 0, 0, 0)
    assert state_of(desk) == told_by(desk)
    assert len(desk.handed) == 3
    replaced = [each for each in desk.handed if each["note"]]
    assert len(replaced) == desk.issued() - 3
    assert desk.plan(JOINERS).json["status"] == "empty"


DIES_AFTER_THE_FILE = """
import os, signal, sys
from graphkit.jobs.handout import HandoutFile
add = HandoutFile.add
def added(self, cells):
    add(self, cells)
    os.kill(os.getpid(), signal.SIGKILL)
HandoutFile.add = added
from graphkit.__main__ import main
main(sys.argv[1:])
"""


@POSIX
def test_a_pass_that_is_in_the_file_is_not_issued_again(desk):
    run = desk.prepare(JOINERS[:1])
    desk.expect_killed(
        [sys.executable, "-c", DIES_AFTER_THE_FILE, "apply", run, "--tap-out", desk.told, "--yes", *desk.stored.flags]
    )
    told = desk.told.read_bytes()
    assert desk.carry_out("resume", run).json["outcomes"]["done"] == 2
    assert (desk.told.read_bytes(), desk.issued()) == (told, 1)


@POSIX
@pytest.mark.parametrize("left", [-9, -1, 20, 0])
def test_a_line_that_a_crash_cut_short_is_taken_out_and_its_pass_replaced(desk, left):
    run = desk.prepare(JOINERS[:1])
    desk.expect_killed(
        [sys.executable, "-c", DIES_AFTER_THE_FILE, "apply", run, "--tap-out", desk.told, "--yes", *desk.stored.flags]
    )
    desk.told.write_bytes(desk.told.read_bytes()[:left])
    assert desk.carry_out("resume", run).json["outcomes"]["done"] == 2
    assert state_of(desk) == told_by(desk)
    assert [bool(each["note"]) for each in desk.handed] == [True]


@POSIX
def test_if_the_file_is_lost_with_its_passes_a_resume_begins_a_new_one_for_the_rest(desk):
    run = desk.prepare(JOINERS)
    desk.die(run, nth=3, when="before")
    desk.told.unlink()
    desk.carry_out("resume", run)
    told = told_by(desk)
    assert 1 <= len(told) <= 3
    assert told.items() <= state_of(desk).items()


@POSIX
@pytest.mark.parametrize("which", ["another run's", "something else"])
def test_a_resume_goes_on_with_no_other_file(desk, which):
    other = desk.prepare(JOINERS[:1])
    run = desk.prepare(JOINERS[1:])
    desk.die(run, nth=1, when="before")
    desk.told.unlink()
    if which == "another run's":
        desk.carry_out("apply", other)
    else:
        desk.told.write_text("a,b\n1,2\n")
    before = desk.told.read_bytes()
    refused = desk.carry_out("resume", run, code=5).json["error"]["message"]
    assert ("another run" in refused, desk.told.read_bytes()) == (which == "another run's", before)


def test_a_full_disk_stops_the_run_and_a_resume_issues_anew_what_was_lost(desk, monkeypatch):
    run = desk.prepare(JOINERS)
    real, left = handout._write_all, [2]

    def write(handle, content):
        left[0] -= 1
        if left[0] < 0:
            os.write(handle, content[:5])
            raise OSError(28, "No space left on device")
        real(handle, content)

    monkeypatch.setattr(handout, "_write_all", write)
    stopped = desk.carry_out("apply", run, code=7).json["error"]
    assert "No space left on device" in stopped["message"]
    assert f"--tap-out {desk.told}" in stopped["hint"]
    assert len(desk.handed) == 1
    monkeypatch.setattr(handout, "_write_all", real)
    desk.carry_out("resume", run)
    assert state_of(desk) == told_by(desk)
    assert [bool(each["note"]) for each in desk.handed].count(True) == desk.issued() - 3


def test_a_pass_that_the_service_does_not_tell_has_failed_and_a_resume_asks_for_another(desk, monkeypatch):
    desk.employ(JOINERS[:1])
    run = desk.prepare(JOINERS[:1])
    with monkeypatch.context() as muted:
        muted.setattr("graphkit.sandbox.areas.user_authentication._secret", lambda *_: "")
        desk.carry_out("apply", run, code=3)
    assert (desk.outcome(run, "90001")["status"], desk.handed) == ("failed", [])
    desk.carry_out("resume", run)
    assert state_of(desk) == told_by(desk)
    assert desk.outcome(run, "90001")["status"] == "done"


def test_nobody_elses_pass_is_replaced(desk):
    """Somebody at the service desk was quicker than the run."""
    desk.employ(JOINERS[:1])
    run = desk.prepare(JOINERS[:1])
    theirs = desk.post(f"/users/alex.example@contoso.example/authentication/{POSTED}", {"isUsableOnce": False})
    desk.carry_out("apply", run, code=3)
    assert state_of(desk) == {"alex.example@contoso.example": theirs["id"]}
    assert desk.handed == []
    assert desk.outcome(run, "90001")["code"] == "changed-since-plan"


# -- what the tenant allows ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rules", "page", "reason"),
    [
        ({"state": "disabled"}, {}, "temporary access passes are not enabled in this tenant"),
        ({}, {"lifetime_minutes": 600}, "lifetime_minutes: 600, and the tenant's policy allows 60 to 480"),
        ({"isUsableOnce": True}, {"one_time": "false"}, "one_time: false, and the tenant's policy allows only"),
    ],
)
def test_what_the_policy_does_not_allow_stops_the_plan(desk, rules, page, reason):
    desk.allow(**rules)
    asked = {"starts_at": '"08:00Z"', "lifetime_minutes": 480, **page}
    desk.page = f"{PAGE}access_passes: {{{', '.join(f'{name}: {value}' for name, value in asked.items())}}}\n"
    plan = desk.plan(JOINERS)
    assert (plan.code, plan.json["status"]) == (6, "blocked")
    assert plan.json["blocked"][0].startswith(reason)


def test_a_policy_that_cannot_be_read_is_said_to_be(desk):
    desk.spoil(method="GET", path=METHOD, action="answer", status=403, code="accessDenied")
    plan = desk.plan(JOINERS)
    assert (plan.code, plan.json["status"]) == (0, "ready")
    assert any("could not be read: the service answered 403" in remark for remark in plan.json["remarks"])


def test_whom_the_policy_leaves_out_is_refused_in_the_services_words(desk):
    group = desk.group("few")
    desk.allow(includeTargets=[{"targetType": "group", "id": group}])
    run = desk.prepare(JOINERS[:1])
    assert any("lets only some groups" in each for each in desk.line("show", run, "-o", "json").json["remarks"])
    desk.carry_out("apply", run, code=3)
    found = desk.outcome(run, "90001")
    assert (found["status"], "AuthMethodType [TemporaryAccessPass]" in found["message"]) == ("failed", True)


@pytest.mark.parametrize("text", ["08:00", "8:00Z", "25:00Z", "08:00+25:00", "soon"])
def test_a_time_without_its_offset_is_an_error(desk, text):
    desk.page = f'{PAGE}access_passes: {{starts_at: "{text}", lifetime_minutes: 60}}\n'
    plan = desk.plan(JOINERS)
    assert (plan.code, "time of day with its offset" in json.dumps(plan.json)) == (5, True)


# -- taking back -----------------------------------------------------------------------------------------------------


def undo(desk, run, *more, code=0):
    flags = ("--max-deletes", 20, "--allow-irreversible", *more)
    return desk.line("undo", run, *flags, "--yes", "-o", "json", code=code)


def test_an_undo_deletes_the_passes_with_the_accounts(desk):
    run = desk.prepare(JOINERS)
    desk.carry_out("apply", run)
    assert undo(desk, run).json["outcomes"]["done"] == 3
    assert desk.user("90001") is None


def test_an_undo_of_one_pass_deletes_it_and_leaves_what_somebody_put_in_its_place(desk):
    desk.employ(JOINERS)
    run = desk.prepare(JOINERS)
    desk.carry_out("apply", run)
    theirs = desk.post(f"/users/kim.sample@contoso.example/authentication/{POSTED}", {"isUsableOnce": False})
    blocked = undo(desk, run, code=3).json
    assert (blocked["outcomes"]["done"], blocked["outcomes"]["skipped"]) == (2, 1)
    assert state_of(desk) == {"kim.sample@contoso.example": theirs["id"]}


# -- whose pass nobody issues ----------------------------------------------------------------------------------------


@pytest.fixture
def rollout(simulated, tmp_path, tenant):
    """``rollout({1: False, 2: True})``: a wave of these people, with whether they have registered."""
    desk = Desk(simulated, tmp_path, "identity.mfa-rollout", stored=tenant)
    desk.allow()

    def given(people, *flags):
        from graphkit.sandbox.seeding.credentials import set_methods

        with desk.stored.changed() as held:
            for number, registered in people.items():
                set_methods(held, held.seed.id_of("user", upn(number)), *(["fido2"] if registered else []))
        text = "\n".join(["upn,org,wave,policy", *(f"{upn(number)},RX1,1,standard" for number in people), ""])
        (tmp_path / "people.csv").write_text(text, encoding="utf-8")
        (tmp_path / "waves.yaml").write_text(f"waves: [{{wave: 1, starts: 2026-01-05}}]\n{PASSES}", encoding="utf-8")
        files = ("-i", tmp_path / "people.csv", "-i", tmp_path / "waves.yaml")
        desk.given = lambda _: (*files, "--as-of", "2026-01-05", *flags)
        return desk

    return given


def test_in_a_wave_those_get_a_pass_who_have_not_registered(rollout):
    desk = rollout({1: False, 2: True})
    desk.carry_out("apply", desk.prepare(()))
    assert [(each["person"], each["userPrincipalName"]) for each in desk.handed] == [("", upn(1))]
    plan = desk.plan(())
    assert plan.json["status"] == "empty"
    assert lines(plan, "user.accessPass")[upn(2)]["note"] == "has registered for multifactor authentication already"


def test_who_is_kept_out_of_the_wave_gets_none(rollout):
    desk = rollout({1: False, 2: False})
    desk.line("graph", "patch", f"/users/{upn(2)}", "--body", '{"accountEnabled": false}', "--yes")
    desk.carry_out("apply", desk.prepare(()), code=3)
    assert [each["userPrincipalName"] for each in desk.handed] == [upn(1)]


def test_if_nobody_can_tell_who_has_registered_no_pass_is_planned(rollout):
    desk = rollout({1: False})
    desk.spoil(method="GET", path="/reports/authenticationMethods/*", action="answer", status=403, code="accessDenied")
    found = lines(desk.plan(()), "user.accessPass")[upn(1)]
    assert (found["action"], "whether they have registered" in found["note"]) == ("blocked", True)


def make_admin(desk, number):
    """User Administrator (learn.microsoft.com/entra/identity/role-based-access-control/permissions-reference)."""
    with desk.stored.changed() as held:
        held.state.link("roleMembers", "fe930be7-5e62-47db-91af-98c3a49a38b1", held.seed.id_of("user", upn(number)))


def test_a_pass_for_somebody_with_a_directory_role_needs_leave(rollout):
    desk = rollout({1: False, 2: False})
    make_admin(desk, 1)
    found = lines(desk.plan(()), "user.accessPass")[upn(1)]
    assert found["action"] == "blocked"
    assert found["note"].endswith("who holds a directory role: --allow-privileged allows it")
    desk.carry_out("apply", desk.prepare((), "--allow-privileged"))
    assert {each["userPrincipalName"] for each in desk.handed} == {upn(1), upn(2)}


@pytest.mark.parametrize("setting", ["GRAPHKIT_BREAK_GLASS", "GRAPHKIT_PROTECTED"])
def test_nobody_gets_a_pass_for_a_break_glass_or_protected_account(rollout, monkeypatch, setting):
    desk = rollout({1: False, 2: False})
    monkeypatch.setenv(setting, upn(1))
    found = lines(desk.plan((), "--allow-privileged"), "user.accessPass")[upn(1)]
    assert (found["action"], found["note"].startswith("issues a pass to sign in as")) == ("blocked", True)
