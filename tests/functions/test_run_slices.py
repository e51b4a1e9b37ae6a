"""What the queue's functions do with a message: plan, apply, go on, end, and leave alone what was done."""

from __future__ import annotations

import errno
import json
import re
from collections import Counter

import pytest
from triggered import files_of, pool_request, signed_in

from graphkit.engine.runfile import RunFile
from graphkit.errors import (
    AuthError,
    ConnectionFailed,
    DeadlineReached,
    LeaseLost,
    MissingPermission,
    Parked,
    RunFileError,
    ServiceError,
    TooManyFailures,
    WrongTenant,
)
from graphkit.functions import slicing
from graphkit.functions.store import Run, Worker


def writes(tenant):
    return [(entry.method, entry.path) for entry in tenant.log()]


def shape(tenant):
    return [re.sub(r"[0-9a-f-]{36}", "ID", f"{method} {path}") for method, path in writes(tenant)]


POOL = Counter(
    {"PATCH /groups(uniqueName='RX1.SPE_E3.pool')": 1, "PATCH /groups/ID": 3, "POST /groups/ID/assignLicense": 1}
)
"""A group, its 45 members twenty at a time, its licence."""


def failing(error):
    def fail(*_, **__):
        raise error

    return fail


def test_a_run_stops_at_its_plan(app, tenant, planned):
    shown = app.show(planned).body
    assert (shown["status"], shown["exitCode"]) == ("planned", None)
    assert shown["plan"]["changes"]["add"] == 46
    assert shown["planDigest"]
    assert not app.queue.messages
    assert not writes(tenant)


def test_an_approved_run_is_applied_to_its_end(app, tenant, planned):
    reply = app.approve(planned, {"plan": app.show(planned).body["planDigest"]})
    assert reply.status == 202
    app.take()
    shown = app.show(planned).body
    assert (shown["status"], shown["exitCode"]) == ("finished", 0)
    assert shown["outcomes"]["done"] == 47
    assert writes(tenant)
    assert not app.queue.messages


def test_the_run_file_lies_on_the_share_in_one_piece(app, planned):
    app.approve(planned)
    app.take_all()
    kept = files_of(app.run(planned).path)
    assert {f"plan/{planned}.run", f"plan/{planned}.results.csv", "inputs/rx1.csv"} <= kept
    assert not [name for name in kept if name.endswith("-journal") or name.rpartition("/")[2].startswith(".")]
    with RunFile.open(app.run(planned).run_file) as run:
        assert run._db.execute("PRAGMA journal_mode").fetchone() == ("delete",)


def test_without_the_setting_nothing_can_be_approved(make_app, tenant):
    app = make_app(GRAPHKIT_FUNCTIONS_APPLY="0")
    run = app.start(pool_request()).run
    app.take()
    reply = app.approve(run)
    assert (reply.status, reply.error["hint"]) == (409, "GRAPHKIT_FUNCTIONS_APPLY=1 lets it")
    assert not app.queue.messages
    app.take(json.dumps({"run": run, "slice": 1}))
    assert not writes(tenant)


def test_a_setting_switched_off_after_the_approval_holds(make_app, tenant):
    app = make_app()
    run = app.start(pool_request()).run
    app.take()
    app.approve(run)
    text = app.queue.messages[0][0]
    app = make_app(GRAPHKIT_FUNCTIONS_APPLY="0")
    app.take(text)
    assert "GRAPHKIT_FUNCTIONS_APPLY" in app.show(run).body["error"]["message"]
    assert not writes(tenant)


def test_a_forged_message_applies_nothing_that_nobody_approved(app, tenant, planned):
    for number in (0, 1, 2, 99):
        app.take(json.dumps({"run": planned, "slice": number}))
    assert app.show(planned).body["status"] == "planned"
    assert not writes(tenant)


def test_an_approval_means_one_plan(app, planned):
    reply = app.approve(planned, {"plan": "0" * 64})
    assert (reply.status, app.queue.messages) == (409, type(app.queue.messages)())
    assert app.approve(planned, b"yes").status == 400


def test_approving_twice_puts_one_message(app, planned):
    assert [app.approve(planned).status, app.approve(planned).status] == [202, 202]
    assert len(app.queue.messages) == 1


def test_nothing_can_be_approved_before_it_is_planned_or_after_it_has_ended(app, planned):
    waiting = app.start(pool_request(label="other")).run
    assert app.approve(waiting).status == 409
    app.approve(planned)
    app.take_all()
    assert app.approve(planned).status == 409


