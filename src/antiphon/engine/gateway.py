"""
The gateway: every use case, for whoever calls (the server, or a program that embeds it).

It knows formats, providers, transports and stores only by their protocols. Without a session store it is stateless and
refuses every parameter that needs state.
"""

from __future__ import annotations

import asyncio
import copy
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec

from antiphon.engine.leases import LeaseKeeper
from antiphon.engine.retention import Sweeper
from antiphon.engine.routing import Router
from antiphon.engine.run import Batch, Run
from antiphon.engine.turn import Turn, TurnPolicy
from antiphon.hub.errors import (
    GatewayError,
    InvalidRequest,
    NotContinuable,
    PreviousResponseNotFound,
    ResponseNotFound,
    ShuttingDown,
    UnsupportedParameter,
)
from antiphon.hub.events import Event, OtherEvent
from antiphon.hub.format import ConversationDraft, Format, PageRequest
from antiphon.hub.ids import IdFactory, TenantId
from antiphon.hub.items import JsonObject
from antiphon.hub.principal import LOCAL, Principal
from antiphon.hub.turn import TurnRequest
from antiphon.sessions.records import Lease
from antiphon.sessions.resolve import ResolvedTurn, resolve_stateless
from antiphon.sessions.sessions import ListedItems, Sessions, TenantSessions
from antiphon.telemetry import Log

__all__ = ["Gateway"]

# From this many input items on, checking them all would hold the event loop for milliseconds.
_DECODE_IN_THREAD_ITEMS = 400


