"""
``POST /v1/completions``: the API from before there was chat.

The prompt is asked as one message of the user, and what the model says to it is the text. So a model that is made for
chat answers the prompt; it does not go on with it. What only a bare text model can do is refused by name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, ClassVar, Final, Literal

import orjson

from antiphon.formats.chat.answer import read_answer
from antiphon.formats.chat.answer_schemas import COMPLETION_ANSWERS
from antiphon.formats.chat.chunks import Chunks, TextTemplate
from antiphon.formats.chat.errors import CHAT_NAMES, ChatErrors
from antiphon.formats.chat.frames import KEEP_ALIVE, json_of
from antiphon.formats.chat.ids import TEXT_PREFIX, shown_id
from antiphon.formats.chat.limits import ignoring
from antiphon.formats.chat.settings import (
    LOGPROBS,
    SAMPLING,
    check_model,
    check_stream_options,
    refuse_biased,
    refuse_choices,
    sampling_of,
)
from antiphon.formats.chat.usage import chat_usage
from antiphon.formats.checks.common import MAX_TEXT, unsupported
from antiphon.formats.checks.flaw import Flaw
from antiphon.formats.checks.schema import Anything, Arr, Bool, ByType, Field, Int, Obj, Str
from antiphon.hub.events import (
    Event,
    LifecycleEvent,
    OtherEvent,
    OutputTextDelta,
    RefusalDelta,
    ResponseCompleted,
    ResponseCreated,
    ResponseFailed,
    ResponseIncomplete,
)
from antiphon.hub.format import NOTHING_PRIVATE, DialectTurn
from antiphon.hub.items import JsonObject, Private
from antiphon.hub.turn import TurnRequest

__all__ = ["FIELDS", "CompletionsFormat", "TextStreamEncoder"]

_OBJECT = "text_completion"
_NAMES: Mapping[str, str] = MappingProxyType(
    {**CHAT_NAMES, "input": "prompt", "max_output_tokens": "max_tokens", "messages": "prompt"}
)

_PROMPT = ByType(
    cases={str: Str(max_length=MAX_TEXT), list: Arr(item=Anything(), min_length=1)},
    expected="one of a string or array",
)

FIELDS: dict[str, Field] = {
    "model": Field(schema=Str(), required=True),
    "prompt": Field(schema=_PROMPT, required=True),
    "suffix": Field(schema=Str()),
    "max_tokens": Field(schema=Int(minimum=1), default=16),
    **{name: SAMPLING[name] for name in ("n", "stop", "temperature", "top_p", "presence_penalty")},
    "frequency_penalty": SAMPLING["frequency_penalty"],
    "logprobs": Field(schema=Int(minimum=0, maximum=5)),
    "echo": Field(schema=Bool(), default=False),
    "best_of": Field(schema=Int(minimum=1, maximum=20), default=1),
    **{name: SAMPLING[name] for name in ("logit_bias", "user", "seed", "stream", "stream_options")},
}

_REQUEST = Obj(fields=FIELDS)


class CompletionsFormat(ChatErrors):
    """
    The client dialect of text completions: implements :class:`~antiphon.hub.format.ClientDialect`. It has no state of
    its own; one instance serves everybody.

    Args:
        unknown_parameters: What to do with a field of the body that the API does not know. One that is ignored is named
            among those that were not applied.
    """

    dialect: Final = "openai_completions"
    keep_alive: Final = KEEP_ALIVE
    names: ClassVar[Mapping[str, str]] = _NAMES

    def __init__(self, *, unknown_parameters: Literal["reject", "ignore"] = "reject") -> None:
        self._ignores_unknown = unknown_parameters == "ignore"

    def decode(self, body: JsonObject) -> DialectTurn:
        return ignoring(body, FIELDS, self._decode) if self._ignores_unknown else self._decode(body)

    def _decode(self, body: JsonObject) -> DialectTurn:
        check_model(body)
        try:
            fields = _REQUEST.check(body)
        except Flaw as flaw:
            raise flaw.error() from None
        check_stream_options(fields)
        prompt = _one_text(fields["prompt"])
        _check_support(fields)
        return DialectTurn(
            request=_turn(fields, prompt),
            usage_in_stream=fields.get("stream_options", {}).get("include_usage", False),
        )

    def encode_response(
        self, response: JsonObject, turn: DialectTurn, *, private: Mapping[str, Private] = NOTHING_PRIVATE
    ) -> bytes:
        said = _said(response)
        logprobs = _logprobs(said["logprobs"], 0) if LOGPROBS in turn.request.include else None
        body = {
            "id": shown_id(response["id"], TEXT_PREFIX),
            "object": _OBJECT,
            "created": response["created_at"],
            "model": response["model"],
            "choices": [_choice(said["text"], logprobs=logprobs, finish_reason=_finish_reason(response))],
        }
        if response["usage"] is not None:
            body["usage"] = chat_usage(response["usage"])
        return orjson.dumps(body)

    def stream_encoder(self, turn: DialectTurn) -> TextStreamEncoder:
        return TextStreamEncoder(turn)

    def schemas(self) -> Mapping[str, JsonObject]:
        # Its requests stand with those of chat; see `published.py`.
        return COMPLETION_ANSWERS


class TextStreamEncoder:
    """
    One stream of ``text_completion`` chunks, for one reader, from its first event on.

    Args:
        turn: What was asked for: whether log probabilities, the usage and padding are wanted.
    """

    def __init__(self, turn: DialectTurn) -> None:
        self._wants_logprobs = LOGPROBS in turn.request.include
        self._chunks = Chunks(_OBJECT, TEXT_PREFIX, turn)
        self._template: TextTemplate | None = None
        self._length = 0  # of the text so far

    def encode(self, events: Iterable[Event | OtherEvent]) -> bytes:
        """Server-sent events; whole ones only. Many of the hub's events say nothing here."""
        return b"".join(self._encode(events))

    def encode_each(self, events: Iterable[Event | OtherEvent]) -> list[bytes]:
        """The JSON of each chunk alone, for a transport that has frames of its own."""
        return json_of(self._encode(events))

    def _encode(self, events: Iterable[Event | OtherEvent]) -> list[bytes]:
        for event in events:
            match event:
                case OutputTextDelta():
                    self._text(event.delta, event.logprobs)
                case RefusalDelta():
                    self._text(event.delta, ())
                case ResponseCreated():
                    self._chunks.begin(event.response)
                case ResponseCompleted() | ResponseIncomplete():
                    self._end(event)
                case ResponseFailed():
                    self._chunks.fail(event.response)
        return self._chunks.take()

    def _text(self, text: str, logprobs: tuple[JsonObject, ...]) -> None:
        if self._wants_logprobs and logprobs:
            shown = _logprobs(logprobs, self._length)
            self._chunks.add(_choice(text, logprobs=shown), said=(text, shown))
        elif text:
            if self._template is None:
                self._template = self._chunks.template(_choice(TextTemplate.PROBE))
            self._chunks.add_text(self._template, text)
        self._length += len(text)

    def _end(self, event: LifecycleEvent) -> None:
        self._chunks.add(_choice("", finish_reason=_finish_reason(event.response)))
        self._chunks.end(event.response)


