"""
Whole answers: a response as ``chat.completion``.

Chat has one message where the hub has items: texts are joined in their order, and so are refusals, reasoning and calls.
What chat has no words for does not come: items of tools that the upstream ran itself, and citations other than of URLs.
A call that waits for the client is never left out: one of a type that chat does not know is an error.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec
import orjson

from antiphon.formats.chat.ids import shown_id
from antiphon.formats.chat.usage import chat_usage
from antiphon.hub.errors import UpstreamBroken
from antiphon.hub.items import CALL_TYPES, JsonObject

__all__ = [
    "CALL_FIELDS",
    "REASONING_GAP",
    "Answer",
    "chat_call",
    "completion_body",
    "encode_completion",
    "logprobs_of",
    "read_answer",
]

# The kind of a call in chat, and its field that the model writes, by the type of its item.
CALL_FIELDS = {"function_call": ("function", "arguments"), "custom_tool_call": ("custom", "input")}

# Between two thoughts that are parts of their own.
REASONING_GAP = "\n\n"

_FINISH_REASONS = {"max_output_tokens": "length", "content_filter": "content_filter"}


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """
    What a response says, as one message.

    Attributes:
        text: Empty if there is none.
        refusal: Likewise.
        reasoning: Likewise.
        finish_reason: ``length`` also for reasons to stop early that chat does not know.
    """

    text: str
    refusal: str
    reasoning: str
    calls: tuple[JsonObject, ...]
    annotations: tuple[JsonObject, ...]
    logprobs: tuple[JsonObject, ...]
    finish_reason: str

    @property
    def content(self) -> str | None:
        """Null where something else was said instead; empty where nothing was."""
        return self.text or (None if self.refusal or self.calls else "")


def read_answer(response: JsonObject) -> Answer:
    """
    The message of a completed or incomplete response.

    Raises:
        UpstreamBroken: It calls a tool of a type that chat does not have.
    """
    output: list[JsonObject] = response["output"]
    parts = [part for item in output if item["type"] == "message" for part in item["content"]]
    texts = [part for part in parts if part["type"] == "output_text"]
    calls = tuple(chat_call(item) for item in output if item["type"] in CALL_TYPES)
    return Answer(
        text="".join(part["text"] for part in texts),
        refusal="".join(part["refusal"] for part in parts if part["type"] == "refusal"),
        reasoning=REASONING_GAP.join(_thoughts(output)),
        calls=calls,
        annotations=tuple(_citations(texts)),
        logprobs=tuple(entry for part in texts for entry in part.get("logprobs") or ()),
        finish_reason=_finish_reason(response, has_calls=bool(calls)),
    )


def encode_completion(response: JsonObject, *, logprobs: bool) -> bytes:
    """The JSON body of a whole answer; see :func:`completion_body`."""
    return orjson.dumps(completion_body(response, logprobs=logprobs))


def completion_body(response: JsonObject, *, logprobs: bool) -> JsonObject:
    """
    A whole answer.

    Args:
        logprobs: Whether the client asked for log probabilities.

    Raises:
        UpstreamBroken: See :func:`read_answer`.
    """
    answer = read_answer(response)
    choice = {
        "index": 0,
        "message": _message(answer),
        "logprobs": logprobs_of(answer.logprobs) if logprobs else None,
        "finish_reason": answer.finish_reason,
    }
    body = {
        "id": shown_id(response["id"]),
        "object": "chat.completion",
        "created": response["created_at"],
        "model": response["model"],
        "choices": [choice],
        "service_tier": response["service_tier"],
    }
    if response["usage"] is not None:
        body["usage"] = chat_usage(response["usage"])
    return body


def chat_call(item: JsonObject) -> JsonObject:
    """
    A call as an entry of ``tool_calls``.

    Raises:
        UpstreamBroken: It is of a type that chat does not have.
    """
    if item["type"] not in CALL_FIELDS:
        raise UpstreamBroken(f"The model made a '{item['type']}', which Chat Completions has no words for.")
    kind, field = CALL_FIELDS[item["type"]]
    return {"id": item["call_id"], "type": kind, kind: {"name": item["name"], field: item.get(field) or ""}}


def logprobs_of(entries: Iterable[JsonObject]) -> JsonObject:
    """The ``logprobs`` of a choice whose text has these."""
    return {"content": list(entries), "refusal": None}


def _message(answer: Answer) -> JsonObject:
    message: JsonObject = {
        "role": "assistant",
        "content": answer.content,
        "refusal": answer.refusal or None,
        "annotations": list(answer.annotations),
    }
    if answer.reasoning:
        message["reasoning_content"] = answer.reasoning
    if answer.calls:
        message["tool_calls"] = list(answer.calls)
    return message


def _thoughts(output: Iterable[JsonObject]) -> Iterator[str]:
    """The parts of all reasoning: summaries, then what was thought, item by item."""
    for item in output:
        if item["type"] == "reasoning":
            for part in (*(item.get("summary") or ()), *(item.get("content") or ())):
                if part.get("text"):
                    yield part["text"]


def _citations(texts: Iterable[JsonObject]) -> Iterator[JsonObject]:
    """Citations of URLs; their places count through the whole content."""
    before = 0
    for part in texts:
        for annotation in part.get("annotations") or ():
            if annotation["type"] == "url_citation":
                yield {
                    "type": "url_citation",
                    "url_citation": {
                        "start_index": annotation["start_index"] + before,
                        "end_index": annotation["end_index"] + before,
                        "title": annotation["title"],
                        "url": annotation["url"],
                    },
                }
        before += len(part["text"])


def _finish_reason(response: JsonObject, *, has_calls: bool) -> str:
    if response["status"] == "incomplete":
        reason = (response.get("incomplete_details") or {}).get("reason", "")
        return _FINISH_REASONS.get(reason, "length")
    return "tool_calls" if has_calls else "stop"
