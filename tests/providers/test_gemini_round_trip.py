"""What goes up and comes down again: nothing is lost, and signatures go back where they came from."""

from __future__ import annotations

from typing import Any

import msgspec
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from antiphon.hub.items import Item, JsonObject, Private
from antiphon.hub.turn import ModelCall
from antiphon.providers.gemini import Gemini, Quirks
from tests.providers.gemini_bodies import SKIP
from tests.providers.gemini_replies import chunk, decoder, frames, stream, transcript
from tests.providers.kit.calls import (
    assistant,
    custom_call,
    custom_output,
    function_call,
    function_output,
    image_data,
    model_call,
    reasoning,
    user,
)
from tests.providers.kit.replies import outcome


def model_parts(*items: Item, quirks: Quirks | None = None, **fields: Any) -> list[JsonObject]:
    """All parts that the model is told it has said."""
    call = msgspec.structs.replace(model_call(*items), **fields)
    said = orjson.loads(Gemini(quirks or Quirks()).encode(call).body)["contents"]
    return [part for content in said if content["role"] == "model" for part in content["parts"]]


def answered(items: list[Item]) -> list[Item]:
    """A context that goes on behind a reply: its calls have their outputs."""
    outputs = []
    for entry in items:
        if entry.type == "function_call":
            outputs.append(function_output(entry.body["call_id"]))
        elif entry.type == "custom_tool_call":
            outputs.append(custom_output(entry.body["call_id"]))
    return [user("Hi"), *items, *outputs]


def replayed(body: bytes, **fields: Any) -> list[JsonObject]:
    """The model's parts in the request that follows a streamed reply."""
    items, _ = outcome(stream(body))
    return model_parts(*answered(items), **fields)


# Signatures.


SEALED: dict[str, list[JsonObject]] = {
    "on a call": [{"functionCall": {"name": "look", "args": {"a": 1}}, "thoughtSignature": "c2lnMQ=="}],
    "on the first of two calls": [
        {"functionCall": {"name": "look", "args": {"a": 1}}, "thoughtSignature": "c2lnMQ=="},
        {"functionCall": {"name": "look", "args": {"a": 2}}},
    ],
    "on a text": [{"text": "Grüß dich 👋", "thoughtSignature": "dGV4dA=="}],
    "behind a text": [{"text": "Hello"}, {"text": "", "thoughtSignature": "dGV4dA=="}],
    "in the middle of a text": [
        {"text": "a"},
        {"text": "b", "thoughtSignature": "Yg=="},
        {"text": "c"},
        {"text": "d", "thoughtSignature": "ZA=="},
    ],
    "on a text and the call behind it": [
        {"text": "I look.", "thoughtSignature": "dGV4dA=="},
        {"functionCall": {"name": "look", "args": {}}, "thoughtSignature": "c2lnMQ=="},
    ],
    "on a thought": [{"text": "Hm.", "thought": True, "thoughtSignature": "aG0="}, {"text": "Yes."}],
    "on two thoughts": [
        {"text": "Hm.", "thought": True, "thoughtSignature": "aG0="},
        {"text": "", "thought": True, "thoughtSignature": "aGE="},
        {"text": "Yes."},
    ],
    "alone": [{"text": "", "thoughtSignature": "YWxvbmU="}],
    "behind a call": [
        {"functionCall": {"name": "look", "args": {}}, "thoughtSignature": "c2lnMQ=="},
        {"text": "", "thoughtSignature": "bGF0ZQ=="},
    ],
}


def without_call_ids(parts: list[JsonObject]) -> list[JsonObject]:
    calls = ({**part.get("functionCall", {})} for part in parts)
    bare = [{name: value for name, value in call.items() if name != "id"} for call in calls]
    return [{**part, "functionCall": call} if call else part for part, call in zip(parts, bare, strict=True)]


