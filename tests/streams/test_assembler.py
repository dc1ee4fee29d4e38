"""The assembler: whatever the fragments are, the stream that comes out is well-formed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.hub.errors import UpstreamBroken
from antiphon.hub.events import (
    ContentPartDone,
    Event,
    FunctionCallArgumentsDone,
    OtherEvent,
    OutputItemAdded,
    OutputItemDone,
    OutputTextDelta,
    ReplyEnd,
    ResponseCompleted,
    ResponseCreated,
    ResponseIncomplete,
    type_of,
)
from antiphon.hub.items import JsonObject, Private
from antiphon.hub.upstream import ReplyEvent
from antiphon.hub.usage import Usage
from antiphon.streams.accumulator import Accumulator
from antiphon.streams.assembler import Assembler
from antiphon.streams.order import OrderCheck
from tests.streams.fixed_ids import FAMILY, counting_ids

PRIVATE = Private(provider="p", account="a", data={"signature": "s"})
LOGPROB: JsonObject = {"token": "a", "bytes": [97], "logprob": -0.5, "top_logprobs": []}


def assembler() -> Assembler:
    return Assembler(counting_ids(), FAMILY)


def split_end(events: list[ReplyEvent]) -> tuple[list[Event | OtherEvent], ReplyEnd]:
    *rest, last = events
    assert isinstance(last, ReplyEnd)
    assert not any(isinstance(event, ReplyEnd) for event in rest)
    return [event for event in rest if not isinstance(event, ReplyEnd)], last


def types(events: list[ReplyEvent]) -> list[str]:
    return [type_of(event).removeprefix("response.") for event in events if not isinstance(event, ReplyEnd)]


def done_items(events: list[ReplyEvent]) -> list[JsonObject]:
    return [event.item for event in events if isinstance(event, OutputItemDone)]


Script = Callable[[Assembler], None]


def say_text(a: Assembler) -> None:
    a.text("a")
    a.text("b")
    a.annotation({"type": "url_citation"})


def say_text_then_refusal(a: Assembler) -> None:
    a.text("a")
    a.refusal("no")


def reason(a: Assembler) -> None:
    a.reasoning_text("hm")


def summarise(a: Assembler) -> None:
    a.reasoning_summary("s")
    a.reasoning_text("hm")


def reason_privately(a: Assembler) -> None:
    a.reasoning_private(PRIVATE)


def call(a: Assembler) -> None:
    a.open_function_call(0, "f")
    a.call_delta(0, "{")
    a.call_delta(0, "}")


def call_custom(a: Assembler) -> None:
    a.open_custom_call(0, "c")
    a.call_delta(0, "x")


ADDED, DONE = "output_item.added", "output_item.done"
PART_ADDED, PART_DONE = "content_part.added", "content_part.done"
ORDERS: dict[str, tuple[Script, list[str]]] = {
    "text": (
        say_text,
        [
            *(ADDED, PART_ADDED, "output_text.delta", "output_text.delta", "output_text.annotation.added"),
            *("output_text.done", PART_DONE, DONE),
        ],
    ),
    "text-then-refusal": (
        say_text_then_refusal,
        [
            *(ADDED, PART_ADDED, "output_text.delta", "output_text.done", PART_DONE),
            *(PART_ADDED, "refusal.delta", "refusal.done", PART_DONE, DONE),
        ],
    ),
    "reasoning": (
        reason,
        [ADDED, PART_ADDED, "reasoning_text.delta", "reasoning_text.done", PART_DONE, DONE],
    ),
    "summary-and-reasoning": (
        summarise,
        [
            *(ADDED, "reasoning_summary_part.added", "reasoning_summary_text.delta"),
            *("reasoning_summary_text.done", "reasoning_summary_part.done"),
            *(PART_ADDED, "reasoning_text.delta", "reasoning_text.done", PART_DONE, DONE),
        ],
    ),
    "private-reasoning": (reason_privately, [ADDED, DONE]),
    "function-call": (
        call,
        [
            *(ADDED, "function_call_arguments.delta", "function_call_arguments.delta"),
            *("function_call_arguments.done", DONE),
        ],
    ),
    "custom-call": (
        call_custom,
        [ADDED, "custom_tool_call_input.delta", "custom_tool_call_input.done", DONE],
    ),
    "nothing": (lambda _: None, []),
}


@pytest.mark.parametrize(("script", "expected"), ORDERS.values(), ids=ORDERS.keys())
def test_orders(script: Script, expected: list[str]) -> None:
    """Each kind of item says its events in the order of the API."""
    a = assembler()
    script(a)
    a.end(status="completed")

    assert types(a.take()) == expected


BODIES: dict[str, tuple[Script, JsonObject]] = {
    "text": (
        say_text,
        {
            "type": "message",
            "status": "completed",
            "content": [
                {"type": "output_text", "text": "ab", "annotations": [{"type": "url_citation"}], "logprobs": []}
            ],
            "role": "assistant",
        },
    ),
    "text-then-refusal": (
        say_text_then_refusal,
        {
            "type": "message",
            "status": "completed",
            "content": [
                {"type": "output_text", "text": "a", "annotations": [], "logprobs": []},
                {"type": "refusal", "refusal": "no"},
            ],
            "role": "assistant",
        },
    ),
    "reasoning": (
        reason,
        {
            "type": "reasoning",
            "status": "completed",
            "summary": [],
            "content": [{"type": "reasoning_text", "text": "hm"}],
        },
    ),
    "summary-and-reasoning": (
        summarise,
        {
            "type": "reasoning",
            "status": "completed",
            "summary": [{"type": "summary_text", "text": "s"}],
            "content": [{"type": "reasoning_text", "text": "hm"}],
        },
    ),
    "private-reasoning": (reason_privately, {"type": "reasoning", "status": "completed", "summary": []}),
    "function-call": (call, {"type": "function_call", "status": "completed", "arguments": "{}", "name": "f"}),
    "custom-call": (call_custom, {"type": "custom_tool_call", "status": "completed", "name": "c", "input": "x"}),
}


@pytest.mark.parametrize(("script", "expected"), BODIES.values(), ids=BODIES.keys())
def test_bodies(script: Script, expected: JsonObject) -> None:
    """Each kind of item has the fields of the API when it is done."""
    a = assembler()
    script(a)
    a.end(status="completed")

    (item,) = done_items(a.take())

    assert {name: value for name, value in item.items() if name not in ("id", "call_id")} == expected


@pytest.mark.parametrize("script", [say_text, reason, call, call_custom])
def test_an_item_that_is_open_at_an_incomplete_end_is_incomplete(script: Script) -> None:
    """A reply that was cut short marks the item it was cut in, and no other."""
    a = assembler()
    a.open_function_call("first", "f")
    script(a)
    a.end(status="incomplete", incomplete_reason="max_output_tokens")

    events, end = split_end(a.take())

    assert [item["status"] for item in done_items([*events])] == ["completed", "incomplete"]
    assert end == ReplyEnd(status="incomplete", incomplete_reason="max_output_tokens")


def test_the_end_carries_what_the_upstream_reported() -> None:
    """Usage, model and tier go into the reply's end unchanged."""
    a = assembler()
    a.end(status="completed", usage=Usage(input_tokens=1), model="m", service_tier="default")

    assert a.take() == [
        ReplyEnd(status="completed", usage=Usage(input_tokens=1), model="m", service_tier="default"),
    ]


