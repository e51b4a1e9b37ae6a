"""Quotas: https://learn.microsoft.com/graph/throttling-limits. Those of every day are in test_service.py."""

from __future__ import annotations

import pytest

from graphkit.sandbox import Seed, SimulatedTenant
from graphkit.sandbox.areas import ROUTES
from graphkit.sandbox.call import Call, Refusal
from graphkit.sandbox.query.listing import parse_query
from graphkit.sandbox.throttle.buckets import Throttle
from graphkit.sandbox.throttle.table import table, tariff, workload

TENANT = "00000000-0000-0000-0000-00000000000t"
UNITS, WRITES = "units", "writes"
INTUNE_WRITES = {("app+tenant", 100, 20), ("tenant", 200, 20), ("app+tenant", 1000, 20), ("tenant", 2000, 20)}
DEVICE_WRITES = {("app+tenant", 200, 20), ("tenant", 400, 20), ("app+tenant", 2000, 20), ("tenant", 4000, 20)}
IDENTITY = {("app", 150_000, 20), ("app+tenant", 8000, 10)}
IDENTITY_WRITES = {*IDENTITY, ("app", 35_000, 300), ("app+tenant", 3000, 150), ("tenant", 18_000, 300)}


class Caller:
    """Calls of one app to a throttle of its own, whether the tenant models them or not."""

    def __init__(self, throttle: Throttle, app: str = "app") -> None:
        self.throttle = throttle
        self.app = app
        self.at = 0.0
        self.headers: dict[str, str] = {}

    def __call__(self, method: str, template: str, query: str = "", **params: str) -> int:
        """The status: 200, or that of the refusal."""
        path = template.format_map(params)
        call = Call(None, method, "v1.0", path, parse_query(query), {}, None, "", self.app, self.at, 0)
        call.params, self.headers = params, {}
        try:
            self.throttle.charge(call, template, self.headers)
        except Refusal as refusal:
            self.headers |= refusal.headers
            return refusal.status
        return 200

    def admitted(self, times: int, *call: str, **params: str) -> int:
        return [self(*call, **params) for _ in range(times)].count(200)


@pytest.fixture
def ask():
    return Caller(Throttle(TENANT, 1000))


@pytest.mark.parametrize(
    ("method", "path", "wanted"),
    [
        ("GET", "/users/{user}", IDENTITY),
        ("PATCH", "/groups(uniqueName)/{name}", IDENTITY_WRITES),
        ("POST", "/directoryObjects/getByIds", IDENTITY),
        ("POST", "/users/{user}/getMemberGroups", IDENTITY),
        ("DELETE", "/devices/{device}", {*IDENTITY_WRITES, ("app+tenant", 3000, 150)}),
        ("PUT", "/groups/{group}/team", {("app", 150, 1), ("app+tenant", 6, 1)}),
        ("GET", "/groups/{group}/drive", set()),
        ("POST", "/teams/{team}/members", {("app", 300, 1), ("app+tenant", 30, 1), ("app+team", 4, 60)}),
        ("POST", "/teams/{team}/members/add", {("app", 100, 1), ("app+tenant", 10, 1), ("app+team", 4, 60)}),
        ("DELETE", "/teams/{team}/members/{member}", {("app", 150, 1), ("app+tenant", 15, 1)}),
        ("POST", "/teams/{team}/archive", {("app", 300, 1), ("app+tenant", 30, 1)}),
        ("GET", "/teams/{team}/operations/{operation}", {("app", 1500, 1), ("app+tenant", 30, 1)}),
        ("GET", "/teams/{team}/channels/{channel}", {("app", 600, 1), ("app+tenant", 30, 1), ("app+channel", 1, 1)}),
        (
            "GET",
            "/teams/{team}/channels/{channel}/filesFolder",
            {("app", 1500, 1), ("app+tenant", 30, 1), ("app+channel", 1, 1)},
        ),
        ("GET", "/users/{user}/joinedTeams", {("app", 300, 1), ("app+tenant", 30, 1)}),
        ("POST", "/users/{user}/teamwork/sendActivityNotification", {("app", 50, 1), ("app+tenant", 5, 1)}),
        ("GET", "/identity/conditionalAccess/namedLocations/{location}", {("tenant", 1, 1)}),
        ("GET", "/identityProtection/riskDetections", {("tenant", 1, 1)}),
        ("GET", "/auditLogs/signIns", {("app", 122, 10), ("app+tenant", 5, 10)}),
        ("GET", "/reports/authenticationMethods/userRegistrationDetails", {("app", 122, 10), ("app+tenant", 5, 10)}),
        ("POST", "/invitations", {("tenant", 150, 5)}),
        ("GET", "/subscriptions", {("app", 40, 20), ("app+tenant", 25, 20)}),
        ("POST", "/users/{user}/exportPersonalData", {("tenant", 1000, 86400), ("tenant+user", 100, 86400)}),
        ("POST", "/deviceManagement/deviceCompliancePolicies/{policy}/assign", INTUNE_WRITES),
        ("POST", "/deviceManagement/windowsFeatureUpdateProfiles", INTUNE_WRITES),
        ("POST", "/deviceManagement/roleScopeTags", INTUNE_WRITES),
        ("POST", "/deviceAppManagement/iosManagedAppProtections", INTUNE_WRITES),
        ("POST", "/deviceManagement/managedDevices/{device}/retire", DEVICE_WRITES),
        ("GET", "/deviceManagement/windowsAutopilotDeviceIdentities", {("app+tenant", 1000, 20)}),
    ],
)
def test_each_call_is_counted_in_the_limits_of_its_rows(method, path, wanted):
    limits = [limit for row in tariff(method, path).rows if not row.query for limit in row.limits]
    burst = [limit for limit in limits if not limit.name.endswith("sustained")]
    found = {(limit.scope, limit.quotas[-1], limit.window_s) for limit in burst}
    assert found == {("app", 130_000, 10), *wanted}


