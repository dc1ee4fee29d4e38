"""
Planning: from a request to all that its turn needs to begin. Nothing is stored yet and no upstream was asked.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

import msgspec

from antiphon.engine.affinity import ranked, seed_of_turn
from antiphon.engine.asked import Asked, as_dialect, is_long, wants_store, with_private
from antiphon.engine.compaction import take_trigger
from antiphon.engine.contexts import Contexts
from antiphon.engine.droppable import with_wish
from antiphon.engine.leases import LeaseKeeper
from antiphon.engine.limits import Admission, reserve_for
from antiphon.engine.plan import Plan, TurnOptions
from antiphon.engine.quota import Quota
from antiphon.engine.run import Run
from antiphon.engine.target import Target
from antiphon.engine.turn import TurnPolicy
from antiphon.engine.verbatim import admitted, decode_open, refuse_unsayable
from antiphon.hub.errors import NotContinuable, PreviousResponseNotFound, UnsupportedParameter
from antiphon.hub.format import DialectTurn, Format
from antiphon.hub.ids import IdFactory
from antiphon.hub.items import Item
from antiphon.hub.principal import Principal
from antiphon.hub.response import opening_response
from antiphon.hub.turn import TurnRequest
from antiphon.sessions.records import Lease
from antiphon.sessions.resolve import ResolvedTurn, resolve_stateless
from antiphon.sessions.sessions import Sessions, TenantSessions

__all__ = ["Planner", "needs_store"]


class Planner:
    """
    Args:
        running: The run of a stored turn that this process carries out; None if there is none.
        refuse_draining: Raises ShuttingDown if the gateway drains.
    """

    def __init__(
        self,
        *,
        format: Format,  # noqa: A002 - the field's own word
        sessions: Sessions | None,
        ids: IdFactory,
        clock: Callable[[], float],
        policy: TurnPolicy,
        contexts: Contexts,
        leases: LeaseKeeper,
        quota: Quota,
        running: Callable[[str, Principal], Run | None],
        refuse_draining: Callable[[], None],
    ) -> None:
        self._format = format
        self._sessions = sessions
        self._ids = ids
        self._clock = clock
        self._policy = policy
        self._contexts = contexts
        self._leases = leases
        self._quota = quota
        self._running = running
        self._refuse_draining = refuse_draining

    async def request(self, asked: Asked, principal: Principal, options: TurnOptions) -> TurnRequest:
        """
        What is asked for, with its stored prompt filled in.

        Raises:
            AntiphonError: It breaks a rule, or asks for more than there is or may be.
        """
        request = with_wish(await self._decode(asked, generate=options.generate), options.drop)
        if request.store or request.background:
            await self._quota.refuse_full(principal.tenant)
        if self._sessions is None:
            _refuse_state(asked, request, options)
            request = msgspec.structs.replace(request, store=False)
        else:
            request = await self._sessions.for_tenant(principal.tenant).prompts.fill(request)
        return take_trigger(request)

    async def _decode(self, asked: Asked, *, generate: bool) -> TurnRequest:
        if isinstance(asked, DialectTurn):
            return asked.request
        if is_long(asked):
            return await asyncio.to_thread(decode_open, self._format, asked, generate=generate)
        return decode_open(self._format, asked, generate=generate)

    async def plan(
        self,
        request: TurnRequest,
        targets: Sequence[Target],
        principal: Principal,
        options: TurnOptions,
        admission: Admission,
        *,
        asked: Asked,
    ) -> Plan:
        """
        Resolve what a request stands on, take what it needs, and reserve what it may use.

        Args:
            request: What *asked* asks for.

        Raises:
            AntiphonError: It was refused; nothing is held any more.
        """
        refuse_unsayable(self._format, request, asked, targets)
        if self._sessions is None:
            resolved = await resolve_stateless(
                request, self._ids, principal.tenant, context=_local_context(request, options)
            )
            plan = await self._plan(
                request, resolved, targets, options, admission, asked=asked, principal=principal, sessions=None
            )
            await _reserve(plan, admission)
            self._refuse_draining()
            return plan
        sessions = self._sessions.for_tenant(principal.tenant)
        resolved = await self._resolve(request, principal, sessions, options)
        async with self._leases.giving_back_at_fault(sessions, resolved.lease):
            plan = await self._plan(
                request, resolved, targets, options, admission, asked=asked, principal=principal, sessions=sessions
            )
            await _reserve(plan, admission)
            self._refuse_draining()  # a turn that began now would outlive the store
        return plan

    async def _resolve(
        self, request: TurnRequest, principal: Principal, sessions: TenantSessions, options: TurnOptions
    ) -> ResolvedTurn:
        context = _local_context(request, options)
        if context is not None:
            return await sessions.resolve_after(context, request)
        lease = await self._lease(request, sessions, wait_s=options.conversation_wait_s)
        async with self._leases.giving_back_at_fault(sessions, lease):
            try:
                resolved = await sessions.resolve(request, lease=lease)
            except PreviousResponseNotFound:
                await self._refuse_running(request, principal, sessions)
                raise
        return resolved

    async def _lease(self, request: TurnRequest, sessions: TenantSessions, *, wait_s: float) -> Lease | None:
        if request.conversation is None or not request.store:
            return None
        return await self._leases.take(sessions, request.conversation, self._ids.request(), wait_s=wait_s)

    async def _refuse_running(self, request: TurnRequest, principal: Principal, sessions: TenantSessions) -> None:
        """Say that a parent still runs, if that is why it was not found."""
        parent = request.previous_response_id
        assert parent is not None
        run = self._running(parent, principal)
        if run is not None and run.is_kept and not run.is_ephemeral:
            raise NotContinuable(parent, "queued" if run.task is None else "in_progress") from None
        pending = await sessions.pending.find(parent)
        if pending is not None and pending.request.store:
            raise NotContinuable(parent, pending.status) from None

    async def _plan(
        self,
        request: TurnRequest,
        resolved: ResolvedTurn,
        targets: Sequence[Target],
        options: TurnOptions,
        admission: Admission,
        *,
        asked: Asked,
        principal: Principal,
        sessions: TenantSessions | None,
    ) -> Plan:
        dialect = as_dialect(asked)
        if dialect is not None:
            dialect = admitted(dialect, targets, is_keyed=options.key is not None)
            resolved = with_private(resolved, dialect.private)
        response_id = self._ids.response(resolved.family)
        context = await self._contexts.context(resolved)
        targets = ranked(targets, seed_of_turn(request, resolved))
        return Plan(
            principal=principal,
            asked=dialect,
            request=request,
            resolved=resolved,
            context=context,
            compactor=await self._contexts.compactor(request, context, resolved, targets),
            targets=targets,
            opening=opening_response(
                request,
                id=response_id,
                created_at=int(self._clock()),
                model=targets[0].model,
                conversation_id=resolved.conversation_id,
            ),
            sessions=sessions if request.store or request.background else None,
            request_id=options.request_id or self._ids.request(),
            received_at=time.monotonic() if options.received_at is None else options.received_at,
            stays=self._stays(options),
            keeps_context=options.local is not None,
            admission=admission,
        )

    def _stays(self, options: TurnOptions) -> bool:
        if options.key is not None:
            return True  # who sends a request with a key comes again
        if options.on_disconnect is not None:
            return options.on_disconnect == "continue"
        return not self._policy.cancel_on_disconnect


async def _reserve(plan: Plan, admission: Admission) -> None:
    if plan.request.generate and admission.counts_tokens:
        await reserve_for(admission, plan.request, plan.context.items)


def _local_context(request: TurnRequest, options: TurnOptions) -> tuple[Item, ...] | None:
    """What the turn continues from, if its caller alone has that."""
    return (options.local or {}).get(request.previous_response_id or "")


def _refuse_state(asked: Asked, request: TurnRequest, options: TurnOptions) -> None:
    """A stateless gateway says no to what needs state, and never just leaves it out."""
    parent = request.previous_response_id
    if parent is not None and options.local is not None and parent not in options.local:
        raise PreviousResponseNotFound(parent)
    for name in ("previous_response_id", "conversation", "prompt"):
        if getattr(request, name) is not None and not (name == "previous_response_id" and options.local is not None):
            raise needs_store(name)
    if wants_store(asked):
        raise needs_store("store")
    if request.background:
        raise needs_store("background")


def needs_store(name: str) -> UnsupportedParameter:
    """The error for what a gateway without a store cannot do."""
    return UnsupportedParameter(
        f"Unsupported parameter: '{name}'. This gateway was started without a session store.", param=name
    )
