"""A function app in this process on the stored tenant."""

from __future__ import annotations

import pytest
from triggered import App, pool_request

from graphkit.functions import app as triggers
from graphkit.settings import load


@pytest.fixture
def tenant(tenant):
    """Large enough for a pool of 50."""
    return tenant.seed(users=180)


@pytest.fixture
def make_app(tmp_path, tenant, monkeypatch):
    """``make_app(GRAPHKIT_FUNCTIONS_APPLY="0")``: an app on the stored tenant, with these variables."""

    def make(**variables: str) -> App:
        env = {
            "GRAPHKIT_RUNS_DIR": str(tmp_path / "share"),
            "GRAPHKIT_FUNCTIONS_RECIPES": "licenses.pools",
            "GRAPHKIT_FUNCTIONS_APPLY": "1",
            "GRAPHKIT_FUNCTIONS_LOCAL_RUNS": "1",
            **variables,
        }
        flags = {"target": "simulated", "state": str(tenant.path), "virtual_time": True}
        app = App(load(flags, env=env, cwd=tmp_path))
        monkeypatch.setattr(triggers, "_deployment", lambda: app.deployment)
        return app

    return make


@pytest.fixture
def app(make_app) -> App:
    return make_app()


@pytest.fixture
def planned(app):
    """The id of a run whose plan waits for somebody."""
    run = app.start(pool_request()).run
    app.take()
    return run