def test_every_endpoint_of_the_tenant_has_a_tariff():
    charged = {tariff(route.method, route.template).workload for route in ROUTES}
    assert {"identity", "teams", "intune", "conditional-access"} <= charged


def test_every_row_names_its_source():
    unnamed = [section for section in table().sections if not section.source and section.workload != "other"]
    assert unnamed == []
    assert {section.source for section in table().sections if section.workload == "intune"} > {
        "throttling-intune-rbac.md",
        "throttling-intune-devices.md",
    }


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/users/u", "identity"),
        ("/groups(uniqueName='x')/members", "identity"),
        ("/groups/g/team", "teams"),
        ("/TEAMS('t')/channels", "teams"),
        ("/identity/conditionalAccess/policies/p", "conditional-access"),
        ("/reports/getOffice365ActiveUserDetail(period='D7')", "usage-reports"),
        ("/deviceAppManagement/mobileApps", "intune"),
        ("/$batch", "other"),
    ],
)
def test_a_path_belongs_to_a_workload(path, name):
    assert workload(path) == name


# -- counters --


@pytest.mark.parametrize(("users", "quota"), [(49, 3500), (50, 5000), (500, 5000), (501, 8000)])
def test_units_grow_with_the_tenant(users, quota):
    assert Caller(Throttle(TENANT, users)).admitted(9000, "GET", "/groups") == quota


def test_each_intune_area_is_a_counter_of_its_own(ask):
    assert ask.admitted(101, "POST", "/deviceManagement/deviceConfigurations") == 100
    assert ask("POST", "/deviceManagement/deviceCompliancePolicies") == 429  # the same area
    assert ask("POST", "/deviceManagement/configurationPolicies") == 200
    assert ask("GET", "/deviceManagement/deviceConfigurations") == 200  # reads count by themselves


def test_each_team_and_each_channel_is_a_counter_of_its_own(ask):
    assert [ask("POST", "/teams/{team}/members", team="a") for _ in range(5)] == [200] * 4 + [429]
    assert ask("POST", "/teams/{team}/members", team="b") == 200
    ask.at += 29  # a token in 15 seconds, and the refused call took one too
    assert ask("POST", "/teams/{team}/members", team="a") == 429
    ask.at += 31
    assert ask("POST", "/teams/{team}/members", team="a") == 200
    channel = "/teams/{team}/channels/{channel}"
    assert [ask("GET", channel, team="a", channel=c) for c in ("x", "x", "y")] == [200, 429, 200]


def test_a_teams_burst_cannot_be_sustained(ask):
    """83 % of the figure over a longer window: ours is a minute."""
    admitted = 0
    for _ in range(200):
        admitted += ask.admitted(6, "PUT", "/groups/{group}/team", group="g")
        ask.at += 1
    assert 0.83 * 6 * 200 - 1 <= admitted <= 0.83 * 6 * 260


