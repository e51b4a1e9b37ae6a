from __future__ import annotations

import pytest

from graphkit.errors import UsageError
from graphkit.protocol.quota import charges, forecast, table
from graphkit.protocol.quota_table import buckets


def costs(method, path):
    return " ".join(f"{charge.key}={charge.amount:g}" for charge in charges(method, path)[1:])


def units(number):
    return f"identity.app.ru={number} identity.app_tenant.ru={number}"


WRITE = (
    "identity.app.ru=1 identity.app.writes=1 identity.tenant.writes=1 identity.app_tenant.ru=1 "
    "identity.app_tenant.writes=1"
)


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "/users?$select=id&$top=999", units(1)),
        ("GET", "/users", units(2)),
        ("GET", "/users?%24select=id", units(1)),
        ("GET", "/users?$top=5", units(1)),
        ("GET", "/users?$expand=manager", units(3)),
        ("GET", "/users/rx1-0001@contoso.example", units(1)),
        ("GET", "/groups/g1/members?$select=id&$top=999", units(2)),
        ("GET", "/groups/g1/transitiveMembers", units(5)),
        ("GET", "/subscribedSkus", units(3)),
        ("GET", "/organization", units(1)),
        ("GET", "/me/memberOf", units(2)),
        ("GET", "https://graph.microsoft.com/v1.0/users?$skiptoken=x", units(2)),
        ("POST", "/directoryObjects/getByIds", units(5)),
        ("POST", "/directoryObjects/getByIds?$select=id", units(2)),
        ("POST", "/users/u1/checkMemberGroups", units(4)),
        ("POST", "/groups/g1/isMemberOf", units(4)),
        ("POST", "/directoryObjects/getObjectsById?$select=id", units(2)),
        ("GET", "/directory/administrativeUnits/a1/members", units(1)),
        ("POST", "/users/u1/assignLicense", WRITE),
        ("POST", "/groups", WRITE),
        ("PATCH", "/groups/g1", WRITE),
        ("PATCH", "/groups(uniqueName='staff')", WRITE),
        ("DELETE", "/groups/g1/members/u1/$ref", WRITE),
    ],
)
def test_directory_requests_cost_units_and_writes(method, path, expected):
    assert costs(method, path) == expected


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("POST", "/teams", "teams.create_team.app=1 teams.create_team.app_tenant=1"),
        ("PUT", "/groups/g1/team", "teams.put_group_team.app=1 teams.put_group_team.app_tenant=1"),
        ("GET", "/teams/t1", "teams.get_team.app=1 teams.get_team.app_tenant=1 teams.get_team.resource|t1=1"),
        (
            "POST",
            "/teams/t1/channels",
            "teams.create_channel.app=1 teams.create_channel.app_tenant=1 teams.create_channel.resource|t1=1",
        ),
        (
            "POST",
            "/teams/t1/members/add",
            "teams.bulk_add_members.app=1 teams.bulk_add_members.app_tenant=1 teams.bulk_add_members.resource|t1=1",
        ),
        (
            "GET",
            "/teams/t1/channels/c1",
            "teams.get_channel.app=1 teams.get_channel.app_tenant=1 teams.get_channel.resource|t1/c1=1",
        ),
        ("DELETE", "/teams/t1/members/m1", "teams.default_delete.app=1 teams.default_delete.app_tenant=1"),
        ("POST", "/teams/t1/archive", "teams.default_write.app=1 teams.default_write.app_tenant=1"),
        ("GET", "/groups/g1/team", "teams.default_get.app=1 teams.default_get.app_tenant=1"),
        (
            "POST",
            "/teams/t1/channels/c1/members",
            "teams.default_write.app=1 teams.default_write.app_tenant=1 teams.default_write.resource|t1/c1=1",
        ),
    ],
)
def test_teams_requests_are_counted_per_operation_and_per_team(method, path, expected):
    assert costs(method, path) == expected


