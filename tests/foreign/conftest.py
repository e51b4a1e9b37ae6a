"""A tenant over HTTPS for clients that nobody here wrote, with delays short enough for real time."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from served import served

from graphkit.clock import RealClock
from graphkit.sandbox import ClientFiles, Seed, SimulatedTenant, make_authority

SMALL = Seed(organisations=2, users=120)


@dataclass(frozen=True)
class Served:
    tenant: SimulatedTenant
    address: str
    files: ClientFiles

    @property
    def client_id(self) -> str:
        return self.tenant.seed.app_id

    @property
    def secret(self) -> str:
        return next(iter(self.tenant.login.apps[self.client_id].secrets))


@pytest.fixture
def secure(tmp_path):
    tls, files, certificate = make_authority(tmp_path / "ca", "127.0.0.1")
    tenant = SimulatedTenant(RealClock(), seed=SMALL, replication_s=0.3, licensing_s=0.3, team_s=0.5, team_window_s=0.5)
    tenant.login.apps[SMALL.app_id].certificates.append(certificate)
    with served(tenant, tls) as address:
        yield Served(tenant, address, files)
    assert tenant.not_modelled == []
