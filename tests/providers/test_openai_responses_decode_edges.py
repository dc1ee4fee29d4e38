"""What Responses upstreams send besides the ordinary: names, pieces that are missing or said twice, and nonsense."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from antiphon.hub.errors import UpstreamBroken, UpstreamError, UpstreamUnavailable
from antiphon.hub.events import OtherEvent, OutputItemAdded, OutputTextDelta, ReplyEnd, type_of
from antiphon.hub.items import JsonObject, Private
from antiphon.hub.turn import ModelCall
from antiphon.hub.upstream import Metered, ReplyEvent
from antiphon.hub.usage import Usage
from antiphon.providers.openai_responses.decode import ResponsesReplyDecoder
from tests.providers.kit.calls import ACCOUNT, function_call, function_output, item, model_call, user
from tests.providers.kit.replies import outcome, without_ids
from tests.providers.openai_responses_replies import decoder, stream, transcript, whole
from tests.streams.fixed_ids import FAMILY, counting_ids


def event(kind: str, **fields: Any) -> JsonObject:
    return {"type": f"response.{kind}", **fields}


def end(*output: JsonObject, **more: Any) -> JsonObject:
    return event("completed", response={"status": "completed", "output": list(output), **more})


def of(*events: JsonObject, call: ModelCall | None = None) -> list[ReplyEvent]:
    return stream(b"".join(b"data: %b\n\n" % orjson.dumps(each) for each in events), call=call)


def said(events: list[ReplyEvent]) -> list[str]:
    return [type_of(each).removeprefix("response.") for each in events if not isinstance(each, ReplyEnd)]


def message(text: str, item_id: str = "m1") -> JsonObject:
    part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    return {"id": item_id, "type": "message", "role": "assistant", "status": "completed", "content": [part]}


def call_of(**fields: Any) -> JsonObject:
    return {"id": "f1", "type": "function_call", "call_id": "c1", "name": "look", "arguments": "{}", **fields}


def open_message(item_id: str = "m1", index: int = 0) -> JsonObject:
    return event("output_item.added", output_index=index, item={**message("", item_id), "content": []})


# Names.


def test_a_call_keeps_one_id() -> None:
    """The id of a call is minted here, the same in all events, and its output in the same reply has it too."""
    events = stream(transcript("shell.sse"))
    items = outcome(events).items
    call_ids = {repr(each.item["call_id"]) for each in events if isinstance(each, OutputItemAdded)}

    assert len(call_ids) == 1
    assert items[0].body["call_id"] == items[1].body["call_id"]
    assert items[0].body["call_id"].startswith("call_")


def test_a_call_that_went_up_keeps_its_name() -> None:
    """What refers to a call of the context means ours; any other id of a call is minted."""
    asked = model_call(function_call("call_ours"), function_output("call_ours"))
    output = {"id": "p1", "type": "program_output", "call_id": "call_ours", "result": "x", "status": "completed"}
    caller = call_of(caller={"type": "program", "caller_id": "call_ours"})
    stranger = call_of(id="f2", call_id="call_ours", caller={"type": "program", "caller_id": "call_theirs"})

    bodies = [made.body for made in outcome(of(end(output, caller, stranger), call=asked)).items]

    assert bodies[0]["call_id"] == bodies[1]["caller"]["caller_id"] == "call_ours"
    assert bodies[2]["call_id"] not in ("call_ours", bodies[1]["call_id"])
    assert bodies[2]["caller"]["caller_id"].startswith("call_")
    assert bodies[2]["caller"]["caller_id"] != "call_theirs"


def test_an_approval_of_an_earlier_turn_is_named_as_here() -> None:
    """The upstream's id of an approval request becomes ours, from this reply or an earlier one; others vanish."""
    private = Private("openai_responses", ACCOUNT, {"id": "mcpr_up"})
    asked = model_call(item("mcp_approval_request", item_id="mcpr_ours", private=private), user("Hi"))
    made = {"id": "mcp_1", "type": "mcp_call", "name": "t", "server_label": "s", "arguments": "{}"}
    request = {"id": "mcpr_new", "type": "mcp_approval_request", "name": "t", "server_label": "s", "arguments": "{}"}
    replies = [request, *({**made, "approval_request_id": each} for each in ("mcpr_up", "mcpr_new", "mcpr_lost"))]

    items = outcome(of(end(*replies), call=asked)).items

    assert [each.body["approval_request_id"] for each in items[1:]] == ["mcpr_ours", items[0].id, None]


