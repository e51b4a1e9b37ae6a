import os
import re
from dataclasses import MISSING, fields
from pathlib import Path

import platformdirs
import pytest

from graphkit.errors import UsageError
from graphkit.settings import (
    AUTH_METHODS,
    CLOUD_NAMES,
    SETTINGS,
    Settings,
    Target,
    load,
    loopback_url,
    parse_dotenv,
)

ROOT = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def user_config(tmp_path, monkeypatch):
    folder = tmp_path / "user-config"
    folder.mkdir()
    monkeypatch.setattr(platformdirs, "user_config_path", lambda *_, **__: folder)
    return folder


@pytest.fixture
def here(tmp_path):
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


def private(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
    path.chmod(0o600)


def problems_of(flags=None, env=None, cwd=Path()) -> str:
    with pytest.raises(UsageError) as caught:
        load(flags or {}, env=env or {}, cwd=cwd)
    assert caught.value.exit_code == 5
    return caught.value.message


# --- precedence ---


def test_the_first_of_flag_environment_dotenv_project_and_user_file_wins(here, user_config):
    flags, env = {"cloud": "usgov"}, {"GRAPHKIT_CLOUD": "usgov-dod"}
    private(here / ".env", "GRAPHKIT_CLOUD=china\n")
    (here / "graphkit.toml").write_text('cloud = "global"\n')
    (user_config / "config.toml").write_text('cloud = "usgov"\n')
    seen = []
    for strip in (lambda: None, flags.clear, env.clear, (here / ".env").unlink, (here / "graphkit.toml").unlink):
        strip()
        settings = load(flags, env=env, cwd=here)
        seen.append((settings.cloud, settings.origin("cloud")))
    assert seen == [
        ("usgov", "flag --cloud"),
        ("usgov-dod", "environment GRAPHKIT_CLOUD"),
        ("china", ".env GRAPHKIT_CLOUD"),
        ("global", "graphkit.toml cloud"),
        ("usgov", "user config cloud"),
    ]


def test_without_anything_set_every_value_is_its_default(here):
    settings = load({}, env={}, cwd=here)
    assert settings.origin("cloud") == settings.origin("quota_share") == "default"
    assert settings == Settings()
    assert settings.quota_share == 0.7
    assert settings.target == Target("cloud", "global")
    assert settings.runs_dir.name == "runs"


def test_an_empty_variable_and_an_absent_flag_count_as_not_set(here):
    settings = load({"auth": None}, env={"GRAPHKIT_CLOUD": "", "GRAPHKIT_AUTH": ""}, cwd=here)
    assert (settings.cloud, settings.auth) == ("global", "auto")


def test_the_config_flag_replaces_the_project_file(here):
    (here / "graphkit.toml").write_text('cloud = "china"\n')
    (here / "other.toml").write_text("quota_share = 0.5\n")
    settings = load({"config": "other.toml"}, env={}, cwd=here)
    assert (settings.cloud, settings.quota_share, settings.origin("quota_share")) == (
        "global",
        0.5,
        "other.toml quota_share",
    )
    assert "no file absent.toml" in problems_of({"config": "absent.toml"}, cwd=here)


@pytest.mark.parametrize(
    ("variable", "value", "name", "read"),
    [
        ("GRAPHKIT_BREAK_GLASS", "a@contoso.example, b ,", "break_glass", ("a@contoso.example", "b")),
        ("GRAPHKIT_QUOTA_SHARE", "1", "quota_share", 1.0),
        ("GRAPHKIT_READ_TIMEOUT", "2.5", "read_timeout", 2.5),
        ("GRAPHKIT_AUTH", "Device-Code", "auth", "device-code"),
        ("NO_COLOR", "0", "no_color", True),
        ("https_proxy", "proxy.example:3128", "https_proxy", "http://proxy.example:3128"),
        ("NO_PROXY", "a.example,.b.example", "no_proxy", ("a.example", ".b.example")),
        ("GRAPHKIT_ACCESS_TOKEN", " token\n", "access_token", "token"),
    ],
)
def test_a_variable_is_read_as_its_kind(here, variable, value, name, read):
    assert getattr(load({}, env={variable: value}, cwd=here), name) == read


def test_break_glass_lives_in_the_safety_table(here):
    (here / "graphkit.toml").write_text('[safety]\nbreak_glass = ["bg-1", "bg-2"]\n')
    settings = load({}, env={}, cwd=here)
    assert settings.break_glass == ("bg-1", "bg-2")
    assert settings.origin("break_glass") == "graphkit.toml safety.break_glass"


def test_a_relative_path_starts_from_where_it_was_written(here, user_config):
    (user_config / "config.toml").write_text('certificate_path = "app.pem"\n')
    settings = load({}, env={"GRAPHKIT_RUNS_DIR": "runs"}, cwd=here)
    assert settings.certificate_path == str(user_config / "app.pem")
    assert settings.runs_dir == here / "runs"


@pytest.mark.parametrize(
    ("env", "bundle"),
    [
        ({"GRAPHKIT_CA_BUNDLE": "/a", "SSL_CERT_FILE": "/b", "REQUESTS_CA_BUNDLE": "/c"}, "a"),
        ({"SSL_CERT_FILE": "/b", "REQUESTS_CA_BUNDLE": "/c"}, "b"),
        ({"REQUESTS_CA_BUNDLE": "/c"}, "c"),
    ],
)
def test_one_ca_bundle_is_taken_from_the_usual_variables_in_order(here, env, bundle):
    assert Path(load({}, env=env, cwd=here).ca_bundle).name == bundle


# --- everything wrong, at once ---


def test_all_problems_are_told_at_once_each_with_its_place(here):
    private(here / ".env", "GRAPHKIT_CLOUD=moon\nno equals sign\nGRAPHKIT_NOPE=1\n")
    (here / "graphkit.toml").write_text('quota_share = 2\nclient_secret = "x"\ncolour = 1\n[safety]\nbrake = 1\n')
    message = problems_of({"auth": "magic", "state": "s.db"}, {"GRAPHKIT_READ_TIMEOUT": "soon"}, here)
    for expected in (
        "10 settings are wrong",
        ".env GRAPHKIT_CLOUD: 'moon' is not one of global, usgov",
        ".env line 2: not of the form NAME=value",
        ".env GRAPHKIT_NOPE: no such setting",
        "graphkit.toml quota_share: 2 is above 1",
        "graphkit.toml client_secret: does not belong here; put AZURE_CLIENT_SECRET",
        "graphkit.toml colour: no such setting",
        "graphkit.toml safety.brake: no such setting",
        "flag --auth: 'magic' is not one of auto",
        "environment GRAPHKIT_READ_TIMEOUT: 'soon' is not a number",
        "flag --state: only for --target simulated",
    ):
        assert expected in message


@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf", "1.5", "most"])
def test_a_quota_share_outside_zero_to_one_is_refused(here, value):
    assert "GRAPHKIT_QUOTA_SHARE" in problems_of(env={"GRAPHKIT_QUOTA_SHARE": value}, cwd=here)


def test_the_home_of_somebody_who_is_not_known_here_is_refused(here):
    message = problems_of(env={"GRAPHKIT_RUNS_DIR": "~nobody-of-that-name/runs"}, cwd=here)
    assert "environment GRAPHKIT_RUNS_DIR: '~nobody-of-that-name/runs' names a home folder that is not known" in message


@pytest.mark.parametrize("text", ["cloud = ", 'cloud = ["global"]', "cloud = 1", "limits = 3", "[limits]\nx = 'fast'"])
def test_a_malformed_or_mistyped_project_file_names_the_file(here, text):
    (here / "graphkit.toml").write_text(text)
    assert "graphkit.toml" in problems_of(cwd=here)


def test_an_unknown_flag_is_refused(here):
    assert "flag colour: no such setting" in problems_of({"colour": 1}, cwd=here)


# --- loopback addresses ---


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://127.0.0.1:8080/", "http://127.0.0.1:8080"),
        ("HTTPS://LocalHost:8443", "https://localhost:8443"),
        ("http://[::1]:9", "http://[::1]:9"),
        ("http://127.255.3.4", "http://127.255.3.4"),
        ("http://localhost", "http://localhost"),
    ],
)
def test_a_loopback_root_is_accepted(given, kept):
    assert loopback_url(given) == kept


