"""Continuous access evaluation: who is told that its token was revoked, who is not, and how to go on."""

from __future__ import annotations

import base64
import json
import re
from urllib.parse import urlencode

import httpx
import msal
import pytest
import requests
from azure.identity import ClientSecretCredential
from served import served

from graphkit.clock import RealClock
from graphkit.sandbox import App, Seed, SimulatedTenant, make_authority

GRAPH = "https://graph.microsoft.com/.default"
APP = App("app", "App", frozenset({"User.Read.All", "User.ReadWrite.All"}), {"s": float("inf")})
GOOD = {"grant_type": "client_credentials", "client_id": "app", "client_secret": "s", "scope": GRAPH}
ABLE = {"claims": '{"access_token":{"xms_cc":{"values":["cp1"]}}}'}
PERSON = "rx1-0001@contoso.example"
DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"
TOLD = (
    "Continuous access evaluation resulted in challenge with result: InteractionRequired and code: "
    "TokenIssuedBeforeRevocationTimestamp"
)


@pytest.fixture
def login(graph):
    graph.tenant.login.register(App("app", "App", APP.roles, dict(APP.secrets)))

    def ask(endpoint="oauth2/v2.0/token", **form):
        url = f"https://login.example/contoso.example/{endpoint}"
        return json.loads(graph.tenant.handle("POST", url, {}, urlencode(form).encode()).body)

    return ask


@pytest.fixture
def person(login, graph):
    """``person(**claims)`` signs somebody in and gives the token answer."""

    def sign_in(**claims):
        flow = login("oauth2/v2.0/devicecode", client_id="app", scope=GRAPH)
        graph.tenant.login.approve(flow["user_code"], PERSON)
        return login(grant_type=DEVICE_CODE, client_id="app", device_code=flow["device_code"], **claims)

    return sign_in


def read(graph, answer):
    return graph("GET", "/users?$top=1", Authorization=f"Bearer {answer['access_token']}")


def challenge(told):
    """The claims that a 401 asks for, or none."""
    assert (told.status, told.code) == (401, "InvalidAuthenticationToken")
    header = told.headers["WWW-Authenticate"]
    assert header.startswith('Bearer realm="", authorization_uri="https://login.microsoftonline.com/common/oauth2/auth')
    found = re.search(r'error="insufficient_claims", claims="([^"]+)"', header)
    assert (told.message == TOLD) is bool(found)
    return base64.b64decode(found[1]).decode() if found else None


@pytest.mark.parametrize("claims", ['"values":["cp1"]', '"values":["CP1","foo"]', '"value":"cp1"'])
def test_a_client_that_understands_challenges_gets_a_token_for_20_to_28_hours(login, graph, claims):
    answer = login(**GOOD, claims='{"access_token":{"xms_cc":{%s}}}' % claims)  # noqa: UP031 - braces
    held = graph.tenant.login.signer.read(answer["access_token"])
    assert [value.lower() for value in held["xms_cc"]] == ["cp1"]
    assert 20 * 3600 <= answer["expires_in"] == held["exp"] - held["iat"] <= 28 * 3600
    assert answer["refresh_in"] == answer["expires_in"] // 2


@pytest.mark.parametrize("claims", [{}, {"claims": '{"access_token":{"xms_cc":{"values":["foo"]}}}'}])
def test_any_other_gets_one_for_60_to_90_minutes(login, graph, claims):
    answer = login(**GOOD, **claims)
    assert "xms_cc" not in graph.tenant.login.signer.read(answer["access_token"])
    assert 3600 <= answer["expires_in"] <= 5400
    assert "refresh_in" not in answer


def test_lifetimes_are_settable(login, graph):
    graph.tenant.login.cae_token_s = (7200, 7200)
    assert login(**GOOD, **ABLE)["expires_in"] == 7200
    graph.tenant.login.token_s = 90
    assert [login(**GOOD, **claims)["expires_in"] for claims in ({}, ABLE)] == [90, 90]


