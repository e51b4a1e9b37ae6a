import asyncio
import base64
import json
import threading

import pytest

from graphkit.auth import make_token_source, make_token_sources, status
from graphkit.auth.grant import Grant
from graphkit.auth.source import CachedSource
from graphkit.clock import RealClock, VirtualClock, run
from graphkit.errors import AuthError
from graphkit.protocol.clouds import CLOUDS
from graphkit.settings import Identity, Settings, Target


def jwt(**claims) -> str:
    middle = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    return f"eyJhbGciOiJub25lIn0.{middle}.sig"


class Authority:
    """Counts what it was asked; every token has its own number."""

    def __init__(self, lifetime=3600.0, failures=()):
        self.asked = []
        self.lifetime = lifetime
        self.failures = list(failures)

    def fetch(self, claims, renew):
        self.asked.append((claims, renew))
        if self.failures:
            raise self.failures.pop(0)
        return Grant(f"token-{len(self.asked)}", self.lifetime)


def on_virtual_time(authority, story):
    async def main():
        clock = VirtualClock()
        return await story(CachedSource("app", authority.fetch, clock), clock)

    return run(main(), virtual=True)


def test_two_hundred_callers_share_one_request():
    authority = Authority()

    async def story(source, _):
        return {token.value for token in await asyncio.gather(*(source.token() for _ in range(200)))}

    assert on_virtual_time(authority, story) == {"token-1"}
    assert len(authority.asked) == 1


def test_a_token_is_renewed_five_minutes_before_its_end():
    authority = Authority(lifetime=3600)

    async def story(source, clock):
        seen = []
        for wait in (0, 3299, 2, 10):
            await clock.sleep(wait)
            token = await source.token()
            assert token.expires_on - clock.now() >= 299
            seen.append(token.value)
        return seen

    assert on_virtual_time(authority, story) == ["token-1", "token-1", "token-2", "token-2"]


def test_short_lived_tokens_cost_two_requests_a_life_and_not_one_a_call():
    authority = Authority(lifetime=30)

    async def story(source, clock):
        for _ in range(60):
            await asyncio.gather(*(source.token() for _ in range(20)))
            await clock.sleep(1)

    on_virtual_time(authority, story)
    assert len(authority.asked) == 4


def test_renew_bypasses_the_cache_once_for_all_who_ask_together():
    authority = Authority()

    async def story(source, _):
        await source.token()
        return {token.value for token in await asyncio.gather(*(source.token(renew=True) for _ in range(50)))}

    assert on_virtual_time(authority, story) == {"token-2"}
    assert authority.asked == [("", False), ("", True)]


def test_a_claims_challenge_is_passed_on_and_its_token_kept():
    authority = Authority()

    async def story(source, _):
        await source.token()
        await source.token(claims='{"access_token":{}}', renew=True)
        return (await source.token()).value

    assert on_virtual_time(authority, story) == "token-2"
    assert authority.asked[1] == ('{"access_token":{}}', True)


def test_a_refusal_reaches_every_caller_and_is_not_remembered():
    authority = Authority(failures=[AuthError("refused")])

    async def story(source, _):
        first = await asyncio.gather(*(source.token() for _ in range(5)), return_exceptions=True)
        return first, await source.token()

    first, later = on_virtual_time(authority, story)
    assert [str(error) for error in first] == ["refused"] * 5
    assert later.value == "token-2"


def test_a_caller_who_gives_up_does_not_take_the_token_from_the_others():
    release = threading.Event()

    def fetch(claims, renew):
        release.wait(5)
        return Grant("token", 3600)

    async def main():
        source = CachedSource("app", fetch, RealClock())
        first, second = asyncio.create_task(source.token()), asyncio.create_task(source.token())
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.sleep(0)
        release.set()
        return (await second).value

    assert asyncio.run(main()) == "token"


def make(**given):
    return make_token_source(Settings(**given), CLOUDS["global"], RealClock())


def test_the_simulated_tenant_has_one_fixed_identity_whatever_is_configured():
    source = make(target=Target("simulated", "simulated"), auth="client-secret", client_secret="canary")
    assert source.name == "simulated"
    assert asyncio.run(source.token(renew=False)).value == "simulated"


@pytest.mark.parametrize("value", ["opaque", "a.b.c", jwt(exp=4102444800), jwt(exp="soon"), jwt(exp=True)])
def test_a_given_token_is_used_as_it_is(value):
    assert asyncio.run(make(access_token=value).token()).value == value


def test_the_end_of_a_given_token_is_read_if_it_says_so():
    assert asyncio.run(make(access_token=jwt(exp=4102444800)).token()).expires_on == 4102444800
    with pytest.raises(AuthError, match="has expired"):
        asyncio.run(make(access_token=jwt(exp=1)).token())


@pytest.mark.parametrize("asked", [{"renew": True}, {"claims": "{}"}])
def test_a_given_token_cannot_be_renewed(asked):
    with pytest.raises(AuthError, match="does not accept the access token") as caught:
        asyncio.run(make(access_token="canary").token(**asked))
    assert "canary" not in f"{caught.value} {caught.value.hint}"


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ({"access_token": "opaque"}, "access-token"),
        ({"access_token": jwt(appid="app-1")}, "app-1"),
        ({"tenant_id": "t", "client_id": "app-2", "client_secret": "s"}, "app-2"),
        ({"managed_identity_client_id": "app-3", "client_id": "other"}, "app-3"),
        ({"auth": "managed-identity"}, "managed-identity"),
        ({"auth": "azure-cli"}, "azure-cli"),
        ({"auth": "device-code", "client_id": "app-4"}, "app-4"),
    ],
)
def test_an_identity_is_named_by_its_app(given, name):
    assert make(**given).name == name


def test_missing_settings_are_told_before_anything_is_asked():
    with pytest.raises(AuthError, match="AZURE_TENANT_ID and AZURE_CLIENT_ID"):
        make(client_secret="s")


APPS = (Identity("app-1", certificate_path="one.pem"), Identity("app-2", client_secret="hush"))


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ({}, ["app-1", "app-2"]),
        ({"client_id": "alone", "client_secret": "s"}, ["app-1", "app-2"]),
        ({"access_token": "by-hand"}, ["access-token"]),
        ({"client_id": "alone", "client_secret": "s", "auth": "client-secret"}, ["alone"]),
        ({"target": Target("simulated", "simulated")}, ["app-1", "app-2"]),
    ],
    ids=["the list", "before a single app", "a token by hand first", "a named method first", "simulated"],
)
def test_listed_identities_work_side_by_side(given, names):
    settings = Settings(**{"tenant_id": "contoso.example", "identities": APPS, **given})
    assert [source.name for source in make_token_sources(settings, CLOUDS["global"], RealClock())] == names


def test_listed_identities_lack_what_a_single_app_would():
    with pytest.raises(AuthError, match="AZURE_TENANT_ID"):
        make_token_sources(Settings(identities=APPS), CLOUDS["global"], RealClock())


def test_the_status_names_each_app_and_method():
    told = status(Settings(tenant_id="contoso.example", identities=APPS))
    assert (told.method, told.client_id) == ("certificate, client-secret", "app-1, app-2")
