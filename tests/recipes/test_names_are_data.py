"""Whatever a name holds, it is looked for as it is: one comparison with that very text, one object of that address."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
from bench import Bench, bench
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from graphkit.clock import run
from graphkit.engine.resource import Context
from graphkit.engine.snapshot import Snapshot
from graphkit.errors import UsageError
from graphkit.resources.references import find_groups, find_users

NASTY = [
    "O'Brien",
    "x' or displayName ne '",
    "x' or 1 eq 1 or '",
    "a'')) or startswith(displayName,'",
    "R&D + 50% #1?",
    "a/b",
    "../users",
    "%2e%2e",
    "%27 or 1 eq 1",
    "$ref",
    "(uniqueName='x')",
    "\N{RIGHT-TO-LEFT OVERRIDE}txt.exe",
    "＇ or 1 eq 1",
    "emoji \N{PILE OF POO}",
    "trailing space ",
    " leading",
    "tab\tin",
    "null\0in",
    "new\nline",
]
NAMES = st.one_of(
    st.sampled_from(NASTY),
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30),
    st.text("'\"%&+#?/\\ ()$@=,;.eqnor", min_size=1, max_size=20),
)


async def looked_up(name: str) -> tuple[dict[str, str], dict[str, str], list[tuple[str, str]], str]:
    """(ids, reasons, what the service was asked, the id of the group of that name)."""
    with tempfile.TemporaryDirectory() as folder:
        async with bench(Path(folder), users=5, organisations=1) as here:
            key = planted(here, name)
            asked: list[tuple[str, str]] = []
            context = Context(here.client, here.client.clock, Snapshot())
            send = here.chain._guard._following.send

            async def overheard(request: Any) -> Any:
                asked.append((request.method, request.path))
                return await send(request)

            here.chain._guard._following.send = overheard
            try:
                ids, reasons = await find_groups(context, [name])
            finally:
                context.snapshot.close()
            return ids, reasons, asked, key


def planted(here: Bench, name: str) -> str:
    groups = here.tenant.state.table("groups").objects
    model = next(iter(groups.values()))
    key = here.tenant.seed.id_of("group", name)
    here.tenant.state.put("groups", {**model, "id": key, "displayName": name, "isAssignableToRole": None})
    return key


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(NAMES)
def test_a_group_is_found_by_its_very_name_and_no_other_is(name):
    if steers(name):
        with pytest.raises(UsageError, match="control characters"):
            run(looked_up(name), virtual=True)
        return
    ids, reasons, asked, key = run(looked_up(name), virtual=True)
    assert (ids, reasons) == ({name: key}, {}), reasons
    assert [method for method, _ in asked] == ["GET"]
    assert all(path.startswith("/groups?$filter=displayName%20eq%20'") for _, path in asked)


def steers(name: str) -> bool:
    return any(ord(character) < 32 or ord(character) == 127 for character in name)


@pytest.mark.parametrize("name", [name for name in NASTY if not steers(name) and name[0] != "$"] + ["a#EXT#@b.example"])
def test_a_person_s_name_never_leads_to_another_address(tmp_path, name):
    async def check() -> None:
        async with bench(tmp_path, users=5, organisations=1) as here:
            context = Context(here.client, here.client.clock, Snapshot())
            ids, reasons = await find_users(context, [name])
            context.snapshot.close()
            assert (ids, list(reasons)) == ({}, [name])

    run(check(), virtual=True)


@pytest.mark.parametrize("name", ["..", ".", *filter(steers, NASTY)])
def test_what_is_no_part_of_an_address_is_not_sent(tmp_path, name):
    async def check() -> None:
        async with bench(tmp_path, users=5, organisations=1) as here:
            context = Context(here.client, here.client.clock, Snapshot())
            with pytest.raises(UsageError):
                await find_users(context, [name])
            context.snapshot.close()

    run(check(), virtual=True)
