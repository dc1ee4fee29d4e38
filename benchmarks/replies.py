"""
The bytes of what model servers of other dialects answer: the same text as :mod:`benchmarks.completions`, made once.

A reply is a whole body, or a stream as three parts: what comes before the tokens, one event for each token, and what
comes behind them. Sizes are those of the vendors' APIs.
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Callable
from typing import NamedTuple
from zlib import crc32

import orjson

from benchmarks.completions import TEXT

__all__ = ["REPLIES", "Reply"]

_WORDS = TEXT.split()
_INPUT_TOKENS = 19
_OUTPUT_TOKENS = 43


class Reply(NamedTuple):
    """
    What a server of one dialect answers.

    Attributes:
        whole: The body of an answer in one piece.
        stream: The events of a stream of so many tokens: the opening, the tokens one by one, the closing.
        content_type: Of a stream.
    """

    whole: bytes
    stream: Callable[[int], tuple[bytes, tuple[bytes, ...], bytes]]
    content_type: bytes


def _words(tokens: int) -> list[str]:
    return [f" {_WORDS[number % len(_WORDS)]}" for number in range(tokens)]


def _event(body: dict[str, object]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (str(body["type"]).encode(), orjson.dumps(body))


def _response(status: str, output: list[object], tokens: int) -> dict[str, object]:
    usage = {
        "input_tokens": _INPUT_TOKENS,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": _INPUT_TOKENS + tokens,
    }
    return {
        "id": "resp_67ccd2bed1ec8190b14f964abc0542670bb6a6b452d3795b",
        "object": "response",
        "created_at": 1741570283,
        "status": status,
        "error": None,
        "incomplete_details": None,
        "model": "instant",
        "output": output,
        "usage": usage if status == "completed" else None,
    }


_ITEM_ID = "msg_67ccd2bf17f0819081ff3bb2cf6508e60bb6a6b452d3795b"


def _item(text: str, status: str = "completed") -> dict[str, object]:
    content = [_part(text)] if status == "completed" else []
    return {"id": _ITEM_ID, "type": "message", "status": status, "role": "assistant", "content": content}


def _part(text: str) -> dict[str, object]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


@functools.cache
def _responses(tokens: int) -> tuple[bytes, tuple[bytes, ...], bytes]:
    at = {"item_id": _ITEM_ID, "output_index": 0, "content_index": 0}
    running = {"response": _response("in_progress", [], 0)}
    words = _words(tokens)
    text = "".join(words)
    opening: list[dict[str, object]] = [
        {"type": "response.created", **running},
        {"type": "response.in_progress", **running},
        {"type": "response.output_item.added", "output_index": 0, "item": _item("", "in_progress")},
        {"type": "response.content_part.added", **at, "part": _part("")},
    ]
    closing: list[dict[str, object]] = [
        {"type": "response.output_text.done", **at, "text": text, "logprobs": []},
        {"type": "response.content_part.done", **at, "part": _part(text)},
        {"type": "response.output_item.done", "output_index": 0, "item": _item(text)},
        {"type": "response.completed", "response": _response("completed", [_item(text)], tokens)},
    ]
    deltas = [{"type": "response.output_text.delta", **at, "delta": word, "logprobs": []} for word in words]
    events = [
        _event({"type": event["type"], "sequence_number": number, **event})
        for number, event in enumerate([*opening, *deltas, *closing])
    ]
    return (
        b"".join(events[: len(opening)]),
        tuple(events[len(opening) : -len(closing)]),
        b"".join(events[-len(closing) :]),
    )


def _message(**more: object) -> dict[str, object]:
    body = {"id": "msg_013Zva2CMHLNnXjNJJKqJ2EF", "type": "message", "role": "assistant", "model": "instant"}
    return {**body, "content": [], "stop_reason": None, "stop_sequence": None, **more}


@functools.cache
def _messages(tokens: int) -> tuple[bytes, tuple[bytes, ...], bytes]:
    begun = {"input_tokens": _INPUT_TOKENS, "output_tokens": 1}
    ended = {"stop_reason": "end_turn", "stop_sequence": None}
    opening = (
        _event({"type": "message_start", "message": _message(usage=begun)}),
        _event({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
    )
    deltas = tuple(
        _event({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": word}})
        for word in _words(tokens)
    )
    closing = (
        _event({"type": "content_block_stop", "index": 0}),
        _event({"type": "message_delta", "delta": ended, "usage": {"output_tokens": tokens}}),
        _event({"type": "message_stop"}),
    )
    return b"".join(opening), deltas, b"".join(closing)


def _candidates(text: str, tokens: int, reason: str | None) -> bytes:
    candidate = {"content": {"parts": [{"text": text}], "role": "model"}, "index": 0}
    usage = {
        "promptTokenCount": _INPUT_TOKENS,
        "candidatesTokenCount": tokens,
        "totalTokenCount": _INPUT_TOKENS + tokens,
    }
    ended = {"finishReason": reason} if reason else {}
    body = {"candidates": [{**candidate, **ended}], "usageMetadata": usage, "modelVersion": "instant"}
    return orjson.dumps({**body, "responseId": "kQrPaPr5Fb2r1PIPoK7JmQo"})


@functools.cache
def _gemini(tokens: int) -> tuple[bytes, tuple[bytes, ...], bytes]:
    chunks = tuple(
        b"data: %b\r\n\r\n" % _candidates(word, number + 1, None) for number, word in enumerate(_words(tokens))
    )
    return b"", chunks, b"data: %b\r\n\r\n" % _candidates("", tokens, "STOP")


def _frame(kind: str, body: dict[str, object]) -> bytes:
    """A message of an AWS event stream: https://smithy.io/2.0/aws/amazon-eventstream.html."""
    named = {":event-type": kind, ":content-type": "application/json", ":message-type": "event"}
    headers = b"".join(
        bytes([len(name)]) + name.encode() + b"\x07" + struct.pack("!H", len(value)) + value.encode()
        for name, value in named.items()
    )
    payload = orjson.dumps(body)
    prelude = struct.pack("!II", 16 + len(headers) + len(payload), len(headers))
    message = prelude + struct.pack("!I", crc32(prelude)) + headers + payload
    return message + struct.pack("!I", crc32(message))


