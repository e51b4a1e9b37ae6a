import asyncio
import json
import ssl
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from urllib.parse import parse_qs

import pytest
import trustme
from azure.core.credentials import AccessTokenInfo
from azure.core.exceptions import ClientAuthenticationError, ServiceRequestError

from graphkit.auth import make_token_source
from graphkit.auth.credentials import build_credential, fetcher
from graphkit.auth.http import LoginSession
from graphkit.clock import RealClock
from graphkit.errors import AuthError
from graphkit.protocol.clouds import CLOUDS
from graphkit.settings import Settings, Target

GLOBAL = CLOUDS["global"]
APP = {"tenant_id": "00000000-0000-0000-0000-000000000001", "client_id": "app"}


class FakeCredential:
    def __init__(self, answer):
        self.answer = answer
        self.asked = []
        self.closed = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.closed += 1

    def get_token_info(self, *scopes, options=None):
        self.asked.append((scopes, dict(options)))
        if isinstance(self.answer, Exception):
            raise self.answer
        return AccessTokenInfo(self.answer, int(time.time()) + 3600)


def test_a_token_is_asked_for_the_clouds_scope_with_continuous_access_evaluation():
    for name, cloud in CLOUDS.items():
        credential = FakeCredential("token")
        grant = fetcher("client-secret", Settings(), cloud, build=lambda *_, c=credential: c)("", False)
        assert grant.value == "token"
        assert grant.lifetime == pytest.approx(3600, abs=5)
        assert credential.asked == [((f"{cloud.graph_root}/.default",), {"enable_cae": True})], name
        assert credential.closed == 1


def test_claims_are_handed_to_the_credential():
    credential = FakeCredential("token")
    fetcher("client-secret", Settings(), GLOBAL, build=lambda *_: credential)('{"x":1}', True)
    assert credential.asked[0][1] == {"enable_cae": True, "claims": '{"x":1}'}


def test_each_request_builds_a_new_credential_so_that_a_renewal_is_one():
    built = []
    fetch = fetcher("certificate", Settings(), GLOBAL, build=lambda *a: built.append(a) or FakeCredential("token"))
    fetch("", False)
    fetch("", True)
    assert len(built) == 2


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (
            ClientAuthenticationError("Authentication failed: AADSTS7000222: The provided client secret keys ..."),
            "the client secret has expired (AADSTS7000222)",
        ),
        (ServiceRequestError("<urllib3 ...>: Failed to establish a new connection"), "cannot be reached"),
        (ValueError("Failed to deserialize certificate in PEM or PKCS12 format"), "Failed to deserialize certificate"),
        (FileNotFoundError(2, "No such file", "app.pem"), "app.pem"),
    ],
)
def test_a_library_error_becomes_one_line_and_is_chained(error, line):
    with pytest.raises(AuthError) as caught:
        fetcher("certificate", Settings(), GLOBAL, build=lambda *_: FakeCredential(error))("", False)
    assert line in caught.value.message
    assert "\n" not in caught.value.message
    assert caught.value.__cause__ is error


@pytest.mark.parametrize("name", sorted(CLOUDS))
def test_a_credential_talks_to_the_authority_of_its_cloud(name):
    credential = build_credential("client-secret", Settings(**APP, client_secret="s"), CLOUDS[name])
    assert credential._authority == CLOUDS[name].authority
    assert credential._instance_discovery is True


def test_a_test_servers_authority_is_not_looked_up_elsewhere():
    settings = Settings(
        **APP,
        client_secret="s",
        target=Target("loopback", "http://127.0.0.1:1"),
        authority_url="https://127.0.0.1:8443",
    )
    credential = build_credential("client-secret", settings, GLOBAL)
    assert credential._authority == "https://127.0.0.1:8443"
    assert credential._instance_discovery is False


def test_every_method_builds_its_credential(tmp_path):
    token = tmp_path / "token"
    token.write_text("t")
    certificate = tmp_path / "app.pem"
    certificate.write_bytes(self_signed())
    settings = Settings(**APP, certificate_path=str(certificate), federated_token_file=str(token))
    built = [
        type(build_credential(method, settings, GLOBAL)).__name__
        for method in ("certificate", "workload-identity", "managed-identity", "azure-cli")
    ]
    assert built == [
        "CertificateCredential",
        "WorkloadIdentityCredential",
        "ManagedIdentityCredential",
        "AzureCliCredential",
    ]


