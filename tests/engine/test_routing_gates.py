"""How many requests are under way at a time, and who is next."""

from __future__ import annotations

import asyncio

import pytest

from antiphon.engine.gates import Capacity, Gate


async def turns_of_the_loop(count: int = 3) -> None:
    """Let everybody who can go on do so."""
    for _ in range(count):
        await asyncio.sleep(0)


def gate(*, max_parallel: int = 1, max_queued: int = 8, queue_s: float = 60.0) -> Gate:
    return Gate(Capacity(max_parallel=max_parallel, max_queued=max_queued, queue_s=queue_s))


async def test_as_many_as_may_enter_at_once() -> None:
    """Nobody waits before there are as many inside as may be."""
    one = gate(max_parallel=2, max_queued=0)
    assert [await one.enter() for _ in range(3)] == [True, True, False]
    one.leave()
    assert one.has_room
    assert await one.enter()


async def test_who_has_waited_longest_is_next() -> None:
    """A place goes from hand to hand, and nobody who comes meanwhile gets ahead."""
    one, entered = gate(), []
    await one.enter()

    async def wait(number: int) -> None:
        await one.enter()
        entered.append(number)

    waiting = [asyncio.create_task(wait(number)) for number in range(3)]
    await turns_of_the_loop()
    one.leave()
    assert not one.has_room
    latecomer = asyncio.create_task(wait(3))
    for _ in range(3):
        await turns_of_the_loop()
        one.leave()
    await asyncio.gather(*waiting, latecomer)
    assert entered == [0, 1, 2, 3]


async def test_the_queue_is_bounded() -> None:
    """Who finds as many waiting as may is sent away at once."""
    one = gate(max_queued=1)
    await one.enter()
    waiting = asyncio.create_task(one.enter())
    await turns_of_the_loop()
    assert not await one.enter()
    one.leave()
    assert await waiting


async def test_nobody_waits_for_ever() -> None:
    """Who has waited as long as may be is sent away, and his place in the queue is free."""
    one = gate(max_queued=1, queue_s=0.001)
    await one.enter()
    assert not await one.enter()
    one.leave()
    assert one.has_room


@pytest.mark.parametrize("is_called", [False, True], ids=["while waiting", "as it is called"])
async def test_who_leaves_the_queue_takes_no_place(is_called: bool) -> None:
    """A cancelled wait loses no place, also where it is cancelled in the moment in which it is over."""
    one = gate()
    await one.enter()
    waiting = asyncio.create_task(one.enter())
    await turns_of_the_loop()
    if is_called:
        one.leave()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    if not is_called:
        one.leave()
    assert one.has_room
    assert await one.enter()
