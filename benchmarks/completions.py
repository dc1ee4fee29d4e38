"""
The bytes of a Chat Completions server's answers, made once each: whole completions, and streams event by event.

Sizes are those of OpenAI's API: about 0.6 KB for a short completion, a quarter of a KB for a streamed token.
"""

from __future__ import annotations

import functools

import orjson

__all__ = [
    "MODELS",
    "TEXT",
    "closing_events",
    "completion",
    "model_list",
    "opening_event",
    "stamped_event",
    "token_event",
]

MODELS = ("instant", "paced-50")

_IDENTITY = {
    "id": "chatcmpl-B9MHDbslfkBeAs8l4bebGdFOJ6PeG",
    "created": 1741570283,
    "system_fingerprint": "fp_44709d6fcb",
}
TEXT = (
    "The harbour was quiet when the first boats came in, and the gulls had not yet found them. "
    "Somebody on the quay counted the lanterns aloud, one for each boat that had gone out the night before."
)
_STAMP = "t=0000000000000000000;"  # nineteen digits hold the nanoseconds of three hundred years


def model_list() -> bytes:
    """The answer to ``GET /v1/models``."""
    models = [{"id": name, "object": "model", "created": 1741570283, "owned_by": "bench"} for name in MODELS]
    return orjson.dumps({"object": "list", "data": models})


@functools.cache
def completion(model: str) -> bytes:
    """A whole completion."""
    message: dict[str, object] = {"role": "assistant", "content": TEXT, "refusal": None, "annotations": []}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    body = _IDENTITY | {"object": "chat.completion", "model": model, "choices": [choice], "usage": _usage(43)}
    return orjson.dumps(body)


@functools.cache
def opening_event(model: str) -> bytes:
    """The first event of a stream, which names the role."""
    return _delta_event(model, {"role": "assistant", "content": "", "refusal": None})


@functools.cache
def token_event(model: str, number: int) -> bytes:
    """A streamed token; its text is a word with the space before it."""
    words = TEXT.split()
    return _delta_event(model, {"content": " " + words[number % len(words)]})


@functools.cache
def stamped_event(model: str) -> tuple[bytes, bytes]:
    """What stands before and after the nineteen digits in a token whose text is ``t=<nanoseconds>;``."""
    before, _, after = _delta_event(model, {"content": _STAMP}).partition(_STAMP[2:-1].encode())
    return before, after


@functools.cache
def closing_events(model: str, tokens: int) -> tuple[bytes, ...]:
    """The reason why the stream ends, the usage, and the sentinel."""
    usage = _IDENTITY | {"object": "chat.completion.chunk", "model": model, "choices": [], "usage": _usage(tokens)}
    return _delta_event(model, {}, "stop"), _event(orjson.dumps(usage)), _event(b"[DONE]")


def _delta_event(model: str, delta: dict[str, object], finish_reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
    body = _IDENTITY | {"object": "chat.completion.chunk", "model": model, "service_tier": "default"}
    return _event(orjson.dumps(body | {"choices": [choice], "usage": None}))


def _event(payload: bytes) -> bytes:
    return b"data: %b\n\n" % payload


def _usage(tokens: int) -> dict[str, object]:
    return {
        "prompt_tokens": 19,
        "completion_tokens": tokens,
        "total_tokens": 19 + tokens,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
    }
