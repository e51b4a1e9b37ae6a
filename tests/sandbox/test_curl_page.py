"""The page that explores the tenant with curl does what it says."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from served import served

from graphkit.clock import RealClock
from graphkit.sandbox import SimulatedTenant

PAGE = Path(__file__).parents[2] / "docs" / "simulated-tenant.md"


@pytest.mark.skipif(shutil.which("bash") is None or shutil.which("curl") is None, reason="needs bash and curl")
def test_every_command_of_the_page_is_answered():
    (script,) = re.findall(r"## Exploring it with curl.*?```sh\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    tenant = SimulatedTenant(RealClock())
    with served(tenant) as address:
        script = script.replace("http://127.0.0.1:8080", address)
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script], env={"PATH": os.environ["PATH"]}, capture_output=True, text=True
        )
    assert done.returncode == 0, done.stderr
    assert "rx1-0001@contoso.example" in done.stdout
    assert "8002" in done.stdout
    assert '"skuPartNumber":"SPE_E3"' in done.stdout
    assert done.stdout.endswith("429\n")
    assert [entry.status for entry in tenant.log] == [201, 204, 201]
