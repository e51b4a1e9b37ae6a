"""Credentials go to the chosen cloud and nowhere else, whatever a service, a proxy or a setting says."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from graphkit.client import GraphClient
from graphkit.clock import VirtualClock, run
from graphkit.errors import GraphkitError, UntrustedDestination
from graphkit.protocol.budget import WriteBudget
from graphkit.protocol.clouds import CLOUDS
from graphkit.protocol.identity import Token
from graphkit.transport.chain import build_chain

CANARY = "canary-token-that-must-not-travel"
HOSTILE = {
    "another host": "https://evil.example/v1.0/users?$skiptoken=x",
    "user name": "https://graph.microsoft.com@evil.example/v1.0/users?$skiptoken=x",
    "password": "https://graph.microsoft.com:443@evil.example/v1.0/users?$skiptoken=x",
    "longer name": "https://graph.microsoft.com.evil.example/v1.0/users?$skiptoken=x",
    "prefix": "https://evil-graph.microsoft.com/v1.0/users?$skiptoken=x",
    "no TLS": "http://graph.microsoft.com/v1.0/users?$skiptoken=x",
    "another port": "https://graph.microsoft.com:8443/v1.0/users?$skiptoken=x",
    "another cloud": "https://graph.microsoft.us/v1.0/users?$skiptoken=x",
    "look-alike": "https://graph.microsoft.cοm/v1.0/users?$skiptoken=x",
    "punycode": "https://graph.xn--microsft-03a.com/v1.0/users?$skiptoken=x",
    "trailing dot": "https://graph.microsoft.com./v1.0/users?$skiptoken=x",
    "backslash": "https://graph.microsoft.com\\@evil.example/v1.0/users?$skiptoken=x",
    "no scheme": "//evil.example/v1.0/users?$skiptoken=x",
    "line feed": "https://graph.microsoft.com\n.evil.example/v1.0/users",
    "tab": "https://graph.microsoft.com\t.evil.example/v1.0/users",
    "capitals": "HTTPS://EVIL.EXAMPLE/v1.0/users",
    "metadata": "http://169.254.169.254/metadata/identity/oauth2/token",
    "loopback": "http://127.0.0.1:41741/v1.0/users",
    "file": "file:///etc/passwd",
    "climbing": "https://graph.microsoft.com/v1.0/../../evil",
    "fragment": "https://graph.microsoft.com#@evil.example/v1.0/users",
}


class OneToken:
    name = "app"

    async def token(self, *, claims: str = "", renew: bool = False) -> Token:
        return Token(CANARY, 1e12)


class Service(httpx.AsyncBaseTransport):
    """Answers the first request with ``first``, any further one with an empty page; remembers every host."""

    def __init__(self, first: httpx.Response) -> None:
        self.first = first
        self.asked: list[str] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        self.asked.append(f"{request.url.scheme}://{request.url.host}:{request.url.port or ''}")
        return self.first if len(self.asked) == 1 else httpx.Response(200, json={"value": []})


def asking(first: httpx.Response, work: Any, cloud: str = "global") -> tuple[Service, BaseException | None]:
    service = Service(first)

    async def go() -> BaseException | None:
        clock = VirtualClock()
        chain = build_chain(
            service, cloud=CLOUDS[cloud], source=OneToken(), clock=clock, budget=WriteBudget.unlimited(), seed=1
        )
        try:
            await work(GraphClient(chain, cloud=CLOUDS[cloud], clock=clock))
        except GraphkitError as error:
            return error
        finally:
            await chain.aclose()
        return None

    return service, run(go(), virtual=True)


async def everything(client: GraphClient) -> None:
    async for _ in client.pages("/users"):
        pass


async def changes(client: GraphClient) -> None:
    async for _ in client.delta("/users/delta"):
        pass


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("field", ["nextLink", "deltaLink"])
def test_a_link_that_leads_elsewhere_ends_the_walk_and_nothing_is_sent_there(field, name):
    page = {"value": [{"id": "1"}], f"@odata.{field}": HOSTILE[name]}
    work = everything if field == "nextLink" else changes
    service, error = asking(httpx.Response(200, json=page), work)
    assert service.asked == ["https://graph.microsoft.com:"]
    if field == "nextLink":
        assert error is not None
        assert CANARY not in f"{error!r} {error.to_json()}"


@pytest.mark.parametrize("name", HOSTILE)
def test_a_delta_link_that_was_kept_and_leads_elsewhere_is_not_asked(name):
    async def work(client: GraphClient) -> None:
        async for _ in client.pages(HOSTILE[name]):
            pass

    service, error = asking(httpx.Response(200, json={"value": []}), work)
    assert (service.asked, isinstance(error, GraphkitError)) == ([], True)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("link", ["https://evil.example/x", "https://graph.microsoft.com/v1.0/groups"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_no_redirect_is_followed(status, link, method):
    async def work(client: GraphClient) -> None:
        await (client.get("/users") if method == "GET" else client.create("/users", {"a": 1}))

    service, error = asking(httpx.Response(status, headers={"Location": link}), work)
    assert service.asked == ["https://graph.microsoft.com:"]
    assert error is not None


@pytest.mark.parametrize("cloud", CLOUDS)
def test_each_cloud_has_one_host(cloud):
    own = CLOUDS[cloud].graph_root
    others = [each.graph_root for name, each in CLOUDS.items() if name != cloud]
    for root in others:
        page = {"value": [], "@odata.nextLink": f"{root}/v1.0/users?$skiptoken=x"}
        service, error = asking(httpx.Response(200, json=page), everything, cloud)
        assert service.asked == [f"{own}:"]
        assert isinstance(error, UntrustedDestination)
        assert root in error.message


@pytest.mark.parametrize("link", HOSTILE.values())
def test_a_link_inside_a_batch_is_held_to_the_same(link):
    async def work(client: GraphClient) -> None:
        await asyncio.gather(everything(client), everything(client))

    body = {"value": [], "@odata.nextLink": link}
    answers = [{"id": str(n), "status": 200, "headers": {}, "body": body} for n in range(2)]
    service, error = asking(httpx.Response(200, json={"responses": answers}), work)
    assert set(service.asked) == {"https://graph.microsoft.com:"}
    assert error is not None


@pytest.mark.parametrize(
    "address",
    [
        "http://169.254.169.254",
        "https://evil.example",
        "http://localhost.evil.example",
        "http://127.0.0.1@evil.example",
        "http://0x7f000001",
        "http://2130706433",
        "http://127.0.0.1:80/v1.0",
        "http://0.0.0.0",
        "http://[::ffff:127.0.0.1]",
        "ftp://127.0.0.1",
    ],
)
@pytest.mark.parametrize("variable", ["GRAPHKIT_GRAPH_URL", "GRAPHKIT_AUTHORITY_URL", "-t"])
def test_no_setting_leads_anywhere_but_to_a_cloud_or_this_machine(graphkit, monkeypatch, variable, address):
    monkeypatch.setenv("GRAPHKIT_ACCESS_TOKEN", CANARY)
    flags = ("-t", address) if variable == "-t" else ()
    if not flags:
        monkeypatch.setenv(variable, address)
    result = graphkit("graph", "get", "/users", *flags)
    assert result.code == 5
    assert CANARY not in result.stdout + result.stderr


def test_a_proxy_is_never_used_for_this_machine_nor_for_managed_identities(graphkit, served_tenant, monkeypatch):
    """Were it used, nothing would answer there."""
    for name in ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "http_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("GRAPHKIT_ACCESS_TOKEN", served_tenant.token("User.Read.All", "Organization.Read.All"))
    result = graphkit("graph", "get", "/users?$top=1", "-t", served_tenant.address)
    assert result.code == 0, result.stderr
