"""An allow-list: what is not known to be Microsoft's own is replaced, wherever it stands."""

from __future__ import annotations

import json
import re

import pytest

from graphkit.errors import UsageError
from graphkit.recording import known
from graphkit.recording.pseudonyms import Pseudonyms
from graphkit.recording.redaction import REMOVED, Redaction, read_rules
from graphkit.sandbox.areas import ROUTES

GUID = "3f2504e0-4f89-41d3-9a0c-0305e82c3301"
SKU = "05e9a617-0261-4cee-bb44-138d3ef5d965"
JWT = "eyJhbGciOiJSUzI1NiJ9.eyJvaWQiOiJhYmNkZWYifQ.c2lnbmF0dXJlLXNpZ25hdHVyZQ"


@pytest.fixture
def make():
    def redaction(*learnt, rules=()):
        kept = {*known.WORDS, *(word.lower() for word in known.names("word"))}
        made = Redaction(
            Pseudonyms(kept=kept, guids=known.names("guid"), key=b"k" * 32),
            rules=read_rules(rules),
            roots=["http://127.0.0.1:8080"],
        )
        for value in learnt:
            made.learn(value)
        return made

    return redaction


@pytest.fixture
def redaction(make):
    return make("anna.smith@contoso.com")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("userType", "Member"),
        ("usageLocation", "GB"),
        ("state", "enabledForReportingButNotEnforced"),
        ("visibility", "Private"),
        ("createdDateTime", "2026-01-05T09:00:00Z"),
        ("osMinimumVersion", "10.0.22631.4000"),
        ("skuPartNumber", "SPE_E3"),
        ("includeUsers", "All"),
        ("includeApplications", "Office365"),
        ("skuId", SKU),
        ("usage_location", "GB"),
    ],
)
def test_words_of_graph_stay(redaction, field, value):
    assert redaction.value(value, field) == value


@pytest.mark.parametrize(
    ("field", "value", "looks"),
    [
        ("displayName", "Anna Smith", r"[A-Z][a-z]{3} [A-Z][a-z]{4}"),
        ("userPrincipalName", "anna.smith@contoso.com", r"[a-z]{4}\.[a-z]{5}@[a-z]{7}\.[a-z]{3}\.example"),
        ("mail", "Anna.Smith@contoso.com", r"[A-Z][a-z]{3}\.[A-Z][a-z]{4}@[a-z]{7}\.[a-z]{3}\.example"),
        ("proxyAddresses", "SMTP:anna@contoso.com", r"SMTP:[a-z]{4}@[a-z]{7}\.[a-z]{3}\.example"),
        ("userPrincipalName", "anna_fabrikam.com#EXT#@contoso.com", r"[a-z]{4}_[a-z]{8}\.[a-z]{3}#EXT#@.*\.example"),
        ("businessPhones", "+44 20 7946 0123", r"\+99 9\d \d{4} \d{4}"),
        ("note", "call +44 20 7946 0123", r"[a-z]{4} \+99 9\d \d{4} \d{4}"),
        ("id", GUID, r"[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[0-9a-f-]+"),
        ("jobTitle", "Chief of X", r"[A-Z][a-z]{4} [a-z]{2} [A-Z]"),
        ("birthday", "1980-05-06T00:00:00Z", r"19\d\d-\d\d-\d\dT00:00:00Z"),
        ("cidrAddress", "51.140.3.0/24", r"\d+\.\d+\.\d+\.0/24"),
        ("state", "Anna Smith", r"[A-Z][a-z]{3} [A-Z][a-z]{4}"),
        ("webUrl", "https://contoso.sharepoint.com/sites/HR?sig=abc", r"https://[a-z.]+\.example/[a-z]{5}/[A-Z]{2}"),
    ],
)
def test_people_and_what_is_theirs_are_replaced_in_their_form(redaction, field, value, looks):
    made = redaction.value(value, field)
    assert re.fullmatch(looks, made), made
    for word in ("anna", "smith", "contoso", "fabrikam", "7946", "1980"):
        assert word not in made.lower()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("password", "Winter-2026"),
        ("temporaryAccessPass", "+drkzqAD"),
        ("secretText", "abc8Q~defghijklmnopqrstuvwxyz0123456789AB"),
        ("customKeyIdentifier", "QUJD"),
        ("trustedRootCertificate", "MIIC"),
        ("key", "MIIC" * 20),
        ("anything", "Ab1" * 50),
    ],
)
def test_secrets_and_certificates_are_never_written_not_even_by_rule(make, field, value):
    assert make(rules=[f"{field}=keep"]).value(value, field) == REMOVED


