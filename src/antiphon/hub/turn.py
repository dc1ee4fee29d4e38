"""
A turn's request, decoded: what a client asked for, in the hub's words and without any dialect.

Formats make these; nothing downstream looks at the client's bytes again. Every field is the API's own
(``POST /v1/responses``); null and absent mean the same and arrive here as the default.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from antiphon.hub.items import Item, JsonObject, has_type
from antiphon.hub.origin import Origin

__all__ = ["ModelCall", "OnDisconnect", "TurnRequest"]

OnDisconnect = Literal["cancel", "continue"]


class TurnRequest(msgspec.Struct, frozen=True, kw_only=True):
    """
    One decoded request.

    Attributes:
        input: Input items in order, in their full form (an easy message or a string has become a ``message`` item
            with content parts). An item has an ``id`` only if the client sent one. ``item_reference`` items are kept
            as such until the sessions layer resolves them.
        conversation: The id alone, whichever form the client used.
        generate: False for a turn that only keeps its input, so that a later one can continue from it (WebSocket only).
        compacts: The turn's only output is a compaction item that stands for all of its context.
        context_management: ``{"type": "compaction", "compact_threshold": ...}`` entries.
        text: ``{"format": {...}, "verbosity": ...}``, defaults filled in.
        reasoning: ``{"effort": ..., "summary": ..., ...}``; only what the client sent.
        prompt: ``{"id", "version"?, "variables"?}`` of a stored prompt. It stands for nothing until
            :func:`~antiphon.hub.prompt.apply_prompt` has filled in what it says; *model* may be empty until then.
        given: With a prompt, the names of the fields that the client set itself; empty without.
        tools: As sent, with the API's defaults filled in (``description``, ``parameters``). ``strict`` is None where
            the client left it out: the response echoes the API's default, true, but an upstream that takes strictness
            at its word would refuse most schemas that were not written for it.
        stop: Texts at which the model is to stop; not said itself. No field of the API's own: other dialects have it.
        unknown: Fields of a Responses body that its format does not know, as they came. Only an upstream that speaks
            the Responses API itself may be told; no other is asked.
        not_applied: Accepted fields that have no effect with this upstream, by name; reported in a header.
        drop: What may be left out for an upstream that cannot be told of it, by the names of
            :mod:`antiphon.engine.droppable`.
        origin: Stored with the response so that the dialect that it was asked for in can show it; None if there is
            nothing to be kept, or it is a request of the Responses API.
    """

    model: str
    input: tuple[JsonObject, ...] = ()
    instructions: str | None = None
    previous_response_id: str | None = None
    conversation: str | None = None
    prompt: JsonObject | None = None
    given: frozenset[str] = frozenset()
    store: bool = True
    background: bool = False
    stream: bool = False
    generate: bool = True
    compacts: bool = False
    include: frozenset[str] = frozenset()
    include_obfuscation: bool = True
    tools: tuple[JsonObject, ...] = ()
    tool_choice: str | JsonObject = "auto"
    parallel_tool_calls: bool = True
    max_tool_calls: int | None = None
    max_output_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    stop: tuple[str, ...] = ()
    top_logprobs: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    text: JsonObject = msgspec.field(default_factory=lambda: {"format": {"type": "text"}, "verbosity": "medium"})
    reasoning: JsonObject = msgspec.field(default_factory=dict)
    truncation: str = "disabled"
    context_management: tuple[JsonObject, ...] = ()
    metadata: dict[str, str] = msgspec.field(default_factory=dict)
    service_tier: str | None = None
    user: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    prompt_cache_retention: str | None = None
    unknown: JsonObject = msgspec.field(default_factory=dict)
    not_applied: tuple[str, ...] = ()
    drop: frozenset[str] = frozenset()
    origin: Origin | None = None


class ModelCall(msgspec.Struct, frozen=True, kw_only=True):
    """
    One question to one model: what a provider turns into an upstream request.

    Attributes:
        model: The upstream's own name of the model.
        account: The configured name of the upstream; private item data goes back only where it came from.
        items: The whole context, oldest first: history, then the turn's own input.
        input_start: How many of *items* are history. Negative where the beginning of the input was left out as well,
            so that ``index - input_start`` is an item's place in the client's input in every case.
        request: The client's settings.
        stream: Whether to ask for a stream. Independent of what the client gets.
        cache_key: The same for all calls of one log, and tells nothing of it; for an upstream that finds by such a key
            what it has cached. None if the client gave one of its own, or there is no log.
        verbatim: The client's own body, where the client speaks the upstream's dialect and nothing was changed on the
            way. A provider may write that instead of what it would make of the rest; it says the same and more.
    """

    model: str
    account: str
    items: tuple[Item, ...]
    input_start: int
    request: TurnRequest
    stream: bool
    cache_key: str | None = None
    verbatim: JsonObject | None = None

    @property
    def tools(self) -> tuple[JsonObject, ...]:
        """All that is offered: by the request, then by items of the context. Of two namesakes the later one."""
        if not has_type(self.items, "additional_tools"):
            return self.request.tools
        added = [tool for item in self.items if item.type == "additional_tools" for tool in item.body["tools"]]
        tools = [*self.request.tools, *added]
        return tuple({(tool["type"], tool.get("name", place)): tool for place, tool in enumerate(tools)}.values())

    @property
    def loop_start(self) -> int:
        """The place of the user's last message; 0 without one. What stands behind it are the steps of one answer."""
        for index in range(len(self.items) - 1, -1, -1):
            item = self.items[index]
            if item.type == "message" and item.body["role"] == "user":
                return index
        return 0
