"""Faults of lists (``page``) and of batches (``batch``)."""

from __future__ import annotations

import json

import pytest

PAGE = "/users?$top=20&$select=id"
NEXT = "@odata.nextLink"
BATCH = "/$batch"
EVIL = "evil.example"


def walk(graph, path=PAGE, limit=20, **headers):
    """The pages of a list, and the links that led to them."""
    pages, links = [], [path]
    while len(pages) < limit:
        told = graph("GET", links[-1], **headers)
        pages.append(told)
        if told.status != 200 or NEXT not in told.json:
            break
        links.append(told.json[NEXT])
    return pages, links


def ids(pages):
    return [item["id"] for page in pages if page.status == 200 for item in page.json["value"]]


@pytest.fixture
def page(graph):
    def add(mode, **more):
        graph.tenant.faults.add({"action": "page", "path": "/users", "mode": mode, **more})
        return graph.tenant.faults.rules[-1]

    return add


def test_undisturbed_it_is_seven_pages(graph):
    pages, links = walk(graph)
    assert [len(page.json["value"]) for page in pages] == [20] * 6 + [2]
    assert len(set(ids(pages))) == 122
    assert len(set(links)) == 7


def test_a_page_that_leads_to_itself(graph, page):
    page("loop", nth={"from": 3})
    pages, links = walk(graph, limit=6)
    assert links[3] == links[4] == links[5] == links[2]
    assert len(set(ids(pages))) == 60


@pytest.mark.parametrize("length", [1, 3, 50])
def test_a_cycle_of_some_pages(graph, page, length):
    page("cycle", length=length)
    pages, links = walk(graph, limit=15)
    real = min(length, 7)
    assert [len(page.json["value"]) for page in pages[:real]] == [20] * min(real, 6) + [2] * (real == 7)
    ours = [link.replace("https://graph.microsoft.com/v1.0", "") for link in links]
    assert ours[real] == ours[0]
    assert ours[real : 2 * real] == ours[:real][: len(ours[real : 2 * real])]
    assert len(pages) == 15


def test_an_empty_page_loses_nothing(graph, page):
    page("empty", nth=[1, 4, 9])
    pages, links = walk(graph)
    assert [len(page.json["value"]) for page in pages] == [0, 20, 20, 0, 20, 20, 20, 20, 0, 2]
    assert len(ids(pages)) == len(set(ids(pages))) == 122
    assert len(set(links)) == len(links)


def test_an_item_that_comes_again_on_the_next_page(graph, page):
    page("repeat", nth=[1, 2, 4])
    pages, _ = walk(graph)
    found = ids(pages)
    assert len(found) == 124
    assert len(set(found)) == 122
    assert pages[1].json["value"][0] == pages[0].json["value"][-1]
    assert pages[3].json["value"][0] == pages[2].json["value"][-1]


def test_a_repeat_looks_back_past_what_a_filter_leaves_out(graph, page):
    for number in range(1, 61, 2):
        graph("PATCH", f"/users/{graph.user(number)}", {"department": "Ward"})
    page("repeat", nth=2)
    pages, _ = walk(graph, "/users?$filter=department eq 'Ward'&$top=10")
    assert pages[1].json["value"][0] == pages[0].json["value"][-1]


def test_a_page_token_that_is_too_old(graph, page):
    rule = page("expire", nth=2)
    pages, links = walk(graph)
    assert [told.status for told in pages] == [200, 200, 400]
    assert pages[-1].code == "Directory_ExpiredPageToken"
    assert rule.matched == 2  # a first page has no token and does not count
    assert graph("GET", links[-1]).status == 200


def test_a_page_token_of_another_service_is_gone(graph):
    graph.tenant.faults.add({"action": "page", "mode": "expire"})
    told = graph("GET", "/deviceManagement/deviceCompliancePolicies?$skiptoken=x")
    assert (told.status, told.code) == (410, "resyncRequired")


