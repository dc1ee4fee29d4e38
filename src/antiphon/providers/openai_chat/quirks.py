"""
How a chat completions server deviates from the common ground, as data.

The defaults are what every server understands; a vendor is a handful of fields set otherwise in the configuration.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Literal

import msgspec

from antiphon.providers.openai_chat.fields import OPTIONAL_FIELDS

__all__ = ["Quirks", "read_quirks"]


class Quirks(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The deviations of one upstream."""

    max_tokens_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    """The field that limits the output. OpenAI's reasoning models take only ``max_completion_tokens``."""

    developer_role: Literal["system", "developer"] = "system"
    """The role under which a developer message is sent. Most chat templates know only ``system``."""

    named_tool_choice: Literal["only_tool", "native"] = "only_tool"
    """
    How one named tool is demanded. ``only_tool`` offers just that tool with ``tool_choice: "required"``, because
    several servers (llama.cpp among them) silently treat a named choice as ``auto``. ``native`` sends the name.
    """

    custom_tools: Literal["function", "native"] = "function"
    """
    How a free-form tool is offered. ``function`` wraps it as a function with one string property ``input``, a grammar
    goes into its description. ``native`` is OpenAI's ``{"type": "custom"}``.
    """

    files: bool = False
    """Whether a message may hold ``{"type": "file"}`` parts with the file's data."""

    images: bool = True
    """Whether a user message may hold ``{"type": "image_url"}`` parts."""

    tool_output_images: bool = False
    """Whether a tool message may hold images, and files where *files* is set. OpenAI's own API takes text only."""

    replay_reasoning: Literal["tool_loop", "always", "never"] = "tool_loop"
    """
    Which earlier reasoning goes back to the upstream: that of the current tool loop (everything after the last user
    message), all of it, or none. A request's ``reasoning.context`` chooses between the first two.
    """

    reasoning_field: Literal["reasoning_content", "reasoning", "thinking"] = "reasoning_content"
    """
    Where reasoning goes back that no upstream marked as its own: a field of the message, or Mistral's ``thinking`` part
    of its content. What came from this upstream goes back in the field in which it came.
    """

    missing_reasoning: Literal["leave_out", "blank"] = "leave_out"
    """
    What stands for the reasoning of a call that has none, such as one that another upstream made. DeepSeek and Moonshot
    refuse a call without reasoning when they think; ``blank`` gives them a space.
    """

    stream_usage: bool = True
    """Whether to ask for token counts at the end of a stream (``stream_options.include_usage``)."""

    stream_end: Literal["done", "finish_reason"] = "done"
    """What ends a stream: ``data: [DONE]``, or, where that is never sent, the chunk with a ``finish_reason``."""

    parallel_tool_calls: bool = True
    """Whether ``parallel_tool_calls: false`` may be sent. Where not, it is reported as not applied."""

    unsupported_tools: Literal["reject", "drop"] = "reject"
    """
    What happens to a tool of a type that chat does not know (``web_search``, ``mcp``, ...): the request is refused, or
    goes up without the tool, which is reported as not applied.
    """

    assistant_refusal: Literal["text", "field"] = "text"
    """
    Where an earlier refusal is replayed: as the assistant's text, which every chat template shows to the model, or in
    the message's ``refusal`` field, which only OpenAI reads.
    """

    tool_call_ids: Literal["as_is", "alphanumeric_9"] = "as_is"
    """Which tool call ids are taken: any, or only nine letters and digits (Mistral), made of ours by a hash."""

    counting: Literal["none", "completion"] = "none"
    """
    How input tokens are counted without a turn: estimated here, or by asking for a completion of one token and reading
    its usage. That is exact, and cheap where the server keeps a prompt for the question that follows.
    """

    cache_key: bool = False
    """
    Whether the upstream finds what it has cached by ``prompt_cache_key`` (OpenAI does). Then all calls of one log carry
    the same one, if the client gives none.
    """

    response_formats: tuple[Literal["json_object", "json_schema"], ...] = ("json_object", "json_schema")
    """The forms of JSON that can be asked for. A request for another one is refused."""

    no_effort: Literal["reasoning_effort", "thinking", "enable_thinking", "chat_template_kwargs"] = "reasoning_effort"
    """
    How ``reasoning.effort: none`` is said: as ``reasoning_effort: "none"``; as ``thinking: {"type": "disabled"}``
    (DeepSeek, Moonshot, Zhipu); as ``enable_thinking: false`` (Qwen's hosts), which vLLM and SGLang want within
    ``chat_template_kwargs``.
    """

    verbatim: bool = True
    """
    Whether a client that speaks this dialect may say what only the upstream knows: its request goes up as it came.
    Where not, unknown fields are refused, as at an upstream of another dialect.
    """

    rename: dict[str, str] = msgspec.field(default_factory=dict)
    """
    The upstream's own names of body fields. Of two that have the same one there, the first in this list is sent, and
    the other reported as not applied.
    """

    refuse: tuple[str, ...] = ()
    """Body fields that the upstream does not take and that change what the model says: a request for one is refused."""

    drop: tuple[str, ...] = ()
    """Body fields that the upstream refuses: never sent, and reported as not applied when a request asks for them."""


def read_quirks(options: Mapping[str, object]) -> Quirks:
    """
    The quirks that a configuration names.

    Raises:
        ValueError: A name is unknown (the message gives the nearest known one) or a value is of the wrong type.
    """
    for name in options:
        _require_known("quirk", name, Quirks.__struct_fields__)
    try:
        quirks = msgspec.convert(dict(options), Quirks)
    except msgspec.ValidationError as error:
        raise ValueError(f"Wrong value for a quirk: {error}") from error
    for what, fields in (("drop", quirks.drop), ("refuse", quirks.refuse), ("rename", quirks.rename)):
        for field in fields:
            _require_known(f"body field to {what}", field, OPTIONAL_FIELDS)
    return quirks


def _require_known(what: str, name: str, known: Iterable[str]) -> None:
    known = sorted(known)
    if name in known:
        return
    nearest = get_close_matches(name, known, n=1, cutoff=0.0)[0]
    raise ValueError(f"Unknown {what} '{name}'. Did you mean '{nearest}'?")
