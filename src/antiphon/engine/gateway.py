"""
The gateway: every use case, for whoever calls (the server, or a program that embeds it).

It knows formats, providers, transports and stores only by their protocols. Without a session store it is stateless and
refuses every parameter that needs state.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Sequence
from contextlib import aclosing

from antiphon.engine.asked import Asked, Decode, as_stream
from antiphon.engine.attempts import Attempts
from antiphon.engine.audit import AuditMode, AuditTrail
from antiphon.engine.audit_entry import Action
from antiphon.engine.completions import StoredCompletions
from antiphon.engine.contexts import Contexts
from antiphon.engine.counting import Count
from antiphon.engine.droppable import with_wish
from antiphon.engine.embeddings import Embedder, Embedding
from antiphon.engine.end_users import EndUsers
from antiphon.engine.idempotency import Begun
from antiphon.engine.library import Library
from antiphon.engine.plan import BackgroundPolicy, TurnOptions
from antiphon.engine.quota import Quota
from antiphon.engine.retention import Sweeper
from antiphon.engine.routing import Router
from antiphon.engine.run import Run, RunFacts
from antiphon.engine.stored_responses import StoredResponses, own_copy
from antiphon.engine.turn import TurnPolicy
from antiphon.engine.turns import Turns
from antiphon.engine.webhooks import Deliverer, WebhookPolicy
from antiphon.hub.completions import CompletionFormat
from antiphon.hub.embedding import EmbeddingRequest
from antiphon.hub.errors import InvalidRequest
from antiphon.hub.events import Event, OtherEvent, copy_of
from antiphon.hub.format import ConversationDraft, DialectTurn, Format, PageRequest
from antiphon.hub.ids import IdFactory
from antiphon.hub.items import JsonObject
from antiphon.hub.library import AuditRequest
from antiphon.hub.principal import LOCAL, Principal
from antiphon.sessions.directory import AuditPage
from antiphon.sessions.kept import UnstoredAnswer
from antiphon.sessions.sessions import ListedItems, Sessions, TenantSessions
from antiphon.sessions.store import Swept
from antiphon.sessions.work import Settle
from antiphon.telemetry import Log

__all__ = ["Gateway"]


class Gateway:
    """
    Args:
        router: The upstreams and the names under which their models are served.
        format: The client dialect that request bodies are written in.
        sessions: None for a stateless gateway.
        clock: Seconds since the epoch, UTC.
        audit: What is written into the tenants' audit trails.

    Attributes:
        trail: The audit trail.
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
        background: BackgroundPolicy | None = None,
        webhooks: WebhookPolicy | None = None,
        audit: AuditMode = "all",
        sweep_every_s: float = 60.0,
    ) -> None:
        self.router = router
        self.format = format
        self.ids = ids
        self.log = log or Log()
        self._sessions = sessions
        self._clock = clock
        self._policy = policy or TurnPolicy()
        self._deliverer = Deliverer(webhooks or WebhookPolicy(), sessions=sessions, ids=ids, clock=clock, log=self.log)
        self.trail = AuditTrail(sessions, clock=clock, log=self.log, mode=audit)
        self._quota = Quota(sessions.tenants if sessions is not None else None)
        turning = self._policy
        self._attempts = Attempts(turning.retries, health=turning.health, budget=turning.budget, log=self.log)
        self._contexts = Contexts(
            router=router, sessions=sessions, ids=ids, clock=clock, policy=turning, attempts=self._attempts
        )
        self.turns = Turns(
            router=router,
            format=format,
            sessions=sessions,
            ids=ids,
            clock=clock,
            log=self.log,
            policy=self._policy,
            background=background or BackgroundPolicy(),
            contexts=self._contexts,
            attempts=self._attempts,
            deliverer=self._deliverer,
            trail=self.trail,
            quota=self._quota,
        )
        self._stored_responses = StoredResponses(self._state, turns=self.turns, trail=self.trail)
        self.library = Library(
            self._state, ids=ids, idempotency=self.turns.idempotency, trail=self.trail, quota=self._quota
        )
        self._embedder = Embedder(
            router=router,
            attempts=self._attempts,
            limiter=self.turns.limiter,
            costs=turning.costs,
            max_bytes=turning.max_response_bytes,
        )
        self._end_users = EndUsers(self._state, trail=self.trail)
        self._sweeper = (
            Sweeper(sessions, every_s=sweep_every_s, trail=self.trail, log=self.log) if sessions is not None else None
        )
        self._started = False
        self._starting: asyncio.Task[None] | None = None

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
        self.turns.refuse_draining()
        if self._starting is None or self._starting.done():
            # A task of its own: whoever comes first may be cancelled, and the others still wait for it.
            self._starting = asyncio.get_running_loop().create_task(self._start(), name="antiphon-startup")
        await asyncio.shield(self._starting)

    async def _start(self) -> None:
        if self._sessions is not None:
            await self._sessions.open()
        if self._sweeper is not None:
            self._sweeper.start()
        self.turns.start()
        self._deliverer.start()
        self._started = True

    async def end_turns(self, drain_timeout_s: float) -> None:
        """
        Take no new turns, let running ones end, cancel those that do not in time (they are stored as such).

        What is stored can still be read; :meth:`shutdown` ends that too.
        """
        self.turns.drain()
        if self._starting is not None:
            await asyncio.wait([self._starting])
        await self.turns.close(drain_timeout_s)

    async def shutdown(self, drain_timeout_s: float = 30.0) -> None:
        """End all turns as :meth:`end_turns` does, then let go of the store and of every connection."""
        await self.end_turns(drain_timeout_s)
        await self._deliverer.close()
        if self._sweeper is not None:
            await self._sweeper.close()
        await self.router.close()
        if self._policy.remote is not None:
            await self._policy.remote.close()
        if self._sessions is not None and self._started:
            self._started = False
            await self.trail.close()
            await self._sessions.close()

    async def ready(self) -> None:
        """
        Answer if turns can be taken.

        Raises:
            ShuttingDown: The gateway drains.
            StoreUnavailable: The store cannot serve.
        """
        self.turns.refuse_draining()
        if self._sessions is not None:
            await self._sessions.store.ping()

    # Turns.

    async def respond(
        self, asked: Asked, principal: Principal = LOCAL, *, options: TurnOptions | None = None
    ) -> JsonObject:
        """
        Run a turn and wait for its end; a background turn is answered as soon as it is queued.

        A caller that is cancelled cancels the turn, unless the gateway is configured to let it go on.

        Args:
            asked: As of ``POST /v1/responses``, or what another dialect has decoded; ``stream`` has no effect here.

        Returns:
            The response object, stored if it was to be. One that another dialect asked for, and that is not stored,
            also says which of its ``stop`` texts ended it (``stop_sequence``), if the upstream said so.

        Raises:
            AntiphonError: The request was refused, or the turn failed.
        """
        run = (await self.begin(as_stream(asked, stream=False), principal, options)).run
        if run.background:
            return own_copy(await run.first_response())
        run.enter()
        try:
            response = await asyncio.shield(run.finished)
        finally:
            run.leave()
            self.turns.reader_left(run)
        if run.fault is not None:
            raise run.fault
        return own_copy(response)

    async def stream(
        self, asked: Asked, principal: Principal = LOCAL, *, options: TurnOptions | None = None
    ) -> AsyncIterator[Event | OtherEvent]:
        """
        Run a turn and follow its events, the terminal one included.

        Leaving the iteration early cancels the turn, unless it is a background turn, or the gateway is configured to
        let it go on.

        Raises:
            AntiphonError: The request was refused. A turn that fails later ends with ``response.failed`` instead.
        """
        run = (await self.begin(as_stream(asked, stream=True), principal, options)).run
        async for event in self._events(run, 0):
            yield event

    async def follow(
        self, response_id: str, principal: Principal = LOCAL, *, after: int = -1
    ) -> AsyncIterator[Event | OtherEvent]:
        """
        Follow a stored response's stream from after an event, while it runs and for as long as it is kept.

        Args:
            after: The sequence number of the last event that the caller has.

        Raises:
            ResponseNotFound: This tenant has no such response.
        """
        run = await self.run_of(response_id, principal)
        async for event in self._events(run, after + 1):
            yield event

    async def _events(self, run: Run, start: int) -> AsyncIterator[Event | OtherEvent]:
        reader = run.reader(start)
        try:
            await asyncio.shield(run.opened)
            while not reader.at_end:
                await reader.wait()
                for event in reader.take():
                    yield copy_of(event)  # see own_copy
            run.finished.result()
        finally:
            reader.close()
            self.turns.reader_left(run)

    async def begin(self, asked: Asked, principal: Principal = LOCAL, options: TurnOptions | None = None) -> Begun:
        """
        Check and resolve a request and start its turn, which then runs in a task of its own.

        Args:
            asked: As of ``POST /v1/responses``, or what another dialect has decoded (:meth:`decode`).

        Raises:
            AntiphonError: The request was refused; no upstream was asked.
        """
        self.turns.refuse_draining()
        await self.startup()
        return await self.turns.begin(asked, principal, options or TurnOptions())

    async def decode(
        self,
        decode: Decode,
        body: JsonObject,
        principal: Principal = LOCAL,
        *,
        action: Action = "response.create",
        request_id: str | None = None,
    ) -> DialectTurn:
        """
        What a request of another dialect asks for, to be begun, or counted. A refusal counts as any other does.

        Args:
            decode: The dialect's own reading, :meth:`~antiphon.hub.format.ClientDialect.decode`.
            action: As what a refusal is noted.

        Raises:
            AntiphonError: The request was refused.
        """
        return await self.turns.decode(decode, body, principal, action=action, request_id=request_id)

    async def run_of(self, response_id: str, principal: Principal = LOCAL) -> Run:
        """
        The run of a response: of one that runs here, that another process carries out, or that has ended.

        Raises:
            ResponseNotFound: This tenant has no such response.
        """
        with self.trail.reading(principal, "response.follow", response_id):
            await self._state(principal)
            return await self.turns.follow(response_id, principal)

    async def compact(
        self,
        body: JsonObject,
        principal: Principal = LOCAL,
        *,
        settle: Settle | None = None,
        drop: Collection[str] = (),
        facts: RunFacts | None = None,
    ) -> JsonObject:
        """
        ``POST /v1/responses/compact``: a context's user messages, and a summary of all of it. Nothing is stored.

        Args:
            settle: Settles the idempotency key that it is done for.
            drop: See :class:`~antiphon.engine.plan.TurnOptions`.
            facts: Filled in with what the summary's author was not shown.

        Raises:
            AntiphonError: The request was refused, or the model wrote no summary.
        """
        self.turns.refuse_draining()
        await self.startup()
        request = with_wish(self.format.decode_compaction(body), drop)
        if settle is not None:
            await self._quota.refuse_full(principal.tenant)
        reading = self.trail.reading(principal, "context.compact", request.previous_response_id or "")
        with reading, self.turns.limiter.admit(principal) as admission:
            admission.reserve(1)  # nobody knows how long it gets: it has to begin within the limit
            compacted = await self._contexts.compact(request, principal, facts or RunFacts())
            admission.settle(compacted["usage"]["total_tokens"])
        if settle is not None:
            referred = tuple(item["id"] for item in request.input if item["type"] == "item_reference")
            kept = UnstoredAnswer(answer=compacted, response_id=request.previous_response_id, item_ids=referred)
            await (await self._state(principal)).keys.settle(await settle(kept))
        return compacted

    async def count_input(self, asked: Asked, principal: Principal = LOCAL, *, drop: Collection[str] = ()) -> Count:
        """
        ``POST /v1/responses/input_tokens``: how many tokens the input of a turn would have.

        Args:
            asked: As of that operation, or what another dialect has decoded.
            drop: See :class:`~antiphon.engine.plan.TurnOptions`.

        Raises:
            AntiphonError: The request was refused, or the upstream could not count.
        """
        self.turns.refuse_draining()
        await self.startup()
        request = asked.request if isinstance(asked, DialectTurn) else self.format.decode_count(asked)
        request = with_wish(request, drop)
        private = asked.private if isinstance(asked, DialectTurn) else {}
        stands_on = request.previous_response_id or request.conversation or ""
        with self.trail.reading(principal, "context.count", stands_on), self.turns.limiter.admit(principal):
            return await self._contexts.count(request, principal, private=private)

    async def embed(
        self, request: EmbeddingRequest, principal: Principal = LOCAL, *, facts: RunFacts | None = None
    ) -> Embedding:
        """
        ``POST /v1/embeddings``: the vectors of some inputs. Nothing is stored.

        Args:
            facts: Filled in with what the answer's headers tell, also if the request fails.

        Raises:
            AntiphonError: The request was refused, or no upstream answered.
        """
        self.turns.refuse_draining()
        await self.startup()
        with self.trail.reading(principal, "embedding.create"):
            return await self._embedder.embed(request, principal, facts or RunFacts())

    # Responses.

    async def retrieve(self, response_id: str, principal: Principal = LOCAL) -> JsonObject:
        """See :meth:`StoredResponses.retrieve`."""
        return await self._stored_responses.retrieve(response_id, principal)

    async def cancel(self, response_id: str, principal: Principal = LOCAL) -> JsonObject:
        """See :meth:`StoredResponses.cancel`."""
        return await self._stored_responses.cancel(response_id, principal)

    async def delete(
        self,
        response_id: str,
        principal: Principal = LOCAL,
        *,
        cascade: bool = False,
        receipt: bool = False,
        dry_run: bool = False,
    ) -> JsonObject:
        """See :meth:`StoredResponses.delete`."""
        return await self._stored_responses.delete(
            response_id, principal, cascade=cascade, receipt=receipt, dry_run=dry_run
        )

    async def input_items(self, response_id: str, page: PageRequest, principal: Principal = LOCAL) -> ListedItems:
        """See :meth:`StoredResponses.input_items`."""
        return await self._stored_responses.input_items(response_id, page, principal)

    def completions(self, format: CompletionFormat) -> StoredCompletions:  # noqa: A002 - the field's own word
        """The stored completions of a dialect: the same responses, as that dialect shows them."""
        return StoredCompletions(format, state=self._state, delete=self.delete, trail=self.trail, quota=self._quota)

    # Conversations.

    async def create_conversation(self, draft: ConversationDraft, principal: Principal = LOCAL) -> JsonObject:
        """See :meth:`Library.create_conversation`."""
        return await self.library.create_conversation(draft, principal)

    async def retrieve_conversation(self, conversation_id: str, principal: Principal = LOCAL) -> JsonObject:
        """See :meth:`Library.retrieve_conversation`."""
        return await self.library.retrieve_conversation(conversation_id, principal)

    async def update_conversation(
        self, conversation_id: str, metadata: dict[str, str], principal: Principal = LOCAL
    ) -> JsonObject:
        """See :meth:`Library.update_conversation`."""
        return await self.library.update_conversation(conversation_id, metadata, principal)

    async def delete_conversation(
        self,
        conversation_id: str,
        principal: Principal = LOCAL,
        *,
        cascade: bool = False,
        receipt: bool = False,
        dry_run: bool = False,
    ) -> JsonObject:
        """See :meth:`Library.delete_conversation`."""
        return await self.library.delete_conversation(
            conversation_id, principal, cascade=cascade, receipt=receipt, dry_run=dry_run
        )

    async def conversation_items(
        self, conversation_id: str, page: PageRequest, principal: Principal = LOCAL
    ) -> ListedItems:
        """See :meth:`Library.conversation_items`."""
        return await self.library.conversation_items(conversation_id, page, principal)

    # End users.

    async def export_end_user(
        self, end_user: str, principal: Principal = LOCAL
    ) -> AsyncGenerator[Sequence[JsonObject], None]:
        """
        All that was made on behalf of an end user, in groups of lines; see :mod:`antiphon.engine.tenant_export`.

        Of one who is unknown it is the line that says what it is.
        """
        async with aclosing(self._end_users.export(end_user, principal)) as groups:
            async for lines in groups:
                yield lines

    async def erase_end_user(self, end_user: str, principal: Principal = LOCAL, *, dry_run: bool = False) -> JsonObject:
        """
        Erase what was made on behalf of an end user, with all that stands on it.

        Args:
            end_user: As requests name him in ``safety_identifier``, or else in ``user``.
            dry_run: Erase nothing, and say what would be.

        Returns:
            The receipt; of an end user who is unknown, an empty one.

        Raises:
            ConversationLocked: A turn holds a conversation that would change. Nothing was erased.
        """
        return await self._end_users.erase(end_user, principal, dry_run=dry_run)

    # Audit and retention.

    async def audit(self, wanted: AuditRequest, principal: Principal = LOCAL) -> AuditPage:
        """Records of the tenant's own audit trail, oldest first."""
        await self._state(principal)
        with self.trail.reading(principal, "audit.read"):
            return await self.trail.read(
                principal.tenant,
                after=wanted.after,
                limit=wanted.limit,
                object_id=wanted.object_id,
                actor=wanted.actor,
            )

    async def expired(self) -> Swept:
        """
        What a sweep would erase now, of all tenants. Changes nothing.

        Raises:
            InvalidRequest: No state is kept.
        """
        if self._sweeper is None:
            raise _stateless()
        await self.startup()
        return await self._sweeper.expired()

    # Models.

    async def models(self, principal: Principal = LOCAL) -> list[JsonObject]:
        """Every model that the principal can ask for."""
        return [model for model in await self.router.models() if principal.may_ask_for(model["id"])]

    async def _state(self, principal: Principal) -> TenantSessions:
        if self._sessions is None:
            raise _stateless()
        await self.startup()
        return self._sessions.for_tenant(principal.tenant)


def _stateless() -> InvalidRequest:
    return InvalidRequest("This gateway keeps no state: it was started without a session store.")
