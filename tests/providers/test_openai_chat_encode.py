"""Items as chat messages."""

from __future__ import annotations

import copy
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from antiphon.hub.errors import AntiphonError, InvalidRequest, UnsupportedParameter
from antiphon.hub.items import Item, JsonObject, Private
from antiphon.hub.upstream import Provider
from antiphon.providers.openai_chat import OpenAIChat, Quirks
from tests.providers.chat_calls import (
    ACCOUNT,
    assistant,
    encode,
    encoded_messages,
    function_call,
    function_output,
    item,
    message,
    model_call,
    reasoning,
    tool_call,
    tool_message,
    user,
)

DATA_URL = "data:image/png;base64,iVBORw0KGgo="
IMAGE = {"type": "input_image", "image_url": DATA_URL, "detail": "auto"}
CHAT_IMAGE = {"type": "image_url", "image_url": {"url": DATA_URL}}
FILE = {"type": "input_file", "file_data": "data:application/pdf;base64,AA==", "filename": "a.pdf"}
REFUSAL = {"type": "refusal", "refusal": "I won't."}


def text(value: str) -> JsonObject:
    return {"type": "text", "text": value}


def test_it_is_a_provider() -> None:
    """The class satisfies the hub's protocol under the name that configurations use."""
    provider: Provider = OpenAIChat()
    assert provider.dialect == "openai_chat"


def test_a_plain_turn_is_a_minimal_body() -> None:
    """Without settings nothing but model and messages is sent."""
    request = encode(model_call(user("Hi")))
    assert (request.method, request.path, request.stream, request.not_applied) == (
        "POST",
        "/chat/completions",
        False,
        (),
    )
    assert orjson.loads(request.body) == {"model": "upstream-model", "messages": [{"role": "user", "content": "Hi"}]}


MESSAGES: dict[str, tuple[Item, Quirks, JsonObject]] = {
    "user text": (user("Hi"), Quirks(), {"role": "user", "content": "Hi"}),
    "string content": (item("message", role="user", content="Hi"), Quirks(), {"role": "user", "content": "Hi"}),
    "no content": (user(), Quirks(), {"role": "user", "content": ""}),
    "several texts": (user("a", "b"), Quirks(), {"role": "user", "content": [text("a"), text("b")]}),
    "system": (message("system", "Be brief."), Quirks(), {"role": "system", "content": "Be brief."}),
    "developer as system": (message("developer", "x"), Quirks(), {"role": "system", "content": "x"}),
    "developer as developer": (
        message("developer", "x"),
        Quirks(developer_role="developer"),
        {"role": "developer", "content": "x"},
    ),
    "system stays system": (
        message("system", "x"),
        Quirks(developer_role="developer"),
        {"role": "system", "content": "x"},
    ),
    "assistant": (assistant("Hello"), Quirks(), {"role": "assistant", "content": "Hello"}),
    "assistant as string": (
        item("message", role="assistant", content="Hello"),
        Quirks(),
        {"role": "assistant", "content": "Hello"},
    ),
    "assistant, easy parts": (
        item("message", role="assistant", content=[{"type": "input_text", "text": "Hello"}]),
        Quirks(),
        {"role": "assistant", "content": "Hello"},
    ),
    "annotations and phase stay behind": (
        item(
            "message",
            role="assistant",
            phase="final_answer",
            content=[{"type": "output_text", "text": "See", "annotations": [{"type": "url_citation"}], "logprobs": []}],
        ),
        Quirks(),
        {"role": "assistant", "content": "See"},
    ),
    "conversation text part": (
        item("message", role="user", content=[{"type": "text", "text": "Hi"}]),
        Quirks(),
        {"role": "user", "content": "Hi"},
    ),
    "refusal as text": (assistant(REFUSAL), Quirks(), {"role": "assistant", "content": "I won't."}),
    "refusal after text": (
        assistant("Hm.", REFUSAL),
        Quirks(),
        {"role": "assistant", "content": [text("Hm."), text("I won't.")]},
    ),
    "refusal as field": (
        assistant("Hm.", REFUSAL),
        Quirks(assistant_refusal="field"),
        {"role": "assistant", "content": "Hm.", "refusal": "I won't."},
    ),
    "refusal alone as field": (
        assistant(REFUSAL),
        Quirks(assistant_refusal="field"),
        {"role": "assistant", "content": "", "refusal": "I won't."},
    ),
    "image": (user("Look", IMAGE), Quirks(), {"role": "user", "content": [text("Look"), CHAT_IMAGE]}),
    "image alone stays a list": (user(IMAGE), Quirks(), {"role": "user", "content": [CHAT_IMAGE]}),
    "image detail": (
        user(IMAGE | {"detail": "high"}),
        Quirks(),
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": DATA_URL, "detail": "high"}}]},
    ),
    "null image detail": (user(IMAGE | {"detail": None}), Quirks(), {"role": "user", "content": [CHAT_IMAGE]}),
    "file": (
        user(FILE),
        Quirks(files=True),
        {
            "role": "user",
            "content": [{"type": "file", "file": {"filename": "a.pdf", "file_data": FILE["file_data"]}}],
        },
    ),
}


