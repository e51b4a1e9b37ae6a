"""licenses.pools through the command line: caps, bad rows, kills, and a server on loopback."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import unicodedata

import pytest

from graphkit import recipe
from graphkit.clock import RealClock, run
from graphkit.engine.resource import PlanOptions
from graphkit.inputs.problems import Problems
from graphkit.inputs.source import open_source
from graphkit.inputs.table import open_table
from graphkit.sandbox import Seed, SimulatedTenant, serve


def pools(folder, members, *, cap=50, extra=""):
    names = [f"rx1-{number:04}@contoso.example" for number in range(1, members + 1)]
    (folder / "rx1.csv").write_text("\n".join(["upn", *names]) + "\n", encoding="utf-8")
    text = f"pools:\n  - {{org: RX1, sku: SPE_E3, cap: {cap}, members_from: rx1.csv{extra}}}\n"
    (folder / "pools.yaml").write_text(text, encoding="utf-8")
    return folder / "pools.yaml"


@pytest.fixture
def big(tenant):
    return tenant.seed(organisations=1, users=90, licensed=0)


def state_of(tenant):
    """What a tenant holds in the end: groups with their members and licences, ids of the groups apart."""
    opened = tenant.look()
    try:
        groups = [group for group in opened.state.table("groups").in_order() if group and group.get("uniqueName")]
        return sorted(
            (
                group["uniqueName"],
                sorted(opened.state.linked("members", group["id"])),
                [held["skuId"] for held in group["assignedLicenses"]],
            )
            for group in groups
        )
    finally:
        opened.close()


def test_forty_five_users_into_an_empty_pool_of_fifty_take_three_member_writes(simulated, big, tmp_path):
    source = pools(tmp_path, 45)
    assert simulated("plan", "licenses.pools", "-i", source, "--out", tmp_path / "a.run").code == 0
    applied = simulated("apply", tmp_path / "a.run", "--yes", "-o", "json")
    assert (applied.code, applied.json["outcomes"]["done"]) == (0, 47)
    member_writes = [entry for entry in big.log() if entry.method == "PATCH" and "uniqueName" not in entry.path]
    assert len(member_writes) == 3
    again = simulated("plan", "licenses.pools", "-i", source, "--detailed-exitcode", "-o", "json")
    assert (again.code, again.json["status"]) == (0, "empty")


def test_fifty_one_users_for_fifty_places_stop_the_plan_and_nothing_is_written(simulated, big, tmp_path):
    refused = simulated("plan", "licenses.pools", "-i", pools(tmp_path, 51), "--out", tmp_path / "a.run")
    assert refused.code == 6
    assert "number 51 is rx1-0051@contoso.example" in refused.stdout + refused.stderr
    assert simulated("apply", tmp_path / "a.run", "--yes").code == 6
    assert big.log() == []


def test_more_people_than_seats_stop_the_plan(simulated, tenant, tmp_path):
    tenant.seed(organisations=1, users=60, licensed=0, seats={"SPE_E3": 40})
    refused = simulated("plan", "licenses.pools", "-i", pools(tmp_path, 45), "-o", "json")
    assert refused.code == 6
    assert "SPE_E3: 45 seats needed, 40 free" in refused.json["blocked"][0]


def test_rows_that_are_left_out_as_invalid_take_no_seat(simulated, tenant, tmp_path):
    tenant.seed(organisations=1, users=40, licensed=0, seats={"SPE_E3": 40})
    source = pools(tmp_path, 45)  # five of them are nobody here
    made = simulated("plan", "licenses.pools", "-i", source, "--skip-invalid", "-o", "json")
    assert (made.json["status"], made.json["changes"]["add"]) == ("ready", 41)


SIXTEEN = " or ".join(f"department eq '{number}'" for number in range(16))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("pools: [", "malformed-yaml"),
        ("pools: []", "pools"),
        ("pols: []", "pols"),
        ("pools:\n  - {org: rx1, sku: SPE_E3, cap: 5, members_from: rx1.csv}", "pools[0].org"),
        ("pools:\n  - {org: RX1, sku: SPE_E3, cap: -5, members_from: rx1.csv}", "pools[0].cap"),
        ("pools:\n  - {org: RX1, sku: NOPE, cap: 5, members_from: rx1.csv}", "pools[0]"),
        ("pools:\n  - {org: RX1, sku: SPE_E3, cap: 5, members_from: gone.csv}", "gone.csv"),
        ("pools:\n  - {org: RX1, sku: SPE_E3, cap: 5, disabled_plans: [NOPE], members_from: rx1.csv}", "NOPE"),
        ("pools:\n  - {org: RX1, sku: SPE_E3, cap: 5, members_from: {filter: 'nonsense eq 1'}}", "nonsense"),
        (f"pools:\n  - {{org: RX1, sku: SPE_E3, cap: 5, members_from: {{filter: {SIXTEEN}}}}}", "Max allowed: 15"),
        ("pools:\n  - &a {org: RX1, sku: SPE_E3, cap: 5, members_from: rx1.csv}\n  - *a", "alias"),
        (
            "pools:\n  - {org: RX1, sku: SPE_E3, cap: 5, members_from: rx1.csv}\n"
            "  - {org: RX1, sku: SPE_E3, cap: 9, members_from: rx1.csv}",
            "two pools",
        ),
    ],
)
def test_a_bad_pool_file_is_refused_with_its_place(simulated, big, tmp_path, text, told):
    pools(tmp_path, 3)
    (tmp_path / "pools.yaml").write_text(text, encoding="utf-8")
    refused = simulated("plan", "licenses.pools", "-i", tmp_path / "pools.yaml", "-o", "json")
    assert refused.code == 5
    assert told in json.dumps(refused.json["error"])
    assert big.log() == []


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"name\nx\n", "missing columns: upn"),
        (b"upn\nrx1-0001@contoso.example\nRX1-0001@contoso.example\n", "twice"),
        (b"upn\nno such address\n", "not a user principal name"),
        (b"upn\ngone@contoso.example\n", "not a user of this tenant"),
        (b"upn,upn\na,b\n", "upn"),
        (b"\xff\xfeu\x00", ""),
        (b"upn\n1.2E+05\n", "1.2E+05"),
    ],
)
def test_a_bad_member_list_is_refused_with_its_row(simulated, big, tmp_path, content, told):
    source = pools(tmp_path, 3)
    (tmp_path / "rx1.csv").write_bytes(content)
    refused = simulated("plan", "licenses.pools", "-i", source, "-o", "json")
    assert refused.code == 5
    assert told in json.dumps(refused.json["error"])
    assert "rx1.csv" in json.dumps(refused.json["error"])


def test_members_by_rule_are_those_of_the_moment(simulated, big, tmp_path):
    text = "pools:\n  - {org: RX1, sku: SPE_E3, cap: 50, members_from: {filter: \"department eq 'Nursing'\"}}\n"
    (tmp_path / "pools.yaml").write_text(text, encoding="utf-8")
    planned = simulated("plan", "licenses.pools", "-i", tmp_path / "pools.yaml", "-o", "json")
    opened = big.look()
    nurses = [user for user in opened.state.table("users").in_order() if user and user.get("department") == "Nursing"]
    opened.close()
    assert planned.json["kinds"]["group.member"] == {"add": len(nurses)}


def test_one_list_can_fill_several_pools_by_a_column(simulated, tenant, tmp_path):
    rows = [f"rx{org}-{number:04}@contoso.example,RX{org}" for org in (1, 2) for number in range(1, 4)]
    (tmp_path / "staff.csv").write_text("\n".join(["upn,org", *rows]) + "\n", encoding="utf-8")
    entries = [f"  - {{org: {org}, sku: EMS, cap: 9, members_from: {{csv: staff.csv, match: {{org: {org}}}}}}}"
               for org in ("RX1", "RX2")]  # fmt: skip
    (tmp_path / "pools.yaml").write_text("\n".join(["pools:", *entries]) + "\n", encoding="utf-8")
    planned = simulated("plan", "licenses.pools", "-i", tmp_path / "pools.yaml", "-o", "json")
    assert planned.json["kinds"] == {"group": {"create": 2}, "group.license": {"add": 2}, "group.member": {"add": 6}}
    fenced = simulated("plan", "licenses.pools", "-i", tmp_path / "pools.yaml", "--org", "RX2", "-o", "json")
    assert fenced.json["kinds"]["group.member"] == {"add": 3}


def test_a_list_that_fills_many_pools_is_read_once_and_what_is_wrong_with_it_told_once(tmp_path, monkeypatch):
    rows = [f"rx1-{number:04}@contoso.example, P{number % 30} " for number in range(1, 301)]
    (tmp_path / "staff.csv").write_text("\n".join(["upn,pool", "no address,P1", *rows]) + "\n", encoding="utf-8")
    entries = [f"  - {{org: P{n}, sku: EMS, cap: 99, members_from: {{csv: staff.csv, match: {{pool: P{n}}}}}}}"
               for n in range(31)]  # fmt: skip
    (tmp_path / "pools.yaml").write_text("\n".join(["pools:", *entries]) + "\n", encoding="utf-8")
    opened = []
    monkeypatch.setattr(recipe, "open_table", lambda *given: opened.append(1) or open_table(*given))
    problems = Problems()
    inputs = recipe.Inputs([open_source(str(tmp_path / "pools.yaml"), problems)], problems)
    wishes = list(recipe.find_recipe("licenses.pools").desired(inputs, PlanOptions()))
    members = [wish for wish in wishes if wish.kind == "group.member"]
    assert len(opened) == 1
    assert [(problem.where, problem.code) for problem in problems.found] == [(2, "invalid-value")]
    assert [origin.place for origin in inputs.rejected] == [2]
    assert [wish.origin.place for wish in members if wish.key.startswith("P7.")] == list(range(9, 302, 30))
    (one,) = [wish for wish in members if wish.key == "P0.EMS.pool/rx1-0030@contoso.example"]
    assert one.origin.values == {"upn": "rx1-0030@contoso.example", "pool": " P0 "}
    assert len(members) == 300


def test_a_list_that_two_pages_share_is_read_once(tmp_path, monkeypatch):
    (tmp_path / "staff.csv").write_text("upn,org\na@contoso.example,RX1\nb@contoso.example,RX2\n", encoding="utf-8")
    for n in "12":
        entry = f"  - {{org: RX{n}, sku: EMS, cap: 9, members_from: {{csv: staff.csv, match: {{org: RX{n}}}}}}}"
        (tmp_path / f"{n}.yaml").write_text(f"pools:\n{entry}\n", encoding="utf-8")
    opened = []
    monkeypatch.setattr(recipe, "open_table", lambda *given: opened.append(1) or open_table(*given))
    problems = Problems()
    inputs = recipe.Inputs([open_source(str(tmp_path / f"{n}.yaml"), problems) for n in "12"], problems)
    wishes = list(recipe.find_recipe("licenses.pools").desired(inputs, PlanOptions()))
    assert [wish.key for wish in wishes if wish.kind == "group.member"] == [
        "RX1.EMS.pool/a@contoso.example",
        "RX2.EMS.pool/b@contoso.example",
    ]
    assert len(opened) == 1


@pytest.mark.parametrize(
    ("cell", "wanted"),
    [
        (unicodedata.normalize("NFD", "Café"), unicodedata.normalize("NFC", "Café")),
        (unicodedata.normalize("NFC", "Café"), unicodedata.normalize("NFD", "Café")),
        ('"=""0012"""', "0012"),
        ("'-12", "-12"),
        (" 0012 ", "0012"),
    ],
)
def test_what_a_person_meant_by_a_cell_is_matched_not_how_a_spreadsheet_wrote_it(tmp_path, cell, wanted):
    wishes, problems = matched(tmp_path, cell, wanted)
    assert [wish.key for wish in wishes if wish.kind == "group.member"] == ["RX1.EMS.pool/a@contoso.example"]
    assert not problems