def test_claims_that_are_no_claims_are_refused(login):
    assert login(**GOOD, claims="{")["error_codes"] == [9002313]
    assert login(**GOOD, claims="[]")["error_codes"] == [9002313]


def revoke(graph):
    graph.tenant.login.revoke("app")


def disable(graph):
    (principal,) = graph.tenant.state.table("servicePrincipals").find("appId", "app")
    graph.tenant.state.put("servicePrincipals", {**principal, "accountEnabled": False})


def delete(graph):
    (principal,) = graph.tenant.state.table("servicePrincipals").find("appId", "app")
    graph.tenant.state.delete("servicePrincipals", principal["id"])


@pytest.mark.parametrize(("event", "code"), [(revoke, None), (disable, 7000112), (delete, 700016)])
def test_an_app_whose_tokens_are_revoked_is_challenged(login, graph, event, code):
    able, other = login(**GOOD, **ABLE), login(**GOOD)
    event(graph)
    wanted = challenge(read(graph, able))
    assert json.loads(wanted) == {"access_token": {"nbf": {"essential": True, "value": str(int(graph.clock.at))}}}
    assert read(graph, other).status == 200
    renewed = login(**GOOD, claims=wanted)
    assert renewed.get("error_codes") == ([code] if code else None)


def test_a_token_that_was_asked_for_with_the_challenge_is_good(login, graph):
    able = login(**GOOD, **ABLE)
    revoke(graph)
    claims = json.loads(challenge(read(graph, able)))
    claims["access_token"] |= {"xms_cc": {"values": ["cp1"]}}
    renewed = login(**GOOD, claims=json.dumps(claims))
    assert read(graph, renewed).status == 200
    assert read(graph, able).status == 401


def test_a_challenge_can_be_made_that_no_token_meets_before_its_time(login, graph):
    graph.tenant.login.revoke("app", until=graph.clock.at + 600)
    assert challenge(read(graph, login(**GOOD, **ABLE)))
    graph.clock.at += 601
    assert read(graph, login(**GOOD, **ABLE)).status == 200


def test_a_secret_that_is_removed_ends_no_token(login, graph):
    able = login(**GOOD, **ABLE)
    graph.tenant.login.apps["app"].secrets.clear()
    assert read(graph, able).status == 200
    assert login(**GOOD, **ABLE)["error_codes"] == [7000215]


@pytest.mark.parametrize(
    ("method", "path", "body", "code"),
    [
        ("POST", f"/users/{PERSON}/revokeSignInSessions", None, 50173),
        ("PATCH", f"/users/{PERSON}", {"accountEnabled": False}, 50057),
        ("DELETE", f"/users/{PERSON}", None, 50034),
    ],
)
def test_a_person_whose_access_ends_is_challenged_and_cannot_renew(login, person, graph, method, path, body, code):
    able, other = person(**ABLE), person()
    assert read(graph, able).status == 200
    graph.clock.at += 60
    assert graph(method, path, body).status < 300
    assert challenge(read(graph, able))
    assert read(graph, other).status == 200
    renewal = {"grant_type": "refresh_token", "client_id": "app", "refresh_token": able["refresh_token"]}
    assert login(**renewal, **ABLE)["error_codes"] == [code]


def test_a_person_who_signs_in_again_goes_on(person, graph):
    graph.clock.at += 60
    graph("POST", f"/users/{PERSON}/revokeSignInSessions")
    assert read(graph, person(**ABLE)).status == 200


def test_a_batch_with_a_revoked_token_is_challenged_as_a_whole(login, graph):
    able = login(**GOOD, **ABLE)
    revoke(graph)
    body = {"requests": [{"id": "1", "method": "GET", "url": "/users?$top=1"}]}
    assert challenge(graph("POST", "/$batch", body, Authorization=f"Bearer {able['access_token']}"))