@pytest.mark.parametrize(("given_item", "quirks", "expected"), MESSAGES.values(), ids=MESSAGES.keys())
def test_message_items(given_item: Item, quirks: Quirks, expected: JsonObject) -> None:
    """A message item becomes the one chat message that says the same, in the simplest form."""
    assert encoded_messages(given_item, quirks=quirks) == [expected]


def test_instructions_are_the_first_system_message() -> None:
    """Instructions stand before the history, whatever the history begins with."""
    messages = encoded_messages(message("system", "Old."), user("Hi"), instructions="Be brief.")
    assert messages[:2] == [{"role": "system", "content": "Be brief."}, {"role": "system", "content": "Old."}]


UNSAYABLE: dict[str, tuple[Item, Quirks, str, str]] = {
    "image by file id": (
        user("x", {"type": "input_image", "file_id": "file_1", "image_url": None}),
        Quirks(),
        "input[1].content[1]",
        "file_id",
    ),
    "images switched off": (user(IMAGE), Quirks(images=False), "input[1].content[0]", "images"),
    "image in a system message": (message("system", "x", IMAGE), Quirks(), "input[1].content[1]", "images"),
    "image of an assistant": (assistant("x", IMAGE), Quirks(), "input[1].content[1]", "images"),
    "file without the quirk": (user(FILE), Quirks(), "input[1].content[0]", "files"),
    "file by url": (
        user({"type": "input_file", "file_url": "https://example.com/a.pdf"}),
        Quirks(files=True),
        "input[1].content[0]",
        "file_url",
    ),
    "file by id": (user({"type": "input_file", "file_id": "file_1"}), Quirks(files=True), "input[1].content[0]", "id"),
    "unknown part": (user({"type": "input_audio"}), Quirks(), "input[1].content[0]", "'input_audio'"),
    "unknown role": (message("critic", "x"), Quirks(), "input[1].role", "'critic'"),
    **{
        kind: (item(kind), Quirks(), "input[1]", f"'{kind}'")
        for kind in (
            "web_search_call",
            "file_search_call",
            "code_interpreter_call",
            "image_generation_call",
            "mcp_call",
            "mcp_list_tools",
            "mcp_approval_request",
            "mcp_approval_response",
            "shell_call",
            "local_shell_call",
            "apply_patch_call_output",
            "computer_call",
            "compaction",
            "tool_search_call",
            "program",
            "acme:telepathy",
        )
    },
}


@pytest.mark.parametrize(("given_item", "quirks", "param", "named"), UNSAYABLE.values(), ids=UNSAYABLE.keys())
def test_what_chat_cannot_say_is_refused(given_item: Item, quirks: Quirks, param: str, named: str) -> None:
    """Nothing is dropped: the error names the place in the request's own input and what is wrong there."""
    with pytest.raises(UnsupportedParameter) as caught:
        encode(model_call(user("history"), user("Hi"), given_item, input_start=1), quirks)
    assert caught.value.param == param
    assert named in caught.value.message


