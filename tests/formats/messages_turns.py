"""What the tests of the Messages dialect share: short ways to ask, to answer, and to let Anthropic's SDK read it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import anthropic
import httpx2
import msgspec
from pydantic import BaseModel, TypeAdapter

from antiphon.formats.messages import MessagesFormat, MessagesTurn
from antiphon.hub.events import Event, OtherEvent, ReplyEnd, ResponseCreated, ResponseInProgress, terminal_event
from antiphon.hub.format import ClientDialect
from antiphon.hub.ids import Family, IdFactory
from antiphon.hub.items import JsonObject, Private
from antiphon.hub.response import opening_response, render
from antiphon.hub.usage import Usage
from antiphon.streams.accumulator import Accumulator
from antiphon.streams.assembler import Assembler
from antiphon.streams.order import OrderCheck

FORMAT = MessagesFormat()
DIALECT: ClientDialect = FORMAT
FAMILY = Family("00" * 8)
USAGE = Usage(input_tokens=30, cached_tokens=7, cache_write_tokens=3, output_tokens=9, reasoning_tokens=4)

WEATHER = {
    "name": "get_weather",
    "description": "Tells the weather.",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}


def body(*messages: JsonObject, **more: Any) -> JsonObject:
    """A request's body; one word of the user's if no messages are given."""
    return {"model": "m", "max_tokens": 64, "messages": list(messages) or [user("Hi")], **more}


def user(*content: Any) -> JsonObject:
    return {"role": "user", "content": content[0] if isinstance(content[0], str) else list(content)}


def assistant(*content: Any) -> JsonObject:
    return {"role": "assistant", "content": content[0] if isinstance(content[0], str) else list(content)}


def asked(**more: Any) -> MessagesTurn:
    """A turn that asks for an answer."""
    return FORMAT.decode(body(**more))


class Reply(msgspec.Struct, frozen=True):
    """An answer, as the engine has it."""

    events: Sequence[Event | OtherEvent]
    response: JsonObject
    private: dict[str, Private]

    def whole(self, turn: MessagesTurn) -> bytes:
        return FORMAT.encode_response(self.response, turn, private=self.private)

    def stream(self, turn: MessagesTurn) -> bytes:
        return FORMAT.stream_encoder(turn).encode(self.events)


def reply(turn: MessagesTurn, say: Callable[[Assembler], None], **end: Any) -> Reply:
    """What the engine makes of the pieces of an upstream's answer."""
    ids = IdFactory(lambda: 1)
    assembler = Assembler(ids, FAMILY)
    say(assembler)
    assembler.end(**{"status": "completed", "usage": USAGE, **end})
    pieces = assembler.take()
    done = pieces.pop()
    assert isinstance(done, ReplyEnd)
    events = [piece for piece in pieces if not isinstance(piece, ReplyEnd)]
    return of_events(turn, events, done)


def of_events(turn: MessagesTurn, events: Sequence[Event | OtherEvent], done: ReplyEnd) -> Reply:
    """An answer of these events, which have to be in an order that the gateway allows."""
    ids = IdFactory(lambda: 1)
    accumulator = Accumulator()
    accumulator.feed(events)
    opening = opening_response(
        turn.request, id=ids.response(FAMILY), created_at=1, model=turn.request.model, conversation_id=None
    )
    response = render(
        opening,
        status=done.status,
        output=accumulator.output(),
        usage=done.usage,
        incomplete_reason=done.incomplete_reason,
    )
    lived = [ResponseCreated(opening), ResponseInProgress(opening), *events, terminal_event(response)]
    OrderCheck().feed(lived)
    private = {str(item.id): item.private for item in accumulator.items() if item.private is not None}
    return Reply(lived, response, private)


def read_whole(data: bytes) -> anthropic.types.Message:
    """The SDK's message of a body, in strict mode and without a field that it does not know."""
    message = TypeAdapter(anthropic.types.Message).validate_json(data, strict=True)
    check_known(message)
    return message


def read_stream(data: bytes) -> anthropic.types.Message:
    """What the SDK's client accumulates of a stream's bytes, each event of which passes its types in strict mode."""

    def answer(_: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=data)

    with httpx2.Client(transport=httpx2.MockTransport(answer)) as http:
        client = anthropic.Anthropic(api_key="none", base_url="http://127.0.0.1:1", http_client=http, max_retries=0)
        with client.messages.stream(model="m", max_tokens=1, messages=[{"role": "user", "content": "Hi"}]) as stream:
            found = stream.get_final_message()
    return anthropic.types.Message.model_validate_json(found.model_dump_json())


def check_known(value: object) -> None:
    """Fail if the SDK met a field that its types do not have."""
    if isinstance(value, BaseModel):
        assert not value.model_extra, f"{type(value).__name__} has no {list(value.model_extra)}"
        for name in type(value).model_fields:
            check_known(getattr(value, name))
    elif isinstance(value, list):
        for part in value:
            check_known(part)
