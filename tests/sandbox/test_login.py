"""The login service, asked by the libraries that ask the real one: azure-identity, MSAL and graphkit itself."""

from __future__ import annotations

import base64
import json
from urllib.parse import urlencode

import httpx
import jwt
import msal
import pytest
import requests
from azure.identity import WorkloadIdentityCredential
from served import served

from graphkit.clock import RealClock
from graphkit.sandbox import App, FederatedCredential, Seed, SimulatedTenant, make_authority

GRAPH = "https://graph.microsoft.com/.default"
FOREVER = float("inf")
SMALL = Seed(organisations=1, users=90, licensed=0)
PERSON = "rx1-0001@contoso.example"
DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return make_authority(tmp_path_factory.mktemp("ca"), "127.0.0.1")


@pytest.fixture
def secure(authority):
    """A tenant over HTTPS whose app has a secret and a certificate."""
    tls, files, certificate = authority
    tenant = SimulatedTenant(RealClock(), seed=SMALL, throttling=False)
    app = tenant.login.apps[tenant.seed.app_id]
    app.certificates.append(certificate)
    with served(tenant, tls) as address:
        yield tenant, address, files


def environment(tenant, address, files, method):
    app = tenant.login.apps[tenant.seed.app_id]
    proof = {
        "client-secret": {"AZURE_CLIENT_SECRET": next(iter(app.secrets))},
        "certificate": {"AZURE_CLIENT_CERTIFICATE_PATH": str(files.app)},
    }
    return {
        "GRAPHKIT_AUTH": method,
        "GRAPHKIT_GRAPH_URL": address,
        "GRAPHKIT_AUTHORITY_URL": address,
        "GRAPHKIT_CA_BUNDLE": str(files.ca),
        "AZURE_TENANT_ID": tenant.tenant_id,
        "AZURE_CLIENT_ID": app.id,
        **proof[method],
    }


def test_doctor_warns_of_a_token_that_ends_soon_only_where_nobody_can_renew_it(secure, graphkit, monkeypatch):
    tenant, address, files = secure
    tenant.login.token_s = 120
    for name, value in environment(tenant, address, files, "certificate").items():
        monkeypatch.setenv(name, value)

    def told():
        checks = graphkit("doctor", "-o", "json").json["checks"]
        return next(check["state"] for check in checks if check["name"] == "token")

    assert told() == "ok"
    claims = {"appid": "an-app", "exp": int(RealClock().now()) + 120}
    monkeypatch.setenv("GRAPHKIT_ACCESS_TOKEN", jwt.encode(claims, "k" * 32))
    monkeypatch.setenv("GRAPHKIT_AUTH", "access-token")
    assert told() == "warn"


@pytest.mark.parametrize("method", ["client-secret", "certificate"])
def test_graphkit_signs_in_over_https_and_plans(secure, graphkit, tmp_path, monkeypatch, method):
    tenant, address, files = secure
    for name, value in environment(tenant, address, files, method).items():
        monkeypatch.setenv(name, value)
    members = "\n".join(["upn", *(f"rx1-{number:04}@contoso.example" for number in range(1, 21))])
    (tmp_path / "rx1.csv").write_text(members + "\n")
    (tmp_path / "pools.yaml").write_text("pools:\n  - {org: RX1, sku: SPE_E3, cap: 50, members_from: rx1.csv}\n")
    result = graphkit(
        "plan", "licenses.pools", "-i", tmp_path / "pools.yaml", "--out", tmp_path / "a.run", "-o", "json"
    )
    assert result.code == 0, result.stderr
    assert result.json["changes"], result.json
    assert len(tenant.log) == 0


@pytest.mark.parametrize(("secret", "code"), [("wrong", "AADSTS7000215"), ("old", "AADSTS7000222")])
def test_graphkit_explains_a_secret_that_is_refused(secure, graphkit, monkeypatch, secret, code):
    tenant, address, files = secure
    tenant.login.apps[tenant.seed.app_id].secrets["old"] = 1.0
    for name, value in environment(tenant, address, files, "client-secret").items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AZURE_CLIENT_SECRET", secret)
    result = graphkit("graph", "get", "/organization")
    assert (result.code, code in result.stderr) == (4, True)