def test_ids_are_minted_here() -> None:
    """Items get ids of the family and calls a call_id of ours; the key of a call is nowhere in its item."""
    a = assembler()
    a.text("a")
    a.open_function_call("upstream-id", "f", namespace="crm")
    a.end(status="completed")

    message, function_call = done_items(a.take())

    assert message["id"].startswith(f"msg_{FAMILY}")
    assert function_call["id"].startswith(f"fc_{FAMILY}")
    assert function_call["call_id"].startswith("call_")
    assert function_call["namespace"] == "crm"
    assert "upstream-id" not in str(function_call)


def test_indices_count_items_and_parts() -> None:
    """output_index counts items, content_index counts parts within an item."""
    a = assembler()
    a.reasoning_text("hm")
    a.text("a")
    a.refusal("no")
    a.text("b")
    a.end(status="completed")

    done = [event for event in a.take() if isinstance(event, ContentPartDone)]

    assert [(event.output_index, event.content_index) for event in done] == [(0, 0), (1, 0), (1, 1), (1, 2)]


def test_empty_deltas_make_nothing() -> None:
    """An empty fragment neither opens an item nor makes an event."""
    a = assembler()
    a.text("")
    a.refusal("")
    a.reasoning_text("", PRIVATE)
    a.reasoning_summary("")

    assert a.take() == []
    assert a.open_item is None