def test_encrypted_reasoning_is_shown_to_whom_asked() -> None:
    """It is kept for the upstream in every case; a client sees it only on request, marked with where it belongs."""
    asked = model_call(include=frozenset({"reasoning.encrypted_content"}))
    hidden = outcome(stream(transcript("reasoning_sealed.sse"))).items[0]
    events = stream(transcript("reasoning_sealed.sse"), call=asked)
    shown = outcome(events).items[0]

    assert "encrypted_content" not in hidden.body
    assert hidden.private == shown.private == Private("openai_responses", ACCOUNT, {"encrypted_content": "gAAAsealedB"})
    assert shown.body["encrypted_content"].startswith("antiphon.")
    assert shown.body["encrypted_content"].endswith(".gAAAsealedB")
    assert "gAAAbegun" not in repr(events)


# What is left out, and what is said twice.


def test_a_citation_that_was_not_announced_is() -> None:
    """Annotations that only the finished part has are said before it closes."""
    cited = message("Paris")
    cited["content"][0]["annotations"] = [{"type": "file_path", "file_id": "f", "index": 0}]
    delta = event("output_text.delta", item_id="m1", output_index=0, content_index=0, delta="Paris")
    done = event("output_item.done", output_index=0, item=cited)

    events = of(open_message(), delta, done, end())

    assert said(events) == [
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.done",
        "output_text.annotation.added",
        "content_part.done",
        "output_item.done",
    ]
    assert without_ids(outcome(events).items)[0]["content"] == cited["content"]


def test_an_annotation_may_come_before_its_text() -> None:
    """A citation opens the part that it stands in."""
    annotation = event("output_text.annotation.added", item_id="m1", annotation={"type": "file_path", "file_id": "f"})
    done = event("output_item.done", item=message("Hi"))

    content = outcome(of(open_message(), annotation, done, end())).items[0].body["content"]

    assert [(part["text"], len(part["annotations"])) for part in content] == [("Hi", 1)]


def test_what_is_said_twice_counts_once() -> None:
    """Repeated announcements and ends of items, parts, texts and arguments change nothing."""
    place = {"item_id": "m1", "output_index": 0, "content_index": 0}
    part = message("Hi")["content"][0]
    text = [
        *[open_message()] * 2,
        event("content_part.added", **place, part={**part, "text": ""}),
        event("output_text.delta", **place, delta="Hi"),
        *[event("output_text.done", **place, text="Hi")] * 2,
        event("content_part.done", **place, part=part),
        event("output_text.done", **place, text="Hi"),
        *[event("output_item.done", output_index=0, item=message("Hi"))] * 2,
        event("output_text.done", **place, text="Hi"),
    ]
    spot = {"item_id": "f1", "output_index": 1}
    called = [
        event("output_item.added", output_index=1, item=call_of(arguments="")),
        *[event("function_call_arguments.done", **spot, arguments="{}")] * 2,
        event("output_item.done", output_index=1, item=call_of()),
    ]

    events = of(*text, *called, end(message("Hi"), call_of()))

    assert len(said(events)) == len(set(said(events))) + 2  # two items, each added and done once
    assert [body["type"] for body in without_ids(outcome(events).items)] == ["message", "function_call"]


def test_a_part_may_close_before_its_text_is_said() -> None:
    """A server that swaps the two is put in order, and the text is not said again."""
    place = {"item_id": "m1", "output_index": 0, "content_index": 0}
    part = message("Hi")["content"][0]

    events = of(
        open_message(),
        event("output_text.delta", **place, delta="Hi"),
        event("content_part.done", **place, part=part),
        event("output_text.done", **place, text="Hi"),
        event("output_item.done", output_index=0, item=message("Hi")),
        end(),
    )

    assert said(events)[2:5] == ["output_text.delta", "output_text.done", "content_part.done"]
    assert without_ids(outcome(events).items) == without_ids(outcome(of(end(message("Hi")))).items)


