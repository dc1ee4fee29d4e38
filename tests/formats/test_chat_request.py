"""Chat requests: what each field and each kind of message becomes in the hub, and that nothing is lost on the way."""

from __future__ import annotations

from typing import Any

import msgspec
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from antiphon.formats.chat import ChatFormat, read_id, shown_id
from antiphon.hub.format import DialectTurn
from antiphon.hub.ids import ItemId
from antiphon.hub.items import Item, JsonObject
from antiphon.hub.turn import ModelCall, TurnRequest
from antiphon.providers.openai_chat import OpenAIChat, Quirks

FORMAT = ChatFormat()
HELLO = {"role": "user", "content": "Hello"}
CALL = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
CALLING = {"role": "assistant", "content": None, "tool_calls": [CALL]}
RESULT = {"role": "tool", "tool_call_id": "c1", "content": "42"}
TOOL = {"type": "function", "function": {"name": "look"}}


def decode(*messages: JsonObject, **fields: Any) -> DialectTurn:
    return FORMAT.decode({"model": "m", "messages": list(messages or (HELLO,)), **fields})


def request(**fields: Any) -> TurnRequest:
    return decode(**fields).request


def items(*messages: JsonObject) -> list[JsonObject]:
    return list(decode(*messages).request.input)


def message(role: str, *parts: JsonObject) -> JsonObject:
    return {"type": "message", "role": role, "status": "completed", "content": list(parts)}


def output_text(text: str, *annotations: JsonObject) -> JsonObject:
    return {"type": "output_text", "text": text, "annotations": list(annotations), "logprobs": []}


# Messages.


@pytest.mark.parametrize("role", ["system", "developer", "user"])
def test_a_message_is_a_message(role: str) -> None:
    """A string is one text part; the role stays, and nothing becomes the instructions."""
    expected = [message(role, {"type": "input_text", "text": "Hi"})]

    assert expected == items({"role": role, "content": "Hi"})
    assert decode({"role": role, "content": "Hi"}).request.instructions is None


def test_parts_of_a_user_message() -> None:
    """Texts, images, audio and files, each in the hub's form; fields that nobody knows stay with their part."""
    content = [
        {"type": "text", "text": "Look", "cache_control": {"type": "ephemeral"}},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}},
        {"type": "image_url", "image_url": {"url": "https://x.example/a.png", "detail": "low"}},
        {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AA=="}},
        {"type": "file", "file": {"file_id": "file_1"}},
    ]
    expected = message(
        "user",
        {"type": "input_text", "text": "Look", "cache_control": {"type": "ephemeral"}},
        {"type": "input_image", "image_url": "data:image/png;base64,AA==", "detail": "auto"},
        {"type": "input_image", "image_url": "https://x.example/a.png", "detail": "low"},
        {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}},
        {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,AA=="},
        {"type": "input_file", "file_id": "file_1"},
    )

    assert [expected] == items({"role": "user", "content": content})


