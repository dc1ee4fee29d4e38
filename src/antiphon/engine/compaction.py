"""
Compaction: a context is replaced by its summary, in three ways that differ in who asks for it and what is kept.

===========================  ==================================  =====================================================
``POST /responses/compact``  the client, outside any turn        the users' messages as they are, then the item
``compaction_trigger``       the client, as last input item      the item; it is the turn's only output
``context_management``       a threshold, after an answer        the item, behind the answer's own items
===========================  ==================================  =====================================================
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from antiphon.engine.checkpoints import Checkpoint, CheckpointSeal
from antiphon.engine.context import Context
from antiphon.engine.metering import Spent
from antiphon.engine.summary import Summariser
from antiphon.hub.errors import AntiphonError, InvalidRequest
from antiphon.hub.events import Event, OtherEvent, OutputItemAdded, OutputItemDone
from antiphon.hub.ids import Family, IdFactory, ItemId
from antiphon.hub.items import Item, JsonObject
from antiphon.hub.turn import TurnRequest
from antiphon.hub.usage import Usage
from antiphon.telemetry import Log

__all__ = [
    "Compacted",
    "Compactor",
    "closing_events",
    "compact_body",
    "nothing_to_compact",
    "opening_events",
    "take_trigger",
    "wants_compaction",
]

_TRIGGER = "compaction_trigger"
# Where a threshold is not named: of the model's window, if that is known.
_WINDOW_SHARE = 0.75


class Compacted(msgspec.Struct, frozen=True, kw_only=True):
    """
    A compaction item, and what goes before it.

    Attributes:
        retained: Messages of users that stay as they are, oldest first.
        spent: What the calls that wrote the summary have used.
        not_applied: What of the context the summary's author was not shown, by name.
    """

    item: Item
    retained: tuple[Item, ...] = ()
    spent: Spent
    not_applied: tuple[str, ...] = ()

    @property
    def output(self) -> list[JsonObject]:
        """What is given back: the input of the next turn."""
        return [*(item.body for item in self.retained), self.item.body]


class Compactor:
    """
    Makes compaction items for one turn.

    Args:
        seal: The tenant's.
        family: In which the item's id is minted.
    """

    def __init__(self, summariser: Summariser, seal: CheckpointSeal, *, ids: IdFactory, family: Family) -> None:
        self._summariser = summariser
        self._seal = seal
        self._ids = ids
        self._family = family

    async def compact(self, context: Context, request: TurnRequest, *, item_id: ItemId | None = None) -> Compacted:
        """
        An item that stands for all of *context*.

        Args:
            context: As :func:`~antiphon.engine.checkpoints.expand` gives it, before anything was dropped from it; after
                an answer, followed by the answer's items.
            item_id: The id that was announced for the item; None for a new one.

        Raises:
            InvalidRequest: There is nothing to compact.
            UpstreamError: The summary could not be had.
        """
        return await self._compact(context, request, (), item_id)

    async def compact_retaining_users(self, context: Context, request: TurnRequest) -> Compacted:
        """The same with the messages of users before it, with their ids, for ``POST /responses/compact``."""
        retained = tuple(
            item
            for place, item in enumerate(context.items)
            if place != context.summary and item.type == "message" and item.body["role"] == "user"
        )
        return await self._compact(context, request, retained, None)

    async def compact_after_answer(
        self, context: Context, request: TurnRequest, *, log: Log, response_id: str
    ) -> Compacted | None:
        """Like :meth:`compact`, for an answer that stands in any case: None if it fails, and the log says why."""
        try:
            return await self.compact(context, request)
        except AntiphonError as error:
            log.warning("compaction_failed", response=response_id, error=type(error).__name__, code=error.code)
        except Exception as error:  # noqa: BLE001 - a bug, ours or a custom provider's, after the answer was given
            log.crash("compaction_crashed", error, response=response_id)
        return None

    def new_id(self) -> ItemId:
        """An id for a compaction item, for those who announce it before it is there."""
        return self._ids.item("compaction", self._family)

    async def _compact(
        self, context: Context, request: TurnRequest, retained: tuple[Item, ...], item_id: ItemId | None
    ) -> Compacted:
        if not context.items:
            raise nothing_to_compact()
        summary = await self._summariser.summarise(context.items, request)
        checkpoint = Checkpoint(summary=summary.text, kept=len(retained))
        item = self._seal.item(item_id or self.new_id(), checkpoint)
        return Compacted(item=item, retained=retained, spent=summary.spent, not_applied=summary.not_applied)


def nothing_to_compact() -> InvalidRequest:
    """The error for a context without items."""
    return InvalidRequest("There is nothing to compact: the context has no items.", param="input")


def compact_body(compacted: Compacted, *, id: str, created_at: int) -> JsonObject:  # noqa: A002 - the field's own name
    """The answer of ``POST /responses/compact``. Its id names nothing: the output is what the client goes on with."""
    return {
        "id": id,
        "object": "response.compaction",
        "created_at": created_at,
        "output": compacted.output,
        "usage": compacted.spent.body(),
    }


def wants_compaction(
    context_management: Sequence[JsonObject],
    *,
    usage: Usage | None,
    estimate: Callable[[], int],
    window_tokens: int | None = None,
) -> bool:
    """
    Whether a turn has passed the threshold at which its context is to be compacted.

    Args:
        context_management: The request's field; the lowest threshold in it counts.
        usage: As the upstream reported it: what the next turn stands on is this turn's input and output.
        estimate: The tokens of both, asked for only where the upstream reported nothing.
        window_tokens: The model's window: three quarters of it are the threshold of an entry that names none. An entry
            without a threshold has no effect at a model whose window nobody knows.
    """
    thresholds = [
        threshold
        for entry in context_management
        if entry["type"] == "compaction" and (threshold := _threshold(entry, window_tokens)) is not None
    ]
    if not thresholds:
        return False
    reported = 0 if usage is None or not usage.input_tokens else usage.input_tokens + usage.output_tokens
    return (reported or estimate()) >= min(thresholds)


def take_trigger(request: TurnRequest) -> TurnRequest:
    """
    The request without a compaction trigger; it says now that it compacts, if it had one.

    A trigger is a wish and not an item of the context: it is not kept.

    Raises:
        InvalidRequest: The trigger is not the last item of the input.
    """
    places = [place for place, item in enumerate(request.input) if item["type"] == _TRIGGER]
    if not places:
        return request
    if places[0] != len(request.input) - 1:
        raise InvalidRequest(
            f"Invalid 'input[{places[0]}]': an item of type '{_TRIGGER}' must be the last one of the input.",
            param=f"input[{places[0]}]",
            code="invalid_value",
        )
    return msgspec.structs.replace(request, input=request.input[:-1], compacts=True)


def opening_events(item_id: str, output_index: int) -> list[Event | OtherEvent]:
    """What is said when a compaction begins."""
    item = {"id": item_id, "type": "compaction", "encrypted_content": ""}
    return [
        OutputItemAdded(output_index, item),
        OtherEvent("response.compaction.compacting", {"item_id": item_id, "output_index": output_index}),
    ]


def closing_events(item: Item, output_index: int) -> list[Event | OtherEvent]:
    """What is said when it is done, behind :func:`opening_events`."""
    return [OutputItemDone(output_index, item.body)]


def _threshold(entry: JsonObject, window_tokens: int | None) -> float | None:
    named: int | None = entry.get("compact_threshold")
    if named is not None:
        return named
    return None if window_tokens is None else window_tokens * _WINDOW_SHARE
