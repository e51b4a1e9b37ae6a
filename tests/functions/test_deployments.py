"""What an app needs before it does anything, and what its files say of each other."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from graphkit.errors import UsageError
from graphkit.functions.deployment import Deployment, require_share
from graphkit.functions.mounts import is_on_a_share
from graphkit.functions.queue import LONGEST_DELAY_S, Message, StorageQueue
from graphkit.settings import SETTINGS, load

DEPLOY = Path(__file__).parents[2] / "deploy"
MOUNTS = """\
overlay / overlay rw 0 0
proc /proc proc rw 0 0
//contosoruns.file.core.windows.net/runs /mounts/runs cifs rw,vers=3.1.1 0 0
contoso:/runs /mounts/with\\040space nfs4 rw 0 0
/dev/sda1 /mounts/runs/local ext4 rw 0 0
tmpfs /mounts/below tmpfs rw 0 0
//contosoruns.file.core.windows.net/runs /mounts/below cifs rw 0 0
"""

PLACES = [
    ("/mounts/runs", True),
    ("/mounts/runs/functions/x", True),
    ("/mounts/with space/x", True),
    ("/mounts/below/x", True),
    ("/mounts/runs/local/x", False),
    ("/mounts/runs2", False),
    ("/tmp/runs", False),
    ("/", False),
]


@pytest.mark.skipif(sys.platform == "win32", reason="mount points are of Linux")
@pytest.mark.parametrize(("place", "shared"), PLACES)
def test_a_folder_is_on_a_share_by_the_file_system_that_is_mounted_nearest(place, shared):
    assert is_on_a_share(Path(place), MOUNTS) is shared


def test_nothing_is_known_to_be_a_share_where_mounts_cannot_be_read(monkeypatch, tmp_path):
    monkeypatch.setattr("graphkit.functions.mounts._MOUNTS", tmp_path / "none")
    assert not is_on_a_share(tmp_path)


def test_a_runs_folder_on_the_disk_of_an_instance_is_refused_unless_a_setting_accepts_it(tmp_path):
    where = {"GRAPHKIT_RUNS_DIR": str(tmp_path)}
    with pytest.raises(UsageError, match="not on a mounted share") as caught:
        require_share(load({}, env=where, cwd=tmp_path))
    assert "environment GRAPHKIT_RUNS_DIR" in caught.value.message
    require_share(load({}, env={**where, "GRAPHKIT_FUNCTIONS_LOCAL_RUNS": "1"}, cwd=tmp_path))


def test_a_deployment_is_opened_by_the_environment_alone(monkeypatch, tmp_path):
    monkeypatch.setenv("GRAPHKIT_RUNS_DIR", str(tmp_path))
    monkeypatch.setenv("GRAPHKIT_FUNCTIONS_LOCAL_RUNS", "1")
    assert Deployment.open().settings.runs_dir == tmp_path


def test_without_a_queue_a_message_is_refused_and_both_settings_are_named(tmp_path):
    with pytest.raises(UsageError, match="no queue") as caught:
        StorageQueue(load({}, env={}, cwd=tmp_path)).send(Message("0" * 32, 0))
    assert "AzureWebJobsStorage__queueServiceUri" in caught.value.hint


def test_a_message_is_hidden_no_longer_than_the_service_allows(monkeypatch, tmp_path):
    sent = []

    class Client:
        def send_message(self, text, **how):
            sent.append(how)

    queue = StorageQueue(load({}, env={}, cwd=tmp_path))
    monkeypatch.setattr(queue, "_client", Client())
    for delay in (-5, 0, 12.4, 30 * 24 * 3600):
        queue.send(Message("0" * 32, 0), delay=delay)
    assert [how["visibility_timeout"] for how in sent] == [0, 0, 12, LONGEST_DELAY_S]
    assert {how["time_to_live"] for how in sent} == {-1}


def test_in_azure_the_queue_is_reached_with_the_managed_identity(monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr("azure.identity.ManagedIdentityCredential", lambda **how: asked.append(how) or "identity")
    monkeypatch.setattr("azure.storage.queue.QueueClient", lambda *given, **how: (given, how))
    from graphkit.functions.queue import _connect

    env = {
        "AzureWebJobsStorage__queueServiceUri": "https://contosohost.queue.core.windows.net/",
        "AzureWebJobsStorage": "UseDevelopmentStorage=true",
        "GRAPHKIT_MANAGED_IDENTITY_CLIENT_ID": "33333333-3333-4333-8333-333333333333",
    }
    given, how = _connect(load({}, env=env, cwd=tmp_path))
    assert given == ("https://contosohost.queue.core.windows.net", "graphkit-runs")
    assert how == {"credential": "identity"}
    assert asked == [{"client_id": "33333333-3333-4333-8333-333333333333"}]


@pytest.mark.parametrize(
    "address",
    [
        "http://contosohost.queue.core.windows.net",
        "https://contosohost.queue.core.windows.net.evil.example",
        "https://queue.example/contosohost",
        "https://evil.example#.queue.core.windows.net",
    ],
)
def test_the_identity_is_shown_to_no_other_host_than_a_queue_service(address, tmp_path):
    with pytest.raises(UsageError, match="not the address of an Azure queue service"):
        load({}, env={"AzureWebJobsStorage__queueServiceUri": address}, cwd=tmp_path)


@pytest.mark.parametrize(
    ("text", "seconds"), [("00:30:00", 1800.0), ("01:00:05", 3605.0), ("600", 600.0), ("-1", 1800.0)]
)
def test_the_hosts_time_out_is_read_as_the_host_writes_it(tmp_path, text, seconds):
    assert load({}, env={"AzureFunctionsJobHost__functionTimeout": text}, cwd=tmp_path).functions_timeout == seconds


@pytest.mark.parametrize("text", ["00:00:00", "soon", "0 0 2 * *"])
def test_a_time_out_or_schedule_that_is_none_is_refused(tmp_path, text):
    for name in ("AzureFunctionsJobHost__functionTimeout", "GRAPHKIT_FUNCTIONS_DRIFT_SCHEDULE"):
        with pytest.raises(UsageError):
            load({}, env={name: text}, cwd=tmp_path)


def test_no_other_door_loads_what_only_the_function_app_needs():
    code = "import graphkit.cli.app, graphkit.functions.work, graphkit.functions.http, sys; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {name for name in loaded if name.startswith(("azure.", "graphkit.functions.app"))}


# -- the files of a deployment: read, not deployed --------------------------------------------------------------------

BICEP = (DEPLOY / "infra" / "main.bicep").read_text(encoding="utf-8")
VARIABLES = {name for setting in SETTINGS for name in setting.env}


def app_settings():
    block = BICEP.partition("name: 'appsettings'")[2].partition("dependsOn")[0]
    return dict(re.findall(r"(?m)^      (\w+): (.+)$", block))


def test_the_template_sets_no_variable_of_ours_that_does_not_exist():
    ours = {name for name in app_settings() if name.startswith(("GRAPHKIT_", "AZURE_"))}
    assert ours
    assert ours <= VARIABLES
    assert "AzureWebJobsStorage__queueServiceUri" in app_settings()


def test_the_template_puts_no_secret_into_a_setting():
    secret = {name for setting in SETTINGS if setting.secret for name in setting.env}
    assert not secret & app_settings().keys()
    assert not [value for value in app_settings().values() if "listKeys" in value or "AccountKey" in value]
    assert "allowSharedKeyAccess: false" in BICEP


def test_the_template_applies_and_enforces_nothing_by_default():
    assert "param applies bool = false" in BICEP
    assert app_settings()["GRAPHKIT_FUNCTIONS_DRIFT_ENFORCE"] == "'0'"


def test_the_template_says_that_it_was_not_deployed():
    assert "NOT DEPLOYED" in BICEP.splitlines()[1]


def test_the_local_settings_are_accepted_and_hold_no_secret(tmp_path):
    values = json.loads((DEPLOY / "functions" / "local.settings.json.example").read_text())["Values"]
    assert load({}, env=values, cwd=tmp_path).target.kind == "loopback"
    assert values["AzureWebJobsStorage"] == "UseDevelopmentStorage=true"
    assert {name for name in values if name.startswith("GRAPHKIT_")} <= VARIABLES
