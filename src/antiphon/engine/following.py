"""
Following a turn that is not carried out by this process: it has ended, or another process works on it.

Either way it becomes a run like any other: its events come from the store, whole or as they are kept.
"""

from __future__ import annotations

import asyncio
import time

import msgspec

from antiphon.engine.run import Run
from antiphon.hub.errors import AntiphonError, GatewayError, ResponseNotFound, StoreUnavailable
from antiphon.hub.ids import TenantId
from antiphon.sessions.pending import PendingTurn
from antiphon.sessions.sessions import TenantSessions
from antiphon.streams.trace import event_count, replay
from antiphon.streams.trace_whole import trace_of_whole
from antiphon.telemetry import Log

__all__ = ["Follower"]

_LOOK_EVERY_S = 0.1

# Who asked for a mirror may not have begun to read yet.
_GRACE_S = 2.0

# From this many events on, making them all would hold the event loop for milliseconds.
_REPLAY_IN_THREAD_EVENTS = 2000


class _Mirror(msgspec.Struct, eq=False):
    """The run of a turn that another process carries out, and when it was asked for last (monotonic clock)."""

    run: Run
    asked_at: float = msgspec.field(default_factory=time.monotonic)

    @property
    def is_wanted(self) -> bool:
        return self.run.has_audience or time.monotonic() - self.asked_at < _GRACE_S


class Follower:
    """Makes runs of what is in the store. One run for each pending turn, however many follow it."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._mirrors: dict[tuple[TenantId, str], _Mirror] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def stored(self, sessions: TenantSessions, tenant: TenantId, response_id: str) -> Run:
        """
        The run of a stored response.

        Raises:
            ResponseNotFound: This tenant has no such response.
        """
        response = await sessions.retrieve(response_id)
        trace = await sessions.trace(response_id)
        if trace is None:
            trace = trace_of_whole(response)
        if event_count(trace) < _REPLAY_IN_THREAD_EVENTS:
            return Run.ended(response, tenant, replay(trace, response))
        return Run.ended(response, tenant, await asyncio.to_thread(replay, trace, response))

    async def mirror(self, sessions: TenantSessions, tenant: TenantId, turn: PendingTurn) -> Run:
        """The run of a pending turn that another process carries out, for as long as somebody follows it."""
        known = self._mirrors.get((tenant, turn.response_id))
        if known is not None:
            known.asked_at = time.monotonic()
            return known.run
        run = Run(turn.response_id, tenant, background=turn.background, stays=True)
        mirror = self._mirrors[tenant, turn.response_id] = _Mirror(run)
        run.open()
        looking = self._look(sessions, mirror, turn)
        task = asyncio.get_running_loop().create_task(looking, name=f"follow {run.response_id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return run

    async def close(self) -> None:
        """Stop following."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _look(self, sessions: TenantSessions, mirror: _Mirror, turn: PendingTurn) -> None:
        run = mirror.run
        try:
            while mirror.is_wanted:
                if await self._take_in(sessions, run, turn):
                    return
                await asyncio.sleep(_LOOK_EVERY_S)
        except AntiphonError as error:
            run.refuse(error)
        except Exception as error:  # noqa: BLE001 - a bug must not leave readers waiting
            self._log.crash("follow_crashed", error, response=run.response_id)
            run.refuse(GatewayError("The stream could not be followed."))
        finally:
            del self._mirrors[run.tenant, run.response_id]
            if not run.done:
                run.refuse(GatewayError("The stream is not followed any more."))

    async def _take_in(self, sessions: TenantSessions, run: Run, turn: PendingTurn) -> bool:
        """Show what is new. Returns whether the turn has ended."""
        try:
            if await sessions.pending.exists(run.response_id):
                run.say(await sessions.pending.events(turn, len(run.events)))
                return False
            ended = await self.stored(sessions, run.tenant, run.response_id)
        except StoreUnavailable as error:
            self._log.warning("follow_failed", response=run.response_id, error=error.message)
            return False
        except ResponseNotFound as error:
            run.refuse(error)
            return True
        run.say(ended.events[len(run.events) :])
        run.finish(ended.finished.result())
        return True
