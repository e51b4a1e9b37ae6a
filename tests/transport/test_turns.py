from __future__ import annotations

import asyncio

import pytest

from graphkit.protocol.message import Request
from graphkit.transport.turns import TOGETHER, Turns


def write(path, **how):
    return Request(method="PATCH", path=path, **how)


@pytest.mark.parametrize(
    ("request_", "key"),
    [
        (write("/groups/g1"), "groups/g1"),
        (write("/groups/g1", target="pool"), "pool"),
        (Request(method="POST", path="/groups"), ""),
        (Request(method="GET", path="/groups/g1"), ""),
    ],
)
def test_what_takes_a_turn(request_, key):
    assert Turns().target(request_) == key


async def play(plan):
    """``plan`` is (name, commutative); each holds its turn for three rounds of the loop. Who overlapped whom?"""
    turns, holding, order, overlaps = Turns(), [], [], []

    async def one(name, commutative):
        await turns.take("t", commutative)
        overlaps.append((name, tuple(holding)))
        order.append(name)
        holding.append(name)
        for _ in range(3):
            await asyncio.sleep(0)
        holding.remove(name)
        turns.give_back("t")

    await asyncio.gather(*(one(*step) for step in plan))
    assert turns._targets == {}, "a target that nobody uses is forgotten"
    return order, dict(overlaps)


def test_writes_to_one_target_go_one_by_one_in_order():
    order, overlaps = asyncio.run(play([(name, False) for name in "abcd"]))
    assert order == list("abcd")
    assert set(overlaps.values()) == {()}


def test_commutative_writes_travel_together():
    _, overlaps = asyncio.run(play([(name, True) for name in "abc"]))
    assert overlaps["c"] == ("a", "b")


def test_another_write_waits_for_the_commutative_ones_and_is_not_overtaken():
    order, overlaps = asyncio.run(play([("a", True), ("b", True), ("C", False), ("d", True), ("e", True)]))
    assert order == ["a", "b", "C", "d", "e"]
    assert overlaps["C"] == ()
    assert overlaps["d"] == ()
    assert overlaps["e"] == ("d",)


def test_collisions_halve_the_number_down_to_one():
    turns = Turns()

    async def main():
        for _ in range(10):
            await turns.take("t", True)
        seen = []
        for _ in range(5):
            turns.narrow("t")
            seen.append(turns._targets["t"].limit)
        return seen

    assert asyncio.run(main()) == [5, 2, 1, 1, 1]
    assert TOGETHER > 20


def test_who_gives_up_waiting_holds_up_nobody():
    turns = Turns()

    async def main():
        await turns.take("t", False)
        tired = asyncio.create_task(turns.take("t", False))
        patient = asyncio.create_task(turns.take("t", False))
        await asyncio.sleep(0)
        tired.cancel()
        await asyncio.gather(tired, return_exceptions=True)
        turns.give_back("t")
        await asyncio.wait_for(patient, 1)

    asyncio.run(main())


def test_a_turn_granted_to_somebody_who_just_left_is_passed_on():
    turns = Turns()

    async def main():
        await turns.take("t", False)
        tired = asyncio.create_task(turns.take("t", False))
        patient = asyncio.create_task(turns.take("t", False))
        await asyncio.sleep(0)
        turns.give_back("t")
        tired.cancel()
        await asyncio.gather(tired, return_exceptions=True)
        await asyncio.wait_for(patient, 1)

    asyncio.run(main())


def test_all_may_give_up_at_once():
    turns = Turns()

    async def main():
        await turns.take("t", False)
        tired = [asyncio.create_task(turns.take("t", False)) for _ in range(3)]
        await asyncio.sleep(0)
        turns.give_back("t")
        for each in tired:
            each.cancel()
        return await asyncio.gather(*tired, return_exceptions=True)

    assert {type(each) for each in asyncio.run(main())} == {asyncio.CancelledError}
    assert turns._targets == {}
