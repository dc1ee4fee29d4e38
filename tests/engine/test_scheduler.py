"""The scheduler takes tenants by turns, and no more than it may."""

from __future__ import annotations

import asyncio

import pytest

from antiphon.engine.scheduler import Scheduler
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
        scheduler.admit(BUSY)
        work.add(BUSY, name)

    with pytest.raises(TooManyRequests):
        scheduler.admit(BUSY)
    scheduler.admit(QUIET)
    work.add(QUIET, "q1")
    with pytest.raises(TooManyRequests):
        scheduler.admit(TenantId("third"))
