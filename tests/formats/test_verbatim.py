"""Requests that say more than their format knows, and streams in the words of their upstream."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
import pytest

from antiphon.formats.chat import ChatFormat
from antiphon.formats.chat.frames import BUCKET
from antiphon.formats.messages import MessagesFormat
from antiphon.formats.verbatim.document import one_line, read, write
from antiphon.hub.errors import InvalidRequest, UnsupportedParameter, UpstreamBroken
from antiphon.hub.events import Event, OutputTextDelta, ResponseCompleted, ResponseCreated, ResponseFailed
from antiphon.hub.format import DialectTurn
from antiphon.hub.items import JsonObject
from antiphon.hub.verbatim import Heard, Verbatim

CHAT, MESSAGES = ChatFormat(), MessagesFormat()
HELLO = {"role": "user", "content": "Hello"}
CHAT_BODY: JsonObject = {"model": "m", "messages": [HELLO]}
BODY: JsonObject = {"model": "m", "max_tokens": 9, "messages": [HELLO]}
TOOL = {"name": "f", "input_schema": {}}
RESPONSE: JsonObject = {
    "id": "resp_1",
    "created_at": 1,
    "model": "m",
    "status": "in_progress",
    "output": [],
    "usage": None,
    "service_tier": None,
    "error": None,
}
DELTA = OutputTextDelta("msg_1", 0, 0, "a")


def own(turn: DialectTurn) -> Verbatim:
    """The client's own words of a turn."""
    assert turn.verbatim is not None
    return turn.verbatim


def refusal(turn: DialectTurn) -> UnsupportedParameter | None:
    """Why no other dialect can be told; None if any can."""
    try:
        own(turn).require_sayable()
    except UnsupportedParameter as error:
        return error
    return None


FUNCTION = {"type": "function", "function": {"name": "f"}}
FILE = {"type": "file", "file": {"file_data": "data:a", "x": 1}}

# What is sent, on top of a request that is right, by the name of what is refused elsewhere.
CHAT_UNKNOWN: dict[str, JsonObject] = {
    "min_p": {"min_p": 1},
    "tools[0].x": {"tools": [{**FUNCTION, "x": 1}]},
    "tools[0].function.x": {"tools": [{"type": "function", "function": {"name": "f", "x": 1}}]},
    "stream_options.x": {"stream": True, "stream_options": {"x": 1}},
    "response_format.x": {"response_format": {"type": "text", "x": 1}},
    "tool_choice.function.x": {
        "tools": [FUNCTION],
        "tool_choice": {"type": "function", "function": {"name": "f", "x": 1}},
    },
    "messages[0].content[0].file.x": {"messages": [{"role": "user", "content": [FILE]}]},
    "logit_bias": {"logit_bias": {"1": 2}},
    "prompt_cache_options": {"prompt_cache_options": {"mode": "x"}},
}
MESSAGES_UNKNOWN: dict[str, JsonObject] = {
    "novel": {"novel": 1},
    "messages[0].id": {"messages": [{**HELLO, "id": "a"}]},
    "messages[0].content[0].status": {
        "messages": [{"role": "user", "content": [{"type": "text", "text": "a", "status": 1}]}]
    },
    "system[0].x": {"system": [{"type": "text", "text": "a", "x": 1}]},
    "tools[0].parameters": {"tools": [{**TOOL, "parameters": {}}]},
    "thinking.x": {"thinking": {"type": "adaptive", "x": 1}},
    "top_k": {"top_k": 5},
    "inference_geo": {"inference_geo": "eu"},
}
UNKNOWN = [
    *((CHAT.decode, {**CHAT_BODY, **fields}, param) for param, fields in CHAT_UNKNOWN.items()),
    *((MESSAGES.decode, {**BODY, **fields}, param) for param, fields in MESSAGES_UNKNOWN.items()),
]
# Known to the format, which has nothing behind them.
UNSERVED = ("logit_bias", "prompt_cache_options", "top_k", "inference_geo")


@pytest.mark.parametrize(("decode", "body", "param"), UNKNOWN, ids=[case[2] for case in UNKNOWN])
def test_what_is_unknown_is_remembered(
    decode: Callable[[JsonObject], DialectTurn], body: JsonObject, param: str
) -> None:
    """The turn is read without it, has the body as it came, and says what another dialect would lose."""
    turn = decode(body)
    error = refusal(turn)

    assert own(turn).body is body
    assert error is not None
    assert (param, "unsupported_parameter" if param in UNSERVED else "unknown_parameter") == (error.param, error.code)
    assert f"'{param}'" in error.message


def test_what_is_known_can_go_anywhere() -> None:
    """A request without unknown fields is refused by nobody."""
    for turn in (CHAT.decode({**CHAT_BODY, "logit_bias": {}}), MESSAGES.decode({**BODY, "temperature": None})):
        assert refusal(turn) is None


