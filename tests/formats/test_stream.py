"""Streams: framing, numbering, the fast path against the rule, padding, and the SDK's types."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai._models import validate_type
from openai.types.responses import ResponseStreamEvent

from antiphon.formats.responses import ResponsesFormat
from antiphon.formats.responses.stream import BUCKET, ResponsesStreamEncoder, encode_event
from antiphon.hub import events as ev
from antiphon.hub.errors import UpstreamBroken
from antiphon.hub.events import Event, OtherEvent
from antiphon.hub.items import Private
from antiphon.hub.response import opening_response
from antiphon.hub.turn import TurnRequest

PART = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
SUMMARY = {"type": "summary_text", "text": ""}
LOGPROB = {"token": "a", "logprob": -0.1, "bytes": [97], "top_logprobs": []}
MESSAGE = {"id": "msg_1", "type": "message", "status": "in_progress", "role": "assistant", "content": []}
CITATION = {"type": "url_citation", "start_index": 0, "end_index": 1, "url": "https://x.example", "title": "t"}
OPENING = opening_response(TurnRequest(model="m"), id="resp_1", created_at=1, model="m", conversation_id=None)

EVENTS: list[Event | OtherEvent] = [
    ev.ResponseCreated(OPENING),
    ev.ResponseQueued(OPENING),
    ev.ResponseInProgress(OPENING),
    ev.OutputItemAdded(0, MESSAGE),
    ev.ContentPartAdded("msg_1", 0, 0, PART),
    ev.OutputTextDelta("msg_1", 0, 0, "a"),
    ev.OutputTextDelta("msg_1", 0, 0, "a", (LOGPROB,)),
    ev.OutputTextDone("msg_1", 0, 0, "a", (LOGPROB,)),
    ev.AnnotationAdded("msg_1", 0, 0, 0, CITATION),
    ev.ContentPartDone("msg_1", 0, 0, PART),
    ev.OutputItemDone(0, MESSAGE, Private("anthropic", "main", {"signature": "secret"})),
    ev.RefusalDelta("msg_1", 0, 0, "no"),
    ev.RefusalDone("msg_1", 0, 0, "no"),
    ev.FunctionCallArgumentsDelta("fc_1", 1, "{"),
    ev.FunctionCallArgumentsDone("fc_1", 1, "{}", "f"),
    ev.CustomToolCallInputDelta("ctc_1", 2, "x"),
    ev.CustomToolCallInputDone("ctc_1", 2, "x"),
    ev.ReasoningTextDelta("rs_1", 3, 0, "r"),
    ev.ReasoningTextDone("rs_1", 3, 0, "r"),
    ev.ReasoningSummaryPartAdded("rs_1", 3, 0, SUMMARY),
    ev.ReasoningSummaryTextDelta("rs_1", 3, 0, "s"),
    ev.ReasoningSummaryTextDone("rs_1", 3, 0, "s"),
    ev.ReasoningSummaryPartDone("rs_1", 3, 0, SUMMARY),
    OtherEvent("response.web_search_call.searching", {"item_id": "ws_1", "output_index": 4}),
    OtherEvent("response.mcp_call_arguments.delta", {"item_id": "mcp_1", "output_index": 5, "delta": "{}"}),
    ev.ResponseCompleted(OPENING),
    ev.ResponseFailed(OPENING),
    ev.ResponseIncomplete(OPENING),
]


def parsed(block: bytes) -> list[dict[str, Any]]:
    """The JSON of every event, after checking the frame around it."""
    found = []
    for frame in block.decode().removesuffix("\n\n").split("\n\n"):
        match = re.fullmatch(r"event: ([a-z_.]+)\ndata: ([^\r\n]+)", frame)
        assert match is not None, frame
        body = orjson.loads(match.group(2))
        assert match.group(1) == body["type"]
        found.append(body)
    return found


def encoder(*, obfuscate: bool) -> ResponsesStreamEncoder:
    return ResponsesFormat().stream_encoder(obfuscate=obfuscate)


@pytest.mark.parametrize("obfuscate", [False, True], ids=["plain", "obfuscated"])
def test_every_event_is_one_that_the_sdk_knows(obfuscate: bool) -> None:
    """Each passes the SDK's union of stream events, strictly."""
    for body in parsed(encoder(obfuscate=obfuscate).encode(EVENTS)):
        validate_type(type_=ResponseStreamEvent, value=body)  # type: ignore[arg-type]  # a union is a type to pydantic


def test_the_events_above_leave_no_type_out() -> None:
    """Every struct of the hub's events is written at least once."""
    abstract = {Event, ev.LifecycleEvent}
    structs = {value for value in vars(ev).values() if isinstance(value, type) and issubclass(value, Event)}

    assert structs - abstract == {type(event) for event in EVENTS} - {OtherEvent}


def test_an_event_says_what_its_struct_says() -> None:
    """Names and values are those of the hub, and nothing else is on the wire."""
    bodies = parsed(encoder(obfuscate=False).encode(EVENTS))

    for number, (event, body) in enumerate(zip(EVENTS, bodies, strict=True)):
        fields = event.fields if isinstance(event, OtherEvent) else orjson.loads(msgspec.json.encode(event))
        fields.pop("private", None)
        assert {**fields, "type": ev.type_of(event), "sequence_number": number} == body