REFUSED = [
    "https://graph.microsoft.com",
    "http://127.0.0.1@evil.example",
    "http://user:word@127.0.0.1",
    "http://127.0.0.1.evil.example",
    "http://localhost.evil.example",
    "http://evil.example#127.0.0.1",
    "http://evil.example/127.0.0.1",
    "http://evil.example?127.0.0.1",
    "http://evil.example\\@127.0.0.1",
    "http://127.0.0.1\\@evil.example",
    "http://2130706433",
    "http://0x7f000001",
    "http://0177.0.0.1",
    "http://127.1",
    "http://127.0.0.256",
    "http://0.0.0.0:80",
    "http://169.254.169.254",
    "http://[::ffff:127.0.0.1]",
    "http://[::2]",
    "http://localhost.",
    "http://１２７.0.0.1",
    "http://127.0.0.1\u0663",
    "http://127.0.0.1:80\u0663",
    "http://127.0.0.1:99999",
    "http://127.0.0.1:0",
    "http://127.0.0.1:",
    "http://127.0.0.1/v1.0",
    "http://127.0.0.1//",
    "http://127.0.0.1\n",
    " http://127.0.0.1",
    "http://127.0.\t0.1",
    "ftp://127.0.0.1",
    "//127.0.0.1",
    "127.0.0.1:8080",
    "localhost",
    "",
]