def test_logprobs_are_said_with_the_delta_and_whole_at_the_end() -> None:
    """Token probabilities ride on their delta and are collected in the part."""
    a = assembler()
    a.text("a", (LOGPROB,))
    a.text("a", (LOGPROB, LOGPROB))
    a.end(status="completed")

    events = a.take()

    assert [len(event.logprobs) for event in events if isinstance(event, OutputTextDelta)] == [1, 2]
    assert done_items(events)[0]["content"][0]["logprobs"] == [LOGPROB] * 3


def test_private_data_is_beside_the_item() -> None:
    """What the provider needs back is on the done event of its own item only, and not in the body."""
    a = assembler()
    a.reasoning_text("hm", PRIVATE)
    a.text("a")
    a.open_function_call(0, "f", private=PRIVATE)
    a.end(status="completed")

    done = [event for event in a.take() if isinstance(event, OutputItemDone)]

    assert [event.private for event in done] == [PRIVATE, None, PRIVATE]
    assert "signature" not in str([event.item for event in done])


def test_a_call_says_its_name_with_its_arguments() -> None:
    """The done event of arguments carries the name, as the API documents it."""
    a = assembler()
    call(a)
    a.end(status="completed")

    (done,) = [event for event in a.take() if isinstance(event, FunctionCallArgumentsDone)]

    assert (done.name, done.arguments) == ("f", "{}")


def test_the_item_that_was_added_does_not_change() -> None:
    """The body in the added event stays as it was said."""
    a = assembler()
    a.text("a")
    (added,) = [event for event in a.take() if isinstance(event, OutputItemAdded)]
    a.text("b")
    a.end(status="completed")

    assert (added.item["status"], added.item["content"]) == ("in_progress", [])


def closed_call(a: Assembler) -> None:
    a.open_function_call(0, "f")
    a.text("a")
    a.call_delta(0, "{")


def closed_by_another_call(a: Assembler) -> None:
    a.open_function_call(0, "f")
    a.open_function_call(1, "f")
    a.call_delta(0, "{")


def unknown_call(a: Assembler) -> None:
    a.open_function_call(0, "f")
    a.call_delta(1, "{")


def call_twice(a: Assembler) -> None:
    a.open_function_call(0, "f")
    a.open_function_call(0, "f")


def closed_call_again(a: Assembler) -> None:
    a.open_function_call(0, "f")
    a.text("a")
    a.open_custom_call(0, "f")


@pytest.mark.parametrize(
    ("script", "message"),
    [
        (closed_call, "after another item had begun"),
        (closed_by_another_call, "after another item had begun"),
        (unknown_call, "had not begun"),
        (call_twice, "twice"),
        (closed_call_again, "twice"),
    ],
)
def test_a_fragment_that_belongs_nowhere_is_refused(script: Script, message: str) -> None:
    """A piece of a call that is not open is the upstream's mistake, and never goes into another call."""
    with pytest.raises(UpstreamBroken, match=message):
        script(assembler())