def test_what_chat_cannot_say_in_the_history_is_named_by_its_id() -> None:
    """An item that the client did not send this time is named by its id, because it has no place in the request."""
    with pytest.raises(UnsupportedParameter) as caught:
        encode(model_call(user({"type": "input_video"}), user("Hi"), input_start=1))
    assert (caught.value.param, "'item_1'" in caught.value.message) == ("input", True)


# Calls and their outputs.


def step(*calls: JsonObject, **fields: Any) -> JsonObject:
    return {"role": "assistant", **fields, "tool_calls": list(calls)}


STEPS: dict[str, tuple[list[Item], list[JsonObject]]] = {
    "one call": (
        [function_call("c1"), function_output("c1")],
        [step(tool_call("c1")), tool_message("c1")],
    ),
    "text before the call joins it": (
        [assistant("Let me see."), function_call("c1"), function_output("c1")],
        [step(tool_call("c1"), content="Let me see."), tool_message("c1")],
    ),
    "parallel calls are one message": (
        [function_call("c1"), function_call("c2"), function_output("c1"), function_output("c2")],
        [step(tool_call("c1"), tool_call("c2")), tool_message("c1"), tool_message("c2")],
    ),
    "outputs stand in the order of their calls": (
        [function_call("c1"), function_call("c2"), function_output("c2", "2"), function_output("c1", "1")],
        [step(tool_call("c1"), tool_call("c2")), tool_message("c1", "1"), tool_message("c2", "2")],
    ),
    "text between calls is kept": (
        [
            assistant("a"),
            function_call("c1"),
            assistant("b"),
            function_call("c2"),
            function_output("c1"),
            function_output("c2"),
        ],
        [
            step(tool_call("c1"), tool_call("c2"), content=[text("a"), text("b")]),
            tool_message("c1"),
            tool_message("c2"),
        ],
    ),
    "text after a call and before its output is kept": (
        [function_call("c1"), assistant("Wait."), function_output("c1")],
        [step(tool_call("c1"), content="Wait."), tool_message("c1")],
    ),
    "text after the output is a message of its own": (
        [function_call("c1"), function_output("c1"), assistant("Sunny.")],
        [step(tool_call("c1")), tool_message("c1"), {"role": "assistant", "content": "Sunny."}],
    ),
    "a user message between call and output moves behind it": (
        [function_call("c1"), user("Hurry!"), function_output("c1")],
        [step(tool_call("c1")), tool_message("c1"), {"role": "user", "content": "Hurry!"}],
    ),
    "calls on both sides of a user message are two steps": (
        [function_call("c1"), user("And?"), function_call("c2"), function_output("c2"), function_output("c1")],
        [
            step(tool_call("c1")),
            tool_message("c1"),
            {"role": "user", "content": "And?"},
            step(tool_call("c2")),
            tool_message("c2"),
        ],
    ),
    "a call after an output is a step of its own": (
        [function_call("c1"), function_output("c1"), function_call("c2"), function_output("c2")],
        [step(tool_call("c1")), tool_message("c1"), step(tool_call("c2")), tool_message("c2")],
    ),
    "an id that is used again means the newer call": (
        [function_call("c1"), function_output("c1", "1"), user("x"), function_call("c1"), function_output("c1", "2")],
        [
            step(tool_call("c1")),
            tool_message("c1", "1"),
            {"role": "user", "content": "x"},
            step(tool_call("c1")),
            tool_message("c1", "2"),
        ],
    ),
    "output of one text part": (
        [function_call("c1"), function_output("c1", [{"type": "input_text", "text": "42"}])],
        [step(tool_call("c1")), tool_message("c1", "42")],
    ),
    "output of text parts": (
        [
            function_call("c1"),
            function_output("c1", [{"type": "input_text", "text": "4"}, {"type": "input_text", "text": "2"}]),
        ],
        [step(tool_call("c1")), tool_message("c1", [text("4"), text("2")])],
    ),
}