@pytest.mark.parametrize("address", REFUSED)
def test_any_other_address_is_refused(address):
    with pytest.raises(ValueError, match="is refused: only a loopback root"):
        loopback_url(address)


@pytest.mark.parametrize("variable", ["GRAPHKIT_GRAPH_URL", "GRAPHKIT_AUTHORITY_URL"])
def test_a_refused_address_names_its_variable_and_hides_the_password(here, variable):
    message = problems_of(env={variable: "https://user:canary-word@evil.example"}, cwd=here)
    assert f"environment {variable}: " in message
    assert "canary-word" not in message


def test_an_authority_must_speak_https(here):
    assert "must begin with https://" in problems_of(env={"GRAPHKIT_AUTHORITY_URL": "http://127.0.0.1:1"}, cwd=here)


# --- targets ---


@pytest.mark.parametrize(
    ("flag", "env", "kind", "name", "origin"),
    [
        (None, {}, "cloud", "global", "default"),
        (None, {"GRAPHKIT_CLOUD": "china"}, "cloud", "china", "environment GRAPHKIT_CLOUD"),
        (
            None,
            {"GRAPHKIT_CLOUD": "china", "GRAPHKIT_GRAPH_URL": "http://localhost:1/"},
            "loopback",
            "http://localhost:1",
            "environment GRAPHKIT_GRAPH_URL",
        ),
        ("usgov", {"GRAPHKIT_GRAPH_URL": "http://localhost:1"}, "cloud", "usgov", "flag --target"),
        ("simulated", {"GRAPHKIT_GRAPH_URL": "http://localhost:1"}, "simulated", "simulated", "flag --target"),
        ("http://127.0.0.1:2", {"GRAPHKIT_CLOUD": "china"}, "loopback", "http://127.0.0.1:2", "flag --target"),
    ],
)
def test_the_target_is_the_flag_else_the_address_else_the_cloud(here, flag, env, kind, name, origin):
    settings = load({"target": flag}, env=env, cwd=here)
    assert (settings.target.kind, settings.target.name, settings.origin("target")) == (kind, name, origin)
    assert settings.graph_url == settings.target.url == (name if kind == "loopback" else "")
    if kind == "cloud":
        assert settings.cloud == name


@pytest.mark.parametrize("target", ["mars", "graph.microsoft.com", "https://graph.microsoft.com", "localhost"])
def test_an_unknown_target_is_refused(here, target):
    assert "flag --target" in problems_of({"target": target}, cwd=here)


def test_state_and_virtual_time_belong_to_the_simulated_tenant(here):
    settings = load({"target": "simulated", "state": "t.db", "virtual_time": True}, env={}, cwd=here)
    assert settings.target == Target("simulated", "simulated", here / "t.db", True)
    assert "--state and --virtual-time: only for" in problems_of({"state": "t.db", "virtual_time": True}, cwd=here)


def test_time_is_scaled_for_loopback_targets_only(here):
    (here / "graphkit.toml").write_text('[limits]\ntime_scale = 50\n"identity.writes" = 3000\n')
    settings = load({"target": "http://127.0.0.1:2"}, env={}, cwd=here)
    assert settings.time_scale == 50
    assert settings.limits["identity.writes"] == 3000
    assert "time_scale is only for loopback targets" in problems_of({"target": "global"}, cwd=here)
    assert load({"target": "simulated"}, env={}, cwd=here).target.kind == "simulated", "it has a clock of its own"
    assert Settings().time_scale == 1


# --- secrets ---


