"""The scenarios that come with the package: each does what its description says."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from graphkit.sandbox import Seed, SimulatedTenant, load_scenario, scenario_names, scenarios
from graphkit.sandbox.scenarios import read_scenario

NAMES = [
    "ambiguous-creates", "batch-chaos", "flaky-network", "half-done", "hostile-links", "monday-morning", "replica-lag",
    "slow-teams", "stale-lists", "throttled-day", "token-chaos", "two-hands",
]  # fmt: skip
TITLE = {"jobTitle": "x"}
NEXT = "@odata.nextLink"
BEARER = {"Authorization": "Bearer x", "Content-Type": "application/json"}
ROOT = "https://graph.microsoft.com/v1.0"


@pytest.fixture
def under(graph, clock):
    """``under(name)``: a client of a tenant in which this scenario is in force."""

    def begin(name, **options):
        seed = Seed(organisations=1, users=400)
        graph.tenant = SimulatedTenant(clock, seed=seed, **{"throttling": False, "replication_s": 0, **options})
        graph.tenant.faults.extend(load_scenario(name))
        return graph

    return begin


def group(graph, name, **more):
    body = {"displayName": name, "mailEnabled": False, "mailNickname": name, "securityEnabled": True, **more}
    return graph("POST", "/groups", body)


def patches(graph, count, **more):
    change = {"method": "PATCH", "headers": {"Content-Type": "application/json"}, "body": TITLE, **more}
    return {"requests": [{"id": str(n), "url": f"/users/{graph.user(n)}", **change} for n in range(1, count + 1)]}


def pages(graph, path, limit=30):
    found = []
    while path and len(found) < limit:
        found.append(graph("GET", path))
        path = found[-1].json.get(NEXT) if found[-1].status == 200 else None
    return found


def test_there_are_these_and_each_is_described():
    assert scenario_names() == NAMES
    for scenario in scenarios():
        assert 3 <= len(scenario.rules) <= 10 or scenario.name in ("throttled-day", "replica-lag")
        assert scenario.description.endswith(".")


def test_the_manual_describes_them_in_the_same_words():
    manual = (Path(__file__).parents[2] / "docs" / "simulated-tenant.md").read_text(encoding="utf-8")
    assert [each.name for each in scenarios() if f"| `{each.name}` | {each.description} |" not in manual] == []


def test_monday_morning(under, clock):
    graph = under("monday-morning")
    told = Counter(graph("PATCH", f"/users/{graph.user(n)}", TITLE).status for n in range(1, 301))
    assert told[204] + told[429] == 300
    assert 5 <= told[429] <= 30
    reads = Counter(graph("GET", f"/users/{graph.user(n)}").status for n in range(1, 301))
    assert 1 <= reads[504] <= 20
    assert set(reads) == {200, 504}
    delays = [graph.tenant.handle("GET", f"{ROOT}/teams/none", BEARER).delay_s for _ in range(60)]
    assert set(delays) == {0, 8}
    clock.at += 3601
    assert {graph("PATCH", f"/users/{graph.user(n)}", TITLE).status for n in range(1, 301)} == {204}


def test_ambiguous_creates(under, clock):
    graph = under("ambiguous-creates")
    told = [group(graph, f"g{number}") for number in range(40)]
    clock.at += 11
    found = graph("GET", "/groups?$top=100&$filter=startswith(mailNickname,'g')").json["value"]
    assert len(found) == 40  # all were made, whatever was said
    assert {answer.status for answer in told} == {201, 504, 0}
    assert 15 <= sum(answer.status != 201 for answer in told) <= 32
    assert sum(entry.faulted for entry in graph.tenant.log) == sum(answer.status != 201 for answer in told)


def test_ambiguous_creates_of_a_policy(under):
    graph = under("ambiguous-creates")
    policy = {"@odata.type": "#microsoft.graph.countryNamedLocation", "countriesAndRegions": ["GB"]}
    path = "/identity/conditionalAccess/namedLocations"
    told = [graph("POST", path, {**policy, "displayName": f"L{n}"}).status for n in range(20)]
    assert set(told) == {201, 500}
    assert len(graph("GET", path).json["value"]) == 20


def test_replica_lag(under, clock):
    graph = under("replica-lag")
    key = group(graph, "new").json["id"]
    assert [graph("GET", f"/groups/{key}").status for _ in range(4)] == [200, 404, 200, 404]
    graph("PATCH", f"/users/{graph.user(1)}", TITLE)
    clock.at += 290
    titles = Counter(graph("GET", f"/users/{graph.user(1)}?$select=jobTitle").json["jobTitle"] for _ in range(90))
    assert 15 <= titles["x"] <= 45
    clock.at += 320
    assert [graph("GET", f"/groups/{key}").status for _ in range(4)] == [200] * 4
    assert graph("GET", f"/users/{graph.user(1)}?$select=jobTitle").json["jobTitle"] == "x"


def test_hostile_links(under):
    graph = under("hostile-links")
    links = [graph("GET", "/users?$top=50").json[NEXT].partition("/v1.0/")[0] for _ in range(8)]
    assert links == [
        "https://evil.example", "https://graph.microsoft.com.evil.example", "https://graph.microsoft.com@evil.example",
        "https://graph.microsoft.us", "http://graph.microsoft.com", "https://graph.microsoft.com:444",
        "https://graph.microsoft.com.", "https://graph.microsoft.com",
    ]  # fmt: skip


def sign_in(graph):
    app = graph.tenant.login.apps[graph.tenant.seed.app_id]
    form = f"client_id={app.id}&client_secret={next(iter(app.secrets))}&grant_type=client_credentials"
    form += "&scope=https%3A%2F%2Fgraph.microsoft.com%2F.default"
    url = f"https://login.microsoftonline.com/{graph.tenant.tenant_id}/oauth2/v2.0/token"
    answer = graph.tenant.handle("POST", url, {"Content-Type": "application/x-www-form-urlencoded"}, form.encode())
    return answer.status, f"Bearer {json.loads(answer.body).get('access_token')}"


def test_token_chaos(under, clock):
    graph = under("token-chaos")
    logins = [sign_in(graph) for _ in range(3)]
    assert [status for status, _ in logins] == [503, 429, 200]
    token = logins[-1][1]

    def read():
        return graph("GET", "/organization", Authorization=token).status

    assert [read() for _ in range(22)] == [200] * 19 + [401] * 3
    token = sign_in(graph)[1]
    assert [read() for _ in range(18)] == [200] * 17 + [401]

    def write():
        return graph("PATCH", f"/users/{graph.user(1)}", TITLE, Authorization=token).status

    assert [write() for _ in range(12)] == [204] * 9 + [403] * 3
    clock.at += 61
    assert write() == 204


def test_batch_chaos(under):
    graph = under("batch-chaos")
    told = [graph("POST", "/$batch", patches(graph, 10)) for _ in range(11)]
    assert [answer.status for answer in told] == [200] * 9 + [424, 200]
    answers = [answer.json["responses"] for answer in told]
    counts = [Counter(answer["status"] for answer in each) for each in answers]
    ids = [[answer["id"] for answer in each] for each in answers]
    backwards = [str(n) for n in range(10, 0, -1)]
    assert (ids[0], ids[10]) == (backwards, backwards)
    assert [len(each) for each in ids] == [10, 9, 13, 10, 11, 10, 10, 10, 10, 10, 10]
    assert all(isinstance(each, int) for each in ids[3])
    assert set(counts[5]) == {"204"}
    assert (counts[6][429], counts[7][503], counts[8][504]) == (5, 2, 2)
    assert not any("Retry-After" in answer["headers"] for answer in answers[6])
    assert len(graph.tenant.log) == 110 - 5 - 2


def test_throttled_day(under):
    graph = under("throttled-day")
    told = [graph("PATCH", f"/users/{graph.user(n)}", TITLE) for n in range(1, 91)]
    assert {answer.status for answer in told} == {204}
    items = graph("POST", "/$batch", patches(graph, 20)).json["responses"]
    assert Counter(item["status"] for item in items) == {204: 10, 429: 10}
    assert {item["headers"].get("Retry-After") for item in items if item["status"] == 429} == {"86400"}
    assert graph("PATCH", f"/users/{graph.user(1)}", TITLE).headers["Retry-After"] == "86400"
    assert graph("GET", f"/users/{graph.user(1)}").status == 200
    assert graph("GET", "/identity/conditionalAccess/policies").status == 200


def test_flaky_network(under):
    graph = under("flaky-network")
    told = [
        graph.tenant.handle("PATCH", f"{ROOT}/users/{graph.user(n)}", BEARER, b'{"jobTitle":"x"}')
        for n in range(1, 401)
    ]
    kinds = Counter(answer.failure.kind if answer.failure else answer.status for answer in told)
    assert set(kinds) == {204, 502, "reset", "truncate", "drip"}
    assert 4 <= kinds["truncate"] <= 25
    assert 300 <= kinds[204] <= 380
    assert sign_in(graph)[0] == 200


def test_half_done(under):
    graph = under("half-done")
    told = [graph("POST", "/$batch", patches(graph, 20)) for _ in range(7)]
    assert [(answer.status, answer.failure) for answer in told] == [
        (200, ""), (200, ""), (503, ""), (200, ""), (200, ""), (0, "reset"), (200, ""),
    ]  # fmt: skip
    assert told[2].headers["Retry-After"] == "2"
    assert len(graph.tenant.log) == 5 * 20 + 2 * 7
    single = [graph("PATCH", f"/users/{graph.user(n)}", TITLE).status for n in range(1, 81)]
    assert [number for number, status in enumerate(single, 1) if status == 500] == [25, 75]
    assert len(graph.tenant.log) == 114 + 80


def test_slow_teams(under, clock):
    graph = under("slow-teams", team_window_s=0)
    people = {"owners@odata.bind": [graph.link(graph.user(1))], "members@odata.bind": [graph.link(graph.user(2))]}
    unified = {"mailEnabled": True, "securityEnabled": False, "groupTypes": ["Unified"], **people}
    key = group(graph, "ward", **unified).json["id"]
    for _ in range(20):
        answer = graph.tenant.handle("PUT", f"{ROOT}/groups/{key}/team", BEARER, b"{}")
        assert answer.delay_s == 4
        if answer.status == 201:
            break
        assert (answer.status, "Retry-After" in answer.headers) == (429, False)
    clock.at += 119
    assert {graph("GET", f"/teams/{key}").status for _ in range(10)} == {404}
    clock.at += 2
    assert graph("GET", f"/teams/{key}").status == 200
    graph.tenant.faults.rules[1].spec["probability"] = 0
    body = {"template@odata.bind": f"{ROOT}/teamsTemplates('standard')", "displayName": "B", "members": [
        {"@odata.type": "#microsoft.graph.aadUserConversationMember", "roles": ["owner"],
         "user@odata.bind": f"{ROOT}/users('{graph.user(1)}')"}]}  # fmt: skip
    told = graph("POST", "/teams", body)
    assert (told.status, told.headers["Retry-After"]) == (202, "30")


def test_stale_lists(under):
    graph = under("stale-lists")
    found = pages(graph, "/users?$top=20&$select=id")
    assert [page.status for page in found] == [200] * 7 + [400]
    assert found[-1].code == "Directory_ExpiredPageToken"
    assert found[2].json["value"] == []
    assert found[4].json["value"][0] == found[3].json["value"][-1]
    again = pages(graph, "/users?$top=20&$select=id", limit=8)
    assert again[3].json[NEXT] == again[2].json[NEXT]  # the 12th list: it leads back to itself
    assert len(again) == 8
    counted = graph("GET", "/users?$top=5&$count=true", ConsistencyLevel="eventual").json
    assert counted["@odata.count"] == 402 - 1


def test_two_hands(under, clock):
    graph = under("two-hands")
    told = [graph("PATCH", f"/users/{graph.user(number)}", TITLE).status for number in range(1, 201)]
    assert set(told) == {204, 412, 423}
    first = told.index(204) + 1
    clock.at += 1
    pair = [graph("PATCH", f"/users/{graph.user(first)}", TITLE).status for _ in range(2)]
    while pair[0] != 204 or pair[1] not in (204, 409):
        clock.at += 1
        pair = [graph("PATCH", f"/users/{graph.user(first)}", TITLE).status for _ in range(2)]
    assert pair == [204, 409]
    user = {
        "accountEnabled": True,
        "displayName": "A",
        "mailNickname": "a",
        "passwordProfile": {"password": "Long-1234"},
    }
    taken = {**user, "userPrincipalName": "rx1-0001@contoso.example"}
    assert [graph("POST", "/users", taken).status for _ in range(4)] == [503, 502, 503, 502]
    assert graph("POST", "/users", {**user, "userPrincipalName": "new@contoso.example"}).status == 201


# -- files of one's own --


def test_a_file_may_hold_rules_alone_or_a_whole_scenario(tmp_path):
    rules = [{"action": "reset"}]
    for name, document in {
        "array": rules,
        "one": rules[0],
        "whole": {"description": "Nothing goes through.", "rules": rules, "seed": {"users": 5}},
    }.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(document))
        assert load_scenario(str(tmp_path / f"{name}.json")) == rules
    whole = read_scenario(str(tmp_path / "whole.json"))
    assert (whole.name, whole.description, whole.seed) == ("whole", "Nothing goes through.", {"users": 5})


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"rules": [], "author": "me"}, "unknown key 'author'"),
        ({"rules": {}}, "are an array"),
        ({"rules": [{"action": "reset"}, {"action": "dance"}]}, "fault rule 2 needs an action"),
    ],
)
def test_a_file_that_is_no_scenario_says_why(tmp_path, document, words):
    (tmp_path / "wrong.json").write_text(json.dumps(document))
    with pytest.raises(ValueError, match=words):
        load_scenario(str(tmp_path / "wrong.json"))