def test_an_empty_fragment_of_a_closed_call_is_nothing() -> None:
    """Servers that end every call with an empty piece are understood."""
    a = assembler()
    a.open_function_call(0, "f")
    a.text("a")

    a.call_delta(0, "")


TEXTS = st.text(max_size=3)
OPS = st.one_of(
    st.tuples(st.just("text"), TEXTS),
    st.tuples(st.just("text_with_logprobs"), TEXTS),
    st.tuples(st.just("annotation"), TEXTS),
    st.tuples(st.just("refusal"), TEXTS),
    st.tuples(st.just("reasoning_text"), TEXTS),
    st.tuples(st.just("reasoning_summary"), TEXTS),
    st.tuples(st.just("reasoning_private"), TEXTS),
    st.tuples(st.just("function_call"), TEXTS),
    st.tuples(st.just("custom_call"), TEXTS),
    st.tuples(st.just("delta"), TEXTS),
)


def perform(a: Assembler, ops: list[tuple[str, str]], *, take: bool = False) -> list[ReplyEvent]:
    """Random fragments; a delta goes to the call that is open, if one is. Gives the events taken after each."""
    calls = 0
    events: list[ReplyEvent] = []
    for op, text in ops:
        match op:
            case "text_with_logprobs":
                a.text(text, (LOGPROB,))
            case "annotation":
                a.annotation({"type": "url_citation", "url": text})
            case "reasoning_private":
                a.reasoning_private(PRIVATE)
            case "function_call" | "custom_call":
                calls += 1
                opener: Any = a.open_function_call if op == "function_call" else a.open_custom_call
                opener(calls, text)
            case "delta":
                if a.open_item in ("function_call", "custom_tool_call"):
                    a.call_delta(calls, text)
            case _:
                getattr(a, op)(text)
        if take:
            events += a.take()
    return events


@given(st.lists(OPS, max_size=25), st.sampled_from(["completed", "incomplete"]))
def test_what_is_assembled_is_in_order_and_folds_to_what_is_done(ops: list[tuple[str, str]], status: Any) -> None:
    """Random fragments pass the order check, and folding their deltas gives exactly what the done events say."""
    a = assembler()
    perform(a, ops)
    a.end(status=status)
    events, _ = split_end(a.take())
    terminal = ResponseCompleted if status == "completed" else ResponseIncomplete

    OrderCheck().feed([ResponseCreated({}), *events, terminal({})])

    done = done_items([*events])
    whole, deltas = Accumulator(), Accumulator()
    whole.feed(events)
    deltas.feed(event for event in events if not type_of(event).endswith(".done"))
    assert whole.output() == done
    assert [item["status"] for item in deltas.output()] == ["in_progress"] * len(done)
    assert [{**body, "status": item["status"]} for body, item in zip(deltas.output(), done, strict=True)] == done


@given(st.lists(OPS, max_size=25))
def test_it_does_not_matter_when_events_are_taken(ops: list[tuple[str, str]]) -> None:
    """Taking the events after every fragment gives the same as taking them all at the end."""
    at_once, bit_by_bit = assembler(), assembler()
    perform(at_once, ops)

    taken = perform(bit_by_bit, ops, take=True)

    assert taken == at_once.take()


def test_what_belongs_to_a_message_stays_with_it() -> None:
    """What the provider needs back with a message is kept beside that message, and beside no other item."""
    making = assembler()
    making.text("Hello")
    making.message_private(PRIVATE)
    making.text("!")
    making.open_function_call(0, "look")
    making.text("Bye")
    making.end(status="completed")

    events = [event for event in making.take() if isinstance(event, OutputItemDone)]

    assert [event.private for event in events] == [PRIVATE, None, None]
