"""licenses.reclaim, through the command line."""

import pytest

from graphkit.sandbox.areas.licensing import set_states, state_of
from graphkit.sandbox.seeding.activity import set_last_seen
from graphkit.sandbox.seeding.skus import PRODUCTS

E3, EMS, AUDIO = (PRODUCTS[name].id for name in ("SPE_E3", "EMS", "MCOMEETADV"))
POLICY = """\
idle_days: 90
skus: [SPE_E3]
exclude: [maternity, sick]
keep: ["rx1-0006@*"]
prices: {SPE_E3: 30.5}
currency: GBP
"""


def upn(number, org=1):
    return f"rx{org}-{number:04}@contoso.example"


@pytest.fixture
def tenant(tenant):
    return tenant.seed(users=60, licensed=0, skus=("SPE_E3", "EMS", "MCOMEETADV"))


@pytest.fixture
def held(tenant):
    """``held({upn(1): 120}, E3)``: these people hold a licence and were last here so many days ago, or never."""

    def say(people, *skus, group=None):
        with tenant.changed() as here:
            for name, days in people.items():
                key = here.seed.id_of("user", name)
                user = here.state.get("users", key)
                states = [state_of(sku, group, (), 0.0) for sku in skus]
                set_states(here, user, [*(user.get("licenseAssignmentStates") or []), *states])
                set_last_seen(here, key, days)

    return say


@pytest.fixture
def files(tmp_path):
    def write(policy=POLICY, people=()):
        (tmp_path / "reclaim.yaml").write_text(policy, encoding="utf-8")
        rows = ["upn,leave_status,org", *people, ""]
        (tmp_path / "people.csv").write_text("\n".join(rows), encoding="utf-8")
        return ("-i", tmp_path / "reclaim.yaml", *(("-i", tmp_path / "people.csv") if people else ()))

    return write


def plan(simulated, given, *more):
    return simulated("plan", "licenses.reclaim", *given, "-o", "json", "--full", *more)


def apply(simulated, given, *more):
    return simulated("apply", "licenses.reclaim", *given, "--yes", "-o", "json", *more)


def removals(result):
    """Whose, in order."""
    return sorted(next(part for part in item["key"].split("/") if "@" in part) for item in _gone(result))


def _gone(result):
    return [item for item in result.json["items"] if item["action"] == "remove"]


def states(tenant, name):
    with tenant.changed() as here:
        return here.state.get("users", here.seed.id_of("user", name)).get("licenseAssignmentStates") or []


@pytest.fixture
def eight(held, files):
    """Eight idle people, of whom two are on leave and one is to be kept; besides one who works and one unknown."""
    held({upn(number): 120 for number in range(1, 7)}, E3)
    held({upn(1, 2): 100, upn(2, 2): 400, upn(3, 2): 3, upn(4, 2): None}, E3)
    people = [
        *(f"{upn(number)},{'maternity' if number == 1 else ''},RX1" for number in range(1, 7)),
        *(f"{upn(number, 2)},{'Sick' if number == 1 else ''},RX2" for number in range(1, 5)),
    ]
    return files(people=people)


def test_eight_idle_of_whom_two_are_on_leave_and_one_is_kept_are_five_removals(simulated, tenant, eight, tmp_path):
    planned = plan(simulated, eight)
    assert planned.json["changes"]["remove"] == 5
    assert removals(planned) == [upn(2), upn(3), upn(4), upn(5), upn(2, 2)]
    assert planned.json["remarks"] == [
        "RX1: 4 SPE_E3 come free, GBP 122.00 a month",
        "RX2: 1 SPE_E3 come free, GBP 30.50 a month",
        "5 lose the mailbox with the licence: the service keeps it for 30 days, and it comes back with a licence that "
        "is given until then",
        "left alone: 2 on leave, 1 kept, 1 not known to sign in",
    ]
    run = tmp_path / "reclaim.run"
    applied = apply(simulated, eight, "--out", run)
    assert (applied.code, applied.json["outcomes"]["done"]) == (0, 5)
    assert plan(simulated, eight).json["status"] == "empty"
    assert states(tenant, upn(2)) == []
    assert simulated("undo", run, "--yes", "-o", "json").code == 0
    assert [state["skuId"] for state in states(tenant, upn(2))] == [E3]