@pytest.mark.parametrize(
    "path",
    [
        "/identity/conditionalAccess/policies",
        "/identity/conditionalAccess/policies/p1",
        "/identity/conditionalAccess/namedLocations",
        "/identityProtection/riskyUsers",
        "/policies/authenticationStrengthPolicies",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_conditional_access_counts_reads_too(method, path):
    assert costs(method, path) == "identity_protection_ca.tenant=1"


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "/deviceManagement/deviceCompliancePolicies", "any"),
        ("POST", "/deviceManagement/deviceCompliancePolicies/p1/assign", "any writes"),
        ("PATCH", "/deviceManagement/deviceConfigurations/c1", "any writes"),
    ],
)
def test_intune_counts_writes_and_everything_by_area(method, path, expected):
    area = "intune.device_configuration"
    assert costs(method, path) == " ".join(
        f"{area}.{scope}.{kind}=1" for scope in ("tenant", "app_tenant") for kind in expected.split()
    )


@pytest.mark.parametrize(
    ("path", "area"),
    [
        ("/deviceManagement/managedDevices", "devices"),
        ("/deviceManagement/userExperienceAnalyticsOverview", "devices"),
        ("/deviceAppManagement/mobileApps/a1/assign", "applications"),
        ("/deviceAppManagement/vppTokens", "device_enrollment"),
        ("/deviceManagement", "device_configuration"),
        ("/deviceManagement/windowsAutopilotDeviceIdentities", "unlisted"),
        ("/users/u1/managedDevices", "unlisted"),
    ],
)
def test_intune_areas_do_not_share_a_counter(path, area):
    assert {charge.bucket.split(".")[1] for charge in charges("GET", path)[1:]} == {area}


def test_sign_in_activity_has_a_limit_of_its_own():
    assert costs("GET", "/users?$select=id,signInActivity") == (
        "identity.app.ru=1 identity_reports.signInActivity.app=1 identity.app_tenant.ru=1 "
        "identity_reports.signInActivity.app_tenant=1"
    )


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (
            "/reports/getEmailActivityUserDetail(period='D7')",
            "m365_reports.csv.tenant|getEmailActivityUserDetail=1 "
            "m365_reports.csv.app_tenant|getEmailActivityUserDetail=1",
        ),
        (
            "/reports/getTeamsUserActivityCounts(period='D7')?$format=application/json",
            "m365_reports.json.app_tenant|getTeamsUserActivityCounts=1",
        ),
        ("/auditLogs/signIns", "identity_reports.app=1 identity_reports.app_tenant=1"),
        (
            "/reports/authenticationMethods/userRegistrationDetails",
            "identity_reports.app=1 identity_reports.app_tenant=1",
        ),
        (
            "/reports/getAzureADApplicationSignInSummary(period='D7')",
            "identity_reports.app=1 identity_reports.app_tenant=1",
        ),
        ("/reports/partners/billing/usage", "other|reports=1"),
    ],
)
def test_each_usage_report_has_a_counter_of_its_own_and_those_of_the_directory_share_one(path, expected):
    assert costs("GET", path) == expected


@pytest.mark.parametrize(
    ("path", "partition"),
    [
        ("/teams/t1/channels/c1/tabs", "t1/c1"),
        ("/teams/t1/primaryChannel/messages", "t1/primaryChannel"),
        ("/chats/c1/messages", "c1"),
        ("/users/u1/chats/c1/messages", "c1"),
        ("/teams/t1/installedApps", "t1"),
        ("/users/u1/teamwork/installedApps", "u1"),
        ("/teams/t1/channels/getAllMessages", ""),
        ("/users/u1/joinedTeams", ""),
        ("/teams/t1/schedule/shifts", ""),
    ],
)
def test_a_channel_a_chat_and_a_team_are_counted_apart(path, partition):
    assert charges("GET", path)[-1].partition == partition


def test_a_row_lends_figures_to_another_only_where_that_has_none():
    assert costs("POST", "/teams/t1/channels/c1/completeMigration") == (
        "teams.complete_migration.app=1 teams.complete_migration.app_tenant=1 teams.default_write.resource|t1/c1=1"
    )
    assert costs("GET", "/users/u1/teamwork/sections/s1") == "teams.default_get.app=1 teams.sections.app_tenant=1"


def test_a_signed_in_person_has_limits_besides_those_of_the_app():
    def people(method, path):
        return [charge.bucket for charge in charges(method, path, delegated=True) if ".user" in charge.bucket]

    assert people("GET", "/chats/c1") == ["teams.get_chat.user"]
    assert people("GET", "/teams/t1") == ["teams.default_get.user"]
    assert people("PATCH", "/devices/d1") == ["identity.device.user_tenant.writes"]
    assert not any(".user" in charge.bucket for charge in charges("GET", "/chats/c1"))


