"""identity.conditional-access: through the command line where an administrator would see it, else on virtual time."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from bench import Bench, bench, counts

from graphkit.clock import run
from graphkit.errors import InputErrors

RECIPE = "identity.conditional-access"
BASELINE = Path(__file__).parents[3] / "shared" / "data" / "conditional-access-baseline"
POLICIES = "/identity/conditionalAccess/policies"
LOCATIONS = "/identity/conditionalAccess/namedLocations"
ACCOUNT, GROUP = "break-glass-1@contoso.example", "Break glass"
DECLARED = (ACCOUNT, GROUP)
REPORT = "enabledForReportingButNotEnforced"
DAY = 86_400

needs_baseline = pytest.mark.skipif(not BASELINE.is_dir(), reason="the published policies are not beside the project")


def policy(key: str = "mfa", **settings: str) -> str:
    chosen = {
        "key": key,
        "state": "report",
        "include": "{users: [All]}",
        "exclude": "{groups: [Break glass]}",
        "apps": "{include: [All]}",
        "grant": "{operator: OR, builtInControls: [mfa]}",
        **settings,
    }
    return "  - " + "\n    ".join(f"{name}: {value}" for name, value in chosen.items() if value) + "\n"


def file(*policies: str, head: str = "", locations: str = "") -> str:
    known = f"named_locations:\n{locations}" if locations else ""
    return f"{head}{known}policies:\n{''.join(policies or [policy()])}"


PLACES = """\
  - {key: office, name: Head office, ip_ranges: [203.0.113.0/24, "2001:db8::/32"], trusted: true}
  - {key: uk, name: United Kingdom, countries: [GB]}
