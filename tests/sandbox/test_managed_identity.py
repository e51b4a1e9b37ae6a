"""Managed identities, asked for by azure-identity and MSAL as on App Service and on a virtual machine."""

from __future__ import annotations

import json
import ssl
from urllib.parse import urlencode

import httpx
import msal
import pytest
import requests
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import CredentialUnavailableError, ManagedIdentityCredential
from served import served

from graphkit.clock import RealClock
from graphkit.sandbox import App, Seed, SimulatedTenant, make_authority

GRAPH = "https://graph.microsoft.com"
SMALL = Seed(organisations=1, users=30, licensed=0)
POOL = App("11111111-2222-4333-8444-555555555555", "pool", frozenset({"User.Read.All"}), managed_identity=True)
IMDS = "/metadata/identity/oauth2/token"
AT_IMDS = {"api-version": "2018-02-01", "resource": GRAPH}
AT_APP_SERVICE = {"api-version": "2019-08-01", "resource": GRAPH}


@pytest.fixture(params=["http", "https"])
def hosted(request, tmp_path, monkeypatch):
    """A tenant on whose machine we run, as App Service would say."""
    tls, files, _ = make_authority(tmp_path / "ca", "127.0.0.1") if request.param == "https" else (None, None, None)
    tenant = SimulatedTenant(RealClock(), seed=SMALL, throttling=False)
    tenant.login.register(POOL)
    with served(tenant, tls) as address:
        for name, value in tenant.login.managed.environment(address).items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(files.ca) if files else "")
        yield tenant, address, files.ca if files else None


def skus(address, ca, token):
    trust = ssl.create_default_context(cafile=ca) if ca else False
    with httpx.Client(verify=trust, trust_env=False) as client:
        return client.get(f"{address}/v1.0/subscribedSkus", headers={"Authorization": f"Bearer {token}"})


@pytest.mark.parametrize("client_id", [None, POOL.id, POOL.id.upper()])
def test_azure_identity_gets_a_token_that_graph_accepts(hosted, client_id):
    tenant, address, ca = hosted
    with ManagedIdentityCredential(client_id=client_id) as credential:
        token = credential.get_token_info(f"{GRAPH}/.default")
    claims = tenant.login.signer.read(token.token)
    assert claims["appid"] == (POOL.id if client_id else tenant.seed.identity_id)
    assert 86_000 < token.expires_on - tenant.clock.now() <= 86_400
    expected = 403 if client_id else 200  # the pool may read users only
    assert skus(address, ca, token.token).status_code == expected


def test_msal_gets_the_token_of_the_machine_and_of_a_pool(hosted):
    tenant, *_ = hosted
    with requests.Session() as session:
        for identity, app in (
            (msal.SystemAssignedManagedIdentity(), tenant.seed.identity_id),
            (msal.UserAssignedManagedIdentity(client_id=POOL.id), POOL.id),
        ):
            client = msal.ManagedIdentityClient(identity, http_client=session)
            answer = client.acquire_token_for_client(resource=GRAPH)
            assert tenant.login.signer.read(answer["access_token"])["appid"] == app
            assert answer["token_type"] == "Bearer"


def test_a_pool_is_named_by_its_object_and_its_resource_too(hosted):
    tenant, *_ = hosted
    (principal,) = tenant.state.table("servicePrincipals").find("appId", POOL.id)
    explicit, resource = principal["alternativeNames"]
    assert explicit == "isExplicit=True"
    for name, value in (("object_id", principal["id"]), ("resource_id", resource)):
        with ManagedIdentityCredential(identity_config={name: value}) as credential:
            token = credential.get_token(f"{GRAPH}/.default").token
        assert tenant.login.signer.read(token)["appid"] == POOL.id


def test_azure_identity_says_what_app_service_refuses(hosted):
    with (
        ManagedIdentityCredential(client_id="00000000-0000-0000-0000-000000000000") as credential,
        pytest.raises(CredentialUnavailableError, match="No User Assigned or Delegated Managed Identity found"),
    ):
        credential.get_token(f"{GRAPH}/.default")


@pytest.fixture
def machine(hosted, monkeypatch):
    """The same tenant, asked as the metadata service of a virtual machine."""
    monkeypatch.delenv("IDENTITY_ENDPOINT")
    monkeypatch.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", hosted[1])
    return hosted[0]


@pytest.mark.parametrize("client_id", [None, POOL.id])
def test_azure_identity_asks_the_metadata_service(machine, client_id):
    with ManagedIdentityCredential(client_id=client_id) as credential:
        token = credential.get_token(f"{GRAPH}/.default").token
    assert machine.login.signer.read(token)["appid"] == (client_id or machine.seed.identity_id)


def test_azure_identity_waits_for_a_metadata_service_that_is_being_updated(machine):
    machine.faults.add({"path": "/identity/oauth2/token", "times": 1, "action": "answer", "status": 410})
    with ManagedIdentityCredential() as credential:
        assert credential.get_token(f"{GRAPH}/.default").token
    assert machine.faults.rules[0].fired == 1


def test_azure_identity_is_told_that_no_such_identity_is_assigned(machine):
    unknown = "00000000-0000-0000-0000-000000000000"
    with (
        ManagedIdentityCredential(client_id=unknown, retry_total=0) as credential,
        pytest.raises((CredentialUnavailableError, ClientAuthenticationError), match="Identity not found"),
    ):
        credential.get_token(f"{GRAPH}/.default")


