"""
Thought signatures: what Gemini wants back on the very part that it came on.

A signature is opaque and goes back byte for byte, and only to the account that gave it. It is kept beside the item that
its part became: with a call as it is; with a message by the piece of the text that was signed, because the pieces of a
stream become one text here and a signed part must not be merged with others; with reasoning as the whole part.
"""

from __future__ import annotations

from collections.abc import Iterator

from antiphon.hub.items import Item, JsonObject, Private

__all__ = [
    "DIALECT",
    "SKIP_VALIDATION",
    "SignedText",
    "call_signature",
    "private_call",
    "private_parts",
    "sealed_parts",
    "signed_text_parts",
]

DIALECT = "gemini"

# The vendor's word for a call that one of its models did not make: the check of that step is skipped.
SKIP_VALIDATION = "skip_thought_signature_validator"

_CALL, _TEXT, _PARTS = "signature", "signed_text", "parts"


class SignedText:
    """Remembers which pieces of a message's text were signed, while the message grows."""

    def __init__(self) -> None:
        self._length = 0
        self._signed: list[JsonObject] = []

    def feed(self, text: str, signature: str | None) -> bool:
        """Take the next piece. Returns whether there is something new to be kept."""
        start = self._length
        self._length += len(text)
        if signature:
            self._signed.append({"start": start, "end": self._length, "signature": signature})
        return bool(signature)

    def private(self, account: str) -> Private:
        """What belongs to the message so far."""
        return Private(provider=DIALECT, account=account, data={_TEXT: list(self._signed)})


def private_call(signature: str | None, account: str) -> Private | None:
    """What belongs to a call; None for one that is not signed."""
    return Private(provider=DIALECT, account=account, data={_CALL: signature}) if signature else None


def private_parts(parts: list[JsonObject], account: str) -> Private:
    """What belongs to a reasoning item: the signed parts that it was made of."""
    return Private(provider=DIALECT, account=account, data={_PARTS: list(parts)})


def call_signature(item: Item, account: str) -> str | None:
    """The signature of a call that *account* made."""
    signature: str | None = _own(item, account).get(_CALL)
    return signature


def sealed_parts(item: Item, account: str) -> list[JsonObject]:
    """The parts that a reasoning item of *account* goes back as; none for anybody else's."""
    parts: list[JsonObject] = _own(item, account).get(_PARTS, [])
    return parts


def signed_text_parts(item: Item, text: str, account: str) -> list[JsonObject]:
    """The parts that a message's text goes back as: the signed pieces each in a part of its own."""
    return [part for part in _pieces(text, _own(item, account).get(_TEXT, [])) if part["text"] or len(part) > 1]


def _pieces(text: str, signed: list[JsonObject]) -> Iterator[JsonObject]:
    end = 0
    for piece in signed:
        yield {"text": text[end : piece["start"]]}
        yield {"text": text[piece["start"] : piece["end"]], "thoughtSignature": piece["signature"]}
        end = piece["end"]
    yield {"text": text[end:]}


def _own(item: Item, account: str) -> JsonObject:
    private = item.private
    if private is None or (private.provider, private.account) != (DIALECT, account):
        return {}
    return private.data