def test_an_empty_plan_is_a_finished_run(app, planned):
    app.approve(planned)
    app.take_all()
    again = app.start(pool_request(label="again")).run
    app.take()
    shown = app.show(again).body
    assert (shown["status"], shown["exitCode"]) == ("finished", 0)


def test_a_plan_that_a_rail_stops_is_the_end(app, tenant):
    run = app.start(pool_request(cap=10)).run
    app.take()
    shown = app.show(run).body
    assert (shown["status"], shown["exitCode"]) == ("blocked", 6)
    assert shown["plan"]["blocked"]
    assert app.approve(run).status == 409
    assert not writes(tenant)


def fault(tenant, *rules):
    held = tenant.look()
    held.faults.clear()
    held.faults.extend(rules)
    held.close()


def test_a_partly_failed_run_may_be_approved_again_to_try_what_is_left(app, tenant, planned):
    fault(tenant, {"path": "/groups/*/assignLicense", "action": "answer", "status": 403})
    app.approve(planned)
    app.take_all()
    shown = app.show(planned).body
    assert (shown["status"], shown["exitCode"]) == ("partly-failed", 3)
    assert shown["outcomes"]["failed"] == 1
    fault(tenant)
    assert app.approve(planned, headers=signed_in("Runs.Approve")).status == 202
    app.take_all()
    shown = app.show(planned).body
    assert (shown["status"], shown["outcomes"]["done"]) == ("finished", 47)


# -- one slice after another -----------------------------------------------------------------------------------------


def test_a_long_run_goes_on_message_by_message_and_repeats_nothing(make_app, tenant):
    app = make_app(AzureFunctionsJobHost__functionTimeout="00:01:03")
    fault(tenant, {"path": "/$batch", "action": "delay", "seconds": 2})
    run = app.start(pool_request()).run
    app.take()
    app.approve(run)
    slices = []
    while app.queue.messages:
        slices.append(json.loads(app.take())["slice"])
        assert len(slices) < 40
    assert len(slices) > 1
    assert slices == list(range(1, len(slices) + 1))
    assert app.show(run).body["outcomes"]["done"] == 47
    assert Counter(shape(tenant)) == POOL


def test_the_deadline_of_a_slice_is_a_minute_before_the_hosts(app, monkeypatch):
    seen = []

    async def look(session, *_, deadline, **__):
        seen.append(deadline - session.clock.now())
        raise DeadlineReached("the deadline came")

    monkeypatch.setattr("graphkit.jobs.plan", look)
    run = app.start(pool_request()).run
    app.take()
    assert 1700 < seen[0] <= 1740
    assert app.show(run).body["status"] == "failed"
    assert "one slice" in app.show(run).body["error"]["hint"]


def test_a_run_that_the_service_parks_goes_on_when_it_may(app, planned, monkeypatch):
    app.approve(planned)
    monkeypatch.setattr(slicing, "apply", failing(Parked("the service closed it", seconds=900)))
    app.take()
    assert [delay for _, delay in app.queue.messages] == [900]
    assert app.show(planned).body["status"] == "applying"
    assert app.show(planned).body["trouble"]["code"] == "parked"


def test_a_run_that_a_brake_has_stopped_waits_for_somebody_to_let_it_go_on(app, planned, monkeypatch):
    app.approve(planned)
    with monkeypatch.context() as patch:
        patch.setattr(slicing, "apply", failing(TooManyFailures("half of it failed")))
        app.take_all()
    shown = app.show(planned).body
    assert (shown["status"], shown["error"]["message"]) == ("failed", "half of it failed")
    app.approve(planned)
    app.take_all()
    assert app.show(planned).body["status"] == "finished"


def test_a_run_that_gets_nowhere_is_given_up(app, planned, monkeypatch):
    app.approve(planned)
    monkeypatch.setattr(slicing, "apply", failing(DeadlineReached("the deadline came")))
    app.take_all()
    shown = app.show(planned).body
    assert (shown["status"], shown["error"]["code"]) == ("failed", "deadline")


# -- what comes twice, late, or not at all ----------------------------------------------------------------------------


