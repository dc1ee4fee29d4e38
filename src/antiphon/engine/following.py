"""
Following a turn that is not carried out by this process: it has ended, or another process works on it.

Either way it becomes a run like any other: its events come from the store, whole or as they are kept.
"""

from __future__ import annotations

import asyncio

from antiphon.engine.run import Run
from antiphon.hub.errors import AntiphonError, GatewayError, ResponseNotFound, StoreUnavailable
from antiphon.hub.ids import TenantId
from antiphon.sessions.pending import PendingTurn
from antiphon.sessions.sessions import TenantSessions
from antiphon.streams.trace import replay
from antiphon.streams.trace_whole import trace_of_whole
from antiphon.telemetry import Log

__all__ = ["Follower"]

_LOOK_EVERY_S = 0.1


class Follower:
    """Makes runs of what is in the store. One run for each pending turn, however many follow it."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._mirrors: dict[tuple[TenantId, str], Run] = {}
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
        return Run.ended(response, tenant, replay(trace, response))

    async def mirror(self, sessions: TenantSessions, tenant: TenantId, turn: PendingTurn) -> Run:
        """The run of a pending turn that another process carries out, for as long as somebody follows it."""
        known = self._mirrors.get((tenant, turn.response_id))
        if known is not None:
            return known
        run = Run(turn.response_id, tenant, background=turn.background, stays=True)
        self._mirrors[tenant, turn.response_id] = run
        run.open()
        task = asyncio.get_running_loop().create_task(self._look(sessions, run, turn), name=f"follow {run.response_id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return run

    async def close(self) -> None:
        """Stop following."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _look(self, sessions: TenantSessions, run: Run, turn: PendingTurn) -> None:
        try:
            while True:
                if await self._take_in(sessions, run, turn):
                    return
                await asyncio.sleep(_LOOK_EVERY_S)
                if not run.has_audience:
                    return
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
            pending = await sessions.pending.find(run.response_id)
            if pending is not None:
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
