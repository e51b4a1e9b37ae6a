"""identity.mfa-rollout, through the command line."""

import pytest

from graphkit.sandbox.seeding.credentials import set_methods

DAY = ("--as-of", "2026-01-20")


def upn(number):
    return f"rx1-{number:04}@contoso.example"


@pytest.fixture
def tenant(tenant):
    return tenant.seed(users=240)


@pytest.fixture
def waves(tmp_path):
    """``waves({1: range(1, 51)})`` puts the first fifty into wave 1; ``page`` are further lines of the dates."""

    def write(people, page="", *, starts=(5, 19, 26)):
        rows = [f"{upn(number)},RX1,{wave},standard" for wave, numbers in people.items() for number in numbers]
        (tmp_path / "people.csv").write_text("\n".join(["upn,org,wave,policy", *rows, ""]))
        days = [f"  - {{wave: {wave}, starts: 2026-01-{day:02}}}" for wave, day in enumerate(starts, 1)]
        (tmp_path / "waves.yaml").write_text("\n".join(["waves:", *days, page, ""]))
        return "-i", tmp_path / "people.csv", "-i", tmp_path / "waves.yaml"

    return write


@pytest.fixture
def register(tenant):
    def say(numbers, *methods):
        held = tenant.look()
        for number in numbers:
            set_methods(held, held.seed.id_of("user", upn(number)), *methods)
        held.state.write_changes()
        held.close()

    return say


def plan(simulated, *more):
    return simulated("plan", "identity.mfa-rollout", *more, *DAY, "-o", "json", "--full")


def apply(simulated, *more, day=DAY):
    return simulated("apply", "identity.mfa-rollout", *more, *day, "--yes", "-o", "json")


def test_a_wave_of_fifty_with_ten_in_it_already_takes_two_writes_of_twenty(simulated, tenant, waves):
    assert apply(simulated, *waves({1: range(1, 11)})).json["outcomes"]["done"] == 11
    before = len(tenant.log())
    result = apply(simulated, *waves({1: range(1, 51)}))
    assert (result.code, result.json["outcomes"]["done"]) == (0, 40)
    assert [entry.method for entry in tenant.log()[before:]] == ["PATCH", "PATCH"]
    assert plan(simulated, *waves({1: range(1, 51)})).json["status"] == "empty"


def test_an_account_in_two_waves_is_an_error_that_names_both_rows(simulated, waves):
    result = plan(simulated, *waves({1: [1], 2: [1]}))
    (error,) = result.json["error"]["errors"]
    assert (result.code, error["row"], "row 2" in error["message"]) == (5, 3, True)


def test_a_later_wave_waits_for_its_day(simulated, waves):
    given = waves({1: [1], 2: [2], 3: [3]})
    result = plan(simulated, *given)
    waiting = [item for item in result.json["items"] if item["kind"] == "scheduled"]
    assert [(item["key"], item["note"]) for item in waiting] == [
        (upn(3), "wave 3: joins mfa.wave-3.standard on 2026-01-26")
    ]
    assert result.json["changes"]["add"] == 2


def test_a_wave_that_is_too_large_is_blocked(simulated, tenant, waves):
    result = plan(simulated, *waves({1: range(1, 12)}, "max_wave_size: 10"))
    assert (result.code, "11 people, 10 allowed" in result.json["blocked"][0], tenant.log()) == (6, True, [])


def test_a_wave_waits_while_too_many_of_an_earlier_one_have_not_registered(simulated, register, waves):
    register(range(1, 8), "microsoftAuthenticatorPush")
    register(range(8, 11))
    given = waves({1: range(1, 11), 2: [11]})
    result = plan(simulated, *given)
    assert (result.code, "3 of 10 have not registered (30 %, 20 % allowed)" in result.json["blocked"][0]) == (6, True)
    register([8], "fido2")
    assert plan(simulated, *given).json["status"] == "ready"


def test_accounts_that_nobody_signs_in_with_are_left_out_by_name_and_by_state(simulated, waves):
    user = f"/users/{upn(2)}"
    assert simulated("graph", "patch", user, "--body", '{"accountEnabled": false}', "--yes").code == 0
    result = apply(simulated, *waves({1: [1, 2, 3]}, "skip: [RX1-0001*]"))
    assert (result.code, result.json["outcomes"]["skipped"], result.json["outcomes"]["done"]) == (3, 2, 2)


def test_a_wave_without_a_day_is_an_error_with_its_row(simulated, waves):
    result = plan(simulated, *waves({7: [1]}))
    assert (result.code, "wave: 7 has no day" in result.stdout) == (5, True)


def test_a_page_that_cannot_be_read_hides_no_row_and_is_not_called_missing(simulated, waves):
    told = plan(simulated, *waves({1: [1], "first": [2]}, "colour: blue")).json["error"]["errors"]
    assert [(each.get("row"), each.get("path")) for each in told] == [(3, None), (None, "colour")]


def test_without_a_page_of_days_there_is_nothing_to_plan(simulated, waves):
    result = plan(simulated, *waves({1: [1]})[:2])
    assert (result.code, "no page of wave dates" in result.stdout) == (5, True)
