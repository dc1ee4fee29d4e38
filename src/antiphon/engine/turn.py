"""
One turn, from the resolved request to the stored response.

Streaming or not: the same events pass the same order check and the same accumulator to the same commit. The terminal
event is said only after the commit. Nothing is written before it, so a turn whose process dies never was.

    resolved -> ask -> opened -> (blocks -> events)* -> end -> commit -> terminal event

An error before the turn has opened is the request's error and leaves no record. After that it makes a failed turn,
which is kept beside the main line. A cancelled turn is kept with what it had produced.

A pending turn (in the background, or with an idempotency key) was written down before it began. It has opened from the
start, or keeps its events before they are shown; and it does not end before its end is stored.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import TypeVar

import msgspec

from antiphon.engine.answers import Answer, Question
from antiphon.engine.attempts import Attempts, Retries
from antiphon.engine.audit_entry import outcome_of
from antiphon.engine.budgets import BudgetPolicy
from antiphon.engine.compaction import Compactor, closing_events, opening_events, wants_compaction
from antiphon.engine.context import Answered, Context, ask_within
from antiphon.engine.cost import Costs
from antiphon.engine.counting import estimate_tokens
from antiphon.engine.dropping import question_of
from antiphon.engine.health import HealthPolicy
from antiphon.engine.metering import Meter, Spent
from antiphon.engine.publishing import Publisher
from antiphon.engine.remote import RemoteContents, of_turn
from antiphon.engine.replies import in_time, is_stream, read_events
from antiphon.engine.run import Run
from antiphon.engine.target import Target
from antiphon.engine.verbatim import OwnWords
from antiphon.hub.errors import (
    AntiphonError,
    GatewayError,
    LeaseLost,
    StoreUnavailable,
    UpstreamBroken,
)
from antiphon.hub.events import (
    Event,
    OtherEvent,
    ReplyEnd,
    ResponseCreated,
    ResponseInProgress,
    terminal_event,
)
from antiphon.hub.format import DialectTurn
from antiphon.hub.ids import IdFactory
from antiphon.hub.items import JsonObject, is_cut_off_call
from antiphon.hub.price import plain
from antiphon.hub.response import render
from antiphon.hub.turn import ModelCall, TurnRequest
from antiphon.hub.upstream import ReplyDecoder, ReplyEvent
from antiphon.hub.usage import Usage
from antiphon.hub.webhook import Webhook
from antiphon.sessions.directory import AuditAppend
from antiphon.sessions.records import Claim
from antiphon.sessions.resolve import ResolvedTurn
from antiphon.sessions.sessions import TenantSessions, TurnOutcome
from antiphon.streams.accumulator import Accumulator
from antiphon.streams.order import OrderCheck
from antiphon.streams.trace import TraceRecorder
from antiphon.telemetry import Log

__all__ = ["Turn", "TurnPolicy"]

T = TypeVar("T")

# Codes of the API's `response.error.code` that say more than `server_error`.
_TELLING_CODES = frozenset({"rate_limit_exceeded", "context_length_exceeded", "insufficient_quota"})
# Of those that the API does not have: what other dialects have words for.
_DIALECT_CODES = _TELLING_CODES | {"upstream_busy", "upstream_timeout", "upstream_unavailable"}

# Of what was not applied, in the log: the names of fields that a client made up may be among it.
_MOST_SHOWN_CHARS = 500

# How many events are traced before the event loop gets a turn.
_TRACE_SLICE = 1000

# The end of a pending turn is tried to be stored until it is; the pauses between the tries double up to the second.
_COMMIT_PAUSES_S = (0.1, 5.0)


class TurnPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """
    How turns are run.

    Attributes:
        open_after_s: The answer begins when the upstream has answered, or after this long.
        max_response_bytes: The longest upstream answer.
        cancel_on_disconnect: Whether a foreground turn stops when its last reader leaves.
        lease_ttl_s: See :class:`antiphon.engine.leases.LeaseKeeper` and :class:`antiphon.engine.claims.ClaimKeeper`.
        publish_every_s: See :class:`antiphon.engine.publishing.Publisher`.
        retries, health, budget: See :class:`antiphon.engine.attempts.Attempts`.
        remote: What is done with URLs of images and files; None leaves them to the upstream.
        costs: What turns cost.
    """

    open_after_s: float = 10.0
    max_response_bytes: int = 64 * 1024 * 1024
    cancel_on_disconnect: bool = True
    lease_ttl_s: float = 20.0
    publish_every_s: float = 0.05
    retries: Retries = Retries()
    health: HealthPolicy = HealthPolicy()
    budget: BudgetPolicy = BudgetPolicy()
    remote: RemoteContents | None = None
    costs: Costs = msgspec.field(default_factory=Costs)


class Turn:
    """
    A turn under way. One instance, one task.

    Args:
        asked: As it was asked for in another dialect than the Responses API's; None otherwise.
        context: What the model is given.
        compactor: For a turn that compacts its context, or may have to.
        opening: The response as it begins.
        cache_key: Makes :attr:`ModelCall.cache_key`, for an upstream that knows such keys.
        sessions: None for a turn that is not stored.
        received_at: When the request had arrived, on the monotonic clock.
        claim: For a pending turn.
        publisher: For a turn whose events are kept before they are shown.
        webhooks_of: What tells of a response that has ended.
        recording: Around the commit: its entry in the audit trail, which says why the turn failed if it did.
    """

    def __init__(
        self,
        *,
        request: TurnRequest,
        asked: DialectTurn | None = None,
        resolved: ResolvedTurn,
        context: Context,
        compactor: Compactor | None,
        opening: JsonObject,
        run: Run,
        targets: Sequence[Target],
        attempts: Attempts,
        cache_key: Callable[[], Awaitable[str | None]],
        sessions: TenantSessions | None,
        ids: IdFactory,
        clock: Callable[[], float],
        policy: TurnPolicy,
        log: Log,
        request_id: str,
        received_at: float,
        claim: Claim | None = None,
        publisher: Publisher | None = None,
        webhooks_of: Callable[[JsonObject], tuple[Webhook, ...]] | None = None,
        recording: Callable[[AntiphonError | None], AbstractAsyncContextManager[AuditAppend | None]],
    ) -> None:
        self._request = request
        self._asked = asked
        self._own_words = OwnWords(asked)
        self._resolved = resolved
        self._run = run
        self._targets = targets
        self._attempts = attempts
        self._cache_key = cache_key
        self._sessions = sessions
        self._ids = ids
        self._clock = clock
        self._policy = policy
        self._log = log
        self._request_id = request_id
        self._received_at = received_at
        self._claim = claim
        self._publisher = publisher
        self._webhooks_of = webhooks_of
        self._recording = recording
        self._remote = of_turn(policy.remote, resolved.tenant)
        self._context = context
        self._compactor = compactor
        self._target: Target | None = targets[0] if targets else None
        self._order = OrderCheck()
        self._accumulator = Accumulator()
        self._streamed = request.stream or run.background
        self._end: ReplyEnd | None = None
        self._meter = Meter(request, policy.costs)
        self._spent: Spent | None = None
        self._opening = opening
        self._status = "queued" if run.background else "in_progress"
        facts = run.facts
        facts.alias = request.model
        facts.replayed = len(resolved.history)
        facts.source = resolved.source
        facts.left_out = resolved.left_out
        facts.not_applied = request.not_applied
        run.items = resolved.items
        run.is_ephemeral = not request.store
        run.snapshot = self._snapshot

    @property
    def has_output(self) -> bool:
        """Whether the model has produced anything."""
        return self._accumulator.has_output

    def announce(self, events: Sequence[Event | OtherEvent]) -> None:
        """Begin with events that follow from the request, or that were kept by whoever worked on the turn before."""
        self._take_up(events)
        self._run.say(events)
        self._run.show(len(self._run.events))
        if events:
            self._run.open()

    async def perform(self) -> None:
        """Run to the end. Ends the run in every case; raises only if this task was cancelled."""
        self._run.begun = True
        opener = asyncio.get_running_loop().call_later(self._policy.open_after_s, self._open)
        try:
            await self._carry_out()
        except asyncio.CancelledError:
            await self._stop()
            raise
        except AntiphonError as error:
            await self._fail(error)
        except Exception as error:  # noqa: BLE001 - a bug, ours or a custom provider's: the client is still owed an end
            await self._fail(self._crashed(error))
        else:
            assert self._end is not None
            await self._conclude(self._end.status)
        finally:
            opener.cancel()

    def log(self) -> None:
        """One line that says how the turn went; ids and counts, no content."""
        if not self._log.writes("info"):
            return
        response = self._run.finished.result() if self._run.finished.exception() is None else None
        usage = (response or {}).get("usage") or {}
        self._log.info(
            "turn",
            response=self._run.response_id,
            request=self._request_id,
            status=response["status"] if response else "refused",
            model=self._request.model,
            upstream=self._upstream,
            attempts=self._run.facts.attempts or None,
            left=",".join(f"{name}:{why}" for name, why in self._run.facts.left) or None,
            not_applied=",".join(self._run.facts.not_applied)[:_MOST_SHOWN_CHARS] or None,
            replayed=len(self._resolved.history),
            input_tokens=usage.get("input_tokens"),
            output_tokens=usage.get("output_tokens"),
            cost=plain(self._run.facts.cost) if self._run.facts.cost is not None else None,
            seconds=round(time.monotonic() - self._received_at, 3),
            error=outcome_of(self._run.error) if self._run.error else None,
        )

    async def abandon(self, error: AntiphonError) -> None:
        """End a turn that somebody else had begun and that cannot be carried out again."""
        self._run.begun = True
        await self._fail(error)

    @property
    def _upstream(self) -> str:
        """The name of the upstream that was asked last."""
        return self._target.upstream.name if self._target else ""

    # The conversation with the upstream.

    async def _carry_out(self) -> None:
        """
        Ask, and take in the whole reply.

        Raises:
            CancelledError: The turn was cancelled, perhaps before it had begun.
        """
        if self._run.cancel_wanted:
            raise asyncio.CancelledError
        if self._status == "queued":
            self._status = "in_progress"
            self._say([ResponseInProgress(self._snapshot())])
        if not self._request.generate:
            self._open()
            self._end = ReplyEnd(status="completed", usage=Usage())
        elif self._request.compacts:
            await self._compact()
        else:
            await self._converse()
            await self._compact_after()
        assert self._end is not None
        self._order.feed([terminal_event({"status": self._end.status})])

    async def _converse(self) -> None:
        started_at = time.monotonic()
        answered = await self._ask()
        answer = answered.answer
        waited_s = time.monotonic() - started_at
        self._target = answer.target
        facts = self._run.facts
        facts.upstream = answer.target.upstream.name
        facts.truncated = answered.context.dropped
        unsaid = () if answer.request.verbatim else self._request.not_applied
        facts.not_applied = (*unsaid, *answer.request.not_applied)
        self._opening["model"] = self._opening["model"] if self._run.opened.done() else answer.target.model
        try:
            decoder = answer.target.upstream.provider.decoder(answer.call, self._ids, self._resolved.family)
            self._meter.heard(answered, decoder)
            facts.verbatim = self._own_words.listen(answer, decoder, streamed=self._request.stream)
            facts.overhead_s = time.monotonic() - self._received_at - waited_s
            self._open()
            await in_time(answer, self._take_in(answer, decoder))
        finally:
            await answer.close()

    async def _ask(self) -> Answered:
        asking = self._attempts.asking(self._targets)
        try:
            return await ask_within(asking, self._context, self._write, request=self._request)
        finally:
            self._run.facts.attempts = asking.sent
            self._run.facts.left = tuple(asking.left)

    async def _write(self, target: Target, context: Context) -> Question:
        items = context.items
        if self._remote is not None:
            items = await self._remote.as_data(items, input_start=context.input_start)
        call = ModelCall(
            model=target.model,
            account=target.upstream.account,
            items=items,
            input_start=context.input_start,
            request=self._request,
            stream=self._request.stream or self._run.background,
            cache_key=await self._cache_key() if target.upstream.takes_cache_key else None,
            verbatim=self._own_words.body_for(target, context, items),
        )
        return self._own_words.check(await question_of(target, call))

    async def _take_in(self, answer: Answer, decoder: ReplyDecoder) -> None:
        if is_stream(answer):
            self._streamed = True
        async for events in read_events(answer, decoder, max_bytes=self._policy.max_response_bytes):
            self._take(events)
        if self._end is None:
            raise UpstreamBroken(f"The answer of upstream '{answer.target.upstream.name}' ended without its end.")

    async def _compact(self) -> None:
        """The turn's only output is a compaction item."""
        assert self._compactor is not None
        item_id = self._compactor.new_id()
        compacted = await self._compactor.compact(self._context, self._request, item_id=item_id)
        self._tell_not_applied(compacted.not_applied)
        self._open()
        self._say(opening_events(item_id, 0))
        self._say(closing_events(compacted.item, 0))
        self._meter.compacted(compacted.spent)
        self._end = ReplyEnd(status="completed")

    async def _compact_after(self) -> None:
        """Compact the context behind the answer, if the request wants that and it has become long enough."""
        if self._compactor is None or self._end is None or self._end.status != "completed":
            return
        output = self._accumulator.items()
        context = self._context.followed_by(output)
        wanted = wants_compaction(
            self._request.context_management,
            usage=self._end.usage,
            estimate=lambda: estimate_tokens(context.items, instructions=self._request.instructions),
            window_tokens=self._target.upstream.context_window(self._target.model) if self._target else None,
        )
        if not wanted:
            return
        compacted = await self._compactor.compact_after_answer(
            context, self._request, log=self._log, response_id=self._run.response_id
        )
        if compacted is None:
            return
        self._tell_not_applied(compacted.not_applied)
        self._say(opening_events(compacted.item.id, len(output)))
        self._say(closing_events(compacted.item, len(output)))
        self._meter.compacted(compacted.spent)

    def _tell_not_applied(self, names: Sequence[str]) -> None:
        """What has no effect besides what is known to have none."""
        facts = self._run.facts
        facts.not_applied = tuple(dict.fromkeys((*facts.not_applied, *names)))

    def _take(self, events: Sequence[ReplyEvent]) -> None:
        if not events:
            return
        last = events[-1]
        if isinstance(last, ReplyEnd):
            self._end = last
            events = events[:-1]
        self._say(events)  # type: ignore[arg-type]  # a ReplyEnd only ever comes last; the order check would refuse it
        self._own_words.accept(len(self._run.events))

    def _say(self, events: Sequence[Event | OtherEvent]) -> None:
        self._take_up(events)
        self._run.say(events)

    def _take_up(self, events: Sequence[Event | OtherEvent]) -> None:
        self._order.feed(events)
        self._accumulator.feed(events)
        for event in events:
            if type(event) is ResponseInProgress:
                self._status = "in_progress"

    # Opening and ending.

    def _open(self) -> None:
        """The answer begins; from here on every outcome is a response."""
        if self._run.opened.done() or self._run.ending:
            return
        response = self._snapshot()
        self._say([ResponseCreated(response), ResponseInProgress(response)])
        self._run.open()

    def _snapshot(self) -> JsonObject:
        return render(self._opening, status=self._status, output=self._accumulator.output())

    async def _stop(self) -> None:
        """The task was cancelled: by a client, or because the turn is to go on elsewhere."""
        reason = self._run.broken_off
        if reason is None:
            await self._conclude("cancelled")
        elif isinstance(reason, LeaseLost) or not self.has_output:
            await self._leave(reason)
        else:
            await self._fail(reason)

    async def _leave(self, reason: AntiphonError) -> None:
        """End here without an outcome; the pending turn stays, or is somebody else's."""
        self._run.ending = True
        await self._close_publisher()
        await self._release()
        self._run.refuse(reason)

    async def _fail(self, error: AntiphonError) -> None:
        # The error stays with the run, and the frames of its traceback hold the turn with all that was asked and
        # answered: as a cycle that would be many megabytes, until the collector comes by.
        error.with_traceback(None)
        self._run.ending = True
        if not self._run.opened.done():
            await self._close_publisher()
            await self._release()
            await self._drop()
            self._run.refuse(error)
            return
        self._run.error = error
        await self._conclude("failed", error)

    async def _drop(self) -> None:
        """The turn ends without a response: its pending row goes, and its idempotency key is free again."""
        if self._sessions is None or self._claim is None:
            return
        pending, claim = self._sessions.pending, self._claim
        try:
            await self._at_last(lambda: pending.drop(claim))
        except AntiphonError as error:  # whoever takes it over ends it
            self._log.warning("pending_not_dropped", response=self._run.response_id, error=error.message)

    async def _close_publisher(self) -> None:
        if self._publisher is not None:
            await self._publisher.close()

    async def _release(self) -> None:
        lease = self._resolved.lease
        if self._sessions is None or lease is None:
            return
        try:
            await self._sessions.release_lease(lease)
        except AntiphonError as error:  # it runs out by itself, and the client is owed an end
            self._log.warning("lease_not_released", response=self._run.response_id, error=error.message)

    async def _conclude(self, status: str, error: AntiphonError | None = None) -> None:
        """Store the turn, then say how it ended. Whoever leaves meanwhile cannot stop it."""
        self._run.ending = True
        await self._close_publisher()
        if status not in ("completed", "incomplete"):
            self._accumulator.close_open("incomplete")
        self._spent = await self._meter.spent(self._end, status, self._accumulator.items)
        self._run.facts.cost = self._spent.cost if self._spent else None
        response = self._terminal(status, error)
        try:
            response = await self._commit(response, self._resolved)
        except Exception as fault:  # noqa: BLE001 - whatever it is, the client is owed an end
            self._run.error = fault if isinstance(fault, AntiphonError) else self._crashed(fault)
            await self._release()
            response = self._terminal("failed", self._run.error)
            if self._claim is not None:
                response = await self._store_failure(response)
                if self._run.done:
                    return
        response = self._with_stop_sequence(response)
        if self._run.keeps_context:
            kept = [item for item in self._accumulator.items() if not is_cut_off_call(item.body)]
            self._run.context = (*self._resolved.items, *kept)
        self._run.say([terminal_event(response)])
        self._run.finish(response)

    def _with_stop_sequence(self, response: JsonObject) -> JsonObject:
        """What another dialect is told besides; only of a turn that nobody else can look at."""
        if self._asked is None or self._sessions is not None or self._end is None or self._end.stop_sequence is None:
            return response
        return {**response, "stop_sequence": self._end.stop_sequence}

    async def _store_failure(self, response: JsonObject) -> JsonObject:
        """Store that a pending turn failed, standing on nothing: what it stood on may be what is gone."""
        bare = ResolvedTurn(tenant=self._resolved.tenant, family=self._resolved.family)
        try:
            return await self._commit(response, bare)
        except AntiphonError as error:  # it was taken over: the outcome is somebody else's
            self._run.refuse(error)
        except Exception as error:  # noqa: BLE001 - a bug: the pending row stays and is taken over after this process
            self._run.refuse(self._crashed(error))
        return response

    async def _commit(self, response: JsonObject, resolved: ResolvedTurn) -> JsonObject:
        if self._sessions is None:
            return response
        outcome = TurnOutcome(
            response=response,
            output=tuple(self._accumulator.items()),
            alias=self._request.model,
            provider=self._upstream,
            usage=self._spent.usage if self._spent else None,
            trace=await self._traced(response),
            claim=self._claim,
            webhooks=self._webhooks_of(response) if self._webhooks_of else (),
            origin=self._request.origin,
        )
        sessions = self._sessions
        async with self._recording(self._run.error) as audit:
            if self._claim is None:
                committed = await sessions.commit(resolved, outcome, audit=audit)
            else:
                committed = await self._at_last(lambda: sessions.commit(resolved, outcome, audit=audit))
        return {**response, "created_at": committed.created_at}

    async def _traced(self, response: JsonObject) -> object:
        """The trace of the stream, if anybody was or could have been sent one; else it follows from the response."""
        if not self._streamed and not self._run.was_followed:
            return None
        recorder = TraceRecorder()
        events = self._run.events
        for start in range(0, len(events), _TRACE_SLICE):
            if start:
                await asyncio.sleep(0)
            recorder.feed(events[start : start + _TRACE_SLICE])
        return recorder.trace(response)

    async def _at_last(self, store: Callable[[], Awaitable[T]]) -> T:
        """
        Store how a pending turn ended, however long the store is out of reach: until then nobody is told.

        As its claim is renewed until then, nobody else could end it.
        """
        pause_s, longest_s = _COMMIT_PAUSES_S
        while True:
            try:
                return await store()
            except StoreUnavailable as error:
                self._log.warning("end_not_stored_yet", response=self._run.response_id, error=error.message)
                if self._run.broken_off is not None:
                    raise self._run.broken_off from error
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, longest_s)

    def _terminal(self, status: str, error: AntiphonError | None) -> JsonObject:
        end = self._end
        response = render(
            self._opening,
            status=status,
            output=self._accumulator.output(),
            usage=self._spent.usage if self._spent else None,
            error=None if error is None else self._error_body(error),
            incomplete_reason=end.incomplete_reason if end and status == "incomplete" else None,
            completed_at=int(self._clock()) if status == "completed" else None,
            model=end.model if end else None,
            service_tier=end.service_tier if end else None,
        )
        if self._spent is not None:
            response["usage"] = self._spent.body()
        return response

    def _crashed(self, error: Exception) -> GatewayError:
        self._log.crash("turn_crashed", error, response=self._run.response_id, request=self._request_id)
        return GatewayError("The gateway had an unexpected error while it processed the request.")

    def _error_body(self, error: AntiphonError) -> JsonObject:
        telling = _TELLING_CODES if self._asked is None else _DIALECT_CODES
        code = error.code if error.code in telling else "server_error"
        return {"code": code, "message": f"{error.told} (request id: {self._request_id})"}
