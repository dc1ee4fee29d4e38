"""The load's HTTP client: sends a turn and takes in whatever arrives before the gateway dies."""

from __future__ import annotations

from typing import Any

import aiohttp
import orjson

from tests.kills.ledger import JsonObject, Turn

__all__ = ["Client", "Gone", "Refused"]

_TERMINAL = ("response.completed", "response.incomplete", "response.failed")


class Gone(Exception):
    """The gateway died while it was asked."""


class Refused(Exception):
    """The gateway answered with an error."""

    def __init__(self, status: int, body: Any) -> None:
        super().__init__(f"HTTP {status}: {body}")
        self.status = status
        self.code = body["error"]["code"]


class Client:
    """
    Talks to one process of the gateway.

    Args:
        key: The tenant's API key.
        timeout_s: An answer that takes longer is a hang.
    """

    def __init__(self, base_url: str, key: str, *, timeout_s: float = 30.0) -> None:
        self._base_url = base_url
        self._http = aiohttp.ClientSession(
            headers={"authorization": f"Bearer {key}"},
            timeout=aiohttp.ClientTimeout(total=timeout_s),
            connector=aiohttp.TCPConnector(limit=0),
        )

    async def close(self) -> None:
        """Let go of the connections."""
        await self._http.close()

    async def get(self, path: str, **query: str) -> tuple[int, Any]:
        """Status and JSON body."""
        return await self._whole("GET", path, query=query)

    async def post(self, path: str, body: JsonObject) -> Any:
        """
        The JSON body of a success.

        Raises:
            Refused: It is an error.
        """
        status, answer = await self._whole("POST", path, body=body)
        if status != 200:
            raise Refused(status, answer)
        return answer

    async def respond(self, turn: Turn) -> JsonObject:
        """
        Send a turn; its terminal response.

        Raises:
            Gone: The gateway died before that had arrived; ``turn.response_id`` is set if it was known by then.
            Refused: The gateway said no.
        """
        if not turn.request["stream"]:
            answer: JsonObject = await self.post("/responses", turn.request)
            return answer
        for event in await self._events(turn.request):
            turn.response_id = event.get("response", {}).get("id", turn.response_id)
            if event["type"] in _TERMINAL:
                response: JsonObject = event["response"]
                return response
        raise Gone

    async def _events(self, body: JsonObject) -> list[Any]:
        received = bytearray()
        try:
            async with self._http.post(self._base_url + "/responses", json=body) as answer:
                if answer.status != 200:
                    raise Refused(answer.status, orjson.loads(await answer.read()))
                async for block in answer.content.iter_any():
                    received += block
        except aiohttp.ClientError:
            pass  # what had arrived counts: the terminal event may be in it
        frames = bytes(received).split(b"\n\n")[:-1]
        lines = [line for frame in frames for line in frame.split(b"\n") if line.startswith(b"data: {")]
        return [orjson.loads(line.removeprefix(b"data: ")) for line in lines]

    async def _whole(
        self, method: str, path: str, *, body: JsonObject | None = None, query: JsonObject | None = None
    ) -> tuple[int, Any]:
        try:
            async with self._http.request(method, self._base_url + path, json=body, params=query) as answer:
                return answer.status, orjson.loads(await answer.read())
        except aiohttp.ClientError as error:
            raise Gone from error