def test_each_listed_person_has_a_line_that_says_what_was_found(simulated, eight):
    told = {
        item["key"]: item["note"]
        for item in plan(simulated, eight).json["items"]
        if item["kind"] == "license.reclaim.person"
    }
    assert told[upn(1)] == "on leave (maternity)"
    assert told[upn(2)] == "idle for 120 days"
    assert told[upn(6)] == "kept (rx1-0006@*)"
    assert told[upn(3, 2)] == "active 3 days ago"
    assert told[upn(4, 2)].startswith("no successful sign-in is on record")


def test_a_slip_in_the_name_of_somebody_on_leave_is_pointed_out(simulated, held, files):
    held({upn(1): 120, upn(2): 120}, E3)
    slip = upn(1).replace("contoso", "contos0")
    planned = plan(simulated, files(people=[f"{slip},maternity,RX1", f"{upn(3)},,RX1", "nobody@contoso.example,,RX1"]))
    told = {item["key"]: item["note"] for item in planned.json["items"] if item["kind"] == "license.reclaim.person"}
    assert told == {
        slip: "nobody here has this name",
        upn(3): "holds none of these licences",
        "nobody@contoso.example": "nobody here has this name",
    }
    assert (
        "listed by a name that nobody here has, so that whoever is meant is not spared: 1 maternity"
        in planned.json["remarks"]
    )


def test_a_new_account_is_left_alone(simulated, tenant, held, files):
    held({upn(1): 120}, E3)
    with tenant.changed() as here:
        user = here.state.get("users", here.seed.id_of("user", upn(1)))
        here.state.put("users", {**user, "createdDateTime": "2025-12-20T08:00:00Z"})
    planned = plan(simulated, files(), "--as-of", "2026-01-05")
    assert planned.json["changes"]["remove"] == 0
    assert "left alone: 1 new" in planned.json["remarks"]


def test_without_a_list_of_people_the_plan_says_that_nobody_counts_as_on_leave(simulated, held, files):
    held({upn(1): 120}, E3)
    remarks = plan(simulated, files()).json["remarks"]
    assert "no list of people was given, so that nobody counts as on leave" in remarks


def test_a_status_that_is_not_excluded_is_named(simulated, held, files):
    held({upn(1): 120}, E3)
    planned = plan(simulated, files(people=[f"{upn(1)},secondment,RX1"]))
    assert planned.json["changes"]["remove"] == 1
    assert "counted as at work, for exclude does not name their status: secondment (1)" in planned.json["remarks"]


def test_sign_ins_that_cannot_be_read_stop_the_plan(simulated, tenant, held, files):
    # Sign-in activity asks for Entra ID P1, which this tenant has not bought.
    tenant.seed(users=60, licensed=0, skus=("ENTERPRISEPACK",))
    held({upn(1): 120}, PRODUCTS["ENTERPRISEPACK"].id)
    refused = plan(simulated, files("idle_days: 90\nskus: [ENTERPRISEPACK]\n"))
    assert refused.code == 6
    assert "sign-ins cannot be read" in refused.json["blocked"][0]
    assert refused.json["changes"]["remove"] == 0


@pytest.fixture
def pool(simulated, tenant, held, tmp_path):
    """Three people in a pool; two of them are idle."""
    names = [upn(number) for number in (1, 2, 3)]
    (tmp_path / "m.csv").write_text("\n".join(["upn", *names, ""]), encoding="utf-8")
    path = tmp_path / "pools.yaml"
    path.write_text("pools:\n  - {org: RX1, sku: SPE_E3, cap: 5, members_from: m.csv}\n", encoding="utf-8")
    assert simulated("apply", "licenses.pools", "-i", path, "--yes").code == 0
    simulated("plan", "licenses.pools", "-i", path)  # time passes
    held({upn(1): 120, upn(2): 120, upn(3): 1})
    with tenant.changed() as here:
        (group,) = [each for each in here.state.table("groups").in_order() if each.get("uniqueName")]
        assert len(here.state.linked("members", group["id"])) == 3
    return group["id"]


