"""What upstreams of every dialect were recorded to say, said in the other client dialects: whole and as a stream."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import orjson
import pytest

from antiphon.formats.chat import ChatFormat
from antiphon.formats.messages import MessagesFormat
from antiphon.hub import events as ev
from antiphon.hub.events import Event, OtherEvent, ReplyEnd
from antiphon.hub.format import DialectTurn
from antiphon.hub.items import CALL_TYPES, JsonObject, Private
from antiphon.hub.response import opening_response, render
from antiphon.hub.turn import TurnRequest
from antiphon.hub.upstream import ReplyDecoder, ReplyEvent
from antiphon.providers.anthropic import Anthropic
from antiphon.providers.openai_chat import OpenAIChat
from antiphon.streams.accumulator import Accumulator
from tests.formats.messages_turns import asked
from tests.providers.kit.calls import model_call
from tests.providers.kit.dialects import DIALECTS, Transcript
from tests.streams.fixed_ids import FAMILY, counting_ids

_RESPONSE_ID = "resp_0123456789abcdef00665ef2d2a1b2c3d4e5f60718293a4b5c"
_PLAIN_CALLS = {"function_call", "custom_tool_call"}


class Answer(NamedTuple):
    """A turn: every event of its stream, the response at its end, and what is private to the upstream."""

    events: list[Event | OtherEvent]
    response: JsonObject
    private: dict[str, Private]


def answer_of(transcript: Transcript) -> Answer:
    """The turn that a recorded reply makes."""
    end = transcript.end
    assert end is not None
    said = [event for event in transcript.events if not isinstance(event, ReplyEnd)]
    accumulator = Accumulator()
    accumulator.feed(said)
    opening = opening_response(TurnRequest(model="m"), id=_RESPONSE_ID, created_at=1, model="m", conversation_id=None)
    response = render(
        opening,
        status=end.status,
        output=accumulator.output(),
        usage=end.usage,
        incomplete_reason=end.incomplete_reason,
    )
    events = [ev.ResponseCreated(opening), ev.ResponseInProgress(opening), *said, ev.terminal_event(response)]
    private = {str(item.id): item.private for item in accumulator.items() if item.private is not None}
    return Answer(events, response, private)


def in_chat(answer: Answer) -> tuple[bytes, bytes]:
    """The answer as chat completions: whole, and as a stream."""
    turn = DialectTurn(request=TurnRequest(model="m"), usage_in_stream=True)
    body = ChatFormat().encode_response(answer.response, turn)
    return body, ChatFormat().stream_encoder(turn).encode(answer.events)


def in_messages(answer: Answer) -> tuple[bytes, bytes]:
    """The answer in the Messages API: whole, and as a stream."""
    turn = asked()
    body = MessagesFormat().encode_response(answer.response, turn, private=answer.private)
    return body, MessagesFormat().stream_encoder(turn).encode(answer.events)


def read_chat() -> ReplyDecoder:
    return OpenAIChat().decoder(model_call(), counting_ids(), FAMILY)


def read_messages() -> ReplyDecoder:
    return Anthropic().decoder(model_call(), counting_ids(), FAMILY)


FORMATS: dict[str, tuple[Callable[[Answer], tuple[bytes, bytes]], Callable[[], ReplyDecoder]]] = {
    "chat": (in_chat, read_chat),
    "messages": (in_messages, read_messages),
}


def sayable() -> Iterable[tuple[str, str, Transcript]]:
    """The replies that ended, without calls that only the Responses API has words for."""
    for dialect in DIALECTS.values():
        for file in dialect.files:
            transcript = dialect.decode(file)
            made = {event.item["type"] for event in transcript.events if isinstance(event, ev.OutputItemDone)}
            if transcript.end is not None and not made & (CALL_TYPES.keys() - _PLAIN_CALLS):
                yield dialect.name, file, transcript


SAYABLE = [*sayable()]


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize(
    "transcript", [entry[2] for entry in SAYABLE], ids=[f"{dialect}-{file}" for dialect, file, _ in SAYABLE]
)
def test_an_answer_is_the_same_whole_and_as_a_stream(transcript: Transcript, format_: str) -> None:
    """Another gateway in front of ours makes the same of both, and finds in it what the upstream said."""
    encode, decoder = FORMATS[format_]
    answer = answer_of(transcript)

    body, stream = encode(answer)
    whole, reader = [*decoder().whole(body)], decoder()
    streamed = [*reader.feed(stream), *reader.finish()]

    assert said_in(streamed) == said_in(whole)
    assert streamed[-1] == whole[-1]
    text, calls = said_in([*answer.events[2:-1], streamed[-1]])
    assert calls == said_in(whole)[1]
    assert said_in(whole)[0].startswith(text)  # the Messages API says a refusal twice: as text, and as the reason


def said_in(events: Sequence[ReplyEvent]) -> tuple[str, list[tuple[str, str]]]:
    """The text and the calls of a reply. Chat has no order among thoughts and texts, and half a call no arguments."""
    accumulator = Accumulator()
    accumulator.feed([event for event in events if not isinstance(event, ReplyEnd)])
    output = accumulator.output()
    parts = [part for item in output if item["type"] == "message" for part in item["content"]]
    texts = [part.get("text", part.get("refusal", "")) for part in parts]
    calls = [item for item in output if item["type"] in _PLAIN_CALLS]
    whole = [(call["name"], _arguments(call) if call["status"] == "completed" else "") for call in calls]
    return "".join(texts), whole


def _arguments(call: JsonObject) -> str:
    """What a call is made with; a custom tool's input is the one argument of a function where it is read again."""
    if "input" in call:
        return str(call["input"])
    arguments = orjson.loads(call["arguments"] or "{}")
    return str(arguments["input"]) if arguments.keys() == {"input"} else str(arguments)
