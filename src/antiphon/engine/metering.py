"""
What a turn has used: what its upstreams have counted, estimates of what they have not, and what all of it has cost.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal

import msgspec

from antiphon.engine.context import Answered
from antiphon.engine.cost import Costs
from antiphon.engine.counting import estimate_item, estimate_tokens
from antiphon.hub.events import ReplyEnd
from antiphon.hub.items import Item, JsonObject
from antiphon.hub.price import plain
from antiphon.hub.turn import TurnRequest
from antiphon.hub.upstream import Metered, ReplyDecoder
from antiphon.hub.usage import Usage

__all__ = ["Meter", "Spent"]


class Spent(msgspec.Struct, frozen=True):
    """
    What was used.

    Attributes:
        is_estimate: Whether any of its counts is.
        cost: In USD; None where it is not known.
    """

    usage: Usage
    is_estimate: bool = False
    cost: Decimal | None = None

    def and_also(self, usage: Usage, cost: Decimal | None) -> Spent:
        """Both together. What a part has cost that nobody knows, nobody knows of the whole."""
        whole = None if self.cost is None or cost is None else self.cost + cost
        return Spent(self.usage + usage, self.is_estimate, whole)

    def body(self) -> JsonObject:
        """The ``usage`` object of a response, with its cost where that is known; one with estimates says so."""
        body = self.usage.body()
        if self.is_estimate:
            body["estimated"] = True
        if self.cost is not None:
            body["cost"] = float(plain(self.cost))
        return body


class Meter:
    """
    Of one turn.

    Args:
        request: What was asked for, for estimates.
    """

    def __init__(self, request: TurnRequest, costs: Costs) -> None:
        self._request = request
        self._costs = costs
        self._heard: tuple[Answered, ReplyDecoder] | None = None
        self._beside: Spent | None = None

    def heard(self, answered: Answered, decoder: ReplyDecoder) -> None:
        """An upstream has begun to answer."""
        self._heard = answered, decoder
        self._costs.expect(answered.answer.target)

    def compacted(self, spent: Spent) -> None:
        """The context was compacted, beside the answer or instead of one."""
        self._beside = spent

    async def spent(self, end: ReplyEnd | None, status: str, said: Callable[[], Sequence[Item]]) -> Spent | None:
        """
        What the turn has used; None if nobody knows. Of a reply that did not end it is what the upstream had counted;
        where somebody has ended it, who will want to know, the rest is estimated.

        Args:
            end: How the reply ended; None if it did not.
            status: Of the turn.
            said: What came of the answer.
        """
        answer = self._of_answer(end, status, said)
        if answer is not None and self._heard is not None:
            answer = msgspec.structs.replace(answer, cost=await self._cost(self._heard[0], answer.usage, end))
        if self._beside is None:
            return answer
        if answer is not None:
            return answer.and_also(self._beside.usage, self._beside.cost)
        return self._beside if self._heard is None else msgspec.structs.replace(self._beside, cost=None)

    def _of_answer(self, end: ReplyEnd | None, status: str, said: Callable[[], Sequence[Item]]) -> Spent | None:
        if end is not None:
            return None if end.usage is None else Spent(end.usage)
        if self._heard is None:
            return None
        answered, decoder = self._heard
        counted = _reported(decoder)
        if status != "cancelled":
            return counted
        return _estimated(counted, request=self._request, given=answered.context.items, said=said())

    async def _cost(self, answered: Answered, usage: Usage, end: ReplyEnd | None) -> Decimal | None:
        return await self._costs.of(
            answered.answer.target,
            usage,
            model=end.model if end else None,
            service_tier=end.service_tier if end else None,
        )


def _reported(decoder: ReplyDecoder) -> Spent | None:
    """What the upstream has counted of a reply so far; None if nothing."""
    usage = decoder.usage if isinstance(decoder, Metered) else None
    return None if usage is None else Spent(usage)


def _estimated(before: Spent | None, *, request: TurnRequest, given: Sequence[Item], said: Sequence[Item]) -> Spent:
    """
    *before*, with estimates in the place of what was not counted.

    Args:
        given: The items that the model was given.
        said: What came of its answer.
    """
    usage = before.usage if before is not None else Usage()
    changes: dict[str, int] = {}
    if not usage.input_tokens:
        changes["input_tokens"] = estimate_tokens(given, instructions=request.instructions, tools=request.tools)
    if not usage.output_tokens and said:
        changes["output_tokens"] = sum(map(estimate_item, said))
    return Spent(msgspec.structs.replace(usage, **changes), is_estimate=bool(changes))
