"""
A run: a turn that is under way, as its readers see it.

The turn's task appends what it has to say; readers hold an offset into it, which is the sequence number of the event
that they want next. So a slow reader never slows a turn, a turn without a reader goes on, and resuming a stream is just
another reader. What was said may have to be kept by the store before it is shown (:mod:`antiphon.engine.publishing`).

A run that ended elsewhere, or earlier, looks the same: its events come from the store.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from decimal import Decimal

import msgspec

from antiphon.hub.errors import AntiphonError, GatewayError
from antiphon.hub.events import Event, LifecycleEvent, OtherEvent, OutputItemDone
from antiphon.hub.ids import TenantId
from antiphon.hub.items import Item, JsonObject, Private

__all__ = ["Batch", "Reader", "Run", "RunFacts"]

Batch = Sequence[Event | OtherEvent]


class RunFacts(msgspec.Struct, kw_only=True):
    """
    What the answer's headers tell about a turn.

    Attributes:
        replayed: How many history items the model was given.
        source: What they were found through.
        left_out: Cut-off tool calls that were not replayed.
        truncated: Items that were left out because the request allowed it and the model's context was full.
        upstream: The name of the upstream that was asked.
        attempts: How many requests were sent to upstreams.
        left: The upstreams that gave no answer, or were passed over, and why.
        alias: The model name that the client asked for.
        not_applied: Accepted fields without effect at this upstream.
        verbatim: Whether request and answer went through as client and upstream wrote them.
        cost: In USD, once the turn has ended; None where it is not known.
        overhead_s: Time spent here until the upstream answered, without the waiting for it.
    """

    replayed: int = 0
    source: str = "none"
    left_out: int = 0
    truncated: int = 0
    upstream: str = ""
    attempts: int = 0
    left: tuple[tuple[str, str], ...] = ()
    alias: str = ""
    not_applied: tuple[str, ...] = ()
    verbatim: bool = False
    cost: Decimal | None = None
    overhead_s: float = 0.0


class Run:
    """
    One running turn.

    Args:
        background: It is a background response: polled, followed and cancelled by its id.
        stays: It goes on when the last one who follows it has gone.
        held: What is said is shown only by :meth:`show`.
        is_kept: The store keeps its end, for a while at least.

    Attributes:
        events: What was said; the index of an event is its sequence number.
        opened: Done when the answer may begin (the upstream has answered, or has taken long); fails with what went
            wrong before that.
        finished: Done with the terminal response when that is stored; fails if the turn never opened, or was lost.
        error: What made the turn fail after it had opened.
        ending: The outcome is decided and is being stored: the turn cannot be cancelled any more.
        keeps_context: Whether the context is wanted after the end.
        items: What the turn stands on, and its own input.
        is_ephemeral: What is kept of it is kept for a short while only, and nothing may stand on it.
        context: The model's whole context after the turn; None before the end, and if it is not wanted.
        was_followed: Somebody was given its events.
        broken_off: Why the turn has to end here without an outcome: somebody else goes on with it, now or later.
    """

    def __init__(
        self,
        response_id: str,
        tenant: TenantId,
        *,
        background: bool = False,
        stays: bool = False,
        held: bool = False,
        is_kept: bool = False,
    ) -> None:
        loop = asyncio.get_running_loop()
        self.response_id = response_id
        self.tenant = tenant
        self.background = background
        self.stays = stays or background
        self.is_kept = is_kept
        self.facts = RunFacts()
        self.events: list[Event | OtherEvent] = []
        self.opened: asyncio.Future[None] = loop.create_future()
        self.finished: asyncio.Future[JsonObject] = loop.create_future()
        self.error: AntiphonError | None = None
        self.task: asyncio.Task[None] | None = None
        self.begun = False
        self.cancel_wanted = False
        self.ending = False
        self.broken_off: AntiphonError | None = None
        self.keeps_context = False
        self.items: tuple[Item, ...] = ()
        self.is_ephemeral = False
        self.context: tuple[Item, ...] | None = None
        self.snapshot: Callable[[], JsonObject] | None = None
        self.on_said: Callable[[], None] | None = None
        self.was_followed = False
        self._held = held
        self._shown = 0
        self._audience = 0
        self._readers: set[Reader] = set()

    @classmethod
    def ended(cls, response: JsonObject, tenant: TenantId, events: Batch) -> Run:
        """The run of a turn that has ended already."""
        run = cls(response["id"], tenant, background=response["background"], stays=True, is_kept=True)
        run.say(events)
        run.finish(response)
        return run

    @property
    def done(self) -> bool:
        """Whether the turn has ended here: stored, refused or broken off."""
        return self.finished.done()

    @property
    def has_ended_well(self) -> bool:
        """Whether the turn has ended with a response, of whatever status."""
        return self.finished.done() and self.finished.exception() is None

    @property
    def fault(self) -> AntiphonError | None:
        """
        Why the turn failed, if it did after it had opened.

        Of one that was carried out earlier or elsewhere only what its response says is known.
        """
        if self.error is not None or not self.has_ended_well:
            return self.error
        response = self.finished.result()
        error = response["error"] if response["status"] == "failed" else None
        return None if error is None else GatewayError(error["message"], code=error["code"])

    @property
    def private(self) -> dict[str, Private]:
        """
        What belongs beside the output and is told by no body, by the item's id; nothing of a turn that was carried out
        earlier or elsewhere.
        """
        done = (event for event in self.events if isinstance(event, OutputItemDone))
        return {event.item["id"]: event.private for event in done if event.private is not None}

    @property
    def has_audience(self) -> bool:
        """Whether anybody waits for the turn's end or follows its stream."""
        return self._audience > 0 or bool(self._readers)

    def enter(self) -> None:
        """Somebody waits for the turn's end."""
        self._audience += 1

    def leave(self) -> None:
        """Who entered has gone."""
        self._audience -= 1

    def say(self, events: Batch) -> None:
        """Append events and, if they need not be kept first, show them."""
        if not events:
            return
        self.events.extend(events)
        if not self._held:
            self.show(len(self.events))
        elif self.on_said is not None:
            self.on_said()

    def show(self, count: int) -> None:
        """Let readers have the first *count* events."""
        self._shown = count
        self._wake()

    def open(self) -> None:
        """The answer may begin."""
        if not self.opened.done():
            self.opened.set_result(None)

    def finish(self, response: JsonObject) -> None:
        """The turn has ended and is stored; nothing is said after this."""
        self.open()
        self.snapshot = None  # it holds the turn, which holds this run
        self.finished.set_result(response)
        self.show(len(self.events))

    def refuse(self, error: BaseException) -> None:
        """The turn ended without a response: before it had opened, or because it was broken off."""
        self.snapshot = None
        for future in (self.opened, self.finished):
            if not future.done():
                future.set_exception(error)
                future.exception()  # retrieved: the caller may be gone already
        self._wake()

    def cancel(self) -> None:
        """
        Stop the turn: the upstream is dropped and what was produced is stored as cancelled.

        Only the first call does anything. A task that has not begun cannot be told by cancelling it, as its coroutine
        would never run: it looks at ``cancel_wanted`` when it begins.
        """
        if self.cancel_wanted or self.ending or self.done:
            return
        self.cancel_wanted = True
        if self.begun and self.task is not None:
            self.task.cancel()

    def break_off(self, reason: AntiphonError) -> None:
        """Stop the turn without an outcome: it is somebody else's now, or will be."""
        if self.broken_off is None and not self.done:
            self.broken_off = reason
            self.cancel()

    async def first_response(self) -> JsonObject:
        """The response as the stream began with it."""
        reader = self.reader()
        try:
            await reader.wait()
            if not self.events:
                return await asyncio.shield(self.finished)
        finally:
            reader.close()
        first = self.events[0]
        assert isinstance(first, LifecycleEvent)
        return first.response

    def reader(self, start: int = 0) -> Reader:
        """A new reader; the first event that it is given has the sequence number *start*. Close it."""
        self.was_followed = True
        reader = Reader(self, start)
        self._readers.add(reader)
        return reader

    def _wake(self) -> None:
        for reader in self._readers:
            reader.wake()


class Reader:
    """
    Follows a run. Not shared between tasks.

    Attributes:
        offset: The sequence number of the next event.
    """

    def __init__(self, run: Run, start: int) -> None:
        self.offset = start
        self._run = run
        self._waiting: asyncio.Future[None] | None = None

    def take(self) -> Batch:
        """What was shown since the last call, without waiting."""
        events = self._run.events[self.offset : self._run._shown]  # noqa: SLF001 - a reader is the run's other half
        self.offset += len(events)
        return events

    @property
    def at_end(self) -> bool:
        """Whether everything was taken and nothing will follow."""
        return self._run.done and self.offset >= self._run._shown  # noqa: SLF001 - see take

    async def wait(self) -> None:
        """Until something was shown, the run ended, or :meth:`wake` was called."""
        if self._run.done or self.offset < self._run._shown:  # noqa: SLF001 - see take
            return
        self._waiting = asyncio.get_running_loop().create_future()
        try:
            await self._waiting
        finally:
            self._waiting = None

    def wake(self) -> None:
        """End a wait."""
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    def close(self) -> None:
        """Stop following."""
        self._run._readers.discard(self)  # noqa: SLF001 - see take