def test_an_assistant_message_is_what_was_thought_said_and_called() -> None:
    """In this order, as items of their own."""
    said = {
        "role": "assistant",
        "content": [{"type": "text", "text": "Let me"}, {"type": "refusal", "refusal": "No."}],
        "refusal": "Never.",
        "reasoning_content": "Hm.",
        "tool_calls": [CALL, {"id": "c2", "type": "custom", "custom": {"name": "patch", "input": "***"}}],
    }
    expected = [
        {"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "Hm."}]},
        message(
            "assistant",
            output_text("Let me"),
            {"type": "refusal", "refusal": "No."},
            {"type": "refusal", "refusal": "Never."},
        ),
        {"type": "function_call", "call_id": "c1", "name": "look", "arguments": "{}", "status": "completed"},
        {"type": "custom_tool_call", "call_id": "c2", "name": "patch", "input": "***", "status": "completed"},
        {"type": "function_call_output", "call_id": "c1", "output": "42", "status": "completed"},
        {"type": "custom_tool_call_output", "call_id": "c2", "output": "ok", "status": "completed"},
    ]

    assert expected == items(said, RESULT, {"role": "tool", "tool_call_id": "c2", "content": "ok"})


def test_the_other_name_of_reasoning() -> None:
    """``reasoning`` is read where there is no ``reasoning_content``; servers that send both say the same twice."""
    thought = {"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "Hm."}]}

    for fields in ({"reasoning": "Hm."}, {"reasoning": "Hm.", "reasoning_content": "Hm."}):
        assert [thought, message("assistant", output_text("Yes"))] == items(
            {"role": "assistant", "content": "Yes", **fields}
        )


def test_an_answer_can_be_sent_back_as_it_came() -> None:
    """What OpenAI's client gives of a message, nulls and annotations included, is read again."""
    citation = {"start_index": 0, "end_index": 2, "url": "https://x.example", "title": "t"}
    echoed = {
        "role": "assistant",
        "content": "So.",
        "refusal": None,
        "annotations": [{"type": "url_citation", "url_citation": citation}],
        "audio": None,
        "function_call": None,
        "tool_calls": None,
    }

    assert [message("assistant", output_text("So.", {"type": "url_citation", **citation}))] == items(echoed)


@pytest.mark.parametrize("content", [None, "", []], ids=["null", "empty", "no-parts"])
def test_nothing_said_beside_a_call_is_no_message(content: Any) -> None:
    """Clients write it in three ways; all of them mean the call alone."""
    kinds = [item["type"] for item in items({**CALLING, "content": content}, RESULT)]

    assert kinds == ["function_call", "function_call_output"]


@pytest.mark.parametrize(
    "fields",
    [{"content": ""}, {"content": []}, {"content": "", "reasoning_content": ""}, {"refusal": ""}],
    ids=["empty", "no-parts", "no-thought", "no-refusal"],
)
def test_an_empty_answer_is_kept(fields: JsonObject) -> None:
    """An assistant message without a word is still a message."""
    assert items({"role": "assistant", **fields}) == [message("assistant", output_text(""))]


def test_an_answer_that_is_a_thought_alone() -> None:
    """One that was cut short while the model thought has reasoning and no message."""
    assert [item["type"] for item in items({"role": "assistant", "reasoning_content": "Hm."})] == ["reasoning"]


def test_results_may_have_parts() -> None:
    """Texts and images; whether an upstream takes images there is its own affair."""
    content = [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": "data:,"}}]
    expected = [
        {"type": "input_text", "text": "a"},
        {"type": "input_image", "image_url": "data:,", "detail": "auto"},
    ]

    assert expected == items(CALLING, {**RESULT, "content": content})[1]["output"]


def test_the_same_call_id_in_two_steps() -> None:
    """Servers that count calls from zero in every reply repeat their ids; each result belongs to the call before it."""
    outputs = [item.get("output") for item in items(CALLING, RESULT, CALLING, {**RESULT, "content": "43"})]

    assert outputs == [None, "42", None, "43"]


def test_the_legacy_pair_of_call_and_result() -> None:
    """It has no ids, so it gets one; the model behind is told of an ordinary call."""
    asked = {"role": "assistant", "content": None, "function_call": {"name": "look", "arguments": "{}"}}

    call, output = items(asked, {"role": "function", "name": "look", "content": "42"})

    assert (call["type"], call["name"], call["arguments"]) == ("function_call", "look", "{}")
    assert {"type": "function_call_output", "call_id": call["call_id"], "output": "42", "status": "completed"} == output


def test_fields_that_nobody_knows_ride_along() -> None:
    """They are on the message's first item; those that would mean something else there are reported."""
    turn = decode(HELLO | {"timestamp": 7, "id": "x", "name": "ada"}, CALLING | {"prefix": True}, RESULT)
    user, call, _ = turn.request.input

    assert (user["timestamp"], call["prefix"]) == (7, True)
    assert "id" not in user
    assert turn.request.not_applied == ("messages.name", "messages.id")


def test_fields_of_a_call_that_nobody_knows_ride_along() -> None:
    """Such as the signature that one vendor wants back, or what the SDK's parser has added."""
    called = CALL | {"extra_content": {"google": {}}, "function": CALL["function"] | {"parsed_arguments": {}}}  # type: ignore[operator]

    call, _ = items(CALLING | {"tool_calls": [called]}, RESULT)

    assert (call["extra_content"], call["parsed_arguments"]) == ({"google": {}}, {})


# Settings.

SETTINGS: list[tuple[str, Any, str, Any]] = [
    ("max_tokens", 1, "max_output_tokens", 1),
    ("max_completion_tokens", 99, "max_output_tokens", 99),
    ("temperature", 1, "temperature", 1.0),
    ("top_p", 0.5, "top_p", 0.5),
    ("presence_penalty", -2, "presence_penalty", -2.0),
    ("frequency_penalty", 2, "frequency_penalty", 2.0),
    ("stop", "END", "stop", ("END",)),
    ("stop", ["a", "b"], "stop", ("a", "b")),
    ("stop", [], "stop", ()),
    ("seed", 7, "not_applied", ("seed",)),
    ("prediction", {"type": "content", "content": "x"}, "not_applied", ("prediction",)),
    ("logprobs", True, "include", frozenset({"message.output_text.logprobs"})),
    ("logprobs", False, "include", frozenset()),
    ("reasoning_effort", "high", "reasoning", {"effort": "high"}),
    ("verbosity", "low", "text", {"format": {"type": "text"}, "verbosity": "low"}),
    ("metadata", {"a": "b"}, "metadata", {"a": "b"}),
    ("store", True, "store", True),
    ("store", None, "store", False),
    ("service_tier", "flex", "service_tier", "flex"),
    ("user", "u", "user", "u"),
    ("safety_identifier", "s", "safety_identifier", "s"),
    ("prompt_cache_key", "k", "prompt_cache_key", "k"),
    ("prompt_cache_retention", "24h", "prompt_cache_retention", "24h"),
    ("parallel_tool_calls", False, "parallel_tool_calls", False),
    ("stream", True, "stream", True),
    ("n", 1, "not_applied", ()),
    ("logit_bias", {}, "not_applied", ()),
    ("modalities", ["text"], "not_applied", ()),
]


@pytest.mark.parametrize(
    ("field", "value", "name", "expected"),
    SETTINGS,
    ids=[f"{case[0]}-{number}" for number, case in enumerate(SETTINGS)],
)
def test_settings(field: str, value: Any, name: str, expected: Any) -> None:
    """Each field has its place in the hub."""
    assert expected == getattr(request(**{field: value}), name)


def test_top_logprobs_come_with_logprobs() -> None:
    """How many alternatives are wanted beside each token."""
    assert request(logprobs=True, top_logprobs=3).top_logprobs == 3


def test_a_schema_for_the_answer_is_flat() -> None:
    """What chat nests under its type stands beside it in the hub."""
    schema = {"name": "s", "schema": {"type": "object"}, "strict": True}

    text = request(response_format={"type": "json_schema", "json_schema": schema}).text

    assert {"type": "json_schema", **schema} == text["format"]


def test_tools_are_flat() -> None:
    """Functions and custom tools; strictness is chat's default, which is none."""
    function = {"name": "f", "description": "d", "parameters": {"type": "object"}, "strict": True}
    grammar = {"syntax": "lark", "definition": "start: x"}
    custom = {"name": "p", "format": {"type": "grammar", "grammar": grammar}}
    expected = (
        {"type": "function", **function},
        {"type": "function", "name": "look", "description": None, "parameters": None, "strict": False},
        {"type": "custom", "name": "p", "format": {"type": "grammar", **grammar}},
    )

    found = request(tools=[{"type": "function", "function": function}, TOOL, {"type": "custom", "custom": custom}])

    assert expected == found.tools


def test_options_of_a_web_search_are_a_tool() -> None:
    """The hub knows a tool for it, which an upstream may have or refuse."""
    place = {"type": "approximate", "approximate": {"city": "Bonn"}}
    expected = {
        "type": "web_search",
        "search_context_size": "low",
        "user_location": {"type": "approximate", "city": "Bonn"},
    }

    assert (expected,) == request(web_search_options={"search_context_size": "low", "user_location": place}).tools
    assert request(web_search_options={}).tools == ({"type": "web_search"},)


CHOICES: list[tuple[Any, Any]] = [
    ("none", "none"),
    ("required", "required"),
    ({"type": "function", "function": {"name": "look"}}, {"type": "function", "name": "look"}),
    ({"type": "custom", "custom": {"name": "look"}}, {"type": "custom", "name": "look"}),
    (
        {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [TOOL]}},
        {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "look"}]},
    ),
]