def change_group(tenant, key, **properties):
    with tenant.changed() as here:
        here.state.put("groups", {**here.state.get("groups", key), **properties})


def test_an_inherited_licence_leaves_by_the_group(simulated, tenant, pool, held, files, tmp_path):
    held({upn(2): 120}, E3)  # directly besides
    planned = plan(simulated, files())
    assert {(item["kind"], item["key"]) for item in _gone(planned)} == {
        ("group.member", f"{pool}/{upn(1)}"),
        ("group.member", f"{pool}/{upn(2)}"),
        ("user.license", f"{upn(2)}/SPE_E3"),
    }
    assert "of no known organisation: 2 SPE_E3 come free, GBP 61.00 a month" in planned.json["remarks"]
    run = tmp_path / "reclaim.run"
    assert apply(simulated, files(), "--out", run).json["outcomes"]["done"] == 3
    assert plan(simulated, files()).json["status"] == "empty"
    assert simulated("undo", run, "--yes", "-o", "json").code == 0
    with tenant.changed() as here:
        assert len(here.state.linked("members", pool)) == 3


@pytest.mark.parametrize(
    ("properties", "told"),
    [
        ({"groupTypes": ["DynamicMembership"], "membershipRule": "user.department -eq 'Ward'"}, "change the rule"),
        ({"onPremisesSyncEnabled": True}, "take them out there"),
        ({"assignedLicenses": [{"skuId": sku, "disabledPlans": []} for sku in (E3, EMS)]}, "also gives EMS"),
    ],
)
def test_some_groups_keep_their_people_and_the_plan_says_why(simulated, tenant, pool, files, properties, told):
    change_group(tenant, pool, **properties)
    planned = plan(simulated, files())
    assert planned.json["changes"]["remove"] == 0
    notes = [item["note"] for item in planned.json["items"] if item["action"] == "blocked"]
    assert len(notes) == 2
    assert all(told in note for note in notes)
    assert not any("come free" in remark for remark in planned.json["remarks"])


def test_a_licence_that_another_needs_stays_unless_both_go(simulated, held, files):
    held({upn(1): 120}, E3, AUDIO)
    alone = plan(simulated, files())
    assert alone.json["changes"]["remove"] == 0
    assert alone.json["changes"]["blocked"] == 1
    assert plan(simulated, files(POLICY.replace("[SPE_E3]", "[SPE_E3, MCOMEETADV]"))).json["changes"]["remove"] == 2


def test_the_fence_keeps_to_one_organisation(simulated, eight):
    assert removals(plan(simulated, eight, "--org", "RX2")) == [upn(2, 2)]


def test_more_than_ten_removals_have_to_be_allowed(simulated, held, files):
    held({upn(number): 120 for number in range(1, 13)}, E3)
    refused = plan(simulated, files())
    assert refused.code == 6
    assert "--max-removals" in refused.json["blocked"][0]
    assert plan(simulated, files(), "--max-removals", "12").json["status"] == "ready"


def test_what_is_wrong_with_the_files_is_told(simulated, tmp_path, files):
    files(people=[f"{upn(1)},,RX1"])
    assert "no policy was given" in plan(simulated, ("-i", tmp_path / "people.csv")).stdout
    both = plan(simulated, files("idle_days: 1\nskus: [SPE_E3]\n", people=["nobody,,RX1"])).json["error"]["errors"]
    assert [(each.get("row"), each.get("path")) for each in both] == [(2, None), (None, "idle_days")]
    unknown = plan(simulated, files("idle_days: 90\nskus: [NO_SUCH]\n"))
    assert (unknown.code, "NO_SUCH is not among" in unknown.stdout) == (5, True)


def test_the_starter_files_are_planned_as_they_are(simulated, held, tenant, tmp_path):
    tenant.seed(users=60, licensed=0, skus=("SPE_E3", "SPE_F1"))
    held({upn(1): 120, upn(2): 120}, E3)
    assert simulated("recipe", "template", "licenses.reclaim", tmp_path).code == 0
    given = ("-i", tmp_path / "reclaim.yaml", "-i", tmp_path / "reclaim.people.csv")
    assert removals(plan(simulated, given)) == [upn(1)]