def test_a_certificate_of_somebody_else_is_refused(secure, graphkit, tmp_path, monkeypatch):
    tenant, address, files = secure
    _, others, _ = make_authority(tmp_path / "other", "127.0.0.1")
    for name, value in environment(tenant, address, others._replace(ca=files.ca), "certificate").items():
        monkeypatch.setenv(name, value)
    result = graphkit("graph", "get", "/organization")
    assert (result.code, "AADSTS700027" in result.stderr) == (4, True)


@pytest.fixture
def session(secure):
    """What MSAL asks over, trusting the test authority."""
    with requests.Session() as opened:
        opened.trust_env = False
        opened.verify = str(secure[2].ca)
        yield opened


def public_client(tenant, address, session):
    return msal.PublicClientApplication(
        tenant.seed.app_id,
        authority=f"{address}/{tenant.tenant_id}",
        http_client=session,
        instance_discovery=False,
    )


def test_msal_signs_a_person_in_by_device_code_and_refreshes(secure, session):
    tenant, address, _ = secure
    client = public_client(tenant, address, session)
    flow = client.initiate_device_flow([GRAPH])
    page = session.post(flow["verification_uri"], data={"user_code": flow["user_code"], "username": PERSON})
    assert (page.status_code, "Signed in" in page.text) == (200, True)
    answer = client.acquire_token_by_device_flow(flow)
    assert answer["id_token_claims"]["preferred_username"] == PERSON
    account = client.get_accounts(PERSON)[0]
    renewed = client.acquire_token_silent([GRAPH], account, force_refresh=True)
    assert renewed["access_token"] != answer["access_token"]
    headers = {"Authorization": f"Bearer {renewed['access_token']}"}
    assert session.get(f"{address}/v1.0/organization", headers=headers).status_code == 200


def test_anyone_can_verify_a_token_with_the_published_keys(secure, session):
    tenant, address, _ = secure
    root = f"{address}/{tenant.seed.domain}"
    found = session.get(f"{root}/v2.0/.well-known/openid-configuration").json()
    client = msal.ConfidentialClientApplication(
        tenant.seed.app_id,
        client_credential=next(iter(tenant.login.apps[tenant.seed.app_id].secrets)),
        authority=root,
        http_client=session,
        instance_discovery=False,
    )
    token = client.acquire_token_for_client([GRAPH])["access_token"]
    (key,) = jwt.PyJWKSet.from_dict(session.get(found["jwks_uri"]).json()).keys
    claims = jwt.decode(token, key.key, algorithms=["RS256"], audience="https://graph.microsoft.com")
    assert (claims["tid"], claims["appid"]) == (tenant.tenant_id, tenant.seed.app_id)
    assert "User.Read.All" in claims["roles"]
    assert 3600 <= claims["exp"] - claims["iat"] <= 5400


# -- without any transport, on a clock of our own --


@pytest.fixture
def login(graph):
    """Ask the token endpoint: ``login(grant_type=...)`` gives status and document."""

    def ask(tenant="contoso.example", endpoint="oauth2/v2.0/token", **form):
        url = f"https://login.example/{tenant}/{endpoint}"
        answer = graph.tenant.handle("POST", url, {}, urlencode(form).encode())
        return answer.status, json.loads(answer.body)

    graph.tenant.login.register(App("app", "App", frozenset({"User.Read.All"}), {"s": FOREVER, "old": 1.0}))
    graph.tenant.login.register(App("closed", "Closed", frozenset(), {"s": FOREVER}, public=False))
    return ask


GOOD = {"grant_type": "client_credentials", "client_id": "app", "client_secret": "s", "scope": GRAPH}


