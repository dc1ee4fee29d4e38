"""Items as messages of the Messages API: where each goes, what goes back to whom, and what cannot be said."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import msgspec
import orjson
import pytest

from antiphon.hub.errors import InvalidRequest, UnsupportedParameter
from antiphon.hub.items import Item, JsonObject, Private
from antiphon.providers.anthropic import provider
from tests.providers.kit.calls import (
    ACCOUNT,
    assistant,
    custom_call,
    custom_output,
    function_call,
    function_output,
    function_tool,
    item,
    message,
    model_call,
    reasoning,
    user,
)


def body(*items: Item, quirks: JsonObject | None = None, **request: Any) -> JsonObject:
    anthropic = provider({"caching": False, **(quirks or {})})
    written: JsonObject = orjson.loads(anthropic.encode(model_call(*items, **request)).body)
    return written


def said(*items: Item, quirks: JsonObject | None = None, **request: Any) -> list[list[Any]]:
    """The messages in short: the role, then each block by what is in it."""
    messages = body(*items, quirks=quirks, **request)["messages"]
    return [[message["role"], *map(short, message["content"])] for message in messages]


def short(block: JsonObject) -> Any:
    match block["type"]:
        case "text":
            return block["text"]
        case "tool_use":
            return f"{block['id']}?"
        case "tool_result":
            return f"{block['tool_use_id']}!"
        case _:
            return block


def thought(*blocks: JsonObject, account: str = ACCOUNT, provider_name: str = "anthropic") -> Item:
    return reasoning("", summary="Hm.", private=Private(provider_name, account, {"blocks": [*blocks]}))


SIGNED: JsonObject = {"type": "thinking", "thinking": "Hm.", "signature": "c2ln", "hue": "blue"}
SEALED: JsonObject = {"type": "redacted_thinking", "data": "ZW5j"}

ORDERS: dict[str, tuple[tuple[Item, ...], list[list[Any]]]] = {
    "a user message between a call and its output": (
        (user("a"), function_call("c1"), user("hurry"), function_output("c1")),
        [["user", "a"], ["assistant", "c1?"], ["user", "c1!", "hurry"]],
    ),
    "a user message behind the outputs": (
        (user("a"), function_call("c1"), function_output("c1"), user("and?")),
        [["user", "a"], ["assistant", "c1?"], ["user", "c1!", "and?"]],
    ),
    "outputs in another order, with something in between": (
        (user("a"), function_call("c1"), function_call("c2"), function_output("c2"), user("b"), function_output("c1")),
        [["user", "a"], ["assistant", "c1?", "c2?"], ["user", "c1!", "c2!", "b"]],
    ),
    "text around calls": (
        (
            user("a"),
            assistant("b"),
            function_call("c1"),
            assistant("d"),
            function_call("c2"),
            function_output("c1"),
            function_output("c2"),
        ),
        [["user", "a"], ["assistant", "b", "c1?", "d", "c2?"], ["user", "c1!", "c2!"]],
    ),
    "the next step begins before the first one is answered in full": (
        (
            user("a"),
            function_call("c1"),
            function_call("c2"),
            function_output("c1"),
            assistant("b"),
            function_call("c3"),
            function_output("c3"),
            function_output("c2"),
        ),
        [
            ["user", "a"],
            ["assistant", "c1?", "c2?"],
            ["user", "c1!", "c2!"],
            ["assistant", "b", "c3?"],
            ["user", "c3!"],
        ],
    ),
    "a call behind a user's interruption": (
        (
            user("a"),
            function_call("c1"),
            user("b"),
            function_call("c2"),
            function_output("c1"),
            function_output("c2"),
        ),
        [["user", "a"], ["assistant", "c1?"], ["user", "c1!", "b"], ["assistant", "c2?"], ["user", "c2!"]],
    ),
    "two steps": (
        (user("a"), function_call("c1"), function_output("c1"), function_call("c2"), function_output("c2")),
        [["user", "a"], ["assistant", "c1?"], ["user", "c1!"], ["assistant", "c2?"], ["user", "c2!"]],
    ),
    "a custom call": (
        (user("a"), custom_call("c1", "patch", "x"), custom_output("c1")),
        [["user", "a"], ["assistant", "c1?"], ["user", "c1!"]],
    ),
    "thinking around calls": (
        (
            user("a"),
            thought(SIGNED, SEALED),
            function_call("c1"),
            thought(SEALED),
            function_call("c2"),
            function_output("c1"),
            function_output("c2"),
        ),
        [["user", "a"], ["assistant", SIGNED, SEALED, "c1?", SEALED, "c2?"], ["user", "c1!", "c2!"]],
    ),
    "thinking in each step": (
        (
            user("a"),
            thought(SIGNED),
            function_call("c1"),
            function_output("c1"),
            thought(SEALED),
            function_call("c2"),
            function_output("c2"),
        ),
        [
            ["user", "a"],
            ["assistant", SIGNED, "c1?"],
            ["user", "c1!"],
            ["assistant", SEALED, "c2?"],
            ["user", "c2!"],
        ],
    ),
    "thinking that led to nothing": (
        (user("a"), assistant("b"), thought(SIGNED)),
        [["user", "a"], ["assistant", "b"], ["user", "(Go on.)"]],
    ),
    "thinking alone": ((user("a"), thought(SIGNED)), [["user", "a"]]),
    "texts without a word": (
        (user("a", " \n"), assistant(""), user("b"), assistant("c"), user(" "), assistant("d"), user("e")),
        [["user", "a", "b"], ["assistant", "c", "d"], ["user", "e"]],
    ),
    "nothing but instructions": ((message("developer", "Go"),), [["user", "(Go on.)"]]),
}


@pytest.mark.parametrize(("items", "expected"), ORDERS.values(), ids=ORDERS.keys())
def test_where_each_item_goes(items: tuple[Item, ...], expected: list[list[Any]]) -> None:
    """Turns alternate, a step's results come first behind it, and everything else stays where it was."""
    assert said(*items) == expected