def self_signed() -> bytes:
    issued = trustme.CA().issue_cert("app.example", key_type=trustme.KeyType.RSA)
    return issued.private_key_and_cert_chain_pem.bytes()


def test_the_login_session_uses_our_trust_and_proxy_and_nothing_of_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("HTTPS_PROXY", "http://stray.example")
    settings = Settings(https_proxy="http://proxy.example:3128")
    session = LoginSession(settings, GLOBAL.authority)
    assert session.trust_env is False
    assert session.proxies == {"https": "http://proxy.example:3128"}
    assert LoginSession(settings, "https://127.0.0.1:8443").proxies == {}


class HttpsServer(HTTPServer):
    """On a loopback port with a certificate of ``ca``; ``answer(path, form)`` gives status, headers and document."""

    def __init__(self, ca, answer):
        self.answer = answer
        super().__init__(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        ca.issue_cert("127.0.0.1").configure_cert(context)
        self.socket = context.wrap_socket(self.socket, server_side=True)
        self.address = f"https://127.0.0.1:{self.server_port}"
        self.thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01})

    def handle_error(self, *_):
        """A client that does not trust us hangs up."""

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.shutdown()
        self.thread.join()
        self.server_close()


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        form = parse_qs(self.rfile.read(int(self.headers.get("content-length", 0))).decode())
        status, headers, document = self.server.answer(self.path, form)
        body = json.dumps(document).encode()
        self.send_response(status)
        for name, value in {**headers, "content-type": "application/json", "content-length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        self.do_GET()

    def log_message(self, *_):
        """Quiet."""


@pytest.fixture
def ca(tmp_path):
    made = trustme.CA()
    made.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    return made


def test_the_login_session_trusts_the_bundle_only_and_follows_no_redirect(ca, tmp_path):
    settings = Settings(ca_bundle=str(tmp_path / "ca.pem"))

    def redirect(path, form):
        return 302, {"location": "https://evil.example/"}, {}

    with HttpsServer(ca, redirect) as server:
        session = LoginSession(settings, server.address)
        answer = session.post(f"{server.address}/token", data={"client_secret": "x"})
        assert (answer.status_code, answer.headers["location"]) == (302, "https://evil.example/")
        assert len(session.get_adapter(server.address)._context.get_ca_certs()) == 1
    with HttpsServer(trustme.CA(), redirect) as server, pytest.raises(OSError, match="CERTIFICATE_VERIFY_FAILED"):
        LoginSession(settings, server.address).post(f"{server.address}/token")


async def settled(*waiting):
    return await asyncio.gather(*waiting, return_exceptions=True)


@pytest.mark.parametrize(
    ("secret", "outcome"), [("right", "token-right"), ("stale", "the client secret has expired (AADSTS7000222)")]
)
def test_a_secret_is_exchanged_at_a_test_servers_authority_from_end_to_end(ca, tmp_path, secret, outcome):
    forms = []

    def answer(path, form):
        if path.endswith("/.well-known/openid-configuration"):
            root = f"{server.address}{path.partition('/v2.0')[0]}"
            return 200, {}, {"issuer": root, "authorization_endpoint": root, "token_endpoint": f"{root}/token"}
        forms.append(form)
        if form["client_secret"] == ["right"]:
            return 200, {}, {"access_token": "token-right", "token_type": "Bearer", "expires_in": 1800}
        return 401, {}, {"error": "invalid_client", "error_description": "AADSTS7000222: expired. Trace ID: 1"}

    with HttpsServer(ca, answer) as server:
        settings = Settings(
            **APP,
            client_secret=secret,
            ca_bundle=str(tmp_path / "ca.pem"),
            target=Target("loopback", "http://127.0.0.1:1"),
            authority_url=server.address,
        )
        source = make_token_source(settings, GLOBAL, RealClock())
        (result,) = asyncio.run(settled(source.token()))
    if secret == "right":
        assert result.expires_on == pytest.approx(time.time() + 1800, abs=5)
    assert getattr(result, "value", str(result)) == outcome
    assert forms[0]["scope"] == ["https://graph.microsoft.com/.default"]
    assert "cp1" in forms[0]["claims"][0].lower()


def test_importing_the_room_loads_no_login_library():
    probe = "import sys, graphkit.auth; print([n for n in ('azure','msal','requests','httpx') if n in sys.modules])"
    answer = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, cwd=Path(__file__).parent)
    assert answer.stdout.strip() == "[]", answer.stderr
