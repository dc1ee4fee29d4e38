"""
Turns: how they begin, who knows of those that run, and how they are ended from outside.

Everything that runs is registered here under (tenant, response id), so that a second reader, a poll or a cancellation
finds it. What does not run here is looked for in the store.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext, suppress
from functools import partial

import msgspec

from antiphon.engine.asked import Asked, Decode, decoded, deed_of
from antiphon.engine.attempts import Attempts
from antiphon.engine.audit import AuditTrail
from antiphon.engine.audit_entry import Action, outcome_of
from antiphon.engine.claims import ClaimKeeper
from antiphon.engine.contexts import Contexts
from antiphon.engine.following import Follower
from antiphon.engine.idempotency import Begun, Idempotency, asked_by
from antiphon.engine.leases import LeaseKeeper
from antiphon.engine.limits import Admission, Limiter
from antiphon.engine.plan import BackgroundPolicy, Plan, TurnOptions
from antiphon.engine.planning import Planner, needs_store
from antiphon.engine.publishing import Publisher
from antiphon.engine.quota import Quota
from antiphon.engine.routing import Router
from antiphon.engine.run import Run
from antiphon.engine.scheduler import Place, Scheduler
from antiphon.engine.takeover import TakeOver
from antiphon.engine.turn import Turn, TurnPolicy
from antiphon.engine.webhooks import Deliverer
from antiphon.hub.errors import (
    AntiphonError,
    GatewayError,
    InvalidRequest,
    LeaseLost,
    ResponseNotFound,
    ShuttingDown,
)
from antiphon.hub.format import DialectTurn, Format
from antiphon.hub.ids import IdFactory, TenantId
from antiphon.hub.items import JsonObject
from antiphon.hub.principal import Principal
from antiphon.sessions.directory import AuditAppend
from antiphon.sessions.pending import PendingTurn
from antiphon.sessions.sessions import Sessions, TenantSessions
from antiphon.sessions.work import KeyClaim
from antiphon.telemetry import Log

__all__ = ["Turns"]

_LOOK_EVERY_S = 0.1
_CANCEL_WAIT_S = 30.0


class Turns:
    """See the module. Arguments as of :class:`antiphon.engine.gateway.Gateway`."""

    def __init__(
        self,
        *,
        router: Router,
        format: Format,  # noqa: A002 - the field's own word
        sessions: Sessions | None,
        ids: IdFactory,
        clock: Callable[[], float],
        log: Log,
        policy: TurnPolicy,
        background: BackgroundPolicy,
        contexts: Contexts,
        attempts: Attempts,
        deliverer: Deliverer,
        trail: AuditTrail,
        quota: Quota,
    ) -> None:
        self._router = router
        self._sessions = sessions
        self._ids = ids
        self._clock = clock
        self._log = log
        self._policy = policy
        self._contexts = contexts
        self._attempts = attempts
        self._deliverer = deliverer
        self._trail = trail
        self._holder = ids.request()
        self._leases = LeaseKeeper(policy.lease_ttl_s)
        self._scheduler = Scheduler(
            max_running=background.max_running,
            max_queued=background.max_queued,
            max_queued_per_tenant=background.max_queued_per_tenant,
        )
        self._planner = Planner(
            format=format,
            sessions=sessions,
            ids=ids,
            clock=clock,
            policy=policy,
            contexts=contexts,
            leases=self._leases,
            quota=quota,
            running=self.running,
            refuse_draining=self.refuse_draining,
        )
        self.idempotency = Idempotency(holder=self._holder, ttl_s=policy.lease_ttl_s, clock=clock)
        self.limiter = Limiter()
        self._follower = Follower(log)
        self._claims: ClaimKeeper | None = None
        self._take_over: TakeOver | None = None
        self._runs: dict[tuple[TenantId, str], Run] = {}
        self._tasks: dict[asyncio.Task[None], Run] = {}
        self._beginning: set[asyncio.Task[Run]] = set()
        self._draining = False

    # Life.

    def start(self) -> None:
        """Begin to keep claims, and to take over what another process left behind."""
        if self._sessions is None:
            return
        self._take_over = TakeOver(
            sessions=self._sessions,
            router=self._router,
            contexts=self._contexts,
            leases=self._leases,
            ids=self._ids,
            log=self._log,
            launch=self._relaunch,
        )
        self._claims = ClaimKeeper(
            self._sessions.store,
            holder=self._holder,
            ttl_s=self._policy.lease_ttl_s,
            on_cancel=self._cancel,
            on_taken=self._take_over.take,
            log=self._log,
        )
        self._claims.start()

    def refuse_draining(self) -> None:
        """
        Let nothing in that would begin now.

        Raises:
            ShuttingDown: The gateway drains.
        """
        if self._draining:
            raise ShuttingDown("The gateway is shutting down; send the request again in a moment.")

    def drain(self) -> None:
        """Take no new turns, and take none over."""
        self._draining = True
        if self._claims is not None:
            self._claims.drain()

    async def close(self, timeout_s: float) -> None:
        """
        Let running turns end. In the end, foreground turns are cancelled and stored as such; a background turn without
        output stays in the store, for the next process to carry it out.
        """
        self._scheduler.close()
        if self._take_over is not None:
            await self._take_over.close()
        if self._beginning:
            await asyncio.wait(self._beginning, timeout=timeout_s)
        for run in list(self._runs.values()):
            if run.task is None:
                run.break_off(_shutting_down())
                self._scheduler.hurry(run.tenant, run.response_id)
        await self._end(timeout_s)
        await self._follower.close()
        if self._claims is not None:
            await self._claims.close()
        await self._leases.close()

    async def _end(self, timeout_s: float) -> None:
        if not self._tasks:
            return
        _, late = await asyncio.wait(list(self._tasks), timeout=timeout_s)
        if not late:
            return
        for task in late:
            run = self._tasks[task]
            if run.background:
                run.break_off(_shutting_down())
            run.cancel()
        # Whoever cannot store its end by now leaves it to the process that takes it over.
        _, stuck = await asyncio.wait(late, timeout=self._policy.lease_ttl_s / 4)
        for task in stuck:
            self._tasks[task].break_off(_shutting_down())
        await asyncio.gather(*stuck, return_exceptions=True)

    # Beginning.

    async def decode(
        self,
        decode: Decode,
        body: JsonObject,
        principal: Principal,
        *,
        action: Action,
        request_id: str | None,
    ) -> DialectTurn:
        """
        What a request of another dialect asks for, as :meth:`begin` takes it.

        One that is refused counts among its caller's requests, and is noted, as one that :meth:`begin` refuses.

        Raises:
            AntiphonError: It breaks a rule, or its caller may not ask for anything now.
        """
        self.refuse_draining()
        try:
            return await self._decode_counted(decode, body, principal)
        except AntiphonError as error:
            self._trail.note(principal, action, "", error=error, request_id=request_id)
            raise

    async def _decode_counted(self, decode: Decode, body: JsonObject, principal: Principal) -> DialectTurn:
        try:
            return await decoded(decode, body)
        except AntiphonError:
            with self.limiter.admit(principal):
                raise

    async def begin(self, asked: Asked, principal: Principal, options: TurnOptions) -> Begun:
        """
        Check and resolve a request and start its turn, which then runs in a task of its own.

        Raises:
            AntiphonError: The request was refused; no upstream was asked.
        """
        self.refuse_draining()
        try:
            begun = await self._begin_once(asked, principal, options)
        except Exception as error:
            self._trail.note(principal, *deed_of(asked), error=error, request_id=options.request_id)
            raise
        if begun.replayed:
            with self._trail.reading(principal, "request.replay", begun.run.response_id):
                return begun
        return begun

    async def _begin_once(self, asked: Asked, principal: Principal, options: TurnOptions) -> Begun:
        if options.key is None:
            return Begun(await self._admit(asked, principal, options, None))
        if self._sessions is None:
            raise needs_store("Idempotency-Key")
        return await self.idempotency.turn(
            self._sessions.for_tenant(principal.tenant),
            principal.tenant,
            asked_by(options.key, principal),
            begin=lambda key: self._admit(asked, principal, options, key),
            follow=lambda response_id: self._recall(response_id, principal),
        )

    async def _admit(self, asked: Asked, principal: Principal, options: TurnOptions, key: KeyClaim | None) -> Run:
        with self.limiter.admit(principal) as admission:
            return await self._begin(asked, principal, options, key, admission)

    async def _begin(
        self,
        asked: Asked,
        principal: Principal,
        options: TurnOptions,
        key: KeyClaim | None,
        admission: Admission,
    ) -> Run:
        request = await self._planner.request(asked, principal, options)
        targets = await self._router.targets(request.model, principal)
        with self._scheduler.admit(principal.tenant) if request.background else nullcontext() as place:
            plan = await self._planner.plan(request, targets, principal, options, admission, asked=asked)
            if not plan.is_pending(key):
                return self._launch(plan)
            return await self._opened(plan, key, admission, place.hand_over() if place is not None else None)

    async def _opened(self, plan: Plan, key: KeyClaim | None, admission: Admission, place: Place | None) -> Run:
        """The run of a turn that is written down first. In a task of its own: nobody may leave between row and run."""
        opening = asyncio.get_running_loop().create_task(self._open(plan, key, place))
        self._beginning.add(opening)
        opening.add_done_callback(self._forget_opening)
        admission.hold()
        opening.add_done_callback(lambda _: admission.let_go())
        return await asyncio.shield(opening)

    def _forget_opening(self, opening: asyncio.Task[Run]) -> None:
        self._beginning.discard(opening)
        if not opening.cancelled():
            opening.exception()  # retrieved: whoever asked may be gone

    async def _open(self, plan: Plan, key: KeyClaim | None, place: Place | None) -> Run:
        """Write a turn down and start or queue it, where room was kept for it."""
        assert plan.sessions is not None
        pending = PendingTurn(
            response_id=plan.opening["id"],
            family=plan.resolved.family,
            background=plan.request.background,
            request=plan.request,
            input=plan.resolved.input,
            opening=plan.opening,
            request_id=plan.request_id,
            actor=plan.principal.actor,
        )
        try:
            async with (
                self._leases.giving_back_at_fault(plan.sessions, plan.resolved.lease),
                self._trail.writing(plan.principal, plan.deed, request_id=plan.request_id),
            ):
                claim = await plan.sessions.pending.open(
                    pending, key=key, holder=self._holder, ttl_s=self._policy.lease_ttl_s
                )
        finally:
            if place is not None:
                place.give_back()
        return self._launch(msgspec.structs.replace(plan, claim=claim, events=tuple(pending.announcement())))

    def _launch(self, plan: Plan) -> Run:
        """Make the run of a plan and start it; a background turn waits for its turn."""
        request = plan.request
        publishes = plan.claim is not None and (request.background or request.stream)
        run = Run(
            plan.opening["id"],
            plan.resolved.tenant,
            background=request.background,
            stays=plan.stays,
            held=publishes,
            is_kept=plan.sessions is not None,
        )
        run.keeps_context = plan.keeps_context
        if plan.admission is not None:
            plan.admission.follow(run)
        turn = self._turn(plan, run, self._publisher(plan, run) if publishes else None)
        turn.announce(plan.events)
        if plan.sessions is not None:
            self._runs[run.tenant, run.response_id] = run
        if plan.claim is not None and (request.background or plan.events or plan.failure is not None):
            self._scheduler.add(run.tenant, run.response_id, lambda: self._start(plan, run, turn))
        else:
            self._start(plan, run, turn)
        return run

    def _publisher(self, plan: Plan, run: Run) -> Publisher:
        assert plan.sessions is not None
        assert plan.claim is not None
        return Publisher(
            run,
            plan.sessions,
            plan.claim,
            start=len(plan.events),
            every_s=self._policy.publish_every_s,
            log=self._log,
        )

    def _turn(self, plan: Plan, run: Run, publisher: Publisher | None) -> Turn:
        return Turn(
            request=plan.request,
            asked=plan.asked,
            resolved=plan.resolved,
            context=plan.context,
            compactor=plan.compactor,
            opening=plan.opening,
            run=run,
            targets=plan.targets,
            attempts=self._attempts,
            cache_key=partial(self._contexts.cache_key, plan.request, plan.resolved),
            sessions=plan.sessions,
            ids=self._ids,
            clock=self._clock,
            policy=self._policy,
            log=self._log,
            request_id=plan.request_id,
            received_at=plan.received_at,
            claim=plan.claim,
            publisher=publisher,
            webhooks_of=self._deliverer.webhooks_of if plan.request.background else None,
            recording=partial(self._recording, plan),
        )

    def _recording(self, plan: Plan, error: AntiphonError | None) -> AbstractAsyncContextManager[AuditAppend | None]:
        outcome = outcome_of(error)
        return self._trail.joining(plan.principal, plan.deed, request_id=plan.request_id, outcome=outcome)

    def _note_unstored(self, plan: Plan, run: Run) -> None:
        """Note a turn that has ended without being stored: it was not to be, or it never opened."""
        refusal = run.finished.exception()
        if plan.sessions is None or (refusal is not None and run.broken_off is None):
            error = run.error if refusal is None else refusal
            self._trail.note(plan.principal, *plan.deed, error=error, request_id=plan.request_id)

    def _start(self, plan: Plan, run: Run, turn: Turn) -> asyncio.Task[None]:
        async def perform() -> None:
            try:
                if plan.failure is not None:
                    await turn.abandon(plan.failure)
                else:
                    await turn.perform()
            finally:
                if self._runs.get((run.tenant, run.response_id)) is run:  # or it was taken over, by us
                    del self._runs[run.tenant, run.response_id]
                if plan.resolved.lease is not None:
                    self._leases.forget(plan.resolved.lease)
                if not run.done:  # the event loop itself is ending, or there is a bug: nobody may wait for ever
                    run.refuse(GatewayError("The turn was broken off before its end could be stored."))
                self._note_unstored(plan, run)
                if run.background:
                    self._deliverer.look()
                turn.log()

        run.task = asyncio.get_running_loop().create_task(perform(), name=f"turn {run.response_id}")
        self._tasks[run.task] = run
        run.task.add_done_callback(self._ended)
        return run.task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.pop(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._log.crash("turn_lost", error)

    def _relaunch(self, plan: Plan, cancel: bool) -> None:  # noqa: FBT001 - as TakeOver calls it
        """Go on with a turn that was taken over, perhaps from ourselves: its claim can run out under a slow store."""
        resolved = plan.resolved
        before = self._runs.get((resolved.tenant, plan.opening["id"]))
        if before is not None:
            before.break_off(LeaseLost("The turn was taken over."))
            self._scheduler.hurry(before.tenant, before.response_id)
        run = self._launch(plan)
        if cancel:
            self._stop(run)

    # Runs, from outside.

    def running(self, response_id: str, principal: Principal) -> Run | None:
        """The run of a stored turn that this process carries out."""
        return self._runs.get((principal.tenant, response_id))

    async def follow(self, response_id: str, principal: Principal) -> Run:
        """
        The run of a response, whoever carries it out, or out of the store.

        Raises:
            ResponseNotFound: This tenant has no such response.
        """
        run = self.running(response_id, principal)
        if run is not None:
            return run
        if self._sessions is None:
            raise ResponseNotFound(response_id)
        sessions = self._sessions.for_tenant(principal.tenant)
        pending = await sessions.pending.find(response_id)
        if pending is not None:
            return await self._follower.mirror(sessions, principal.tenant, pending)
        return await self._follower.stored(sessions, principal.tenant, response_id)

    async def _recall(self, response_id: str, principal: Principal) -> Run:
        """
        The run of a turn that an earlier request began, once there is something to show of it.

        Raises:
            ResponseNotFound: It came to nothing, or is gone.
        """
        run = await self.follow(response_id, principal)
        reader = run.reader()
        try:
            await reader.wait()
        finally:
            reader.close()
        if run.done:
            run.finished.result()
        return run

    async def cancel(self, response_id: str, principal: Principal) -> JsonObject | None:
        """
        End a background turn that runs, here or elsewhere.

        Returns:
            The response that it ended with, or as it is if another process has not ended it by now; None if no such
            turn runs.

        Raises:
            InvalidRequest: It runs in the foreground.
        """
        run = self.running(response_id, principal)
        if run is not None:
            if not run.background:
                raise InvalidRequest("Cannot cancel a synchronous response.")
            self._stop(run)
            with suppress(LeaseLost):  # somebody else carries it out now
                return await asyncio.shield(run.finished)
        if self._sessions is None:
            return None
        sessions = self._sessions.for_tenant(principal.tenant)
        pending = await sessions.pending.find(response_id)
        if pending is None:
            return None
        if not pending.background:
            raise InvalidRequest("Cannot cancel a synchronous response.")
        await sessions.pending.request_cancel(response_id)
        return await self._ended_elsewhere(sessions, response_id)

    async def _ended_elsewhere(self, sessions: TenantSessions, response_id: str) -> JsonObject:
        deadline = time.monotonic() + _CANCEL_WAIT_S
        while time.monotonic() < deadline:
            with suppress(ResponseNotFound):
                return await sessions.retrieve(response_id)
            await asyncio.sleep(_LOOK_EVERY_S)
        pending = await sessions.pending.find(response_id)
        if pending is None:
            return await sessions.retrieve(response_id)
        return await sessions.pending.snapshot(pending)

    def reader_left(self, run: Run) -> None:
        """Somebody who followed a foreground turn has gone: stop it, if that was the last one and nothing keeps it."""
        if not run.stays and not run.has_audience:
            run.cancel()

    def _cancel(self, tenant: TenantId, response_id: str) -> None:
        run = self._runs.get((tenant, response_id))
        if run is not None:
            self._stop(run)

    def _stop(self, run: Run) -> None:
        run.cancel()
        self._scheduler.hurry(run.tenant, run.response_id)


def _shutting_down() -> ShuttingDown:
    return ShuttingDown("The gateway was shut down while this response was being generated.")