def test_each_usage_report_counts_by_itself_and_json_differs(ask):
    path = "/reports/getOffice365ActiveUserDetail(period)/{period}"
    assert ask.admitted(15, "GET", path, period="D7") == 14
    assert ask("GET", path, period="D30") == 429
    assert ask("GET", "/reports/getTeamsTeamActivityDetail(period)/{period}", period="D7") == 200
    assert ask("GET", path, "$format=application/json", period="D7") == 200


def test_sign_in_activity_has_ten_a_minute_of_its_own(ask):
    assert ask.admitted(11, "GET", "/users", "$select=id,signInActivity") == 10
    assert ask("GET", "/users", "$filter=signInActivity/lastSignInDateTime%20le%202026-01-01T00:00:00Z") == 429
    assert ask("GET", "/users", "$select=id") == 200


@pytest.mark.parametrize(("load", "admitted"), [(0.0, 150), (0.4, 90), (0.9, 15)])
def test_other_apps_leave_less_of_what_all_share(load, admitted):
    throttle = Throttle(TENANT, 1000, other_load=load)
    assert Caller(throttle).admitted(200, "POST", "/invitations") == admitted
    assert Caller(throttle).admitted(3100, "PATCH", "/users/{user}", user="u") == min(3000, round(18_000 * (1 - load)))


def test_an_app_keeps_its_own_quota_whatever_others_do():
    throttle = Throttle(TENANT, 1000, other_load=0.5)
    assert Caller(throttle).admitted(3100, "PATCH", "/users/{user}", user="u") == 3000
    assert Caller(throttle).admitted(200, "POST", "/teams") == 10


def test_conditional_access_is_slower_beside_other_apps(clock, graph):
    graph.tenant = SimulatedTenant(clock, seed=Seed(organisations=1, users=10), other_load=0.5)
    path = "/identity/conditionalAccess/policies"
    told = []
    for _ in range(8):
        told.append(graph("GET", path).status)
        clock.at += 1.0
    assert told.count(200) < 5
    clock.at += 10
    assert graph("GET", path).status == 200


def test_all_quotas_can_be_scaled():
    assert Caller(Throttle(TENANT, 1000, quota_scale=0.1)).admitted(2000, "GET", "/groups") == 800
    assert Caller(Throttle(TENANT, 1000, quota_scale=2)).admitted(40, "POST", "/teams") == 20


@pytest.mark.parametrize("options", [{"other_load": 1}, {"other_load": -0.1}, {"quota_scale": 0}])
def test_a_share_out_of_range_is_refused(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        Throttle(TENANT, 1000, **options)


# -- headers --


def test_the_directory_tells_more_than_other_services(ask):
    while ask("PATCH", "/users/{user}", user="u") == 200:
        pass
    assert ask.headers["x-ms-throttle-scope"] == f"Tenant_Application/Write/app/{TENANT}"
    assert ask.headers["x-ms-throttle-information"] == "WriteLimitExceeded"
    assert float(ask.headers["x-ms-throttle-limit-percentage"]) >= 1
    assert int(ask.headers["Retry-After"]) >= 1
    while ask("POST", "/invitations") == 200:
        pass
    assert set(ask.headers) == {"Retry-After"}


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("/identity/conditionalAccess/policies", False),
        ("/identityProtection/riskyUsers", False),
        ("/auditLogs/signIns", True),
        ("/teams", True),
        ("/deviceManagement/roleScopeTags", True),
    ],
)
def test_retry_after_is_left_out_where_the_page_says_so(ask, path, told):
    while ask("POST", path) == 200:
        pass
    assert ("Retry-After" in ask.headers) is told


def test_how_much_is_used_goes_from_0_8_to_1_8(ask):
    told = []
    for _ in range(16_000):
        ask("GET", "/groups")
        told.append(float(ask.headers.get("x-ms-throttle-limit-percentage", 0)))
    assert (min(filter(None, told)), max(told)) == (0.8, 1.8)
    assert told[6000] == 0
    assert told == sorted(told)


def test_the_refusal_is_worded_as_documented(clock, graph):
    graph.tenant = SimulatedTenant(clock, seed=Seed(organisations=1, users=10))
    graph("GET", "/identity/conditionalAccess/policies")
    error = graph("GET", "/identity/conditionalAccess/policies").json["error"]
    assert (error["code"], error["innerError"]["code"], error["innerError"]["status"]) == (
        "TooManyRequests",
        "429",
        "429",
    )
