"""graphkit config and completion."""

import os
import subprocess
import sys
import tomllib

import pytest


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_list_says_where_each_value_comes_from(graphkit, monkeypatch):
    monkeypatch.setenv("GRAPHKIT_CLOUD", "china")
    rows = {row["name"]: row for row in graphkit("config", "list", "--show-origin", "-o", "json").json}
    assert (rows["cloud"]["value"], rows["cloud"]["origin"]) == ("china", "environment GRAPHKIT_CLOUD")
    assert rows["quota_share"]["origin"] == "default"


def test_no_secret_is_listed(graphkit, monkeypatch):
    monkeypatch.setenv("AZURE_CLIENT_SECRET", "hush-hush")
    for arguments in (["list"], ["list", "-o", "json"], ["get", "client_secret"]):
        result = graphkit("config", *arguments)
        assert "hush-hush" not in result.stdout + result.stderr
        assert "set, not shown" in result.stdout


@pytest.mark.parametrize("name", ["quota_share", "GRAPHKIT_QUOTA_SHARE"])
def test_a_setting_is_found_by_each_of_its_names(graphkit, name):
    assert graphkit("config", "get", name, "-o", "json").json == 0.7


def test_an_unknown_name_is_answered_with_those_near_it(graphkit):
    result = graphkit("config", "get", "quota_shore")
    assert (result.code, "quota_share" in result.stderr) == (5, True)


def test_set_keeps_the_comments_of_the_file(graphkit, folder):
    (folder / "graphkit.toml").write_text('# ours\ncloud = "global" # for now\n\n[safety]\n# two of them\n')
    assert graphkit("config", "set", "break_glass", '["bg1@contoso.example"]').code == 0
    assert graphkit("config", "set", "cloud", "china").code == 0
    text = (folder / "graphkit.toml").read_text()
    assert {"# ours", "# for now", "# two of them"} <= {part.strip() for part in text.replace("#", "\n#").split("\n")}
    assert tomllib.loads(text) == {"cloud": "china", "safety": {"break_glass": ["bg1@contoso.example"]}}
    assert graphkit("config", "get", "cloud").stdout.strip() == "china"


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("quota_share", "2", "above 1"),
        ("cloud", "moon", "not one of"),
        ("client_secret", "x", "AZURE_CLIENT_SECRET"),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_is_written(graphkit, folder, name, value, said):
    result = graphkit("config", "set", name, value)
    assert (result.code, said in result.stderr) == (5, True)
    assert not (folder / "graphkit.toml").exists()


def test_the_users_own_file_comes_after_that_of_the_folder(graphkit):
    assert graphkit("config", "set", "--user", "quota_share", "0.5").code == 0
    rows = graphkit("config", "path", "-o", "json").json
    assert [row["there"] for row in rows] == [False, False, True]
    assert graphkit("config", "get", "quota_share", "-o", "json").json == 0.5
    graphkit("config", "set", "quota_share", "0.9")
    assert graphkit("config", "get", "quota_share", "-o", "json").json == 0.9


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_its_script(graphkit, shell):
    result = graphkit("completion", shell)
    assert (result.code, "_GRAPHKIT_COMPLETE" in result.stdout) == (0, True)


def test_a_shell_that_asks_gets_the_commands(tmp_path):
    asked = {"_GRAPHKIT_COMPLETE": "bash_complete", "COMP_WORDS": "graphkit dr", "COMP_CWORD": "1"}
    answer = subprocess.run(
        [sys.executable, "-m", "graphkit"], env={**os.environ, **asked}, capture_output=True, text=True, check=True
    )
    assert answer.stdout.split() == ["plain,drift"]
