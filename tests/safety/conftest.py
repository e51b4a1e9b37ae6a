"""A served tenant, without the waits that only cost time here, and tokens that say what they permit."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from served import served

from graphkit.clock import RealClock
from graphkit.sandbox import Seed, SimulatedTenant


class Served:
    """A tenant at an address; ``token`` is that of an app with these permissions."""

    def __init__(self, tenant: SimulatedTenant, address: str) -> None:
        self.tenant = tenant
        self.address = address

    def token(self, *roles: str, **more: Any) -> str:
        signer = self.tenant.login.signer
        ends = self.tenant.clock.now() + 3600
        claims = {"iss": signer.issuer, "tid": self.tenant.tenant_id, "exp": ends, "idtyp": "app", "appid": "a"}
        return str(signer.sign({**claims, "roles": list(roles), **more}))


@pytest.fixture
def served_tenant() -> Iterator[Served]:
    waits = {"replication_s": 0, "licensing_s": 0, "team_window_s": 0, "team_s": 0}
    tenant = SimulatedTenant(RealClock(), seed=Seed(organisations=1, users=60), throttling=False, **waits)
    with served(tenant) as address:
        yield Served(tenant, address)
