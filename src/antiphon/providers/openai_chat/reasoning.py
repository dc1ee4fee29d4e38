"""Which earlier reasoning goes back to the upstream, and where in which message."""

from __future__ import annotations

from typing import Any

from antiphon.hub.items import Item, JsonObject
from antiphon.hub.turn import ModelCall
from antiphon.providers.openai_chat.content import as_parts
from antiphon.providers.openai_chat.quirks import Quirks

__all__ = ["DIALECT", "ReasoningReplay", "own_data"]

DIALECT = "openai_chat"

_DEFAULT_FIELD = "reasoning_content"
_DETAILS = "reasoning_details"
_BLANK = " "  # Moonshot takes no empty string


class ReasoningReplay:
    """
    Holds reasoning until the assistant message that it led to.

    Raw reasoning text is replayed; a summary is not what the model thought and is not. An item that came from a chat
    upstream goes back in the form that it came in, and only to that upstream: in the field that its private data
    names, as OpenRouter's ``reasoning_details``, or as Mistral's content part. One that nobody marked goes where
    :attr:`Quirks.reasoning_field` says. Models want it back within a tool loop and lose nothing without it afterwards,
    so that is the default (:attr:`Quirks.replay_reasoning`); everything else is left out, as the API leaves it out
    itself.
    """

    def __init__(self, call: ModelCall, quirks: Quirks) -> None:
        self._account = call.account
        self._unmarked = _unmarked_data(quirks)
        self._fills_gaps = quirks.missing_reasoning == "blank"
        self._first = _first_replayed(call, quirks)
        self._held: list[tuple[str, Any]] = []

    def feed(self, item: Item, index: int) -> None:
        """Take the next reasoning item; *index* is its place in the whole context."""
        if index < self._first:
            return
        data = self._unmarked if item.private is None else own_data(item, self._account)
        if data is None:
            return
        text = "\n".join(part["text"] for part in item.body.get("content") or () if part["type"] == "reasoning_text")
        if _DETAILS in data:
            self._held.append((_DETAILS, data[_DETAILS]))
        elif text and "content_part" in data:
            kind = data["content_part"]
            self._held.append(("content", [{"type": kind, kind: [{"type": "text", "text": text}]}]))
        elif text:
            self._held.append((data.get("field") or _DEFAULT_FIELD, text))

    def onto(self, message: JsonObject) -> None:
        """Put what is held onto an assistant message that is being made."""
        for field, value in self._held:
            message[field] = _joined(field, message.get(field), value)
        if self._held:
            self._held = []

    def fill_gap(self, message: JsonObject) -> None:
        """Give a finished message with calls a reasoning, where the upstream refuses one without."""
        if self._fills_gaps and not message.get(_DEFAULT_FIELD):
            message[_DEFAULT_FIELD] = _BLANK

    def discard(self) -> None:
        """Somebody else speaks: what is held led to nothing."""
        if self._held:
            self._held = []


def own_data(item: Item, account: str) -> JsonObject | None:
    """The private data of an item that came from this dialect at this upstream; None for any other item."""
    private = item.private
    if private is None or (private.provider, private.account) != (DIALECT, account):
        return None
    return private.data


def _unmarked_data(quirks: Quirks) -> JsonObject:
    """How reasoning goes back that has no private data."""
    if quirks.reasoning_field == "thinking":
        return {"field": None, "content_part": "thinking"}
    return {"field": quirks.reasoning_field}


def _first_replayed(call: ModelCall, quirks: Quirks) -> int:
    """The index from which on reasoning is replayed."""
    if quirks.replay_reasoning == "never":
        return len(call.items)
    context = call.request.reasoning.get("context")
    if context == "all_turns" or (context != "current_turn" and quirks.replay_reasoning == "always"):
        return 0
    return call.loop_start


def _joined(field: str, before: Any, value: Any) -> Any:
    """*value* after what the field holds; a thought after the thoughts in the content, and before its texts."""
    if not before:
        return value
    if field == "content":
        parts = as_parts(before)
        thoughts = sum(part["type"] != "text" for part in parts)
        return [*parts[:thoughts], *value, *parts[thoughts:]]
    return f"{before}\n{value}" if isinstance(value, str) else [*before, *value]