def test_a_delta_token_that_is_too_old_says_where_to_begin_again(graph):
    graph.tenant.faults.add({"action": "page", "mode": "expire"})
    told = graph("GET", "/users/delta?$deltatoken=x")
    assert (told.status, told.code) == (410, "syncStateNotFound")
    assert told.headers["Location"] == "https://graph.microsoft.com/v1.0/users/delta?$deltatoken="


@pytest.mark.parametrize(
    ("link", "root"),
    [
        ("host", f"https://{EVIL}/v1.0/"),
        ("lookalike", f"https://graph.microsoft.com.{EVIL}/v1.0/"),
        ("cloud", "https://graph.microsoft.us/v1.0/"),
        ("scheme", "http://graph.microsoft.com/v1.0/"),
        ("port", "https://graph.microsoft.com:444/v1.0/"),
        ("userinfo", f"https://graph.microsoft.com@{EVIL}/v1.0/"),
        ("dot", "https://graph.microsoft.com./v1.0/"),
    ],
)
def test_a_link_that_leads_elsewhere(graph, page, link, root):
    page("foreign", link=link)
    told = graph("GET", PAGE).json[NEXT]
    assert told.startswith(f"{root}users?")
    assert "$skiptoken=" in told


@pytest.mark.parametrize(
    ("link", "root"),
    [("port", "http://127.0.0.1:8081/"), ("dot", "http://127.0.0.1.:8080/"), ("scheme", "https://127.0.0.1:8080/"),
     ("lookalike", f"http://127.0.0.1.{EVIL}:8080/")],
)  # fmt: skip
def test_a_link_of_a_served_tenant_leads_elsewhere_too(graph, page, link, root):
    page("foreign", link=link)
    assert graph("GET", f"http://127.0.0.1:8080/v1.0{PAGE}").json[NEXT].startswith(root)


def test_a_list_that_ends_early_and_says_nothing(graph, page):
    rule = page("truncate", nth={"from": 3}, times=1)
    pages, _ = walk(graph)
    assert ([told.status for told in pages], len(ids(pages))) == ([200, 200, 200], 60)
    assert rule.fired == 1
    assert len(ids(walk(graph)[0])) == 122


def test_what_has_no_next_page_is_not_cut_and_not_counted(graph, page):
    rule = page("truncate", times=1)
    assert graph("GET", "/users?$top=999").status == 200
    assert (rule.matched, rule.fired) == (1, 0)


@pytest.mark.parametrize(("by", "told"), [(-1, 121), (5, 127), (-1000, 0)])
def test_a_count_that_is_wrong(graph, page, by, told):
    page("count", by=by)
    answer = graph("GET", f"{PAGE}&$count=true", ConsistencyLevel="eventual")
    assert (answer.json["@odata.count"], len(answer.json["value"])) == (told, 20)


def test_one_object_is_no_page(graph):
    graph.tenant.faults.add({"action": "page", "mode": "loop"})
    assert NEXT not in graph("GET", f"/users/{graph.user(1)}").json
    assert graph.tenant.faults.rules[0].matched == 0


def test_a_list_inside_a_batch_is_a_page_too(graph, page):
    page("truncate")
    told = graph("POST", BATCH, {"requests": [{"id": "1", "method": "GET", "url": PAGE}]})
    assert NEXT not in told.json["responses"][0]["body"]


def test_the_header_of_an_advanced_query_is_needed_on_every_page(graph):
    """concepts/paging.md: no fault, but a way of the service that clients get wrong as well."""
    path = "/users?$filter=startswith(displayName,'a') or accountEnabled ne false&$count=true&$top=20"
    first = graph("GET", path, ConsistencyLevel="eventual")
    assert graph("GET", first.json[NEXT]).status == 400
    second = graph("GET", first.json[NEXT], ConsistencyLevel="eventual")
    assert (second.status, "@odata.count" in first.json, "@odata.count" in second.json) == (200, True, False)


# -- batches --


