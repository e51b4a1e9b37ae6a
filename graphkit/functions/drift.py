"""The timer's handler: what should be, as a folder on the share says, against what is.

Each subfolder of ``GRAPHKIT_FUNCTIONS_DRIFT_DIR`` is named like a recipe and holds its inputs. A detection is a run
like any other, planned by the queue's worker; its id follows from the recipe, the inputs and the day, so that a timer
that fires twice, or late, makes one run. A file ``map.yaml`` in the subfolder is the recipe's ``--map``.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from graphkit.errors import UsageError
from graphkit.functions.answer import Refused
from graphkit.functions.deployment import Deployment
from graphkit.functions.http import send_once
from graphkit.functions.request import Options, RunRequest, allowed_recipe, digests_of
from graphkit.log import event
from graphkit.recipe import find_recipe

MAP = "map.yaml"
_log = logging.getLogger("graphkit.functions")


def detect(deployment: Deployment) -> list[str]:
    """Begin a detection for each subfolder; returns the ids of today's runs. Raises ``UsageError`` for a wrong name."""
    if deployment.settings.functions_drift_dir is None:
        return []
    day = datetime.fromtimestamp(deployment.now(), UTC).date().isoformat()
    found, wrong = [], []
    for folder in _folders(deployment.settings.functions_drift_dir):
        try:
            found.append(_begin(deployment, folder, day))
        except Refused as error:
            wrong.append(f"{folder.name}: {error.message}")
    if wrong:
        # After the others: one misnamed folder is not to keep them from being looked at.
        raise UsageError(
            "; ".join(wrong), hint="a subfolder is named like a recipe that GRAPHKIT_FUNCTIONS_RECIPES lists"
        )
    return found


def _folders(root: Path) -> Iterator[Path]:
    if not root.is_dir():
        raise UsageError(
            f"the folder {root} is not there", hint="GRAPHKIT_FUNCTIONS_DRIFT_DIR names it: is it mounted?"
        )
    yield from (path for path in sorted(root.iterdir()) if path.is_dir() and not path.name.startswith("."))


def _begin(deployment: Deployment, folder: Path, day: str) -> str:
    recipe = allowed_recipe(folder.name, deployment.settings.functions_recipes)
    files = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    documents = {path.name: path.read_bytes() for path in files}
    options = Options(as_of=day if "as_of" in find_recipe(recipe).options else "")
    given = MAP if MAP in documents else ""
    request = RunRequest(recipe, digests_of(documents), options, map=given, label=day, drift=True)
    run = deployment.runs.find(request.id)
    if run is None:
        with deployment.runs.drafted(request, documents) as draft:
            run = deployment.runs.keep(draft, request)
    state = run.state()
    if state.status == "queued":
        send_once(deployment, run, state.slice)
    event(_log, "drift-begun", run=run.id, recipe=recipe)
    return run.id
