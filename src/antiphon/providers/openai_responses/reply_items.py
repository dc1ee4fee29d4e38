"""
The items of a reply, from the upstream's events to ours: nearly the same ones, in an order that can be relied on.

An event is matched to its item by ``item_id``, then by ``output_index``, then by what is open: servers leave either
out, give an item another id with every event, or count on before an item is done. What belongs to no item that is
known begins one. Events of kinds that this version does not know ride along with the item that they name.
"""

from __future__ import annotations

import re
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from typing import ClassVar, Final, NamedTuple

from antiphon.hub.errors import UpstreamBroken
from antiphon.hub.events import OtherEvent
from antiphon.hub.ids import Family, IdFactory
from antiphon.hub.items import JsonObject
from antiphon.hub.marks import marked
from antiphon.hub.turn import ModelCall
from antiphon.hub.upstream import ReplyEvent
from antiphon.providers.openai_responses.bodies import EndStatus, keepable, objects, text_of
from antiphon.providers.openai_responses.ids import KEPT_ID_TYPES
from antiphon.providers.openai_responses.names import Names
from antiphon.providers.openai_responses.open_item import OWNERS, OpenItem
from antiphon.providers.openai_responses.reasoning import DIALECT, private_of

__all__ = ["ReplyItems"]

_ENCRYPTED = "reasoning.encrypted_content"
# What stands in every event for the stream's own sake.
_OF_THE_STREAM = frozenset({"type", "sequence_number", "obfuscation"})
_PLAIN_NAME = re.compile(r"response\.[a-z][a-z0-9_.]{0,90}")


class _Whole(NamedTuple):
    """What an event says the whole of: of which part or call, and in which field."""

    of: str
    field: str


# Into which kind of part a delta goes, and into which type of call.
_DELTAS: Final = {
    "response.output_text.delta": "output_text",
    "response.refusal.delta": "refusal",
    "response.reasoning_text.delta": "reasoning_text",
    "response.reasoning.delta": "reasoning_text",  # Open Responses
    "response.reasoning_summary_text.delta": "summary_text",
}
_VALUE_DELTAS: Final = {
    "response.function_call_arguments.delta": "function_call",
    "response.custom_tool_call_input.delta": "custom_tool_call",
}
_TEXTS: Final = {
    "response.output_text.done": _Whole("output_text", "text"),
    "response.refusal.done": _Whole("refusal", "refusal"),
    "response.reasoning_text.done": _Whole("reasoning_text", "text"),
    "response.reasoning.done": _Whole("reasoning_text", "text"),  # Open Responses
    "response.reasoning_summary_text.done": _Whole("summary_text", "text"),
}
_VALUES: Final = {
    "response.function_call_arguments.done": _Whole("function_call", "arguments"),
    "response.custom_tool_call_input.done": _Whole("custom_tool_call", "input"),
}


