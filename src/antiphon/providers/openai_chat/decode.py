"""
Chat completions replies, as events of items and parts. No I/O.

A reply is whole when both ``data: [DONE]`` and a ``finish_reason`` were seen (or the latter alone, where the upstream
is known not to send the former). Anything else is a broken reply, never a short one.

What this dialect lacks is made up here: items that open and close (:class:`antiphon.streams.assembler.Assembler`),
ids, and which piece belongs to which call where the server does not say (:mod:`.tool_calls`). The wire's types are in
:mod:`.reply`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final, Literal

import msgspec

from antiphon.hub.errors import UpstreamBroken, UpstreamError, UpstreamUnavailable
from antiphon.hub.ids import Family, IdFactory
from antiphon.hub.items import JsonObject, Private
from antiphon.hub.redaction import clean_text
from antiphon.hub.upstream import Hear, ReplyEvent
from antiphon.hub.usage import Usage
from antiphon.providers.openai_chat.reasoning import DIALECT
from antiphon.providers.openai_chat.reasoning_details import ReasoningDetails, visible_text
from antiphon.providers.openai_chat.reply import (
    Choice,
    Chunk,
    Delta,
    TokenUsage,
    ToolCall,
    decode_chunk,
    keepable,
    read_annotation,
    read_logprobs,
    read_usage,
)
from antiphon.providers.openai_chat.stream_error import translate_stream_error
from antiphon.providers.openai_chat.tool_calls import ToolCalls
from antiphon.streams.assembler import Assembler
from antiphon.streams.sse import DEFAULT_MAX_EVENT_BYTES, SseParser
from antiphon.streams.stream_decoder import StreamDecoder

__all__ = ["ChatReplyDecoder"]

_Outcome = tuple[Literal["completed", "incomplete"], str | None]
_COMPLETED: Final[_Outcome] = ("completed", None)
_CUT_SHORT: Final[_Outcome] = ("incomplete", "max_output_tokens")
_FILTERED: Final[_Outcome] = ("incomplete", "content_filter")

# What a finish_reason means, in lower case. Those that are not OpenAI's own name who says them.
_OUTCOMES: Mapping[str, _Outcome] = {
    "stop": _COMPLETED,
    "tool_calls": _COMPLETED,
    "function_call": _COMPLETED,
    "eos": _COMPLETED,  # Together
    "eos_token": _COMPLETED,  # TGI
    "stop_sequence": _COMPLETED,  # TGI
    "end_turn": _COMPLETED,  # Anthropic behind thin proxies
    "tool_use": _COMPLETED,
    "length": _CUT_SHORT,
    "max_tokens": _CUT_SHORT,
    "model_length": _CUT_SHORT,  # Mistral
    "model_context_window_exceeded": _CUT_SHORT,  # Z.ai, which cuts where others refuse
    "content_filter": _FILTERED,
    "safety": _FILTERED,  # Gemini behind thin proxies
    "sensitive": _FILTERED,  # Zhipu
}
# The server gave up: DeepSeek, Zhipu.
_OVERLOADED = frozenset({"insufficient_system_resource", "network_error"})

# The API's tiers. A vendor's own (Groq's "on_demand") is not one of them, and clients refuse it.
_SERVICE_TIERS = frozenset({"default", "flex", "scale", "priority", "fast", "ultrafast"})

# How much of a word that nobody knows is shown.
_SHOWN_CHARS = 64

_THINKING_PART: Final = "thinking"
_TEXT_REASONING_FIELDS = ("reasoning_content", "reasoning", "reasoning_text")
_NO_NAMESPACES: Mapping[str, tuple[str, str]] = MappingProxyType({})


class ChatReplyDecoder(StreamDecoder):
    """
    The :class:`~antiphon.hub.upstream.ReplyDecoder` of chat completions.

    Args:
        ids: Mints the ids of items and calls.
        family: The family of the items.
        account: The configured name of the upstream: to whom private data goes back, and who is named in errors.
        custom_tools: The upstream's names of custom tools that were offered as functions; calls of them are unwrapped.
        namespaces: The upstream's names of tools in a namespace, with the namespace and the name that each stands for.
        allowed_tools: The upstream's names of the only tools that may be called; None for any.
        stop: The texts at which the model was to stop.
        stream_end: ``finish_reason`` for an upstream that never sends ``[DONE]``.
        max_event_bytes: The longest event of a stream.
    """

    def __init__(
        self,
        ids: IdFactory,
        family: Family,
        account: str,
        *,
        custom_tools: frozenset[str] = frozenset(),
        namespaces: Mapping[str, tuple[str, str]] = _NO_NAMESPACES,
        allowed_tools: frozenset[str] | None = None,
        stop: tuple[str, ...] = (),
        stream_end: Literal["done", "finish_reason"] = "done",
        max_event_bytes: int = DEFAULT_MAX_EVENT_BYTES,
    ) -> None:
        super().__init__()
        self._account = account
        self._stream_end = stream_end
        self._stop = stop
        self._sse = SseParser(max_event_bytes=max_event_bytes)
        self._assembler = Assembler(ids, family)
        self._calls = ToolCalls(self._assembler, custom_tools, namespaces, allowed_tools)
        self._details = ReasoningDetails()
        self._fields: dict[str, Private] = {}
        self._held_logprobs: tuple[JsonObject, ...] = ()
        self._outcome: _Outcome | None = None
        self._stop_sequence: str | None = None
        self._usage: TokenUsage | None = None
        self._model: str | None = None
        self._service_tier: str | None = None
        self._hear: Hear | None = None

    def overhear(self, hear: Hear) -> None:
        """See :class:`antiphon.hub.upstream.Overheard`."""
        self._hear = hear
        self._calls.keep_ids()

    @property
    def usage(self) -> Usage | None:
        """See :class:`antiphon.hub.upstream.Metered`. Some servers count in every chunk; most only in the last one."""
        return None if self._usage is None else read_usage(self._usage)

    def _read(self, block: bytes) -> None:
        for name, data in self._sse.feed(block):
            if name == "message" and data[:1] == b"{":
                chunk = decode_chunk(data)
                text = self._plain_text(chunk)
                if text is not None:
                    self._assembler.text(text)
                    if self._hear is not None:
                        self._hear(data, ends=self._outcome is not None)
                else:
                    self._take(chunk, data)
            elif self._take_mark(name, data):
                break

    def _read_end(self) -> None:
        # Some proxies drop the blank line after the last event.
        for name, data in self._sse.pending():
            if name == "message" and data[:1] == b"{" and self._stream_end == "finish_reason":
                self._take(decode_chunk(data), data)
            elif data.strip() == b"[DONE]":
                self._end()
        if not self._ended:
            if self._stream_end == "done":
                raise UpstreamBroken(f"The stream of upstream '{self._account}' ended without its 'data: [DONE]'.")
            self._end()

    def _made(self) -> Sequence[ReplyEvent]:
        return self._assembler.take()

    def whole(self, body: bytes) -> Sequence[ReplyEvent]:
        chunk = decode_chunk(body)
        for choice in chunk.choices or ():
            choice.delta = choice.message
            _number_calls(choice.message)
        self._take(chunk, body)
        if not chunk.choices or chunk.choices[0].message is None:
            missing = "message" if chunk.choices else "choices"
            raise UpstreamBroken(f"The reply of upstream '{self._account}' has no {missing}.")
        self._end()
        return self._assembler.take()

    # Events.

    def _plain_text(self, chunk: Chunk) -> str | None:
        """
        The text of a chunk that says nothing else, while a text is open; None for every other chunk.

        The fast path: what it takes, :meth:`_take` would take the same way.
        """
        choices = chunk.choices
        if self._assembler.open_item != "message" or not choices or len(choices) != 1:
            return None
        choice = choices[0]
        delta = choice.delta
        if delta is None or choice.index or choice.finish_reason or choice.logprobs or choice.error or chunk.error:
            return None
        if chunk.usage is not None or chunk.service_tier or chunk.x_groq is not None or chunk.model != self._model:
            return None
        content = delta.content
        return content if type(content) is str and content and delta == Delta(content=content) else None

    def _take_mark(self, name: str, data: bytes) -> bool:
        """Take an event that is no chunk. Returns whether it is the end."""
        stripped = data.strip()
        if stripped == b"[DONE]":
            self._end()
            return True
        if not stripped:
            return False
        if name == "error":
            raise self._error(_document(data))
        self._take(decode_chunk(data), data)
        return False

    def _take(self, chunk: Chunk, data: bytes) -> None:
        if chunk.error:
            raise self._error(chunk.error)
        if chunk.model:
            self._model = chunk.model
        if chunk.usage is not None:
            self._usage = chunk.usage
        if chunk.service_tier in _SERVICE_TIERS:
            self._service_tier = chunk.service_tier
        if chunk.x_groq is not None:
            if chunk.x_groq.error:
                raise self._error(chunk.x_groq.error)
            self._usage = chunk.x_groq.usage or self._usage
        if chunk.choices:
            self._take_choices(chunk.choices)
        elif chunk.choices is None:
            self._check_no_error(data)
        if self._hear is not None:
            self._hear(data, ends=self._outcome is not None)

    def _check_no_error(self, data: bytes) -> None:
        """No chunk and no completion: vLLM and SGLang send an error as the document itself. The rest is harmless."""
        document = _document(data)
        if isinstance(document, dict) and document.get("object") == "error":
            raise self._error(document)

    def _take_choices(self, choices: list[Choice]) -> None:
        choice = choices[0]
        if len(choices) != 1 or choice.index:
            raise UpstreamBroken(f"Upstream '{self._account}' sent several choices where one was asked for.")
        if choice.error:
            raise self._error(choice.error)
        delta = choice.delta
        if delta is None and self._assembler.open_item is None:
            # Proxies that fake a stream send the message in one piece. Behind its pieces it would be said twice.
            delta = choice.message
            _number_calls(delta)
        if delta is not None:
            logprobs = () if choice.logprobs is None else self._logprobs_of(choice, delta)
            self._take_delta(delta, logprobs)
        if choice.finish_reason:
            self._outcome = self._outcome_of(choice.finish_reason)
            # Servers that say at which text they stopped say so of the model's own end marks too.
            said = choice.stop_reason or choice.matched_stop
            self._stop_sequence = next((text for text in self._stop if text == said), None)

    def _take_delta(self, delta: Delta, logprobs: tuple[JsonObject, ...]) -> None:
        if delta.reasoning_content or delta.reasoning or delta.reasoning_text or delta.reasoning_details:
            self._take_reasoning(delta)
        content = delta.content
        if content:
            if isinstance(content, str):
                self._text(content, logprobs)
            else:
                self._take_parts(content, logprobs)
        if delta.refusal:
            self._leave_for_message()
            self._assembler.refusal(delta.refusal)
        for annotation in delta.annotations or ():
            self._leave_for_message()
            self._assembler.annotation(read_annotation(annotation))
        if delta.tool_calls:
            self._take_calls(delta.tool_calls)
        if delta.function_call is not None:
            self._take_calls([ToolCall(index=0, function=delta.function_call)])

    # Content.

    def _text(self, text: str, logprobs: tuple[JsonObject, ...]) -> None:
        if self._assembler.open_item != "message":
            self._leave()
        self._assembler.text(text, logprobs)

    def _take_parts(self, parts: list[JsonObject], logprobs: tuple[JsonObject, ...]) -> None:
        """Mistral's typed content."""
        for part in parts:
            match part.get("type"):
                case "text":
                    text = _string(part.get("text"))
                    if text:
                        self._text(text, logprobs)
                        logprobs = ()
                case "thinking":
                    self._reason(_thinking_text(part.get("thinking")), _THINKING_PART)
                case "reference":
                    pass  # numbers of the request's documents; the text that cites them is in the parts beside it
                case other:
                    named = clean_text(str(other)[:_SHOWN_CHARS])
                    raise UpstreamBroken(f"Upstream '{self._account}' sent content of the unknown type '{named}'.")

    def _logprobs_of(self, choice: Choice, delta: Delta) -> tuple[JsonObject, ...]:
        """
        The probabilities that belong to a delta's text.

        A token that is only a part of a character comes with empty text (vLLM): it waits for the rest. Those beside
        reasoning or a call are of tokens that no text shows, and the Responses API has no place for them.
        """
        if choice.logprobs is None or not choice.logprobs.content or delta.content is None:
            return ()
        logprobs = self._held_logprobs + read_logprobs(choice.logprobs.content)
        self._held_logprobs = () if delta.content else logprobs
        return logprobs if delta.content else ()

    # Reasoning.

    def _take_reasoning(self, delta: Delta) -> None:
        """One of the fields that say the same: servers send two of them for the sake of older clients."""
        shown = False
        for detail in delta.reasoning_details or ():
            self._details.feed(detail)
            text = visible_text(detail)
            if text and detail["type"] == "reasoning.summary":
                self._leave_calls()
                self._assembler.reasoning_summary(text)
            elif text:
                self._reason(text, None)
            shown = shown or bool(text)
        if shown:
            return
        for field in _TEXT_REASONING_FIELDS:
            text = getattr(delta, field)
            if text:
                self._reason(text, field)
                return

    def _reason(self, text: str, field: str | None) -> None:
        """Raw reasoning that came in *field*; None where the details say how it goes back."""
        if not text:
            return
        self._leave_calls()
        self._assembler.reasoning_text(text, None if field is None else self._private_of(field))

    def _private_of(self, field: str) -> Private:
        private = self._fields.get(field)
        if private is None:
            data: JsonObject = {"field": field}
            if field == _THINKING_PART:
                # It has no field of its own that a plain text could go back in.
                data = {"field": None, "content_part": field}
            private = self._fields[field] = self._private(data)
        return private

    def _private(self, data: JsonObject) -> Private:
        return Private(provider=DIALECT, account=self._account, data=keepable(data))

    # Calls.

    def _take_calls(self, pieces: list[ToolCall]) -> None:
        for piece in pieces:
            if self._details and not self._calls.continues(piece):
                self._leave()
            extra = piece.extra_content
            self._calls.feed(piece, None if extra is None else self._private({"extra_content": extra}))

    # Leaving one item for another.

    def _leave(self) -> None:
        """Another item than reasoning begins: say what was held back for the item that is left."""
        self._calls.close()
        if self._details:
            # The text can also go back in the plain field, which stands for it in every one of OpenRouter's replies.
            data: JsonObject = {"field": "reasoning", "reasoning_details": self._details.take()}
            self._assembler.reasoning_private(self._private(data))

    def _leave_for_message(self) -> None:
        if self._assembler.open_item != "message":
            self._leave()

    def _leave_calls(self) -> None:
        if self._assembler.open_item != "reasoning":
            self._calls.close()

    # The end.

    def _outcome_of(self, finish_reason: str) -> _Outcome:
        reason = finish_reason.lower()
        if reason in _OVERLOADED:
            raise UpstreamUnavailable(f"Upstream '{self._account}' gave up: {reason}.")
        outcome = _OUTCOMES.get(reason)
        if outcome is None:
            named = clean_text(finish_reason[:_SHOWN_CHARS])
            raise UpstreamBroken(f"Upstream '{self._account}' ended its reply with finish_reason '{named}'.")
        return outcome

    def _end(self) -> None:
        if self._outcome is None:
            raise UpstreamBroken(f"The reply of upstream '{self._account}' ended without a finish_reason.")
        self._leave()
        status, reason = self._outcome
        self._assembler.end(
            status=status,
            incomplete_reason=reason,
            usage=None if self._usage is None else read_usage(self._usage),
            model=self._model,
            service_tier=self._service_tier,
            stop_sequence=self._stop_sequence,
        )
        self._ended = True

    def _error(self, error: object) -> UpstreamError:
        return translate_stream_error(error, upstream=self._account)


def _number_calls(message: Delta | None) -> None:
    """The calls of a whole message are whole: none goes on with another, whatever their ids."""
    for index, call in enumerate((message and message.tool_calls) or ()):
        call.index = index


def _thinking_text(thinking: object) -> str:
    """The text of a thinking part: a list of parts, or the text itself."""
    if isinstance(thinking, list):
        return "".join(_string(part.get("text")) for part in thinking if isinstance(part, dict))
    return _string(thinking)


def _string(value: object) -> str:
    if value is not None and not isinstance(value, str):
        raise UpstreamBroken("The upstream sent content whose text is not a string.")
    return value or ""


def _document(data: bytes) -> object:
    """The error in an event that is one as a whole: an object, with or without an envelope, or else its text."""
    try:
        document = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return data.decode(errors="replace")
    return document.get("error") or document if isinstance(document, dict) else document
