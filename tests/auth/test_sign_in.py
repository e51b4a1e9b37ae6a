import base64
import json
import os
import stat
import time
from urllib.parse import parse_qs, urlsplit

import pytest

from graphkit.auth import login, logout, status
from graphkit.auth.signin import SignIn, build_application
from graphkit.auth.store import Store, open_store
from graphkit.errors import AuthError
from graphkit.protocol.clouds import CLOUDS
from graphkit.settings import Settings, Target

GLOBAL = CLOUDS["global"]
AUTHORITY = "https://127.0.0.1:8443"
PERSON = "rx1-0001@contoso.example"


def encode(document) -> str:
    return base64.urlsafe_b64encode(json.dumps(document).encode()).rstrip(b"=").decode()


class Answer:
    def __init__(self, document, status_code=200):
        self.text = json.dumps(document)
        self.status_code = status_code
        self.headers = {}

    def raise_for_status(self):
        assert self.status_code < 400


class Authority:
    """Stands where MSAL expects an HTTP client: a login service with one person."""

    def __init__(self, person=PERSON, refusal=None):
        self.person = person
        self.refusal = refusal
        self.posts = []
        self.gets = []

    def close(self):
        pass

    def get(self, url, **_):
        self.gets.append(url)
        root = f"{AUTHORITY}/organizations/oauth2/v2.0"
        return Answer(
            {
                "issuer": f"{AUTHORITY}/organizations/v2.0",
                "authorization_endpoint": f"{root}/authorize",
                "token_endpoint": f"{root}/token",
                "device_authorization_endpoint": f"{root}/devicecode",
            }
        )

    def post(self, url, data=None, **_):
        fields = parse_qs(data) if isinstance(data, str) else {key: [value] for key, value in (data or {}).items()}
        self.posts.append((urlsplit(url).path, fields))
        if self.refusal:
            return Answer({"error": "invalid_grant", "error_description": self.refusal}, 400)
        if url.endswith("/devicecode"):
            return Answer(
                {
                    "user_code": "ABCD",
                    "device_code": "canary-device",
                    "message": "enter ABCD at https://login.example/device",
                    "expires_in": 900,
                    "interval": 1,
                }
            )
        now = int(time.time())
        claims = {"aud": "app", "iss": AUTHORITY, "iat": now, "exp": now + 3600, "tid": "tenant-1", "oid": self.person}
        return Answer(
            {
                "token_type": "Bearer",
                "access_token": f"canary-access-{len(self.posts)}",
                "refresh_token": "canary-refresh",
                "expires_in": 3600,
                "scope": f"{GLOBAL.graph_root}/.default",
                "id_token": f"{encode({})}.{encode(claims | {'preferred_username': self.person})}.x",
                "client_info": encode({"uid": self.person, "utid": "tenant-1"}),
            }
        )


@pytest.fixture
def settings(tmp_path):
    return Settings(
        auth="device-code",
        client_id="app",
        authority_url=AUTHORITY,
        target=Target("loopback", "http://127.0.0.1:8080"),
        cache_dir=tmp_path / "cache",
    )


def no_keyring(_):
    raise ImportError("no bus, no keyring")


def plain_store(settings) -> Store:
    return open_store(settings.cache_dir, insecure=True, encrypted=no_keyring)


def sign_in(settings, authority=None, store=None, shown=None):
    store = store or plain_store(settings)
    app = build_application(settings, GLOBAL, store.cache(), authority or Authority())
    lines = [] if shown is None else shown
    return login(settings, GLOBAL, show=lines.append, store=store, app=app), app


def test_a_person_signs_in_with_a_code_and_is_known_to_the_next_process(settings):
    shown = []
    account, _ = sign_in(settings, shown=shown)
    assert (account.username, account.tenant_id, account.store) == (PERSON, "tenant-1", "plaintext")
    assert shown == ["enter ABCD at https://login.example/device"]
    seen = status(settings, store=plain_store(settings))
    assert (seen.method, seen.username, seen.problem) == ("device-code", PERSON, "")


def test_the_next_process_gets_its_token_without_asking_anyone(settings):
    sign_in(settings)
    authority, store = Authority(), plain_store(settings)
    app = build_application(settings, GLOBAL, store.cache(), authority)
    source = SignIn("device-code", settings, GLOBAL, store=store, app=app)
    grant = source.fetch("", False)
    assert grant.value == "canary-access-2"
    assert 3500 < grant.lifetime <= 3600
    assert authority.posts == []


@pytest.mark.parametrize("asked", [("", True), ('{"access_token":{"nbf":{"essential":true}}}', True)])
def test_a_renewal_and_a_claims_challenge_go_past_the_cache_with_the_refresh_token(settings, asked):
    sign_in(settings)
    authority, store = Authority(), plain_store(settings)
    app = build_application(settings, GLOBAL, store.cache(), authority)
    SignIn("device-code", settings, GLOBAL, store=store, app=app).fetch(*asked)
    ((path, fields),) = authority.posts
    assert path.endswith("/token")
    assert fields["grant_type"] == ["refresh_token"]
    assert "cp1" in fields["claims"][0].lower()
    assert ("nbf" in fields["claims"][0]) == bool(asked[0])


def test_without_a_person_nobody_is_asked(settings):
    store = plain_store(settings)
    app = build_application(settings, GLOBAL, store.cache(), Authority())
    with pytest.raises(AuthError, match="nobody is signed in") as caught:
        SignIn("device-code", settings, GLOBAL, store=store, app=app).fetch("", False)
    assert "graphkit auth login" in caught.value.hint