class ReplyItems:
    """
    Makes the events of one reply.

    Args:
        ids: Mints the ids of items and calls.
        family: The family of the items.
        call: The call that is answered.
    """

    def __init__(self, ids: IdFactory, family: Family, call: ModelCall) -> None:
        self._names = Names(ids, family, call)
        self._account = call.account
        self._shows_encrypted = _ENCRYPTED in call.request.include
        self._events: list[ReplyEvent] = []
        self._items: list[OpenItem] = []
        self._by_id: dict[str, OpenItem] = {}
        self._by_index: dict[int, OpenItem] = {}

    def take(self) -> list[ReplyEvent]:
        """The events since the last call."""
        events = self._events.copy()
        self._events.clear()  # the open items hold on to it
        return events

    def feed(self, kind: str, event: JsonObject) -> None:
        """
        Take an event of this kind.

        Raises:
            UpstreamBroken: A field is of a type that no server gives it, or the event cannot be where it is.
        """
        if (part_kind := _DELTAS.get(kind)) is not None:
            self._delta(event, part_kind)
        elif (item_type := _VALUE_DELTAS.get(kind)) is not None:
            self._item_for(event, item_type).value_delta(text_of(event, "delta"))
        elif (text := _TEXTS.get(kind)) is not None:
            self._text_done(event, text)
        elif (value := _VALUES.get(kind)) is not None:
            item = self._item_for(event, value.of)
            item.value_done(text_of(event, value.field), text_of(event, "name") or text_of(item.wire, "name"))
        elif (handle := self._HANDLERS.get(kind)) is not None:
            handle(self, event)
        else:
            self._ride_along(kind, event)

    def end(self, output: Sequence[JsonObject], status: EndStatus) -> None:
        """
        The reply ends: what is still open is closed, and what was never streamed is said.

        Args:
            output: The items of the whole response, as far as the upstream gave them.
            status: What items that were cut off end in.
        """
        bodies, unsaid = self._matched(output)
        for item in self._items:
            if not item.is_done:
                self._close(item, bodies.get(item.output_index, item.wire), status)
        for body in unsaid:
            # Only the last item of a reply can have been cut off.
            self._close(self._begin(body), body, status if body is output[-1] else "completed")

    def _matched(self, output: Sequence[JsonObject]) -> tuple[dict[int, JsonObject], list[JsonObject]]:
        """The final bodies of items that were streamed, by their place, and those of items that were not."""
        bodies: dict[int, JsonObject] = {}
        unknown: dict[str, deque[JsonObject]] = defaultdict(deque)
        for body in output:
            item = self._by_id.get(_wire_id(body))
            if item is None or item.output_index in bodies:
                unknown[body["type"]].append(body)
            else:
                bodies[item.output_index] = body
        # The rest go by another id than before, or were not streamed: those of a type correspond in their order.
        for item in self._items:
            if item.output_index not in bodies and unknown[item.type]:
                bodies[item.output_index] = unknown[item.type].popleft()
        unsaid = {id(body) for left in unknown.values() for body in left}
        return bodies, [body for body in output if id(body) in unsaid]

    # Items.

    def _added(self, event: JsonObject) -> None:
        body = _item_of(event)
        known = self._by_id.get(_wire_id(body))
        if known is None or known.is_done:
            self._begin(body, event.get("output_index"))

    def _done(self, event: JsonObject) -> None:
        body = _item_of(event)
        item = self._by_id.get(_wire_id(body)) or self._at(event, body["type"]) or self._last_open(body["type"])
        if item is None:
            item = self._begin(body, event.get("output_index"))
        if not item.is_done:
            self._close(item, body, "completed")

    def _begin(self, wire: JsonObject, output_index: object = None) -> OpenItem:
        body = self._names.new_item(keepable(wire))
        item = OpenItem(wire, body, len(self._items), self._events.append)
        self._items.append(item)
        if _wire_id(wire):
            self._by_id[_wire_id(wire)] = item
        if isinstance(output_index, int):
            self._by_index[output_index] = item
        return item

    def _close(self, item: OpenItem, wire: JsonObject, status: EndStatus) -> None:
        if wire.get("type") != item.type:
            raise UpstreamBroken("The upstream ended an item as one of another type.")
        body = self._names.same_item(keepable(wire), item.id, item.call_id)
        data: JsonObject = {}
        if item.type == "reasoning":
            encrypted = text_of(wire, "encrypted_content") or text_of(item.wire, "encrypted_content")
            body.pop("encrypted_content", None)
            if encrypted:
                data["encrypted_content"] = encrypted
                if self._shows_encrypted:
                    body["encrypted_content"] = marked(encrypted, DIALECT, self._account)
        elif item.type in KEPT_ID_TYPES and _wire_id(wire):
            data["id"] = wire["id"]
        item.close(body, private_of(self._account, data), status)

    def _at(self, event: JsonObject, item_type: str) -> OpenItem | None:
        """The open item of this type at the event's ``output_index``."""
        index = event.get("output_index")
        item = self._by_index.get(index) if isinstance(index, int) else None
        return item if item is not None and item.type == item_type and not item.is_done else None

    def _last_open(self, item_type: str) -> OpenItem | None:
        return next((item for item in reversed(self._items) if item.type == item_type and not item.is_done), None)

    def _item_for(self, event: JsonObject, item_type: str) -> OpenItem:
        """The open item that an event belongs to, or one that begins with it."""
        named = self._by_id.get(_text_or_empty(event.get("item_id")))
        if named is not None and named.type == item_type:
            if not named.is_done:
                return named
            raise UpstreamBroken("The upstream sent a piece of an item that was done.")
        found = self._at(event, item_type) or self._last_open(item_type)
        if found is None:
            wire = {"type": item_type, "id": event.get("item_id")}
            return self._begin(wire, event.get("output_index"))
        return found

    # Parts.

    def _part_added(self, event: JsonObject) -> None:
        part = _part_of(event)
        owner = OWNERS.get(part["type"])
        item = self._holder(event) if owner is None else self._owner_of_part(event, owner)
        item.open_part(keepable(part))

    def _part_done(self, event: JsonObject) -> None:
        part = _part_of(event)
        owner = OWNERS.get(part["type"])
        item = self._holder(event) if owner is None else self._owner_of_part(event, owner)
        item.close_part(keepable(part))

    def _owner_of_part(self, event: JsonObject, owner: str) -> OpenItem:
        named = self._by_id.get(_text_or_empty(event.get("item_id")))
        if named is not None and named.type == "reasoning" and not named.is_done:
            return named  # vLLM announces raw reasoning as text
        return self._item_for(event, owner)

    def _holder(self, event: JsonObject) -> OpenItem:
        """The item of a part whose kind does not say what it belongs to."""
        item = self._find(event)
        if item is None or item.is_done:
            raise UpstreamBroken("The upstream sent a part of an item that is not open.")
        return item

    def _annotation(self, event: JsonObject) -> None:
        annotation = event.get("annotation")
        if isinstance(annotation, dict):
            self._item_for(event, "message").annotate(keepable(annotation))

    def _delta(self, event: JsonObject, kind: str) -> None:
        logprobs = event.get("logprobs")
        kept = [keepable(entry) for entry in objects(logprobs)] if logprobs else ()
        self._item_for(event, OWNERS[kind]).delta(kind, text_of(event, "delta"), kept)

    def _text_done(self, event: JsonObject, whole: _Whole) -> None:
        text = text_of(event, whole.field)
        named = self._by_id.get(_text_or_empty(event.get("item_id")))
        if named is None or not named.is_done:  # else its text was said with it
            logprobs = [keepable(entry) for entry in objects(event.get("logprobs"))]
            self._item_for(event, OWNERS[whole.of]).text_done(whole.of, text, logprobs)

    # The rest.

    def _find(self, event: JsonObject) -> OpenItem | None:
        item = self._by_id.get(_text_or_empty(event.get("item_id")))
        index = event.get("output_index")
        return item or (self._by_index.get(index) if isinstance(index, int) else None)

    def _ride_along(self, kind: str, event: JsonObject) -> None:
        """An event of another kind; one that names no item of this reply says nothing to a client."""
        item = self._find(event)
        if item is None or not _PLAIN_NAME.fullmatch(kind):
            return
        fields = {name: value for name, value in keepable(event).items() if name not in _OF_THE_STREAM}
        if "item_id" in fields:
            fields["item_id"] = item.id
        fields["output_index"] = item.output_index
        if isinstance(fields.get("call_id"), str):
            fields["call_id"] = self._names.call_id(fields["call_id"])
        self._events.append(OtherEvent(kind, fields))

    _HANDLERS: ClassVar[dict[str, Callable[[ReplyItems, JsonObject], None]]] = {
        "response.output_item.added": _added,
        "response.output_item.done": _done,
        "response.content_part.added": _part_added,
        "response.content_part.done": _part_done,
        "response.reasoning_part.added": _part_added,  # vLLM
        "response.reasoning_part.done": _part_done,
        "response.reasoning_summary_part.added": _part_added,
        "response.reasoning_summary_part.done": _part_done,
        "response.output_text.annotation.added": _annotation,
        "response.output_text_annotation.added": _annotation,  # the API's own name of it in 2025
    }


def _item_of(event: JsonObject) -> JsonObject:
    item = event.get("item")
    if not isinstance(item, dict) or not isinstance(item.get("type"), str):
        raise UpstreamBroken("The upstream sent an event of an item without the item.")
    return item


def _part_of(event: JsonObject) -> JsonObject:
    part = event.get("part")
    if not isinstance(part, dict) or not isinstance(part.get("type"), str):
        raise UpstreamBroken("The upstream sent an event of a part without the part.")
    return part


def _wire_id(body: JsonObject) -> str:
    return _text_or_empty(body.get("id"))


def _text_or_empty(value: object) -> str:
    return value if isinstance(value, str) else ""
