"""
Taking over: going on with turns that another process left behind.

What such a turn stands on is looked for anew, and a conversation's lease is taken again. A turn that has output
already, or that took down too many processes, is not carried out again but ended.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

import msgspec

from antiphon.engine.affinity import ranked, seed_of_turn
from antiphon.engine.context import Context
from antiphon.engine.contexts import Contexts
from antiphon.engine.leases import LeaseKeeper
from antiphon.engine.plan import Plan
from antiphon.engine.routing import Router
from antiphon.hub.errors import AntiphonError, GatewayError, StoreUnavailable
from antiphon.hub.events import Event, LifecycleEvent, OtherEvent
from antiphon.hub.ids import IdFactory, TenantId
from antiphon.hub.principal import Principal
from antiphon.sessions.pending import PendingTurn
from antiphon.sessions.records import Claim, Lease
from antiphon.sessions.resolve import ResolvedTurn
from antiphon.sessions.sessions import Sessions, TenantSessions
from antiphon.sessions.work import Pending
from antiphon.telemetry import Log

__all__ = ["TakeOver"]

# A turn that takes its process down with it must not take down every process that there is.
_MAX_ATTEMPTS = 3

_RETRY_S = 1.0


class TakeOver:
    """
    Makes plans of turns that were taken over, each in a task of its own: it may have to wait for a lock.

    Args:
        launch: Starts a turn. It is told whether a client asked for the turn's end.
    """

    def __init__(
        self,
        *,
        sessions: Sessions,
        router: Router,
        contexts: Contexts,
        leases: LeaseKeeper,
        ids: IdFactory,
        log: Log,
        launch: Callable[[Plan, bool], None],
    ) -> None:
        self._sessions = sessions
        self._router = router
        self._contexts = contexts
        self._leases = leases
        self._ids = ids
        self._log = log
        self._launch = launch
        self._closed = False
        self._tasks: set[asyncio.Task[None]] = set()

    def take(self, tenant: TenantId, pending: Pending, claim: Claim) -> None:
        """Go on with a turn that is ours now. After :meth:`close` it is left to whoever has its claim next."""
        if self._closed:
            return
        name = f"take over {pending.response_id}"
        task = asyncio.get_running_loop().create_task(self._resume(tenant, pending, claim), name=name)
        self._tasks.add(task)
        task.add_done_callback(self._resumed)

    async def close(self) -> None:
        """Leave what was not launched by now."""
        self._closed = True
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _resumed(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._log.crash("turn_not_resumed", error)

    async def _resume(self, tenant: TenantId, pending: Pending, claim: Claim) -> None:
        """Launch the turn as soon as the store lets us; as its claim is renewed until then, nobody else will."""
        sessions = self._sessions.for_tenant(tenant)
        while True:
            try:
                turn = await sessions.pending.read(pending)
                plan = await self._plan(tenant, turn, claim, sessions)
            except StoreUnavailable as error:
                self._log.warning("turn_not_resumed_yet", response=pending.response_id, error=error.message)
            else:
                self._launch(plan, turn.cancel_requested)
                return
            await asyncio.sleep(_RETRY_S)

    async def _plan(self, tenant: TenantId, turn: PendingTurn, claim: Claim, sessions: TenantSessions) -> Plan:
        events = await sessions.pending.events(turn)
        plan = Plan(
            principal=Principal(tenant=tenant, actor=turn.actor),
            request=turn.request,
            resolved=ResolvedTurn(tenant=tenant, family=turn.family, input=turn.input),
            context=Context(items=()),
            targets=(),
            opening=turn.opening,
            sessions=sessions,
            request_id=turn.request_id,
            received_at=time.monotonic(),
            stays=True,
            claim=claim,
            events=tuple(events),
            failure=_why_not_again(turn, events),
        )
        return plan if plan.failure is not None else await self._found_again(plan, turn, sessions)

    async def _found_again(self, plan: Plan, turn: PendingTurn, sessions: TenantSessions) -> Plan:
        """The plan with what the turn stands on, and with whom to ask; or with the reason why it fails."""
        try:
            targets = await self._router.targets(turn.request.model)
            lease = await self._lease(turn, sessions)
            async with self._leases.giving_back_at_fault(sessions, lease):
                resolved = await sessions.resume(turn, lease=lease)
                context = await self._contexts.context(resolved)
                targets = ranked(targets, seed_of_turn(turn.request, resolved))
                compactor = await self._contexts.compactor(turn.request, context, resolved, targets)
        except StoreUnavailable:
            raise
        except AntiphonError as error:
            return msgspec.structs.replace(plan, failure=error)
        return msgspec.structs.replace(plan, targets=targets, resolved=resolved, context=context, compactor=compactor)

    async def _lease(self, turn: PendingTurn, sessions: TenantSessions) -> Lease | None:
        conversation_id = turn.request.conversation
        if conversation_id is None or not turn.request.store:
            return None
        # The lease of the process that is gone has to run out first.
        return await self._leases.take(sessions, conversation_id, self._ids.request(), wait_s=3 * self._leases.ttl_s)


def _why_not_again(turn: PendingTurn, events: Sequence[Event | OtherEvent]) -> AntiphonError | None:
    """Why a turn that was taken over cannot be carried out again."""
    if any(not isinstance(event, LifecycleEvent) for event in events):
        return GatewayError("The gateway stopped while this response was being generated.")
    if turn.status == "in_progress" and turn.attempts > _MAX_ATTEMPTS:
        return GatewayError(f"The gateway stopped {_MAX_ATTEMPTS} times while it worked on this response.")
    return None
