import pytest

from graphkit.redact import redact, redact_value, without_people

JWT = "eyJhbGciOiJub25lIn0.eyJ0aWQiOiJjYW5hcnkifQ.c2lnbmF0dXJlLWNhbmFyeQ"
KEY = "-----BEGIN PRIVATE KEY-----\nY2FuYXJ5\n-----END PRIVATE KEY-----"


@pytest.mark.parametrize(
    "text",
    [
        f"token {JWT} end",
        f"Authorization: Bearer {JWT}",
        "authorization: Bearer canary-opaque-token",
        "Proxy-Authorization: Basic Y2FuYXJ5OmNhbmFyeQ==",
        "grant_type=client_credentials&client_secret=canary~1&scope=x",
        "{'client_secret': 'canary 2'}",
        '{"refresh_token": "canary.0.A"}',
        '{\\"access_token\\": \\"canary\\"}',
        "AZURE_CLIENT_SECRET=canary",
        "GRAPHKIT_ACCESS_TOKEN = canary",
        "certificate_password: canary",
        "https://x.blob.core.windows.net/c/f?sv=2024&se=1&sig=canary%2B%3D",
        "https://someone:canary@proxy.example:3128/",
        f"key {KEY} end",
        "-----BEGIN RSA PRIVATE KEY-----\ncanary cut off",
        "X-IDENTITY-HEADER: canary",
        "secretText='canary'",
        '{"temporaryAccessPass": "canary+3"}',
    ],
)
def test_a_secret_is_taken_out_of_text(text):
    cleaned = redact(text)
    for part in ("canary", "Y2FuYXJ5", "c2lnbmF0dXJl", "eyJ0aWQi"):
        assert part not in cleaned


@pytest.mark.parametrize(
    "text",
    [
        "request-sent status=200 ms=31",
        "GET /users?$top=999&$select=id,userPrincipalName",
        "the password policy of group 05e9a617-0261-4cee-bb44-138d3ef5d965",
        '{"code": "Request_BadRequest", "message": "Invalid value"}',
        "https://graph.microsoft.com/v1.0/groups/1/members?$skiptoken=abc",
        "no bearer of news",
        "signature missing; design: done",
    ],
)
def test_what_is_no_secret_stays(text):
    assert redact(text) == text


def test_lengths_are_kept_and_no_prefix():
    assert redact("client_secret=abcdefghij") == "client_secret=<10 characters removed>"


def test_a_known_value_is_masked_wherever_it_stands():
    assert "pa$$" not in redact("odd place: pa$$ here", secrets=["pa$$"])


def test_redacting_twice_changes_nothing():
    once = redact(f"Authorization: Bearer {JWT}; client_secret=canary; password: canary")
    assert redact(once) == once


def test_a_value_is_redacted_by_the_names_of_its_fields_then_by_pattern():
    value = {
        "clientSecret": "canary",
        "headers": {"Authorization": "canary", "Accept": "application/json"},
        "items": [{"refresh_token": "canary"}, f"x {JWT}", 3, None],
        "error": {"code": "Request_BadRequest"},
        "code": "canary" * 10,
        "passwordProfile": {"password": "canary", "forceChangePasswordNextSignIn": True},
    }
    cleaned = redact_value(value)
    assert "canary" not in str(cleaned)
    assert JWT not in str(cleaned)
    assert cleaned["error"] == {"code": "Request_BadRequest"}
    assert cleaned["headers"]["Accept"] == "application/json"
    assert cleaned["items"][2:] == [3, None]
    assert cleaned["passwordProfile"]["forceChangePasswordNextSignIn"] is True


@pytest.mark.parametrize(
    "text",
    [
        "user rx1-0001@contoso.example not found",
        "GET /users/rx1-0001%40contoso.example",
        "rx1-0001_fabrikam.example#EXT#@contoso.example",
    ],
)
def test_people_are_taken_out_where_asked(text):
    assert "rx1-0001" not in without_people(text)


def test_annotations_of_odata_are_not_people():
    text = "members@odata.bind and owners@odata.bind, x@microsoft.graph.tips"
    assert without_people(text) == text
