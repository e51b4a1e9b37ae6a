"""The function app in the hands of Microsoft's own worker library, and what would be deployed with it.

Of the real host this proves what the worker does: import, index, hand over, take back. The host itself (keys, scaling,
the listener of the queue) is .NET and is not here.
"""

from __future__ import annotations

import json
import os
import subprocess
import zlib
from importlib.metadata import distributions
from pathlib import Path

import pytest
from azure.storage.queue import QueueClient
from others import FOLDER, WORKER, azurite, need
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from graphkit import __version__
from graphkit.functions.queue import POISON, QUEUE
from graphkit.settings import Settings

ROOT = FOLDER.parents[1]
APP = ROOT / "deploy" / "functions"
LIBRARY = "the worker library (azure-functions-runtime, for Python 3.13)"
MOST_BYTES = 30_000_000


def index(*calls, folder=APP, **variables):
    """What the worker tells of the app, and its answers to these calls."""
    python = WORKER / "bin" / "python"
    need((WORKER / ".installed").is_file(), LIBRARY)
    done = subprocess.run(
        [str(python), str(FOLDER / "functions" / "worker.py"), str(folder)],
        input="\n".join(json.dumps(call) for call in calls),
        env={
            "PATH": os.environ["PATH"],
            "HOME": os.environ["HOME"],
            "PYTHONPATH": str(ROOT),
            "PYTHONDONTWRITEBYTECODE": "1",
            **variables,
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def trigger(found, name):
    (function,) = [each for each in found["functions"] if each["name"] == name]
    return function["bindings"][0]


HTTP = [
    ("start", "POST", "runs/{recipe}"),
    ("show", "GET", "runs/{id}"),
    ("approve", "POST", "runs/{id}/approve"),
    ("cancel", "POST", "runs/{id}/cancel"),
]


def test_the_worker_finds_every_function_with_its_route_key_queue_and_schedule():
    found = index()
    assert found["python"] == [3, 13]
    assert sorted(each["name"] for each in found["functions"]) == sorted(
        [*(name for name, _, _ in HTTP), "work", "poison", "drift"]
    )
    for name, method, route in HTTP:
        binding = trigger(found, name)
        assert (binding["type"], binding["methods"], binding["route"]) == ("httpTrigger", [method], route)
        assert binding["authLevel"] == "FUNCTION"
    for name, queue in (("work", QUEUE), ("poison", POISON)):
        binding = trigger(found, name)
        assert (binding["type"], binding["queueName"]) == ("queueTrigger", queue)
        assert binding["connection"] == "AzureWebJobsStorage"
    assert (trigger(found, "drift")["type"], trigger(found, "drift")["schedule"]) == ("timerTrigger", "0 0 2 * * *")


def test_the_schedule_is_that_of_the_setting():
    assert trigger(index(GRAPHKIT_FUNCTIONS_DRIFT_SCHEDULE="0 30 3 * * 1-5"), "drift")["schedule"] == "0 30 3 * * 1-5"


def request(method, path, body="", **params):
    return {"req": {"method": method, "url": f"https://app.example/api/{path}", "params": params, "body": body}}


def answers(found):
    return [
        (int(each["return_value"]["http"]["status_code"]), json.loads(each["return_value"]["http"]["body"]["bytes"]))
        for each in found["answers"]
    ]


POOL = {
    "pools.yaml": "pools:\n  - {org: RX1, sku: SPE_E3, cap: 5, members_from: rx1.csv}\n",
    "rx1.csv": "upn\nrx1-0001@contoso.example\n",
}


def test_a_request_goes_through_worker_and_queue(tmp_path):
    with azurite() as storage:
        where = {
            "AzureWebJobsStorage": storage,
            "GRAPHKIT_RUNS_DIR": str(tmp_path),
            "GRAPHKIT_FUNCTIONS_LOCAL_RUNS": "1",
            "GRAPHKIT_FUNCTIONS_RECIPES": "licenses.pools",
        }
        body = json.dumps({"inputs": POOL})
        (status, told), (again, _), (refused, _) = answers(
            index(
                {"function": "start", "data": request("POST", "runs/licenses.pools", body, recipe="licenses.pools")},
                {"function": "start", "data": request("POST", "runs/licenses.pools", body, recipe="licenses.pools")},
                {"function": "show", "data": request("GET", "runs/x", id="x")},
                **where,
            )
        )
        assert (status, again, refused) == (202, 202, 404)
        with QueueClient.from_connection_string(storage, QUEUE) as queue:
            (message,) = queue.receive_messages()
        assert json.loads(message.content) == {"run": told["run"], "slice": 0}
        found = index(
            {"function": "poison", "data": {"message": message.content}},
            {"function": "show", "data": request("GET", f"runs/{told['run']}", id=told["run"])},
            **where,
        )
        assert found["answers"][0]["result"]["status"] == "Success"
        assert answers({"answers": found["answers"][1:]})[0][1]["status"] == "failed"


def test_a_start_on_the_disk_of_one_instance_is_refused(tmp_path):
    ((status, told),) = answers(
        index({"function": "show", "data": request("GET", "runs/x", id="x")}, GRAPHKIT_RUNS_DIR=str(tmp_path))
    )
    assert status == 503
    assert "not on a mounted share" in told["error"]["message"]


def test_a_wrong_setting_keeps_the_app_from_starting_and_is_named():
    with pytest.raises(AssertionError, match="six fields"):
        index(GRAPHKIT_FUNCTIONS_DRIFT_SCHEDULE="daily")


# -- what is deployed ------------------------------------------------------------------------------------------------


def deployed(path: Path) -> dict[str, object]:
    """The distributions that requirements.txt resolves to, from those installed in ``path``."""
    there = {canonicalize_name(each.metadata["Name"]): each for each in distributions(path=[str(path)])}
    found: dict[str, frozenset] = {}
    waiting = [("graphkit-m365", frozenset({"functions"}))]
    where = {"python_version": "3.13", "python_full_version": "3.13.0", "sys_platform": "linux", "os_name": "posix"}
    where |= {"platform_system": "Linux", "platform_python_implementation": "CPython"}
    while waiting:
        name, extras = waiting.pop()
        if name in found and extras <= found[name]:
            continue
        found[name] = found.get(name, frozenset()) | extras
        for requirement in map(Requirement, there[name].requires or ()):
            marker = requirement.marker
            if marker is None or any(marker.evaluate({**where, "extra": each}) for each in ("", *extras)):
                waiting.append((canonicalize_name(requirement.name), frozenset(requirement.extras)))
    return {name: there[name] for name in found}


def test_the_package_is_under_30_mb_and_holds_no_msgraph_sdk():
    """Computed, not built: every file of the distributions that would be installed, as they lie in the worker's own
    environment, and the two packages of ours, each deflated as in a zip. A real build was weighed by hand once; the
    manual has the figures. Byte code is left out, as a build leaves it out.
    """
    need((WORKER / ".installed").is_file(), LIBRARY)
    found = deployed(WORKER / "lib" / "python3.13" / "site-packages")
    assert {"azure-functions", "azure-storage-queue", "httpx", "graphkit-m365"} <= found.keys()
    assert not [name for name in found if name.startswith(("msgraph", "microsoft-kiota"))]
    files = [file.locate() for name, each in found.items() if name != "graphkit-m365" for file in each.files]
    files += [path for package in ("graphkit", "recipes") for path in (ROOT / package).rglob("*")]
    files += list(APP.iterdir())
    kept = {Path(path).resolve() for path in files if "__pycache__" not in Path(path).parts}
    weight = sum(len(zlib.compress(path.read_bytes())) for path in kept if path.is_file())
    assert 5_000_000 < weight < MOST_BYTES


def test_the_requirement_is_the_wheel_that_make_functions_builds():
    (line,) = [line for line in (APP / "requirements.txt").read_text().splitlines() if not line.startswith("#")]
    assert line == f"./wheels/graphkit_m365-{__version__}-py3-none-any.whl[functions]"


def test_the_hosts_own_settings_agree_with_ours():
    host = json.loads((APP / "host.json").read_text())
    queues = host["extensions"]["queues"]
    assert (queues["batchSize"], queues["newBatchThreshold"]) == (1, 0)
    assert queues["messageEncoding"] == "none"
    assert host["extensions"]["http"]["routePrefix"] == "api"
    hours, minutes, seconds = (int(part) for part in host["functionTimeout"].split(":"))
    assert hours * 3600 + minutes * 60 + seconds == Settings().functions_timeout


def test_secrets_and_runs_are_not_deployed():
    ignored = (APP / ".funcignore").read_text().split()
    assert {"local.settings.json", ".env", "graphkit.toml", "*.run"} <= set(ignored)
