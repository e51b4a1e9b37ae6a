from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from graphkit.sandbox import Seed, SimulatedTenant
from graphkit.sandbox.seeding.population import Staff

ROOT = "https://graph.microsoft.com"
SMALL = Seed(organisations=2, users=120, seats={"SPE_E3": 60})
START = 1_767_603_600.0


class ManualClock:
    def __init__(self, at: float = START) -> None:
        self.at = at

    def now(self) -> float:
        return self.at

    async def sleep(self, seconds: float) -> None:
        self.at += seconds


class Told(NamedTuple):
    status: int
    json: Any
    headers: dict[str, str]
    failure: str

    @property
    def code(self) -> str:
        return self.json["error"]["code"]

    @property
    def message(self) -> str:
        return self.json["error"]["message"]

    @property
    def reason(self) -> str:
        """As some services tell it: within, under a message that says nothing."""
        return self.json["error"]["innerError"].get("message") or self.message


class Client:
    """Speaks to a tenant as one application would, without any transport."""

    def __init__(self, tenant: SimulatedTenant, clock: ManualClock) -> None:
        self.tenant = tenant
        self.clock = clock

    def __call__(self, method: str, path: str, body: Any = None, version: str = "v1.0", **headers: str) -> Told:
        sent = {"Authorization": "Bearer sandbox"}
        sent.update({name.replace("_", "-"): value for name, value in headers.items()})
        if body is not None:
            sent["Content-Type"] = "application/json"
        answer = self.tenant.handle(
            method,
            path if "://" in path else f"{ROOT}/{version}{path}",
            sent,
            json.dumps(body).encode() if body is not None else b"",
        )
        document = json.loads(answer.body) if answer.body[:1] == b"{" else answer.body.decode()
        return Told(answer.status, document, answer.headers, answer.failure.kind if answer.failure else "")

    def bearer(self, *permissions: str) -> dict[str, str]:
        """The header of an app with these application permissions and no others."""
        signer = self.tenant.login.signer
        claims = {"iss": signer.issuer, "exp": self.clock.at + 9_999, "idtyp": "app", "appid": "a"}
        return {"Authorization": f"Bearer {signer.sign({**claims, 'roles': permissions})}"}

    @staticmethod
    def link(key: str) -> str:
        return f"{ROOT}/v1.0/directoryObjects/{key}"

    def user(self, number: int, org: int = 1) -> str:
        return self.tenant.seed.id_of("user", f"rx{org}-{number:04}@contoso.example")

    def group(self, name: str = "Pool", **more: Any) -> str:
        body = {"displayName": name, "mailEnabled": False, "mailNickname": name, "securityEnabled": True, **more}
        made = self("POST", "/groups", body)
        assert made.status == 201, made.json
        self.clock.at += 5
        return made.json["id"]

    def unified(self, name: str = "Ward", **more: Any) -> str:
        return self.group(name, mailEnabled=True, securityEnabled=False, groupTypes=["Unified"], **more)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def tenant(clock: ManualClock) -> SimulatedTenant:
    return SimulatedTenant(clock, seed=SMALL, throttling=False, replication_s=0)


@pytest.fixture
def speak(clock: ManualClock) -> Callable[[SimulatedTenant], Client]:
    """A client of another tenant."""
    return lambda tenant: Client(tenant, clock)


@pytest.fixture
def graph(tenant: SimulatedTenant, clock: ManualClock) -> Client:
    return Client(tenant, clock)


@pytest.fixture
def looks(monkeypatch):
    """The positions of the seeded people who were worked out: a list that grows."""
    positions = []
    at = Staff.at

    def counted(self, position):
        positions.append(position)
        return at(self, position)

    monkeypatch.setattr(Staff, "at", counted)
    return positions


@pytest.fixture(autouse=True)
def kept_tenants_are_closed(monkeypatch):
    """Whatever a test opened in a file: Python 3.13 warns of a database that nobody closed."""
    opened = []
    open_one = SimulatedTenant.open.__func__

    def remembered(cls, *arguments, **options):
        opened.append(open_one(cls, *arguments, **options))
        return opened[-1]

    monkeypatch.setattr(SimulatedTenant, "open", classmethod(remembered))
    yield
    for tenant in opened:
        tenant.close()