"""
OUTSIDE = "{locations: {includeLocations: [All], excludeLocations: [office, uk]}}"


def on_tenant(folder: Path, test: Any, **seed: Any) -> None:
    async def go() -> None:
        async with bench(folder, **seed) as here:
            await test(here)

    run(go(), virtual=True)


async def plan(here: Bench, text: str, **options: Any) -> Any:
    return await here.plan(RECIPE, text, suffix="yaml", **{"break_glass": DECLARED, **options})


async def applied(here: Bench, text: str, **options: Any) -> dict[str, int]:
    with await plan(here, text, **options) as planned:
        outcomes = await here.apply(planned, **options)
    await here.client.clock.sleep(30)
    return outcomes


def table(here: Bench, name: str) -> dict[str, dict[str, Any]]:
    return {each["displayName"]: each for each in here.tenant.state.table(name).objects.values()}


def live(here: Bench, name: str = "mfa") -> dict[str, Any]:
    return table(here, "policies")[name]


def note(planned: Any) -> tuple[str, str]:
    (change,) = planned.changes("conditionalAccessPolicy")
    return change.action.value, change.note


# -- the acceptance cases, through the command line ------------------------------------------------------------------


@pytest.fixture
def declared(monkeypatch):
    monkeypatch.setenv("GRAPHKIT_BREAK_GLASS", ",".join(DECLARED))


def written(folder: Path, text: str) -> Path:
    path = folder / "policies.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_two_locations_and_five_policies_are_seven_creates_a_second_apart_and_then_none(
    simulated, tenant, tmp_path, declared
):
    given = written(tmp_path, file(*(policy(f"p{n}", conditions=OUTSIDE) for n in range(5)), locations=PLACES))
    result = simulated("plan", RECIPE, "-i", given, "--out", tmp_path / "a.run", "-o", "json")
    assert (result.code, result.json["changes"]["create"]) == (0, 7)
    assert simulated("apply", tmp_path / "a.run", "--yes", "-o", "json").json["outcomes"]["done"] == 7
    log = tenant.log()
    assert [entry.path for entry in log] == [LOCATIONS] * 2 + [POLICIES] * 5
    assert log[-1].at - log[0].at >= 6
    assert min(later.at - former.at for former, later in pairwise(log)) >= 1
    assert simulated("plan", RECIPE, "-i", given, "-o", "json").json["status"] == "empty"


def test_a_policy_that_does_not_leave_out_the_break_glass_accounts_stops_the_plan(
    simulated, tenant, tmp_path, declared
):
    given = written(tmp_path, file(policy("good"), policy("bad", exclude=""), policy("off", exclude="", state="off")))
    result = simulated("plan", RECIPE, "-i", given, "--out", tmp_path / "a.run", "-o", "json")
    assert result.code == 6
    assert [reason.partition(" ")[0] for reason in result.json["blocked"]] == ["bad", "off"]
    assert all(ACCOUNT in reason and GROUP in reason for reason in result.json["blocked"])
    assert simulated("apply", tmp_path / "a.run", "--yes").code == 6
    assert tenant.log() == []


def test_what_is_missing_is_added_when_asked_for_and_the_change_says_so(simulated, tenant, tmp_path, declared):
    given = written(tmp_path, file(policy("good"), policy("bad", exclude="")))
    result = simulated(
        "plan", RECIPE, "-i", given, "--add-break-glass", "--full", "-o", "json", "--out", tmp_path / "r"
    )
    notes = {item["key"]: item["note"] for item in result.json["items"]}
    assert "added by graphkit" in notes["bad"]
    assert "added by graphkit" not in notes["good"]
    assert simulated("apply", tmp_path / "r", "--yes").code == 0
    assert simulated("plan", RECIPE, "-i", given, "--add-break-glass", "-o", "json").json["status"] == "empty"


@pytest.mark.parametrize("text", [file(), f"named_locations:\n{PLACES}"])
def test_without_declared_accounts_nothing_is_planned_whatever_the_policies_say(simulated, tmp_path, text):
    result = simulated("plan", RECIPE, "-i", written(tmp_path, text), "--add-break-glass", "-o", "json")
    assert result.code == 6
    assert "GRAPHKIT_BREAK_GLASS" in result.json["blocked"][0]


def test_what_runs_from_here_made_is_changed_without_asking_and_what_others_made_is_not(
    simulated, tenant, tmp_path, declared
):
    assert simulated("apply", RECIPE, "-i", written(tmp_path, file()), "--yes").code == 0
    given = written(tmp_path, file(policy(grant="{operator: OR, builtInControls: [block]}")))
    result = simulated("plan", RECIPE, "-i", given, "-o", "json", "--out", tmp_path / "a.run")
    assert result.json["changes"]["update"] == 1
    for ledger in (tmp_path / "home").rglob("objects-*.txt"):
        ledger.unlink()
    result = simulated("plan", RECIPE, "-i", given, "-o", "json", "--full")
    assert (result.code, result.json["changes"]["blocked"]) == (0, 1)
    assert "--adopt takes it over" in result.json["items"][0]["note"]
    assert simulated("apply", RECIPE, "-i", given, "--adopt", "--yes").code == 0
    given = written(tmp_path, file(policy(grant="{operator: OR, builtInControls: [compliantDevice]}")))
    assert simulated("plan", RECIPE, "-i", given, "-o", "json").json["changes"]["update"] == 1


# -- layouts -----------------------------------------------------------------------------------------------------------


def published(name):
    users = {"includeUsers": ["All"], "excludeUsers": ["rx1-0001@contoso.example"]}
    conditions = {"users": users, "applications": {"includeApplications": ["All"]}}
    grant = {"operator": "OR", "builtInControls": ["mfa"]}
    return {"displayName": name, "state": REPORT, "conditions": conditions, "grantControls": grant}


def test_layouts_found_in_the_wild_are_understood_and_a_bad_file_hides_no_other(simulated, tmp_path, monkeypatch):
    monkeypatch.setenv("GRAPHKIT_BREAK_GLASS", "rx1-0001@contoso.example")
    folder = tmp_path / "set"
    folder.mkdir()
    files = {
        "array.json": json.dumps([published("a"), published("b")]),
        "portal.json": json.dumps({"value": [published("c")]}),
        "wrapped.json": json.dumps({"policy": published("d")}),
        "encoded.json": json.dumps(json.dumps(published("e"))),
        "inner.json": json.dumps({"content": json.dumps(published("f"))}),
        "graph.yaml": yaml.safe_dump({"@odata.type": "#microsoft.graph.conditionalAccessPolicy", **published("g")}),
    }
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    (folder / "utf16.json").write_text(json.dumps(published("h")), encoding="utf-16")
    (folder / "broken.json").write_text("{", encoding="utf-8")
    refused = simulated("plan", RECIPE, "-i", folder, "-o", "json")
    (problem,) = refused.json["error"]["errors"]
    assert (problem["code"], Path(problem["file"]).name) == ("not-a-graph-body", "broken.json")
    made = simulated("plan", RECIPE, "-i", folder, "--skip-invalid", "-o", "json", "--full")
    assert made.code == 0, made.stdout
    assert sorted(item["key"] for item in made.json["items"] if item["action"] == "create") == list("abcdefgh")


# -- the 36 published policies -----------------------------------------------------------------------------------------


@needs_baseline
def test_the_published_policies_are_created_report_only_and_then_as_wished(simulated, tenant, tmp_path, declared):
    given = ("-i", BASELINE, "--add-break-glass", "--create-groups", "-o", "json")
    checked = simulated("validate", RECIPE, *given).json
    assert (checked["valid"], checked["errors"]) == (39, [])
    result = simulated("plan", RECIPE, *given, "--full", "--out", tmp_path / "a.run")
    assert (result.code, result.json["changes"]["create"]) == (0, 34 + 3 + 36)
    policies = [item for item in result.json["items"] if item["kind"] == "conditionalAccessPolicy"]
    assert len([item for item in policies if "added by graphkit" in item["note"]]) == 36
    assert simulated("apply", tmp_path / "a.run", "--yes", "-o", "json").json["outcomes"]["done"] == 73
    after = tenant.look()
    names = {group["id"]: group["displayName"] for group in after.state.table("groups").objects.values()}
    made = {each["displayName"]: each for each in after.state.table("policies").objects.values()}
    after.close()
    assert {each["state"] for each in made.values()} == {REPORT}
    users = next(each for name, each in made.items() if name.startswith("CA301"))["conditions"]["users"]
    assert [names[each] for each in users["includeGroups"]] == ["CA-ServiceAccounts"]
    assert all(
        GROUP in [names[group] for group in each["conditions"]["users"]["excludeGroups"]] for each in made.values()
    )
    again = simulated("plan", RECIPE, *given)
    assert (again.json["status"], again.json["changes"]["noop"]) == ("empty", 39)


@needs_baseline
def test_without_the_break_glass_accounts_all_36_are_named(simulated, tenant, declared):
    result = simulated("plan", RECIPE, "-i", BASELINE, "--create-groups", "-o", "json")
    names = {reason.partition(" does not")[0] for reason in result.json["blocked"]}
    assert (result.code, len(names)) == (6, 36)
    assert {name[:2] for name in names} == {"CA"}
    assert tenant.log() == []


@needs_baseline
def test_without_create_groups_every_missing_group_is_named_at_once(simulated, declared):
    result = simulated("plan", RECIPE, "-i", BASELINE, "--add-break-glass", "-o", "json")
    assert result.code == 5
    said = [each["message"] for each in result.json["error"]["errors"] if each["code"] == "unknown-group"]
    missing = {message.partition(" is called ")[2].partition(": --create")[0] for message in said}
    assert len(missing) == 34
    assert "CA-ServiceAccounts" in missing


@needs_baseline
@pytest.mark.parametrize("part", ["ConditionalAccess", "ConditionalAccess/CA301*.json"])
def test_the_folder_of_policies_or_one_of_them_finds_the_names_that_stand_beside_it(
    simulated, tmp_path, declared, part
):
    (given,) = BASELINE.glob(part)
    result = simulated(
        "plan",
        RECIPE,
        "-i",
        given,
        "--add-break-glass",
        "--create-groups",
        "-o",
        "json",
        "--full",
        "--out",
        tmp_path / "r",
    )
    expected = (34, 3, 36) if given.is_dir() else (2, 1, 1)
    kinds = [item["kind"] for item in result.json["items"] if item["action"] == "create"]
    assert tuple(kinds.count(kind) for kind in ("group", "namedLocation", "conditionalAccessPolicy")) == expected


@needs_baseline
def test_a_binding_says_which_group_and_location_are_meant_here(simulated, tmp_path, declared):
    (given,) = BASELINE.glob("ConditionalAccess/CA301*.json")
    bind = tmp_path / "bind.yaml"
    groups = json.loads((BASELINE / "MigrationTable.json").read_text(encoding="utf-8-sig"))["Objects"]
    ids = {each["DisplayName"]: each["Id"] for each in groups}
    exclude = next(name for name in ids if name.startswith("CA301"))
    bind.write_text(
        f"CA-ServiceAccounts: {GROUP}\n{ids[exclude]}: {GROUP}\nALLOWED COUNTRIES - SERVICE ACCOUNTS: AllTrusted\n",
        encoding="utf-8",
    )
    result = simulated("plan", RECIPE, "-i", given, "--bind", bind, "-o", "json", "--full")
    (item,) = result.json["items"]
    users, locations = (item["after"]["conditions"][name] for name in ("users", "locations"))
    assert users["includeGroups"] == users["excludeGroups"]
    assert locations["excludeLocations"] == ["AllTrusted"]


# -- the ladder --------------------------------------------------------------------------------------------------------


def test_a_policy_that_is_wished_on_only_reports_until_it_is_promoted_after_its_days(tmp_path):
    text = file(policy(state="on", name="Ask for MFA"), head="promote_after_days: 5\n")

    async def check(here: Bench) -> None:
        with await plan(here, text) as planned:
            assert note(planned) == ("create", "report-only first, for at least 5 days")
            assert await here.apply(planned) == {"done": 1}
        assert live(here, "Ask for MFA")["state"] == REPORT
        await here.client.clock.sleep(3 * DAY)
        for promote in ((), ("mfa",)):
            with await plan(here, text, promote=promote) as planned:
                assert note(planned) == ("noop", "awaiting promotion, day 3 of 5")
        await here.client.clock.sleep(3 * DAY)
        with await plan(here, text) as planned:
            assert note(planned) == ("noop", "awaiting promotion, day 6 of 5")
        with await plan(here, text, promote=("mfa",)) as planned:
            action, told = note(planned)
            assert (action, told.partition(";")[0]) == ("update", "promoted after 6 days in report-only")
            assert "who signed in while it reported" in told
            assert await here.apply(planned) == {"done": 1}
        assert live(here, "Ask for MFA")["state"] == "enabled"
        await here.client.clock.sleep(30)
        with await plan(here, text) as again:
            assert note(again) == ("noop", "")

    on_tenant(tmp_path, check)


def test_what_changes_reports_anew_before_it_is_promoted(tmp_path):
    async def check(here: Bench) -> None:
        await applied(here, file(policy(state="on")))
        await here.client.clock.sleep(8 * DAY)
        changed = file(policy(state="on", grant="{operator: OR, builtInControls: [block]}"))
        with await plan(here, changed, promote=("mfa",)) as planned:
            assert note(planned)[1].startswith("changed first")
            assert await here.apply(planned) == {"done": 1}
        assert live(here)["state"] == REPORT
        await here.client.clock.sleep(30)
        with await plan(here, changed, promote=("mfa",)) as planned:
            assert note(planned) == ("noop", "awaiting promotion, day 0 of 7")

    on_tenant(tmp_path, check)


@pytest.mark.parametrize(
    ("live_state", "wished", "action", "state"),
    [
        ("enabled", "on", "noop", "enabled"),
        ("enabled", "report", "update", REPORT),
        ("enabled", "off", "update", "disabled"),
        ("disabled", "on", "update", REPORT),
        ("disabled", "report", "update", REPORT),
        (REPORT, "report", "noop", REPORT),
        (REPORT, "off", "update", "disabled"),
    ],
)
def test_a_live_state_moves_as_the_ladder_says(tmp_path, live_state, wished, action, state):
    async def check(here: Bench) -> None:
        await applied(here, file())
        here.tenant.state.put("policies", {**live(here), "state": live_state})
        with await plan(here, file(policy(state=wished))) as planned:
            assert note(planned)[0] == action
            if live_state == "enabled" and action == "update":
                assert "no longer enforced" in note(planned)[1]
            await here.apply(planned)
        assert live(here)["state"] == state

    on_tenant(tmp_path, check)


def test_only_what_is_wished_on_can_be_promoted(tmp_path):
    async def check(here: Bench) -> None:
        with pytest.raises(InputErrors) as raised:
            await plan(here, file(policy("a", state="on"), policy("b")), promote=("a", "b", "c"))
        said = [problem.message for problem in raised.value.problems]
        assert [message.partition(":")[0] for message in said] == ["--promote b", "--promote c"]

    on_tenant(tmp_path, check)


# -- what is written ---------------------------------------------------------------------------------------------------


def test_locations_come_first_and_policies_carry_their_ids(tmp_path):
    async def check(here: Bench) -> None:
        assert await applied(here, file(policy(conditions=OUTSIDE), locations=PLACES)) == {"done": 3}
        places = table(here, "locations")
        assert places["Head office"]["isTrusted"] is True
        kinds = [each["@odata.type"].rpartition(".")[2] for each in places["Head office"]["ipRanges"]]
        assert sorted(kinds) == ["iPv4CidrRange", "iPv6CidrRange"]
        ids = sorted(each["id"] for each in places.values())
        assert sorted(live(here)["conditions"]["locations"]["excludeLocations"]) == ids
        wider = PLACES.replace("[GB]", "[GB, IE]").replace("trusted: true", "trusted: false")
        with await plan(here, file(policy(conditions=OUTSIDE), locations=wider)) as planned:
            assert counts(planned) == {"update": 2, "noop": 1}
            assert await here.apply(planned) == {"done": 2, "already": 1}
        assert table(here, "locations")["United Kingdom"]["countriesAndRegions"] == ["GB", "IE"]
        assert table(here, "locations")["Head office"]["isTrusted"] is False

    on_tenant(tmp_path, check)


def test_what_the_input_no_longer_says_is_taken_out_of_the_live_policy(tmp_path):
    rich = policy(
        exclude="{groups: [Break glass], users: [rx1-0001@contoso.example]}",
        conditions="{clientAppTypes: [browser], platforms: {includePlatforms: [all], excludePlatforms: [iOS]}}",
        session="{signInFrequency: {value: 4, type: hours, isEnabled: true}}",
    )

    async def check(here: Bench) -> None:
        await applied(here, file(rich))
        assert live(here)["sessionControls"]["signInFrequency"]["value"] == 4
        assert await applied(here, file()) == {"done": 1}
        found = live(here)
        assert found["conditions"]["clientAppTypes"] == ["all"]
        assert found["conditions"]["platforms"] is None
        assert found["conditions"]["users"]["excludeUsers"] == []
        assert found["sessionControls"] is None
        with await plan(here, file()) as again:
            assert again.header()["status"] == "empty"

    on_tenant(tmp_path, check)


def as_told_later(live, **more):
    """What a list of the service holds when it has learnt something new about every policy."""
    conditions = {**live["conditions"], "times": {"always": True}, **more.pop("conditions", {})}
    told = {name: value for name, value in live.items() if name[0] != "_"}
    policy = {**told, "conditions": conditions, "ticket": {"id": 7}, **more}
    return {"method": "GET", "path": POLICIES, "action": "alter", "body": {"value": [policy]}}


def test_what_only_a_newer_service_knows_is_left_alone_and_said_to_be_there(tmp_path):
    async def check(here: Bench) -> None:
        await applied(here, file())
        here.tenant.faults.add(as_told_later(live(here)))
        with await plan(here, file()) as again:
            assert note(again)[0] == "noop"
            assert note(again)[1].endswith("does not know it: conditions.times, ticket")
        changed = file(policy(conditions="{clientAppTypes: [browser]}"))
        with await plan(here, changed) as planned:
            # The simulated tenant knows neither, and would refuse to have them taken out.
            assert await here.apply(planned) == {"done": 1}

    on_tenant(tmp_path, check)


def test_a_value_that_only_a_newer_service_knows_is_compared_like_any_other(tmp_path):
    async def check(here: Bench) -> None:
        await applied(here, file())
        grant = {**live(here)["grantControls"], "builtInControls": ["mfa", "oathOfOffice"]}
        here.tenant.faults.add(as_told_later(live(here), grantControls=grant, state="enabledForSome"))
        with await plan(here, file()) as again:
            assert counts(again) == {"update": 1}
            (line,) = again.changes("conditionalAccessPolicy")
            assert line.before["state"] == "enabledForSome"
            assert line.before["grantControls"]["builtInControls"] == ["mfa", "oathOfOffice"]

    on_tenant(tmp_path, check)


def test_an_empty_list_of_client_apps_stands_for_all_of_them(tmp_path):
    """As exports of some years ago have it, which the service takes back no more."""
    text = file(policy(conditions="{clientAppTypes: []}"))

    async def check(here: Bench) -> None:
        assert await applied(here, text) == {"done": 1}
        assert live(here)["conditions"]["clientAppTypes"] == ["all"]
        with await plan(here, text) as again:
            assert again.header()["status"] == "empty"

    on_tenant(tmp_path, check)


def test_what_the_service_tells_within_a_vague_error_reaches_the_outcome(tmp_path):
    text = file(policy(grant="{operator: OR, builtInControls: [block, mfa]}"))

    async def check(here: Bench) -> None:
        with await plan(here, text) as planned:
            assert await here.apply(planned) == {"failed": 1}
            ((_, outcome),) = planned.results()
        assert "InvalidControls" in outcome.error

    on_tenant(tmp_path, check)


def test_names_stand_for_ids_of_users_roles_applications_and_strengths(tmp_path):
    text = file(
        policy(
            include="{users: [rx1-0002@contoso.example], roles: [Global Administrator, security administrator]}",
            apps="{include: [Microsoft Graph, office365], exclude: [0000000a-0000-0000-c000-000000000000]}",
            grant="{operator: OR, authenticationStrength: Phishing-resistant MFA}",
        )
    )

    async def check(here: Bench) -> None:
        assert await applied(here, text) == {"done": 1}
        found = live(here)
        assert found["conditions"]["users"]["includeUsers"] == [here.user("rx1-0002@contoso.example")["id"]]
        assert len(found["conditions"]["users"]["includeRoles"]) == 2
        apps = found["conditions"]["applications"]
        assert sorted(apps["includeApplications"]) == ["00000003-0000-0000-c000-000000000000", "Office365"]
        assert found["grantControls"]["authenticationStrength"]["id"].endswith("4")
        with await plan(here, text) as again:
            assert again.header()["status"] == "empty"

    on_tenant(tmp_path, check)


def test_every_name_that_leads_nowhere_is_told_at_once(tmp_path):
    text = file(
        policy(
            include="{users: [nobody@contoso.example], groups: [Nobody], roles: [Nobody]}",
            apps="{include: [Nothing]}",
            conditions="{locations: {includeLocations: [Nowhere]}}",
            grant="{operator: OR, authenticationStrength: Nothing}",
        )
    )

    async def check(here: Bench) -> None:
        with pytest.raises(InputErrors) as raised:
            await plan(here, text)
        assert {problem.code for problem in raised.value.problems} == {
            "unknown-user",
            "unknown-group",
            "unknown-role",
            "unknown-app",
            "unknown-location",
            "unknown-strength",
        }
        assert {problem.where for problem in raised.value.problems} == {"policies[0]"}
        assert any("conditions.users.includeGroups" in problem.message for problem in raised.value.problems)

    on_tenant(tmp_path, check)


def test_an_account_counts_as_left_out_by_a_group_that_holds_its_group(tmp_path):
    async def check(here: Bench) -> None:
        body = {"displayName": "Outer", "mailEnabled": False, "mailNickname": "outer", "securityEnabled": True}
        outer = await here.client.create("/groups", body)
        await here.client.clock.sleep(30)
        inner = here.tenant.seed.id_of("group", GROUP)
        link = {"@odata.id": f"https://graph.microsoft.com/v1.0/directoryObjects/{inner}"}
        await here.client.action(f"/groups/{outer['id']}/members/$ref", link)
        await here.client.clock.sleep(30)
        text = file(policy(exclude="{groups: [Outer]}"))
        with await plan(here, text, break_glass=(ACCOUNT,)) as planned:
            assert planned.header()["status"] == "ready"
        with await plan(here, text, break_glass=(ACCOUNT, GROUP)) as planned:
            (reason,) = planned.header()["blocked"]
            assert reason.startswith(f"mfa does not exclude {GROUP}:")

    on_tenant(tmp_path, check)


def test_a_look_up_that_fails_counts_as_a_lock_out(tmp_path):
    async def check(here: Bench) -> None:
        here.tenant.faults.add(
            {"method": "GET", "path": "/users/*/transitiveMemberOf", "action": "answer", "status": 403}
        )
        with await plan(here, file(), break_glass=(ACCOUNT,)) as planned:
            (reason,) = planned.header()["blocked"]
        assert "groups could not be read" in reason
        here.tenant.faults.clear()
        with await plan(here, file(), break_glass=("gone@contoso.example", GROUP)) as planned:
            (reason,) = planned.header()["blocked"]
        assert "is not a user of this tenant" in reason

    on_tenant(tmp_path, check)


def test_a_policy_left_out_as_invalid_takes_no_group_away_from_the_others(tmp_path):
    include = "{groups: [Pilot]}"

    async def check(here: Bench) -> None:
        text = file(policy("a", include=include, apps="{include: [Nothing]}"), policy("b", include=include))
        with await plan(here, text, create_groups=True, skip_invalid=True) as planned:
            assert await here.apply(planned) == {"done": 2}
        (pilot,) = [
            each for each in here.tenant.state.table("groups").objects.values() if each["displayName"] == "Pilot"
        ]
        assert live(here, "b")["conditions"]["users"]["includeGroups"] == [pilot["id"]]

    on_tenant(tmp_path, check)


# -- names that are not unique, lists that break off, answers that get lost --------------------------------------------


def test_two_live_policies_of_one_name_are_blocked_with_both_ids(tmp_path):
    async def check(here: Bench) -> None:
        await applied(here, file())
        twin = {**live(here), "id": "00000000-0000-4000-8000-000000000001"}
        first = live(here)["id"]
        here.tenant.state.put("policies", twin)
        with await plan(here, file(), adopt=True) as planned:
            action, why = note(planned)
        assert action == "blocked"
        assert first in why
        assert twin["id"] in why

    on_tenant(tmp_path, check)


def test_a_list_that_breaks_off_plans_nothing(tmp_path):
    async def check(here: Bench) -> None:
        here.tenant.faults.add({"method": "GET", "path": POLICIES, "action": "answer", "status": 403})
        with await plan(here, file()) as planned:
            assert note(planned)[0] == "blocked"
            assert counts(planned) == {"blocked": 1}

    on_tenant(tmp_path, check)


@pytest.mark.parametrize("path", [POLICIES, LOCATIONS])
@pytest.mark.parametrize("failure", ["timeout", "reset"])
def test_after_a_lost_answer_what_was_made_is_found_by_its_name(tmp_path, path, failure):
    async def check(here: Bench) -> None:
        here.tenant.faults.add({"method": "POST", "path": path, "nth": 1, "action": "commit-then", "failure": failure})
        assert await applied(here, file(policy(conditions=OUTSIDE), locations=PLACES)) == {"done": 3}
        assert sorted(here.writes()) == sorted([f"POST {LOCATIONS}"] * 2 + [f"POST {POLICIES}"])

    on_tenant(tmp_path, check)


def test_another_policy_of_that_name_is_neither_adopted_nor_doubled(tmp_path):
    async def check(here: Bench) -> None:
        await applied(here, file(policy("other")))
        foreign = {**live(here, "other"), "id": "00000000-0000-4000-8000-000000000002", "displayName": "mfa"}
        foreign["state"] = "disabled"
        with await plan(here, file()) as planned:
            here.tenant.faults.add(
                {"method": "POST", "path": POLICIES, "nth": 1, "action": "answer", "status": 504, "times": 1}
            )
            before = len(here.writes())

            async def intrude() -> None:
                await here.client.clock.sleep(2.5)
                here.tenant.state.put("policies", foreign)

            intruder = asyncio.create_task(intrude())
            assert await here.apply(planned) == {"unknown": 1}
            await intruder
            (_, result) = next(iter(planned.results()))
            assert foreign["id"] in result.error
        assert here.writes()[before:] == []

    on_tenant(tmp_path, check)


def test_a_policy_that_changed_since_the_plan_is_refused_alone(tmp_path):
    async def check(here: Bench) -> None:
        await applied(here, file(policy("a"), policy("b")))
        block = "{operator: OR, builtInControls: [block]}"
        with await plan(here, file(policy("a", grant=block), policy("b", grant=block))) as planned:
            here.tenant.state.put("policies", {**live(here, "a"), "state": "enabled"})
            assert await here.apply(planned) == {"done": 1, "failed": 1}
        assert live(here, "a")["grantControls"]["builtInControls"] == ["mfa"]

    on_tenant(tmp_path, check)


def test_an_account_that_was_disabled_since_the_plan_stops_what_makes_policies_and_what_changes_them(
    simulated, tenant, tmp_path, declared
):
    """Disabled it is locked out whatever policies say: nobody could undo what these do."""
    given = written(tmp_path, file())
    for name in ("made.run", "changed.run"):
        assert simulated("plan", RECIPE, "-i", given, "--out", tmp_path / name, "-o", "json").json["status"] == "ready"
        with tenant.changed() as there:
            account = there.state.get("users", there.seed.id_of("user", ACCOUNT))
            there.state.put("users", {**account, "accountEnabled": False})
        before = len(tenant.log())
        result = simulated("apply", tmp_path / name, "--yes", "-o", "json")
        assert (result.code, len(tenant.log())) == (6, before)
        assert "the account is disabled" in result.json["error"]["message"]
        with tenant.changed() as there:
            there.state.put("users", account)
        assert simulated("resume", tmp_path / name, "--yes", "-o", "json").code == 0
        written(tmp_path, file(policy(grant="{operator: OR, builtInControls: [mfa, compliantDevice]}")))


def test_whoever_is_declared_after_the_plan_was_made_is_guarded_too(simulated, tenant, tmp_path, monkeypatch):
    monkeypatch.setenv("GRAPHKIT_BREAK_GLASS", GROUP)
    given, run_file = written(tmp_path, file()), tmp_path / "a.run"
    assert simulated("plan", RECIPE, "-i", given, "--out", run_file, "-o", "json").json["status"] == "ready"
    monkeypatch.setenv("GRAPHKIT_BREAK_GLASS", f"{GROUP},rx1-0001@contoso.example")
    result = simulated("apply", run_file, "--yes", "-o", "json")
    assert (result.code, tenant.log()) == (6, [])
    assert "break-glass rx1-0001@contoso.example" in result.json["error"]["message"]


def test_no_more_policies_are_planned_than_a_tenant_holds(tmp_path):
    async def check(here: Bench) -> None:
        await applied(here, file(policy("first")))
        for number in range(193):
            twin = {
                **live(here, "first"),
                "id": f"00000000-0000-4000-8000-{number:012}",
                "displayName": f"old {number}",
            }
            here.tenant.state.put("policies", twin)
        with await plan(here, file(policy("first"), policy("a"))) as planned:
            assert planned.header()["status"] == "ready"
        with await plan(here, file(policy("a"), policy("b"))) as planned:
            (reason,) = planned.header()["blocked"]
        assert "194 policies are there and 2 would be made" in reason

    on_tenant(tmp_path, check)


def test_while_many_wait_for_their_turn_each_is_read_again_shortly_before(tmp_path):
    text = file(*(policy(f"p{number:02}") for number in range(40)))

    async def check(here: Bench) -> None:
        with await plan(here, text) as planned:

            async def intrude() -> None:
                await here.client.clock.sleep(10)
                one = next(iter(table(here, "policies").values()))
                here.tenant.state.put(
                    "policies", {**one, "id": "00000000-0000-4000-8000-0000000000aa", "displayName": "p39"}
                )

            intruder = asyncio.create_task(intrude())
            outcomes = await here.apply(planned)
            await intruder
        assert outcomes == {"done": 39, "already": 1}
        assert [each["displayName"] for each in here.tenant.state.table("policies").objects.values()].count("p39") == 1

    on_tenant(tmp_path, check)


# -- input -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "where", "said"),
    [
        ({"state": "enabled"}, "policies[0].state", "off"),
        ({"grant": "{operator: OR, builtInControls: [mfaa]}"}, "policies[0].grant.builtInControls[0]", "mfa"),
        ({"grant": "{builtInControls: [mfa]}"}, "policies[0].grant.operator", "AND or OR"),
        ({"grant": ""}, "policies[0].grant", "neither a grant nor a session control"),
        ({"session": "{signInFreq: {}}"}, "policies[0].session.signInFreq", "signInFrequency"),
        ({"conditions": "{platform: {}}"}, "policies[0].conditions.platform", "platforms"),
        ({"conditions": "{users: {includeUsers: [All]}}"}, "policies[0]", "short form"),
        ({"conditions": "{agentIdRiskLevels: high}"}, "policies[0].conditions.agentIdRiskLevels", "--allow-beta"),
        ({"include": "{}"}, "policies[0].conditions.users", "nobody is included"),
        ({"apps": ""}, "policies[0].conditions.applications", ""),
        ({"stat": "on"}, "policies[0].stat", "not a known key"),
    ],
)
def test_bad_input_is_told_by_place_and_reason(tmp_path, wrong, where, said):
    async def check(here: Bench) -> None:
        with pytest.raises(InputErrors) as raised:
            await plan(here, file(policy(**wrong)))
        assert (raised.value.problems[0].where, said in raised.value.problems[0].message) == (where, True)
        assert here.writes() == []

    on_tenant(tmp_path, check)


@pytest.mark.parametrize(
    ("location", "said"),
    [
        ("{key: a, ip_ranges: [203.0.113.1/24]}", "host bits"),
        ("{key: a, ip_ranges: [203.0.113.0/24], countries: [GB]}", "either"),
        ("{key: a}", "either"),
        ("{key: a, countries: [gb]}", "pattern"),
        ("{key: a, countries: [GB], trusted: true}", "trusted"),
    ],
)
def test_a_location_is_ranges_or_countries(tmp_path, location, said):
    async def check(here: Bench) -> None:
        with pytest.raises(InputErrors) as raised:
            await plan(here, f"named_locations: [{location}]")
        assert said in raised.value.problems[0].message

    on_tenant(tmp_path, check)


def test_one_name_twice_and_one_key_twice_are_errors(tmp_path):
    async def check(here: Bench) -> None:
        with pytest.raises(InputErrors) as raised:
            await plan(here, file(policy("a", name="Same"), policy("b", name="Same")))
        assert [problem.code for problem in raised.value.problems] == ["duplicate-key"]
        with pytest.raises(InputErrors, match="problem") as raised:
            await plan(here, file(policy("a"), policy("a")))
        assert "the key a is given twice" in raised.value.problems[0].message

    on_tenant(tmp_path, check)


GRAPH = {
    "@odata.context": "https://graph.microsoft.com/v1.0/$metadata#identity/conditionalAccess/policies/$entity",
    "id": "809741fe-fb1b-4746-9ff0-83a978a4c891",
    "createdDateTime": "2024-05-24T09:27:52.7009813Z",
    "displayName": "Published",
    "state": "enabled",
    "conditions": {
        "clientAppTypes": ["all"],
        "users": {"includeUsers": ["All"], "excludeGroups": ["Break glass"]},
        "applications": {"includeApplications": ["All"]},
    },
    "grantControls": {"operator": "OR", "builtInControls": ["mfa"]},
}


@pytest.mark.parametrize("shape", [GRAPH, [GRAPH], {"value": [GRAPH]}])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_graph_shaped_json_is_one_object_an_array_or_a_page_in_any_encoding(
    simulated, tmp_path, declared, shape, encoding
):
    given = tmp_path / "policies.json"
    given.write_text(json.dumps(shape), encoding=encoding)
    result = simulated("plan", RECIPE, "-i", given, "-o", "json", "--full")
    (item,) = result.json["items"]
    assert (item["key"], item["after"]["state"]) == ("Published", REPORT)


def test_the_starter_file_can_be_planned_as_it_is(simulated, tmp_path, declared, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert simulated("recipe", "template", RECIPE).code == 0
    given = tmp_path / "conditional_access.yaml"
    assert simulated("plan", RECIPE, "-i", given, "-o", "json").json["changes"]["create"] == 3


def test_our_own_format_may_be_json_too(simulated, tmp_path, declared):
    given = tmp_path / "policies.json"
    ours = {"key": "mfa", "state": "report", "include": {"users": ["All"]}, "exclude": {"groups": ["Break glass"]}}
    ours |= {"apps": {"include": ["All"]}, "grant": {"operator": "OR", "builtInControls": ["mfa"]}}
    given.write_text(json.dumps({"policies": [ours]}), encoding="utf-8")
    assert simulated("plan", RECIPE, "-i", given, "-o", "json").json["changes"]["create"] == 1


def test_everything_wrong_in_a_folder_is_told_by_file_and_path(simulated, tmp_path, declared):
    folder = tmp_path / "set"
    folder.mkdir()
    bad = {**GRAPH, "displayName": "Bad", "grantControls": {"operator": "XOR", "builtInControls": ["mfa"]}}
    foreign = {**GRAPH, "displayName": "Foreign", "conditions": {**GRAPH["conditions"], "surprise": 1}}
    files = {"a.json": [GRAPH, bad], "b.json": foreign, "c.json": {"hello": "world"}}
    for name, value in files.items():
        (folder / name).write_text(json.dumps(value), encoding="utf-8")
    (folder / "d.json").write_text("{", encoding="utf-8")
    result = simulated("validate", RECIPE, "-i", folder, "-o", "json")
    assert result.code == 5
    told = {(Path(each["file"]).name, each["path"], each["code"]) for each in result.json["errors"]}
    assert told == {
        ("a.json", "[1].grantControls.operator", "incomplete"),
        ("b.json", "conditions.surprise", "unknown-property"),
        ("c.json", "", "not-recognised"),
        ("d.json", "", "not-a-graph-body"),
    }


@pytest.mark.parametrize("part", ["conditions", "grantControls", "sessionControls", "displayName", "state"])
@pytest.mark.parametrize("value", ["text", 5, ["a"], {"b": {"c": [1]}}])
def test_what_is_of_the_wrong_shape_is_an_input_error_and_no_crash(simulated, tmp_path, declared, part, value):
    given = tmp_path / "policy.json"
    given.write_text(json.dumps({**GRAPH, part: value}), encoding="utf-8")
    result = simulated("validate", RECIPE, "-i", given, "-o", "json")
    if (part, value) != ("displayName", "text"):
        assert result.code == 5
        assert result.json["errors"][0]["path"].startswith(part)


def test_an_id_of_another_tenant_without_a_name_asks_for_a_binding(simulated, tmp_path, declared):
    other = "7c3d1c59-3f5e-4f0a-8a0e-6ad3c0c2e5b1"
    users = {"includeUsers": ["All"], "excludeGroups": ["Break glass", other]}
    given = tmp_path / "policy.json"
    given.write_text(json.dumps({**GRAPH, "conditions": {**GRAPH["conditions"], "users": users}}), encoding="utf-8")
    result = simulated("plan", RECIPE, "-i", given, "--create-groups")
    assert result.code == 5
    assert f"there is no group {other}" in result.stderr
    assert "--bind" in result.stderr


# -- kills and throttling ----------------------------------------------------------------------------------------------


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("path", [POLICIES, LOCATIONS])
def test_a_run_killed_at_a_write_goes_on_without_a_double(simulated, tenant, tmp_path, declared, path, when):
    given = written(tmp_path, file(policy("a", conditions=OUTSIDE), policy("b"), locations=PLACES))
    assert simulated("plan", RECIPE, "-i", given, "--out", tmp_path / "a.run").code == 0
    there = tenant.look()
    there.faults.add({"method": "POST", "path": path, "nth": 2, "action": "kill", "when": when})
    there.close()
    command = [sys.executable, "-m", "graphkit", "apply", str(tmp_path / "a.run"), "--yes", *simulated.flags]
    assert subprocess.run(command, capture_output=True, check=False).returncode == -signal.SIGKILL
    there = tenant.look()
    there.faults.clear()
    there.close()
    outcomes = simulated("resume", tmp_path / "a.run", "--yes", "-o", "json").json["outcomes"]
    assert (outcomes["done"], outcomes["failed"], outcomes["unknown"]) == (4, 0, 0)
    there = tenant.look()
    names = [
        each["displayName"] for name in ("locations", "policies") for each in there.state.table(name).objects.values()
    ]
    there.close()
    assert sorted(names) == ["Head office", "United Kingdom", "a", "b"]
    assert simulated("plan", RECIPE, "-i", given, "-o", "json").json["status"] == "empty"


def test_a_429_without_a_stated_wait_is_sat_out_and_makes_no_double(tmp_path):
    async def check(here: Bench) -> None:
        here.tenant.faults.add({"method": "POST", "path": POLICIES, "nth": [1, 2, 4], "action": "throttle"})
        outcomes = await applied(here, file(*(policy(f"p{number}") for number in range(4))))
        assert outcomes == {"done": 4}
        assert len(here.writes()) == 4

    on_tenant(tmp_path, check)