@pytest.mark.parametrize(
    ("change", "code", "error"),
    [
        ({"client_secret": "x"}, 7000215, "invalid_client"),
        ({"client_secret": "old"}, 7000222, "invalid_client"),
        ({"client_secret": ""}, 7000218, "invalid_client"),
        ({"client_id": "nobody"}, 700016, "unauthorized_client"),
        ({"client_id": ""}, 900144, "invalid_request"),
        ({"grant_type": "password"}, 70003, "unsupported_grant_type"),
        ({"scope": "User.Read.All"}, 1002012, "invalid_scope"),
        ({"scope": "https://vault.example/.default"}, 500011, "invalid_resource"),
        ({"tenant": "other.example"}, 90002, "invalid_request"),
        ({"tenant": "no tenant"}, 900023, "invalid_request"),
        ({"grant_type": "refresh_token", "refresh_token": "x"}, 9002313, "invalid_grant"),
        ({"grant_type": DEVICE_CODE, "device_code": "x"}, 70000, "invalid_grant"),
        ({"endpoint": "oauth2/v2.0/devicecode", "client_id": "closed"}, 7000218, "invalid_client"),
        ({"endpoint": "oauth2/v2.0/devicecode", "scope": "Mail.Send"}, 65001, "invalid_grant"),
    ],
)
def test_the_login_service_refuses_in_its_own_words(login, change, code, error):
    form = {**GOOD, **change}
    form["tenant"] = form.get("tenant", "contoso.example").replace(" ", "%20")
    status, told = login(**form)
    assert status in (400, 401)
    assert told["error"] == error
    assert told["error_codes"] == [code]
    assert told["error_description"].startswith(f"AADSTS{code}: ")
    assert "Trace ID: " in told["error_description"]


def assertion(tenant, key, **change):
    now = int(tenant.clock.now())
    audience = f"https://login.example/{tenant.tenant_id}/oauth2/v2.0/token"
    claims = {"iss": "app", "sub": "app", "aud": audience, "nbf": now, "exp": now + 600, "jti": "1", **change}
    return jwt.encode(claims, key[0], algorithm="PS256", headers={"x5t#S256": key[1]})


@pytest.fixture(scope="module")
def certificate(authority):
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization

    pem = authority[1].app.read_bytes()
    digest = x509.load_pem_x509_certificate(authority[2]).fingerprint(hashes.SHA256())
    thumbprint = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    return serialization.load_pem_private_key(pem, None), thumbprint, authority[2]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({}, None),
        ({"sub": "other"}, 700021),
        ({"aud": "https://elsewhere.example"}, 700023),
        ({"exp": 1, "nbf": 0}, 700024),
        ({"nbf": 9_999_999_999, "exp": 9_999_999_999}, 700024),
    ],
)
def test_a_signed_assertion_must_be_the_apps_for_here_and_for_now(login, graph, certificate, change, code):
    graph.tenant.login.apps["app"].certificates.append(certificate[2])
    form = {**GOOD, "client_secret": "", "client_assertion": assertion(graph.tenant, certificate, **change)}
    form["client_assertion_type"] = ASSERTION_TYPE
    _, told = login(**form)
    assert told.get("error_codes") == ([code] if code else None)
    assert ("access_token" in told) is (code is None)


def test_an_assertion_by_a_key_that_only_names_a_registered_certificate_is_refused(login, graph, certificate):
    from cryptography.hazmat.primitives.asymmetric import rsa

    graph.tenant.login.apps["app"].certificates.append(certificate[2])
    forged = assertion(graph.tenant, (rsa.generate_private_key(65537, 2048), certificate[1]))
    _, told = login(**{**GOOD, "client_secret": ""}, client_assertion=forged, client_assertion_type=ASSERTION_TYPE)
    assert told["error_codes"] == [700027]


def test_a_device_code_waits_for_a_person_and_ends(login, graph):
    _, flow = login(endpoint="oauth2/v2.0/devicecode", client_id="app", scope=f"{GRAPH} offline_access")
    poll = {"grant_type": DEVICE_CODE, "client_id": "app", "device_code": flow["device_code"]}
    assert login(**poll)[1]["error"] == "authorization_pending"
    graph.tenant.login.approve(flow["user_code"].lower(), PERSON)
    graph.clock.at += 901
    assert login(**poll)[1]["error"] == "expired_token"


