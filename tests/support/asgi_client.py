"""Asking an ASGI application directly: a request as a server would hand it over, and the answer as it would send it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import unquote

import orjson

__all__ = ["Answer", "Application", "ask", "post"]

Headers = Sequence[tuple[bytes, bytes]]


class Application(Protocol):
    """What is asked."""

    async def __call__(self, scope: Mapping[str, Any], receive: Any, send: Any) -> None: ...


@dataclass
class Answer:
    """
    An answer, whole.

    Attributes:
        starts: How many times the application began to answer: once, or it is at fault.
    """

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    starts: int = 0

    @property
    def json(self) -> Any:
        """The body's value."""
        return orjson.loads(self.body)

    @property
    def error(self) -> dict[str, Any]:
        """OpenAI's envelope, which an error has to be; its message is text and its request is named."""
        assert self.status >= 400, (self.status, self.body[:200])
        assert self.headers["content-type"] == "application/json"
        assert self.headers["x-request-id"].startswith("req_")
        value = self.json
        assert set(value) == {"error"}
        assert set(value["error"]) == {"message", "type", "param", "code"}
        assert isinstance(value["error"]["message"], str)
        error: dict[str, Any] = value["error"]
        return error


async def ask(
    app: Application,
    method: str,
    target: str,
    *,
    headers: Headers = (),
    chunks: Sequence[bytes] = (b"",),
    host: bytes = b"localhost",
) -> Answer:
    """Send a request whose body comes in *chunks*; a client that has sent everything stays until it is answered."""
    raw_path, _, query = target.encode("latin-1").partition(b"?")
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": unquote(raw_path.decode("latin-1")),
        "raw_path": raw_path,
        "query_string": query,
        "root_path": "",
        "headers": [(b"host", host), *headers],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 8080),
        "state": {},
    }
    answer = Answer()
    waiting = list(chunks)

    async def receive() -> Mapping[str, Any]:
        if waiting:
            body = waiting.pop(0)
            return {"type": "http.request", "body": body, "more_body": bool(waiting)}
        await asyncio.Event().wait()
        raise AssertionError("nobody sets this event")

    async def send(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            answer.starts += 1
            answer.status = message["status"]
            answer.headers = {name.decode(): value.decode("latin-1") for name, value in message["headers"]}
        else:
            answer.body += message.get("body", b"")

    await app(scope, receive, send)
    return answer


async def post(app: Application, target: str, body: object, *headers: tuple[bytes, bytes]) -> Answer:
    """Send a JSON body, or bytes as they are."""
    data = body if isinstance(body, bytes) else orjson.dumps(body)
    return await ask(app, "POST", target, headers=[(b"content-type", b"application/json"), *headers], chunks=[data])