@pytest.mark.parametrize(
    ("decode", "body", "param"),
    [
        (CHAT.decode, {**CHAT_BODY, "zzz": 1, "n": 2}, "n"),
        (CHAT.decode, {**CHAT_BODY, "zzz": 1, "temperature": "hot"}, "temperature"),
        (CHAT.decode, {**CHAT_BODY, "audio": {}}, "audio"),
        (MESSAGES.decode, {**BODY, "zzz": 1, "mcp_servers": [{"url": "a"}]}, "mcp_servers"),
        (MESSAGES.decode, {**BODY, "tools": [{"type": "web_search_20250305", "name": "a"}]}, "tools[0]"),
    ],
    ids=["several answers", "wrong", "other form", "servers", "tools"],
)
def test_what_is_wrong_or_changes_the_answer_is_refused(
    decode: Callable[[JsonObject], DialectTurn], body: JsonObject, param: str
) -> None:
    """Beside an unknown field the real fault is told, which no upstream could do anything about."""
    with pytest.raises(InvalidRequest) as caught:
        decode(body)

    assert caught.value.param == param


def test_a_count_takes_no_unknown_fields() -> None:
    """What is counted is the hub's; a field that would not be counted is refused."""
    with pytest.raises(InvalidRequest) as caught:
        MESSAGES.decode_count({"model": "m", "messages": [HELLO], "novel": 1})

    assert caught.value.param == "novel"


def test_signatures_of_our_own_making_go_up_in_no_form() -> None:
    """A thought whose signature stands for several blocks is taken apart again, so the body does not go up as it is."""
    thought = {"type": "thinking", "thinking": "a", "signature": "antiphon-blocks.W10="}
    said = [HELLO, {"role": "assistant", "content": [thought, {"type": "text", "text": "b"}]}, HELLO]

    assert MESSAGES.decode({**BODY, "messages": said}).verbatim is None
    with pytest.raises(UnsupportedParameter) as caught:
        MESSAGES.decode({**BODY, "messages": said, "novel": 1})

    assert caught.value.param == "novel"


# Streams.


def heard_of(turn: DialectTurn, *frames: bytes, end: bytes = b"") -> Heard:
    """What was heard for a turn; *end* is the first frame of the end."""
    heard = own(turn).heard
    heard.begin()
    for frame in frames:
        heard.hear(frame, ends=False)
    if end:
        heard.hear(end, ends=True)
    return heard


def stream(decode: Callable[[JsonObject], DialectTurn], body: JsonObject, events: list[Event], **heard: Any) -> bytes:
    """The stream of a turn whose words were heard before its events are told."""
    turn = decode(body)
    encoder = (CHAT if decode == CHAT.decode else MESSAGES).stream_encoder(turn)
    heard_of(turn, *heard.pop("frames"), **heard).accept(0)
    return encoder.encode(events)


FRAMES = [b'{"id":"x","choices":[{"delta":{"content":"a"}}]}']
LAST = b'{"id":"x","choices":[{"delta":{},"finish_reason":"stop"}]}'


BARE = {"stream": True, "stream_options": {"include_obfuscation": False}}


def test_the_end_waits_for_the_terminal_event() -> None:
    """Until the turn is stored nobody reads that it has ended."""
    turn = CHAT.decode({**CHAT_BODY, **BARE})
    encoder = CHAT.stream_encoder(turn)
    heard_of(turn, *FRAMES, end=LAST).accept(0)

    begun = encoder.encode([ResponseCreated(RESPONSE), DELTA])
    ended = encoder.encode([ResponseCompleted({**RESPONSE, "status": "completed"})])

    assert begun == b'data: {"id":"chatcmpl-1","choices":[{"delta":{"content":"a"}}]}\n\n'
    assert ended == (b'data: {"id":"chatcmpl-1","choices":[{"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n')
    assert encoder.encode([]) == b""


def test_chunks_are_padded_unless_that_is_not_wanted() -> None:
    """Their size tells a text's length in buckets only; who wants no padding is not shown the upstream's either."""
    frames = [b'{"id":"x","choices":[{"delta":{"content":"%b"}}]}' % (b"a" * size) for size in range(1, 40)]
    theirs = b'{"id":"x","choices":[{"delta":{"content":"a"}}],"obfuscation":"theirs"}'
    count = b'{"id":"x","choices":[],"usage":{"prompt_tokens":1}}'
    options = {"include_usage": True}

    def said(**more: bool) -> list[bytes]:
        body = {**CHAT_BODY, "stream": True, "stream_options": {**options, **more}}
        raw = stream(CHAT.decode, body, [ResponseCreated(RESPONSE), DELTA], frames=[*frames, theirs, count])
        return raw.strip().split(b"\n\n")

    *padded, kept, counted = said()
    bare = said(include_obfuscation=False)

    assert len({len(frame) % BUCKET for frame in padded}) == 1
    assert all(orjson.loads(frame.removeprefix(b"data: "))["obfuscation"] for frame in padded)
    assert kept.endswith(b',"obfuscation":"theirs"}')
    assert not any(b"obfuscation" in frame for frame in (counted, *bare))