@pytest.mark.parametrize("parts", SEALED.values(), ids=SEALED.keys())
@pytest.mark.parametrize("form", ["stream", "whole"])
def test_signatures_go_back_on_the_parts_that_they_came_on(form: str, parts: list[JsonObject]) -> None:
    """In the next call to the same account the model's parts are byte for byte those that it sent."""
    if form == "stream":
        pieces = [chunk(part, finish=None) for part in parts]
        events = stream(frames(*pieces, chunk(finish="STOP")))
    else:
        events = [*decoder().whole(orjson.dumps(chunk(*parts)))]
    items, _ = outcome(events)

    assert without_call_ids(model_parts(*answered(items))) == parts


@pytest.mark.parametrize("name", ["sealed", "parallel_calls", "signature_alone", "text_then_call"])
@pytest.mark.parametrize("fields", [{"account": "another"}], ids=["another account"])
def test_signatures_do_not_go_to_others(name: str, fields: JsonObject) -> None:
    """Another account is sent what was said, and nothing that was signed."""
    body = transcript(f"{name}.sse")
    own = replayed(body)

    foreign = replayed(body, **fields)

    assert any("thoughtSignature" in part for part in own)
    assert {part.get("thoughtSignature", SKIP) for part in foreign} == {SKIP}
    assert "".join(part.get("text", "") for part in foreign) == "".join(
        part.get("text", "") for part in own if not part.get("thought")
    )


def test_private_state_of_another_provider_is_left_alone() -> None:
    """What another dialect keeps beside an item means nothing here, and is no error."""
    foreign = Private(
        "anthropic", "vendor", {"signature": "x", "parts": [{"text": "y"}], "signed_text": [{"start": 0}]}
    )
    items = [
        msgspec.structs.replace(entry, private=foreign)
        for entry in (reasoning("Hm."), assistant("Hello."), function_call("call_1"))
    ]

    assert model_parts(user("Hi"), *items, function_output("call_1")) == [
        {"text": "Hello."},
        {"functionCall": {"id": "call_1", "name": "look", "args": {}}, "thoughtSignature": SKIP},
    ]


# Calls that others made.


LOOP = (user("Go"), function_call("call_1"), function_output("call_1"))
STAND_INS: dict[str, tuple[str, Quirks, bool]] = {
    "a model that asks for signatures": ("gemini-3.5-flash", Quirks(), True),
    "a name for the newest": ("gemini-flash-latest", Quirks(), True),
    "a model that takes calls without": ("gemini-2.5-flash", Quirks(), False),
    "its whole name": ("models/gemini-2.5-pro", Quirks(), False),
    "switched on": ("gemini-2.5-flash", Quirks(missing_signatures="skip"), True),
    "switched off": ("gemini-3.5-flash", Quirks(missing_signatures="omit"), False),
}


@pytest.mark.parametrize(("name", "quirks", "stands_in"), STAND_INS.values(), ids=STAND_INS.keys())
def test_a_call_that_others_made(name: str, quirks: Quirks, stands_in: bool) -> None:
    """A model that refuses calls without a signature is told to skip its check, and no other."""
    part = model_parts(*LOOP, quirks=quirks, model=name)[0]
    assert part.get("thoughtSignature") == (SKIP if stands_in else None)


def test_only_the_first_call_of_each_step_of_the_current_turn_is_checked() -> None:
    """What the user has spoken behind, and the further calls of a step, need no signature."""
    parts = model_parts(
        *LOOP,
        user("Again"),
        function_call("call_2"),
        function_call("call_3"),
        function_output("call_2"),
        function_output("call_3"),
        function_call("call_4"),
        function_output("call_4"),
    )
    assert [part.get("thoughtSignature") for part in parts] == [None, SKIP, None, SKIP]


def test_an_own_signature_needs_no_stand_in() -> None:
    """A step whose first call is signed goes back as it was."""
    own = function_call("call_1")
    own = msgspec.structs.replace(own, private=Private("gemini", "vendor", {"signature": "c2ln"}))
    parts = model_parts(user("Go"), own, function_call("call_2"), function_output("call_1"), function_output("call_2"))
    assert [part.get("thoughtSignature") for part in parts] == ["c2ln", None]


# Nothing is lost.


TEXTS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12)
NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_-]{0,20}", fullmatch=True)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | TEXTS,
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=4,
)
ARGUMENTS = st.dictionaries(TEXTS, JSON, max_size=3).map(lambda value: orjson.dumps(value).decode())