@pytest.mark.parametrize(
    ("path", "service"),
    [
        ("/users/u1/messages", "|messages"),
        ("/users/u1/planner/tasks", "|planner"),
        ("/sites/s1", "|sites"),
        ("/nonsense", "|nonsense"),
        ("/security/cases/ediscoveryCases", "|security"),
        ("/", ""),
        ("", ""),
    ],
)
def test_everything_else_is_counted_by_service_all_the_same(path, service):
    assert costs("GET", path) == f"other{service}=1"


def test_requests_that_are_charged_alike_are_known_by_the_same_tuple():
    assert charges("PATCH", "/users/u1") is charges("PATCH", "/users/u2")
    assert charges("GET", "/teams/t1") is charges("GET", "/teams/t1")


def test_every_request_counts_towards_the_whole():
    assert charges("GET", "/users")[0].bucket == "global.app"


def test_every_bucket_charged_is_in_the_table_and_names_its_source():
    known = buckets()
    paths = ["/users", "/teams/t1/members", "/teams/t1/x", "/groups/g/team", "/reports/x", "/deviceManagement/x", "/x"]
    for method in ("GET", "POST", "DELETE"):
        for path in paths:
            assert {charge.bucket for charge in charges(method, path)} <= known.keys()
    assert all(bucket.source for bucket in known.values())


@pytest.mark.parametrize(("size", "quota"), [("S", 3500), ("M", 5000), ("L", 8000)])
def test_resource_units_depend_on_the_size_of_the_tenant(size, quota):
    assert table(size)["identity.app_tenant.ru"].quota == quota


def test_limits_can_be_overridden():
    assert table(limits={"identity.app_tenant.writes": 100})["identity.app_tenant.writes"].quota == 100


@pytest.mark.parametrize(("size", "limits"), [("XL", {}), ("S", {"no.such": 1}), ("S", {"global.app": 0})])
def test_a_table_that_makes_no_sense_is_refused(size, limits):
    with pytest.raises(UsageError):
        table(size, limits)


def test_sixty_thousand_writes_take_fifty_minutes():
    (row,) = forecast({"identity.app_tenant.writes": 60_000}, 1.0)
    assert row == {"bucket": "identity.app_tenant.writes", "requests": 60_000, "seconds": 3000.0}


def test_a_share_of_the_quota_takes_longer():
    (row,) = forecast({"identity.app_tenant.writes": 60_000}, 0.5)
    assert row["seconds"] == 6000.0


def test_three_apps_share_what_each_may_take_and_not_what_the_tenant_may():
    totals = {"identity.app_tenant.writes": 60_000, "identity.tenant.writes": 60_000}
    rows = {row["bucket"]: row["seconds"] for row in forecast(totals, 1.0, apps=3)}
    assert rows == {"identity.app_tenant.writes": 1000.0, "identity.tenant.writes": 1000.0}


def test_a_bucket_that_is_paced_more_slowly_than_published_is_forecast_so():
    (row,) = forecast({"identity_protection_ca.tenant": 100}, 1.0)
    assert row["seconds"] == 110.0


def test_a_top_that_is_no_number_costs_what_none_does():
    assert costs("GET", "/users?$top=x") == costs("GET", "/users")


def test_a_bucket_that_nobody_knows_is_left_out_of_the_forecast():
    assert forecast({"there.is.none": 10}, 1.0) == []


def test_the_busiest_team_decides_and_the_slowest_bucket_comes_first():
    totals = {"teams.add_member.resource|a": 4, "teams.add_member.resource|b": 40, "global.app": 44, "other": 9}
    rows = forecast(totals, 1.0)
    assert [row["bucket"] for row in rows] == ["teams.add_member.resource", "global.app"]
    assert rows[0]["requests"] == 44
    assert rows[0]["seconds"] == pytest.approx(40 * 15 / 0.83, abs=0.1)


def test_totals_that_mix_up_teams_forecast_nothing_for_one_team():
    assert forecast({"teams.add_member.resource": 1000}, 1.0) == []
