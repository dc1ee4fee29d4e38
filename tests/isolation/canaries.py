"""
Canaries: texts that are sown into everything that a client or a model can say, each one once, so that a hit tells where
it came from.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any

import orjson

from tests.isolation.document import Field, Operation, texts_of
from tests.support.scripted_upstream import (
    MODEL,
    Drop,
    Step,
    chunk,
    delta,
    finish,
    http_json,
    http_stream,
    http_stream_head,
    sse,
    whole,
)

__all__ = ["STEM", "Canaries", "model_replies", "requests_of", "written_by_client"]

STEM = "kanarie"

_IDS_OF_OURS = frozenset(("response", "conversation", "item", "prompt"))


class Canaries:
    """
    Attributes:
        sown: Where each canary was put.
    """

    def __init__(self) -> None:
        self.sown: dict[str, str] = {}

    def new(self, where: str) -> str:
        """A canary that nobody has yet."""
        canary = STEM + secrets.token_hex(8)
        self.sown[canary] = where
        return canary


def requests_of(operation: Operation, canaries: Canaries) -> Iterator[tuple[Field, Any]]:
    """A body for every string that an operation takes, with a canary in that string."""
    for each in texts_of(operation):
        is_id = bool(_IDS_OF_OURS.intersection(each.kinds))
        yield each, each.body_with(canaries.new("an id that was asked for" if is_id else each.name))


def written_by_client(canaries: Canaries) -> dict[str, Any]:
    """The fields of a turn that is taken, with canaries in all that a client may write."""

    def new(where: str) -> str:
        return canaries.new(f"a turn's {where}")

    schema = {
        "type": "object",
        "description": new("schema"),
        "properties": {new("schema's member"): {"type": "string"}},
    }
    call_id = new("call id")
    return {
        "model": MODEL,
        "instructions": new("instructions"),
        "metadata": {new("metadata key"): new("metadata value")},
        "user": new("user"),
        "safety_identifier": new("safety identifier"),
        "prompt_cache_key": new("cache key"),
        "text": {"format": {"type": "json_schema", "name": new("format"), "schema": schema}},
        "tools": [
            {
                "type": "function",
                "name": new("tool"),
                "description": new("tool's description"),
                "parameters": schema,
                "strict": False,
            }
        ],
        "input": [
            {"role": "developer", "content": new("developer message")},
            {"role": "user", "content": [
                {"type": "input_text", "text": new("part")},
                {"type": "input_image", "image_url": f"https://example.com/{new('image')}.png"},
            ]},
            {"type": "reasoning", "summary": [{"type": "summary_text", "text": new("summary")}]},
            {"type": "function_call", "call_id": call_id, "name": new("call"), "arguments": orjson.dumps(
                {new("argument's name"): new("argument")}
            ).decode()},
            {"type": "function_call_output", "call_id": call_id, "output": new("output")},
            {"role": "assistant", "content": [
                {"type": "output_text", "text": new("earlier answer"), "annotations": [
                    {"type": "url_citation", "url": f"https://example.com/{new('cited page')}", "start_index": 0,
                     "end_index": 1, "title": new("citation")},
                ]},
                {"type": "refusal", "refusal": new("earlier refusal")},
            ]},
            {"role": "user", "content": new("question")},
        ],
    }  # fmt: skip


def model_replies(canaries: Canaries) -> dict[str, tuple[Step, ...]]:
    """What a model server may answer, whole and in streams, with canaries in all of it."""

    def new(where: str) -> str:
        return canaries.new(f"a model's {where}")

    def calls(where: str) -> list[dict[str, Any]]:
        function = {"name": new(f"{where} call"), "arguments": orjson.dumps({new("key"): new("argument")}).decode()}
        return [{"index": 0, "id": new("call id"), "type": "function", "function": function}]

    begun = delta(role="assistant", content=None)
    told = begun + delta(reasoning_content=new("thought")) + delta(content=new("word"))
    broken = {"error": {"message": new("broken stream"), "type": new("type of error"), "code": new("code of error")}}
    refused = {"error": {"message": new("refusal"), "type": new("type"), "param": new("param"), "code": new("code")}}
    return {
        "whole": (http_json(whole(new("text"), reasoning_content=new("whole thought"))),),
        "whole call": (http_json(whole(None, finish_reason="tool_calls", tool_calls=calls("whole"))),),
        "whole refusal": (http_json(whole(None, refusal=new("no"))),),
        "stream": (http_stream(told + finish()),),
        "stream of a call": (http_stream(begun + delta(tool_calls=calls("streamed")) + finish("tool_calls")),),
        "stream of a refusal": (http_stream(begun + delta(refusal=new("streamed no")) + finish()),),
        "cut short": (http_stream(begun + delta(content=new("cut word")) + finish("length")),),
        "broken off": (http_stream_head(), chunk(begun + delta(content=new("last word"))), Drop()),
        "error in a stream": (http_stream(begun + delta(content=new("word")) + sse(broken)),),
        "not JSON in a stream": (http_stream(begun + b"data: " + new("garbage").encode() + b"\n\n"),),
        "refused": (http_json(refused, status=400),),
        "unauthorized": (http_json(refused, status=401),),
        "broken": (http_json(refused, status=501),),
        "not JSON": (_text(new("page"), 200),),
        "page of an error": (_text(new("error page"), 500),),
        "strange header": (
            http_json(whole(new("text with headers")), headers=f"x-{new('header name')}: {new('header')}\r\n"),
        ),
    }


def _text(text: str, status: int) -> bytes:
    head = f"HTTP/1.1 {status} X\r\ncontent-type: text/html\r\ncontent-length: {len(text)}\r\n\r\n"
    return head.encode() + text.encode()
