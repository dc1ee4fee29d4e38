"""What a turn has used whose reply did not end: what its upstream has counted, and estimates of the rest."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from antiphon.engine.counting import estimate_item, estimate_tokens
from antiphon.hub.items import Item, JsonObject
from antiphon.hub.turn import TurnRequest
from antiphon.hub.upstream import Metered, ReplyDecoder
from antiphon.hub.usage import Usage

__all__ = ["Spent", "estimated", "reported"]


class Spent(msgspec.Struct, frozen=True):
    """
    What was used.

    Attributes:
        is_estimate: Whether any of its counts is.
    """

    usage: Usage
    is_estimate: bool = False

    def body(self) -> JsonObject:
        """The ``usage`` object of a response; one with estimates says so."""
        body = self.usage.body()
        return {**body, "estimated": True} if self.is_estimate else body


def reported(decoder: ReplyDecoder) -> Spent | None:
    """What the upstream has counted of a reply so far; None if nothing."""
    usage = decoder.usage if isinstance(decoder, Metered) else None
    return None if usage is None else Spent(usage)


def estimated(before: Spent | None, *, request: TurnRequest, given: Sequence[Item], said: Sequence[Item]) -> Spent:
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