def _counted(tokens: int) -> dict[str, object]:
    return {
        "usage": {
            "inputTokens": _INPUT_TOKENS,
            "outputTokens": tokens,
            "totalTokens": _INPUT_TOKENS + tokens,
        },
        "metrics": {"latencyMs": 1},
    }


@functools.cache
def _converse(tokens: int) -> tuple[bytes, tuple[bytes, ...], bytes]:
    deltas = tuple(
        _frame("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": word}, "p": "abcdefgh"})
        for word in _words(tokens)
    )
    closing = (
        _frame("contentBlockStop", {"contentBlockIndex": 0, "p": "abcd"}),
        _frame("messageStop", {"stopReason": "end_turn", "p": "abcdef"}),
        _frame("metadata", _counted(tokens)),
    )
    return _frame("messageStart", {"role": "assistant", "p": "abcdef"}), deltas, b"".join(closing)


_SSE = b"text/event-stream; charset=utf-8"
REPLIES = {
    "openai_responses": Reply(orjson.dumps(_response("completed", [_item(TEXT)], _OUTPUT_TOKENS)), _responses, _SSE),
    "anthropic": Reply(
        orjson.dumps(
            _message(
                content=[{"type": "text", "text": TEXT}],
                stop_reason="end_turn",
                usage={"input_tokens": _INPUT_TOKENS, "output_tokens": _OUTPUT_TOKENS},
            )
        ),
        _messages,
        _SSE,
    ),
    "gemini": Reply(_candidates(TEXT, _OUTPUT_TOKENS, "STOP"), _gemini, _SSE),
    "bedrock": Reply(
        orjson.dumps(
            {
                "output": {"message": {"role": "assistant", "content": [{"text": TEXT}]}},
                "stopReason": "end_turn",
                **_counted(_OUTPUT_TOKENS),
            }
        ),
        _converse,
        b"application/vnd.amazon.eventstream",
    ),
}
