"""The way in for httpx: a transport that answers every host from one simulated tenant."""

from __future__ import annotations

import asyncio

import httpx

from graphkit.sandbox.faults import die
from graphkit.sandbox.tenant import SimulatedTenant


class SandboxTransport(httpx.AsyncBaseTransport):
    """Give it to ``httpx.AsyncClient(transport=...)``, or call it as a bare transport.

    Raises ``httpx.ReadTimeout`` and ``httpx.ReadError`` when a fault says so. Waits on the tenant's clock only.
    """

    def __init__(self, tenant: SimulatedTenant) -> None:
        self.tenant = tenant

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        tenant = self.tenant
        body = await request.aread()
        if tenant.latency_s:
            await tenant.clock.sleep(tenant.latency_s / 2)
        answer = tenant.handle(request.method, str(request.url), dict(request.headers), body)
        wait = answer.delay_s + tenant.latency_s / 2
        if wait:
            await tenant.clock.sleep(wait)
        if answer.failure == "timeout":
            raise httpx.ReadTimeout("the simulated tenant does not answer", request=request)
        if answer.failure:
            raise httpx.ReadError("the simulated tenant reset the connection", request=request)
        if answer.last:  # when the client waits for something next, it has the answer
            asyncio.get_running_loop().call_soon(die)
        return httpx.Response(answer.status, headers=answer.headers, content=answer.body, request=request)