LATE: dict[str, tuple[tuple[Item, ...], list[list[Any]]]] = {
    "between a user and an assistant": (
        (user("a"), message("developer", "S"), assistant("b"), user("c")),
        [["user", "a"], ["system", "S"], ["assistant", "b"], ["user", "c"]],
    ),
    "between an assistant and a user": (
        (user("a"), assistant("b"), message("system", "S"), user("c")),
        [["user", "a"], ["assistant", "b"], ["user", "c"], ["system", "S"]],
    ),
    "between users": (
        (user("a"), message("system", "S"), message("developer", "T"), user("b")),
        [["user", "a", "b"], ["system", "S", "T"]],
    ),
    "between calls and their outputs": (
        (
            user("a"),
            function_call("c1"),
            message("developer", "S"),
            function_call("c2"),
            function_output("c1"),
            function_output("c2"),
        ),
        [["user", "a"], ["assistant", "c1?", "c2?"], ["user", "c1!", "c2!"], ["system", "S"]],
    ),
    "behind the assistant": (
        (user("a"), assistant("b"), message("system", "S")),
        [["user", "a"], ["assistant", "b"], ["user", "(Go on.)"], ["system", "S"]],
    ),
    "before everything": ((message("system", "S"), user("a")), [["user", "a"]]),
    "without a word": (
        (user("a"), message("system", ""), assistant("b"), user("c")),
        [["user", "a"], ["assistant", "b"], ["user", "c"]],
    ),
}


@pytest.mark.parametrize(("items", "expected"), LATE.values(), ids=LATE.keys())
def test_where_the_system_may_speak_in_between(items: tuple[Item, ...], expected: list[list[Any]]) -> None:
    """What the system says later stands behind the user's turn in which it falls, as the API wants it."""
    assert said(*items, quirks={"late_system": "in_place"}) == expected


@pytest.mark.parametrize(
    ("model", "quirks", "in_place"),
    [
        ("claude-opus-5", {}, True),
        ("claude-opus-4-8", {}, True),
        ("claude-sonnet-5", {}, False),
        ("claude-opus-4-7", {}, False),
        ("claude-opus-5", {"host": "vertex"}, False),
        ("claude-opus-5", {"late_system": "top"}, False),
        ("another-vendors-model", {"late_system": "in_place"}, True),
    ],
)
def test_which_models_hear_the_system_in_between(model: str, quirks: JsonObject, *, in_place: bool) -> None:
    """The newest models take a later message of the system in its place; for others it is in the system prompt."""
    call = msgspec.structs.replace(model_call(user("a"), message("system", "S"), user("b")), model=model)

    body = orjson.loads(provider({"caching": False, **quirks}).encode(call).body)

    assert [message["role"] for message in body["messages"]] == (["user", "system"] if in_place else ["user"])
    assert body.get("system") == (None if in_place else [{"type": "text", "text": "S"}])


