"""Clients of each dialect in front of one gateway within the process, whose upstream says what a test prepares."""

from __future__ import annotations

import io
import time
from dataclasses import dataclass
from typing import Any

import orjson
from tests.formats.chat_answers import Script, say
from tests.support.asgi_client import Answer, ask
from tests.support.openapi_document import OpenAPIDocument

from antiphon import Gateway
from antiphon.engine.upstreams import Upstream
from antiphon.formats.responses import ResponsesFormat
from antiphon.hub.items import JsonObject
from antiphon.hub.principal import LOCAL
from antiphon.hub.upstream import Provider
from antiphon.providers.openai_responses import provider
from antiphon.sessions.store import SessionStore
from antiphon.streams.assembler import Assembler
from antiphon.telemetry import Log
from antiphon.transport.replay import PreparedReply, ReplayTransport

MODEL = "m"
JSON = (b"content-type", b"application/json")
_PUBLISHED: list[OpenAPIDocument] = []
HELLO: JsonObject = {"role": "user", "content": "Hello"}


@dataclass(frozen=True)
class Dialect:
    """
    How one dialect is spoken.

    Attributes:
        path: Where turns are asked for.
        asks: The smallest request that it has.
        schemas: The names of the schemas of its answers, of events, and of errors.
    """

    name: str
    path: str
    asks: JsonObject
    schemas: tuple[str, str, str]

    def __str__(self) -> str:
        return self.name

    def body(self, **fields: Any) -> JsonObject:
        """A request."""
        return {"model": MODEL, **self.asks, **fields}

    def text(self, answer: JsonObject) -> str:
        """What a whole answer says."""
        if self.name == "messages":
            return "".join(block.get("text", "") for block in answer["content"])
        (choice,) = answer["choices"]
        said: str = choice["text"] if self.name == "completions" else choice["message"]["content"]
        return said

    def streamed_text(self, events: list[JsonObject]) -> str:
        """What a stream says."""
        if self.name == "messages":
            return "".join(event["delta"].get("text", "") for event in events if event["type"] == "content_block_delta")
        choices = [choice for event in events for choice in event["choices"]]
        if self.name == "completions":
            return "".join(choice["text"] for choice in choices)
        return "".join(choice["delta"].get("content") or "" for choice in choices)

    def reason(self, answer: JsonObject) -> str | None:
        """Why a whole answer ended."""
        reason: str | None = answer["stop_reason"] if self.name == "messages" else answer["choices"][0]["finish_reason"]
        return reason

    def streamed_reason(self, events: list[JsonObject]) -> str | None:
        """Why a stream ended."""
        if self.name == "messages":
            reasons = [event["delta"]["stop_reason"] for event in events if event["type"] == "message_delta"]
        else:
            reasons = [choice["finish_reason"] for event in events for choice in event["choices"]]
        return next((reason for reason in reasons if reason is not None), None)


CHAT = Dialect(
    "chat", "/v1/chat/completions", {"messages": [HELLO]}, ("ChatCompletion", "ChatCompletionChunk", "Error")
)
COMPLETIONS = Dialect("completions", "/v1/completions", {"prompt": "Hello"}, ("Completion", "CompletionChunk", "Error"))
MESSAGES = Dialect(
    "messages",
    "/v1/messages",
    {"messages": [HELLO], "max_tokens": 64},
    ("MessageAnswer", "MessageStreamEvent", "MessagesError"),
)
DIALECTS = (CHAT, COMPLETIONS, MESSAGES)


class Stage:
    """
    Args:
        store: None for a stateless gateway.
        upstream: What the upstream speaks. By default it is no dialect that a client speaks here, so that everything
            goes through the hub.
        edge: Arguments of :meth:`Gateway.asgi`.

    Attributes:
        written: The log, from errors on.
    """

    def __init__(
        self,
        store: SessionStore | None = None,
        upstream: Provider | None = None,
        edge: dict[str, Any] | None = None,
        **options: Any,
    ) -> None:
        self.transport = ReplayTransport()
        self.written = io.StringIO()
        asked = Upstream("far", upstream or provider({}), self.transport, models=[MODEL], clock=time.monotonic)
        self.gateway = Gateway([asked], store=store, log=Log("error", stream=self.written), **options)
        self.app = self.gateway.asgi(**(edge or {}))

    def will_say(self, script: Script, *, stream: bool, **how: Any) -> None:
        """Let the upstream answer the next request with this."""
        said = say(script, **how)
        if stream:
            raw = ResponsesFormat().stream_encoder(obfuscate=False).encode(said.events)
            self.transport.prepare(PreparedReply(headers={"content-type": "text/event-stream"}, blocks=[raw]))
        else:
            self.transport.prepare(PreparedReply(blocks=[ResponsesFormat().encode_response(said.response)]))

    def will_answer(self, reply: PreparedReply) -> None:
        """Let the upstream answer the next request like this."""
        self.transport.prepare(reply)

    @property
    def asked(self) -> list[Any]:
        """What the upstream was asked, oldest first."""
        return [orjson.loads(request.body) for request in self.transport.requests if request.body]

    async def post(self, dialect: Dialect, *headers: tuple[bytes, bytes], **fields: Any) -> Answer:
        """Ask for a turn."""
        return await self.send("POST", dialect.path, dialect.body(**fields), *headers)

    async def send(self, method: str, target: str, body: object = None, *headers: tuple[bytes, bytes]) -> Answer:
        """Send anything; bytes go as they are."""
        data = body if isinstance(body, bytes) else b"" if body is None else orjson.dumps(body)
        media_type = () if any(name == JSON[0] for name, _ in headers) else (JSON,)
        return await ask(self.app, method, target, headers=[*media_type, *headers], chunks=[data])

    async def get(self, target: str) -> Any:
        """The JSON of what is there."""
        answer = await self.send("GET", target)
        assert answer.status == 200, answer
        return answer.json

    async def document(self) -> OpenAPIDocument:
        """What a gateway publishes of itself: the same for all of them, and made once."""
        if not _PUBLISHED:
            _PUBLISHED.append(OpenAPIDocument(await self.get("/openapi.json")))
        return _PUBLISHED[0]

    async def noted(self) -> list[str]:
        """The audit trail, each entry as ``action outcome``."""
        page = await self.gateway.trail.read(LOCAL.tenant, limit=1000)
        return [f"{each.entry.action} {each.entry.outcome}" for each in page.records]


def events_of(raw: bytes) -> list[JsonObject]:
    """The JSON events of a dialect's stream, whose end it has to have."""
    frames = [frame for frame in raw.decode().split("\n\n") if frame and not frame.startswith(":")]
    found: list[JsonObject] = []
    for frame in frames:
        *names, data = frame.split("\n")
        if data == "data: [DONE]":
            assert frame is frames[-1]
            continue
        value = orjson.loads(data.removeprefix("data: "))
        assert names == ([f"event: {value['type']}"] if "type" in value else [])
        found.append(value)
    return found


def hello(text: str = "Hello there.") -> Script:
    """Says a text, word by word."""

    def script(said: Assembler) -> None:
        for word in _words(text):
            said.text(word)

    return script


def _words(text: str) -> list[str]:
    first, *rest = text.split(" ")
    return [first, *(f" {word}" for word in rest)]


def call(name: str = "look", arguments: str = '{"at":"sky"}') -> Script:
    """Calls a function."""

    def script(said: Assembler) -> None:
        said.open_function_call(0, name)
        for start in range(0, len(arguments), 4):
            said.call_delta(0, arguments[start : start + 4])

    return script