class Gateway:
    """
    Args:
        router: The upstreams and the names under which their models are served.
        format: The client dialect that request bodies are written in.
        sessions: None for a stateless gateway.
        clock: Seconds since the epoch, UTC.
    """

    def __init__(
        self,
        *,
        router: Router,
        format: Format,  # noqa: A002 - the field's own word
        sessions: Sessions | None,
        ids: IdFactory,
        clock: Callable[[], float],
        log: Log | None = None,
        policy: TurnPolicy | None = None,
        sweep_every_s: float = 60.0,
    ) -> None:
        self.router = router
        self.format = format
        self.ids = ids
        self.log = log or Log()
        self._sessions = sessions
        self._clock = clock
        self._policy = policy or TurnPolicy()
        self._leases = LeaseKeeper(self._policy.lease_ttl_s)
        self._runs: dict[tuple[TenantId, str], Run[Any]] = {}
        self._tasks: dict[asyncio.Task[None], Run[Any]] = {}
        self._sweeper = Sweeper(sessions.store, every_s=sweep_every_s, log=self.log) if sessions else None
        self._started = False
        self._starting: asyncio.Task[None] | None = None
        self._draining = False

    @property
    def policy(self) -> TurnPolicy:
        """How turns are run."""
        return self._policy

    # Life.

    async def startup(self) -> None:
        """
        Open the store and begin to sweep. Every use case does this when it is needed; only the first call does
        anything.

        Raises:
            StoreUnavailable: The store cannot be opened.
            ShuttingDown: It was shut down: a gateway lives once.
        """
        if self._started:
            return
        self._refuse_draining()
        if self._starting is None or self._starting.done():
            # A task of its own: whoever comes first may be cancelled, and the others still wait for it.
            self._starting = asyncio.get_running_loop().create_task(self._start(), name="antiphon-startup")
        await asyncio.shield(self._starting)

    async def _start(self) -> None:
        if self._sessions is not None:
            await self._sessions.store.open()
        if self._sweeper is not None:
            self._sweeper.start()
        self._started = True

    async def shutdown(self, drain_timeout_s: float = 30.0) -> None:
        """Take no new turns, let running ones end, cancel those that do not in time (they are stored as such)."""
        self._draining = True
        if self._starting is not None:
            await asyncio.wait([self._starting])
        await self._drain(drain_timeout_s)
        if self._sweeper is not None:
            await self._sweeper.close()
        await self._leases.close()
        await self.router.close()
        if self._sessions is not None and self._started:
            self._started = False
            await self._sessions.store.close()

    async def ready(self) -> None:
        """
        Answer if turns can be taken.

        Raises:
            ShuttingDown: The gateway drains.
            StoreUnavailable: The store cannot serve.
        """
        if self._draining:
            raise ShuttingDown("The gateway is shutting down.")
        if self._sessions is not None:
            await self._sessions.store.ping()

    # Turns.

    async def respond(self, body: JsonObject, principal: Principal = LOCAL) -> JsonObject:
        """
        Run a turn and wait for its end.

        A caller that is cancelled cancels the turn, unless the gateway is configured to let it go on.

        Args:
            body: As of ``POST /v1/responses``; ``stream`` has no effect here.

        Returns:
            The response object, stored if it was to be.

        Raises:
            AntiphonError: The request was refused, or the turn failed.
        """
        run: Run[Any] = await self.begin({**body, "stream": False}, principal, encode=None)
        try:
            response = await asyncio.shield(run.finished)
        except asyncio.CancelledError:
            self.reader_left(run)
            raise
        if run.error is not None:
            raise run.error
        return _own(response)

    async def stream(self, body: JsonObject, principal: Principal = LOCAL) -> AsyncIterator[Event | OtherEvent]:
        """
        Run a turn and follow its events, the terminal one included.

        Leaving the iteration early cancels the turn, unless the gateway is configured to let it go on.

        Raises:
            AntiphonError: The request was refused. A turn that fails later ends with ``response.failed`` instead.
        """
        run: Run[Batch] = await self.begin({**body, "stream": True}, principal, encode=lambda events: events)
        reader = run.reader()
        try:
            await asyncio.shield(run.opened)
            while not reader.at_end:
                await reader.wait()
                for batch in reader.take():
                    for event in batch:
                        yield copy.deepcopy(event)  # see _own
        finally:
            reader.close()
            self.reader_left(run)

    async def begin(
        self,
        body: JsonObject,
        principal: Principal,
        *,
        encode: Callable[[Batch], Any] | None,
        request_id: str | None = None,
        received_at: float | None = None,
    ) -> Run[Any]:
        """
        Check and resolve a request and start its turn, which then runs in a task of its own.

        Args:
            encode: Makes of events what readers of the run are given; None for a run without readers.
            received_at: When the request had arrived (monotonic clock), for the overhead that is reported.

        Raises:
            AntiphonError: The request was refused; no upstream was asked.
        """
        received_at = time.monotonic() if received_at is None else received_at
        self._refuse_draining()
        await self.startup()
        request = await self._decode(body)
        if self._sessions is None:
            _refuse_state(body, request)
            request = msgspec.structs.replace(request, store=False)
        targets = await self.router.targets(request.model)
        sessions = self._sessions.for_tenant(principal.tenant) if self._sessions else None
        resolved = await self._resolve(request, principal, sessions)
        run: Run[Any] = Run(self.ids.response(resolved.family), principal.tenant, encode)
        turn = Turn(
            request=request,
            resolved=resolved,
            run=run,
            targets=targets,
            sessions=sessions if request.store else None,
            ids=self.ids,
            clock=self._clock,
            policy=self._policy,
            log=self.log,
            request_id=request_id or self.ids.request(),
            received_at=received_at,
        )
        self._launch(run, turn, resolved, stored=sessions is not None and request.store)
        return run

    def reader_left(self, run: Run[Any]) -> None:
        """A reader of a foreground turn has gone: stop the turn, if that was the last one and the policy says so."""
        if self._policy.cancel_on_disconnect and not run.has_readers:
            run.cancel()

    # Responses.

    async def retrieve(self, response_id: str, principal: Principal = LOCAL) -> JsonObject:
        """
        A stored response; one that still runs in this process as it is now.

        Raises:
            ResponseNotFound: This tenant has no such response.
        """
        try:
            return await (await self._state(principal)).retrieve(response_id)
        except ResponseNotFound:
            run = self._runs.get((principal.tenant, response_id))
            if run is None or run.snapshot is None:
                raise
            return _own(run.snapshot())

    async def delete(self, response_id: str, principal: Principal = LOCAL) -> JsonObject:
        """
        Make a response unknown, and erase what nothing else stands on.

        Raises:
            ResponseNotFound: This tenant has no such response.
            InvalidRequest: It still runs.
        """
        if (principal.tenant, response_id) in self._runs:
            raise InvalidRequest("Cannot delete an in-flight response.")
        await (await self._state(principal)).delete(response_id)
        return {"id": response_id, "object": "response", "deleted": True}

    async def input_items(self, response_id: str, page: PageRequest, principal: Principal = LOCAL) -> ListedItems:
        """See :meth:`TenantSessions.input_items`."""
        return await (await self._state(principal)).input_items(response_id, page)

    # Conversations.

    async def create_conversation(self, draft: ConversationDraft, principal: Principal = LOCAL) -> JsonObject:
        """See :meth:`TenantSessions.create_conversation`."""
        return await (await self._state(principal)).create_conversation(draft)

    async def retrieve_conversation(self, conversation_id: str, principal: Principal = LOCAL) -> JsonObject:
        """See :meth:`TenantSessions.retrieve_conversation`."""
        return await (await self._state(principal)).retrieve_conversation(conversation_id)

    async def update_conversation(
        self, conversation_id: str, metadata: dict[str, str], principal: Principal = LOCAL
    ) -> JsonObject:
        """See :meth:`TenantSessions.update_conversation`."""
        return await (await self._state(principal)).update_conversation(conversation_id, metadata)

    async def delete_conversation(self, conversation_id: str, principal: Principal = LOCAL) -> JsonObject:
        """See :meth:`TenantSessions.delete_conversation`."""
        await (await self._state(principal)).delete_conversation(conversation_id)
        return {"id": conversation_id, "object": "conversation.deleted", "deleted": True}

    async def conversation_items(
        self, conversation_id: str, page: PageRequest, principal: Principal = LOCAL
    ) -> ListedItems:
        """See :meth:`TenantSessions.conversation_items`."""
        return await (await self._state(principal)).conversation_items(conversation_id, page)

    # Models.

    async def models(self) -> list[JsonObject]:
        """Every model that can be asked for."""
        return await self.router.models()

    # How a turn begins and ends.

    async def _decode(self, body: JsonObject) -> TurnRequest:
        given = body.get("input")
        if isinstance(given, list) and len(given) >= _DECODE_IN_THREAD_ITEMS:
            return await asyncio.to_thread(self.format.decode, body)
        return self.format.decode(body)

    async def _resolve(
        self, request: TurnRequest, principal: Principal, sessions: TenantSessions | None
    ) -> ResolvedTurn:
        if sessions is None:
            return await resolve_stateless(request, self.ids, principal.tenant)
        lease = await self._lease(request, sessions)
        try:
            resolved = await sessions.resolve(request, lease=lease)
            self._refuse_draining()  # a turn that began now would outlive the store
        except BaseException as error:
            if lease is not None:
                await self._leases.give_back(sessions, lease)
            if isinstance(error, PreviousResponseNotFound):
                self._refuse_running(request, principal)
            raise
        return resolved

    async def _lease(self, request: TurnRequest, sessions: TenantSessions) -> Lease | None:
        if request.conversation is None or not request.store:
            return None
        return await self._leases.take(sessions, request.conversation, self.ids.request())

    def _refuse_draining(self) -> None:
        if self._draining:
            raise ShuttingDown("The gateway is shutting down; send the request again in a moment.")

    def _refuse_running(self, request: TurnRequest, principal: Principal) -> None:
        parent = request.previous_response_id
        if parent is not None and (principal.tenant, parent) in self._runs:
            raise NotContinuable(parent, "in_progress") from None

    def _launch(self, run: Run[Any], turn: Turn, resolved: ResolvedTurn, *, stored: bool) -> None:
        key = (run.tenant, run.response_id)
        if stored:
            self._runs[key] = run

        async def perform() -> None:
            try:
                await turn.perform()
            finally:
                self._runs.pop(key, None)
                if resolved.lease is not None:
                    self._leases.forget(resolved.lease)
                if not run.done:  # the event loop itself is ending, or there is a bug: nobody may wait for ever
                    run.refuse(GatewayError("The turn was broken off before its end could be stored."))
                turn.log()

        run.task = asyncio.get_running_loop().create_task(perform(), name=f"turn {run.response_id}")
        self._tasks[run.task] = run
        run.task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.pop(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.log.crash("turn_lost", error)

    async def _drain(self, timeout_s: float) -> None:
        if not self._tasks:
            return
        _, late = await asyncio.wait(list(self._tasks), timeout=timeout_s)
        for task in late:
            self._tasks[task].cancel()
        await asyncio.gather(*late, return_exceptions=True)

    async def _state(self, principal: Principal) -> TenantSessions:
        if self._sessions is None:
            raise InvalidRequest("This gateway keeps no state: it was started without a session store.")
        await self.startup()
        return self._sessions.for_tenant(principal.tenant)


def _own(response: JsonObject) -> JsonObject:
    """A copy for the caller, who may do with it as he likes: its items are those that are stored and replayed."""
    return copy.deepcopy(response)


def _refuse_state(body: JsonObject, request: TurnRequest) -> None:
    """A stateless gateway says no to what needs state, and never just leaves it out."""
    for name in ("previous_response_id", "conversation"):
        if getattr(request, name) is not None:
            raise UnsupportedParameter(
                f"Unsupported parameter: '{name}'. This gateway was started without a session store.", param=name
            )
    if body.get("store") is True:
        raise UnsupportedParameter(
            "Unsupported parameter: 'store'. This gateway was started without a session store.", param="store"
        )