def test_secrets_are_in_no_repr_and_in_no_message(here):
    env = {
        "AZURE_CLIENT_SECRET": "canary-1",
        "AZURE_CLIENT_CERTIFICATE_PASSWORD": "canary-2",
        "GRAPHKIT_ACCESS_TOKEN": "canary-3",
        "HTTPS_PROXY": "http://user:canary-4@proxy.example",
    }
    settings = load({}, env=env, cwd=here)
    assert "canary" not in f"{settings} {settings!r} {settings.origins}"
    assert set(settings.secrets) == {"canary-1", "canary-2", "canary-3", "http://user:canary-4@proxy.example"}
    assert "canary" not in problems_of(env=env | {"GRAPHKIT_CLOUD": "moon"}, cwd=here)
    assert "canary" not in problems_of(env={"HTTPS_PROXY": "socks5://user:canary@proxy.example"}, cwd=here)


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX")
@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660, 0o601])
def test_a_dotenv_with_a_secret_that_others_can_read_is_refused(here, mode):
    file = here / ".env"
    file.write_text("AZURE_CLIENT_SECRET=canary\n")
    file.chmod(mode)
    message = problems_of(cwd=here)
    assert f"holds AZURE_CLIENT_SECRET and others on this machine may read it (mode {mode:04o})" in message
    assert "chmod 600 .env" in message
    assert "canary" not in message
    file.chmod(0o600)
    assert load({}, env={}, cwd=here).client_secret == "canary"


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX")
def test_a_dotenv_without_a_secret_may_be_read_by_anyone(here):
    (here / ".env").write_text("GRAPHKIT_CLOUD=china\nAZURE_CLIENT_SECRET=\n")
    (here / ".env").chmod(0o644)
    assert load({}, env={}, cwd=here).cloud == "china"


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("NAME=value", "value"),
        ("export NAME = value  # said why", "value"),
        ("NAME='a $b # c'", "a $b # c"),
        ('NAME="a b" # c', "a b"),
        ("NAME=a#b~c=", "a#b~c="),
        ("NAME=", ""),
        ("NAME=   # nothing", ""),
        ("NAME=two words", "two words"),
    ],
)
def test_a_dotenv_line_is_read_literally(line, value):
    assert parse_dotenv(f"# head\n\n{line}\n") == ({"NAME": value}, [])


@pytest.mark.parametrize("line", ["NAME", "=value", "1NAME=x", "NAME='open", 'NAME="open', "NAME='a' b", "NAME=#x"])
def test_a_dotenv_line_that_is_none_is_counted(line):
    assert parse_dotenv(f"A=1\n{line}") == ({"A": "1"}, [2])


# --- proxies and trust ---


@pytest.mark.parametrize(
    ("host", "used"),
    [
        ("graph.microsoft.com", True),
        ("localhost", False),
        ("127.0.0.1", False),
        ("[::1]", False),
        ("localhost:8080", False),
        ("[::1]:8080", False),
        ("contoso.example:8080", False),
        ("169.254.169.254", False),
        ("contoso.example", False),
        ("login.contoso.example", False),
        ("notcontoso.example", True),
        ("sub.fabrikam.example", False),
    ],
)
def test_a_proxy_is_never_used_for_local_and_excepted_hosts(host, used):
    settings = Settings(https_proxy="http://proxy.example", no_proxy=("contoso.example", "*.fabrikam.example"))
    assert settings.proxy_for(host) == ("http://proxy.example" if used else "")


def test_a_star_excepts_every_host():
    assert Settings(https_proxy="http://proxy.example", no_proxy=("*",)).proxy_for("graph.microsoft.com") == ""


def test_a_bundle_that_cannot_be_used_is_a_usage_error(tmp_path):
    bad = tmp_path / "bad.pem"
    bad.write_text("no certificate")
    for path in (bad, tmp_path / "absent.pem"):
        with pytest.raises(UsageError, match="cannot be used"):
            Settings(ca_bundle=str(path)).ssl_context()


def test_a_bundle_replaces_the_system_store(tmp_path):
    import trustme

    bundle = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(str(bundle))
    assert len(Settings(ca_bundle=str(bundle)).ssl_context().get_ca_certs()) == 1


# --- several app registrations ---

TWO_APPS = """
[[identities]]
client_id = "app-1"
certificate_path = "one.pem"
[[identities]]
client_id = "app-2"
client_secret_variable = "SECOND_SECRET"
"""


def test_identities_are_listed_in_the_project_file_and_their_secrets_elsewhere(here):
    (here / "graphkit.toml").write_text(TWO_APPS)
    private(here / ".env", "SECOND_SECRET=from-file\n")
    first, second = load({}, env={}, cwd=here).identities
    assert (first.client_id, first.certificate_path, first.client_secret) == ("app-1", str(here / "one.pem"), "")
    assert (second.client_id, second.client_secret) == ("app-2", "from-file")
    settings = load({}, env={"SECOND_SECRET": "from-environment"}, cwd=here)
    assert settings.identities[1].client_secret == "from-environment"
    assert "from-environment" in settings.secrets
    assert "from-environment" not in repr(settings)