def items(graph, count=4):
    change = {"method": "PATCH", "headers": {"Content-Type": "application/json"}, "body": {"jobTitle": "x"}}
    return [{"id": f"a{n}", "url": f"/users/{graph.user(n)}", **change} for n in range(1, count + 1)]


@pytest.fixture
def spoiled(graph):
    """``spoiled(mode, ...)``: the answers of a batch of four writes with this fault."""

    def send(mode, requests=None, **more):
        graph.tenant.faults.add({"path": BATCH, "action": "batch", "mode": mode, **more})
        told = graph("POST", BATCH, {"requests": requests or items(graph)})
        assert told.status == 200
        return told.json["responses"]

    return send


def by_id(answers):
    return {answer["id"]: answer["status"] for answer in answers}


@pytest.mark.parametrize(
    ("order", "wanted"), [("given", ["a1", "a2", "a3", "a4"]), ("reverse", ["a4", "a3", "a2", "a1"])]
)
def test_answers_in_another_order(spoiled, order, wanted):
    assert [answer["id"] for answer in spoiled("reorder", order=order)] == wanted


def test_answers_are_shuffled_the_same_way_every_time(graph):
    graph.tenant.faults.add({"path": BATCH, "action": "batch", "mode": "reorder"})
    requests = items(graph, 20)
    orders = [[a["id"] for a in graph("POST", BATCH, {"requests": requests}).json["responses"]] for _ in range(2)]
    assert sorted(orders[0]) == sorted(orders[1])
    assert orders[0] != orders[1]  # another call, other dice
    graph.tenant.faults.clear()
    graph.tenant.faults.add({"path": BATCH, "action": "batch", "mode": "reorder"})
    assert [a["id"] for a in graph("POST", BATCH, {"requests": requests}).json["responses"]] == orders[0]


def test_an_answer_that_is_missing_is_of_an_item_that_was_executed(graph, spoiled):
    assert sorted(by_id(spoiled("drop", items=[2]))) == ["a1", "a3", "a4"]
    assert sorted((entry.status, entry.faulted) for entry in graph.tenant.log) == [
        (0, True), (204, False), (204, False), (204, False),
    ]  # fmt: skip


def test_so_many_are_chosen_by_the_dice(spoiled):
    assert len(spoiled("drop", items=3)) == 1


@pytest.mark.parametrize(
    ("mode", "wanted"),
    [
        ("repeat", ["a1", "a1", "a2", "a3", "a4"]),
        ("extra", ["a1", "a1-nobody-asked", "a2", "a3", "a4"]),
        ("case", ["A1", "a2", "a3", "a4"]),
    ],
)
def test_ids_that_are_not_what_was_sent(spoiled, mode, wanted):
    assert sorted(by_id(spoiled(mode, items=[1]))) == sorted(set(wanted))


def test_an_id_that_comes_twice(spoiled):
    assert sorted(answer["id"] for answer in spoiled("repeat", items=[1])) == ["a1", "a1", "a2", "a3", "a4"]


def test_an_id_that_is_a_number_or_not_there(graph, spoiled):
    requests = [{**item, "id": str(n)} for n, item in enumerate(items(graph), 7)]
    assert sorted(str(answer["id"]) for answer in spoiled("number-id", requests, items=4)) == ["10", "7", "8", "9"]
    assert all(isinstance(answer["id"], int) for answer in spoiled("number-id", requests, items=4))
    graph.tenant.faults.clear()
    assert sum("id" not in answer for answer in spoiled("no-id", requests, items=2)) == 2


def test_a_status_that_is_text(spoiled):
    assert by_id(spoiled("text-status", items=[4])) == {"a1": 204, "a2": 204, "a3": 204, "a4": "204"}


@pytest.mark.parametrize("part", ["headers", "body"])
def test_an_answer_without_a_part(graph, spoiled, part):
    requests = [{"id": str(n), "method": "GET", "url": "/organization"} for n in range(3)]
    told = spoiled(f"no-{part}", requests, items=[2])
    assert {answer["id"]: part in answer for answer in told} == {"0": True, "1": False, "2": True}