def test_with_a_person_there_the_code_is_shown_in_the_same_command(settings):
    shown, store = [], Store("memory")
    app = build_application(settings, GLOBAL, store.cache(), Authority())
    grant = SignIn("device-code", settings, GLOBAL, show=shown.append, store=store, app=app).fetch("", False)
    assert grant.value == "canary-access-2"
    assert len(shown) == 1


def test_signing_in_replaces_whoever_was_signed_in(settings):
    sign_in(settings)
    sign_in(settings, Authority("rx1-0002@contoso.example"))
    assert status(settings, store=plain_store(settings)).username == "rx1-0002@contoso.example"


def test_logout_forgets_everything_and_leaves_no_file(settings):
    sign_in(settings)
    assert logout(settings, store=plain_store(settings)) == 1
    assert not (settings.cache_dir / "sign-in.json").exists()
    assert status(settings, store=open_store(settings.cache_dir, encrypted=no_keyring)).problem == "nobody is signed in"


def test_a_refused_sign_in_is_one_clear_line(settings):
    refusal = f"AADSTS50034: The user account {PERSON} does not exist.\r\nTrace ID: 1"
    with pytest.raises(AuthError) as caught:
        sign_in(settings, Authority(refusal=refusal))
    assert caught.value.message == "the account does not exist in this tenant (AADSTS50034)"


def test_only_the_test_servers_authority_is_asked(settings):
    authority = Authority()
    sign_in(settings, authority)
    assert {urlsplit(url).netloc for url in authority.gets} == {"127.0.0.1:8443"}


@pytest.mark.parametrize("name", sorted(CLOUDS))
def test_a_clouds_own_authority_is_asked(name, tmp_path):
    class Recorder(Authority):
        def get(self, url, **kwargs):
            answer = super().get(url, **kwargs)
            if "discovery/instance" in url:
                return Answer({"tenant_discovery_endpoint": "", "metadata": []})
            return answer

    authority = Recorder()
    build_application(Settings(client_id="app"), CLOUDS[name], None, authority)
    assert {f"https://{urlsplit(url).netloc}" for url in authority.gets} == {CLOUDS[name].authority}


def test_the_browser_is_used_unless_a_code_is_asked_for(settings):
    from dataclasses import replace

    class App:
        def acquire_token_interactive(self, scopes, **_):
            self.scopes = scopes
            return {"access_token": "t", "id_token_claims": {"preferred_username": PERSON, "tid": "tenant-1"}}

        def get_accounts(self):
            return []

    app = App()
    account = login(
        replace(settings, auth="auto"), GLOBAL, show=lambda _: None, store=Store("memory", note="n"), app=app
    )
    assert app.scopes == [GLOBAL.scope]
    assert (account.username, account.note) == (PERSON, "n")


def test_sign_in_needs_its_settings_and_a_real_target(settings):
    with pytest.raises(AuthError, match="lacks AZURE_CLIENT_ID"):
        login(Settings(), GLOBAL, show=print)
    with pytest.raises(AuthError, match="simulated tenant has no sign-in"):
        login(Settings(target=Target("simulated", "simulated")), GLOBAL, show=print)
    with pytest.raises(AuthError, match="credentials for a cloud are never used"):
        login(Settings(client_id="app", target=settings.target), GLOBAL, show=print)


# --- where it is kept ---


def test_without_an_encrypted_store_the_sign_in_stays_in_memory_and_says_so(tmp_path):
    store = open_store(tmp_path / "cache", encrypted=no_keyring)
    assert store.kind == "memory"
    assert "--insecure-cache" in store.note
    assert list((tmp_path / "cache").iterdir()) == []


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX")
def test_a_plain_file_is_kept_only_if_asked_for_and_private(settings):
    settings.cache_dir.mkdir()
    (settings.cache_dir / "sign-in.json").write_text("{}")
    (settings.cache_dir / "sign-in.json").chmod(0o644)
    store = plain_store(settings)
    assert "unencrypted" in store.note
    sign_in(settings, store=store)
    assert stat.S_IMODE((settings.cache_dir / "sign-in.json").stat().st_mode) == 0o600


def test_an_encrypted_store_goes_before_a_plain_file_even_if_that_was_asked_for(tmp_path):
    from msal_extensions import FilePersistence

    class Encrypted(FilePersistence):
        is_encrypted = True

    store = open_store(tmp_path, insecure=True, encrypted=Encrypted)
    assert (store.kind, store.note) == ("encrypted", "")
    assert not (tmp_path / "sign-in.json").exists()


@pytest.mark.parametrize("content", ["{", '{"AccessToken": {', "[]", "\x00\x01", "no json"])
def test_a_damaged_store_is_set_aside_and_sign_in_goes_on(settings, content):
    settings.cache_dir.mkdir()
    (settings.cache_dir / "sign-in.json").write_text(content)
    store = plain_store(settings)
    assert "set aside" in store.note
    assert (settings.cache_dir / "sign-in.json.damaged").read_text() == content
    account, _ = sign_in(settings, store=store)
    assert account.username == PERSON


def test_status_says_what_is_missing_and_never_fails(tmp_path):
    assert "AZURE_TENANT_ID" in status(Settings(client_secret="s")).problem
    assert status(Settings()).problem == "no way to authenticate is configured"
    assert status(Settings(access_token="canary")).method == "access-token"
    assert status(Settings(target=Target("simulated", "simulated"))).method == "simulated"