def test_calls_may_overlap() -> None:
    """Pieces of calls that are made at once find their call by its id, or by its place."""
    first, second = call_of(arguments="{1}"), call_of(id="f2", call_id="c2", name="find", arguments="{2}")

    events = of(
        event("output_item.added", output_index=0, item={**first, "arguments": ""}),
        event("output_item.added", output_index=1, item={**second, "arguments": ""}),
        event("function_call_arguments.delta", item_id="f1", delta="{1"),
        event("function_call_arguments.delta", output_index=1, delta="{2"),
        event("function_call_arguments.delta", item_id="f1", delta="}"),
        event("function_call_arguments.delta", output_index=1, delta="}"),
        event("output_item.done", output_index=1, item=second),
        event("output_item.done", output_index=0, item=first),
        end(first, second),
    )

    assert [(made.body["name"], made.body["arguments"]) for made in outcome(events).items] == [
        ("look", "{1}"),
        ("find", "{2}"),
    ]


def test_an_item_that_was_not_streamed_is_said_at_the_end() -> None:
    """What only the final response has is not lost, and what was streamed is not said again."""
    thought = {"id": "r1", "type": "reasoning", "summary": [], "encrypted_content": "gAAA"}
    streamed_part = event("output_item.done", output_index=0, item=message("Hi"))

    items = outcome(of(streamed_part, end(thought, message("Hi"), message("Ho", "m2")))).items

    assert [made.type for made in items] == ["message", "reasoning", "message"]
    assert items[2].body["content"][0]["text"] == "Ho"


FORMS: dict[str, tuple[JsonObject, JsonObject]] = {
    "content that is a text": ({**message(""), "content": "Hi"}, message("Hi")),
    "no content": ({"id": "m1", "type": "message", "content": None}, {**message(""), "content": []}),
    "a null phase": ({**message("Hi"), "phase": None, "role": None}, message("Hi")),
    "no status": (call_of(), call_of(status="completed")),
    "arguments that are an object": (call_of(arguments={"a": 1}), call_of(arguments='{"a":1}', status="completed")),
    "no arguments": (call_of(arguments=None), call_of(arguments="", status="completed")),
    "a call without an id": (call_of(call_id=None), call_of(status="completed")),
    "reasoning without a summary": (
        {"id": "r1", "type": "reasoning", "status": None},
        {"type": "reasoning", "summary": []},
    ),
    "null fields of a hosted tool": ({"type": "mcp_call", "output": None}, {"type": "mcp_call", "output": None}),
}


@pytest.mark.parametrize(("wire", "expected"), FORMS.values(), ids=FORMS)
def test_forms_of_items(wire: JsonObject, expected: JsonObject) -> None:
    """Items come in the API's own form, however a server writes them, streamed or not."""
    expected = {name: value for name, value in expected.items() if name not in ("id", "call_id")}
    added = event("output_item.added", output_index=0, item={**wire, "arguments": ""})

    assert without_ids(outcome(of(end(wire))).items) == [expected]
    assert without_ids(outcome(of(added, event("output_item.done", output_index=0, item=wire), end())).items) == [
        expected
    ]


