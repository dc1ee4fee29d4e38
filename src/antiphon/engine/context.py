"""
What a model is given of a turn's items, and how it is made to fit (``truncation: "auto"``).

The oldest items are dropped first, in whole units (:mod:`.units`). Two things stay longer than their age would let
them: the summary of what was compacted is the memory of all that stood before it, so it goes after everything else;
and the last unit, what the client has just said, never goes. Instructions and tools are no items and always stay.

What does not fit is known beforehand, where the upstream says how much its model takes, or from its refusal. A refusal
comes before anything was answered, so the turn asks again with less.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import msgspec

from antiphon.engine.answers import Answer, Question
from antiphon.engine.attempts import Asking
from antiphon.engine.counting import estimate_item, estimate_request
from antiphon.engine.target import Target
from antiphon.engine.units import units
from antiphon.hub.errors import ContextLengthExceeded
from antiphon.hub.items import Item
from antiphon.hub.turn import TurnRequest

__all__ = ["Answered", "Context", "Window", "Write", "ask_within"]

_MAX_TRIES = 8

# After a refusal: what is kept of the room that the upstream says it has, so that an answer fits as well and an
# estimate that is a little off does not cost another refusal; and what is kept where it says nothing.
_KEPT_OF_ROOM = 0.9
_KEPT_UNKNOWN = 0.75

# What is left to the answer of a request that does not limit it, of a window of any size.
_ANSWER_TOKENS = 1024
_ANSWER_SHARE = 8


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """
    The items that a model is given.

    Attributes:
        items: Oldest first: history, then the turn's own input.
        input_items: How many items the client sent, whether or not the first of them are still in *items*.
        summary: The place of the message that a compaction item has become; None without one.
        compacted: How many items that message stands for.
        dropped: How many items were left out to make the rest fit.
    """

    items: tuple[Item, ...]
    input_items: int = 0
    summary: int | None = None
    compacted: int = 0
    dropped: int = 0

    @property
    def input_start(self) -> int:
        """See :attr:`antiphon.hub.turn.ModelCall.input_start`."""
        return len(self.items) - self.input_items

    def followed_by(self, output: Sequence[Item]) -> Context:
        """The context of whatever comes after the answer."""
        items = (*self.items, *output)
        return msgspec.structs.replace(self, items=items, input_items=self.input_items + len(output))


Write = Callable[["Target", Context], Awaitable[Question]]


class Answered(msgspec.Struct, frozen=True):
    """An answer, and the context that it was given to."""

    answer: Answer
    context: Context


class Window:
    """
    The ways in which one context can be shortened: by its first droppable unit, by its first two, and so on.

    Args:
        fixed_tokens: What stays whatever is dropped: instructions and tools.

    Note:
        O(items) to make; each of its answers costs O(units), and :meth:`without` O(items).
    """

    def __init__(self, context: Context, *, fixed_tokens: int) -> None:
        self._context = context
        self._order = _drop_order(context)
        costs = [estimate_item(item) for item in context.items]
        self._tokens = [fixed_tokens + sum(costs)]
        for unit in self._order:
            self._tokens.append(self._tokens[-1] - sum(costs[unit.start : unit.stop]))

    def estimate(self, dropped: int) -> int:
        """About how many tokens there are without the first *dropped* units."""
        return self._tokens[dropped]

    def fitting(self, limit_tokens: int) -> int:
        """The fewest units to drop so that the rest takes no more than *limit_tokens*; all there are, if need be."""
        for dropped, tokens in enumerate(self._tokens):
            if tokens <= limit_tokens:
                return dropped
        return len(self._order)

    def after_refusal(self, error: ContextLengthExceeded, dropped: int) -> int | None:
        """The units to drop when the context without *dropped* was too long still; None if no more can go."""
        if dropped == len(self._order):
            return None
        share = _KEPT_UNKNOWN
        if error.limit_tokens is not None and error.needed_tokens is not None:
            share = _KEPT_OF_ROOM * error.limit_tokens / error.needed_tokens
        return max(dropped + 1, self.fitting(int(self.estimate(dropped) * share)))

    def without(self, dropped: int) -> Context:
        """The context without the first *dropped* units."""
        if not dropped:
            return self._context
        gone = {place for unit in self._order[:dropped] for place in unit}
        context = self._context
        summary = context.summary
        return msgspec.structs.replace(
            context,
            items=tuple(item for place, item in enumerate(context.items) if place not in gone),
            summary=None if summary is None or summary in gone else summary - sum(place < summary for place in gone),
            dropped=context.dropped + len(gone),
        )


async def ask_within(asking: Asking, context: Context, write: Write, *, request: TurnRequest) -> Answered:
    """
    The first answer that is one, to as much of *context* as the target that gives it has room for.

    With ``truncation: "disabled"`` that is all of it.

    Args:
        write: Writes the call of a context for a target; for its errors see :meth:`Asking.first`.

    Raises:
        ContextLengthExceeded: The context is too long, and may not or cannot be shortened further.
        UpstreamError: The last fault, if no target answered.
        UnsupportedParameter: No target can be told what the request asks for.
    """
    return await asking.first(_Fitting(asking, context, write, request).ask)


class _Fitting:
    """Asks a target with what fits it."""

    def __init__(self, asking: Asking, context: Context, write: Write, request: TurnRequest) -> None:
        self._asking = asking
        self._context = context
        self._write = write
        self._request = request
        self._window: Window | None = None
        if request.truncation == "auto":
            self._window = Window(context, fixed_tokens=estimate_request(request.instructions, request.tools))

    async def ask(self, target: Target) -> Answered:
        if self._window is None:
            return await self._ask(target, self._context)
        room = _room(target, self._request)
        dropped: int | None = 0 if room is None else self._window.fitting(room)
        fault: ContextLengthExceeded | None = None
        for _ in range(_MAX_TRIES):
            if dropped is None:
                break
            try:
                return await self._ask(target, self._window.without(dropped))
            except ContextLengthExceeded as error:
                fault = error
                dropped = self._window.after_refusal(error, dropped)
        assert fault is not None
        raise fault

    async def _ask(self, target: Target, context: Context) -> Answered:
        question = await self._write(target, context)
        return Answered(await self._asking.send(question), context)


def _room(target: Target, request: TurnRequest) -> int | None:
    """How many tokens of input a target takes and still has room for the answer; None if nobody said."""
    window = target.upstream.context_window(target.model)
    if window is None:
        return None
    wanted = request.max_output_tokens or min(_ANSWER_TOKENS, window // _ANSWER_SHARE)
    # An answer as long as the whole window is a wish, not a reason to forget everything.
    return window - min(wanted, window // 2)


def _drop_order(context: Context) -> list[range]:
    """The units that may go, the first to go first."""
    order = units(context.items)[:-1]
    summary = context.summary
    return sorted(order, key=lambda unit: summary is not None and summary in unit)  # stable: the summary goes last