@pytest.mark.parametrize(("choice", "expected"), CHOICES, ids=["none", "required", "function", "custom", "allowed"])
def test_choices_are_flat(choice: Any, expected: Any) -> None:
    """A word stays a word; a named tool is named beside its type."""
    assert expected == request(tools=[TOOL], tool_choice=choice).tool_choice


def test_options_of_a_stream() -> None:
    """The usage is off unless it is asked for, padding on unless it is not wanted."""
    plain, wanted = decode(stream=True), decode(stream=True, stream_options={"include_usage": True})
    bare = decode(stream=True, stream_options={"include_obfuscation": False})

    assert (plain.usage_in_stream, wanted.usage_in_stream, bare.usage_in_stream) == (False, True, False)
    assert (plain.request.include_obfuscation, bare.request.include_obfuscation) == (True, False)


def test_unknown_fields_can_be_ignored() -> None:
    """Then they are named among what was not applied."""
    lenient = ChatFormat(unknown_parameters="ignore")

    found = lenient.decode({"model": "m", "messages": [HELLO], "top_k": 5, "seed": 1}).request

    assert found.not_applied == ("seed", "top_k")


def test_a_request_is_not_changed() -> None:
    """The body that was given is as it was."""
    body = {"model": "m", "messages": [{"role": "user", "content": [{"type": "text", "text": "x"}]}], "tools": [TOOL]}
    before = orjson.dumps(body)

    FORMAT.decode(body)

    assert before == orjson.dumps(body)


