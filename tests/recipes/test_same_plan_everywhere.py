"""The lines of a plan are the same bytes whatever the hash seed, the locale and the time zone; and a plan after its
apply is empty."""

from __future__ import annotations

import json
import locale
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from bench import bench, counts
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from graphkit.clock import VirtualClock, run
from graphkit.recipe import all_recipes
from graphkit.sandbox import Seed, SimulatedTenant

RECIPES = {recipe.name: recipe for recipe in all_recipes()}
BREAK_GLASS = "break-glass-1@contoso.example,Break glass"
SURROUNDINGS = (
    {"PYTHONHASHSEED": "0", "LC_ALL": "C", "TZ": "UTC"},
    {"PYTHONHASHSEED": "1", "LC_ALL": "tr_TR.UTF-8", "TZ": "Asia/Kathmandu", "PYTHONUTF8": "1"},
    {"PYTHONHASHSEED": "4294967295", "LC_ALL": "de_DE.UTF-8", "TZ": "America/St_Johns", "COLUMNS": "40"},
)


@pytest.fixture(scope="module")
def everywhere(tmp_path_factory):
    """What each recipe's plan says in each of the surroundings, every one a process of its own."""
    state = tmp_path_factory.mktemp("tenant") / "tenant.db"
    SimulatedTenant.open(state, VirtualClock(), seed=Seed(users=60)).close()
    return [_in(more, tmp_path_factory.mktemp("there"), state) for more in SURROUNDINGS]


def _in(more: dict[str, str], folder: Path, state: Path) -> dict[str, Any]:
    known = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "PYTHONPATH", "SYSTEMROOT")}
    env = {**known, "HOME": str(folder / "home"), "GRAPHKIT_BREAK_GLASS": BREAK_GLASS, **more}
    script = str(Path(__file__).with_name("surroundings.py"))
    command = [sys.executable, script, str(state)]
    done = subprocess.run(command, env=env, cwd=folder, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_the_lines_of_a_plan_are_the_same_bytes_everywhere(everywhere, name):
    (code, lines), *others = (there[name] for there in everywhere)
    assert code in (0, 5, 6), lines
    assert lines
    assert others == [[code, lines]] * 2


def test_the_surroundings_differ_where_this_machine_has_them():
    """Were none of these locales there, the test above would compare like with like: it says so here."""
    before = locale.setlocale(locale.LC_ALL)
    try:
        available = [more["LC_ALL"] for more in SURROUNDINGS if _has(more["LC_ALL"])]
    finally:
        locale.setlocale(locale.LC_ALL, before)
    assert "C" in available


def _has(name: str) -> bool:
    try:
        locale.setlocale(locale.LC_ALL, name)
    except locale.Error:
        return False
    return True


# -- a plan after its apply is empty ---------------------------------------------------------------------------------

WORDS = st.text("abcXYZ éß&'.-0 ", min_size=1, max_size=12).map(str.strip).filter(bool)
PEOPLE = st.lists(st.integers(1, 12), min_size=1, max_size=8, unique=True).map(
    lambda numbers: [f"rx1-{number:04}@contoso.example" for number in numbers]
)
PLANS = st.lists(st.sampled_from(["TEAMS1", "INTUNE_A", "AAD_PREMIUM"]), max_size=3, unique=True)
SHUFFLE = st.randoms(use_true_random=False)


def quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


@st.composite
def pools(draw: Any) -> tuple[str, str, str]:
    head = f"mode: {draw(st.sampled_from(['additive', 'authoritative']))}\npools:\n"
    people, name, plans = draw(PEOPLE), draw(WORDS), draw(PLANS)
    rule = " or ".join(f"userPrincipalName eq '{upn}'" for upn in people)

    def text(chance: random.Random) -> str:
        mixed = chance.sample(plans, len(plans))
        return (
            f"{head}  - org: RX1\n    sku: SPE_E3\n    cap: 20\n    group: {quoted(name)}\n"
            f'    disabled_plans: {mixed}\n    members_from: {{filter: "{rule}"}}\n'
        )

    chance = draw(SHUFFLE)
    return "yaml", text(chance), text(chance)


@st.composite
def assignments(draw: Any) -> tuple[str, str, str]:
    people = draw(PEOPLE)
    rows = [(upn, sku, draw(PLANS) if sku == "SPE_E3" else []) for upn in people for sku in ("SPE_E3", "EMS")]
    rows = draw(st.lists(st.sampled_from(rows), min_size=1, unique_by=lambda row: row[:2]))

    def text(chance: random.Random) -> str:
        lines = [f"{upn},{sku},{';'.join(chance.sample(plans, len(plans)))},RX1" for upn, sku, plans in rows]
        return "\n".join(["upn,sku,disabled_plans,org", *chance.sample(lines, len(lines)), ""])

    chance = draw(SHUFFLE)
    return "csv", text(chance), text(chance)


@st.composite
def teams(draw: Any) -> tuple[str, str, str]:
    keys = draw(st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, unique=True))
    rows = []
    for key in keys:
        name, about = (draw(WORDS).replace("'", "") for _ in range(2))
        channels = draw(st.lists(st.sampled_from(["Rotas", "Handover", "general"]), unique=True))
        rows.append((key, name, about, channels))

    def text(chance: random.Random) -> str:
        lines = [
            f'{key},RX1,"{name}","{about}",Private,rx1-0001@contoso.example;rx1-0002@contoso.example,'
            + ";".join(chance.sample(channels, len(channels)))
            for key, name, about, channels in rows
        ]
        header = "team_key,org,display_name,description,visibility,owners,channels"
        return "\n".join([header, *chance.sample(lines, len(lines)), ""])

    chance = draw(SHUFFLE)
    return "csv", text(chance), text(chance)