# -- without any transport --


@pytest.fixture
def ask(graph):
    """``ask(path, query, headers)`` gives status and document of one of the two endpoints."""

    def send(path, query, headers, method="GET"):
        answer = graph.tenant.handle(method, f"http://127.0.0.1:1{path}?{urlencode(query)}", headers)
        return answer.status, json.loads(answer.body)

    return send


METADATA = {"Metadata": "true"}


@pytest.mark.parametrize(
    ("query", "headers", "error"),
    [
        (AT_IMDS, {}, "bad_request_102"),
        (AT_IMDS, {"Metadata": "True"}, "bad_request_102"),
        (AT_IMDS, {**METADATA, "X-Forwarded-For": "192.0.2.1"}, "bad_request_102"),
        ({"api-version": "2018-02-01"}, METADATA, "invalid_request"),
        ({"resource": GRAPH}, METADATA, "invalid_request"),
        ({**AT_IMDS, "api-version": "2017-12-01"}, METADATA, "invalid_request"),
        ({**AT_IMDS, "client_id": "nobody"}, METADATA, "invalid_request"),
        ({**AT_IMDS, "resource": "https://vault.example"}, METADATA, "invalid_resource"),
    ],
)
def test_the_metadata_service_refuses_in_its_own_words(ask, query, headers, error):
    status, told = ask(IMDS, query, headers)
    assert (status, told["error"]) == (400, error)
    assert told["error_description"]


def test_the_metadata_service_answers_in_strings(ask, graph):
    status, told = ask(IMDS, AT_IMDS, METADATA)
    assert status == 200
    assert (told["expires_in"], told["refresh_token"], told["token_type"]) == ("86400", "", "Bearer")
    assert int(told["expires_on"]) == graph.clock.at + 86_400
    assert told["client_id"] == graph.tenant.seed.identity_id


@pytest.mark.parametrize(
    ("query", "headers", "status"),
    [
        (AT_APP_SERVICE, {}, 401),
        (AT_APP_SERVICE, {"X-IDENTITY-HEADER": "guess"}, 401),
        ({**AT_APP_SERVICE, "client_id": "nobody"}, None, 400),
        ({**AT_APP_SERVICE, "api-version": "2017-09-01"}, None, 400),
        ({"api-version": "2019-08-01"}, None, 400),
        ({**AT_APP_SERVICE, "resource": "https://vault.example"}, None, 500),
        (AT_APP_SERVICE, None, 200),
    ],
)
def test_app_service_answers_who_knows_its_header(ask, graph, query, headers, status):
    known = {"X-IDENTITY-HEADER": graph.tenant.login.managed.header}
    found, told = ask("/msi/token", query, known if headers is None else headers)
    assert found == status
    assert told.get("statusCode", 200) == status


def test_more_than_20_requests_in_a_second_are_429(ask, graph):
    assert [ask(IMDS, AT_IMDS, METADATA)[0] for _ in range(21)] == [200] * 20 + [429]
    graph.clock.at += 1
    assert ask(IMDS, AT_IMDS, METADATA)[0] == 200


def test_while_it_is_updated_the_metadata_service_is_410(ask, graph):
    graph.tenant.login.managed.updating_until = graph.clock.at + 70
    assert ask(IMDS, AT_IMDS, METADATA)[0] == 410
    graph.clock.at += 70
    assert ask(IMDS, AT_IMDS, METADATA)[0] == 200


def test_a_permission_that_is_granted_is_seen_when_the_cached_token_has_ended(ask, graph):
    login = graph.tenant.login
    login.apps[login.managed.system].roles = frozenset()

    def roles():
        return login.signer.read(ask(IMDS, AT_IMDS, METADATA)[1]["access_token"])["roles"]

    assert roles() == []
    login.apps[login.managed.system].roles = frozenset({"User.Read.All"})
    graph.clock.at += 86_399
    assert roles() == []
    graph.clock.at += 1
    assert roles() == ["User.Read.All"]


def test_a_machine_with_pools_only_answers_for_the_only_one(ask, graph):
    login = graph.tenant.login
    del login.apps[login.managed.system]
    login.managed.system = ""
    assert ask(IMDS, AT_IMDS, METADATA)[1]["error_description"] == "Identity not found"
    login.register(POOL)
    assert ask(IMDS, AT_IMDS, METADATA)[1]["client_id"] == POOL.id
    login.register(App("other", "other", frozenset(), managed_identity=True))
    assert ask(IMDS, AT_IMDS, METADATA)[1]["error_description"].startswith("Multiple user assigned identities exist")


def test_its_app_roles_are_in_the_directory_and_it_has_no_secret(graph):
    app = graph.tenant.seed.identity_id
    principal = graph("GET", f"/servicePrincipals(appId='{app}')").json
    assert principal["servicePrincipalType"] == "ManagedIdentity"
    assert graph("GET", f"/servicePrincipals(appId='{app}')/appRoleAssignments").json["value"]
    form = {"grant_type": "client_credentials", "client_id": app, "client_secret": "", "scope": f"{GRAPH}/.default"}
    url = "https://login.example/contoso.example/oauth2/v2.0/token"
    answer = graph.tenant.handle("POST", url, {}, urlencode(form).encode())
    assert json.loads(answer.body)["error_codes"] == [7000218]
