"""The timer: what should be against what is, once a day."""

from __future__ import annotations

import pytest
from triggered import pool_request

from graphkit.errors import UsageError


@pytest.fixture
def baseline(tmp_path):
    """A folder that says what should be: one pool."""
    folder = tmp_path / "drift" / "licenses.pools"
    folder.mkdir(parents=True)
    for name, text in pool_request()["inputs"].items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


@pytest.fixture
def watching(make_app, baseline):
    def make(**variables):
        return make_app(GRAPHKIT_FUNCTIONS_DRIFT_DIR=str(baseline.parent), **variables)

    return make


def the_run(app):
    (folder,) = (app.settings.runs_dir / "functions").iterdir()
    return folder.name


def test_drift_is_planned_and_waits_for_somebody(watching, tenant):
    app = watching()
    app.tick()
    app.take_all()
    shown = app.show(the_run(app)).body
    assert (shown["drift"], shown["status"], shown["plan"]["changes"]["create"]) == (True, "planned", 1)
    assert not tenant.log()


def test_a_timer_that_fires_twice_or_late_makes_one_run(watching):
    app = watching()
    app.tick()
    app.now += 3600
    app.tick(late=True)
    assert len(app.queue.messages) == 1
    app.take_all()
    app.tick()
    assert not app.queue.messages
    assert the_run(app)


def test_the_next_day_or_other_inputs_are_another_run(watching, baseline):
    app = watching()
    app.tick()
    app.now += 24 * 3600
    app.tick()
    (baseline / "rx1.csv").write_text("upn\nrx1-0001@contoso.example\n")
    app.tick()
    assert len({text for text, _ in app.queue.messages}) == 3


def test_no_drift_is_a_finished_run(watching, tenant):
    app = watching()
    app.tick()
    app.take_all()
    app.approve(the_run(app))
    app.take_all()
    before = len(tenant.log())
    app.now += 24 * 3600
    app.tick()
    text = app.take()
    run = text.split('"')[3]
    assert (app.show(run).body["status"], app.show(run).body["exitCode"]) == ("finished", 0)
    assert len(tenant.log()) == before


def test_drift_is_put_right_only_if_both_settings_say_so(watching, tenant):
    app = watching(GRAPHKIT_FUNCTIONS_DRIFT_ENFORCE="1")
    app.tick()
    app.take_all()
    assert app.show(the_run(app)).body["status"] == "finished"
    assert app.run(the_run(app)).approval(1).by == "schedule"
    assert tenant.log()


def test_enforcing_needs_leave_to_apply(watching, tenant):
    app = watching(GRAPHKIT_FUNCTIONS_DRIFT_ENFORCE="1", GRAPHKIT_FUNCTIONS_APPLY="0")
    app.tick()
    app.take_all()
    assert app.show(the_run(app)).body["status"] == "planned"
    assert not tenant.log()


def test_enforcing_stays_within_the_rails(watching, baseline, tenant):
    text = (baseline / "pools.yaml").read_text().replace("cap: 50", "cap: 10")
    (baseline / "pools.yaml").write_text(text)
    app = watching(GRAPHKIT_FUNCTIONS_DRIFT_ENFORCE="1")
    app.tick()
    app.take_all()
    assert (app.show(the_run(app)).body["status"], app.show(the_run(app)).body["exitCode"]) == ("blocked", 6)
    assert not tenant.log()


def test_what_a_request_asks_for_is_never_put_right_by_itself(watching, tenant):
    app = watching(GRAPHKIT_FUNCTIONS_DRIFT_ENFORCE="1")
    run = app.start(pool_request()).run
    app.take_all()
    assert app.show(run).body["status"] == "planned"


def test_a_folder_of_another_name_is_told_after_the_others_were_begun(watching, baseline):
    (baseline.parent / "devices.nothing").mkdir()
    app = watching()
    with pytest.raises(UsageError, match=r"devices\.nothing"):
        app.tick()
    assert len(app.queue.messages) == 1


def test_inputs_that_are_wrong_end_as_a_failed_run(watching, baseline):
    (baseline / "rx1.csv").write_text("upn\nnobody\n")
    app = watching()
    app.tick()
    app.take_all()
    assert app.show(the_run(app)).body["error"]["code"] == "invalid-input"


def test_a_folder_that_is_not_there_is_told_with_its_setting(make_app, tmp_path):
    app = make_app(GRAPHKIT_FUNCTIONS_DRIFT_DIR=str(tmp_path / "no-such"))
    with pytest.raises(UsageError, match="no-such is not there") as caught:
        app.tick()
    assert "GRAPHKIT_FUNCTIONS_DRIFT_DIR" in caught.value.hint


def test_without_a_folder_the_timer_does_nothing(app):
    app.tick()
    assert not app.queue.messages
