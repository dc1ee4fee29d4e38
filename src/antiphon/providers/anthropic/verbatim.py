"""
A client's own Messages body, for this upstream.

It goes up as it stands, unknown fields and the client's own cache marks included; no further marks are set. Only what
belongs to where the request goes is written here: the model's name and, at the clouds, what they want elsewhere. Where
a quirk asks for other words the request goes the hub's way, which knows what to do or what to refuse.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from antiphon.hub.items import JsonObject
from antiphon.hub.turn import ModelCall
from antiphon.providers.anthropic.body import Encoded
from antiphon.providers.anthropic.quirks import Quirks

__all__ = ["encode_verbatim"]

_THINKING: Final = frozenset({"thinking", "redacted_thinking"})
# The way of asking for thinking that a quirk leaves.
_ASKED_BY: Final = {"budget": "enabled", "adaptive": "adaptive"}


def encode_verbatim(call: ModelCall, quirks: Quirks) -> Encoded | None:
    """The body of a call in its client's own words; None if there are none, or if this upstream needs others."""
    given = call.verbatim
    if given is None or not quirks.verbatim or _needs_other_words(given, call.model, quirks):
        return None
    body = {**given, "model": call.model}
    if given.get("stream"):
        body["stream"] = call.stream
    if quirks.host == "anthropic":
        return Encoded(body=body, not_applied=())
    body.pop("stream", None)  # said in the path, or by the host's own rule
    tier = body.pop("service_tier", None)  # Anthropic's own alone
    return Encoded(body=body, not_applied=() if tier in (None, "auto") else ("service_tier",))


def _needs_other_words(body: JsonObject, model: str, quirks: Quirks) -> bool:
    return (
        _has_unsigned_thoughts(body)
        or _says_late_what_goes_first(body, model, quirks)
        or _thinks_otherwise(body, quirks)
        or _samples_otherwise(body, quirks)
        or (quirks.structured_outputs is False and _wants_structure(body))
        or not _forbidden(quirks).isdisjoint(block["type"] for block in _blocks(body["messages"]))
    )


def _has_unsigned_thoughts(body: JsonObject) -> bool:
    """Thoughts of another provider's model: an upstream that verifies signatures refuses them."""
    return any(block["type"] == "thinking" and not block.get("signature") for block in _blocks(body["messages"]))


def _says_late_what_goes_first(body: JsonObject, model: str, quirks: Quirks) -> bool:
    if all(message["role"] != "system" for message in body["messages"]):
        return False
    return not quirks.family(model).late_system


def _thinks_otherwise(body: JsonObject, quirks: Quirks) -> bool:
    kind = (body.get("thinking") or {}).get("type", "disabled")
    return quirks.thinking != "by_model" and kind not in ("disabled", _ASKED_BY.get(quirks.thinking))


def _samples_otherwise(body: JsonObject, quirks: Quirks) -> bool:
    given = sum(body.get(name) is not None for name in ("temperature", "top_p"))
    return given > {"none": 0, "one": 1}.get(quirks.sampling, 2)


def _wants_structure(body: JsonObject) -> bool:
    asked = (body.get("output_config") or {}).get("format") or body.get("output_format")
    return bool(asked) or any(tool.get("strict") for tool in body.get("tools") or ())


def _forbidden(quirks: Quirks) -> frozenset[str]:
    """The types of blocks that do not go to this upstream."""
    images = frozenset() if quirks.images else frozenset({"image"})
    documents = frozenset() if quirks.documents else frozenset({"document", "search_result"})
    return images | documents | (_THINKING if quirks.replay_thinking == "never" else frozenset())


def _blocks(holders: Iterable[JsonObject]) -> Iterator[JsonObject]:
    """All blocks, those in results of tools included."""
    for holder in holders:
        content: Any = holder.get("content")
        if isinstance(content, list):
            yield from content
            yield from _blocks(block for block in content if block["type"] == "tool_result")
