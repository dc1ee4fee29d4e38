"""Tools as Converse has them: their names, who may be called, and the way back from a call."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from antiphon.hub.errors import InvalidRequest, UnsupportedParameter, UpstreamBroken
from antiphon.hub.items import Item, JsonObject
from antiphon.hub.turn import ModelCall
from antiphon.providers.bedrock import Bedrock, Quirks
from tests.providers.bedrock_frames import event
from tests.providers.bedrock_replies import frames_of
from tests.providers.kit.calls import function_call, function_output, function_tool, item, model_call, user
from tests.providers.kit.replies import outcome, streamed
from tests.streams.fixed_ids import FAMILY, counting_ids

LONG = "mcp__" + "x" * 100


def config(call: ModelCall, **quirks: Any) -> JsonObject | None:
    body: JsonObject = orjson.loads(Bedrock(Quirks(**quirks)).encode(call).body)
    return body.get("toolConfig")


def names(call: ModelCall) -> list[str]:
    found = config(call)
    assert found is not None
    return [entry["toolSpec"]["name"] for entry in found["tools"]]


def called(call: ModelCall, wire_name: str) -> Item:
    """What a call of a tool becomes, in a reply to *call*."""
    first, *_, stop, end, metadata = frames_of("call")
    start = event("contentBlockStart", {"start": {"toolUse": {"name": wire_name, "toolUseId": "tooluse_x"}}})
    decoder = Bedrock().decoder(call, counting_ids(), FAMILY)
    items, _ = outcome(streamed(decoder, first, start, stop, end, metadata))
    return items[0]


def namespace(name: str, *tools: JsonObject, **more: Any) -> JsonObject:
    return {"type": "namespace", "name": name, "tools": list(tools), **more}


@pytest.mark.parametrize(
    ("tool", "origin"),
    [
        (function_tool("look"), (None, "look")),
        (function_tool(LONG), (None, LONG)),
        (function_tool("files.read"), (None, "files.read")),
        (function_tool("été"), (None, "été")),
        (namespace("crm", function_tool("find")), ("crm", "find")),
        (namespace("a.b", function_tool(LONG)), ("a.b", LONG)),
    ],
    ids=["legal", "long", "a dot", "letters", "in a namespace", "in a namespace, long"],
)
def test_names_come_back(tool: JsonObject, origin: tuple[str | None, str]) -> None:
    """Whatever a tool is called, the upstream gets a name that it takes, and the client the one that it gave."""
    call = model_call(tools=(tool,))

    (wire_name,) = names(call)
    made = called(call, wire_name)

    assert len(wire_name) <= 64
    assert wire_name.replace("-", "_").replace("_", "a").isalnum()
    assert wire_name.isascii()
    assert (made.body.get("namespace"), made.body["name"]) == origin


def test_a_call_in_the_context_has_its_tools_name() -> None:
    """An earlier call of a renamed tool goes up under the name that the tool is offered by."""
    loop = (user("Hi"), function_call("c1", name="files.read"), function_output("c1"))
    call = model_call(*loop, tools=(function_tool("files.read"),))

    body = orjson.loads(Bedrock().encode(call).body)

    assert [body["messages"][1]["content"][0]["toolUse"]["name"]] == names(call)


@settings(max_examples=50, deadline=None)
@given(
    tools=st.lists(
        st.tuples(st.none() | st.text("a_.", min_size=1, max_size=4), st.text("a_.é", min_size=1, max_size=5)),
        min_size=1,
        max_size=6,
        unique=True,
    )
)
def test_no_two_tools_have_one_name(tools: list[tuple[str | None, str]]) -> None:
    """Names that are told apart by the client are told apart by the upstream, and each leads back."""
    call = model_call(
        tools=tuple(
            function_tool(name) if space is None else namespace(space, function_tool(name)) for space, name in tools
        )
    )

    wire_names = names(call)

    assert len(set(wire_names)) == len(tools)
    origins = [called(call, wire_name).body for wire_name in wire_names]
    assert [(origin.get("namespace"), origin["name"]) for origin in origins] == tools


def test_a_plain_name_is_kept_before_a_made_one() -> None:
    """A tool that can keep its name keeps it, though a namespace before it would have taken it."""
    call = model_call(tools=(namespace("a", function_tool("b")), function_tool("a__b")))

    assert names(call) == ["a___b", "a__b"]


def test_custom_tools() -> None:
    """A custom tool's grammar is said in words, and a call of it comes back as one."""
    grammar = {"type": "grammar", "syntax": "lark", "definition": 'start: "x"'}
    call = model_call(tools=({"type": "custom", "name": "run", "description": "Runs.", "format": grammar},))

    found = config(call)

    assert found is not None
    spec = found["tools"][0]["toolSpec"]
    assert spec["description"] == 'Runs.\n\nThe input must match this lark grammar:\nstart: "x"'
    assert called(call, "run").type == "custom_tool_call"


def test_tools_that_items_add() -> None:
    """Tools that an item of the context adds stand with the request's; the later one of two namesakes counts."""
    added = item("additional_tools", tools=[function_tool("look", description="sees"), function_tool("find")])

    found = config(model_call(user("Hi"), added, tools=(function_tool("look"),)))

    assert found is not None
    assert [(entry["toolSpec"]["name"], entry["toolSpec"]["description"]) for entry in found["tools"]] == [
        ("look", "sees"),
        ("find", "finds"),
    ]