def test_open_responses_names_of_raw_reasoning() -> None:
    """The Open Responses specification names two events otherwise."""
    events = of(event("reasoning.delta", delta="Hm."), event("reasoning.done", text="Hm."), end())

    assert without_ids(outcome(events).items) == [
        {"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "Hm."}]}
    ]


def test_parts_of_unknown_kinds_ride_along() -> None:
    """A part that this version does not know opens and closes as it came."""
    part = {"type": "output_audio", "data": "UklGRg=="}
    spoken = {**message(""), "content": [part]}
    place = {"item_id": "m1", "output_index": 0, "content_index": 0}
    events = of(
        open_message(),
        event("content_part.added", **place, part={"type": "output_audio"}),
        event("output_audio.delta", **place, delta="UklG"),
        event("content_part.done", **place, part=part),
        event("output_item.done", output_index=0, item=spoken),
        end(),
    )

    assert said(events)[1:4] == ["content_part.added", "output_audio.delta", "content_part.done"]
    assert without_ids(outcome(events).items)[0]["content"] == [part]
    assert without_ids(outcome(of(end(spoken))).items)[0]["content"] == [part]


def test_a_whole_reply_is_said_in_deltas() -> None:
    """A client that reads deltas alone has all of a reply that came in one piece."""
    parts = message("Hi")["content"]
    said_aloud = {**message(""), "content": [*parts, {"type": "refusal", "refusal": "No."}]}
    custom = {"id": "c2", "type": "custom_tool_call", "call_id": "c2", "name": "p", "input": "x"}
    thought = {"id": "r1", "type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm."}]}
    thought["content"] = [{"type": "reasoning_text", "text": "Aha."}]

    events = of(end(thought, said_aloud, call_of(), custom))

    assert [getattr(each, "delta", None) for each in events if type_of_delta(each)] == [
        "Hm.",
        "Aha.",
        "Hi",
        "No.",
        "{}",
        "x",
    ]


def test_what_rides_along_stands_where_its_item_stands() -> None:
    """An upstream that counts its items otherwise does not lead clients to the wrong one."""
    search = {"id": "ws_1", "type": "web_search_call", "status": "in_progress"}
    events = of(
        event("output_item.added", output_index=4, item=search),
        event("web_search_call.searching", item_id="ws_1", output_index=4),
        event("web_search_call.completed", output_index=4),
        event("output_item.done", output_index=4, item={**search, "status": "completed"}),
        end(),
    )
    others = [each.fields for each in events if isinstance(each, OtherEvent)]

    assert others == [{"item_id": outcome(events).items[0].id, "output_index": 0}, {"output_index": 0}]


SILENT = {
    "no item": event("rate_limits.updated", limits=[]),
    "an item that is not there": event("web_search_call.searching", item_id="ws_9", output_index=9),
    "a name that is none": {"type": "response.x y\n", "item_id": "m1"},
    "no type": {"item_id": "m1"},
    "an empty delta": event("output_text.delta", item_id="m1", output_index=0, delta=""),
    "an annotation that is none": event("output_text.annotation.added", item_id="m1", annotation=None),
}


@pytest.mark.parametrize("silent", SILENT.values(), ids=SILENT)
def test_what_says_nothing_of_an_item_is_left_out(silent: JsonObject) -> None:
    """Events that name nothing of this reply disturb nobody."""
    rest = (event("output_item.done", output_index=0, item=message("Hi")), end())

    assert of(open_message(), silent, *rest) == of(open_message(), *rest)


# The end.


def test_a_reply_without_usage() -> None:
    """What the upstream does not say is not made up; a tier of its own is not the API's."""
    assert outcome(of(end(message("Hi"), service_tier="on_demand", usage=None))).end == ReplyEnd(status="completed")


USAGES: dict[str, tuple[Any, Usage]] = {
    "totals alone": (
        {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5},
        Usage(input_tokens=3, output_tokens=2),
    ),
    "null details": ({"input_tokens": 3, "input_tokens_details": None}, Usage(input_tokens=3)),
    "negative counts": ({"input_tokens": -1, "output_tokens": 2}, Usage(output_tokens=2)),
}


@pytest.mark.parametrize(("usage", "expected"), USAGES.values(), ids=USAGES)
def test_usage(usage: Any, expected: Usage) -> None:
    """Counts are read as far as they are there."""
    assert outcome(of(end(usage=usage))).end.usage == expected


@pytest.mark.parametrize("details", [None, {}, {"reason": None}, {"reason": "length"}, {"reason": "max_tokens"}])
def test_an_incomplete_reply_without_the_apis_reason(details: Any) -> None:
    """Where a server gives no reason, or a chat's, it is the limit of output."""
    response = {"status": "incomplete", "incomplete_details": details, "output": []}

    assert whole(orjson.dumps(response)) == [ReplyEnd(status="incomplete", incomplete_reason="max_output_tokens")]