def test_managed_identities_are_never_challenged(graph):
    managed = graph.tenant.login.managed
    headers = {"X-IDENTITY-HEADER": managed.header}
    query = {"api-version": "2019-08-01", "resource": "https://graph.microsoft.com", "xms_cc": "cp1"}
    url = f"https://login.example/msi/token?{urlencode(query)}"
    token = json.loads(graph.tenant.handle("GET", url, headers).body)
    graph.tenant.login.revoke(managed.system)
    assert read(graph, token).status == 200


# -- azure-identity and MSAL --


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return make_authority(tmp_path_factory.mktemp("ca"), "127.0.0.1")


@pytest.fixture
def secure(authority):
    tls, files, _ = authority
    tenant = SimulatedTenant(RealClock(), seed=Seed(organisations=1, users=30, licensed=0), throttling=False)
    tenant.login.register(App("app", "App", APP.roles, dict(APP.secrets)))
    with served(tenant, tls) as address, requests.Session() as session:
        session.trust_env = False
        session.verify = str(files.ca)
        yield tenant, address, session


def claims_of(response: httpx.Response | requests.Response) -> str:
    assert response.status_code == 401
    found = re.search(r'claims="([^"]+)"', response.headers["WWW-Authenticate"])
    return base64.b64decode(found[1]).decode()


def ask(session, address, token):
    return session.get(f"{address}/v1.0/users?$top=1", headers={"Authorization": f"Bearer {token}"})


def test_azure_identity_meets_a_challenge(secure):
    tenant, address, session = secure
    with ClientSecretCredential(
        tenant.tenant_id,
        "app",
        "s",
        authority=address,
        disable_instance_discovery=True,
        connection_verify=session.verify,
    ) as credential:
        first = credential.get_token_info(GRAPH, options={"enable_cae": True})
        assert first.expires_on - tenant.clock.now() > 19 * 3600
        tenant.login.revoke("app")
        wanted = claims_of(ask(session, address, first.token))
        assert credential.get_token_info(GRAPH, options={"enable_cae": True}).token == first.token
        second = credential.get_token_info(GRAPH, options={"enable_cae": True, "claims": wanted})
        assert ask(session, address, second.token).status_code == 200


def test_msal_meets_a_challenge(secure):
    tenant, address, session = secure
    client = msal.ConfidentialClientApplication(
        "app",
        client_credential="s",
        authority=f"{address}/{tenant.tenant_id}",
        http_client=session,
        instance_discovery=False,
        client_capabilities=["CP1"],
    )
    first = client.acquire_token_for_client([GRAPH])
    assert first["expires_in"] > 19 * 3600
    tenant.login.revoke("app")
    wanted = claims_of(ask(session, address, first["access_token"]))
    second = client.acquire_token_for_client([GRAPH], claims_challenge=wanted)
    assert ask(session, address, second["access_token"]).status_code == 200


def test_graphkit_meets_a_challenge_in_the_middle_of_its_work(secure, authority, graphkit, monkeypatch):
    tenant, address, _ = secure
    app = tenant.login.apps[tenant.seed.app_id]
    for name, value in {
        "GRAPHKIT_AUTH": "client-secret",
        "GRAPHKIT_GRAPH_URL": address,
        "GRAPHKIT_AUTHORITY_URL": address,
        "GRAPHKIT_CA_BUNDLE": str(authority[1].ca),
        "AZURE_TENANT_ID": tenant.tenant_id,
        "AZURE_CLIENT_ID": app.id,
        "AZURE_CLIENT_SECRET": next(iter(app.secrets)),
    }.items():
        monkeypatch.setenv(name, value)
    seen = []
    handle = tenant.handle

    def revoking(method, url, headers, *rest, **more):
        if "/v1.0/users" in url:
            seen.append(url)
            if len(seen) == 1:
                tenant.login.revoke(app.id)
        return handle(method, url, headers, *rest, **more)

    monkeypatch.setattr(tenant, "handle", revoking)
    found = graphkit("graph", "get", "/users?$top=10&$select=id", "--all", "-o", "json")
    assert found.code == 0, found.stderr
    assert (len(found.json), seen[0] == seen[1]) == (32, True)
