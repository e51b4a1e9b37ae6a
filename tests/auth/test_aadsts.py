from pathlib import Path

import pytest

from graphkit.auth.aadsts import REFUSALS, explain


@pytest.mark.parametrize(
    ("code", "word", "advice"),
    [
        ("7000222", "expired", "AZURE_CLIENT_SECRET"),
        ("7000215", "wrong", "not to its id"),
        ("700016", "app is not known", "GRAPHKIT_CLOUD"),
        ("90002", "tenant does not exist", "AZURE_TENANT_ID"),
        ("700027", "certificate", "AZURE_CLIENT_CERTIFICATE_PATH"),
        ("700024", "clock", "NTP"),
        ("50034", "account does not exist", "sign in"),
        ("65001", "consented", "grant consent"),
        ("70021", "federated", "some minutes"),
    ],
)
def test_a_known_refusal_is_one_clear_line_with_its_code_and_what_to_do(code, word, advice):
    text = (
        f"Authentication failed: AADSTS{code}: Something about canary-person@contoso.example.\r\n"
        "Trace ID: 1\r\nCorrelation ID: 2\r\nTimestamp: 3"
    )
    error = explain(text, method="client-secret")
    assert error.exit_code == 4
    assert word in error.message
    assert error.message.endswith(f"(AADSTS{code})")
    assert advice in error.hint
    assert "canary" not in error.message + error.hint
    assert "\n" not in error.message


def test_every_refusal_has_a_line_and_a_hint():
    for code, (line, hint) in REFUSALS.items():
        assert code.isdigit()
        assert line[-1] not in ".!"
        assert hint


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("Unable to get authority configuration for https://login.microsoftonline.com/x.", "tenant does not exist"),
        ("<...>: Failed to resolve 'login.microsoftonline.com'", "cannot be reached"),
        ("HTTPSConnectionPool(host='x', port=443): Max retries exceeded", "cannot be reached"),
        ("SSLError(SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED] ...", "is not trusted"),
    ],
)
def test_what_went_wrong_on_the_way_is_told_apart(text, line):
    assert line in explain(text, method="certificate").message


def test_an_unknown_refusal_keeps_its_code_and_first_line_without_people_and_secrets():
    text = "AADSTS9999999: canary@contoso.example sent client_secret=canary. Trace ID: 8\nmore\n"
    message = explain(text, method="client-secret").message
    assert "AADSTS9999999" in message
    assert "canary" not in message
    assert "Trace" not in message
    assert explain("", method="device-code").message.endswith("no reason given")


def test_the_manual_lists_every_refusal():
    manual = (Path(__file__).parents[2] / "docs/authentication.md").read_text(encoding="utf-8")
    rows = [line for line in manual.splitlines() if line.startswith("| AADSTS")]
    assert rows == [f"| AADSTS{code} | {line} | {hint} |" for code, (line, hint) in REFUSALS.items()]
