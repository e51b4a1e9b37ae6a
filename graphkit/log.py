"""Logs: what happened, as events with fields; never a body, a secret or a person.

Loggers are named ``graphkit.<room>``. Events have kebab-case names, listed in ``docs/settings.md``.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from graphkit.private import make_folder
from graphkit.redact import redact, without_people

FIELDS = ("run", "step", "bucket", "status", "ms", "request_id")
"""The fields every collector may rely on; an event may bring others after them."""

_EVENT = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)+")
_PLAIN_RECORD = frozenset(logging.LogRecord("", 0, "", 0, "", (), None).__dict__) | {"message", "asctime", "taskName"}

# Libraries below us tell the same story again, with addresses in it.
_QUIET = {
    "azure": logging.ERROR,
    "msal": logging.ERROR,
    "msal_extensions": logging.ERROR,
    "httpx": logging.WARNING,
    "httpcore": logging.WARNING,
    "urllib3": logging.WARNING,
    "asyncio": logging.WARNING,
}


def event(logger: logging.Logger, name: str, /, *, level: int = logging.INFO, **fields: object) -> None:
    """Log that ``name`` happened. Fields of value ``None`` are left out; ``ms`` is milliseconds."""
    if not _EVENT.fullmatch(name):
        raise ValueError(f"an event is named in kebab-case with at least two words, not '{name}'")
    if logger.isEnabledFor(level):
        given = {key: value for key, value in fields.items() if value is not None}
        logger.log(level, name, extra={"event": name, "fields": given}, stacklevel=2)


class RedactingFilter(logging.Filter):
    """Cleans a record before any handler formats it: message, fields, and the text of an exception."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        super().__init__()
        self._secrets = tuple(secret for secret in secrets if secret)

    def clean(self, text: str) -> str:
        return without_people(redact(text, self._secrets))

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg = self.clean(record.getMessage())
        record.args = None
        if record.exc_info and not record.exc_text:
            record.exc_text = logging.Formatter().formatException(record.exc_info)
        # The text stays, the exception goes: another formatter would print it afresh.
        record.exc_info = None
        record.exc_text = self.clean(record.exc_text) if record.exc_text else None
        record.stack_info = self.clean(record.stack_info) if record.stack_info else None
        for name, value in record.__dict__.items():
            if name not in _PLAIN_RECORD:
                record.__dict__[name] = self._clean_extra(value)
        return True

    def _clean_extra(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {name: self._clean_extra(item) for name, item in value.items()}
        return value if value is None or isinstance(value, bool | int | float) else self.clean(str(value))


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    given: dict[str, Any] = getattr(record, "fields", {})
    return {name: given[name] for name in (*FIELDS, *sorted(set(given) - set(FIELDS))) if name in given}


def _when(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class JsonFormatter(logging.Formatter):
    """One JSON object a line: ``ts``, ``level``, ``logger``, ``event``, then the fields."""

    def format(self, record: logging.LogRecord) -> str:
        name = getattr(record, "event", "")
        document = {"ts": _when(record), "level": record.levelname.lower(), "logger": record.name, "event": name}
        if not name:
            document["event"] = "message"
            document["message"] = record.getMessage()
        document |= _fields(record)
        if record.exc_text:
            document["exception"] = record.exc_text
        return json.dumps(document, ensure_ascii=False, default=str)


class TextFormatter(logging.Formatter):
    """The same for people: ``09:00:00 info  transport  request-sent  status=200 ms=31``."""

    def format(self, record: logging.LogRecord) -> str:
        room = record.name.removeprefix("graphkit.")
        fields = "".join(f" {name}={value}" for name, value in _fields(record).items())
        line = _one_line(f"{_when(record)[11:19]} {record.levelname.lower():<7} {room}: {record.getMessage()}{fields}")
        return f"{line}\n{record.exc_text}" if record.exc_text else line


def _one_line(text: str) -> str:
    """Control characters spelt out: a display name must neither forge a line nor steer a terminal."""
    if text.isprintable():
        return text
    return "".join(mark if mark.isprintable() else mark.encode("unicode_escape").decode("ascii") for mark in text)


def setup(level: str = "warning", format: str = "text", file: Path | None = None, secrets: Iterable[str] = ()) -> None:
    """Send all logs to standard error, or to ``file`` (created private to its owner), and redact on every handler.

    ``level`` and ``format`` as in the settings; ``secrets`` are values to mask wherever they turn up
    (``Settings.secrets``). Calling it again replaces what the first call set up.
    """
    root = logging.getLogger()
    for handler in [handler for handler in root.handlers if handler.name == "graphkit"]:
        root.removeHandler(handler)
        handler.close()
    ours = _open(file)
    ours.name = "graphkit"
    ours.setFormatter(JsonFormatter() if format == "json" else TextFormatter())
    root.addHandler(ours)
    guard(level, secrets)


def guard(level: str, secrets: Iterable[str] = ()) -> None:
    """Redact on every handler that is there, where somebody else has set up the logs. ``level`` is for our own."""
    number = getattr(logging, level.upper())
    logging.getLogger("graphkit").setLevel(number)
    for name, quiet in _QUIET.items():
        logging.getLogger(name).setLevel(max(quiet, number))
    _guard_handlers(RedactingFilter(secrets))


def _open(file: Path | None) -> logging.StreamHandler[Any]:
    if file is None:
        return logging.StreamHandler(sys.stderr)
    make_folder(file.parent)
    file.touch(mode=0o600)
    return logging.FileHandler(file, encoding="utf-8")


def _guard_handlers(redacting: RedactingFilter) -> None:
    known = [logging.getLogger(), *(logging.getLogger(name) for name in list(logging.root.manager.loggerDict))]
    handlers = {id(handler): handler for logger in known for handler in logger.handlers}
    if logging.lastResort:
        handlers[id(logging.lastResort)] = logging.lastResort
    for handler in handlers.values():
        for old in [old for old in handler.filters if isinstance(old, RedactingFilter)]:
            handler.removeFilter(old)
        handler.addFilter(redacting)
