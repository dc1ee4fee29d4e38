"""
The smallest client of the Responses API that can show a streamed turn: one POST, one loop over lines.

It is what the demo talks to the gateway with, over the public API and nothing else.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import msgspec

from antiphon.cli.errors import CommandFailed

__all__ = ["Answer", "respond"]

_REPLAYED = re.compile(r"\bitems=(\d+)")
_TIMEOUT = aiohttp.ClientTimeout(total=300)


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """
    A finished turn.

    Attributes:
        replayed: How many items of history the gateway put before the input, as its header says.
    """

    id: str
    text: str
    replayed: int


async def respond(base_url: str, body: dict[str, Any], *, on_delta: Callable[[str], None]) -> Answer:
    """
    Ask for one streamed turn.

    Args:
        on_delta: Called with each piece of text when it arrives.

    Raises:
        CommandFailed: The gateway refused, or the turn failed.
    """
    async with (
        aiohttp.ClientSession(trust_env=False, timeout=_TIMEOUT) as session,
        session.post(f"{base_url}/responses", json={**body, "stream": True}) as reply,
    ):
        if reply.status != 200:
            raise CommandFailed(f"the gateway answered {reply.status}: {await reply.text()}")
        replayed = _REPLAYED.search(reply.headers.get("x-antiphon-history", ""))
        text = ""
        async for event in _events(reply.content):
            if event["type"] == "response.output_text.delta":
                text += event["delta"]
                on_delta(event["delta"])
            elif event["type"] == "response.failed":
                raise CommandFailed(f"the turn failed: {event['response']['error']}")
            elif event["type"] in {"response.completed", "response.incomplete"}:
                count = int(replayed.group(1)) if replayed else 0
                return Answer(id=event["response"]["id"], text=text, replayed=count)
    raise CommandFailed("the stream ended before the turn did")


async def _events(lines: aiohttp.StreamReader) -> AsyncIterator[dict[str, Any]]:
    async for line in lines:
        if line.startswith(b"data: ") and line != b"data: [DONE]\n":
            yield json.loads(line[6:])