def test_tokens_are_taken_out_of_any_text_also_where_a_rule_keeps_it(make):
    made = make(rules=["note=keep"])
    for field in ("description", "note"):
        assert JWT[:12] not in made.value(f"Bearer {JWT}", field)


def test_a_name_made_of_parts_is_made_of_the_parts_pseudonyms(redaction):
    org, upn = redaction.value("RX1", "org"), redaction.value("rx1-0001@contoso.com", "upn")
    assert redaction.value("RX1 SPE_E3", "displayName") == f"{org} SPE_E3"
    assert redaction.value("RX1.SPE_E3.pool", "uniqueName") == f"{org}.SPE_E3.pool"
    assert redaction.value("rx1", "match") == org.lower()
    assert upn.startswith(f"{org.lower()}-")


def test_a_key_planted_in_a_description_is_still_a_planted_key(redaction):
    made = redaction.value("Floor for wards\n[gk:devices.compliance/win-floor]", "description")
    assert re.fullmatch(r"[A-Z][a-z]{4} [a-z]{3} [a-z]{5}\n\[gk:devices\.compliance/[a-z]{3}-[a-z]{5}\]", made)
    assert "win" not in made


def test_a_digest_of_a_name_is_the_digest_of_its_pseudonym(make):
    from graphkit.resources.new_groups import group_key

    made = make("Night staff", {"uniqueName": group_key("Night staff", "ca")})
    assert made.value(group_key("Night staff", "ca")) == group_key(made.value("Night staff"), "ca")


def test_a_domain_is_the_same_wherever_it_stands(make):
    made = make({"verifiedDomains": [{"name": "contoso.com"}]}, "anna@contoso.com")
    domain = made.value("contoso.com", "name")
    assert domain.endswith(".example")
    assert made.value("anna@contoso.com").endswith(f"@{domain}")
    assert made.value("see contoso.com", "description").endswith(f" {domain}")


def test_names_that_only_the_answers_tell_are_learnt_before_anything_is_written(make):
    made = make({"skuPartNumber": "NEW_PRODUCT", "skuId": GUID})
    assert made.value("RX1.NEW_PRODUCT.pool").endswith(".NEW_PRODUCT.pool")
    assert made.value(GUID) == GUID


def test_extensions_and_custom_attributes_lose_their_names_and_values(redaction):
    made = redaction.document(
        {
            f"extension_{GUID.replace('-', '')}_costCentre": "Ward 7",
            "customSecurityAttributes": {"HR": {"@odata.type": "#microsoft.graph.x", "Salary": "high"}},
            "displayName": "Anna",
        }
    )
    text = json.dumps(made)
    for word in ("costCentre", "Ward", "HR", "Salary", "high", "Anna", GUID.replace("-", "")):
        assert word not in text
    assert any(name.startswith("extension_") for name in made)
    assert "displayName" in made


@pytest.mark.parametrize(
    ("rule", "made"),
    [
        ("extension_*_costcentre=keep", r"Ward 7"),
        ("extension_*=remove", r"<removed>"),
        ("extension_*_costCentre=text", r"[A-Z][a-z]{3} \d"),
    ],
)
def test_a_rule_says_what_becomes_of_a_field_of_ones_own(make, rule, made):
    assert re.fullmatch(made, make(rules=[rule]).value("Ward 7", "extension_abc_costCentre"))