def test_what_is_encoded_is_not_changed() -> None:
    """Items and tools may be cached and shared: encoding writes nothing into them."""
    items = (
        user("a"),
        thought(SIGNED),
        function_call("c1"),
        function_output("c1", [{"type": "input_text", "text": "b"}]),
    )
    call = model_call(*items, input_start=3, tools=(function_tool("look"),), instructions="x")
    before = deepcopy(msgspec.structs.asdict(call))

    provider({}).encode(call)

    assert msgspec.structs.asdict(call) == before


LOOP = (function_call("c1"), function_output("c1"))
REPLAYED: dict[str, tuple[tuple[Item, ...], JsonObject, JsonObject, bool]] = {
    "in the tool loop": ((user("a"), thought(SIGNED), *LOOP), {}, {}, True),
    "of another account": ((user("a"), thought(SIGNED, account="other"), *LOOP), {}, {}, False),
    "of another dialect": ((user("a"), thought(SIGNED, provider_name="openai_chat"), *LOOP), {}, {}, False),
    "that the client brought along": ((user("a"), thought(SIGNED, account=""), *LOOP), {}, {}, True),
    "of nobody": ((user("a"), reasoning("Hm."), *LOOP), {}, {}, False),
    "of an earlier turn": ((user("a"), thought(SIGNED), *LOOP, user("b")), {}, {}, False),
    "of an earlier turn, where all goes back": (
        (user("a"), thought(SIGNED), *LOOP, user("b")),
        {"replay_thinking": "always"},
        {},
        True,
    ),
    "of an earlier turn, where the request wants it": (
        (user("a"), thought(SIGNED), *LOOP, user("b")),
        {},
        {"context": "all_turns"},
        True,
    ),
    "of an earlier turn that the request does not want": (
        (user("a"), thought(SIGNED), *LOOP, user("b")),
        {"replay_thinking": "always"},
        {"context": "current_turn"},
        False,
    ),
    "where none goes back": ((user("a"), thought(SIGNED), *LOOP), {"replay_thinking": "never"}, {}, False),
    "without a user's message": ((thought(SIGNED), *LOOP), {}, {}, True),
}


@pytest.mark.parametrize(("items", "quirks", "asked", "goes"), REPLAYED.values(), ids=REPLAYED.keys())
def test_thinking_goes_back_to_whom_it_is_from(
    items: tuple[Item, ...], quirks: JsonObject, asked: JsonObject, *, goes: bool
) -> None:
    """A block goes back as it came, within the tool loop, to the account that made it, and to nobody else."""
    messages = body(*items, quirks=quirks, reasoning=asked)["messages"]

    blocks = [block for message in messages for block in message["content"] if block["type"] == "thinking"]
    assert blocks == ([SIGNED] if goes else [])


ARGUMENTS = {
    "an object": ('{"b": 1.50, "a": 12345678901234567890123}', '{"b": 1.50, "a": 12345678901234567890123}'),
    "nothing": ("", "{}"),
    "half an object": ('{"a"', '{"arguments":"{\\"a\\""}'),
    "a list": ("[1]", '{"arguments":"[1]"}'),
    "no JSON": ("NaN", '{"arguments":"NaN"}'),
}


@pytest.mark.parametrize(("arguments", "expected"), ARGUMENTS.values(), ids=ARGUMENTS.keys())
def test_arguments_are_not_rewritten(arguments: str, expected: str) -> None:
    """Arguments go up byte for byte, so that numbers keep their digits and the cache its key; others in an object."""
    written = provider({}).encode(model_call(user("a"), function_call("c1", "look", arguments), function_output("c1")))

    assert f'"input":{expected}'.encode() in written.body


def test_every_call_has_an_id_of_its_own() -> None:
    """An id with characters that the API does not take, and one that is used twice, become hashes on both sides."""
    items = (user("a"), function_call("a.b:c"), function_output("a.b:c"), *LOOP, *LOOP)
    asked = [use.removesuffix("?") for turn in said(*items) for use in turn[1:] if use.endswith("?")]
    answered = [use.removesuffix("!") for turn in said(*items) for use in turn[1:] if use.endswith("!")]

    assert asked == answered
    assert len(set(asked)) == 3
    assert "c1" in asked
    assert all(call_id.replace("_", "").isalnum() for call_id in asked)


