"""A request of the Messages dialect on its way through the hub: what the upstream's dialect has words for arrives."""

from __future__ import annotations

from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from antiphon.formats.messages import MessagesTurn
from antiphon.hub.ids import Family, IdFactory
from antiphon.hub.items import Item, JsonObject
from antiphon.hub.turn import ModelCall
from antiphon.providers.anthropic import Anthropic, Quirks
from antiphon.providers.openai_chat import OpenAIChat
from tests.formats.messages_turns import FORMAT, WEATHER

MODEL = "claude-sonnet-4-6"
_KEEP = {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]}


def call_of(turn: MessagesTurn) -> ModelCall:
    """The question to an upstream that the engine makes of a turn."""
    ids, family = IdFactory(lambda: 1), Family("00" * 8)
    items = []
    for place, item in enumerate(turn.request.input):
        item_id = ids.item(item["type"], family)
        items.append(Item(item_id, item["type"], {**item, "id": item_id}, turn.private.get(place)))
    return ModelCall(
        model=MODEL,
        account="claude",
        items=tuple(items),
        input_start=0,
        request=turn.request,
        stream=turn.request.stream,
    )


_TEXTS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8).filter(lambda text: not text.isspace())
_TEXT_BLOCKS = st.builds(lambda text: {"type": "text", "text": text}, _TEXTS)
_IMAGES = st.sampled_from(
    [
        {"type": "image", "source": {"type": "url", "url": "https://x.example/a.png"}},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}},
    ]
)
_DOCUMENTS = st.one_of(
    st.just({"type": "document", "source": {"type": "url", "url": "https://x.example/a.pdf"}, "title": "A"}),
    st.just({"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="}}),
    st.builds(
        lambda text: {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": text}}, _TEXTS
    ),
)
_GIVEN = st.lists(_TEXT_BLOCKS | _IMAGES | _DOCUMENTS, min_size=1, max_size=3)
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**31), 2**31) | st.text(st.characters(codec="utf-8"), max_size=4),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("ab"), inner, max_size=2),
    max_leaves=4,
)
_INPUTS = st.dictionaries(st.sampled_from(["city", "INVALID_JSON"]), _VALUES, max_size=2).filter(
    lambda given: not isinstance(given.get("INVALID_JSON"), str)
)
_THINKING = st.lists(
    st.builds(lambda text: {"type": "thinking", "thinking": text, "signature": "c2ln"}, _TEXTS)
    | st.just({"type": "redacted_thinking", "data": "ZGF0YQ=="}),
    max_size=2,
)


@st.composite
def _steps(draw: st.DrawFn) -> list[JsonObject]:
    """A step of the assistant's, and the user's answer to it."""
    place = draw(st.integers(0, 10**9))
    calls = draw(st.lists(_INPUTS, max_size=2))
    said = [*draw(_THINKING), *draw(st.lists(_TEXT_BLOCKS, min_size=1, max_size=2))]
    said += [
        {"type": "tool_use", "id": f"toolu_{place}_{number}", "name": "get_weather", "input": given}
        for number, given in enumerate(calls)
    ]
    results = [
        {"type": "tool_result", "tool_use_id": f"toolu_{place}_{number}", "content": draw(_TEXTS | _GIVEN)}
        for number in range(len(calls))
    ]
    answer = [*results, *draw(_GIVEN)]
    return [{"role": "assistant", "content": said}, {"role": "user", "content": answer}]