def test_a_secret_of_an_identity_that_is_nowhere_is_told(here):
    (here / "graphkit.toml").write_text(TWO_APPS)
    assert "identities app-2: SECOND_SECRET is not set" in problems_of(cwd=here)


@pytest.mark.skipif(os.name == "nt", reason="no modes there")
def test_a_dotenv_with_the_secret_of_an_identity_must_be_private(here):
    (here / "graphkit.toml").write_text(TWO_APPS)
    (here / ".env").write_text("SECOND_SECRET=x\n")
    (here / ".env").chmod(0o644)
    assert "holds SECOND_SECRET and others on this machine may read it" in problems_of(cwd=here)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('identities = "app-1"', "must be tables, each under [[identities]]"),
        ("[[identities]]\nclient_id = 'a'", "each needs client_id and exactly one of certificate_path"),
        ("[[identities]]\ncertificate_path = 'a.pem'", "each needs client_id and exactly one of certificate_path"),
        (
            "[[identities]]\nclient_id = 'a'\ncertificate_path = 'a.pem'\nfederated_token_file = 'f'",
            "each needs client_id and exactly one of certificate_path",
        ),
        ("[[identities]]\nclient_id = 'a'\nclient_secret = 'hush'", "a secret does not belong here"),
        ("[[identities]]\nclient_id = 'a'\nclient_certificate = 'a.pem'", "client_certificate: no such key"),
        (2 * "[[identities]]\nclient_id = 'A'\ncertificate_path = 'a.pem'\n", "a is there twice"),
    ],
)
def test_an_identity_that_is_not_whole_is_refused(here, text, problem):
    (here / "graphkit.toml").write_text(text)
    told = problems_of(cwd=here)
    assert f"graphkit.toml identities: {problem}" in told
    assert "hush" not in told


# --- the manual ---


def table_row(setting) -> str:
    item = next(item for item in fields(Settings) if item.name == setting.name)
    default = "" if item.default in (MISSING, None, "", ()) else str(item.default)
    cells = (setting.name, " ".join(setting.env), setting.key, default)
    return f"| {' | '.join(f'`{cell}`' if cell else '' for cell in cells)} | {setting.doc} |"


def test_the_manual_has_one_row_for_each_setting_and_no_other():
    lines = (ROOT / "docs/settings.md").read_text(encoding="utf-8").splitlines()
    start = lines.index("| setting | environment | graphkit.toml | default | meaning |") + 2
    rows = lines[start : lines.index("", start)]
    assert rows == [table_row(setting) for setting in SETTINGS]


def test_the_example_lists_exactly_the_settings_that_exist():
    text = (ROOT / ".env.example").read_text(encoding="utf-8")
    assert re.findall(r"^#([A-Za-z_]+)=", text, re.M) == [setting.env[0] for setting in SETTINGS if setting.env]
    assert parse_dotenv(text) == ({}, [])


def test_the_example_uncommented_is_accepted(here):
    text = (ROOT / ".env.example").read_text(encoding="utf-8")
    private(here / ".env", re.sub(r"^#(?=[A-Za-z_]+=)", "", text, flags=re.M))
    assert load({}, env={}, cwd=here).target.kind == "loopback"


def test_the_project_file_of_the_manual_is_accepted(here):
    text = (ROOT / "docs/settings.md").read_text(encoding="utf-8")
    example = re.search(r"(?ms)^## graphkit\.toml\n\n```toml\n(.+?)^```", text)
    (here / "graphkit.toml").write_text(example[1], encoding="utf-8")
    found = load({}, env={"CONTOSO_APP_2_SECRET": "not a secret"}, cwd=here)
    assert (len(found.identities), len(found.break_glass)) == (2, 2)


def test_every_setting_explains_itself():
    for setting in SETTINGS:
        assert len(setting.doc) > 20, setting.name
        assert setting.doc.endswith("."), setting.name
    assert set(CLOUD_NAMES) <= set(re.findall(r"[\w-]+", SETTINGS[0].doc))
    assert AUTH_METHODS[0] == "auto"


def test_the_clouds_are_those_of_the_table():
    from graphkit.protocol.clouds import CLOUDS

    assert set(CLOUD_NAMES) == set(CLOUDS)