@st.composite
def contexts(draw: st.DrawFn) -> list[Item]:
    items: list[Item] = []
    for number in range(draw(st.integers(1, 6))):
        call_id = f"call_{number}"
        match draw(st.sampled_from(["user", "image", "assistant", "function", "custom", "reasoning"])):
            case "user":
                items.append(user(*draw(st.lists(TEXTS, min_size=1, max_size=3))))
            case "image":
                items.append(user(image_data()))
            case "assistant":
                items.append(assistant(draw(TEXTS)))
            case "function":
                call = function_call(call_id, draw(NAMES), draw(ARGUMENTS | TEXTS))
                items += [call, function_output(call_id, draw(TEXTS))]
            case "custom":
                items += [custom_call(call_id, draw(NAMES), draw(TEXTS)), custom_output(call_id, draw(TEXTS))]
            case _:
                items.append(reasoning("Hm."))
    return [*items, user("End.")]


def said_by(items: list[Item]) -> list[Any]:
    """What a context says, without what Gemini has no words for."""
    said: list[Any] = []
    for entry in items:
        body = entry.body
        match entry.type:
            case "message":
                role = "model" if body["role"] == "assistant" else "user"
                said += [(role, part.get("text") or part["image_url"].partition(",")[2]) for part in body["content"]]
            case "function_call":
                said.append(("call", body["call_id"], body["name"], _arguments(body["arguments"])))
            case "custom_tool_call":
                said.append(("call", body["call_id"], body["name"], {"input": body["input"]}))
            case "function_call_output" | "custom_tool_call_output":
                said.append(("output", body["call_id"], body["output"]))
    return said


def _arguments(text: str) -> Any:
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        value = None
    if not text.strip():
        return {}
    return value if isinstance(value, dict) else {"arguments": text}


def read(call: ModelCall) -> list[Any]:
    """What a request's body says."""
    said: list[Any] = []
    for content in orjson.loads(Gemini().encode(call).body)["contents"]:
        for part in content["parts"]:
            if "functionCall" in part:
                called = part["functionCall"]
                said.append(("call", called["id"], called["name"], called["args"]))
            elif "functionResponse" in part:
                said.append(("output", part["functionResponse"]["id"], part["functionResponse"]["response"]["output"]))
            else:
                said.append((content["role"], part.get("text") or part["inlineData"]["data"]))
    return said


@settings(max_examples=60, deadline=None)
@given(contexts())
def test_a_context_is_told_whole_and_in_order(items: list[Item]) -> None:
    """Everything that was said, called and answered stands in the request, once and in its order."""
    assert read(model_call(*items)) == said_by(items)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.tuples(TEXTS, st.none() | st.from_regex(r"[A-Za-z0-9+/]{4,8}", fullmatch=True)), min_size=1, max_size=6)
)
def test_signed_pieces_of_a_text_come_back_as_they_were(pieces: list[tuple[str, str | None]]) -> None:
    """However a text was cut and signed, its signed pieces go back in parts of their own."""
    sent = [
        {"text": text} if signature is None else {"text": text, "thoughtSignature": signature}
        for text, signature in pieces
    ]
    items, _ = outcome([*decoder().whole(orjson.dumps(chunk(*sent)))])

    parts = model_parts(*answered(items))

    assert [part for part in parts if "thoughtSignature" in part] == [
        part for part in sent if "thoughtSignature" in part
    ]
    assert "".join(part["text"] for part in parts) == "".join(text for text, _ in pieces)


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(TEXTS, JSON, max_size=3))
def test_arguments_come_back_as_they_were(arguments: JsonObject) -> None:
    """The arguments that the model gave are, in the next request, the same object."""
    body = orjson.dumps(chunk({"functionCall": {"name": "look", "args": arguments}}))
    items, _ = outcome([*decoder().whole(body)])

    assert orjson.loads(items[0].body["arguments"]) == arguments
    assert model_parts(*answered(items))[0]["functionCall"]["args"] == arguments
