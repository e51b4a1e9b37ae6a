"""Whatever a run asks and says names the cloud it is for: no address of another one, neither where requests go nor
in their bodies (``@odata.bind``, ``@odata.id``), where it is easily written down once and for all."""

from __future__ import annotations

import ast
from pathlib import Path

import httpx
import pytest

import graphkit
import recipes
from graphkit.protocol.clouds import CLOUDS
from graphkit.recipe import everything, find_recipe
from graphkit.trials import scratch
from graphkit.trials.wire import Wire
from graphkit.trials.world import World, started

OURS = CLOUDS["usgov"]
OTHERS = [each.graph_root.partition("://")[2].encode() for each in CLOUDS.values() if each.name != OURS.name]
TRIED = [each.name for each in everything() if getattr(each, "trial", None) is not None]


@pytest.fixture
def said(monkeypatch):
    """All that was sent, addresses and bodies, by runs that take the simulated tenant for the cloud ``usgov``."""
    monkeypatch.setattr("graphkit.session.cloud_of", lambda target: OURS)
    sent = []
    handle = Wire.handle_async_request

    async def heard(self: Wire, request: httpx.Request) -> httpx.Response:
        sent.append(str(request.url).encode() + await request.aread())
        return await handle(self, request)

    monkeypatch.setattr(Wire, "handle_async_request", heard)
    return sent


@pytest.mark.parametrize("name", TRIED)
def test_a_run_names_no_other_cloud(name, said):
    with scratch() as folder:
        recipe = find_recipe(name)
        path = Path(folder)
        first = started(find_recipe(recipe.builds_on), path / "first") if recipe.builds_on else None
        world = World.new(path / "world", started(recipe, path / "input"), first)
        world.plan("a")
        assert world.apply("a").outcomes["failed"] == 0
    assert any(OURS.graph_root.encode() in each for each in said)
    assert [each for each in said if any(other in each for other in OTHERS)] == []


KINDS = [
    *sorted((Path(graphkit.__file__).parent / "resources").glob("*.py")),
    *sorted(Path(recipes.__file__).parent.rglob("*.py")),
]


def test_no_kind_and_no_recipe_knows_a_cloud_by_its_address():
    hosts = tuple(each.graph_root for each in CLOUDS.values())
    texts = [
        f"{path.name}:{node.lineno}"
        for path in KINDS
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith(hosts)
    ]
    assert (len(KINDS) > 100, texts) == (True, [])
