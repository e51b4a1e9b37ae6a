"""Record the project's own cassettes anew, each from a tenant of its own that ``graphkit sim serve`` serves.

    python tools/cassettes.py [NAME ...]

Takes about a minute. Every recording draws a new key, so that a cassette changes all over; what it tells does not.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "tests" / "cassettes"
USERS = 60
TIME_SCALE = 5
BREAK_GLASS = "break-glass-1@contoso.example,break-glass-2@contoso.example"

POOLS = """\
pools:
  - {org: RX1, sku: SPE_E3, cap: 40, members_from: members.csv}
  - {org: RX2, sku: EMS, cap: 10, group: Night staff, members_from: {csv: staff.csv, match: {ward: Ward 4}}}
"""
STAFF = [("upn", "ward"), *((f"rx2-{number:04}@contoso.example", f"Ward {3 + number % 2}") for number in range(1, 11))]
POLICIES = """\
named_locations:
  - {key: office, name: Head office, ip_ranges: [203.0.113.0/24], trusted: true}
  - {key: uk, name: United Kingdom, countries: [GB]}
policies:
  - key: mfa-all
    name: Require MFA for everyone
    state: report
    include: {users: [All]}
    exclude: {groups: [Break glass]}
    apps: {include: [All]}
    conditions: {clientAppTypes: [all], locations: {includeLocations: [All], excludeLocations: [office]}}
    grant: {operator: OR, builtInControls: [mfa]}
  - key: block-legacy
    name: Block legacy authentication
    state: on
    include: {users: [All]}
    exclude: {groups: [Break glass], users: [break-glass-1@contoso.example]}
    apps: {include: [Office365]}
    conditions: {clientAppTypes: [exchangeActiveSync, other]}
    grant: {operator: OR, builtInControls: [block]}
"""
PROJECT = {
    "name": "Ward 7 handover",
    "nickname": "ward-7-handover",
    "members": [f"rx3-{number:04}@contoso.example" for number in (1, 2, 3)],
}


def main(wanted: Sequence[str]) -> None:
    for name, record in RECORDINGS.items():
        if wanted and name not in wanted:
            continue
        cassette = FOLDER / f"{name}.jsonl"
        cassette.unlink(missing_ok=True)
        with tempfile.TemporaryDirectory() as folder, served(Path(folder)) as address:
            record(cassette, Path(folder), address)
        command("record", "--check", str(cassette))
        print(f"{cassette.relative_to(ROOT)}: {cassette.stat().st_size:,} bytes")


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address of a new tenant."""
    words = ["sim", "serve", "--port", "0", "--users", str(USERS), "--time-scale", str(TIME_SCALE), "-o", "json"]
    arguments = [sys.executable, "-m", "graphkit", *words]
    with subprocess.Popen(arguments, cwd=folder, env=environment(), stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield json.loads("".join(iter(server.stdout.readline, "}\n")) + "}")["address"]
        finally:
            server.terminate()


def environment(**further: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("GRAPHKIT_", "AZURE_"))}
    return {**kept, "PYTHONPATH": str(ROOT), **further}


def command(*arguments: str, **further: str) -> None:
    subprocess.run([sys.executable, "-m", "graphkit", *arguments], env=environment(**further), check=True)


def record_command(cassette: Path, folder: Path, address: str, *words: str, **further: str) -> None:
    settings = folder / "graphkit.toml"
    settings.write_text(f"quota_share = 1.0\n[limits]\ntime_scale = {TIME_SCALE}\n", encoding="utf-8")
    command(
        *("-t", address, "--config", str(settings), "-o", "none", "record", str(cassette), "--", *words),
        GRAPHKIT_ACCESS_TOKEN="simulated",
        GRAPHKIT_RUNS_DIR=str(folder / "runs"),
        **further,
    )


def pools(cassette: Path, folder: Path, address: str) -> None:
    (folder / "pools.yaml").write_text(POOLS, encoding="utf-8")
    people = "".join(f"rx1-{number:04}@contoso.example\n" for number in range(1, 21))
    # Beyond the 20 that one write takes, so that the order of names decides who travels with whom.
    more = "".join(f"rx3-{number:04}@contoso.example\n" for number in range(1, 6))
    (folder / "members.csv").write_text(f"upn\n{people}{more}", encoding="utf-8")
    (folder / "staff.csv").write_text("".join(f"{','.join(row)}\n" for row in STAFF), encoding="utf-8")
    inputs = str(folder / "pools.yaml")
    record_command(cassette, folder, address, "apply", "licenses.pools", "-i", inputs, "--yes")


def policies(cassette: Path, folder: Path, address: str) -> None:
    inputs = folder / "policies.yaml"
    inputs.write_text(POLICIES, encoding="utf-8")
    words = ("apply", "identity.conditional-access", "-i", str(inputs), "--yes")
    record_command(cassette, folder, address, *words, GRAPHKIT_BREAK_GLASS=BREAK_GLASS)


def script(cassette: Path, folder: Path, address: str) -> None:
    """msgraph-sdk with its own middleware; only the transport beneath it and the address are not its usual ones."""
    import time

    import httpx

    from graphkit.recording import Given, Recorder, RecordingTransport

    sys.path.insert(0, str(FOLDER))
    import sdk_script

    inputs = folder / "project.json"
    inputs.write_text(json.dumps(PROJECT), encoding="utf-8")
    recorder = Recorder(cassette)
    recorder.add_inputs([Given(inputs, "json")])

    async def run() -> None:
        transport = RecordingTransport(httpx.AsyncHTTPTransport(), recorder, time.time)
        async with httpx.AsyncClient(transport=transport) as http:
            print(await sdk_script.main(graph_client(http, address), PROJECT))
        await transport.aclose()

    asyncio.run(run())
    recorder.save()


def graph_client(http: object, address: str) -> object:
    from kiota_abstractions.authentication import BaseBearerTokenAuthenticationProvider
    from msgraph import GraphRequestAdapter, GraphServiceClient
    from msgraph_core import GraphClientFactory

    class AnyToken:
        async def get_authorization_token(self, uri: str, additional_authentication_context: object = None) -> str:
            return "simulated"

    client = GraphClientFactory.create_with_default_middleware(client=http, host=address)
    adapter = GraphRequestAdapter(BaseBearerTokenAuthenticationProvider(AnyToken()), client)
    adapter.base_url = f"{address}/v1.0"
    return GraphServiceClient(request_adapter=adapter)


RECORDINGS: dict[str, Callable[[Path, Path, str], None]] = {
    "licenses.pools": pools,
    "identity.conditional-access": policies,
    "msgraph-sdk": script,
}


if __name__ == "__main__":
    main(sys.argv[1:])