@pytest.mark.parametrize(("items", "expected"), STEPS.values(), ids=STEPS.keys())
def test_tool_steps(items: list[Item], expected: list[JsonObject]) -> None:
    """The calls of a step are one assistant message, with the text beside them, and its outputs follow at once."""
    assert encoded_messages(user("Go"), *items)[1:] == expected


def test_custom_tool_calls_are_replayed_as_the_functions_they_were_offered_as() -> None:
    """The free-form input of a wrapped custom tool is the function's one argument."""
    call = item("custom_tool_call", call_id="c1", name="sql", input='SELECT "a"\n')
    output = item("custom_tool_call_output", call_id="c1", output="1 row")
    assert encoded_messages(call, output) == [
        step(tool_call("c1", "sql", '{"input":"SELECT \\"a\\"\\n"}')),
        tool_message("c1", "1 row"),
    ]


def test_custom_tool_calls_are_replayed_natively_where_they_are_known() -> None:
    """An upstream that knows custom tools gets the input as it is."""
    call = item("custom_tool_call", call_id="c1", name="sql", input="SELECT 1")
    output = item("custom_tool_call_output", call_id="c1", output="1 row")
    assert encoded_messages(call, output, quirks=Quirks(custom_tools="native")) == [
        step({"id": "c1", "type": "custom", "custom": {"name": "sql", "input": "SELECT 1"}}),
        tool_message("c1", "1 row"),
    ]


def test_images_in_tool_outputs_need_the_quirk() -> None:
    """A tool message holds an image only where the upstream is known to take it."""
    items = [function_call("c1"), function_output("c1", [IMAGE])]
    with pytest.raises(UnsupportedParameter) as caught:
        encoded_messages(*items)
    assert caught.value.param == "input[1].output[0]"
    assert encoded_messages(*items, quirks=Quirks(tool_output_images=True))[1] == tool_message("c1", [CHAT_IMAGE])


def test_files_in_tool_outputs_are_refused_by_name() -> None:
    """A file in a tool's output is not dropped."""
    with pytest.raises(UnsupportedParameter) as caught:
        encoded_messages(function_call("c1"), function_output("c1", [FILE]))
    assert caught.value.param == "input[1].output[0]"


def test_call_ids_can_be_made_narrow() -> None:
    """For an upstream with narrow ids, a call and its output get the same nine letters and digits."""
    messages = encoded_messages(
        function_call("call_0123456789abcdef01234567"),
        function_output("call_0123456789abcdef01234567"),
        quirks=Quirks(tool_call_ids="alphanumeric_9"),
    )
    call_id = messages[0]["tool_calls"][0]["id"]
    assert (len(call_id), call_id.isalnum()) == (9, True)
    assert call_id == messages[1]["tool_call_id"]


def test_an_output_without_its_call_is_refused() -> None:
    """There is no place in a chat for an output that nobody asked for."""
    with pytest.raises(InvalidRequest) as caught:
        encoded_messages(user("Hi"), function_output("c9"))
    assert caught.value.message == "No tool call found for function call output with call_id c9."


def test_a_call_without_its_output_is_refused() -> None:
    """A chat with an unanswered call is not sent, because servers answer it with riddles."""
    with pytest.raises(InvalidRequest) as caught:
        encoded_messages(user("Hi"), function_call("c9"))
    assert caught.value.message == "No tool output found for function call c9."


# Reasoning.

OWN = Private("openai_chat", ACCOUNT, {"field": "reasoning"})
THINKING = Private("openai_chat", ACCOUNT, {"field": None, "content_part": "thinking"})


def loop(thought: Item) -> list[Item]:
    """Reasoning of a past turn, then of the tool loop that is going on."""
    return [
        user("1"),
        reasoning("old"),
        assistant("one"),
        user("2"),
        thought,
        function_call("c1"),
        function_output("c1"),
    ]


