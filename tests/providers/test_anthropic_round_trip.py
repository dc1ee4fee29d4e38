"""Nothing that the dialect can carry is lost on the way up, and a reply's items go back as they came."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from antiphon.hub.items import Item, JsonObject
from antiphon.hub.turn import ModelCall
from antiphon.providers.anthropic import Anthropic
from tests.providers.anthropic_replies import decode_stream, transcript
from tests.providers.kit.calls import (
    assistant,
    function_call,
    function_output,
    model_call,
    reasoning,
    user,
)
from tests.providers.kit.replies import outcome

_CHARACTERS = st.characters(exclude_categories=["Cs"])
_WORDS = st.text(_CHARACTERS, min_size=1, max_size=8).filter(lambda text: not text.isspace())
_VALUES = st.integers(-5, 5) | _WORDS
_ARGUMENTS = st.dictionaries(_WORDS, _VALUES, max_size=2).map(lambda value: orjson.dumps(value).decode())


@st.composite
def dialogues(draw: st.DrawFn) -> list[Item]:
    """Up to three times a user's message, and what came of it: calls that are answered in any order, and texts."""
    items: list[Item] = []
    for turn in range(draw(st.integers(1, 3))):
        calls = [f"call_{turn}_{number}" for number in range(draw(st.integers(0, 3)))]
        items += [user(draw(_WORDS)), *(function_call(call, "look", draw(_ARGUMENTS)) for call in calls)]
        items += [function_output(call, draw(_WORDS)) for call in draw(st.permutations(calls))]
        items += [assistant(said) for said in draw(st.lists(_WORDS, max_size=2))]
    return items


def read(body: JsonObject) -> list[tuple[str, ...]]:
    """The dialogue that a body tells, read as the API's documentation says; results in the order of their calls."""
    told: list[tuple[str, ...]] = []
    for message in body["messages"]:
        for block in message["content"]:
            match block["type"]:
                case "text":
                    told.append((message["role"], block["text"]))
                case "tool_use":
                    told.append(("call", block["id"], block["name"], orjson.dumps(block["input"]).decode()))
                case "tool_result":
                    told.append(("result", block["tool_use_id"], block["content"]))
    return told


def meant(items: list[Item]) -> list[tuple[str, ...]]:
    """The dialogue that items tell."""
    told: list[tuple[str, ...]] = []
    for item in items:
        body = item.body
        match item.type:
            case "message":
                told += [(body["role"], part["text"]) for part in body["content"]]
            case "function_call":
                told.append(("call", body["call_id"], body["name"], body["arguments"]))
            case "function_call_output":
                told.append(("result", body["call_id"], body["output"]))
    return told


@settings(max_examples=50, deadline=None)
@given(items=dialogues())
def test_nothing_is_lost_on_the_way_up(items: list[Item]) -> None:
    """Every text, call and result of a dialogue is in the body, in its order, in turns that the API accepts."""
    body = orjson.loads(Anthropic().encode(model_call(*items)).body)

    ends_with_assistant = items[-1].type == "message" and items[-1].body["role"] == "assistant"
    expected = [*meant(items), *([("user", "(Go on.)")] if ends_with_assistant else [])]
    assert sorted(read(body)) == sorted(expected)
    assert without_results(read(body)) == without_results(expected)
    check_order(body["messages"])


def without_results(told: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """What keeps its place: results stand in the order of their calls."""
    return [entry for entry in told if entry[0] != "result"]


def check_order(messages: list[JsonObject]) -> None:
    """Turns alternate and begin with the user, and each call is answered at the beginning of the turn behind it."""
    assert [message["role"] for message in messages] == [
        ("user", "assistant")[index % 2] for index in range(len(messages))
    ]
    for asked, answered in zip(messages[1::2], messages[2::2], strict=True):
        calls = [block["id"] for block in asked["content"] if block["type"] == "tool_use"]
        first = answered["content"][: len(calls)]
        assert [block.get("tool_use_id") for block in first] == calls


THOUGHTFUL = ["thinking_then_call", "thinking_between", "thinking_sealed", "two_thoughts"]


@pytest.mark.parametrize("name", THOUGHTFUL)
def test_what_the_model_thought_goes_back_byte_for_byte(name: str) -> None:
    """A reply's items, sent back, are the content that the API sent, thinking included; to others, without it."""
    sent = orjson.loads(transcript(f"{name}.json"))["content"]
    said = outcome(decode_stream(transcript(f"{name}.sse"))).items
    answers = [function_output(item.body["call_id"]) for item in said if item.type == "function_call"]
    call = model_call(user("Hi"), *said, *answers)

    back = replayed(call_body(call))
    elsewhere = replayed(call_body(model_call(user("Hi"), *(foreign(item) for item in said), *answers)))

    assert back == [without_id(block) for block in sent]
    assert elsewhere == [without_id(block) for block in sent if block["type"] not in ("thinking", "redacted_thinking")]


def call_body(call: ModelCall) -> JsonObject:
    written: JsonObject = orjson.loads(Anthropic().encode(call).body)
    return written


def replayed(body: JsonObject) -> list[JsonObject]:
    """What the assistant said, as it goes back."""
    return [
        without_id(block)
        for message in body["messages"]
        if message["role"] == "assistant"
        for block in message["content"]
    ]


def without_id(block: JsonObject) -> JsonObject:
    """Ids of calls are ours on the way up."""
    return {name: value for name, value in block.items() if name != "id"}


def foreign(item: Item) -> Item:
    """The item as another account made it."""
    if item.private is None:
        return item
    return Item(item.id, item.type, item.body, type(item.private)(item.private.provider, "other", item.private.data))


def test_a_summary_is_nobodys_thought() -> None:
    """What a client sees of thinking does not go up as if the model had said it."""
    body = call_body(model_call(user("Hi"), reasoning("raw", summary="short"), assistant("Yes."), user("Why?")))

    assert "raw" not in orjson.dumps(body).decode()
    assert "short" not in orjson.dumps(body).decode()
