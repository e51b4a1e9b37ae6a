"""Query options on directory objects: concepts/query-parameters.md, aad-advanced-queries.md, filter-query-parameter.md
and search-query-parameter.md of microsoft-graph-docs-contrib, and what people were told when they did it wrong."""

from __future__ import annotations

import pytest

from graphkit.sandbox import Seed, SimulatedTenant

E3 = "05e9a617-0261-4cee-bb44-138d3ef5d965"
ADVANCED = {"ConsistencyLevel": "eventual"}
NO, WRONG = "Request_UnsupportedQuery", "BadRequest"


def names(told):
    assert told.status == 200, told.json
    return [item["displayName"] for item in told.json["value"]]


# -- $filter --


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("companyName eq 'RX1'", 60),
        ("officeLocation in ('RX1', 'RX2')", 120),
        ("startswith(officeLocation,'RX')", 120),
        ("companyName eq 'RX1' and department eq 'Nursing'", 8),
        ("companyName eq 'RX1' or companyName eq 'RX2'", 120),
        ("employeeId eq null", 2),
        ("startswith(employeeId,'RX1000')", 60),
        ("department ne null", 120),
        ("not(startswith(displayName,'RX'))", 2),
        ("endswith(mail,'0001@contoso.example')", 2),
        ("proxyAddresses/any(p:endswith(p,'@contoso.example'))", 122),
        ("assignedLicenses/$count eq 0", 82),
        ("assignedLicenses/$count ne 0", 40),
        (f"not(assignedLicenses/any(x:x/skuId eq {E3}))", 82),
        (f"assignedLicenses/any(x:x/skuId eq {E3}) or userType eq 'Guest'", 40),
    ],
)
def test_some_filters_need_the_advanced_parameters(graph, query, found):
    path = f"/users?$top=999&$filter={query}"
    refused = graph("GET", path)
    assert (refused.status, refused.code) == (400, NO)
    assert graph("GET", f"{path}&$count=true").status == 400
    assert graph("GET", path, **ADVANCED).status == 400
    told = graph("GET", f"{path}&$count=true", **ADVANCED)
    assert (len(told.json["value"]), told.json["@odata.count"]) == (found, found)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("DISPLAYNAME eq 'rx1 staff 0001'", 1),
        ("mailNickname eq 'rx1-0003'", 1),
        ("startswith(mailNickname,'RX1-000')", 9),
        ("startswith(displayName,'RX1 Staff 001') and accountEnabled eq true", 10),
        ("startswith(displayName,'RX1 Staff 001') or startswith(displayName,'RX2 Staff 001')", 20),
        ("startswith(userPrincipalName,'rx1-0001@contoso.')", 1),
        ("startswith(userPrincipalName,'rx1-0001@other')", 0),
        ("startswith(userPrincipalName,'')", 122),
        ("startswith(userPrincipalName,'break')", 2),
        ("proxyAddresses/any(p:startswith(p,'smtp:rx1-000'))", 9),
        ("proxyAddresses/any(p:p eq 'SMTP:rx2-0007@contoso.example')", 1),
        ("otherMails/any(m:m eq 'none@contoso.example')", 0),
        ("createdDateTime ge 2024-01-01", 122),
        ("createdDateTime ge 2024-01-08T09:00:00.000Z", 122),
        ("createdDateTime ge 2024-01-08T10:00:00%2B01:00", 122),
        ("createdDateTime gt 2024-01-08T09:00:00Z", 0),
        ("userType in ('Member','Guest') and usageLocation eq 'GB'", 122),
    ],
)
def test_others_work_as_they_come(graph, query, found):
    assert len(graph("GET", f"/users?$top=999&$filter={query}").json["value"]) == found


