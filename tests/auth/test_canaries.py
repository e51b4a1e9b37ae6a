"""Nothing secret in any text that could be printed: values, errors, tracebacks, logs."""

import asyncio
import logging
import traceback
from dataclasses import asdict

import pytest
from azure.core.exceptions import ClientAuthenticationError

from graphkit import log
from graphkit.auth import make_token_source, status
from graphkit.auth.credentials import fetcher
from graphkit.auth.grant import Grant
from graphkit.auth.source import CachedSource
from graphkit.clock import RealClock
from graphkit.errors import AuthError
from graphkit.protocol.clouds import CLOUDS
from graphkit.protocol.identity import Token
from graphkit.settings import Settings

SECRET, PASSWORD, TOKEN = "canary-secret", "canary-password", "canary-token"
SETTINGS = Settings(
    tenant_id="t", client_id="c", client_secret=SECRET, certificate_password=PASSWORD, access_token=TOKEN
)


def test_no_value_shows_a_secret_in_its_text():
    clock = RealClock()
    source = CachedSource("app", lambda *_: Grant(TOKEN, 3600), clock)
    given = make_token_source(SETTINGS, CLOUDS["global"], clock)
    token = asyncio.run(source.token())
    for value in (SETTINGS, source, given, token, Token(TOKEN, 0), Grant(TOKEN, 1), status(SETTINGS)):
        assert "canary" not in f"{value!r} {value!s}"
    assert "canary" not in str(asdict(status(SETTINGS)))


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_failure_shows_no_secret_in_message_traceback_or_log(form, capsys):
    said = f"rejected client_secret={SECRET} password '{PASSWORD}' Bearer {TOKEN} for canary-person@contoso.example"

    def build(method, settings, cloud):
        raise ClientAuthenticationError(said)

    root = logging.getLogger()
    log.setup("debug", form, secrets=SETTINGS.secrets)
    try:
        source = CachedSource("app", fetcher("client-secret", SETTINGS, CLOUDS["global"], build=build), RealClock())
        with pytest.raises(AuthError) as caught:
            asyncio.run(source.token())
        logging.getLogger("graphkit.auth").error("failed", exc_info=caught.value)
        logging.getLogger("azure.identity").error(said)
    finally:
        for handler in [handler for handler in root.handlers if handler.name == "graphkit"]:
            root.removeHandler(handler)
    error = caught.value
    printed = capsys.readouterr().err
    assert "Traceback" in printed
    own = traceback.format_exception(type(error), error, error.__traceback__, chain=False)
    for text in (error.message, error.hint, str(error.to_json()), repr(error), "".join(own), printed):
        assert "canary-secret" not in text
        assert "canary-token" not in text
        assert "canary-person" not in text
    assert "canary" not in printed