@st.composite
def access(draw: Any) -> tuple[str, str, str]:
    people = draw(PEOPLE)
    state = draw(st.sampled_from(["off", "report"]))
    controls = draw(st.lists(st.sampled_from(["mfa", "compliantDevice"]), min_size=1, unique=True))
    risks = draw(st.lists(st.sampled_from(["low", "medium", "high"]), unique=True))
    hours = draw(st.integers(1, 23))

    def text(chance: random.Random) -> str:
        def mixed(items: list[str]) -> str:
            return f"[{', '.join(chance.sample(items, len(items)))}]"

        return (
            f"policies:\n  - key: p\n    state: {state}\n    include: {{users: {mixed(people)}}}\n"
            "    exclude: {groups: [Break glass], users: [break-glass-1@contoso.example]}\n"
            "    apps: {include: [All]}\n"
            f"    conditions: {{clientAppTypes: [all], signInRiskLevels: {mixed(risks)}}}\n"
            f"    grant: {{operator: OR, builtInControls: {mixed(controls)}}}\n"
            f"    session: {{signInFrequency: {{value: {hours}, type: hours, isEnabled: true}}}}\n"
        )

    chance = draw(SHUFFLE)
    return "yaml", text(chance), text(chance)


@st.composite
def compliance(draw: Any) -> tuple[str, str, str]:
    build, hours = draw(st.integers(1, 9999)), draw(st.integers(0, 96))
    switches = draw(st.tuples(st.booleans(), st.booleans()))
    targets = draw(st.lists(st.sampled_from(["All devices", "All users", "Break glass"]), min_size=1, unique=True))

    def text(chance: random.Random) -> str:
        mixed = ", ".join(chance.sample(targets, len(targets)))
        return (
            f"policies:\n  - key: floor\n    platform: windows10\n    os_floor: 10.0.22631.{build}\n"
            f"    bitlocker: {str(switches[0]).lower()}\n    secure_boot: {str(switches[1]).lower()}\n"
            f"    grace_hours: {hours}\n    assign: {{include: [{mixed}]}}\n"
        )

    chance = draw(SHUFFLE)
    return "yaml", text(chance), text(chance)


INPUTS = {
    "licenses.pools": pools(),
    "licenses.assign": assignments(),
    "teams.provision": teams(),
    "identity.conditional-access": access(),
    "devices.compliance": compliance(),
}


@pytest.mark.parametrize("recipe", sorted(INPUTS))
def test_once_applied_there_is_nothing_left_to_plan_however_the_input_is_ordered(recipe):
    @settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
    @given(INPUTS[recipe])
    def check(given_input: tuple[str, str, str]) -> None:
        run(converges(recipe, *given_input), virtual=True)

    check()


async def converges(recipe: str, suffix: str, text: str, again: str) -> None:
    options = {"break_glass": tuple(BREAK_GLASS.split(",")), "accept_impact": True, "allow_privileged": True}
    with tempfile.TemporaryDirectory() as folder:
        async with bench(Path(folder), licensed=10 if recipe == "teams.provision" else 0) as here:
            with await here.plan(recipe, text, suffix=suffix, **options) as planned:
                assert planned.header()["blocked"] == []
                outcomes = await here.apply(planned, **options)
            assert not {"failed", "unknown"} & outcomes.keys()
            await here.client.clock.sleep(1800)
            for same in (text, again):
                with await here.plan(recipe, same, suffix=suffix, **options) as planned:
                    assert set(counts(planned)) <= {"noop"}, [change.line() for change in planned.changes()]