def _one_text(prompt: str | list[Any]) -> str:
    """
    The text of a checked prompt.

    Raises:
        UnsupportedParameter: There are several prompts, or one of token ids.
    """
    if isinstance(prompt, str):
        return prompt
    if len(prompt) == 1 and isinstance(prompt[0], str):
        return prompt[0]
    remedy = "Send one request for each prompt." if isinstance(prompt[0], str) else "Send text, not token ids."
    raise unsupported("prompt", remedy)


def _check_support(fields: Mapping[str, Any]) -> None:
    refuse_choices(fields, "n")
    refuse_choices(fields, "best_of")
    refuse_biased(fields)
    if fields["echo"]:
        raise unsupported("echo", "Put the prompt before the answer yourself.")
    if fields.get("suffix"):
        raise unsupported("suffix", "Describe in the prompt what stands behind the gap.")


def _turn(fields: Mapping[str, Any], prompt: str) -> TurnRequest:
    part = {"type": "input_text", "text": prompt}
    return TurnRequest(
        model=fields["model"],
        input=({"type": "message", "role": "user", "status": "completed", "content": [part]},),
        store=False,
        include=frozenset({LOGPROBS}) if "logprobs" in fields else frozenset(),
        top_logprobs=fields.get("logprobs"),
        max_output_tokens=fields["max_tokens"],
        not_applied=("seed",) if "seed" in fields else (),
        **sampling_of(fields),
    )


def _said(response: JsonObject) -> JsonObject:
    """All text in its order, refusals too: there is no other place for what the model said."""
    parts = [part for item in response["output"] if item["type"] == "message" for part in item["content"]]
    text = "".join(part["text"] if part["type"] == "output_text" else part.get("refusal", "") for part in parts)
    return {"text": text, "logprobs": [entry for part in parts for entry in part.get("logprobs") or ()]}


def _finish_reason(response: JsonObject) -> str:
    return read_answer(response).finish_reason


def _choice(text: str, *, logprobs: JsonObject | None = None, finish_reason: str | None = None) -> JsonObject:
    return {"text": text, "index": 0, "logprobs": logprobs, "finish_reason": finish_reason}


def _logprobs(entries: Iterable[JsonObject], offset: int) -> JsonObject:
    """Log probabilities as columns; *offset* is the length of the text before them."""
    columns: dict[str, list[Any]] = {"tokens": [], "token_logprobs": [], "top_logprobs": [], "text_offset": []}
    for entry in entries:
        columns["tokens"].append(entry["token"])
        columns["token_logprobs"].append(entry["logprob"])
        columns["top_logprobs"].append({top["token"]: top["logprob"] for top in entry["top_logprobs"]})
        columns["text_offset"].append(offset)
        offset += len(entry["token"])
    return columns