def test_items_that_are_refused_and_not_executed(graph, spoiled):
    told = spoiled("fail", items=[1, 3], status=429, retry_after="7")
    assert by_id(told) == {"a1": 429, "a2": 204, "a3": 429, "a4": 204}
    assert [answer["headers"].get("Retry-After") for answer in sorted(told, key=lambda a: a["id"])][0::2] == ["7", "7"]
    assert len(graph.tenant.log) == 2


def test_items_that_are_refused_take_along_what_depends_on_them(graph, spoiled):
    first, second, *rest = items(graph)
    told = spoiled("fail", [first, {**second, "dependsOn": ["a1"]}, *rest], items=[1], status=503)
    assert by_id(told) == {"a1": 503, "a2": 424, "a3": 204, "a4": 204}


def test_items_that_are_executed_and_told_otherwise(graph, spoiled):
    told = spoiled("fail", items=[2], status=504, executed=True)
    assert by_id(told) == {"a1": 204, "a2": 504, "a3": 204, "a4": 204}
    assert sorted((entry.status, entry.faulted) for entry in graph.tenant.log) == [
        (204, False), (204, False), (204, False), (504, True),
    ]  # fmt: skip


def test_several_faults_strike_one_batch(graph, spoiled):
    graph.tenant.faults.add({"path": BATCH, "action": "batch", "mode": "text-status", "items": [1]})
    graph.tenant.faults.add({"path": BATCH, "action": "batch", "mode": "drop", "items": [4]})
    graph.tenant.faults.add({"path": BATCH, "action": "delay", "seconds": 2})
    assert spoiled("reorder", order="given") == [
        {"id": "a1", "status": "204", "headers": {}},
        {"id": "a2", "status": 204, "headers": {}},
        {"id": "a3", "status": 204, "headers": {}},
    ]


def test_an_outer_424_has_the_answers_in_it(graph):
    """Old copies of concepts/json-batching.md; Dev Proxy still does so."""
    graph.tenant.faults.add({"path": BATCH, "action": "alter", "status": 424})
    told = graph("POST", BATCH, {"requests": items(graph)})
    assert (told.status, set(by_id(told.json["responses"]).values())) == (424, {204})
    assert {(entry.status, entry.faulted) for entry in graph.tenant.log} == {(204, False)}


@pytest.mark.parametrize(
    ("rule", "logged"),
    [({"status": 503}, (503, True)), ({"failure": "reset"}, (0, True))],
)
def test_of_a_batch_that_breaks_off_the_log_says_what_was_told_of_its_items(graph, rule, logged):
    graph.tenant.faults.add({"path": BATCH, "action": "commit-then", "items": 3, **rule})
    told = graph("POST", BATCH, {"requests": items(graph)})
    assert told.status == rule.get("status", 0)
    assert [(entry.status, entry.faulted) for entry in graph.tenant.log] == [logged] * 3


def test_a_whole_batch_can_come_late(graph, clock):
    graph.tenant.faults.add({"path": BATCH, "nth": 1, "action": "answer-then-commit", "status": 504, "after": 20})
    assert graph("POST", BATCH, {"requests": items(graph)}).status == 504
    assert len(graph.tenant.log) == 0
    clock.at += 21
    assert graph("GET", f"/users/{graph.user(1)}?$select=jobTitle").json["jobTitle"] == "x"
    assert [(entry.status, entry.faulted) for entry in graph.tenant.log] == [(504, True)] * 4


def test_an_item_with_the_last_answer_ends_the_process_after_the_batch(graph):
    graph.tenant.faults.add({"in_batch": True, "nth": 2, "action": "kill", "when": "answered"})
    requests = [{"id": str(n), "method": "GET", "url": "/organization"} for n in range(3)]
    headers = {"Authorization": "Bearer x", "Content-Type": "application/json"}
    body = json.dumps({"requests": requests}).encode()
    assert graph.tenant.handle("POST", "https://graph.microsoft.com/v1.0/$batch", headers, body).last is True
