"""Who is there, and what may we do: asked once, before anything else."""

from __future__ import annotations

import base64
import json

import httpx
import pytest

from graphkit import session, settings
from graphkit.auth.source import FixedSource
from graphkit.client import GraphClient
from graphkit.clock import VirtualClock, run
from graphkit.errors import ServiceError, WrongTenant
from graphkit.protocol.budget import WriteBudget
from graphkit.protocol.clouds import CLOUDS
from graphkit.protocol.identity import Token
from graphkit.settings import Target
from graphkit.transport.chain import build_chain

CLOUD = Target("cloud", "global")
LOOPBACK = Target("loopback", "http://127.0.0.1:8080")
GRAPH = session.GRAPH_APP_ID


def jwt(**claims):
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in ({}, claims)]
    return ".".join([*parts, "signature"])


def ask(work, answers, token="opaque"):
    """``work(client, source)`` against a service that knows ``answers``: path to document; all else is 403."""

    def answer(request):
        known = answers.get(request.url.path.removeprefix("/v1.0"))
        return httpx.Response(200, json=known) if known is not None else httpx.Response(403, json={"error": {}})

    async def main():
        clock = VirtualClock()
        source = FixedSource("app", Token(token, 1e12))
        cloud = CLOUDS["global"]
        budget = WriteBudget.read_only()
        chain = build_chain(httpx.MockTransport(answer), cloud=cloud, source=source, clock=clock, budget=budget)
        try:
            return await work(GraphClient(chain, cloud=cloud, clock=clock), source)
        finally:
            await chain.aclose()

    return run(main(), virtual=True)


ORGANIZATION = {
    "/organization": {
        "value": [
            {
                "id": "t-1",
                "displayName": "Contoso",
                "verifiedDomains": [
                    {"name": "contoso.onmicrosoft.example", "isDefault": False},
                    {"name": "contoso.example", "isDefault": True},
                ],
            }
        ]
    }
}


@pytest.mark.parametrize("token", ["opaque", jwt(tid="t-1")])
def test_a_tenant_is_who_its_organization_says(token):
    tenant = ask(lambda client, source: session._who_is_there(client, [source], CLOUD), ORGANIZATION, token)
    assert (tenant.id, tenant.name, tenant.domain) == ("t-1", "Contoso", "contoso.example")


def test_a_token_for_another_tenant_stops_everything():
    with pytest.raises(WrongTenant, match="the token is for tenant t-2, but t-1 answered"):
        ask(lambda client, source: session._who_is_there(client, [source], CLOUD), ORGANIZATION, jwt(tid="t-2"))


def test_a_cloud_that_does_not_say_who_it_is_stops_an_opaque_token():
    with pytest.raises(ServiceError):
        ask(lambda client, source: session._who_is_there(client, [source], CLOUD), {})


def test_a_readable_token_tells_the_tenant_where_the_service_does_not():
    tenant = ask(lambda client, source: session._who_is_there(client, [source], CLOUD), {}, jwt(tid="t-2"))
    assert tenant.id == "t-2"


@pytest.mark.parametrize("answers", [{}, {"/organization": {"value": []}}])
def test_on_loopback_an_unknown_tenant_is_bound_to_its_address(answers):
    tenant = ask(lambda client, source: session._who_is_there(client, [source], LOOPBACK), answers)
    assert tenant.id == "unknown tenant at http://127.0.0.1:8080"


ASSIGNMENTS = {
    "/servicePrincipals(appId='c-1')/appRoleAssignments": {
        "value": [
            {"appRoleId": "r-1", "resourceId": "graph"},
            {"appRoleId": "r-2", "resourceId": "another service"},
        ]
    },
    f"/servicePrincipals(appId='{GRAPH}')": {
        "id": "graph",
        "appRoles": [{"id": "r-1", "value": "User.Read.All"}, {"id": "r-2", "value": "Group.Read.All"}],
    },
}


@pytest.mark.parametrize(
    ("token", "answers", "granted"),
    [
        (jwt(roles=["Group.Read.All"]), {}, {"Group.Read.All"}),
        (jwt(scp="User.Read Group.Read.All"), {}, {"User.Read", "Group.Read.All"}),
        ("opaque", ASSIGNMENTS, {"User.Read.All"}),
        ("opaque", {}, None),
    ],
    ids=["roles", "scopes", "role assignments of the app", "nobody knows"],
)
def test_permissions_come_from_the_token_else_from_the_app_else_from_nowhere(tmp_path, token, answers, granted):
    given = settings.load({"client_id": "c-1"}, env={}, cwd=tmp_path)
    found = ask(lambda client, source: session._granted(client, source, given), answers, token)
    assert found == (None if granted is None else frozenset(granted))


@pytest.mark.parametrize(
    ("token", "auth", "person"),
    [
        (jwt(scp="User.Read.All", tid="t-1"), "auto", True),
        (jwt(roles=["User.Read.All"], tid="t-1"), "interactive", False),
        ("opaque", "device-code", True),
        ("opaque", "certificate", False),
    ],
)
def test_the_limits_of_a_person_count_for_a_person(token, auth, person):
    chosen = settings.load({"auth": auth}, env={})
    assert run(session._signed_in(FixedSource("app", Token(token, 1e12)), chosen), virtual=True) is person


def session_of(**grants):
    """As much of a session as comparing permissions needs."""
    empty = dict.fromkeys(session.Session.__dataclass_fields__)
    return session.Session(**{**empty, "target": CLOUD, "grants": grants})


def test_of_several_apps_each_must_hold_what_is_needed():
    several = session_of(
        second=frozenset({"User.ReadWrite.All", "Mail.Read"}), first=frozenset({"Directory.Read.All", "Group.Create"})
    )
    assert several.apps == ["first", "second"]
    found = several.permissions(["User.Read.All", "Group.Create"])
    assert found.missing == ("Group.Create",)
    assert {"Mail.Read", "Directory.Read.All"} <= set(found.excess)
    assert several.lacking(["User.Read.All", "Group.Create"]) == {"Group.Create": ["second"]}


def test_one_app_of_which_nobody_knows_leaves_all_unknown():
    assert not session_of(first=frozenset({"User.Read.All"}), second=None).permissions(["User.Read.All"]).known


def test_apps_of_different_tenants_are_refused():
    async def work(client, source):
        other = FixedSource("other", Token(jwt(tid="t-9"), 1e12))
        await session._who_is_there(client, [source, other], CLOUD)

    with pytest.raises(WrongTenant, match="app other belongs to tenant t-9, the others to t-1"):
        ask(work, ORGANIZATION, jwt(tid="t-1"))
