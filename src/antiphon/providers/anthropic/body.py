"""A call as the body of a request, put together of what the other modules write."""

from __future__ import annotations

import msgspec

from antiphon.hub.handover import hand_over
from antiphon.hub.items import JsonObject
from antiphon.hub.turn import ModelCall
from antiphon.providers.anthropic.caching import mark_stable_prefix
from antiphon.providers.anthropic.content import text_block
from antiphon.providers.anthropic.families import Family
from antiphon.providers.anthropic.parameters import (
    JSON_INSTRUCTION,
    asks_for_json,
    encode_format,
    encode_settings,
    max_tokens_of,
    not_applied,
)
from antiphon.providers.anthropic.quirks import Quirks
from antiphon.providers.anthropic.thinking import ask_for_thinking
from antiphon.providers.anthropic.tool_choice import Offer, offer_tools
from antiphon.providers.anthropic.tools import read_tools
from antiphon.providers.anthropic.transcript import Transcript, encode_transcript

__all__ = ["Encoded", "encode_body"]


class Encoded(msgspec.Struct, frozen=True, kw_only=True):
    """A body as Anthropic takes it, and what of the client's request is not in it."""

    body: JsonObject
    not_applied: tuple[str, ...]


def encode_body(call: ModelCall, quirks: Quirks) -> Encoded:
    """
    Write a call.

    Raises:
        UnsupportedParameter: Something that the call asks for cannot be said; names it.
        InvalidRequest: A tool output without its call, a call without its output, or a choice of a tool that is not
            there.
    """
    request, family = call.request, quirks.family(call.model)
    handover = hand_over(call)
    call = handover.call
    toolbox = read_tools(call, quirks)
    offer = offer_tools(toolbox, request, family)
    transcript = encode_transcript(call, quirks, toolbox)
    max_tokens = max_tokens_of(request, family)
    thinking = _thinking(call, family, offer, max_tokens)
    text_format = encode_format(request, family, quirks)
    if text_format is not None:
        thinking["output_config"] = {**thinking.get("output_config", {}), "format": text_format}
    thinks = thinking.get("thinking", {}).get("type") in ("enabled", "adaptive")
    body: JsonObject = {"model": call.model, "max_tokens": max_tokens}
    if asks_for_json(request):
        transcript.system.append(text_block(JSON_INSTRUCTION))
    if transcript.system:
        body["system"] = transcript.system
    body["messages"] = transcript.messages
    body |= offer.fields or _past_tools(transcript)
    body |= thinking
    body |= encode_settings(request, family, quirks, thinks=thinks)
    mark_stable_prefix(body, transcript, quirks)
    left_out = [
        *handover.not_applied,
        *toolbox.not_applied,
        *transcript.not_applied,
        *not_applied(request, family, quirks),
    ]
    return Encoded(body=body, not_applied=tuple(dict.fromkeys(left_out)))


def _thinking(call: ModelCall, family: Family, offer: Offer, max_tokens: int) -> JsonObject:
    """What is said of thinking. It does not go with a call that is forced: who thinks unasked is told not to."""
    if offer.is_forced:
        return {"thinking": {"type": "disabled"}} if family.thinks_unasked and family.thinking == "adaptive" else {}
    return ask_for_thinking(call.request, family, max_tokens)


def _past_tools(transcript: Transcript) -> JsonObject:
    """
    Declarations of tools that were called and are not offered any more.

    The API wants tools to be declared where the messages have calls of them. A turn need not repeat the tools of the
    turns before it, so they are declared by name, and may not be called.
    """
    if not transcript.called:
        return {}
    tools = [{"name": name, "input_schema": {"type": "object"}} for name in transcript.called]
    return {"tools": tools, "tool_choice": {"type": "none"}}