def test_what_the_turn_has_not_taken_in_is_not_shown() -> None:
    """A frame whose events were refused after it was decoded stays here, and the error follows what was said."""
    turn = CHAT.decode({**CHAT_BODY, "stream": True})
    encoder = CHAT.stream_encoder(turn)
    heard = heard_of(turn, *FRAMES)
    heard.accept(0)
    heard.hear(b'{"never":"seen"}', ends=False)

    failure = {**RESPONSE, "status": "failed", "error": {"code": "server_error", "message": "No."}}
    raw = encoder.encode([ResponseCreated(RESPONSE), DELTA, ResponseFailed(failure)])

    assert raw.count(b"data: ") == 2
    assert b'"content":"a"' in raw
    assert b'"error":{"message":"No."' in raw
    assert b"never" not in raw


def test_what_stands_behind_an_event_is_shown_behind_it() -> None:
    """A reader who takes events slice by slice is given what was heard slice by slice, also if he came early."""
    turn = CHAT.decode({**CHAT_BODY, **BARE})
    encoder = CHAT.stream_encoder(turn)
    encoder.encode([ResponseCreated(RESPONSE)])
    heard = heard_of(turn)
    for said_events in (2, 4, 5):
        heard.hear(b'{"at":%d}' % said_events, ends=False)
        heard.accept(said_events)

    slices = [encoder.encode(events) for events in ([], [DELTA], [DELTA, DELTA, DELTA])]

    assert [[number for number in (2, 4, 5) if b'"at":%d' % number in raw] for raw in slices] == [[], [2], [4, 5]]


def test_a_failure_hides_the_end() -> None:
    """If the turn could not be stored, its client reads an error in the place of the end."""
    failure = {**RESPONSE, "status": "failed", "error": {"code": "server_error", "message": "No."}}
    raw = stream(
        CHAT.decode,
        {**CHAT_BODY, "stream": True},
        [ResponseCreated(RESPONSE), DELTA, ResponseFailed(failure)],
        frames=FRAMES,
        end=LAST,
    )

    assert b"finish_reason" not in raw
    assert b"[DONE]" not in raw


def test_each_frame_is_there_without_its_event() -> None:
    """Who has frames of his own gets the JSON alone, and no mark of the end."""
    turn = CHAT.decode({**CHAT_BODY, "stream": True})
    encoder = CHAT.stream_encoder(turn)
    heard_of(turn, *FRAMES, end=LAST).accept(0)

    shown = encoder.encode_each([ResponseCreated(RESPONSE), ResponseCompleted({**RESPONSE, "status": "completed"})])

    assert [orjson.loads(frame)["id"] for frame in shown] == ["chatcmpl-1", "chatcmpl-1"]


NAMES = [
    (b'{"type":"novel_event","x":1}', b'event: novel_event\ndata: {"type":"novel_event","x":1}\n\n'),
    (b'{"type":"a\\nb"}', b'data: {"type":"a\\nb"}\n\n'),
    (b'{"type":7}', b'data: {"type":7}\n\n'),
    (b'{"type":"x",\r\n"y":\n1}', b'event: x\ndata: {"type":"x",  "y": 1}\n\n'),
    (b'{"type":"message_start"}', b'event: message_start\ndata: {"type":"message_start"}\n\n'),
]


@pytest.mark.parametrize(("data", "frame"), NAMES, ids=["new", "line end", "number", "lines", "no message"])
def test_no_event_of_an_upstream_breaks_out_of_its_frame(data: bytes, frame: bytes) -> None:
    """Names and line ends of the upstream's cannot make other events of one."""
    raw = stream(MESSAGES.decode, {**BODY, "stream": True}, [ResponseCreated(RESPONSE), DELTA], frames=[data])

    assert frame == raw


@pytest.mark.parametrize(
    "body", [b"[]", b"1", b"{", b'{"a":\xff}', b""], ids=["list", "number", "cut", "bytes", "none"]
)
def test_a_document_is_an_object(body: bytes) -> None:
    """Anything else cannot be passed on."""
    with pytest.raises(UpstreamBroken):
        read(body)


def test_a_documents_other_members_stay_as_they_were_written() -> None:
    """Byte for byte, white space within them included."""
    body = b'{"id": "a", "n": 1.50, "s": "\\u00e9", "o": { "big":123456789012345678901 } }'

    written = write(read(body) | {"id": "b"})

    assert written == b'{"id":"b","n":1.50,"s":"\\u00e9","o":{ "big":123456789012345678901 }}'
    assert one_line(b'{\r\n"a":1}') == b'{  "a":1}'