def test_a_cell_that_a_spreadsheet_destroyed_is_an_error_of_its_row_and_belongs_nowhere(tmp_path):
    wishes, problems = matched(tmp_path, "#N/A", "0012")
    assert "group.member" not in {wish.kind for wish in wishes}
    (problem,) = problems.found
    assert (problem.where, problem.code) == (2, "invalid-value")
    assert problem.message == "cost centre: #N/A is a spreadsheet's error, not a value"


def matched(folder, cell, wanted):
    (folder / "staff.csv").write_text(f"upn,cost centre\na@contoso.example,{cell}\n", encoding="utf-8")
    text = f"{{org: RX1, sku: EMS, cap: 9, members_from: {{csv: staff.csv, match: {{cost centre: '{wanted}'}}}}}}"
    (folder / "pools.yaml").write_text(f"pools:\n  - {text}\n", encoding="utf-8")
    problems = Problems()
    inputs = recipe.Inputs([open_source(str(folder / "pools.yaml"), problems)], problems)
    return list(recipe.find_recipe("licenses.pools").desired(inputs, PlanOptions())), problems


def test_a_heading_that_pools_match_and_the_list_does_not_have_is_told_once(tmp_path):
    (tmp_path / "staff.csv").write_text("upn,org\na@contoso.example,RX1\n", encoding="utf-8")
    entries = [
        f"  - {{org: RX{n}, sku: EMS, cap: 9, members_from: {{csv: staff.csv, match: {{site: {n}}}}}}}" for n in "12"
    ]
    (tmp_path / "pools.yaml").write_text("\n".join(["pools:", *entries]) + "\n", encoding="utf-8")
    problems = Problems()
    inputs = recipe.Inputs([open_source(str(tmp_path / "pools.yaml"), problems)], problems)
    wishes = list(recipe.find_recipe("licenses.pools").desired(inputs, PlanOptions()))
    assert {wish.kind for wish in wishes} == {"group", "group.license"}
    assert [problem.code for problem in problems.found] == ["missing-column"]
    assert problems.found[0].message.startswith("missing column: site, which ")


