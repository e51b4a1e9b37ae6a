"""identity.cross-tenant, through the command line."""

import pytest

HEAD = "partner_name,tenant_id,collaboration,direct_connect,trust_mfa,trust_compliant_device"
PARTNERS = "/policies/crossTenantAccessPolicy/partners"
DEFAULTS = "defaults: {collaboration: inbound, direct_connect: none, trust_mfa: true, trust_compliant_device: false}\n"


def tenant_id(number):
    return f"{number:08}-1111-1111-1111-111111111111"


@pytest.fixture
def partners(tmp_path):
    """``partners(12, {3: "none,none,false,false"})`` writes the list of twelve, the third of them otherwise."""

    def write(count, other=None, action=""):
        rows = [
            f"Partner {number},{tenant_id(number)},{(other or {}).get(number, 'both,none,true,false')}"
            for number in range(1, count + 1)
        ]
        path = tmp_path / "partners.csv"
        path.write_text("\n".join([HEAD, *rows, ""]))
        return path

    return write


def plan(simulated, *more):
    return simulated("plan", "identity.cross-tenant", *more, "-o", "json")


def apply(simulated, *more):
    return simulated("apply", "identity.cross-tenant", *more, "--yes", "-o", "json")


def test_of_twelve_partners_with_three_there_and_one_differing_nine_are_made_and_one_changed(
    simulated, tenant, partners
):
    assert apply(simulated, "-i", partners(3, {2: "none,none,false,false"})).json["outcomes"]["done"] == 3
    before = len(tenant.log())
    result = apply(simulated, "-i", partners(12))
    assert (result.code, result.json["outcomes"]["done"], result.json["outcomes"]["already"]) == (0, 10, 2)
    written = [entry.method for entry in tenant.log()[before:]]
    assert (written.count("POST"), written.count("PATCH")) == (9, 1)
    assert plan(simulated, "-i", partners(12)).json["status"] == "empty"


@pytest.mark.parametrize(
    ("direction", "inbound", "outbound"),
    [("both", "allowed", "allowed"), ("inbound", "allowed", "blocked"), ("none", "blocked", "blocked")],
)
def test_a_direction_opens_what_it_names_and_closes_the_rest(simulated, partners, direction, inbound, outbound):
    assert apply(simulated, "-i", partners(1, {1: f"{direction},outbound,true,true"})).code == 0
    found = simulated("graph", "get", f"{PARTNERS}/{tenant_id(1)}", "-o", "json").json
    kinds = [found[f"b2bCollaboration{way}"]["usersAndGroups"]["accessType"] for way in ("Inbound", "Outbound")]
    assert kinds == [inbound, outbound]
    assert found["b2bDirectConnectInbound"]["applications"]["accessType"] == "blocked"
    assert found["inboundTrust"]["isCompliantDeviceAccepted"] is True


def test_what_the_input_does_not_name_stays(simulated, partners):
    """The trust in hybrid joined devices was given by hand."""
    assert apply(simulated, "-i", partners(1)).code == 0
    path = f"{PARTNERS}/{tenant_id(1)}"
    trust = '{"inboundTrust": {"isMfaAccepted": false, "isHybridAzureADJoinedDeviceAccepted": true}}'
    assert simulated("graph", "patch", path, "--body", trust, "--yes").code == 0
    assert apply(simulated, "-i", partners(1)).json["outcomes"]["done"] == 1
    found = simulated("graph", "get", path, "-o", "json").json["inboundTrust"]
    assert (found["isMfaAccepted"], found["isHybridAzureADJoinedDeviceAccepted"]) == (True, True)


def test_a_partner_is_removed_only_where_its_row_says_so(simulated, partners, tmp_path):
    assert apply(simulated, "-i", partners(2)).code == 0
    assert plan(simulated, "-i", partners(1)).json["changes"]["delete"] == 0
    path = tmp_path / "remove.csv"
    path.write_text(f"{HEAD},action\nPartner 2,{tenant_id(2)},none,none,false,false,Remove\n")
    assert plan(simulated, "-i", path).code == 6
    assert apply(simulated, "-i", path, "--max-deletes", "1").json["outcomes"]["done"] == 1
    assert simulated("graph", "get", f"{PARTNERS}/{tenant_id(2)}").code == 1
    assert plan(simulated, "-i", path).json["status"] == "empty"


def test_the_default_of_the_whole_tenant_asks_for_its_name(simulated, partners, tmp_path):
    page = tmp_path / "defaults.yaml"
    page.write_text(DEFAULTS)
    refused = plan(simulated, "-i", partners(1), "-i", page)
    assert (refused.code, "--confirm contoso.example" in str(refused.json["blocked"])) == (6, True)
    done = apply(simulated, "-i", partners(1), "-i", page, "--confirm", "contoso.example")
    assert (done.code, done.json["outcomes"]["done"]) == (0, 2)
    assert plan(simulated, "-i", partners(1), "-i", page).json["status"] == "empty"


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("A,not-an-id,both,none,true,true", "tenant_id"),
        (f"A,{tenant_id(1)},sideways,none,true,true", "collaboration"),
        (f"A,{tenant_id(1)},both,none,perhaps,true", "trust_mfa"),
    ],
)
def test_each_wrong_cell_is_named_with_its_row(simulated, tmp_path, row, said):
    path = tmp_path / "partners.csv"
    path.write_text(f"{HEAD}\n{row}\n")
    result = plan(simulated, "-i", path)
    (error,) = result.json["error"]["errors"]
    assert (result.code, error["row"], said in error["message"]) == (5, 2, True)


def test_one_tenant_twice_is_an_error(simulated, partners):
    path = partners(1)
    path.write_text(path.read_text() + f"Again,{tenant_id(1)},both,none,true,false\n")
    assert plan(simulated, "-i", path).code == 5
