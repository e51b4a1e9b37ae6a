"""A short walk of the machine in ``machine.py``: every step of it agrees with a dictionary."""

import sys

import pytest
from machine import Machine, walk

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="a kill is a signal")


def test_plans_kills_resumes_undos_and_foreign_hands_in_any_order_agree_with_a_dictionary():
    Machine.done.clear()
    walk(times=6, steps=25, number=20261126)
    assert {"runs applied", "kills", "undos planned", "foreign changes"} <= Machine.done.keys()


def test_the_machine_notices_a_member_that_nobody_was_asked_for(monkeypatch):
    ended = Machine.ended

    def forgetful(self, chosen):
        ended(self, chosen)
        self.members["RX1.EMS.pool"] -= {"rx1-0001@contoso.example"}

    monkeypatch.setattr(Machine, "ended", forgetful)
    with pytest.raises(AssertionError):
        walk(times=20, steps=15, number=1, shrink=False)
