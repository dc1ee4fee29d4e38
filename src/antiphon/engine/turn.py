"""
One turn, from the resolved request to the stored response.

Streaming or not: the same events pass the same order check and the same accumulator to the same commit. The terminal
event is said only after the commit. Nothing is written before it, so a turn whose process dies never was.

    resolved -> ask -> opened -> (blocks -> events)* -> end -> commit -> terminal event

An error before the turn has opened is the request's error and leaves no record. After that it makes a failed turn,
which is kept beside the main line. A cancelled turn is kept with what it had produced.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from antiphon.engine.attempts import Answer, Question, Retries, ask
from antiphon.engine.routing import Target
from antiphon.engine.run import Run
from antiphon.hub.errors import (
    AntiphonError,
    GatewayError,
    ResponseTooLarge,
    UpstreamBroken,
)
from antiphon.hub.events import (
    Event,
    LifecycleEvent,
    OtherEvent,
    ReplyEnd,
    ResponseCompleted,
    ResponseCreated,
    ResponseFailed,
    ResponseIncomplete,
    ResponseInProgress,
)
from antiphon.hub.ids import IdFactory
from antiphon.hub.items import JsonObject
from antiphon.hub.response import opening_response, render
from antiphon.hub.turn import ModelCall, TurnRequest
from antiphon.hub.upstream import ReplyDecoder, ReplyEvent, UpstreamReply
from antiphon.hub.usage import Usage
from antiphon.sessions.resolve import ResolvedTurn
from antiphon.sessions.sessions import TenantSessions, TurnOutcome
from antiphon.streams.accumulator import Accumulator
from antiphon.streams.order import OrderCheck
from antiphon.telemetry import Log

__all__ = ["Turn", "TurnPolicy"]

# From this many items on, writing the upstream's request would hold the event loop for milliseconds.
_ENCODE_IN_THREAD_ITEMS = 400

# Codes of the API's `response.error.code` that say more than `server_error`.
_TELLING_CODES = frozenset({"rate_limit_exceeded", "context_length_exceeded", "insufficient_quota"})


class TurnPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """
    How turns are run.

    Attributes:
        open_after_s: The answer begins when the upstream has answered, or after this long.
        max_response_bytes: The longest upstream answer.
        cancel_on_disconnect: Whether a foreground turn stops when its last reader leaves.
        lease_ttl_s: See :class:`antiphon.engine.leases.LeaseKeeper`.
    """

    open_after_s: float = 10.0
    max_response_bytes: int = 64 * 1024 * 1024
    cancel_on_disconnect: bool = True
    lease_ttl_s: float = 20.0
    retries: Retries = Retries()


class Turn:
    """
    A turn under way. One instance, one task.

    Args:
        sessions: None for a turn that is not stored.
        received_at: When the request had arrived, on the monotonic clock.
    """

    def __init__(
        self,
        *,
        request: TurnRequest,
        resolved: ResolvedTurn,
        run: Run[Any],
        targets: Sequence[Target],
        sessions: TenantSessions | None,
        ids: IdFactory,
        clock: Callable[[], float],
        policy: TurnPolicy,
        log: Log,
        request_id: str,
        received_at: float,
    ) -> None:
        self._request = request
        self._resolved = resolved
        self._run = run
        self._targets = targets
        self._sessions = sessions
        self._ids = ids
        self._clock = clock
        self._policy = policy
        self._log = log
        self._request_id = request_id
        self._received_at = received_at
        self._items = resolved.items
        self._order = OrderCheck()
        self._accumulator = Accumulator()
        self._end: ReplyEnd | None = None
        self._received_bytes = 0
        self._provider = targets[0].upstream.name
        self._opening: JsonObject = opening_response(
            request,
            id=run.response_id,
            created_at=int(clock()),
            model=targets[0].model,
            conversation_id=resolved.conversation_id,
        )
        facts = run.facts
        facts.alias = request.model
        facts.replayed = len(resolved.history)
        facts.source = resolved.source
        facts.left_out = resolved.left_out
        facts.not_applied = request.not_applied
        run.snapshot = self._snapshot

    async def perform(self) -> None:
        """Run to the end. Ends the run in every case; raises only if this task was cancelled."""
        self._run.begun = True
        opener = asyncio.get_running_loop().call_later(self._policy.open_after_s, self._open)
        try:
            await self._converse()
        except asyncio.CancelledError:
            await self._conclude("cancelled")
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
            upstream=self._provider,
            replayed=len(self._resolved.history),
            input_tokens=usage.get("input_tokens"),
            output_tokens=usage.get("output_tokens"),
            seconds=round(time.monotonic() - self._received_at, 3),
            error=self._run.error.code if self._run.error else None,
        )

    # The conversation with the upstream.

    async def _converse(self) -> None:
        """
        Ask, and take in the whole reply.

        Raises:
            CancelledError: The turn was cancelled, perhaps before it had begun.
        """
        if self._run.cancel_wanted:
            raise asyncio.CancelledError
        started_at = time.monotonic()
        answer = await self._ask()
        waited_s = time.monotonic() - started_at
        self._provider = self._run.facts.upstream = answer.target.upstream.name
        self._run.facts.not_applied = (*self._request.not_applied, *answer.request.not_applied)
        self._opening["model"] = self._opening["model"] if self._run.opened.done() else answer.target.model
        try:
            decoder = answer.target.upstream.provider.decoder(answer.call, self._ids, self._resolved.family)
            self._run.facts.overhead_s = time.monotonic() - self._received_at - waited_s
            self._open()
            await self._take_in(answer, decoder)
        finally:
            await answer.reply.close()

    async def _ask(self) -> Answer:
        if len(self._items) < _ENCODE_IN_THREAD_ITEMS:
            return await ask(self._targets, self._write, self._policy.retries)
        written = {id(target): await asyncio.to_thread(self._write, target) for target in self._targets}
        return await ask(self._targets, lambda target: written[id(target)], self._policy.retries)

    def _write(self, target: Target) -> Question:
        call = ModelCall(
            model=target.model,
            account=target.upstream.name,
            items=self._items,
            input_start=len(self._resolved.history),
            request=self._request,
            stream=self._request.stream,
        )
        return Question(target=target, call=call, request=target.upstream.provider.encode(call))

    async def _take_in(self, answer: Answer, decoder: ReplyDecoder) -> None:
        reply = answer.reply
        if _is_stream(reply, asked_for=answer.call.stream, upstream=self._provider):
            await self._take_stream(reply, decoder)
        else:
            body = await reply.read_all(self._policy.max_response_bytes)
            self._take(decoder.whole(body))
        if self._end is None:
            raise UpstreamBroken(f"The answer of upstream '{self._provider}' ended without its end.")
        self._order.feed([_terminal_event({"status": self._end.status})])

    async def _take_stream(self, reply: UpstreamReply, decoder: ReplyDecoder) -> None:
        while not decoder.ended:
            block = await reply.read_block()
            if not block:
                break
            self._received_bytes += len(block)
            if self._received_bytes > self._policy.max_response_bytes:
                raise ResponseTooLarge(
                    f"The answer is longer than max_response_bytes ({self._policy.max_response_bytes} bytes)."
                )
            self._take(decoder.feed(block))
        self._take(decoder.finish())

    def _take(self, events: Sequence[ReplyEvent]) -> None:
        if not events:
            return
        last = events[-1]
        if isinstance(last, ReplyEnd):
            self._end = last
            events = events[:-1]
        self._say(events)  # type: ignore[arg-type]  # a ReplyEnd only ever comes last; the order check would refuse it

    def _say(self, events: Sequence[Event | OtherEvent]) -> None:
        self._order.feed(events)
        self._accumulator.feed(events)
        self._run.say(events)

    # Opening and ending.

    def _open(self) -> None:
        """The answer begins; from here on every outcome is a response."""
        if self._run.opened.done() or self._run.ending:
            return
        # A turn that nobody follows needs no body for events that nobody gets.
        response = self._snapshot() if self._run.is_followed else {}
        self._say([ResponseCreated(response), ResponseInProgress(response)])
        self._run.open()

    def _snapshot(self) -> JsonObject:
        return render(self._opening, status="in_progress", output=self._accumulator.output())

    async def _fail(self, error: AntiphonError) -> None:
        self._run.ending = True
        if not self._run.opened.done():
            await self._release()
            self._run.refuse(error)
            return
        self._run.error = error
        await self._conclude("failed", error)

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
        if status not in ("completed", "incomplete"):
            self._accumulator.close_open("incomplete")
        response = self._terminal(status, error)
        try:
            response = await self._commit(response)
        except Exception as fault:  # noqa: BLE001 - whatever it is, the client is owed an end
            self._run.error = fault if isinstance(fault, AntiphonError) else self._crashed(fault)
            response = self._terminal("failed", self._run.error)
            await self._release()
        self._run.say([_terminal_event(response)])
        self._run.finish(response)

    async def _commit(self, response: JsonObject) -> JsonObject:
        if self._sessions is None:
            return response
        outcome = TurnOutcome(
            response=response,
            output=tuple(self._accumulator.items()),
            alias=self._request.model,
            provider=self._provider,
            usage=self._end.usage if self._end else None,
        )
        committed = await self._sessions.commit(self._resolved, outcome)
        return {**response, "created_at": committed.created_at}

    def _terminal(self, status: str, error: AntiphonError | None) -> JsonObject:
        end = self._end
        usage: Usage | None = end.usage if end else None
        return render(
            self._opening,
            status=status,
            output=self._accumulator.output(),
            usage=usage,
            error=None if error is None else self._error_body(error),
            incomplete_reason=end.incomplete_reason if end and status == "incomplete" else None,
            completed_at=int(self._clock()) if status == "completed" else None,
            model=end.model if end else None,
            service_tier=end.service_tier if end else None,
        )

    def _crashed(self, error: Exception) -> GatewayError:
        self._log.crash("turn_crashed", error, response=self._run.response_id, request=self._request_id)
        return GatewayError("The gateway had an unexpected error while it processed the request.")

    def _error_body(self, error: AntiphonError) -> JsonObject:
        code = error.code if error.code in _TELLING_CODES else "server_error"
        return {"code": code, "message": f"{error.message} (request id: {self._request_id})"}


def _is_stream(reply: UpstreamReply, *, asked_for: bool, upstream: str) -> bool:
    """Whether the reply has to be read as a stream; some servers answer a stream request with one JSON body."""
    kind = reply.headers.get("content-type", "").split(";")[0].strip().lower()
    if kind == "text/event-stream":
        return True
    if kind in ("application/json", "text/json") or kind.endswith("+json"):
        return False
    if kind in ("", "text/plain", "application/octet-stream"):
        return asked_for
    raise UpstreamBroken(
        f"Upstream '{upstream}' answered with content type '{kind}' instead of JSON or an event stream."
    )


def _terminal_event(response: JsonObject) -> LifecycleEvent:
    match response["status"]:
        case "completed":
            return ResponseCompleted(response)
        case "incomplete":
            return ResponseIncomplete(response)
        case _:
            return ResponseFailed(response)
