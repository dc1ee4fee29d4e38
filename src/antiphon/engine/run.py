"""
A run: a turn that is under way, as its readers see it.

The turn's task appends what it has to say; readers hold an offset into it. So a slow reader never slows a turn, a turn
without a reader goes on, and following a running turn is just another reader.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

import msgspec

from antiphon.hub.errors import AntiphonError
from antiphon.hub.events import Event, OtherEvent
from antiphon.hub.ids import TenantId
from antiphon.hub.items import JsonObject

__all__ = ["Reader", "Run", "RunFacts"]

T = TypeVar("T")

Batch = Sequence[Event | OtherEvent]


class RunFacts(msgspec.Struct, kw_only=True):
    """
    What the answer's headers tell about a turn.

    Attributes:
        replayed: How many history items the model was given.
        source: What they were found through.
        left_out: Cut-off tool calls that were not replayed.
        upstream: The name of the upstream that was asked.
        alias: The model name that the client asked for.
        not_applied: Accepted fields without effect at this upstream.
        overhead_s: Time spent here until the upstream answered, without the waiting for it.
    """

    replayed: int = 0
    source: str = "none"
    left_out: int = 0
    upstream: str = ""
    alias: str = ""
    not_applied: tuple[str, ...] = ()
    overhead_s: float = 0.0


class Run(Generic[T]):
    """
    One running turn.

    Args:
        encode: Makes of a batch of events what readers are given; None if nobody is going to read.

    Attributes:
        opened: Done when the answer may begin (the upstream has answered, or has taken long); fails with what went
            wrong before that.
        finished: Done with the terminal response when that is stored; fails if the turn never opened.
        error: What made the turn fail after it had opened.
        ending: The outcome is decided and is being stored: the turn cannot be cancelled any more.
    """

    def __init__(self, response_id: str, tenant: TenantId, encode: Callable[[Batch], T] | None) -> None:
        loop = asyncio.get_running_loop()
        self.response_id = response_id
        self.tenant = tenant
        self.facts = RunFacts()
        self.opened: asyncio.Future[None] = loop.create_future()
        self.finished: asyncio.Future[JsonObject] = loop.create_future()
        self.error: AntiphonError | None = None
        self.task: asyncio.Task[None] | None = None
        self.begun = False
        self.cancel_wanted = False
        self.ending = False
        self.snapshot: Callable[[], JsonObject] | None = None
        self._encode = encode
        self._chunks: list[T] = []
        self._readers: set[Reader[T]] = set()

    @property
    def done(self) -> bool:
        """Whether the turn has ended and is stored."""
        return self.finished.done()

    @property
    def is_followed(self) -> bool:
        """Whether readers are given events at all."""
        return self._encode is not None

    @property
    def has_readers(self) -> bool:
        """Whether anybody follows the stream."""
        return bool(self._readers)

    def say(self, events: Batch) -> None:
        """Append events and wake the readers."""
        if self._encode is None or not events:
            return
        self._chunks.append(self._encode(events))
        self._wake()

    def open(self) -> None:
        """The answer may begin."""
        if not self.opened.done():
            self.opened.set_result(None)

    def finish(self, response: JsonObject) -> None:
        """The turn has ended; nothing is said after this."""
        self.open()
        self.finished.set_result(response)
        self._wake()

    def refuse(self, error: BaseException) -> None:
        """The turn ended before it had opened: there is no response."""
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

    def reader(self) -> Reader[T]:
        """A new reader, from the first event on. Close it."""
        reader = Reader(self)
        self._readers.add(reader)
        return reader

    def _wake(self) -> None:
        for reader in self._readers:
            waiting = reader.waiting
            if waiting is not None and not waiting.done():
                waiting.set_result(None)


class Reader(Generic[T]):
    """
    Follows a run. Not shared between tasks.

    Attributes:
        waiting: What :meth:`wait` is waiting for, for the run to end it.
    """

    def __init__(self, run: Run[T]) -> None:
        self._run = run
        self._offset = 0
        self.waiting: asyncio.Future[None] | None = None

    def take(self) -> list[T]:
        """What was said since the last call, without waiting."""
        chunks = self._run._chunks[self._offset :]  # noqa: SLF001 - a reader is the run's other half
        self._offset += len(chunks)
        return chunks

    @property
    def at_end(self) -> bool:
        """Whether everything was taken and nothing will follow."""
        return self._run.done and self._offset == len(self._run._chunks)  # noqa: SLF001 - see take

    async def wait(self) -> None:
        """Until something was said, the run ended, or :meth:`wake` was called."""
        if self._run.done or self._offset < len(self._run._chunks):  # noqa: SLF001 - see take
            return
        self.waiting = asyncio.get_running_loop().create_future()
        try:
            await self.waiting
        finally:
            self.waiting = None

    def wake(self) -> None:
        """End a wait."""
        if self.waiting is not None and not self.waiting.done():
            self.waiting.set_result(None)

    def close(self) -> None:
        """Stop following."""
        self._run._readers.discard(self)  # noqa: SLF001 - see take