def test_only_the_last_item_was_cut_off() -> None:
    """In a reply that was cut short, items in front of the last one are whole, if they do not say otherwise."""
    cut = {"status": "incomplete", "output": [call_of(), call_of(id="f2", call_id="c2", arguments="{")]}

    items, ended = outcome(whole(orjson.dumps(cut)))

    assert [made.body["status"] for made in items] == ["completed", "incomplete"]
    assert ended.status == "incomplete"


@pytest.mark.parametrize("kind", ["completed", "incomplete"])
def test_the_name_of_the_event_stands_for_a_status(kind: str) -> None:
    """A terminal event whose response has no status means what it is called."""
    (ended,) = of(event(kind, response={}))

    assert isinstance(ended, ReplyEnd)
    assert ended.status == kind


def test_an_answer_that_was_cancelled() -> None:
    """An upstream that stops by itself may be asked again."""
    with pytest.raises(UpstreamUnavailable, match="cancelled"):
        whole(b'{"status":"cancelled","output":[]}')


@pytest.mark.parametrize("status", ["queued", "in_progress", "odd\n<b>", None])
def test_an_answer_that_has_not_ended(status: str | None) -> None:
    """A body that is not at its end is no reply."""
    with pytest.raises(UpstreamBroken, match="in the status"):
        whole(orjson.dumps({"status": status, "output": []}))


def test_what_was_counted_is_known_without_an_end() -> None:
    """A reply that failed has cost what its response says; before the end nothing is known."""
    reply = decoder()
    failed = {"status": "failed", "error": {"code": "server_error"}, "usage": {"input_tokens": 7}, "output": []}
    before = reply.usage

    with pytest.raises(UpstreamUnavailable):
        reply.whole(orjson.dumps(failed))

    assert isinstance(reply, Metered)
    assert (before, reply.usage) == (None, Usage(input_tokens=7))


# The frame.


def test_line_ends_comments_and_names_alone() -> None:
    """Carriage returns, comments, a byte order mark and events that are named only in their frame are all read."""
    body = b'\xef\xbb\xbf: hello\r\nevent: response.completed\r\ndata: {"response":{"output":[]}}\r\n\r\n'

    assert stream(body) == [ReplyEnd(status="completed")]


def test_a_last_event_without_its_blank_line() -> None:
    """A proxy that drops the last blank line does not break a reply."""
    body = transcript("text.sse")

    assert stream(body.rstrip(b"\n")) == stream(body)


NONSENSE: dict[str, bytes] = {
    "nothing": b"",
    "no JSON": b"data: {nope\n\n",
    "no object": b"data: [1]\n\n",
    "done without an end": b"data: [DONE]\n\n",
    "a delta that is a number": b'data: {"type":"response.output_text.delta","delta":7}\n\n',
    "no item": b'data: {"type":"response.output_item.added"}\n\n',
    "an item without a type": b'data: {"type":"response.output_item.done","item":{}}\n\n',
    "no part": b'data: {"type":"response.content_part.added"}\n\n',
    "a part of no item": b'data: {"type":"response.content_part.added","part":{"type":"odd"}}\n\n',
    "a lone surrogate": b'data: {"type":"response.output_text.delta","delta":"\\ud800"}\n\n',
    "invalid UTF-8": b'data: {"type":"response.output_text.delta","delta":"\xff"}\n\n',
    "output that is no list": b'data: {"type":"response.completed","response":{"output":{"a":1}}}\n\n',
    "output of no items": b'data: {"type":"response.completed","response":{"output":[1]}}\n\n',
    "usage that is none": b'data: {"type":"response.completed","response":{"usage":{"input_tokens":"x"}}}\n\n',
    "nested too deeply": b'data: {"type":"response.output_item.done","item":{"type":"x","a":'
    + b"[" * 600
    + b"]" * 600
    + b"}}\n\n",
    "beyond all depth": b"data: " + b"[" * 5000 + b"\n\n",
    "a call without a name": b'data: {"type":"response.output_item.done","item":{"type":"function_call"}}\n\n',
}