def test_sequence_numbers_are_dense_across_blocks() -> None:
    """However the events come in batches, they are numbered from 0 without gaps."""
    stream = encoder(obfuscate=False)
    blocks = [stream.encode(EVENTS[:3]), stream.encode([]), stream.encode(EVENTS[3:10]), stream.encode(EVENTS[10:])]

    numbers = [body["sequence_number"] for body in parsed(b"".join(blocks))]

    assert list(range(len(EVENTS))) == numbers


def test_private_data_never_leaves() -> None:
    """What a provider keeps beside an item is on no wire."""
    assert b"secret" not in encoder(obfuscate=True).encode(EVENTS)


TEXTS = st.text(max_size=60) | st.text(alphabet='"\\/\n\r\t\x00\x1f\x7f\u2028%é🙂', max_size=40)
ITEM_IDS = st.sampled_from(["msg_1", "msg_2", 'odd"%d%b\\id'])
INDEXES = st.integers(0, 2)
# An item stands at one output_index, as it does in every stream.
PLACES = {"msg_1": 0, "msg_2": 1, 'odd"%d%b\\id': 7}
DELTAS = st.one_of(
    st.builds(
        lambda kind, item, index, text: kind(item, PLACES[item], index, text),
        st.sampled_from(
            [ev.OutputTextDelta, ev.RefusalDelta, ev.ReasoningTextDelta, ev.ReasoningSummaryTextDelta],
        ),
        ITEM_IDS,
        INDEXES,
        TEXTS,
    ),
    st.builds(
        lambda kind, item, text: kind(item, PLACES[item], text),
        st.sampled_from([ev.FunctionCallArgumentsDelta, ev.CustomToolCallInputDelta]),
        ITEM_IDS,
        TEXTS,
    ),
    st.builds(lambda text: ev.OutputTextDelta("msg_1", 0, 0, text, (LOGPROB,)), TEXTS),
    st.just(ev.OutputItemAdded(0, MESSAGE)),
)


@given(events=st.lists(DELTAS, max_size=30), obfuscate=st.booleans(), cut=st.integers(0, 30))
def test_the_fast_path_writes_what_the_rule_says(events: list[Event], obfuscate: bool, cut: int) -> None:
    """Templates and the general rule give identical bytes for any string, item and order of parts."""
    stream = ResponsesStreamEncoder(obfuscate=obfuscate)
    expected = b"".join([encode_event(event, number, obfuscate=obfuscate) for number, event in enumerate(events)])

    assert expected == stream.encode(events[:cut]) + stream.encode(events[cut:])


@given(texts=st.lists(TEXTS, min_size=1, max_size=20))
def test_a_padded_delta_fills_whole_buckets(texts: list[str]) -> None:
    """The size of a delta's JSON with its padding is a multiple of the bucket, and never without any padding."""
    for event in (ev.OutputTextDelta("msg_1", 0, 0, ""), ev.FunctionCallArgumentsDelta("fc_1", 0, "")):
        stream = encoder(obfuscate=True)
        block = stream.encode([msgspec.structs.replace(event, delta=text) for text in texts])
        for body in parsed(block):
            filled = len(orjson.dumps(body["delta"])) - 2 + len(body["obfuscation"])
            assert filled % BUCKET == 0
            assert 1 <= len(body["obfuscation"]) <= BUCKET


def test_short_deltas_cannot_be_told_apart_by_size() -> None:
    """All deltas below one bucket make events of one size."""
    texts = ["a", " token", "é", "🙂", "\n", '"quoted"', ""]
    sizes = {len(encoder(obfuscate=True).encode([ev.OutputTextDelta("msg_1", 0, 0, text)])) for text in texts}

    assert len(sizes) == 1


def test_only_deltas_are_padded() -> None:
    """Padding is on every delta, also on those that ride along, and on nothing else."""
    for body in parsed(encoder(obfuscate=True).encode(EVENTS)):
        assert body["type"].endswith(".delta") == ("obfuscation" in body)


@pytest.mark.parametrize("name", ["x\ndata: forged", "", "Response.x", "response.x\r", "e" * 101], ids=repr)
def test_an_upstreams_type_cannot_forge_a_frame(name: str) -> None:
    """A type that is not a plain name ends the stream instead of its line."""
    with pytest.raises(UpstreamBroken):
        encoder(obfuscate=False).encode([OtherEvent(name, {})])


def test_an_upstreams_fields_do_not_replace_ours() -> None:
    """The number and the type of an event that rides along are the gateway's own."""
    fields = {"type": "x", "sequence_number": 99, "obfuscation": "zzz", "output_index": 1}

    [body] = parsed(encoder(obfuscate=False).encode([OtherEvent("response.later", fields)]))

    assert body == {"type": "response.later", "output_index": 1, "sequence_number": 0}


def test_a_whole_response_is_plain_json() -> None:
    """The body of a response is the response."""
    assert orjson.loads(ResponsesFormat().encode_response(OPENING)) == OPENING
