"""Microsoft's own clients for JavaScript against the served tenant, unmodified: ``@azure/identity`` and
``@microsoft/microsoft-graph-client``. ``make test`` installs them where npm is; elsewhere this is skipped.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

EMS = "efccb6f7-5641-4e0e-bd10-b4976e1bf68e"
FOLDER = Path(__file__).parent / "javascript"
MISSING = shutil.which("node") is None or not (FOLDER / "node_modules").is_dir()
REQUIRED = os.environ.get("GRAPHKIT_FOREIGN_CLIENTS") == "required"  # as in .ci/run: there they must not be missing


@pytest.mark.skipif(MISSING and not REQUIRED, reason="needs Node and node_modules beside it")
def test_a_javascript_client_holds_a_whole_conversation(secure):
    environment = {
        "PATH": os.environ["PATH"],
        "NODE_EXTRA_CA_CERTS": str(secure.files.ca),
        "ADDRESS": secure.address,
        "TENANT": secure.tenant.tenant_id,
        "CLIENT": secure.client_id,
        "SECRET": secure.secret,
        "DOMAIN": "contoso.example",
        "SKU": EMS,
    }
    command = ["node", "conversation.mjs"]
    done = subprocess.run(
        command, cwd=FOLDER, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "users": 122,  # 120 and the two break-glass accounts
        "distinct": 122,
        "count": "122",  # the service tells it as text
        "jobTitle": "Nurse",
        "filtered": 1,
        "missing": [404, "Request_ResourceNotFound"],
        "licence": "Active",
        "teamStatus": 202,
        "teamOperation": "succeeded",
        "channels": ["General"],
        "policy": "enabledForReportingButNotEnforced",
        "batch": {"1": 200, "2": 404, "3": 204},
        "delta": 122,
        "deltaAgain": 1,
    }
    assert "501" not in done.stderr