def test_revoked_sessions_end_refresh_tokens_and_no_access_token(login, graph):
    _, flow = login(endpoint="oauth2/v2.0/devicecode", client_id="app", scope=GRAPH)
    graph.tenant.login.approve(flow["user_code"], PERSON)
    _, signed_in = login(grant_type=DEVICE_CODE, client_id="app", device_code=flow["device_code"])
    renewal = {"grant_type": "refresh_token", "client_id": "app", "refresh_token": signed_in["refresh_token"]}
    graph.clock.at += 60
    assert login(**renewal)[0] == 200
    assert graph("POST", f"/users/{PERSON}/revokeSignInSessions").json["value"] is True
    assert login(**renewal)[1]["error_codes"] == [50173]
    assert graph("GET", "/users", Authorization=f"Bearer {signed_in['access_token']}").status == 200


def test_nobody_unknown_or_disabled_signs_in(login, graph):
    _, flow = login(endpoint="oauth2/v2.0/devicecode", client_id="app", scope=GRAPH)

    def enter(**form):
        answer = graph.tenant.handle("POST", "https://login.example/devicelogin", {}, urlencode(form).encode())
        return answer.status, answer.body.decode()

    assert "AADSTS70020" in enter(user_code="nonsense", username=PERSON)[1]
    assert "AADSTS50034" in enter(user_code=flow["user_code"], username="<b>@contoso.example")[1]
    assert "<b>" not in enter(user_code=flow["user_code"], username="<b>@contoso.example")[1]
    graph("PATCH", f"/users/{PERSON}", {"accountEnabled": False})
    assert "AADSTS50057" in enter(user_code=flow["user_code"], username=PERSON)[1]


def test_an_expired_token_is_401_and_a_new_one_is_not(login, graph):
    graph.tenant.login.token_s = 600
    _, told = login(**GOOD)
    assert told["expires_in"] == 600
    bearer = {"Authorization": f"Bearer {told['access_token']}"}
    assert graph("GET", "/users", **bearer).status == 200
    graph.clock.at += 601
    refused = graph("GET", "/users", **bearer)
    assert (refused.status, refused.code) == (401, "InvalidAuthenticationToken")
    assert "expired" in refused.message
    assert refused.headers["WWW-Authenticate"].startswith("Bearer ")
    renewed = login(**GOOD)[1]["access_token"]
    assert graph("GET", "/users", Authorization=f"Bearer {renewed}").status == 200