def test_an_item_can_add_tools() -> None:
    """Tools that an item brings stand with the request's; of two of one name the later counts."""
    added = item("additional_tools", tools=[function_tool("look", description="New."), function_tool("find")])

    tools = body(user("a"), added, tools=(function_tool("look"),))["tools"]

    assert [(tool["name"], tool["description"]) for tool in tools] == [("look", "New."), ("find", "finds")]


def test_tools_of_the_past_are_declared() -> None:
    """A turn that repeats no tools declares those that were called, and lets none of them be called."""
    namesake = function_call("c2", "find", namespace="crm")

    written = body(user("a"), *LOOP, namesake, function_output("c2"), user("b"))

    assert written["tools"] == [{"name": name, "input_schema": {"type": "object"}} for name in ("look", "crm__find")]
    assert written["tool_choice"] == {"type": "none"}


def test_names_of_tools_in_namespaces() -> None:
    """Joined names are unique, legal and short, and a call in the history has the name of its tool."""
    find = function_tool("find")
    spaces = [{"type": "namespace", "name": name, "tools": [find]} for name in ("crm", "c r", "n" * 80)]

    written = body(
        user("a"),
        function_call("c1", "find", namespace="crm"),
        function_output("c1"),
        tools=(function_tool("crm__find"), *spaces),
    )

    names = [tool["name"] for tool in written["tools"]]
    assert names[:3] == ["crm__find", "crm___find", "c_r__find"]
    assert len(names[3]) == 64
    assert written["messages"][1]["content"][0]["name"] == "crm___find"


def test_a_choice_of_a_whole_namespace() -> None:
    """allowed_tools may name a namespace: all of its tools are offered, and nothing else."""
    tools = ({"type": "namespace", "name": "crm", "tools": [function_tool("find"), function_tool("add")]},)
    chosen = {"type": "allowed_tools", "mode": "required", "tools": [{"type": "namespace", "name": "crm"}]}

    written = body(tools=(*tools, function_tool("look")), tool_choice=chosen)

    assert [tool["name"] for tool in written["tools"]] == ["crm__find", "crm__add"]
    assert written["tool_choice"] == {"type": "any"}


def test_a_grammar_is_said_in_words() -> None:
    """A custom tool's grammar has no field: it is in the description."""
    grammar = {"type": "grammar", "syntax": "lark", "definition": "start: NUMBER"}

    (tool,) = body(tools=({"type": "custom", "name": "calc", "format": grammar},))["tools"]

    assert tool["description"] == "The input has to follow this grammar (lark):\nstart: NUMBER"


@pytest.mark.parametrize("output", ["", " \n", []], ids=["empty", "white space", "no parts"])
def test_an_output_without_a_word(output: str | list[JsonObject]) -> None:
    """An empty output is a result without content: the API refuses texts that say nothing."""
    results = body(user("a"), function_call("c1"), function_output("c1", output))["messages"][-1]["content"]

    assert results == [{"type": "tool_result", "tool_use_id": "c1"}]


def file_part(**fields: str) -> JsonObject:
    return {"type": "input_file", **fields}