@pytest.mark.parametrize(
    ("path", "code", "message"),
    [
        ("/users?$filter=contains(displayName,'x')&$count=true", NO, "property 'displayName' of resource 'User'"),
        ("/users?$filter=aboutMe eq 'x'&$count=true", NO, "property 'aboutMe' of resource 'User'"),
        ("/users?$filter=endswith(department,'x')&$count=true", NO, "property 'department'"),
        ("/users?$filter=passwordPolicies eq 'x'&$count=true", NO, "property 'passwordPolicies'"),
        ("/users?$filter=proxyAddresses/all(p:p eq 'x')&$count=true", NO, "proxyAddresses"),
        ("/groups?$filter=createdDateTime ge 2021-11-01&$count=true", NO, "'createdDateTime' of resource 'Group'"),
        (f"/users?$filter=assignedLicenses/any(x:x/skuId eq '{E3}')", WRONG, "'Edm.String' for operator kind 'Equal'"),
        ("/users?$filter=createdDateTime ge '2021-11-01'", WRONG, "'Edm.DateTimeOffset' and 'Edm.String' for operator"),
        ("/users?$filter=accountEnabled eq 'true'", WRONG, "'Edm.Boolean' and 'Edm.String'"),
        ("/users?$filter=proxyAddresses eq 'x'", WRONG, "'Collection(Edm.String)'"),
        ("/users?$filter=assignedLicenses/skuId eq 1", WRONG, "is not a single value"),
        ("/users?$filter=displayName/first eq 'x'", WRONG, "named 'first' on type 'Edm.String'"),
        ("/users?$filter=assignedLicenses/any(x:x/nonsense eq 1)", WRONG, "type 'microsoft.graph.assignedLicense'"),
        ("/users?$filter=assignedLicenses/any(x:accountEnabled eq true)", WRONG, "range variable"),
        ("/users?$filter=displayName eq 'it's'", WRONG, "Syntax error"),
        ("/users?$filter=displayName like 'x'", WRONG, "operator"),
        ("/users?$filter=memberOf/$count eq 0&$count=true", NO, "memberOf"),
    ],
)  # fmt: skip
def test_what_cannot_be_filtered_is_refused(graph, path, code, message):
    told = graph("GET", path, **ADVANCED)
    assert (told.status, told.code) == (400, code)
    assert message in told.message


def alternatives(count):
    return " or ".join(f"startswith(displayName,'{number}')" for number in range(count))


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (alternatives(15), ""),
        (alternatives(16), "'OR' operators: 16. Max allowed: 15."),
        (f"({alternatives(8)}) or ({alternatives(8)})", "'OR' operators: 16. Max allowed: 15."),
        (f"({alternatives(8)}) and ({alternatives(8)})", ""),
        ("employeeId in (" + ",".join(15 * ["'7'"]) + ")", ""),
        ("employeeId in (" + ",".join(16 * ["'7'"]) + ")", "'OR' operators: 16. Max allowed: 15."),
        (f"displayName eq '{120 * 'x'}'", ""),
        (f"displayName eq '{121 * 'x'}'", "121 characters. Max allowed: 120."),
        (f"startswith(displayName,'{121 * 'x'}')", ""),
    ],
)  # fmt: skip
def test_a_filter_by_default_holds_fifteen_alternatives_and_short_values(graph, query, message):
    told = graph("GET", f"/users?$filter={query}")
    assert (told.status, told.code if message else "") == ((400, NO) if message else (200, ""))
    assert not message or message in told.message


def test_an_advanced_query_may_hold_more_until_its_address_is_too_long(graph):
    path = f"/users?$count=true&$filter={alternatives(40)}"
    assert graph("GET", path, **ADVANCED).status == 200
    assert graph("GET", path + " or displayName eq 'x'" * 40, **ADVANCED).code == NO


def test_what_is_not_modelled_is_no_pleasant_lie(graph):
    told = graph("GET", "/users?$filter=ownedObjects/$count eq 0&$count=true", **ADVANCED)
    assert (told.status, told.code) == (501, "NotModelled")


def test_quotes_hashes_plus_and_percent_are_taken_as_they_are_encoded(graph):
    for name in ("O'Brien", "C# & co", "50% + more"):
        graph("PATCH", f"/users/{graph.user(1)}", {"jobTitle": name})
        encoded = name.replace("%", "%25").replace("'", "''").replace("#", "%23").replace("&", "%26")
        encoded = encoded.replace("+", "%2B")
        found = graph("GET", f"/users?$filter=jobTitle eq '{encoded}'&$top=1&$select=jobTitle").json["value"]
        assert found == [{"jobTitle": name}]


# -- $search --


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ('"displayName:OneVideo"', ["One Video", "OneVideo team"]),
        ('"displayName:video one"', ["One Video", "OneVideo team"]),
        ('"displayName:vid"', ["One Video", "OneVideo team", "Drive-in video"]),
        ('"displayName:ideo"', []),
        ('"displayName:drivein"', ["Drive-in video"]),
        ('"description:films" AND ("displayName:One" OR "displayName:Drive")', ["Drive-in video"]),
        ('"displayName:team" OR "mailNickname:ONE_"', ["OneVideo team", "One Video"]),
        ('"mailNickname:ne_"', []),
    ],
)
def test_search_finds_words_by_their_beginnings(graph, search, found):
    graph.group("a", displayName="One Video", mailNickname="one_v")
    graph.group("b", displayName="OneVideo team", mailNickname="team")
    graph.group("c", displayName="Drive-in video", mailNickname="drive", description="Films in the car park")
    path = f"/groups?$search={search}"
    assert sorted(names(graph("GET", path, **ADVANCED))) == sorted(found)
    refused = graph("GET", path)
    assert (refused.code, "'ConsistencyLevel: eventual'" in refused.message) == ("Request_UnsupportedQuery", True)