def test_an_id_leads_back() -> None:
    """What a client calls a response names the response."""
    assert (shown_id("resp_ab12"), read_id("chatcmpl-ab12")) == ("chatcmpl-ab12", "resp_ab12")
    assert (read_id("cmpl-ab12"), read_id("resp_ab12")) == ("resp_ab12", None)


# Through the hub to an upstream of the same dialect.

NATIVE = Quirks(
    max_tokens_field="max_completion_tokens",
    developer_role="developer",
    named_tool_choice="native",
    custom_tools="native",
    files=True,
    tool_output_images=True,
    replay_reasoning="always",
    assistant_refusal="field",
)

TEXT = st.text(alphabet="abc é🙂\n", min_size=1, max_size=8)
INPUT_PARTS = st.lists(
    st.one_of(
        st.builds(lambda text: {"type": "text", "text": text}, TEXT),
        st.builds(
            lambda url, detail: {"type": "image_url", "image_url": {"url": url, "detail": detail}},
            TEXT,
            st.sampled_from(["low", "high", "original"]),
        ),
        st.builds(lambda data: {"type": "file", "file": {"filename": "f", "file_data": data}}, TEXT),
    ),
    min_size=2,
    max_size=3,
)


@st.composite
def steps(draw: st.DrawFn) -> list[JsonObject]:
    """An assistant message that calls, and the results of its calls."""
    count = draw(st.integers(1, 3))
    called = [
        {"id": f"c{number}", "type": "function", "function": {"name": "look", "arguments": draw(TEXT)}}
        if draw(st.booleans())
        else {"id": f"c{number}", "type": "custom", "custom": {"name": "patch", "input": draw(TEXT)}}
        for number in range(count)
    ]
    said = {"role": "assistant", **draw(_maybe("content")), **draw(_maybe("reasoning_content")), "tool_calls": called}
    results = [{"role": "tool", "tool_call_id": f"c{n}", "content": draw(TEXT | INPUT_PARTS)} for n in range(count)]
    return [said, *results]


