"""
A Chat Completions server that can do what a suite may ask of a model: see images, think, and call the tool offered.

It does each when it is asked to, which a real model that is small enough to run everywhere does not.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

import orjson
from aiohttp import web

__all__ = ["MODEL", "serving"]

# llm-comply asks for reasoning only if the model's name looks as if it could.
MODEL = "scripted-gpt-5"

_MAX_BODY_BYTES = 16 * 1024 * 1024
_THOUGHT = "They want a short answer."
_TEXT = "One two three four five."
_VALUES: Mapping[str, object] = {
    "string": "San Francisco",
    "integer": 1,
    "number": 1.5,
    "boolean": True,
    "array": [],
    "object": {},
}


@contextlib.asynccontextmanager
async def serving() -> AsyncIterator[str]:
    """The base URL of a server on a free loopback port, for as long as the block runs."""
    application = web.Application(client_max_size=_MAX_BODY_BYTES)
    application.router.add_get("/v1/models", _models)
    application.router.add_post("/v1/chat/completions", _complete)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    finally:
        await runner.cleanup()


async def _models(_request: web.Request) -> web.Response:
    return web.json_response({"object": "list", "data": [{"id": MODEL, "object": "model"}]})


async def _complete(request: web.Request) -> web.StreamResponse:
    body = orjson.loads(await request.read())
    message = _message(body)
    if not body.get("stream"):
        return web.json_response(_completion(message))
    response = web.StreamResponse(headers={"content-type": "text/event-stream"})
    await response.prepare(request)
    for chunk in _chunks(message):
        await response.write(b"data: " + orjson.dumps(chunk) + b"\n\n")
    await response.write(b"data: [DONE]\n\n")
    return response


def _message(body: Mapping[str, Any]) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": _TEXT}
    if body.get("reasoning_effort"):
        message["reasoning_content"] = _THOUGHT
    tools = body.get("tools")
    if tools and body["messages"][-1]["role"] == "user" and body.get("tool_choice") != "none":
        function = tools[0]["function"]
        arguments = orjson.dumps(_arguments(function.get("parameters") or {})).decode()
        call = {"id": "call-1", "type": "function", "function": {"name": function["name"], "arguments": arguments}}
        message |= {"content": None, "tool_calls": [call]}
    return message


def _arguments(schema: Mapping[str, Any]) -> dict[str, object]:
    properties = schema.get("properties", {})
    return {name: _VALUES[properties[name].get("type", "string")] for name in schema.get("required", properties)}


def _completion(message: dict[str, Any]) -> dict[str, Any]:
    choice = {"index": 0, "message": message, "finish_reason": _reason(message)}
    return {**_envelope("chat.completion"), "choices": [choice], "usage": _USAGE}


def _chunks(message: dict[str, Any]) -> Iterator[dict[str, Any]]:
    envelope = _envelope("chat.completion.chunk")
    for delta in _deltas(message):
        yield {**envelope, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
    yield {**envelope, "choices": [{"index": 0, "delta": {}, "finish_reason": _reason(message)}]}
    yield {**envelope, "choices": [], "usage": _USAGE}


def _deltas(message: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield {"role": "assistant"}
    for field in ("reasoning_content", "content"):
        for word in (message.get(field) or "").split(" "):
            if word:
                yield {field: f"{word} "}
    for index, call in enumerate(message.get("tool_calls", ())):
        function = call["function"]
        half = len(function["arguments"]) // 2
        yield {"tool_calls": [{**call, "index": index, "function": {**function, "arguments": ""}}]}
        for piece in (function["arguments"][:half], function["arguments"][half:]):
            yield {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}


def _reason(message: dict[str, Any]) -> str:
    return "tool_calls" if message.get("tool_calls") else "stop"


def _envelope(kind: str) -> dict[str, Any]:
    return {"id": "chatcmpl-1", "object": kind, "created": 1, "model": MODEL}


_USAGE = {"prompt_tokens": 9, "completion_tokens": 5, "total_tokens": 14}
