"""Messages in a real queue service: what is put, what comes again, what is hidden, what is poison.

Azurite is Microsoft's emulator of the service. The listener here stands for the host's, which is .NET: it does what
https://learn.microsoft.com/azure/azure-functions/functions-bindings-storage-queue-trigger says of it and no more.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from azure.storage.queue import QueueClient
from others import FOLDER, azurite

from graphkit.errors import ConnectionFailed
from graphkit.functions import slicing
from graphkit.functions.deployment import Deployment
from graphkit.functions.http import approve, described, start
from graphkit.functions.queue import POISON, QUEUE, Message, StorageQueue
from graphkit.functions.work import give_up, work
from graphkit.settings import load

HOST = json.loads((FOLDER.parents[1] / "deploy/functions/host.json").read_text())["extensions"]["queues"]
SECONDS = 1
"""How long a message that is being worked on stays hidden here; the host hides it for minutes and renews that."""

ROWS = "".join(f"rx1-{number:04}@contoso.example\n" for number in range(1, 46))
BODY = {
    "inputs": {
        "pools.yaml": "pools:\n  - {org: RX1, sku: SPE_E3, cap: 50, members_from: rx1.csv}\n",
        "rx1.csv": f"upn\n{ROWS}",
    }
}


@pytest.fixture(scope="module")
def storage():
    with azurite() as connection:
        yield connection


@dataclass
class Listener:
    """One instance of the host, as far as its queue is concerned."""

    deployment: Deployment
    storage: str

    def client(self, name):
        return QueueClient.from_connection_string(self.storage, name)

    def receive(self, name=QUEUE):
        """The next message, waited for; hidden from others for a second."""
        with self.client(name) as queue:
            for _ in range(200):
                found = queue.receive_message(visibility_timeout=SECONDS)
                if found:
                    return found
                time.sleep(0.05)
        raise AssertionError("no message came")

    def handle(self, message):
        """The function, then the message is gone; if it raises the message is shown again, at last as poison."""
        with self.client(QUEUE) as queue, self.client(POISON) as poison:
            try:
                work(self.deployment, message.content)
            except Exception:
                if message.dequeue_count >= HOST["maxDequeueCount"]:
                    poison.send_message(message.content)
                    queue.delete_message(message)
                else:
                    queue.update_message(message, visibility_timeout=0)
                return False
            queue.delete_message(message)
            return True

    def count(self, name=QUEUE):
        with self.client(name) as queue:
            return queue.get_queue_properties().approximate_message_count


@pytest.fixture
def listener(storage, tenant, tmp_path):
    tenant.seed(users=180)
    env = {
        "AzureWebJobsStorage": storage,
        "GRAPHKIT_RUNS_DIR": str(tmp_path / "share"),
        "GRAPHKIT_FUNCTIONS_RECIPES": "licenses.pools",
        "GRAPHKIT_FUNCTIONS_APPLY": "1",
        "GRAPHKIT_FUNCTIONS_LOCAL_RUNS": "1",
    }
    flags = {"target": "simulated", "state": str(tenant.path), "virtual_time": True}
    settings = load(flags, env=env, cwd=Path(tmp_path))
    for name in (QUEUE, POISON):
        with QueueClient.from_connection_string(storage, name) as queue:
            try:
                queue.create_queue()
            except Exception:  # it is there from the test before
                queue.clear_messages()
    return Listener(Deployment(settings, StorageQueue(settings)), storage)


def begin(listener, label):
    return start(listener.deployment, "licenses.pools", json.dumps({**BODY, "label": label}).encode(), {}).body["run"]


def shown(listener, run):
    return described(listener.deployment.runs.find(run))


def test_a_message_is_plain_text_and_never_vanishes(listener):
    run = begin(listener, "plain")
    message = listener.receive()
    assert json.loads(message.content) == {"run": run, "slice": 0}
    assert message.expires_on.year > 9000


def test_the_queue_is_made_where_the_host_has_not_listened_yet(storage, listener):
    with listener.client(QUEUE) as queue:
        queue.delete_queue()
    begin(listener, "early")
    assert listener.count() == 1


def test_a_delayed_message_is_there_and_not_shown(listener):
    listener.deployment.queue.send(Message("0" * 32, 0), delay=60)
    with listener.client(QUEUE) as queue:
        assert queue.receive_message() is None
    assert listener.count() == 1


def test_a_run_goes_from_request_to_end_message_by_message(listener, tenant):
    run = begin(listener, "whole")
    assert listener.handle(listener.receive())
    assert shown(listener, run)["status"] == "planned"
    approve(listener.deployment, run, b"", {})
    assert listener.handle(listener.receive())
    assert (shown(listener, run)["status"], shown(listener, run)["exitCode"]) == ("finished", 0)
    assert (listener.count(), listener.count(POISON)) == (0, 0)


def test_a_message_whose_worker_vanished_is_shown_again_and_writes_once(listener, tenant):
    run = begin(listener, "again")
    assert listener.handle(listener.receive())
    approve(listener.deployment, run, b"", {})
    first = listener.receive()
    work(listener.deployment, first.content)  # and the worker is gone before the message is deleted
    written = len(tenant.log())
    second = listener.receive()
    assert (second.content, second.dequeue_count) == (first.content, 2)
    assert listener.handle(second)
    assert len(tenant.log()) == written
    assert listener.count() == 0


def test_a_message_that_is_shown_while_its_worker_is_still_at_it_is_left_to_that_one(listener, tenant, monkeypatch):
    run = begin(listener, "both")
    assert listener.handle(listener.receive())
    approve(listener.deployment, run, b"", {})
    message = listener.receive()
    others = []
    note = slicing._Presence.note

    def meanwhile(self, progress):
        note(self, progress)
        if not others:
            others.append(listener.receive())  # the host took the first worker for dead
            assert listener.handle(others[0])

    monkeypatch.setattr(slicing._Presence, "note", meanwhile)
    work(listener.deployment, message.content)
    assert (others[0].dequeue_count, shown(listener, run)["status"]) == (2, "finished")
    assert listener.count() == 1  # put again for later, when it will be found stale
    with listener.client(QUEUE) as queue:
        assert queue.receive_message() is None
    members = [entry for entry in tenant.log() if entry.method == "PATCH" and entry.path.startswith("/groups/")]
    assert len(members) == 3


def test_a_message_that_fails_each_time_ends_in_the_poison_queue_and_the_run_as_failed(listener, monkeypatch):
    run = begin(listener, "poison")

    def fail(*_):
        raise ConnectionFailed("the network is away")

    monkeypatch.setattr(slicing, "plan", fail)
    tries = 0
    while listener.count() and tries < 20:
        assert not listener.handle(listener.receive())
        tries += 1
    assert tries == HOST["maxDequeueCount"]
    message = listener.receive(POISON)
    give_up(listener.deployment, message.content)
    found = shown(listener, run)
    assert (found["status"], found["error"]["code"]) == ("failed", "connection-failed")
    assert "the network is away" in found["error"]["message"]
