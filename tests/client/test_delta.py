"""Rounds of changes, and a snapshot that neither misses one nor tells it twice."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
import sys
from contextlib import closing

import pytest

from graphkit.client.snapshot import DeltaSnapshot
from graphkit.clock import run
from graphkit.errors import IncompleteList, ResyncRequired, ServiceError, UsageError

ROOT = "https://graph.microsoft.com/v1.0"
USERS = "/users/delta"


def gone(key, reason="deleted"):
    return {"id": key, "@removed": {"reason": reason}}


def person(key, **properties):
    return {"id": key, **properties}


class Feed:
    """A delta function. ``rounds`` are lists of pages: the first is told without a link, the others after that.

    Tokens are ``<round>.<page>``; what stands in ``refused`` under a token is answered that often before anything else.
    """

    def __init__(self, *rounds, refused=None):
        self.rounds = list(rounds)
        self.refused = refused or {}
        self.asked = []

    def __call__(self, request):
        token = request.path.rpartition("token=")[2] if "token=" in request.path else "0.0"
        self.asked.append(token)
        if self.refused.get(token):
            return self.refused[token].pop(0)
        number, page = (int(part) for part in token.split("."))
        pages = self.rounds[number] if number < len(self.rounds) else [[]]
        found = {"value": pages[page]}
        if page + 1 < len(pages):
            found["@odata.nextLink"] = f"{ROOT}/users/delta?$skiptoken={number}.{page + 1}"
        else:
            found["@odata.deltaLink"] = f"{ROOT}/users/delta?$deltatoken={len(self.rounds)}.0"
        return 200, found


def after(number):
    return f"{ROOT}/users/delta?$deltatoken={number}.0"


RESYNC = (410, {"error": {"code": "syncStateNotFound", "message": "gone"}})


# -- rounds ------------------------------------------------------------------------------------------------------------


def test_a_round_tells_what_there_is_and_where_to_go_on(scripted):
    chain, graph = scripted(Feed([[person("a")], [], [person("b")]]))
    changes = graph.delta(USERS, params={"$select": "id"}, headers={"Prefer": "return=minimal"}, version="beta")

    async def main():
        found = [item["id"] async for item in changes]
        assert changes.link == after(1)
        return found

    assert asyncio.run(main()) == ["a", "b"]
    assert [request.path for request in chain.requests] == [
        "/users/delta?$select=id",
        f"{ROOT}/users/delta?$skiptoken=0.1",
        f"{ROOT}/users/delta?$skiptoken=0.2",
    ]
    assert {request.version for request in chain.requests} == {"beta"}
    assert {request.headers["Prefer"] for request in chain.requests} == {"return=minimal"}


def test_a_round_goes_on_where_another_ended_without_repeating_its_options(scripted):
    chain, graph = scripted(Feed([[person("a")]], [[person("b")]]))
    changes = graph.delta(USERS, link=after(1), params={"$select": "id"})
    assert asyncio.run(collect(changes)) == ["b"]
    assert [request.path for request in chain.requests] == [after(1)]


async def collect(items):
    return [item["id"] async for item in items]


def test_the_link_is_known_only_after_the_last_page(scripted):
    _, graph = scripted(Feed([[person("a")], [person("b")]]))
    changes = graph.delta(USERS)

    async def main():
        async for _ in changes.pages():
            assert changes.link == ""

    asyncio.run(main())
    assert changes.link == after(1)


def test_a_second_round_that_breaks_off_takes_the_link_back(scripted):
    answers = [(200, {"value": [], "@odata.deltaLink": after(1)}), (403, {"error": {"code": "Forbidden"}})]
    _, graph = scripted(lambda request: answers.pop(0))
    changes = graph.delta(USERS)

    async def read():
        return [item async for item in changes]

    assert asyncio.run(read()) == []
    assert changes.link == after(1)
    with pytest.raises(ServiceError):
        asyncio.run(read())
    assert changes.link == ""


def test_headers_go_along_with_a_link_of_an_earlier_round(scripted):
    chain, graph = scripted(Feed([[person("a")], [person("b")]]))

    async def main():
        async for _ in graph.delta(USERS, link=after(0), headers={"Prefer": "return=minimal"}):
            pass

    asyncio.run(main())
    assert {request.headers.get("Prefer") for request in chain.requests} == {"return=minimal"}


def test_one_object_may_come_more_than_once(scripted):
    _, graph = scripted(Feed([[person("a", x=1), person("a", x=2)], [person("a", x=3)]]))
    assert asyncio.run(collect(graph.delta(USERS))) == ["a", "a", "a"]


@pytest.mark.parametrize("token", ["1.0", "0.1"])
@pytest.mark.parametrize(
    "answer",
    [
        RESYNC,
        (410, None),
        (400, {"error": {"code": "Directory_ExpiredPageToken"}}),
        (400, {"error": {"code": "badRequest", "innererror": {"code": "resyncRequired"}}}),
    ],
)
def test_a_token_that_is_too_old_asks_for_a_new_beginning(scripted, token, answer):
    _, graph = scripted(Feed([[person("a")], [person("b")]], [[]], refused={token: [answer]}))
    link = after(1) if token == "1.0" else ""
    with pytest.raises(ResyncRequired, match="no longer knows") as caught:
        asyncio.run(collect(graph.delta(USERS, link=link)))
    assert "begin again" in caught.value.hint


def test_a_function_that_is_gone_is_a_refusal(scripted):
    _, graph = scripted(lambda request: RESYNC)
    with pytest.raises(ServiceError):
        asyncio.run(collect(graph.delta(USERS)))


@pytest.mark.parametrize(
    ("second", "reason"),
    [
        ((200, {"value": []}), "no delta link"),
        ((500, {}), "500"),
        ((200, {"value": [], "@odata.nextLink": f"{ROOT}/users/delta?$skiptoken=0.1"}), "circle"),
    ],
)
def test_a_round_that_breaks_off_has_no_link(scripted, second, reason):
    feed = Feed([[person("a")], []])
    _, graph = scripted(lambda request: second if "skiptoken" in request.path else feed(request))
    changes = graph.delta(USERS)
    with pytest.raises(IncompleteList, match=reason):
        asyncio.run(collect(changes))
    assert changes.link == ""


# -- snapshots ---------------------------------------------------------------------------------------------------------


class Follower:
    """A snapshot and its feed; ``news()`` is one round, as (id, before, after) and relations where there are any."""

    def __init__(self, scripted, feed, path=None):
        self.feed = feed
        self.chain, self.graph = scripted(feed)
        self.snapshot = DeltaSnapshot(path)

    def news(self, **how):
        return run(self._news(**how), virtual=True)

    async def _news(self, **how):
        found = []
        async for page in self.snapshot.follow(self.graph, USERS, **how):
            found += page
        return [_told(change) for change in found]

    def held(self):
        return {item["id"]: item for item in self.snapshot.each(USERS)}


def _told(change):
    relations = [kind for kind in (change.added, change.removed) if kind]
    return (change.id, change.before, change.after, *relations)


def x(key, value):
    return {"id": key, "x": value}


@pytest.fixture
def following(scripted):
    """Followers of feeds, whose snapshots are closed in the end."""
    made = []

    def make(feed, path=None):
        made.append(Follower(scripted, feed, path))
        return made[-1]

    yield make
    for follower in made:
        follower.snapshot.close()


@pytest.fixture
def followed(following):
    """A follower that has read the first of these rounds and stands before the second."""

    def make(*rounds, **how):
        follower = following(Feed(*rounds, **how))
        follower.news()
        # The feed's own link leads past all of its rounds.
        follower.snapshot._keep_link(USERS, after(1), 0.0)
        follower.feed.asked.clear()
        return follower

    return make


def test_a_snapshot_holds_what_there_is_and_tells_what_changes(following):
    first = [[x("a", 1), x("b", 1)], [x("c", 1)]]
    second = [[x("b", 2), gone("c"), x("d", 1)]]
    follower = following(Feed(first, second))
    assert follower.news() == [("a", None, x("a", 1)), ("b", None, x("b", 1)), ("c", None, x("c", 1))]
    follower.snapshot._keep_link(USERS, after(1), 0.0)
    assert follower.news() == [("b", x("b", 1), x("b", 2)), ("c", x("c", 1), None), ("d", None, x("d", 1))]
    assert follower.held() == {"a": x("a", 1), "b": x("b", 2), "d": x("d", 1)}
    assert follower.snapshot.get(USERS, ["a", "c"]) == {"a": x("a", 1)}
    assert follower.snapshot.count(USERS) == 3


@pytest.mark.parametrize(
    ("told", "news"),
    [
        ([x("a", 1)], []),
        ([x("a", 1), x("a", 2)], [("a", x("a", 1), x("a", 2))]),
        ([x("a", 2), x("a", 1)], []),
        ([{"id": "a", "y": 5}], [("a", x("a", 1), {"id": "a", "x": 1, "y": 5})]),
        ([{"id": "a", "x": None}], [("a", x("a", 1), x("a", None))]),
        ([gone("a", "changed")], [("a", x("a", 1), None)]),
        ([gone("a"), x("a", 3)], [("a", x("a", 1), x("a", 3))]),
        ([x("a", 3), gone("a")], [("a", x("a", 1), None)]),
        ([gone("never heard of")], []),
        ([{"no": "id"}], []),
    ],
    ids=[
        "a replay",
        "twice on a page",
        "there and back",
        "a property more",
        "a property emptied",
        "soft-deleted",
        "deleted and restored",
        "changed and deleted",
        "a stranger deleted",
        "nameless",
    ],
)
def test_each_object_of_a_page_is_one_change_at_most(followed, told, news):
    follower = followed([[x("a", 1)]], [told])
    assert follower.news() == news
    assert follower.news() == []


def test_annotations_are_not_properties(following):
    follower = following(Feed([[{"id": "a", "@odata.etag": "W/1", "@odata.type": "#user", "x@odata.type": "y"}]]))
    follower.news()
    assert follower.held() == {"a": {"id": "a", "@odata.type": "#user"}}


def members(*ids, without=()):
    return [*({"@odata.type": "#microsoft.graph.user", "id": each} for each in ids), *(gone(each) for each in without)]


def group(key, *ids, without=()):
    return {"id": key, "members@delta": members(*ids, without=without)}


def test_members_are_told_by_what_was_added_and_removed(followed):
    first = [[group("g", "u1", "u2")], [group("g", "u3")]]
    second = [[group("g", "u4", "u2", without=["u1", "stranger"])]]
    follower = followed(first, second)
    assert follower.snapshot.related(USERS, "g", "members") == ["u1", "u2", "u3"]
    assert follower.news() == [("g", {"id": "g"}, {"id": "g"}, {"members": ["u4"]}, {"members": ["u1"]})]
    assert follower.snapshot.related(USERS, "g", "members") == ["u2", "u3", "u4"]


def test_a_group_that_goes_takes_its_members_along(followed):
    follower = followed([[group("g", "u1")]], [[gone("g")]])
    assert follower.news() == [("g", {"id": "g"}, None)]
    assert follower.snapshot.related(USERS, "g", "members") == []


# -- when the service has lost the thread ------------------------------------------------------------------------------


def test_a_lost_token_misses_nothing_and_tells_nothing_twice(followed):
    """A connector was stuck after its first 410 for good: elastic/connectors issue 4370."""
    follower = followed([[x("a", 1), x("b", 1)], [x("c", 1)]], refused={"1.0": [RESYNC]})
    follower.feed.rounds[0] = [[x("a", 1), x("b", 2)], [x("d", 1)]]
    assert follower.news() == [("b", x("b", 1), x("b", 2)), ("d", None, x("d", 1)), ("c", x("c", 1), None)]
    assert follower.feed.asked == ["1.0", "0.0", "0.1"]
    assert follower.held() == {"a": x("a", 1), "b": x("b", 2), "d": x("d", 1)}
    assert follower.news() == []


def test_a_token_lost_on_a_middle_page_misses_nothing_and_tells_nothing_twice(followed):
    follower = followed([[x("a", 1), x("b", 1), x("c", 1)]], [[x("a", 2)], [x("b", 2)]], refused={"1.1": [RESYNC]})
    follower.feed.rounds[0] = [[x("a", 2), x("b", 2)]]
    assert follower.news() == [("a", x("a", 1), x("a", 2)), ("b", x("b", 1), x("b", 2)), ("c", x("c", 1), None)]
    assert follower.feed.asked == ["1.0", "1.1", "0.0"]


def test_a_token_lost_while_everything_is_read_anew_begins_once_more(following):
    follower = following(Feed([[x("a", 1)], [x("b", 1)]], refused={"0.1": [RESYNC]}))
    assert [key for key, *_ in follower.news()] == ["a", "b"]
    assert follower.feed.asked == ["0.0", "0.1", "0.0", "0.1"]


def test_a_service_that_never_reaches_the_end_is_given_up(following):
    follower = following(Feed([[x("a", 1)], [x("b", 1)]], refused={"0.1": [RESYNC] * 9}))
    with pytest.raises(ResyncRequired):
        follower.news()
    follower.feed.refused.clear()
    assert [key for key, *_ in follower.news()] == ["b"]


def test_a_full_round_forgets_what_is_no_longer_set(followed):
    follower = followed([[{"id": "a", "x": 1, "y": 1}]], refused={"1.0": [RESYNC]})
    follower.feed.rounds[0] = [[x("a", 1)], [{"id": "a", "z": 1}]]
    assert follower.news()[-1][2] == {"id": "a", "x": 1, "z": 1}
    assert follower.held() == {"a": {"id": "a", "x": 1, "z": 1}}


def test_a_full_round_tells_which_members_have_left_meanwhile(followed):
    follower = followed([[group("g", "u1", "u2"), group("h", "u9")]], refused={"1.0": [RESYNC]})
    follower.feed.rounds[0] = [[group("g", "u2")], [group("g", "u3"), group("h", "u9")]]
    assert follower.news() == [
        ("g", {"id": "g"}, {"id": "g"}, {"members": ["u3"]}),
        ("g", {"id": "g"}, {"id": "g"}, {"members": ["u1"]}),
    ]
    assert follower.snapshot.related(USERS, "g", "members") == ["u2", "u3"]


def test_many_that_are_gone_are_told_in_portions(followed):
    follower = followed([[x(f"u{number}", 1) for number in range(1200)]], refused={"1.0": [RESYNC]})
    follower.feed.rounds[0] = [[x("u0", 1)]]
    assert len(follower.news()) == 1199
    assert follower.held() == {"u0": x("u0", 1)}


# -- what is on disk ---------------------------------------------------------------------------------------------------


def test_a_page_is_kept_only_when_the_next_is_asked_for(following, tmp_path):
    """Whoever dies over a page is told it again."""
    follower = following(Feed([[x("a", 1)], [x("b", 1)]]), tmp_path / "cache" / "users.db")

    async def die_over_the_second():
        async for page in follower.snapshot.follow(follower.graph, USERS):
            if page[0].id == "b":
                raise RuntimeError("killed")

    with pytest.raises(RuntimeError):
        run(die_over_the_second(), virtual=True)
    assert list(follower.held()) == ["a"]
    assert follower.snapshot.read_at(USERS) is None
    follower.snapshot.close()
    again = following(Feed([[x("a", 1)], [x("b", 1)]]), tmp_path / "cache" / "users.db")
    assert again.news() == [("b", None, x("b", 1))]


def test_a_snapshot_goes_on_in_another_process(following, tmp_path):
    first = following(Feed([[x("a", 1)]]), tmp_path / "users.db")
    first.news(params={"$select": "x"})
    first.snapshot.close()
    feed = Feed([[x("a", 1)]], [[x("a", 2)]])
    second = following(feed, tmp_path / "users.db")
    assert second.news(params={"$select": "x"}) == [("a", x("a", 1), x("a", 2))]
    assert feed.asked == ["1.0"]
    assert second.snapshot.read_at(USERS) > 0


def test_other_options_begin_anew(following):
    follower = following(Feed([[x("a", 1)]]))
    follower.news(params={"$select": "x"})
    assert follower.news(params={"$select": "x,y"}) == [("a", None, x("a", 1))]
    assert follower.chain.requests[-1].path == "/users/delta?$select=x,y"


def test_two_collections_are_kept_apart(following):
    follower = following(Feed([[x("a", 1)]]))
    follower.news()

    async def groups():
        return [page async for page in follower.snapshot.follow(follower.graph, "/groups/delta")]

    assert len(run(groups(), virtual=True)) == 1
    assert follower.snapshot.count(USERS) == follower.snapshot.count("/groups/delta") == 1


@pytest.mark.skipif(sys.platform == "win32", reason="Windows knows no such modes")
def test_only_its_owner_may_read_it(tmp_path):
    DeltaSnapshot(tmp_path / "cache" / "users.db").close()
    assert stat.S_IMODE(os.stat(tmp_path / "cache" / "users.db").st_mode) == 0o600
    assert stat.S_IMODE(os.stat(tmp_path / "cache").st_mode) == 0o700


def test_one_process_at_a_time(tmp_path):
    with DeltaSnapshot(tmp_path / "users.db"), pytest.raises(UsageError, match="locked"):
        DeltaSnapshot(tmp_path / "users.db")
    DeltaSnapshot(tmp_path / "users.db").close()


def _text(path):
    path.write_text("upn\n" * 500, encoding="utf-8")


def _other_database(path):
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("CREATE TABLE precious(x)")
    db.close()


def _newer(path):
    DeltaSnapshot(path).close()
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("PRAGMA user_version=99")
    db.close()


@pytest.mark.parametrize("make", [_text, _other_database, _newer])
def test_a_file_that_is_something_else_is_left_alone(tmp_path, make):
    path = tmp_path / "x.db"
    make(path)
    before = path.read_bytes()
    with pytest.raises(UsageError, match="cannot be used"):
        DeltaSnapshot(path)
    assert path.read_bytes() == before


def test_a_link_that_leads_elsewhere_is_never_kept(following):
    from graphkit.errors import UntrustedDestination

    follower = following(lambda request: (200, {"value": [], "@odata.deltaLink": "https://evil.example/x"}))
    with pytest.raises(UntrustedDestination):
        follower.news()
    assert follower.snapshot.read_at(USERS) is None
