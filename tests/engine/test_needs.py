"""A change waits for all that it needs, whatever that is called."""

from __future__ import annotations

import asyncio

import pytest

from graphkit.engine.change import Action, Change
from graphkit.engine.needs import Needs
from graphkit.engine.runfile import RunFile

HEADER = {"recipe": "devices.org-scope", "tenant": "t", "target": "simulated", "apps": ["a"], "inputs": {}}
NAMED_ALIKE = (("roleScopeTag.assignment", "RX1"), ("intuneRoleAssignment", "RX1"))


@pytest.mark.parametrize("failing", NAMED_ALIKE)
def test_of_two_objects_with_one_name_each_is_waited_for(tmp_path, failing):
    first = [Change(kind=kind, key=key, action=Action.DELETE) for kind, key in NAMED_ALIKE]
    last = Change(kind="group", key="rx1.intune.devices", action=Action.DELETE, needs=NAMED_ALIKE)

    async def met(run):
        needs = Needs(run)
        needs.watch()
        for name in NAMED_ALIKE:
            needs.tell(name, there=name != failing)
        return await needs.met([last])

    with RunFile.create(tmp_path / "a.run", HEADER) as run:
        run.add_changes([*first, last])
        ready, skipped = asyncio.run(met(run))
    assert ready == []
    assert [result.error for _, result in skipped] == ["RX1 was not deleted"]