REPLAYS: dict[str, tuple[Item, Quirks, dict[str, Any], list[JsonObject]]] = {
    "within the tool loop": (reasoning("new"), Quirks(), {}, [{}, {"reasoning_content": "new"}]),
    "in the field it came in": (reasoning("new", OWN), Quirks(), {}, [{}, {"reasoning": "new"}]),
    "not of another upstream": (
        reasoning("new", Private("openai_chat", "other", {"field": "reasoning"})),
        Quirks(),
        {},
        [{}, {}],
    ),
    "not of another dialect": (reasoning("new", Private("anthropic", ACCOUNT, {})), Quirks(), {}, [{}, {}]),
    "always": (
        reasoning("new"),
        Quirks(replay_reasoning="always"),
        {},
        [{"reasoning_content": "old"}, {"reasoning_content": "new"}],
    ),
    "never": (reasoning("new"), Quirks(replay_reasoning="never"), {}, [{}, {}]),
    "all turns, as the request says": (
        reasoning("new"),
        Quirks(),
        {"reasoning": {"context": "all_turns"}},
        [{"reasoning_content": "old"}, {"reasoning_content": "new"}],
    ),
    "current turn, as the request says": (
        reasoning("new"),
        Quirks(replay_reasoning="always"),
        {"reasoning": {"context": "current_turn"}},
        [{}, {"reasoning_content": "new"}],
    ),
    "as OpenRouter's details": (
        reasoning("new", Private("openai_chat", ACCOUNT, {"field": "reasoning", "reasoning_details": [{"type": "x"}]})),
        Quirks(),
        {},
        [{}, {"reasoning_details": [{"type": "x"}]}],
    ),
    "as Mistral's part": (
        reasoning("new", THINKING),
        Quirks(),
        {},
        [{}, {"content": [{"type": "thinking", "thinking": [text("new")]}]}],
    ),
    "a summary is not reasoning": (
        item("reasoning", summary=[{"type": "summary_text", "text": "short"}], encrypted_content="x"),
        Quirks(),
        {},
        [{}, {}],
    ),
}


@pytest.mark.parametrize(("thought", "quirks", "request_fields", "expected"), REPLAYS.values(), ids=REPLAYS.keys())
def test_reasoning_replay(
    thought: Item, quirks: Quirks, request_fields: dict[str, Any], expected: list[JsonObject]
) -> None:
    """Reasoning goes onto the assistant message that it led to, as far as quirk and request allow."""
    messages = encoded_messages(*loop(thought), quirks=quirks, **request_fields)
    told = [entry for entry in messages if entry["role"] == "assistant"]
    assert told == [
        {"role": "assistant", "content": "one", **expected[0]},
        {"role": "assistant", **expected[1], "tool_calls": [tool_call("c1")]},
    ]


def test_reasoning_between_calls_is_joined() -> None:
    """Thoughts of one step end up on its one message, in their order."""
    messages = encoded_messages(
        user("Go"),
        reasoning("a"),
        function_call("c1"),
        reasoning("b"),
        function_call("c2"),
        function_output("c1"),
        function_output("c2"),
    )
    assert messages[1]["reasoning_content"] == "a\nb"


def test_thoughts_in_the_content_stand_before_its_text() -> None:
    """Where reasoning is a part of the content, all of it comes first, in its order."""
    messages = encoded_messages(
        user("Go"),
        reasoning("a", THINKING),
        assistant("one"),
        reasoning("b", THINKING),
        function_call("c1"),
        function_output("c1"),
    )
    thoughts = [{"type": "thinking", "thinking": [text(thought)]} for thought in "ab"]
    assert messages[1]["content"] == [*thoughts, text("one")]


@pytest.mark.parametrize(
    ("account", "expected"),
    [
        pytest.param(ACCOUNT, {"extra_content": {"signature": "s"}}, id="the same upstream"),
        pytest.param("other", {}, id="another upstream"),
    ],
)
def test_what_came_with_a_call_goes_back_with_it(account: str, expected: JsonObject) -> None:
    """A thought signature is returned to the upstream that made it and to nobody else."""
    data = {"extra_content": {"signature": "s"}}
    call = function_call("c1", private=Private("openai_chat", account, data))
    assert encoded_messages(user("Go"), call, function_output("c1"))[1]["tool_calls"] == [tool_call("c1") | expected]


