"""The scheduler takes tenants by turns, and no more than it may."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from antiphon.engine.scheduler import Place, Scheduler
from antiphon.hub.errors import TooManyRequests
from antiphon.hub.ids import TenantId

BUSY, QUIET = TenantId("busy"), TenantId("quiet")


class Work:
    """Turns that end when the test says so, and the order in which they were started."""

    def __init__(self, scheduler: Scheduler) -> None:
        self.scheduler = scheduler
        self.started: list[str] = []
        self.ends: dict[str, asyncio.Event] = {}

    def add(self, tenant: TenantId, name: str) -> None:
        def start() -> asyncio.Task[None]:
            self.started.append(name)
            self.ends[name] = asyncio.Event()
            return asyncio.ensure_future(self._until(name))

        self.scheduler.add(tenant, name, start)

    async def end(self, name: str) -> None:
        self.ends[name].set()
        running = len(self.started)
        while self.scheduler.queued and len(self.started) == running:
            await asyncio.sleep(0)

    async def _until(self, name: str) -> None:
        await self.ends[name].wait()


async def test_a_quiet_tenant_does_not_wait_for_all_of_a_busy_one() -> None:
    """Tenants take turns; within a tenant, who came first is first."""
    work = Work(Scheduler(max_running=1, max_queued=10, max_queued_per_tenant=10))
    for name in ("b1", "b2", "b3", "b4"):
        work.add(BUSY, name)
    for name in ("q1", "q2"):
        work.add(QUIET, name)

    for number in range(5):
        await work.end(work.started[number])

    assert sorted(work.started[1:3]) == ["b2", "q1"]
    assert sorted(work.started[3:5]) == ["b3", "q2"]
    assert work.started[5] == "b4"


async def test_a_full_queue_admits_nobody_and_a_tenant_no_more_than_its_share() -> None:
    """What runs does not count; what waits does, of one tenant and of all."""
    scheduler = Scheduler(max_running=1, max_queued=3, max_queued_per_tenant=2)
    work = Work(scheduler)
    for name in ("b1", "b2", "b3"):
        scheduler.admit(BUSY).give_back()
        work.add(BUSY, name)

    with pytest.raises(TooManyRequests):
        scheduler.admit(BUSY)
    scheduler.admit(QUIET).give_back()
    work.add(QUIET, "q1")
    with pytest.raises(TooManyRequests):
        scheduler.admit(TenantId("third"))


def admitted(scheduler: Scheduler, tenant: TenantId, tries: int) -> list[Place]:
    """The places of those who get one, if so many come at once."""
    places = []
    for _ in range(tries):
        with contextlib.suppress(TooManyRequests):
            places.append(scheduler.admit(tenant))
    return places


async def test_no_more_are_admitted_at_once_than_run_or_may_wait() -> None:
    """Whoever was admitted and has not come yet has a place: a crowd that asks together cannot overfill the queue."""
    scheduler = Scheduler(max_running=2, max_queued=3, max_queued_per_tenant=3)

    assert len(admitted(scheduler, BUSY, 20)) == 5
    with pytest.raises(TooManyRequests):
        scheduler.admit(QUIET)


async def test_a_tenants_crowd_gets_its_share_even_if_others_take_the_free_hands() -> None:
    """However places are asked for, a tenant whose turns all have to wait has no more waiting than it may."""
    scheduler = Scheduler(max_running=2, max_queued=100, max_queued_per_tenant=3)
    quiet = admitted(scheduler, QUIET, 2)

    busy = admitted(scheduler, BUSY, 20)

    assert (len(quiet), len(busy)) == (2, 3)


async def test_a_place_is_free_again_when_its_block_is_left_or_when_it_is_given_back() -> None:
    """A place that was handed over outlives its block, and is given back once however often that is done."""
    scheduler = Scheduler(max_running=0, max_queued=1, max_queued_per_tenant=1)
    with scheduler.admit(BUSY):
        assert admitted(scheduler, BUSY, 1) == []
    with scheduler.admit(BUSY) as place:
        kept = place.hand_over()
    assert admitted(scheduler, BUSY, 1) == []

    kept.give_back()
    kept.give_back()

    assert len(admitted(scheduler, BUSY, 2)) == 1