def killed_at(fault, simulated, tenant, run_file):
    """Apply in a process of its own, which dies at ``fault``; the tenant then forgets the fault."""
    opened = tenant.look()
    opened.faults.add({"action": "kill", **fault})
    opened.close()
    command = [sys.executable, "-m", "graphkit", "apply", str(run_file), "--yes", *simulated.flags]
    killed = subprocess.run(command, capture_output=True, check=False)
    assert killed.returncode not in range(0, 128), killed.stderr
    opened = tenant.look()
    opened.faults.clear()
    opened.close()


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(
    "write",
    [("PATCH", "/groups(*"), ("POST", "/groups/*/assignLicense"), ("PATCH", "/groups/*")],
    ids=["group", "licence", "members"],
)
def test_killed_at_its_first_write_of_a_kind_and_resumed_a_run_ends_the_same(simulated, big, tmp_path, write, when):
    source = pools(tmp_path, 45)
    assert simulated("plan", "licenses.pools", "-i", source, "--out", tmp_path / "a.run").code == 0
    killed_at({"method": write[0], "path": write[1], "when": when}, simulated, big, tmp_path / "a.run")
    resumed = simulated("resume", tmp_path / "a.run", "--yes", "-o", "json")
    assert (resumed.code, resumed.json["outcomes"]["done"]) == (0, 47)
    ((name, members, skus),) = state_of(big)
    assert (name, len(members), len(skus)) == ("RX1.SPE_E3.pool", 45, 1)
    assert len([entry for entry in big.log() if "uniqueName" in entry.path]) == 1
    assert simulated("plan", "licenses.pools", "-i", source, "-o", "json").json["status"] == "empty"


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("nth", [1, 2, 3])
def test_killed_between_members_and_resumed_nobody_is_missed_or_added_twice(simulated, big, tmp_path, nth, when):
    simulated("apply", "licenses.pools", "-i", pools(tmp_path, 3), "--yes", "-q")
    source = pools(tmp_path, 48)
    assert simulated("plan", "licenses.pools", "-i", source, "--out", tmp_path / "a.run").code == 0
    killed_at({"method": "PATCH", "path": "/groups/*", "nth": nth, "when": when}, simulated, big, tmp_path / "a.run")
    resumed = simulated("resume", tmp_path / "a.run", "--yes", "-o", "json")
    assert (resumed.code, resumed.json["outcomes"]["done"]) == (0, 45)
    assert len(state_of(big)[0][1]) == 48
    # One write made the pool's first three members; twenty at a time, 45 take three more.
    assert len([entry for entry in big.log() if entry.method == "PATCH" and "uniqueName" not in entry.path]) == 1 + 3


