import pytest

from graphkit.auth.methods import NEEDS, choose
from graphkit.errors import AuthError
from graphkit.settings import AUTH_METHODS, Settings, Target

LOOPBACK = Target("loopback", "http://127.0.0.1:8080")
AUTHORITY = "https://127.0.0.1:8443"
APP = {"tenant_id": "t", "client_id": "c"}


@pytest.mark.parametrize(
    ("given", "method"),
    [
        ({"access_token": "a", **APP, "client_secret": "s"}, "access-token"),
        ({**APP, "certificate_path": "p", "client_secret": "s"}, "certificate"),
        ({**APP, "client_secret": "s"}, "client-secret"),
        ({**APP, "federated_token_file": "f"}, "workload-identity"),
        ({"managed_identity_client_id": "m"}, "managed-identity"),
        ({"identity_endpoint": "http://127.0.0.1:1", "client_id": "c"}, "managed-identity"),
        ({"client_id": "c"}, "interactive"),
        ({"auth": "azure-cli"}, "azure-cli"),
        ({"auth": "managed-identity"}, "managed-identity"),
        ({"auth": "device-code", "client_id": "c", "access_token": "a"}, "device-code"),
    ],
)
def test_auto_takes_the_first_that_is_configured_and_a_named_method_goes_before(given, method):
    assert choose(Settings(**given)) == method


def test_every_method_has_its_needs_listed():
    assert {"auto", *NEEDS} == set(AUTH_METHODS)


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"client_secret": "s"}, "AZURE_TENANT_ID and AZURE_CLIENT_ID"),
        ({"auth": "certificate"}, "AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_CERTIFICATE_PATH"),
        ({"auth": "device-code"}, "AZURE_CLIENT_ID"),
        ({"auth": "access-token"}, "GRAPHKIT_ACCESS_TOKEN"),
        ({"auth": "workload-identity", **APP}, "AZURE_FEDERATED_TOKEN_FILE"),
    ],
)
def test_every_missing_setting_is_named_at_once(given, named):
    with pytest.raises(AuthError) as caught:
        choose(Settings(**given))
    assert caught.value.message.endswith(f"lacks {named}")
    assert caught.value.exit_code == 4


@pytest.mark.parametrize("value", ["Bearer sesame", "ses\name", "sesame\r", "sésame"])
def test_a_token_that_fits_no_header_is_refused_and_not_quoted(value):
    with pytest.raises(AuthError) as caught:
        choose(Settings(access_token=value))
    assert "GRAPHKIT_ACCESS_TOKEN" in caught.value.message
    assert "same" not in caught.value.message + caught.value.hint


def test_nothing_configured_says_what_could_be():
    with pytest.raises(AuthError, match="no way to authenticate") as caught:
        choose(Settings())
    for word in ("AZURE_CLIENT_CERTIFICATE_PATH", "auth login", "azure-cli", "simulated"):
        assert word in caught.value.hint


@pytest.mark.parametrize("method", ["auto", "client-secret", "managed-identity", "azure-cli", "interactive"])
def test_a_test_server_never_gets_credentials_for_a_cloud(method):
    settings = Settings(
        target=LOOPBACK, auth=method, **APP, client_secret="s", certificate_path="p", identity_endpoint="e"
    )
    with pytest.raises(AuthError, match="credentials for a cloud are never used") as caught:
        choose(settings)
    assert "GRAPHKIT_ACCESS_TOKEN" in caught.value.hint


def test_a_test_server_gets_the_token_made_for_it_even_if_a_method_is_set_for_the_cloud():
    settings = Settings(target=LOOPBACK, auth="client-secret", **APP, client_secret="s", access_token="a")
    assert choose(settings) == "access-token"


@pytest.mark.parametrize("method", ["auto", "client-secret"])
def test_a_test_server_with_an_authority_of_its_own_may_issue_tokens(method):
    settings = Settings(target=LOOPBACK, authority_url=AUTHORITY, auth=method, **APP, client_secret="s")
    assert choose(settings) == "client-secret"


def test_a_method_named_for_the_authority_of_a_test_server_goes_before_a_token():
    settings = Settings(
        target=LOOPBACK, authority_url=AUTHORITY, auth="client-secret", **APP, client_secret="s", access_token="a"
    )
    assert choose(settings) == "client-secret"


@pytest.mark.parametrize("method", ["managed-identity", "azure-cli"])
def test_methods_that_always_ask_the_cloud_are_refused_for_a_test_server(method):
    with pytest.raises(AuthError, match="always asks the cloud"):
        choose(Settings(target=LOOPBACK, authority_url=AUTHORITY, auth=method))
