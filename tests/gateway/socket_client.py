"""A client of a gateway's WebSocket that speaks plain JSON frames."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import orjson
from tests.gateway.conftest import Client
from tests.support.scripted_upstream import MODEL

__all__ = ["ENDS", "Socket", "connected"]

ENDS = ("response.completed", "response.failed", "response.incomplete", "error")

_WITHIN_S = 20.0


class Socket:
    """One connection."""

    def __init__(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        self.ws = ws

    async def create(self, text: object = "hi", **fields: object) -> None:
        """Ask for a turn."""
        await self.send({"type": "response.create", "model": MODEL, "input": text, **fields})

    async def send(self, frame: object) -> None:
        """Send any JSON value."""
        await self.ws.send_str(orjson.dumps(frame).decode())

    async def next(self) -> Any:
        """The next frame of the server, which has to be a text frame."""
        message = await asyncio.wait_for(self.ws.receive(), _WITHIN_S)
        assert message.type is aiohttp.WSMsgType.TEXT, (message, self.ws.close_code)
        return orjson.loads(message.data)

    async def until_end(self) -> list[Any]:
        """The next frames, up to one that ends a turn."""
        frames = [await self.next()]
        while frames[-1]["type"] not in ENDS:
            frames.append(await self.next())
        return frames

    async def turn(self, text: object = "hi", **fields: object) -> Any:
        """The response of a turn that has to end well."""
        await self.create(text, **fields)
        end = (await self.until_end())[-1]
        assert end["type"] == "response.completed", end
        return end["response"]

    async def error(self, text: object = "hi", **fields: object) -> Any:
        """The error frame of a turn that has to be refused."""
        await self.create(text, **fields)
        end = await self.next()
        assert end["type"] == "error", end
        return end

    async def closed(self) -> int | None:
        """The code that the server closes the connection with, which it has to do now."""
        message = await asyncio.wait_for(self.ws.receive(), _WITHIN_S)
        assert message.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED), message
        return self.ws.close_code


@contextlib.asynccontextmanager
async def connected(client: Client, **headers: str) -> AsyncIterator[Socket]:
    """A connection for as long as the block runs."""
    async with client.http.ws_connect(client.base_url + "/v1/responses", headers=headers, max_msg_size=0) as ws:
        yield Socket(ws)