def test_tools_that_are_left_out() -> None:
    """Where it is configured, tools of unknown types are left out and reported."""
    call = model_call(tools=({"type": "web_search"}, function_tool("look", output_schema={"type": "object"})))

    request = Bedrock(Quirks(unsupported_tools="drop")).encode(call)

    assert request.not_applied == ("tools.web_search", "tools.output_schema")


@pytest.mark.parametrize(
    ("tool", "param"),
    [
        (function_tool("look", defer_loading=True), "tools[0].defer_loading"),
        (function_tool("look", allowed_callers=["code_interpreter"]), "tools[0].allowed_callers"),
        (namespace("crm", {"type": "web_search"}), "tools[0].tools[0]"),
        (namespace("crm", {**function_tool("look"), "async": True}), "tools[0].tools[0].async"),
    ],
)
def test_tools_that_are_refused(tool: JsonObject, param: str) -> None:
    """A field of a tool that changes what the model may do, and cannot be said, is refused."""
    with pytest.raises(UnsupportedParameter) as raised:
        config(model_call(tools=(tool,)))

    assert raised.value.param == param


def test_a_name_for_two_kinds() -> None:
    """A function and a custom tool of one name could not be told apart in a reply."""
    with pytest.raises(InvalidRequest, match="both called 'look'"):
        config(model_call(tools=(function_tool("look"), {"type": "custom", "name": "look"})))


# Choices.

_TOOLS = (function_tool("look"), namespace("crm", function_tool("find"), function_tool("look")))


@pytest.mark.parametrize(
    ("choice", "offered", "wire"),
    [
        ({"type": "function", "name": "look"}, ["look", "crm__find", "crm__look"], {"tool": {"name": "look"}}),
        ({"type": "function", "name": "find"}, ["look", "crm__find", "crm__look"], {"tool": {"name": "crm__find"}}),
        (
            {"type": "function", "name": "look", "namespace": "crm"},
            ["look", "crm__find", "crm__look"],
            {"tool": {"name": "crm__look"}},
        ),
        (
            {"type": "allowed_tools", "mode": "required", "tools": [{"type": "namespace", "name": "crm"}]},
            ["crm__find", "crm__look"],
            {"any": {}},
        ),
    ],
)
def test_choices(choice: JsonObject, offered: list[str], wire: JsonObject) -> None:
    """A tool, or a namespace of tools, is chosen by the name that the client gave it."""
    call = model_call(tools=_TOOLS, tool_choice=choice)
    found = config(call)

    assert names(call) == offered
    assert found is not None
    assert found["toolChoice"] == wire


@pytest.mark.parametrize(
    "choice",
    [
        {"type": "function", "name": "gone"},
        {"type": "custom", "name": "look"},
        {"type": "function", "name": "look", "namespace": "erp"},
        {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "gone"}]},
    ],
)
def test_choices_of_what_is_not_there(choice: JsonObject) -> None:
    """A choice of a tool that the request does not have is the client's mistake."""
    with pytest.raises(InvalidRequest, match="not found in 'tools'"):
        config(model_call(tools=_TOOLS, tool_choice=choice))


@pytest.mark.parametrize(
    ("choice", "param"),
    [
        ({"type": "web_search"}, "tool_choice"),
        ({"type": "allowed_tools", "mode": "auto", "tools": [{"type": "mcp"}]}, "tool_choice.tools[0]"),
    ],
)
def test_choices_that_are_refused(choice: JsonObject, param: str) -> None:
    """A choice of a kind that Converse does not have is refused."""
    with pytest.raises(UnsupportedParameter) as raised:
        config(model_call(tools=_TOOLS, tool_choice=choice))

    assert raised.value.param == param


def test_a_tool_is_required_where_there_is_none() -> None:
    """To demand a call of no tool is the client's mistake."""
    with pytest.raises(InvalidRequest, match="'required' must be specified together with tools"):
        config(model_call(tool_choice="required"))


_LOOP = (user("Hi"), function_call("c1"), function_output("c1"))


@pytest.mark.parametrize(
    "call",
    [
        model_call(
            tools=(function_tool("look"), function_tool("find")),
            tool_choice={"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "find"}]},
        ),
        model_call(*_LOOP, tools=(function_tool("look"),), tool_choice="none"),
        model_call(*_LOOP),
    ],
    ids=["another is allowed", "none is allowed", "none is offered"],
)
def test_a_call_that_the_choice_does_not_allow(call: ModelCall) -> None:
    """What is offered only because Converse demands it cannot be called: the reply is checked."""
    with pytest.raises(UpstreamBroken, match="does not allow"):
        called(call, "look")


def test_a_single_call_cannot_be_demanded() -> None:
    """Converse has no word for one call at a time: with tools it is reported."""
    request = Bedrock().encode(model_call(tools=(function_tool("look"),), parallel_tool_calls=False))

    assert request.not_applied == ("parallel_tool_calls",)