@pytest.mark.parametrize(
    "search",
    ["displayName:x", '"x"', '"nonsense:x"', '"displayName:x" and "displayName:y"', '("displayName:x"', '"theme:x"',
     '"displayName:x" "displayName:y"'],
)  # fmt: skip
def test_a_search_that_is_none_is_refused(graph, search):
    assert graph("GET", f"/groups?$search={search}", **ADVANCED).status == 400


def test_search_and_filter_go_together(graph):
    path = "/users?$search=\"displayName:0001\"&$filter=startswith(displayName,'RX2')&$orderby=displayName&$count=true"
    assert names(graph("GET", path, **ADVANCED)) == ["RX2 Staff 0001"]


# -- $orderby --


@pytest.mark.parametrize(
    ("path", "headers", "message"),
    [
        ("/users?$orderby=createdDateTime desc", {}, "Unsupported sort property 'createdDateTime' for 'User'."),
        ("/users?$orderby=department&$count=true", ADVANCED, "Unsupported sort property 'department' for 'User'."),
        ("/groups?$orderby=mailNickname", {}, "Unsupported sort property 'mailNickname' for 'Group'."),
        ("/users?$orderby=displayName&$filter=userType eq 'Member'", {}, "Sorting not supported for current query."),
        ("/servicePrincipals?$orderby=displayName", {}, "Unsupported sort property 'displayName'"),
    ],
)
def test_what_cannot_be_sorted_is_refused(graph, path, headers, message):
    told = graph("GET", path, **headers)
    assert (told.status, told.code) == (400, NO)
    assert message in told.message


def test_users_are_sorted(graph):
    assert names(graph("GET", "/users?$orderby=displayName desc&$top=2")) == ["RX2 Staff 0060", "RX2 Staff 0059"]
    assert names(graph("GET", "/users?$orderby=userPrincipalName&$top=1")) == ["Break glass 1"]
    path = "/users?$orderby=createdDateTime&$count=true&$top=1"
    assert len(graph("GET", path, **ADVANCED).json["value"]) == 1


# -- $select, $expand, $top, $skip, $count, links --


def test_names_are_understood_in_any_case_and_told_as_declared(graph):
    told = graph("GET", "/users?$select=ID,displayname,proxyaddresses&$top=1").json
    assert told["@odata.context"].endswith("/v1.0/$metadata#users(id,displayName,proxyAddresses)")
    assert list(told["value"][0]) == ["id", "displayName", "proxyAddresses"]


def test_one_thing_is_expanded_at_most_twenty_of_them(graph):
    group = graph.group("Many", **{"members@odata.bind": [graph.link(graph.user(n)) for n in range(1, 21)]})
    graph("POST", f"/groups/{group}/members/$ref", {"@odata.id": graph.link(graph.user(21))})
    expanded = graph("GET", f"/groups/{group}?$expand=members($select=id,displayName)").json["members"]
    assert len(expanded) == 20
    assert expanded[0] == {"@odata.type": "#microsoft.graph.user", "id": graph.user(1), "displayName": "RX1 Staff 0001"}
    both = graph("GET", f"/groups/{group}?$expand=members,owners")
    assert both.message == "The result of parsing $expand contained at least 2 items, but the maximum allowed is 1."
    assert graph("GET", '/users?$expand=memberOf&$search="displayName:x"', **ADVANCED).status == 400


@pytest.mark.parametrize("top", ["0", "1000", "-1", "many"])
def test_a_page_holds_between_1_and_999(graph, top):
    told = graph("GET", f"/users?$top={top}")
    assert (told.status, told.code) == (400, NO)
    assert told.message == f"Invalid page size specified: '{top}'. Must be between 1 and 999 inclusive."


def test_skip_is_for_others(graph):
    told = graph("GET", "/users?$top=1&$skip=1")
    assert (told.code, told.message) == ("Request_BadRequest", "'$skip' is not supported by the service.")
    every = [sku["skuPartNumber"] for sku in graph("GET", "/subscribedSkus").json["value"]]
    assert [sku["skuPartNumber"] for sku in graph("GET", "/subscribedSkus?$skip=2").json["value"]] == every[2:]


def test_a_count_that_came_without_the_header_is_ignored_silently(graph):
    told = graph("GET", "/users?$count=true&$top=1")
    assert (told.status, "@odata.count" in told.json) == (200, False)


def test_the_header_is_not_carried_by_the_link(graph):
    first = graph("GET", "/users?$filter=department ne 'Nursing'&$count=true&$top=10", **ADVANCED)
    link = first.json["@odata.nextLink"]
    assert graph("GET", link).status == 400
    second = graph("GET", link, **ADVANCED).json
    assert (len(second["value"]), "@odata.count" in second) == (10, False)