def test_a_token_that_was_tampered_with_or_is_for_something_else_is_401(login, graph):
    _, told = login(**GOOD)
    head, payload, signature = told["access_token"].split(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
    claims["roles"] = ["Directory.ReadWrite.All"]
    forged = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    assert graph("GET", "/users", Authorization=f"Bearer {head}.{forged}.{signature}").status == 401
    other = graph.tenant.login.signer.sign({"iss": claims["iss"], "aud": "app", "exp": 9_999_999_999})
    assert graph("GET", "/users", Authorization=f"Bearer {other}").status == 401


def test_tokens_outlive_a_restart_of_a_kept_tenant(tmp_path, clock):
    path = tmp_path / "tenant.db"
    first = SimulatedTenant.open(path, clock, seed=SMALL)
    token = first.login.signer.sign(
        {"iss": first.login.signer.issuer, "exp": clock.at + 60, "idtyp": "app", "appid": "a"}
    )
    first.close()
    second = SimulatedTenant.open(path, clock)
    assert second.login.caller(f"Bearer {token}", "https://graph.microsoft.com").app == "a"
    second.close()


def test_a_renewed_token_goes_on_where_an_expired_one_stopped(secure, graphkit, monkeypatch):
    """graphkit is told 401 once, asks for another token, and the person notices nothing."""
    tenant, address, files = secure
    for name, value in environment(tenant, address, files, "client-secret").items():
        monkeypatch.setenv(name, value)
    tenant.login.token_s = -1
    asked = []
    answer = tenant.login.answer

    def count(*request):
        told = answer(*request)
        if request[2].endswith("/token"):
            asked.append(request[2])
            tenant.login.token_s = 3600
        return told

    monkeypatch.setattr(tenant.login, "answer", count)
    result = graphkit("graph", "get", "/organization", "-o", "json")
    assert result.code == 0, result.stderr
    assert len(asked) == 2


def test_an_app_that_asks_too_often_is_told_when_to_come_back(login, graph):
    graph.tenant.login.grants.requests_a_minute = 3
    assert [login(**GOOD)[0] for _ in range(4)] == [200, 200, 200, 429]
    url = "https://login.example/contoso.example/oauth2/v2.0/token"
    refused = graph.tenant.handle("POST", url, {}, urlencode(GOOD).encode())
    assert (refused.status, refused.headers["Retry-After"]) == (429, "60")
    graph.clock.at += 60
    assert login(**GOOD)[0] == 200


def test_a_person_whose_client_loops_is_stopped(login, graph):
    graph.tenant.login.grants.requests_a_minute = 0
    status, told = login(grant_type="refresh_token", client_id="app", refresh_token="x")
    assert (status, told["error"], told["error_codes"]) == (400, "invalid_grant", [50196])


def test_every_app_has_a_pace_of_its_own(login, graph):
    graph.tenant.login.grants.requests_a_minute = 1
    assert login(**GOOD)[0] == 200
    assert login(**{**GOOD, "client_id": "closed"})[0] == 200


GLOBAL, CHINA = "https://graph.microsoft.com", "https://microsoftgraph.chinacloudapi.cn"


@pytest.mark.parametrize(
    ("audience", "root", "status"),
    [
        (GLOBAL, GLOBAL, 200),
        (f"{GLOBAL}/", GLOBAL, 200),
        ("00000003-0000-0000-c000-000000000000", GLOBAL, 200),
        (CHINA, CHINA, 200),
        (CHINA, GLOBAL, 401),
        (GLOBAL, CHINA, 401),
        (CHINA, "http://127.0.0.1:8080", 200),
    ],
)
def test_a_token_is_for_one_cloud(login, graph, audience, root, status):
    token = login(**{**GOOD, "scope": f"{audience}/.default"})[1]["access_token"]
    told = graph("GET", f"{root}/v1.0/users?$top=1", Authorization=f"Bearer {token}")
    assert told.status == status
    if status == 401:
        assert (told.code, told.message) == (
            "InvalidAuthenticationToken",
            "Access token validation failure. Invalid audience.",
        )


@pytest.mark.parametrize(
    ("claims", "message"),
    [
        ({"iss": "https://sts.windows.net/other/", "aud": "https://management.azure.com"}, "Invalid audience"),
        ({"iss": "https://sts.windows.net/other/", "aud": GLOBAL}, "Signature is invalid"),
        ({"iss": "https://login.microsoftonline.com/other/v2.0", "aud": GLOBAL}, "Signature is invalid"),
        ({"iss": "https://idp.example", "aud": "anything"}, None),
    ],
)
def test_a_token_of_another_tenant_or_service_is_refused(graph, claims, message):
    token = jwt.encode(claims, "k" * 32, algorithm="HS256")
    told = graph("GET", "/users?$top=1", Authorization=f"Bearer {token}")
    assert told.status == (401 if message else 200)
    assert message is None or message in told.message


def test_neither_an_identity_nor_a_refresh_token_opens_graph(login, graph):
    _, flow = login(endpoint="oauth2/v2.0/devicecode", client_id="app", scope=GRAPH)
    graph.tenant.login.approve(flow["user_code"], PERSON)
    _, answer = login(grant_type=DEVICE_CODE, client_id="app", device_code=flow["device_code"])
    for name, status in (("access_token", 200), ("id_token", 401), ("refresh_token", 401)):
        assert graph("GET", "/users?$top=1", Authorization=f"Bearer {answer[name]}").status == status


# -- federation --

ISSUER = {"iss": "https://token.ci.example", "sub": "repo:contoso/bulk:ref:main", "aud": "api://AzureADTokenExchange"}
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


@pytest.fixture(scope="module")
def issuer():
    """The key of an issuer elsewhere, and its public part."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(65537, 2048)
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key, key.public_key().public_bytes(serialization.Encoding.PEM, form)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({}, None),
        ({"iss": "https://token.ci.example/"}, 700211),
        ({"aud": "https://graph.microsoft.com"}, 700212),
        ({"sub": "repo:Contoso/bulk:ref:main"}, 700213),
        ({"exp": 1}, 700024),
    ],
)
def test_a_token_of_a_trusted_issuer_is_proof_enough(login, graph, issuer, change, code):
    key, public = issuer
    graph.tenant.login.apps["app"].federated.append(FederatedCredential(ISSUER["iss"], ISSUER["sub"], public))
    claims = {**ISSUER, "nbf": int(graph.clock.at), "exp": int(graph.clock.at) + 300, **change}
    token = jwt.encode(claims, key, algorithm="RS256", headers={"x5t": "theirs"})
    form = {**GOOD, "client_secret": "", "client_assertion": token, "client_assertion_type": ASSERTION_TYPE}
    assert login(**form)[1].get("error_codes") == ([code] if code else None)


def test_a_token_of_an_issuer_that_nobody_trusts_is_none(login, graph, issuer):
    claims = {**ISSUER, "exp": int(graph.clock.at) + 300}
    form = {**GOOD, "client_secret": "", "client_assertion_type": ASSERTION_TYPE}
    form["client_assertion"] = jwt.encode(claims, issuer[0], algorithm="RS256")
    assert login(**form)[1]["error_codes"] == [70025]
    credential = FederatedCredential(ISSUER["iss"], ISSUER["sub"], issuer[1], known_from=graph.clock.at + 300)
    graph.tenant.login.apps["app"].federated.append(credential)
    status, told = login(**form)
    assert (status, told["error_codes"]) == (400, [70021])
    graph.clock.at += 300
    assert login(**form)[0] == 200


def test_a_forged_token_of_a_trusted_issuer_is_refused(login, graph, issuer):
    from cryptography.hazmat.primitives.asymmetric import rsa

    graph.tenant.login.apps["app"].federated.append(FederatedCredential(ISSUER["iss"], ISSUER["sub"], issuer[1]))
    claims = {**ISSUER, "exp": int(graph.clock.at) + 300}
    form = {**GOOD, "client_secret": "", "client_assertion_type": ASSERTION_TYPE}
    form["client_assertion"] = jwt.encode(claims, rsa.generate_private_key(65537, 2048), algorithm="RS256")
    assert login(**form)[1]["error_codes"] == [50027]


def test_azure_identity_signs_in_by_federation(secure, issuer, tmp_path):
    tenant, address, files = secure
    app = tenant.login.apps[tenant.seed.app_id]
    app.federated.append(FederatedCredential(ISSUER["iss"], ISSUER["sub"], issuer[1]))
    file = tmp_path / "token"
    file.write_text(jwt.encode({**ISSUER, "exp": int(tenant.clock.now()) + 300}, issuer[0], algorithm="RS256"))
    with WorkloadIdentityCredential(
        tenant_id=tenant.tenant_id,
        client_id=app.id,
        token_file_path=str(file),
        authority=address,
        disable_instance_discovery=True,
        connection_verify=str(files.ca),
    ) as credential:
        claims = tenant.login.signer.read(credential.get_token(GRAPH).token)
    assert (claims["appid"], claims["appidacr"]) == (app.id, "2")


def test_the_login_service_fails_as_faults_say(login, graph):
    graph.tenant.faults.add({"path": "/oauth2/v2.0/token", "times": 1, "action": "answer", "status": 503})
    assert login(**GOOD)[0] == 503
    assert login(**GOOD)[0] == 200


def test_the_files_of_the_test_authority_are_private_and_hold_no_key_of_it(authority):
    files = authority[1]
    assert files.app.stat().st_mode & 0o077 == 0
    assert b"PRIVATE" not in files.ca.read_bytes()


def test_a_client_that_does_not_trust_the_authority_is_not_answered(secure):
    with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
        httpx.get(f"{secure[1]}/v1.0/organization", trust_env=False)