@st.composite
def requests(draw: st.DrawFn) -> JsonObject:
    """A request whose messages alternate and whose calls are all answered, as the API wants them."""
    steps = draw(st.lists(_steps(), max_size=2, unique_by=orjson.dumps))
    body: JsonObject = {
        "model": "m",
        "max_tokens": draw(st.integers(2000, 64_000)),
        "messages": [{"role": "user", "content": draw(_GIVEN)}, *(message for step in steps for message in step)],
        "tools": [WEATHER],
        "context_management": _KEEP,
        **draw(st.sampled_from([{}, {"system": "Be brief."}, {"system": [{"type": "text", "text": "Be kind."}]}])),
        **draw(
            st.sampled_from(
                [
                    {},
                    {"tool_choice": {"type": "any"}},
                    {"tool_choice": {"type": "tool", "name": "get_weather", "disable_parallel_tool_use": True}},
                    {"tool_choice": {"type": "none"}},
                    {"thinking": {"type": "adaptive", "display": "summarized"}, "output_config": {"effort": "low"}},
                    {"output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}}},
                ]
            )
        ),
        **draw(st.sampled_from([{}, {"temperature": 0.5}])),
        "metadata": {"user_id": "u1"},
        "stream": draw(st.booleans()),
    }
    if "thinking" in body:
        body.pop("temperature", None)
    return body


def _unique_calls(body: JsonObject) -> bool:
    used = [
        block["id"]
        for message in body["messages"]
        for block in message["content"]
        if isinstance(block, dict) and block["type"] == "tool_use"
    ]
    return len(used) == len(set(used))


def _without_our_own(body: JsonObject) -> JsonObject:
    """A request without what the gateway decides by itself, in the longer of two forms."""
    kept = {name: value for name, value in body.items() if name != "context_management"} | {"model": MODEL}
    if isinstance(kept.get("system"), str):
        kept["system"] = [{"type": "text", "text": kept["system"]}]
    if not kept["stream"]:
        del kept["stream"]
    return kept


@settings(max_examples=50, deadline=None)
@given(requests().filter(_unique_calls))
def test_an_upstream_of_the_same_dialect_gets_the_same_request(body: JsonObject) -> None:
    """Messages, signed thinking, calls, results, tools and settings arrive as the client sent them."""
    turn = FORMAT.decode(body)

    sent = Anthropic(Quirks(caching=False)).encode(call_of(turn))

    assert turn.request.not_applied == ()
    assert sent.not_applied == ()
    assert orjson.loads(sent.body) == _without_our_own(body)


def test_thinking_that_nobody_signed_is_left_out_and_breaks_nothing() -> None:
    """An upstream that verifies thinking gets none that it did not make: its text alone does not go back."""
    said = [{"type": "thinking", "thinking": "Hm.", "signature": ""}, {"type": "text", "text": "b"}]
    messages: list[JsonObject] = [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": said},
        {"role": "user", "content": "c"},
    ]
    turn = FORMAT.decode({"model": "m", "max_tokens": 9, "messages": messages, "context_management": _KEEP})

    sent = Anthropic().encode(call_of(turn))

    assert [len(message["content"]) for message in orjson.loads(sent.body)["messages"]] == [1, 1, 1]


def test_a_chat_upstream_gets_what_chat_has_words_for() -> None:
    """A tool loop of this dialect is one of chat's; the only tool that may be called is the only one offered."""
    messages: list[JsonObject] = [
        {"role": "user", "content": "Weather?"},
        {"role": "assistant", "content": [_use("toolu_1")]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "18 C"}]},
    ]
    choice = {"type": "tool", "name": "get_weather"}
    turn = FORMAT.decode(
        {
            "model": "m",
            "max_tokens": 9,
            "messages": messages,
            "system": "S",
            "tools": [WEATHER, {**WEATHER, "name": "other"}],
            "tool_choice": choice,
        }
    )

    sent: dict[str, Any] = orjson.loads(OpenAIChat().encode(call_of(turn)).body)

    assert [message["role"] for message in sent["messages"]] == ["system", "user", "assistant", "tool"]
    assert sent["messages"][2]["tool_calls"][0]["id"] == sent["messages"][3]["tool_call_id"] == "toolu_1"
    assert sent["tools"][0]["function"]["parameters"] == WEATHER["input_schema"]
    assert [tool["function"]["name"] for tool in sent["tools"]] == ["get_weather"]
    assert sent["tool_choice"] == "required"


def _use(call_id: str) -> JsonObject:
    return {"type": "tool_use", "id": call_id, "name": "get_weather", "input": {"city": "Paris"}}