@pytest.mark.parametrize("token", ["nonsense", "%24", "cG9zaXRpb246eA"])
def test_a_page_token_that_is_none_has_expired(graph, token):
    told = graph("GET", f"/users?$skiptoken={token}")
    assert (told.status, told.code) == (400, "Directory_ExpiredPageToken")


def test_an_option_is_given_once(graph):
    assert "more than once" in graph("GET", "/users?$top=1&$top=2").message


def test_counts_are_filtered(graph):
    told = graph("GET", "/users/$count?$filter=department ne 'Nursing' and startswith(displayName,'RX1')", **ADVANCED)
    assert told.json == "52"


# -- a large tenant --


@pytest.fixture(scope="module")
def large():
    class Clock:
        def now(self):
            return 1_767_603_600.0

    return SimulatedTenant(Clock(), seed=Seed(organisations=300, users=1_200_000), throttling=False)


@pytest.mark.parametrize(
    ("query", "first", "found"),
    [
        ("startswith(userPrincipalName,'rx200-')", "rx200-0001@contoso.example", 4000),
        ("startswith(displayName,'rx200 staff 39')", "rx200-3900@contoso.example", 100),
        ("department eq 'Estates' and startswith(employeeId,'rx30000')", "rx3-0003@contoso.example", 158),
        ("companyName eq 'RX20'", "rx20-0001@contoso.example", 4000),
    ],
)
def test_a_beginning_is_found_among_a_million_without_looking_at_all(large, looks, query, first, found):
    url = f"https://graph.microsoft.com/v1.0/users/$count?$filter={query}"
    headers = {"Authorization": "Bearer x", "ConsistencyLevel": "eventual"}
    assert large.handle("GET", url, headers).body == str(found).encode()
    assert len(looks) <= 4000
    page = large.handle("GET", url.replace("/$count", "") + "&$top=1&$count=true", headers).body
    assert f'"userPrincipalName":"{first}"'.encode() in page


ALTERNATIVES = " or ".join(f"startswith(userPrincipalName,'rx{n}')" for n in range(1, 10))


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("startswith(userPrincipalName,'r')", 1_200_000),
        (ALTERNATIVES, 1_200_000),
        (f"{ALTERNATIVES} or userPrincipalName eq 'rx1-0001@contoso.example'", 1_200_000),
        ("startswith(userPrincipalName,'rx2') or startswith(userPrincipalName,'rx20')", 111 * 4000),
        ("userPrincipalName eq 'r' or startswith(userPrincipalName,'x')", 0),
    ],
)
def test_a_million_that_begin_alike_are_counted_without_looking_at_any(large, looks, query, found):
    headers = {"Authorization": "Bearer x", "ConsistencyLevel": "eventual"}
    answer = large.handle("GET", f"https://graph.microsoft.com/v1.0/users/$count?$filter={query}", headers)
    assert answer.body == str(found).encode()
    assert not looks


def test_a_count_and_its_list_agree_whatever_was_changed_since(graph):
    graph("PATCH", f"/users/{graph.user(7, org=2)}", {"userPrincipalName": "rx1-9999@contoso.example"})
    graph("PATCH", f"/users/{graph.user(3)}", {"userPrincipalName": "moved@contoso.example"})
    graph("PATCH", f"/users/{graph.user(4)}", {"department": "Elsewhere"})
    graph("DELETE", f"/users/{graph.user(2)}")
    for query, found in {
        "startswith(userPrincipalName,'rx1-')": 59,
        "startswith(userPrincipalName,'rx1-') or userPrincipalName eq 'moved@contoso.example'": 60,
        "startswith(userPrincipalName,'rx2-') or startswith(userPrincipalName,'rx1-000')": 59 + 7,
        "startswith(userPrincipalName,'rx1-') or startswith(mail,'rx1-')": 60,
    }.items():
        listed = graph("GET", f"/users?$filter={query}&$top=999")
        counted = graph("GET", f"/users/$count?$filter={query}", **ADVANCED)
        assert (len(names(listed)), counted.json) == (found, str(found)), query


def test_who_was_renamed_is_found_where_they_are_now(graph):
    graph("PATCH", f"/users/{graph.user(7, org=2)}", {"displayName": "RX1 Staff 0001b"})
    graph("PATCH", f"/users/{graph.user(1)}", {"displayName": "Elsewhere"})
    graph("DELETE", f"/users/{graph.user(2)}")
    path = "/users?$filter=startswith(displayName,'RX1 Staff 000')&$top=5"
    first = graph("GET", path)
    second = graph("GET", first.json["@odata.nextLink"])
    assert names(first) + names(second) == [*(f"RX1 Staff 000{n}" for n in range(3, 10)), "RX1 Staff 0001b"]
