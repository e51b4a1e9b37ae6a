import io
import json
import logging
import os
import re
import stat
from pathlib import Path

import pytest

from graphkit import log

ROOT = Path(__file__).parent.parent
JWT = "eyJhbGciOiJub25lIn0.eyJ0aWQiOiJjYW5hcnkifQ.c2lnbmF0dXJlLWNhbmFyeQ"


@pytest.fixture(autouse=True)
def restored_logging():
    watched = [logging.getLogger(), logging.getLogger("graphkit"), logging.getLogger("test.foreign")]
    before = [(logger, logger.level, list(logger.handlers)) for logger in watched]
    yield
    for logger, level, handlers in before:
        for handler in set(logger.handlers) - set(handlers):
            logger.removeHandler(handler)
            handler.close()
        logger.setLevel(level)
    for handler in (*logging.getLogger().handlers, logging.lastResort):
        handler.filters = [item for item in handler.filters if not isinstance(item, log.RedactingFilter)]


@pytest.fixture
def wire():
    return logging.getLogger("graphkit.transport")


def lines(capsys) -> list[dict]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_an_event_is_one_json_object_a_line_with_the_promised_fields(capsys, wire):
    log.setup("info", "json")
    log.event(wire, "request-sent", status=200, ms=31, run="r1", step=4, bucket="writes", request_id="x", path="/me")
    (document,) = lines(capsys)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", document.pop("ts"))
    assert list(document.items()) == [
        ("level", "info"),
        ("logger", "graphkit.transport"),
        ("event", "request-sent"),
        ("run", "r1"),
        ("step", 4),
        ("bucket", "writes"),
        ("status", 200),
        ("ms", 31),
        ("request_id", "x"),
        ("path", "/me"),
    ]


def test_the_text_form_is_one_line(capsys, wire):
    log.setup("info", "text")
    log.event(wire, "request-sent", status=200, ms=None)
    assert re.fullmatch(r"\d\d:\d\d:\d\d info +transport: request-sent status=200\n", capsys.readouterr().err)


def test_below_the_level_nothing_is_said(capsys, wire):
    log.setup("warning", "json")
    log.event(wire, "request-sent")
    log.event(wire, "request-refused", level=logging.WARNING)
    assert [document["event"] for document in lines(capsys)] == ["request-refused"]


@pytest.mark.parametrize("name", ["sent", "Request-Sent", "request_sent", "request sent", ""])
def test_an_event_must_have_a_kebab_case_name(wire, name):
    with pytest.raises(ValueError, match="kebab-case"):
        log.event(wire, name)


@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.parametrize("level", ["debug", "info", "warning", "error"])
def test_no_secret_and_no_person_is_logged_at_any_level(capsys, wire, form, level):
    log.setup(level, form, secrets=["canary-known"])
    number = getattr(logging, level.upper())
    person = "canary-person@contoso.example"
    log.event(wire, "request-sent", level=number, path=f"/users/{person}", header=f"Bearer {JWT}", deep={"a": [JWT]})
    wire.log(number, "secret %s for %s", "client_secret=canary-named", person)
    wire.log(number, "canary-known")
    wire.log(number, "mapping %(access_token)s", {"access_token": JWT})
    try:
        raise ValueError(f"bad token {JWT} of {person}")
    except ValueError:
        wire.log(number, "failed", exc_info=True)
    printed = capsys.readouterr().err
    assert len(printed.splitlines()) >= 5
    assert "Traceback" in printed
    for part in ("canary", "c2lnbmF0dXJl", "eyJ0aWQi"):
        assert part not in printed


def test_foreign_handlers_are_guarded_too(wire):
    kept, foreign = io.StringIO(), logging.getLogger("test.foreign")
    foreign.addHandler(logging.StreamHandler(kept))
    log.setup("debug", "text")
    foreign.warning("Authorization: Bearer %s", JWT)
    assert "characters removed" in kept.getvalue()
    assert "eyJ" not in kept.getvalue()


def test_the_secrets_of_the_last_setup_count(capsys, wire):
    log.setup("info", "text", secrets=["first-secret"])
    log.setup("info", "text", secrets=["second-secret"])
    wire.info("second-secret")
    printed = capsys.readouterr().err
    assert len(printed.splitlines()) == 1
    assert "second-secret" not in printed


def test_a_control_character_cannot_forge_a_line_or_steer_a_terminal(capsys, wire):
    log.setup("info", "text")
    log.event(wire, "name-seen", name="x\n09:00:00 error \x1b[2J\u202e")
    printed = capsys.readouterr().err
    assert len(printed.splitlines()) == 1
    assert printed.rstrip("\n").isprintable()


def test_a_log_file_is_private_and_takes_the_place_of_standard_error(tmp_path, capsys, wire):
    file = tmp_path / "logs" / "graphkit.log"
    log.setup("info", "json", file)
    log.event(wire, "request-sent", status=200)
    assert json.loads(file.read_text(encoding="utf-8"))["status"] == 200
    assert capsys.readouterr().err == ""
    if os.name == "posix":
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_the_manual_lists_every_event():
    manual = (ROOT / "docs/settings.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([a-z0-9]+(?:-[a-z0-9]+)+)` \|", manual, re.M)
    listed = set(rows)
    assert len(listed) == len(rows), "an event that is listed twice"
    used = set()
    for source in (ROOT / "graphkit").rglob("*.py"):
        text = source.read_text(encoding="utf-8")
        used |= set(re.findall(r'\bevent\(\s*[\w.]+,\s*"([a-z0-9-]+)"', text))
    assert used - listed == set(), "events without a line in docs/settings.md"
    assert listed - used == set(), "events in docs/settings.md that nothing logs"
