"""What must hold of any recipe holds where it issues passes: broken off at every write, under faults, undone."""

import json
from pathlib import Path

import pytest
from desk import METHOD, PASSES, TYPE

from graphkit.engine.resource import PlanOptions
from graphkit.jobs import Asked
from graphkit.recipe import find, template_of
from graphkit.sandbox.seeding.furnish import HEADERS, ROOT
from graphkit.trials import run_trials, scratch, world


@pytest.fixture
def allowed(monkeypatch):
    """Every tenant of a trial lets everybody use passes."""
    plain = world.furnish

    def furnish(tenant, **more):
        plain(tenant, **more)
        body = json.dumps({"@odata.type": TYPE, "state": "enabled"}).encode()
        assert tenant.handle("PATCH", f"{ROOT}/v1.0{METHOD}", HEADERS, body).status == 204

    monkeypatch.setattr(world, "furnish", furnish)


@pytest.mark.parametrize("name", ["people.joiners", "identity.mfa-rollout"])
def test_a_run_that_issues_passes_passes_every_trial(allowed, name):
    recipe = find(name)
    with scratch() as made:
        folder = Path(made)
        texts = dict(template_of(recipe))
        page = recipe.given_with[0]
        texts[page] += PASSES
        for file, text in texts.items():
            (folder / file).write_text(text, encoding="utf-8")
        inputs = tuple(str(folder / file) for file in (recipe.template, page))
        asked = Asked(recipe=name, inputs=inputs, options=PlanOptions(as_of="2026-01-05"))
        trials = list(run_trials(recipe, folder / "trials", asked=asked, steps=20))
        handed = {path.parent: path.read_text(encoding="utf-8") for path in folder.rglob("a.passes.csv")}
    assert [trial for trial in trials if trial.passed is False] == []
    assert len(trials) == 11
    # One pass in each, wherever it was broken off.
    assert len(handed) > 10
    assert {text.count("480,true") for text in handed.values()} == {1}
