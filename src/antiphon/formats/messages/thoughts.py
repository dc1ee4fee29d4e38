"""
Thinking blocks and reasoning items, both ways.

What a client sees of reasoning is one thinking block for each item: its text, and the signature of the provider that
speaks this dialect, as it is. A client that sends the block back has its signature in the item's private data, in the
form in which that provider keeps it (``{"blocks": [...]}``), without an account: nobody here can tell whose it is. Only
the upstream that made a signature can verify it; whether it is asked to is the provider's affair.

Reasoning of other providers is shown without a signature. It comes back as a reasoning item with its text alone.

An item of several blocks, which are rare, is shown as one: the signature then holds them all, after :data:`_BUNDLE`.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, Literal

import msgspec
import orjson

from antiphon.formats.checks.flaw import Flaw
from antiphon.formats.messages.blocks import THINKING_BLOCK
from antiphon.hub.items import JsonObject, Private

__all__ = [
    "BETWEEN",
    "DIALECT",
    "Seal",
    "Shown",
    "has_bundles",
    "reasoning_of",
    "seal_of",
    "thinking_blocks",
    "thinking_text",
]

DIALECT: Final = "anthropic"
# Whose a signature is cannot be told from it.
_NO_ACCOUNT: Final = ""
_BLOCKS: Final = "blocks"
_BUNDLE: Final = "antiphon-blocks."

BETWEEN: Final = "\n\n"

Shown = Literal["text", "signature", "nothing"]


class Seal(msgspec.Struct, frozen=True):
    """
    What stands for an item of reasoning when it is sent back.

    Attributes:
        signature: Of the one thinking block; empty if there is none.
        redacted: Blocks that stand for themselves, where the item is nothing else.
    """

    signature: str = ""
    redacted: tuple[JsonObject, ...] = ()


_UNSEALED = Seal()


def has_bundles(messages: Iterable[JsonObject]) -> bool:
    """Whether a signature in checked messages stands for several blocks, as only this gateway's own do."""
    return any(
        block["type"] == "thinking" and (block.get("signature") or "").startswith(_BUNDLE)
        for message in messages
        if isinstance(message["content"], list)
        for block in message["content"]
    )


def seal_of(private: Private | None) -> Seal:
    """The seal in an item's private data; an empty one for every other provider's."""
    if private is None or private.provider != DIALECT:
        return _UNSEALED
    blocks: Sequence[JsonObject] = private.data.get(_BLOCKS) or ()
    if all(block["type"] == "redacted_thinking" for block in blocks):
        return Seal(redacted=tuple(blocks))
    if len(blocks) == 1:
        return Seal(blocks[0]["signature"])
    return Seal(_BUNDLE + b64encode(orjson.dumps(blocks)).decode())


def thinking_text(item: JsonObject) -> str:
    """The text of a reasoning item: its summary, then what there is of the reasoning itself."""
    parts = [*(item.get("summary") or ()), *(item.get("content") or ())]
    return BETWEEN.join(part["text"] for part in parts if part["text"])


def thinking_blocks(item: JsonObject, private: Private | None, shown: Shown) -> Iterator[JsonObject]:
    """The blocks of a reasoning item; none if it says nothing, or is not to be shown."""
    if shown == "nothing":
        return
    seal = seal_of(private)
    text = thinking_text(item) if shown == "text" else ""
    if text or seal.signature:
        yield {"type": "thinking", "thinking": text, "signature": seal.signature}
    yield from seal.redacted


def reasoning_of(blocks: Sequence[JsonObject]) -> tuple[JsonObject, Private | None]:
    """Checked blocks that follow each other, as one item; private data only if any of them is signed or sealed."""
    whole = [inner for block in blocks for inner in _unbundled(block)]
    texts = [block["thinking"] for block in blocks if block["type"] == "thinking" and block["thinking"]]
    item: JsonObject = {"type": "reasoning", "summary": [{"type": "summary_text", "text": text} for text in texts]}
    kept = [block for block in whole if block["type"] == "redacted_thinking" or block["signature"]]
    return item, Private(DIALECT, _NO_ACCOUNT, {_BLOCKS: kept}) if kept else None


def _unbundled(block: JsonObject) -> Iterable[JsonObject]:
    """The blocks in a block; nothing of a bundle that was altered, which nobody could verify."""
    if block["type"] != "thinking" or not block["signature"].startswith(_BUNDLE):
        return [block]
    try:
        bundled: Any = orjson.loads(b64decode(block["signature"][len(_BUNDLE) :], validate=True))
        return [THINKING_BLOCK.check(inner) for inner in bundled] if isinstance(bundled, list) else ()
    except (Base64Error, ValueError, Flaw):
        return ()