def test_reasoning_that_led_to_nothing_does_not_reach_the_next_answer() -> None:
    """Reasoning without an assistant message of its own is not put onto a later one."""
    messages = encoded_messages(
        reasoning("lost"), user("2"), assistant("two"), quirks=Quirks(replay_reasoning="always")
    )
    assert messages == [{"role": "user", "content": "2"}, {"role": "assistant", "content": "two"}]


# For any history.

TEXTS = st.text(max_size=5)


@st.composite
def histories(draw: st.DrawFn) -> list[Item]:
    """Any sequence of items in which every output comes somewhere after its call."""
    items: list[Item] = [user("Go")]
    open_calls: list[tuple[str, str]] = []
    kinds = ("user", "developer", "assistant", "refusal", "reasoning", "call", "custom", "output", "hosted")
    for number, kind in enumerate(draw(st.lists(st.sampled_from(kinds), max_size=14))):
        if kind == "call":
            items.append(function_call(f"c{number}", arguments=draw(TEXTS)))
            open_calls.append((f"c{number}", "function_call_output"))
        elif kind == "custom":
            items.append(item("custom_tool_call", call_id=f"c{number}", name="sql", input=draw(TEXTS)))
            open_calls.append((f"c{number}", "custom_tool_call_output"))
        elif kind == "output" and open_calls:
            call_id, type_ = open_calls.pop(draw(st.integers(0, len(open_calls) - 1)))
            items.append(item(type_, call_id=call_id, output=draw(TEXTS)))
        elif kind == "reasoning":
            items.append(reasoning(draw(TEXTS), draw(st.sampled_from([None, OWN, THINKING]))))
        elif kind == "refusal":
            items.append(assistant(draw(TEXTS), REFUSAL))
        elif kind == "hosted" and draw(st.integers(0, 9)) == 0:
            items.append(item("web_search_call"))
        elif kind in ("user", "developer", "assistant"):
            items.append(message(kind, *draw(st.lists(TEXTS, max_size=3))))
    items.extend(item(type_, call_id=call_id, output="x") for call_id, type_ in open_calls)
    return items


QUIRKS = st.builds(
    Quirks,
    custom_tools=st.sampled_from(["function", "native"]),
    replay_reasoning=st.sampled_from(["tool_loop", "always", "never"]),
    assistant_refusal=st.sampled_from(["text", "field"]),
    tool_call_ids=st.sampled_from(["as_is", "alphanumeric_9"]),
)


def texts_in(content: Any) -> list[str]:
    """The texts that are not empty."""
    found = [content] if isinstance(content, str) else [part["text"] for part in content]
    return [one for one in found if one]


@settings(max_examples=150, deadline=None)
@given(items=histories(), quirks=QUIRKS)
def test_any_history_is_a_chat(items: list[Item], quirks: Quirks) -> None:
    """A tool message follows an assistant message that holds its call; nobody's text is lost; nothing is null."""
    try:
        messages = encoded_messages(*items, quirks=quirks)
    except AntiphonError:
        assert any(one.type == "web_search_call" for one in items)
        return
    allowed: list[str] = []
    for entry in messages:
        if entry["role"] == "tool":
            assert entry["tool_call_id"] == allowed.pop(0)
        else:
            assert allowed == []
            allowed = [call["id"] for call in entry.get("tool_calls", ())]
        assert None not in entry.values()
    assert allowed == []
    said = [text for entry in messages if entry["role"] == "user" for text in texts_in(entry["content"])]
    meant = [
        text
        for one in items
        if one.type == "message" and one.body["role"] == "user"
        for text in texts_in(one.body["content"])
    ]
    assert said == meant


@settings(max_examples=30, deadline=None)
@given(items=histories())
def test_encoding_changes_nothing_that_it_is_given(items: list[Item]) -> None:
    """The same call gives the same bytes again, and its items are as they were."""
    before = copy.deepcopy([one.body for one in items])
    try:
        first = encode(model_call(*items, input_start=0)).body
    except AntiphonError:
        return
    assert (encode(model_call(*items, input_start=0)).body, [one.body for one in items]) == (first, before)
