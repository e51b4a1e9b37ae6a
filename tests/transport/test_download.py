"""The one way out of the cloud: a pre-authenticated link, followed once, without a token."""

from __future__ import annotations

import io
import traceback
from dataclasses import replace

import httpx
import pytest

from graphkit.clock import VirtualClock, run
from graphkit.errors import ConnectionFailed, ServiceError, UntrustedDestination
from graphkit.protocol.clouds import CLOUDS
from graphkit.transport.download import Downloads

LINK = "https://reports.office.com/data/a%20b.csv?sig=SECRET%2Bx"
LOOPBACK = replace(CLOUDS["global"], graph_root="http://127.0.0.1:8080", download_hosts=())


class Far(httpx.AsyncBaseTransport):
    """Answers what it is given, in turn."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked = []

    async def handle_async_request(self, request):
        self.asked.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def fetch(far, link=LINK, cloud=CLOUDS["global"], **how):
    async def go():
        file = io.BytesIO()
        await Downloads(far, cloud=cloud, clock=VirtualClock(), **how).fetch(link, file, user_agent="x")
        return file.getvalue()

    return run(go(), virtual=True)


def test_a_file_is_fetched_byte_for_byte_without_token_or_cookie():
    far = Far(httpx.Response(200, content=b"a,b\r\n"))
    assert fetch(far) == b"a,b\r\n"
    (request,) = far.asked
    assert set(request.headers) <= {"host", "accept-encoding", "user-agent"}
    assert request.extensions["target"] == b"/data/a%20b.csv?sig=SECRET%2Bx"
    assert request.extensions["timeout"]["read"]


TRUSTED = ["https://reports.office.com/x", "https://a.blob.core.windows.net/x?y", "https://graph.microsoft.com/x"]


@pytest.mark.parametrize("link", TRUSTED)
def test_hosts_of_the_clouds_record_are_trusted(link):
    assert fetch(Far(httpx.Response(200)), link) == b""


STRANGE = [
    "http://reports.office.com/x",
    "https://reports.office.com.evil.example/x",
    "https://evilreports.office.com/x",
    "https://reports.office.com@evil.example/x",
    "https://reports.office.com:8443/x",
    "https://evil.example\\@reports.office.com/x",
    "https://evil.example/reports.office.com",
    "https://login.microsoftonline.com/x",
    "http://127.0.0.1/x",
    "file:///etc/passwd",
    "/relative",
    "",
]


@pytest.mark.parametrize("link", STRANGE)
def test_no_other_host_is_asked(link):
    far = Far()
    with pytest.raises(UntrustedDestination):
        fetch(far, link)
    assert far.asked == []


def test_a_loopback_tenant_gives_its_own_files_and_no_others():
    assert fetch(Far(httpx.Response(200, content=b"x")), "http://127.0.0.1:8080/downloads/x", LOOPBACK) == b"x"
    for link in ("http://127.0.0.1:8081/downloads/x", LINK):
        with pytest.raises(UntrustedDestination):
            fetch(Far(), link, LOOPBACK)


def test_a_file_that_breaks_off_is_fetched_anew_and_not_added_to():
    far = Far(httpx.ReadError("cut"), httpx.Response(503), httpx.Response(200, content=b"whole"))
    assert fetch(far) == b"whole"


@pytest.mark.parametrize(
    ("answers", "error"),
    [
        ([httpx.Response(403)], ServiceError),
        ([httpx.Response(302, headers={"location": "https://evil.example/"})], ServiceError),
        ([httpx.Response(503)] * 3, ConnectionFailed),
        ([httpx.ConnectError(f"cannot reach {LINK}")] * 3, ConnectionFailed),
        ([httpx.Response(200, content=b"x" * 11)], ServiceError),
    ],
    ids=["refused", "redirected", "busy", "unreachable", "too large"],
)
def test_a_failure_tells_nothing_of_the_link(answers, error):
    with pytest.raises(error) as caught:
        fetch(Far(*answers), max_bytes=10)
    shown = "".join(traceback.format_exception(caught.value)).partition("Error: ")[2]
    assert "SECRET" not in str(caught.value)
    assert "SECRET" not in shown
