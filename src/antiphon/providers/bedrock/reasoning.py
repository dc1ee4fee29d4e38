"""
Which earlier reasoning goes back to the upstream, in the blocks that it came in.

Claude signs what it thought, and wants thought and signature back unchanged within a tool loop; some thoughts it
encrypts. A reasoning item holds the thoughts of one or more blocks as one text; beside it stands, private, where each
block ends and what seals it. Reasoning of anybody else is left out: nobody could have signed it.
"""

from __future__ import annotations

from collections.abc import Iterator

from antiphon.hub.items import Item, JsonObject, Private
from antiphon.hub.turn import ModelCall
from antiphon.providers.bedrock.quirks import Quirks

__all__ = ["DIALECT", "ReasoningReplay", "Thoughts"]

DIALECT = "bedrock"


class Thoughts:
    """The blocks of a reasoning item in the making, as its private data will have them."""

    def __init__(self, account: str) -> None:
        self._account = account
        self._place: int | None = None
        self._blocks: list[JsonObject] = []

    def __bool__(self) -> bool:
        return bool(self._blocks)

    def begins(self, place: int) -> bool:
        """Whether a piece at this place begins another block."""
        return place != self._place

    def add(self, place: int, *, text: str = "", signature: str = "", redacted: str = "") -> None:
        """
        A piece of a block.

        Args:
            place: The block's place in the reply; another one begins another block.
            redacted: Encrypted reasoning in base64, a block of its own.
        """
        if redacted:
            self._blocks.append({"redacted": redacted})
            self._place = None
            return
        if self.begins(place):
            self._blocks.append({"chars": 0})
            self._place = place
        block = self._blocks[-1]
        block["chars"] += len(text)
        if signature:
            block["signature"] = block.get("signature", "") + signature

    def private(self) -> Private:
        """What the upstream needs back of the item as it is now."""
        return Private(provider=DIALECT, account=self._account, data={"blocks": self._blocks})

    def take(self) -> Private:
        """What the upstream needs back of the item, which ends here."""
        private = self.private()
        self._blocks, self._place = [], None
        return private


class ReasoningReplay:
    """Holds the blocks of earlier reasoning until what it led to is written."""

    def __init__(self, call: ModelCall, quirks: Quirks) -> None:
        self._account = call.account
        self._unsigned = quirks.replay_reasoning == "always"
        self._first = _first_replayed(call, quirks)
        self._held: list[JsonObject] = []

    def feed(self, item: Item, index: int) -> None:
        """Take the next reasoning item; *index* is its place in the whole context."""
        private = item.private
        if private is None or index < self._first or (private.provider, private.account) != (DIALECT, self._account):
            return
        text = "".join(part["text"] for part in item.body.get("content") or () if part["type"] == "reasoning_text")
        self._held += self._blocks(private.data["blocks"], text)

    def take(self) -> list[JsonObject]:
        """What is held, to stand before what it led to."""
        held, self._held = self._held, []
        return held

    def _blocks(self, blocks: list[JsonObject], text: str) -> Iterator[JsonObject]:
        start = 0
        for block in blocks:
            if "redacted" in block:
                yield {"reasoningContent": {"redactedContent": block["redacted"]}}
                continue
            thought = text[start : start + block["chars"]]
            start += block["chars"]
            if "signature" in block:
                yield {"reasoningContent": {"reasoningText": {"text": thought, "signature": block["signature"]}}}
            elif self._unsigned and thought:
                yield {"reasoningContent": {"reasoningText": {"text": thought}}}


def _first_replayed(call: ModelCall, quirks: Quirks) -> int:
    """The index from which on reasoning is replayed."""
    if quirks.replay_reasoning == "never":
        return len(call.items)
    return call.loop_start if call.request.reasoning.get("context") == "current_turn" else 0