def _maybe(field: str) -> st.SearchStrategy[JsonObject]:
    return st.just({}) | st.builds(lambda text: {field: text}, TEXT)


USERS = st.builds(lambda content: [{"role": "user", "content": content}], TEXT | INPUT_PARTS)
OTHERS = st.one_of(
    USERS,
    st.builds(lambda role, text: [{"role": role, "content": text}], st.sampled_from(["system", "developer"]), TEXT),
    st.builds(
        lambda text, more, thought: [{"role": "assistant", "content": text, **more, **thought}],
        TEXT,
        _maybe("refusal"),
        _maybe("reasoning_content"),
    ),
)
# What calls stands behind a user: text of an assistant before it would be taken for its own.
CONVERSATIONS = st.lists(OTHERS | st.builds(lambda user, step: [*user, *step], USERS, steps()), max_size=4)
SETTING_FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "max_completion_tokens": st.integers(1, 9),
        "temperature": st.floats(0, 2).map(abs),
        "top_p": st.floats(0, 1).map(abs),
        "presence_penalty": st.sampled_from([-1.0, 0.5]),
        "frequency_penalty": st.sampled_from([-1.0, 0.5]),
        "stop": st.lists(TEXT, min_size=1, max_size=4),
        "verbosity": st.sampled_from(["low", "high"]),
        "reasoning_effort": st.sampled_from(["none", "high"]),
        "service_tier": st.sampled_from(["flex", "priority"]),
        "user": TEXT,
        "safety_identifier": TEXT,
        "prompt_cache_key": TEXT,
        "response_format": st.just(
            {"type": "json_schema", "json_schema": {"name": "s", "schema": {"type": "object"}, "strict": True}}
        ),
    },
)
TOOL_FIELDS = st.sampled_from(
    [
        {},
        {"logprobs": True, "top_logprobs": 2},
        {"tools": [TOOL], "tool_choice": "required", "parallel_tool_calls": False},
        {
            "tools": [TOOL, {"type": "custom", "custom": {"name": "p", "description": "d"}}],
            "tool_choice": {"type": "custom", "custom": {"name": "p"}},
        },
    ]
)


@settings(max_examples=60, deadline=None)
@given(conversation=CONVERSATIONS, fields=SETTING_FIELDS, more=TOOL_FIELDS)
def test_an_upstream_of_the_same_dialect_gets_what_the_client_sent(
    conversation: list[list[JsonObject]], fields: JsonObject, more: JsonObject
) -> None:
    """Decoded and encoded again, a request is what it was, field by field and message by message."""
    sent = {"model": "m", "messages": [m for step in conversation for m in step] or [HELLO], **fields, **more}

    assert sent == _forwarded(FORMAT.decode(sent).request)


def _forwarded(asked: TurnRequest) -> JsonObject:
    """The body that the provider sends to its upstream."""
    numbered = tuple(
        Item(ItemId(f"item_{number}"), body["type"], {"id": f"item_{number}", **body})
        for number, body in enumerate(asked.input)
    )
    call = ModelCall(model="m", account="here", items=numbered, input_start=0, request=asked, stream=False)
    body: JsonObject = orjson.loads(OpenAIChat(NATIVE).encode(call).body)
    return body


def test_a_turn_can_be_written_down() -> None:
    """A pending turn is stored with its request, stop sequences included."""
    asked = request(stop=["a"], tools=[TOOL])

    assert asked == msgspec.convert(msgspec.to_builtins(asked), TurnRequest)
