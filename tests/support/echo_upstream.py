"""
A Chat Completions server that answers with a fingerprint of everything it was told.

The same messages always get the same answer, so an answer proves the whole history behind it. It calls a tool if one is
offered and the user has spoken last; whole or as a stream with a little time between its events.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import orjson
from aiohttp import web

from tests.support.history_model import Saying, answer_to, heard, said_in_messages

__all__ = ["MODEL", "TOOL", "EchoUpstream", "echoed"]

MODEL = "echo-1"
TOOL = "look"
_MAX_BODY_BYTES = 64 * 1024 * 1024


class EchoUpstream:
    """
    Use :meth:`serve`.

    Args:
        pause_s: Between two events of a stream, and before a whole answer.

    Attributes:
        last_heard: The sayings of the newest request.
    """

    def __init__(self, pause_s: float) -> None:
        self.url = ""
        self.last_heard: list[Saying] = []
        self._pause_s = pause_s

    @classmethod
    @contextlib.asynccontextmanager
    async def serve(cls, *, pause_s: float = 0.0) -> AsyncIterator[EchoUpstream]:
        """A server on a free loopback port."""
        echo = cls(pause_s)
        application = web.Application(client_max_size=_MAX_BODY_BYTES)
        application.router.add_get("/v1/models", echo._models)
        application.router.add_post("/v1/chat/completions", echo._complete)
        runner = web.AppRunner(application, access_log=None, handler_cancellation=True, shutdown_timeout=1.0)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            echo.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
            yield echo
        finally:
            await runner.cleanup()

    async def _models(self, request: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": [{"id": MODEL, "object": "model"}]})

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        body = orjson.loads(await request.read())
        said = self.last_heard = said_in_messages(body["messages"])
        calls = _calls(said) if body.get("tools") and said[-1][0] == "user" else []
        text = answer_to(said)
        if not body.get("stream"):
            await asyncio.sleep(self._pause_s)
            whole = orjson.dumps(_completion(text, calls, len(said)))
            return web.Response(body=whole, content_type="application/json")
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        try:
            await response.prepare(request)
            for event in _events(text, calls, len(said)):
                await response.write(event)
                await asyncio.sleep(self._pause_s)
            await response.write_eof()
        except ConnectionError:
            pass  # the gateway was killed: there is nobody to tell
        return response


def echoed(said: list[Saying], *, tools: bool) -> tuple[Saying, ...]:
    """What the server answers to a history; a call has no id here, because the gateway mints it."""
    text: Saying = ("assistant", answer_to(said))
    return (text, ("call", "", TOOL, _arguments(said))) if tools and said[-1][0] == "user" else (text,)


def _arguments(said: list[Saying]) -> str:
    return orjson.dumps({"heard": heard(said)}).decode()


def _calls(said: list[Saying]) -> list[dict[str, Any]]:
    function = {"name": TOOL, "arguments": _arguments(said)}
    return [{"index": 0, "id": "upstream-call", "type": "function", "function": function}]


def _completion(text: str, calls: list[dict[str, Any]], prompt_tokens: int) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": text, **({"tool_calls": calls} if calls else {})}
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls" if calls else "stop"}
    return {**_envelope("chat.completion"), "choices": [choice], "usage": _usage(text, prompt_tokens)}


def _events(text: str, calls: list[dict[str, Any]], prompt_tokens: int) -> list[bytes]:
    words = text.split(" ")
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    deltas += [{"content": word if index == 0 else f" {word}"} for index, word in enumerate(words)]
    deltas += [{"tool_calls": [call]} for call in calls]
    choices: list[dict[str, Any]] = [{"index": 0, "delta": delta, "finish_reason": None} for delta in deltas]
    choices.append({"index": 0, "delta": {}, "finish_reason": "tool_calls" if calls else "stop"})
    envelope = _envelope("chat.completion.chunk")
    values: list[dict[str, Any]] = [{**envelope, "choices": [choice]} for choice in choices]
    values.append({**envelope, "choices": [], "usage": _usage(text, prompt_tokens)})
    return [b"data: " + orjson.dumps(value) + b"\n\n" for value in values] + [b"data: [DONE]\n\n"]


def _envelope(kind: str) -> dict[str, Any]:
    return {"id": "chatcmpl-echo", "object": kind, "created": 1, "model": MODEL}


def _usage(text: str, prompt_tokens: int) -> dict[str, int]:
    words = len(text.split(" "))
    return {"prompt_tokens": prompt_tokens, "completion_tokens": words, "total_tokens": prompt_tokens + words}