SOURCES: dict[str, tuple[JsonObject, JsonObject]] = {
    "a file by URL": (
        file_part(file_url="https://files.example/a.pdf"),
        {"type": "url", "url": "https://files.example/a.pdf"},
    ),
    "text": (
        file_part(file_data="data:text/plain;charset=utf-8;base64,R3LDvMOfZQ=="),
        {"type": "text", "media_type": "text/plain", "data": "Grüße"},
    ),
    "JSON": (
        file_part(file_data="data:application/json;base64,e30="),
        {"type": "text", "media_type": "text/plain", "data": "{}"},
    ),
    "base64 alone": (
        file_part(file_data="JVBERi0=", filename="A.PDF"),
        {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="},
    ),
}


@pytest.mark.parametrize(("part", "source"), SOURCES.values(), ids=SOURCES.keys())
def test_documents(part: JsonObject, source: JsonObject) -> None:
    """PDF and text go up as documents, whichever way they come."""
    (block,) = body(user(part))["messages"][0]["content"]

    assert (block["type"], block["source"]) == ("document", source)


def image_part(url: str) -> JsonObject:
    return {"type": "input_image", "image_url": url}


UNSAYABLE: dict[str, tuple[Item, JsonObject, str]] = {
    "an image by id": (user({"type": "input_image", "file_id": "file-1"}), {}, "input[0].content[0]"),
    "an image of another type": (user("a", image_part("data:image/svg+xml;base64,PA==")), {}, "input[0].content[1]"),
    "data that is not base64": (user(image_part("data:image/png,abc")), {}, "input[0].content[0]"),
    "an image where there are none": (
        user(image_part("https://images.example/a.png")),
        {"images": False},
        "input[0].content[0]",
    ),
    "a file by id": (user(file_part(file_id="file-1")), {}, "input[0].content[0]"),
    "a file of another type": (user(file_part(file_data="UEs=", filename="a.docx")), {}, "input[0].content[0]"),
    "text that is none": (user(file_part(file_data="data:text/plain;base64,/w==")), {}, "input[0].content[0]"),
    "a file where there are none": (
        user(file_part(file_data="UEs=", filename="a.pdf")),
        {"documents": False},
        "input[0].content[0]",
    ),
    "another part": (user({"type": "input_audio"}), {}, "input[0].content[0]"),
    "an image of the system": (
        message("system", image_part("https://images.example/a.png")),
        {},
        "input[0].content[0]",
    ),
    "another role": (message("critic", "Hm"), {}, "input[0].role"),
    "another item": (item("mcp_call"), {}, "input[0]"),
}


@pytest.mark.parametrize(("unsayable", "quirks", "param"), UNSAYABLE.values(), ids=UNSAYABLE.keys())
def test_what_cannot_be_said(unsayable: Item, quirks: JsonObject, param: str) -> None:
    """Content of a kind that the API has no words for is refused by its place in the client's input."""
    with pytest.raises(UnsupportedParameter) as refused:
        body(unsayable, quirks=quirks)

    assert refused.value.param == param


def test_content_may_be_one_text() -> None:
    """A message's content is a text or a list of parts."""
    spoken = [item("message", role=role, content="Hi") for role in ("system", "user", "assistant", "user")]

    written = body(*spoken)

    assert written["system"] == [{"type": "text", "text": "Hi"}]
    assert [message["content"] for message in written["messages"]] == [[{"type": "text", "text": "Hi"}]] * 3


def test_what_cannot_be_said_of_an_output() -> None:
    """A part of a tool's output is named as one."""
    with pytest.raises(UnsupportedParameter) as refused:
        body(user("a"), function_call("c1"), function_output("c1", [{"type": "input_video"}]))

    assert refused.value.param == "input[2].output[0]"


def test_what_cannot_be_said_of_the_history() -> None:
    """An item of the history has no place in the client's input: it is named by its id."""
    with pytest.raises(UnsupportedParameter, match=r"Item 'item_1' of the history: .*'input_video'") as refused:
        body(user({"type": "input_video"}), user("a"), input_start=1)

    assert refused.value.param == "input"


INVALID: dict[str, tuple[tuple[Item, ...], JsonObject, str]] = {
    "an output without a call": ((user("a"), function_output("c1")), {}, "No tool call found for function call output"),
    "a call without an output": ((user("a"), function_call("c1")), {}, "No tool output found for function call c1"),
    "text that is no text": ((user("\ud800"),), {}, "cannot be written as JSON"),
    "two tools of one name": (
        (user("a"),),
        {"tools": (function_tool("look"), {"type": "custom", "name": "look"})},
        "are both called 'look'",
    ),
    "a choice of nothing": ((user("a"),), {"tool_choice": "required"}, "must be specified together with tools"),
    "a choice of another tool": (
        (user("a"),),
        {"tools": (function_tool("look"),), "tool_choice": {"type": "function", "name": "find"}},
        "'find' not found",
    ),
}


@pytest.mark.parametrize(("items", "request_", "words"), INVALID.values(), ids=INVALID.keys())
def test_what_is_wrong_with_a_request(items: tuple[Item, ...], request_: JsonObject, words: str) -> None:
    """A request that no upstream could make sense of is called invalid before one is asked."""
    with pytest.raises(InvalidRequest, match=words):
        body(*items, **request_)
