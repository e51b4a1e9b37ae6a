"""identity.auth-methods, through the command line."""

import pytest

from graphkit.sandbox.seeding.credentials import set_methods

POLICY = "/policies/authenticationMethodsPolicy"


def upn(number):
    return f"rx1-{number:04}@contoso.example"


@pytest.fixture
def register(tenant):
    """``register({1: ["mobilePhone"]})`` says what people have registered; nobody else has anything."""

    def say(methods):
        held = tenant.look()
        for position in range(1, 61):
            org, number = (position - 1) % 3 + 1, (position - 1) // 3 + 1
            user = held.seed.id_of("user", f"rx{org}-{number:04}@contoso.example")
            set_methods(held, user, *(methods.get(number, ()) if org == 1 else ()))
        held.state.write_changes()
        held.close()

    return say


@pytest.fixture
def page(tmp_path):
    def write(text):
        path = tmp_path / "methods.yaml"
        path.write_text(f"methods:\n  {text}\n")
        return path

    return write


@pytest.fixture
def enabled(simulated, page):
    """Every method that the tests turn off is on for everybody at first."""
    methods = ("sms", "voice", "fido2")
    path = page("\n  ".join(f"{method}: {{state: enabled, targets: [All users]}}" for method in methods))
    assert simulated("apply", "identity.auth-methods", "-i", path, "--yes").code == 0


def plan(simulated, path):
    return simulated("plan", "identity.auth-methods", "-i", path, "-o", "json", "--full")


def test_sms_cannot_be_turned_off_under_twelve_people_who_have_nothing_else(simulated, tenant, enabled, register, page):
    register({number: ["mobilePhone"] for number in range(1, 13)} | {13: ["mobilePhone", "fido2"], 14: ["fido2"]})
    before = len(tenant.log())
    result = plan(simulated, page("sms: {state: disabled}\n  voice: {state: disabled}"))
    assert (result.code, result.json["status"], len(tenant.log())) == (6, "blocked", before)
    assert "12 people would lose the only method" in result.json["blocked"][0]
    named = [item["key"] for item in result.json["items"] if item["action"] == "blocked"]
    assert named == [upn(number) for number in range(1, 13)]


def test_sms_can_be_turned_off_once_they_have_another(simulated, enabled, register, page):
    register({number: ["mobilePhone", "microsoftAuthenticatorPush"] for number in range(1, 13)})
    path = page("sms: {state: disabled}\n  voice: {state: disabled}")
    result = simulated("apply", "identity.auth-methods", "-i", path, "--yes", "-o", "json")
    assert result.code == 0
    assert plan(simulated, path).json["status"] == "empty"


def test_a_method_narrowed_to_a_group_strands_those_outside_it(simulated, enabled, register, page):
    register({1: ["fido2"], 2: ["fido2"]})
    body = '{"displayName": "Keys", "mailEnabled": false, "mailNickname": "keys", "securityEnabled": true}'
    group = simulated("graph", "post", "/groups", "--body", body, "--yes", "-o", "json").json["id"]
    user = simulated("graph", "get", f"/users/{upn(1)}", "-o", "json").json["id"]
    link = '{"@odata.id": "https://graph.microsoft.com/v1.0/directoryObjects/' + user + '"}'
    assert simulated("graph", "post", f"/groups/{group}/members/$ref", "--body", link, "--yes").code == 0
    result = plan(simulated, page("fido2: {state: enabled, targets: [Keys]}"))
    assert result.code == 6
    assert [item["key"] for item in result.json["items"] if item["action"] == "blocked"] == [upn(2)]


def test_a_target_that_is_there_keeps_what_hangs_on_it(simulated, register, page):
    register({})
    before = simulated("graph", "get", f"{POLICY}/authenticationMethodConfigurations/fido2", "-o", "json").json
    path = page("fido2: {state: disabled, targets: [All users], settings: {isSelfServiceRegistrationAllowed: false}}")
    assert simulated("apply", "identity.auth-methods", "-i", path, "--yes").code == 0
    after = simulated("graph", "get", f"{POLICY}/authenticationMethodConfigurations/fido2", "-o", "json").json
    assert after["includeTargets"] == before["includeTargets"]
    assert (after["state"], after["isSelfServiceRegistrationAllowed"]) == ("disabled", False)
    assert plan(simulated, path).json["status"] == "empty"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("fax: {state: enabled}", "fax"),
        ("sms: {state: perhaps}", "state"),
        ("sms: {state: enabled, targets: [Nobody here]}", "no group is called Nobody here"),
        ("sms: {state: enabled, settings: {id: x}}", "id has a key of its own"),
    ],
)
def test_what_is_wrong_is_named(simulated, page, text, said):
    result = plan(simulated, page(text))
    assert (result.code, said in result.stdout) == (5, True)


def test_where_registrations_cannot_be_read_nothing_is_turned_off(simulated, enabled, register, page, tmp_path):
    register({})
    rules = tmp_path / "faults.json"
    rules.write_text('{"rules": [{"path": "/reports/authenticationMethods/*", "action": "forbid", "seconds": 999}]}')
    loaded = simulated("sim", "faults", "load", rules)
    assert loaded.code == 0, loaded.stderr
    result = plan(simulated, page("sms: {state: disabled}"))
    assert (result.code, "nobody can be shown to keep a method" in str(result.json["blocked"])) == (6, True)