@pytest.mark.parametrize("body", NONSENSE.values(), ids=NONSENSE)
def test_nonsense_is_broken(body: bytes) -> None:
    """What this dialect does not have is the upstream's fault, said as such."""
    with pytest.raises(UpstreamBroken):
        stream(body)


@pytest.mark.parametrize("type_", ["function_call", "custom_tool_call"])
def test_a_call_has_its_name_when_it_begins(type_: str) -> None:
    """No event is said of a call that nobody knows the name of: whoever reads the stream is told it at once."""
    begun = b'data: {"type":"response.output_item.added","item":{"type":"%b"}}\n\n' % type_.encode()

    with pytest.raises(UpstreamBroken, match="without a name"):
        decoder().feed(begun)


MISPLACED: dict[str, list[JsonObject]] = {
    "a piece of an item that is done": [
        event("output_item.done", item=message("Hi")),
        event("output_text.delta", item_id="m1", delta="x"),
    ],
    "a piece of a call that is whole": [
        event("output_item.added", item=call_of(arguments="")),
        event("function_call_arguments.done", item_id="f1", arguments="{}"),
        event("function_call_arguments.delta", item_id="f1", delta="x"),
    ],
    "an item that ends as another": [open_message(), event("output_item.done", item=call_of(id="m1"))],
    "a part that its item cannot have": [
        event("output_item.done", item={**message(""), "content": [{"type": "reasoning_text", "text": "x"}]})
    ],
}


@pytest.mark.parametrize("events", MISPLACED.values(), ids=MISPLACED)
def test_what_cannot_be_where_it_is(events: list[JsonObject]) -> None:
    """A stream that contradicts itself is broken, not guessed at."""
    with pytest.raises(UpstreamBroken):
        of(*events, end())


def test_an_event_that_is_too_long() -> None:
    """The longest event is bounded."""
    reply = ResponsesReplyDecoder(counting_ids(), FAMILY, model_call(), max_event_bytes=100)

    with pytest.raises(UpstreamBroken, match="max_event_bytes"):
        reply.feed(b"data: " + b"x" * 200)


def test_nothing_is_taken_after_a_failure() -> None:
    """Bytes behind a fault are ignored, and the fault stays."""
    reply = decoder()
    reply.feed(transcript("error.sse"))

    assert reply.feed(transcript("text.sse")) == ()
    with pytest.raises(UpstreamError):
        reply.finish()


def type_of_delta(each: ReplyEvent) -> bool:
    return not isinstance(each, ReplyEnd) and type_of(each).endswith(".delta")


TRANSCRIPTS = [
    "text",
    "refusal",
    "reasoning_call",
    "raw_reasoning",
    "custom_call",
    "mcp",
    "shell",
    "unknown",
    "web_search",
]
WIRE = {
    name: [
        orjson.loads(line.removeprefix(b"data: "))
        for line in transcript(f"{name}.sse").split(b"\n")
        if line.startswith(b"data: ")
    ]
    for name in TRANSCRIPTS
}
FIELDS = [
    "item_id",
    "output_index",
    "content_index",
    "summary_index",
    "item",
    "part",
    "delta",
    "text",
    "arguments",
    "type",
]


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_any_stream_comes_in_order_or_is_broken(data: st.DataObject) -> None:
    """However events are dropped, repeated, swapped or stripped, what comes out keeps the order that clients need."""
    wire = [dict(each) for each in WIRE[data.draw(st.sampled_from(TRANSCRIPTS))]]
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(wire) - 1))
        match data.draw(st.sampled_from(["drop", "repeat", "swap", "strip"])):
            case "drop" if len(wire) > 1:
                del wire[place]
            case "repeat":
                wire.insert(place, wire[place])
            case "swap":
                other = data.draw(st.integers(0, len(wire) - 1))
                wire[place], wire[other] = wire[other], wire[place]
            case _:
                wire[place] = {**wire[place]}
                wire[place].pop(data.draw(st.sampled_from(FIELDS)), None)

    try:
        events = of(*wire)
    except UpstreamError:
        return

    outcome(events)
    assert all(each.delta for each in events if isinstance(each, OutputTextDelta))