@pytest.mark.parametrize("rule", ["costCentre", "costCentre=show", "=keep"])
def test_a_rule_that_makes_no_sense_is_refused(rule):
    with pytest.raises(UsageError, match="not of the form FIELD=KIND"):
        read_rules([rule])


def test_a_message_of_the_service_keeps_its_own_words_but_not_what_it_quotes(redaction):
    sentence = "Resource 'anna.smith@contoso.com' does not exist or one of its queried objects are not present."
    made = redaction.message(sentence)
    assert made.endswith("does not exist or one of its queried objects are not present.")
    assert "anna" not in made
    assert "Kowalska" not in redaction.message("The user Kowalska was not found.")


# --- addresses ---


@pytest.mark.parametrize(
    ("address", "looks"),
    [
        ("/v1.0/users/anna.smith@contoso.com?$select=id,mail", r"/v1\.0/users/[a-z.]+@[a-z.]+\?\$select=id,mail"),
        (f"/v1.0/groups/{GUID}/members/$ref", r"/v1\.0/groups/[0-9a-f-]{36}/members/\$ref"),
        ("/v1.0/groups(uniqueName='RX1.SPE_E3.pool')", r"/v1\.0/groups\(uniqueName='[A-Z]{2}\d\.SPE_E3\.pool'\)"),
        ("/v1.0/users?$filter=displayName%20eq%20'Anna%20O''Neil'", r".*Name%20eq%20'[A-Z].{3}%20[A-Z]''[A-Z].*'"),
        ("/v1.0/users?$filter=userType%20eq%20'Guest'", r".*userType%20eq%20'Guest'"),
        ("/v1.0/groups?$filter=groupTypes/any(c:c%20eq%20'Unified')", r".*groupTypes/any\(c:c%20eq%20'Unified'\)"),
        ('/v1.0/users?$search="displayName:anna"', r".*displayName:[a-z]{4}%22"),
        ("/v1.0/users?$top=999&$skiptoken=RFNwdAIAAQ", r".*\$top=999&\$skiptoken=[0-9a-f]{32}"),
        ("/v1.0/users?$filter=createdDateTime%20le%202026-01-05T09:00:00Z", r".*le%202026-01-05T09:00:00Z"),
        ("/beta/deviceManagement/configurationPolicies", r"/beta/deviceManagement/configurationPolicies"),
        ("/v1.0/users?$select=id,extension_abc_salary", r".*\$select=id,extension_[a-z]{3}_[a-z]{6}"),
    ],
)  # fmt: skip
def test_names_in_addresses_stay_keys_and_literals_do_not(redaction, address, looks):
    made = redaction.addresses.request(address)
    assert re.fullmatch(looks, made), made
    for word in ("anna", "smith", "contoso", GUID, "rfnwd", "salary"):
        assert word not in made.lower()


def test_a_link_is_replaced_as_the_request_is_that_follows_it(redaction):
    link = "http://127.0.0.1:8080/v1.0/users?$top=5&$skiptoken=abc"
    made = redaction.document({"@odata.nextLink": link})["@odata.nextLink"]
    assert made == "https://graph.microsoft.com" + redaction.addresses.request("/v1.0/users?$top=5&$skiptoken=abc")


def test_every_address_that_the_simulated_tenant_knows_keeps_its_names(redaction):
    """A name that is missing in names.txt makes a recording that cannot be replayed: tools/recording_names.py."""
    for route in ROUTES:
        segments = [part for part in re.sub(r"\(.*?\)", "", route.template).split("/") if part and part[0] not in "{$"]
        made = redaction.addresses.request("/v1.0/" + "/".join(segments))
        assert made == "/v1.0/" + "/".join(segments)