def test_a_message_that_comes_again_after_its_slice_changes_nothing(app, tenant, planned):
    app.approve(planned)
    text = app.take()
    before, shown = writes(tenant), app.show(planned).body
    app.take(text)
    app.take(json.dumps({"run": planned, "slice": 0}))
    assert (writes(tenant), app.show(planned).body) == (before, shown)


def test_a_worker_that_dies_between_its_work_and_the_next_message_is_repeated(app, planned, monkeypatch):
    app.approve(planned)
    text = app.queue.messages.popleft()[0]
    with monkeypatch.context() as patch:
        patch.setattr("graphkit.functions.work._Slice._end", failing(KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            app.take(text)
    assert app.show(planned).body["status"] == "applying"
    app.take(text)
    assert app.show(planned).body["status"] == "finished"


def test_a_worker_that_dies_after_planning_leaves_a_plan_that_the_next_one_tells_of(app, monkeypatch):
    run = app.start(pool_request()).run
    text = app.queue.messages.popleft()[0]
    with monkeypatch.context() as patch:
        patch.setattr("graphkit.functions.work._Slice._save", failing(KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            app.take(text)
    digest = run_digest(app, run)
    app.take(text)
    assert app.show(run).body["planDigest"] == digest


def run_digest(app, run):
    with RunFile.open(app.run(run).run_file) as file:
        return file.header()["digest"]


def test_of_two_workers_that_plan_at_once_one_plan_counts(app, monkeypatch):
    run = app.start(pool_request()).run
    text = app.queue.messages.popleft()[0]
    plan = slicing.plan
    digests = []

    def overtaken(settings, found):
        monkeypatch.setattr(slicing, "plan", plan)
        with found.planning() as path:  # another worker begins, and this one ends first
            app.take(text)
            digests.append(run_digest(app, run))
            path.write_bytes(b"the plan of the one who was late")
        return slicing.look(found)

    monkeypatch.setattr(slicing, "plan", overtaken)
    app.take(text)
    assert run_digest(app, run) == digests[0] == app.show(run).body["planDigest"]
    assert {path.name for path in app.run(run).path.iterdir() if path.is_dir()} == {"inputs", "plan"}


def test_the_next_slice_may_end_before_this_one_has_said_that_it_is_over(app, planned, monkeypatch):
    app.approve(planned)
    with monkeypatch.context() as once:
        once.setattr(slicing, "apply", failing(DeadlineReached("the deadline came")))
        send = app.queue.send

        def taken_at_once(message, **how):
            once.undo()
            send(message, **how)
            app.take_all()

        once.setattr(app.queue, "send", taken_at_once)
        app.take()
    shown = app.show(planned).body
    assert (shown["status"], shown["outcomes"]["done"]) == ("finished", 47)


def test_a_worker_that_was_overtaken_says_nothing(app, planned, monkeypatch):
    app.approve(planned)
    monkeypatch.setattr(slicing, "apply", failing(LeaseLost("taken over")))
    app.take()
    assert app.show(planned).body["status"] == "applying"
    assert not app.queue.messages


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", "null", '{"run": 1, "slice": 0}', '{"run": "..", "slice": 0}', "\x00"]
)
def test_a_message_that_is_none_is_dropped(app, text):
    app.take(text)
    app.poison(text)
    assert not app.queue.messages


def test_while_somebody_applies_it_another_worker_leaves_it_alone_and_comes_back(app, tenant, planned):
    app.approve(planned)
    text = app.queue.messages[0][0]
    assert app.run(planned).claim(Worker("another", app.now - 20, done=7, total=47))
    app.take()
    assert not writes(tenant)
    assert list(app.queue.messages) == [(text, 30.0)]
    assert app.show(planned).body["progress"] == {"done": 7, "total": 47, "failed": 0}
    app.now += 30
    app.take()
    assert app.show(planned).body["status"] == "finished"
    assert "worker.json" not in files_of(app.run(planned).path)


# -- faults ----------------------------------------------------------------------------------------------------------

PASSING = [
    ConnectionFailed("no connection"),
    AuthError("the login service is away"),
    ServiceError("busy", status=503),
    ServiceError("too many", status=429),
    OSError("the share is away"),
    ZeroDivisionError(),
]
LASTING = [
    ServiceError("forbidden", status=403),
    WrongTenant("another tenant"),
    MissingPermission("no permission"),
    RunFileError("changed after it was planned"),
]


@pytest.mark.parametrize("error", PASSING, ids=lambda error: type(error).__name__)
def test_a_fault_that_passes_is_raised_for_the_host_to_try_again(app, planned, monkeypatch, error):
    app.approve(planned)
    text = app.queue.messages[0][0]
    with monkeypatch.context() as patch:
        patch.setattr(slicing, "apply", failing(error))
        with pytest.raises(type(error)):
            app.take()
    assert app.show(planned).body["trouble"]
    app.take(text)
    shown = app.show(planned).body
    assert (shown["status"], shown["trouble"]) == ("finished", None)


@pytest.mark.parametrize("error", LASTING, ids=lambda error: type(error).__name__)
def test_a_fault_that_lasts_is_recorded_and_is_the_end(app, planned, monkeypatch, error):
    app.approve(planned)
    monkeypatch.setattr(slicing, "apply", failing(error))
    app.take()
    shown = app.show(planned).body
    assert (shown["status"], shown["error"]["message"]) == ("failed", error.message)


def test_what_nobody_foresaw_shows_its_kind_and_nothing_of_what_it_says(app, planned, monkeypatch):
    app.approve(planned)
    monkeypatch.setattr(slicing, "apply", failing(ValueError("rx1-0001@contoso.example")))
    with pytest.raises(ValueError, match="rx1"):
        app.take()
    assert "contoso" not in json.dumps(app.show(planned).body["trouble"])


def test_a_message_in_the_poison_queue_marks_the_run_failed(app, planned, monkeypatch):
    app.approve(planned)
    text = app.queue.messages[0][0]
    with monkeypatch.context() as patch:
        patch.setattr(slicing, "apply", failing(ConnectionFailed("no connection")))
        with pytest.raises(ConnectionFailed):
            app.take()
    app.poison(text)
    shown = app.show(planned).body
    assert (shown["status"], shown["error"]["code"]) == ("failed", "connection-failed")
    assert "no connection" in shown["error"]["message"]
    app.take(text)
    assert app.show(planned).body["status"] == "failed"


def test_a_run_that_was_given_up_goes_on_when_it_is_approved_again(app, planned):
    app.approve(planned)
    app.poison(app.queue.messages.popleft()[0])
    assert app.show(planned).body["status"] == "failed"
    assert app.approve(planned).status == 202
    app.take_all()
    assert app.show(planned).body["status"] == "finished"


def test_a_plan_that_was_given_up_is_made_when_the_same_request_comes_again(app):
    run = app.start(pool_request()).run
    app.poison(app.queue.messages.popleft()[0])
    assert app.show(run).body["status"] == "failed"
    assert app.start(pool_request()).run == run
    app.take_all()
    assert app.show(run).body["status"] == "planned"


def test_a_poison_message_of_a_run_that_ended_changes_nothing(app, planned):
    app.approve(planned)
    text = app.take()
    app.poison(text)
    assert app.show(planned).body["status"] == "finished"


def test_input_that_only_the_tenant_can_refuse_ends_the_run_with_every_error(app):
    body = pool_request(2)
    body["inputs"]["rx1.csv"] += "nobody@contoso.example\nno.one@contoso.example\n"
    run = app.start(body).run
    app.take()
    shown = app.show(run).body
    assert (shown["status"], shown["error"]["code"]) == ("failed", "invalid-input")
    assert [each["row"] for each in shown["error"]["errors"]] == [4, 5]


# -- cancelled -------------------------------------------------------------------------------------------------------


def test_a_waiting_run_is_cancelled(app, planned):
    assert app.cancel(planned).body["status"] == "cancelling"
    app.take_all()
    assert app.show(planned).body["status"] == "cancelled"
    assert app.approve(planned).status == 409


def test_a_cancelled_run_is_neither_planned_nor_applied(app, tenant, planned):
    queued = app.start(pool_request(label="queued")).run
    app.approve(planned)
    app.cancel(planned)
    app.cancel(queued)
    app.take_all()
    assert {app.show(run).body["status"] for run in (planned, queued)} == {"cancelled"}
    assert not writes(tenant)


def test_a_run_at_work_stops_in_an_orderly_way_and_says_what_it_did(app, tenant, planned, monkeypatch):
    fault(tenant, {"path": "/$batch", "action": "delay", "seconds": 20})
    app.approve(planned)
    look = slicing._Presence.note

    def cancel_once(self, progress):
        look(self, progress)
        if progress.done:
            app.cancel(planned)

    monkeypatch.setattr(slicing._Presence, "note", cancel_once)
    app.take_all()
    shown = app.show(planned).body
    assert shown["status"] == "cancelled"
    assert 0 < sum(shown["outcomes"].values()) < 47
    assert Counter(shape(tenant)) < POOL


@pytest.mark.parametrize("at_once", [True, False], ids=["told by another worker", "told afterwards"])
def test_a_run_that_is_cancelled_while_it_is_planned_ends_as_cancelled(app, tenant, monkeypatch, at_once):
    run = app.start(pool_request()).run
    plan = slicing.plan

    def cancelled_meanwhile(*given):
        summary = plan(*given)
        app.cancel(run)
        if at_once:
            app.take()
        return summary

    monkeypatch.setattr(slicing, "plan", cancelled_meanwhile)
    app.take_all()
    assert app.show(run).body["status"] == "cancelled"
    assert app.approve(run).status == 409
    assert not tenant.log()


def test_a_run_that_is_cancelled_in_the_moment_in_which_its_plan_is_told_ends_too(app, monkeypatch):
    """Whoever cancels has seen the run before its number moved on."""
    run = app.start(pool_request()).run
    stored = Run.set_state

    def cancelled_just_before(self, state):
        if state.status == "planned":
            app.cancel(run)
        stored(self, state)

    monkeypatch.setattr(Run, "set_state", cancelled_just_before)
    app.take_all()
    assert app.show(run).body["status"] == "cancelled"


def test_a_share_that_is_away_for_a_moment_ends_no_run_at_work(app, tenant, planned, monkeypatch):
    fault(tenant, {"path": "/$batch", "action": "delay", "seconds": 20})
    app.approve(planned)
    tell, asked = slicing._Presence._keep_telling, []

    class Away(Run):
        @property
        def cancelled(self):
            asked.append(self.id)
            if len(asked) == 1:
                raise OSError(errno.ESTALE, "Stale file handle")
            return False

    def on_a_share(self, session):
        self._run = Away(self._run.path)
        return tell(self, session)

    monkeypatch.setattr(slicing._Presence, "_keep_telling", on_a_share)
    app.take_all()
    assert app.show(planned).body["status"] == "finished"
    assert len(asked) > 1


def test_a_share_without_hard_links_serves_as_well(app, planned, monkeypatch):
    def refused(*_):
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    monkeypatch.setattr("graphkit.functions.store.os.link", refused)
    app.approve(planned)
    app.take_all()
    assert app.show(planned).body["status"] == "finished"
    assert not [name for name in files_of(app.run(planned).path) if name.startswith(".")]


def test_a_run_that_has_ended_cannot_be_cancelled(app, planned):
    app.approve(planned)
    app.take_all()
    assert app.cancel(planned).status == 409


PASSES = "access_passes: {starts_at: '08:00Z', lifetime_minutes: 60}\n"
TYPE = "#microsoft.graph.temporaryAccessPassAuthenticationMethodConfiguration"


def test_a_plan_that_issues_passes_is_not_for_an_app(make_app, tenant, simulated):
    """They are told once, to a file of whoever applies; there is nobody here."""
    method = "/policies/authenticationMethodsPolicy/authenticationMethodConfigurations/temporaryAccessPass"
    body = json.dumps({"@odata.type": TYPE, "state": "enabled"})
    assert simulated("graph", "patch", method, "--body", body, "--yes").code == 0
    app = make_app(GRAPHKIT_FUNCTIONS_RECIPES="people.joiners")
    people = "employee_id,first_name,last_name,org,start_date\n90001,Alex,Example,RX1,2026-01-05\n"
    page = f"usage_location: GB\ndomain: contoso.example\n{PASSES}"
    inputs = {"people.csv": people, "people.yaml": page}
    before = len(writes(tenant))
    run = app.start({"inputs": inputs, "options": {"as_of": "2026-01-05"}}, recipe="people.joiners").run
    app.take()
    shown = app.show(run).body
    assert (shown["status"], shown["exitCode"]) == ("blocked", 6)
    assert "issues 1 temporary access pass, which this app does not do" in shown["error"]["message"]
    assert app.approve(run).status == 409
    assert len(writes(tenant)) == before
    inputs["people.yaml"] = page.removesuffix(PASSES)
    run = app.start({"inputs": inputs, "options": {"as_of": "2026-01-05"}}, recipe="people.joiners").run
    app.take()
    assert app.show(run).body["status"] == "planned"