@pytest.fixture
def server():
    """The simulated tenant over HTTP, in a thread with an event loop of its own; gives its address."""
    ready, addresses, stop = threading.Event(), [], []

    async def main():
        import asyncio

        tenant = SimulatedTenant(RealClock(), seed=Seed(organisations=1, users=90, licensed=0), replication_s=0.0)
        serving = asyncio.ensure_future(serve(tenant, on_ready=lambda root: (addresses.append(root), ready.set())))
        stop.append((asyncio.get_running_loop(), serving.cancel))
        try:
            await serving
        except asyncio.CancelledError:
            tenant.close()

    thread = threading.Thread(target=lambda: run(main()))
    thread.start()
    assert ready.wait(10)
    yield addresses[0]
    loop, cancel = stop[0]
    loop.call_soon_threadsafe(cancel)
    thread.join(10)


def test_a_server_on_loopback_is_planned_applied_and_planned_empty(graphkit, server, tmp_path, monkeypatch):
    monkeypatch.setenv("GRAPHKIT_GRAPH_URL", server)
    monkeypatch.setenv("GRAPHKIT_ACCESS_TOKEN", "anything")
    source = pools(tmp_path, 45)
    assert graphkit("plan", "licenses.pools", "-i", source, "--out", tmp_path / "a.run").code == 0
    assert graphkit("apply", tmp_path / "a.run", "--yes").code == 0
    assert graphkit("plan", "licenses.pools", "-i", source, "-o", "json").json["status"] == "empty"


@pytest.mark.parametrize(
    "address",
    [
        "http://10.0.0.1:8080",
        "https://graph.microsoft.com",
        "http://127.0.0.1@example.com",
        "http://127.0.0.1.example.com",
    ],
)
def test_an_address_that_is_not_loopback_is_refused(graphkit, tmp_path, monkeypatch, address):
    monkeypatch.setenv("GRAPHKIT_GRAPH_URL", address)
    monkeypatch.setenv("GRAPHKIT_ACCESS_TOKEN", "anything")
    refused = graphkit("plan", "licenses.pools", "-i", pools(tmp_path, 3))
    assert refused.code == 5
    assert "only a loopback root is accepted" in refused.stderr


def test_a_plan_for_one_target_is_not_applied_to_another(graphkit, simulated, big, server, tmp_path, monkeypatch):
    assert simulated("plan", "licenses.pools", "-i", pools(tmp_path, 3), "--out", tmp_path / "a.run").code == 0
    monkeypatch.setenv("GRAPHKIT_GRAPH_URL", server)
    monkeypatch.setenv("GRAPHKIT_ACCESS_TOKEN", "anything")
    assert graphkit("apply", tmp_path / "a.run", "--yes").code == 4
