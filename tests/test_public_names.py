"""What ``import graphkit`` gives, and what it costs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import graphkit
from graphkit.clock import run

HEAVY = ("httpx", "msgraph", "azure", "aiohttp", "pydantic", "rich", "msal", "click", "yaml", "jinja2")


def loaded_by(*command: str) -> list[str]:
    code = f"import sys; sys.argv = ['graphkit']; {'; '.join(command)}; print(*sys.modules, file=sys.stderr)"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return sorted({name.partition(".")[0] for name in answer.stderr.split()} & set(HEAVY))


def test_importing_graphkit_loads_nothing_heavy():
    assert loaded_by("import graphkit") == []


def test_asking_for_the_version_loads_nothing_heavy():
    assert loaded_by("from graphkit.__main__ import main", "main(['--version'])") == []


def test_asking_for_help_loads_nothing_heavy():
    assert loaded_by("from graphkit.__main__ import main", "main(['--help'])") == []


@pytest.mark.parametrize("name", graphkit.__all__)
def test_every_public_name_is_there(name):
    assert getattr(graphkit, name) is not None


def test_the_list_of_public_names_is_the_table_of_exports():
    assert sorted(graphkit.__all__) == sorted([*graphkit._EXPORTS, "__version__"])


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        graphkit.nonsense  # noqa: B018


def test_a_few_lines_of_code_read_and_write_a_tenant():
    async def main():
        async with graphkit.connect(target="simulated", virtual_time=True) as graph:
            user = await graph.get("/users/rx1-0001@contoso.example", params={"$select": "id,department"})
            await graph.update(f"/users/{user['id']}", {"department": "Wards"})
            await graph.clock.sleep(10)  # no read after write is promised
            return await graph.get(f"/users/{user['id']}", params={"$select": "department"})

    assert run(main(), virtual=True)["department"] == "Wards"


def test_the_library_plans_and_applies_like_the_command_line(tmp_path):
    Path(tmp_path / "assign.csv").write_text("upn,sku,org\nrx2-0100@contoso.example,EMS,RX2\n", encoding="utf-8")
    settings = graphkit.load_settings({"target": "simulated", "virtual_time": True}, env={}, cwd=tmp_path)
    asked = graphkit.Asked(recipe="licenses.assign", inputs=(str(tmp_path / "assign.csv"),), out=tmp_path / "a.run")

    async def main():
        async with graphkit.open_session(settings) as session:
            await graphkit.plan(session, asked, runs_dir=tmp_path)
            return await graphkit.apply(session, tmp_path / "a.run")

    assert run(main(), virtual=True).outcomes["done"] == 1
