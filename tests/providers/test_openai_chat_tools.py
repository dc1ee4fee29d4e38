"""Tools and the choice among them, in chat's words."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from antiphon.hub.errors import InvalidRequest, UnsupportedParameter, UpstreamBroken
from antiphon.hub.events import OutputItemDone
from antiphon.hub.ids import IdFactory
from antiphon.hub.items import JsonObject
from antiphon.hub.turn import ModelCall
from antiphon.providers.openai_chat import OpenAIChat, Quirks
from antiphon.providers.openai_chat.tools import read_tools
from tests.providers.chat_calls import (
    encode,
    encoded_body,
    encoded_messages,
    function_call,
    function_output,
    function_tool,
    item,
    model_call,
    user,
)

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
GRAMMAR = {"type": "grammar", "syntax": "lark", "definition": "start: /a+/"}
CUSTOM: JsonObject = {"type": "custom", "name": "sql", "description": "Runs SQL."}
CRM: JsonObject = {
    "type": "namespace",
    "name": "crm",
    "description": "Customers.",
    "tools": [function_tool("find", description="Finds one."), function_tool("count")],
}


def chat_function(name: str, **more: Any) -> JsonObject:
    return {"type": "function", "function": {"name": name, **more}}


def offered(*tools: JsonObject, quirks: Quirks | None = None, **request: Any) -> JsonObject:
    """The body's fields about tools."""
    body = encoded_body(model_call(tools=tools, **request), quirks)
    return {name: body[name] for name in ("tools", "tool_choice", "parallel_tool_calls") if name in body}


def names(fields: JsonObject) -> list[str]:
    return [tool["function"]["name"] for tool in fields["tools"]]


TOOLS: dict[str, tuple[JsonObject, Quirks, list[JsonObject]]] = {
    "bare function": (function_tool("f"), Quirks(), [chat_function("f")]),
    "whole function": (
        function_tool("f", description="d", parameters=SCHEMA, strict=True),
        Quirks(),
        [chat_function("f", description="d", parameters=SCHEMA, strict=True)],
    ),
    "not strict": (function_tool("f", strict=False), Quirks(), [chat_function("f")]),
    "fields that are off": (
        function_tool("f", defer_loading=False, **{"async": None}, allowed_callers=["direct", "programmatic"]),
        Quirks(),
        [chat_function("f")],
    ),
    "native custom": (
        CUSTOM,
        Quirks(custom_tools="native"),
        [{"type": "custom", "custom": {"name": "sql", "description": "Runs SQL."}}],
    ),
    "native custom with a grammar": (
        CUSTOM | {"format": GRAMMAR},
        Quirks(custom_tools="native"),
        [
            {
                "type": "custom",
                "custom": {
                    "name": "sql",
                    "description": "Runs SQL.",
                    "format": {"type": "grammar", "grammar": {"syntax": "lark", "definition": "start: /a+/"}},
                },
            }
        ],
    ),
    "namespace": (
        CRM,
        Quirks(),
        [
            chat_function("crm__find", description="Customers.\n\nFinds one."),
            chat_function("crm__count", description="Customers."),
        ],
    ),
}


@pytest.mark.parametrize(("tool", "quirks", "expected"), TOOLS.values(), ids=TOOLS.keys())
def test_tools(tool: JsonObject, quirks: Quirks, expected: list[JsonObject]) -> None:
    """A tool becomes what chat has for it, and nothing that is off or null is sent."""
    assert offered(tool, quirks=quirks) == {"tools": expected}


def test_a_custom_tool_is_wrapped_as_a_function_of_one_string() -> None:
    """Its description says what the grammar demands, because nobody else will."""
    function = offered(CUSTOM | {"format": GRAMMAR})["tools"][0]["function"]
    assert function["description"] == "Runs SQL.\n\nThe input must match this lark grammar:\nstart: /a+/"
    assert (function["parameters"]["required"], list(function["parameters"]["properties"])) == (["input"], ["input"])


REFUSED: dict[str, tuple[JsonObject, str, str]] = {
    **{
        kind: ({"type": kind}, "tools[1]", f"'{kind}'")
        for kind in ("web_search", "mcp", "file_search", "code_interpreter", "shell", "apply_patch", "tool_search")
    },
    "deferred": (function_tool("f", defer_loading=True), "tools[1].defer_loading", "defer_loading"),
    "async": (function_tool("f", **{"async": True}), "tools[1].async", "async"),
    "programmatic only": (
        function_tool("f", allowed_callers=["programmatic"]),
        "tools[1].allowed_callers",
        "direct",
    ),
    "deferred in a namespace": (
        CRM | {"tools": [function_tool("f"), function_tool("g", defer_loading=True)]},
        "tools[1].tools[1].defer_loading",
        "defer_loading",
    ),
    "hosted in a namespace": (CRM | {"tools": [{"type": "mcp"}]}, "tools[1].tools[0]", "'mcp'"),
}


@pytest.mark.parametrize(("tool", "param", "named"), REFUSED.values(), ids=REFUSED.keys())
def test_tools_that_chat_cannot_express_are_refused(tool: JsonObject, param: str, named: str) -> None:
    """The error names the place and the type or the field."""
    with pytest.raises(UnsupportedParameter) as caught:
        encode(model_call(tools=(function_tool("ok"), tool)))
    assert (caught.value.param, named in caught.value.message) == (param, True)


def test_unsupported_tools_can_be_left_out_and_are_reported() -> None:
    """Where the upstream is configured so, the rest is offered and the answer says what was not."""
    tools = ({"type": "web_search"}, function_tool("f"), {"type": "mcp"}, {"type": "web_search"})
    request = encode(model_call(tools=tools), Quirks(unsupported_tools="drop"))
    assert request.not_applied == ("tools.web_search", "tools.mcp")
    assert offered(*tools, quirks=Quirks(unsupported_tools="drop")) == {"tools": [chat_function("f")]}


def test_an_output_schema_is_reported_as_not_applied() -> None:
    """It changes nothing in how the tool is called."""
    assert encode(model_call(tools=(function_tool("f", output_schema=SCHEMA),))).not_applied == ("tools.output_schema",)


def test_a_function_and_a_custom_tool_of_one_name_are_refused() -> None:
    """A call of that name could not be told to be one or the other."""
    with pytest.raises(InvalidRequest) as caught:
        encode(model_call(tools=(function_tool("sql"), CUSTOM)))
    assert caught.value.param == "tools[1].name"


# Namespaces.


def test_joined_names_lead_back() -> None:
    """The decoder can tell which tool of which namespace was called."""
    assert read_tools((CRM,), Quirks()).namespaces == {"crm__find": ("crm", "find"), "crm__count": ("crm", "count")}


@pytest.mark.parametrize(
    "tools",
    [
        pytest.param((function_tool("crm__find"), CRM), id="plain name first"),
        pytest.param((CRM, function_tool("crm__find")), id="namespace first"),
        pytest.param((CRM, {**CRM, "name": "crm__find", "tools": [function_tool("x")]}), id="namespace in a name"),
        pytest.param(
            (
                {**CRM, "name": "a", "tools": [function_tool("b__c")]},
                {**CRM, "name": "a__b", "tools": [function_tool("c")]},
            ),
            id="two joints",
        ),
        pytest.param(
            (
                {**CRM, "name": "a.b", "tools": [function_tool("c")]},
                {**CRM, "name": "a_b", "tools": [function_tool("c")]},
            ),
            id="illegal characters",
        ),
        pytest.param(
            ({**CRM, "name": "n" * 60, "tools": [function_tool("c" * 60), function_tool("c" * 59 + "d")]},),
            id="long names",
        ),
    ],
)
def test_joined_names_are_unique_and_legal(tools: tuple[JsonObject, ...]) -> None:
    """Whatever the client calls its tools, no two are one at the upstream, and each name is one that it takes."""
    toolbox = read_tools(tools, Quirks())
    wire_names = [tool.wire_name for tool in toolbox.tools]
    assert len(set(wire_names)) == len(wire_names)
    assert all(len(name) <= 64 and name.replace("-", "_").isidentifier() for name in wire_names)
    assert {tool.name for tool in toolbox.tools if tool.namespace is None} <= set(wire_names)


def test_calls_of_a_namespace_are_replayed_under_the_joined_name() -> None:
    """The history shows the model the name under which the tool is offered, or would be."""
    plain = function_tool("crm__find")
    call = function_call("c1", "find", namespace="crm")
    with_tools = encoded_messages(call, function_output("c1"), tools=(plain, CRM))
    without_tools = encoded_messages(call, function_output("c1"))
    called = [messages[0]["tool_calls"][0]["function"]["name"] for messages in (with_tools, without_tools)]
    assert called == ["crm___find", "crm__find"]


# The choice.

F, G = function_tool("f"), function_tool("g")

CHOICES: dict[str, tuple[Any, Quirks, JsonObject]] = {
    "auto": ("auto", Quirks(), {"tools": [chat_function("f"), chat_function("g")]}),
    "none": ("none", Quirks(), {}),
    "required": (
        "required",
        Quirks(),
        {"tools": [chat_function("f"), chat_function("g")], "tool_choice": "required"},
    ),
    "named": (
        {"type": "function", "name": "g"},
        Quirks(),
        {"tools": [chat_function("g")], "tool_choice": "required"},
    ),
    "named natively": (
        {"type": "function", "name": "g"},
        Quirks(named_tool_choice="native"),
        {"tools": [chat_function("f"), chat_function("g")], "tool_choice": chat_function("g")},
    ),
    "allowed": (
        {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "g"}]},
        Quirks(),
        {"tools": [chat_function("g")]},
    ),
    "allowed and required": (
        {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "g"}]},
        Quirks(),
        {"tools": [chat_function("g")], "tool_choice": "required"},
    ),
    "none allowed": ({"type": "allowed_tools", "mode": "auto", "tools": []}, Quirks(), {}),
}


@pytest.mark.parametrize(("choice", "quirks", "expected"), CHOICES.values(), ids=CHOICES.keys())
def test_tool_choice(choice: Any, quirks: Quirks, expected: JsonObject) -> None:
    """A choice is made by what is offered, with words that every server knows."""
    assert offered(F, G, quirks=quirks, tool_choice=choice) == expected


def test_a_custom_tool_can_be_chosen() -> None:
    """By its own type, whether it travels as a function or as itself."""
    choice = {"type": "custom", "name": "sql"}
    assert names(offered(F, CUSTOM, tool_choice=choice)) == ["sql"]
    wrapped = Quirks(named_tool_choice="native")
    assert offered(F, CUSTOM, tool_choice=choice, quirks=wrapped)["tool_choice"] == chat_function("sql")
    native = Quirks(named_tool_choice="native", custom_tools="native")
    expected = {"type": "custom", "custom": {"name": "sql"}}
    assert offered(F, CUSTOM, tool_choice=choice, quirks=native)["tool_choice"] == expected


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        pytest.param({"type": "function", "name": "find", "namespace": "crm"}, ["crm__find"], id="with namespace"),
        pytest.param({"type": "function", "name": "count"}, ["crm__count"], id="only in a namespace"),
        pytest.param({"type": "function", "name": "find"}, ["find"], id="outside first"),
        pytest.param({"type": "namespace", "name": "crm"}, ["crm__find", "crm__count"], id="whole namespace"),
    ],
)
def test_tools_of_a_namespace_can_be_allowed(entry: JsonObject, expected: list[str]) -> None:
    """A name alone means the tool outside all namespaces where there is one."""
    choice = {"type": "allowed_tools", "mode": "auto", "tools": [entry]}
    assert names(offered(CRM, function_tool("find"), tool_choice=choice)) == expected


WRONG_CHOICES: dict[str, tuple[Any, type[Exception], str, str]] = {
    "unknown name": ({"type": "function", "name": "x"}, InvalidRequest, "tool_choice", "Tool choice 'x' not found in"),
    "other kind": ({"type": "custom", "name": "f"}, InvalidRequest, "tool_choice", "'f'"),
    "unknown namespace": ({"type": "function", "name": "f", "namespace": "n"}, InvalidRequest, "tool_choice", "'f'"),
    "unknown allowed name": (
        {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "x"}]},
        InvalidRequest,
        "tool_choice",
        "'x'",
    ),
    "one of nothing": (
        {"type": "allowed_tools", "mode": "required", "tools": []},
        InvalidRequest,
        "tool_choice",
        "'required'",
    ),
    "hosted": ({"type": "web_search_preview"}, UnsupportedParameter, "tool_choice", "'web_search_preview'"),
    "mcp": ({"type": "mcp", "server_label": "s"}, UnsupportedParameter, "tool_choice", "'mcp'"),
    "shell": ({"type": "shell"}, UnsupportedParameter, "tool_choice", "'shell'"),
    "apply_patch": ({"type": "apply_patch"}, UnsupportedParameter, "tool_choice", "'apply_patch'"),
    "allowed hosted": (
        {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "mcp", "server_label": "s"}]},
        UnsupportedParameter,
        "tool_choice.tools[0]",
        "'mcp'",
    ),
}


@pytest.mark.parametrize(("choice", "error", "param", "named"), WRONG_CHOICES.values(), ids=WRONG_CHOICES.keys())
def test_wrong_choices(choice: Any, error: type[Exception], param: str, named: str) -> None:
    """A choice that cannot be met is refused by name, never taken for ``auto``."""
    with pytest.raises(InvalidRequest) as caught:
        encode(model_call(tools=(F, G), tool_choice=choice))
    assert (type(caught.value), caught.value.param, named in caught.value.message) == (error, param, True)


def test_required_without_tools_is_refused() -> None:
    """Also when the only tool was left out because chat does not know it."""
    with pytest.raises(InvalidRequest) as caught:
        encode(
            model_call(tools=({"type": "mcp"},), tool_choice="required"),
            Quirks(unsupported_tools="drop"),
        )
    assert caught.value.param == "tool_choice"


# Parallel calls.


@pytest.mark.parametrize(
    ("tools", "parallel", "quirks", "expected", "missed"),
    [
        pytest.param((F,), True, Quirks(), None, (), id="the default is not spelled out"),
        pytest.param((F,), False, Quirks(), False, (), id="one at a time"),
        pytest.param((), False, Quirks(), None, (), id="not without tools"),
        pytest.param(
            (F,), False, Quirks(parallel_tool_calls=False), None, ("parallel_tool_calls",), id="field not known"
        ),
    ],
)
def test_parallel_tool_calls(
    tools: tuple[JsonObject, ...], parallel: bool, quirks: Quirks, expected: bool | None, missed: tuple[str, ...]
) -> None:
    """Only a wish for one call at a time is sent, and only beside tools."""
    call = model_call(tools=tools, parallel_tool_calls=parallel)
    assert encoded_body(call, quirks).get("parallel_tool_calls") == expected
    assert encode(call, quirks).not_applied == missed


def test_a_reply_leads_back_to_the_tools_that_were_offered() -> None:
    """What goes up wrapped and flattened comes back as the custom tool of its namespace."""
    crm = {"type": "namespace", "name": "crm", "description": "", "tools": [CUSTOM]}
    call = model_call(tools=(crm,))
    arguments = {"name": "crm__sql", "arguments": '{"input":"SELECT 1"}'}
    reply = {
        "choices": [
            {
                "index": 0,
                "finish_reason": "tool_calls",
                "message": {"tool_calls": [{"id": "x", "type": "function", "function": arguments}]},
            }
        ]
    }
    ids = IdFactory(clock=lambda: 0.0)
    events = OpenAIChat().decoder(call, ids, ids.family()).whole(orjson.dumps(reply))
    done = [event.item for event in events if isinstance(event, OutputItemDone)]
    called = [(item["type"], item.get("namespace"), item["name"], item["input"]) for item in done]
    assert called == [("custom_tool_call", "crm", "sql", "SELECT 1")]


@pytest.mark.parametrize("called", ["f", "never_heard_of"])
def test_a_tool_that_is_not_allowed_cannot_be_called(called: str) -> None:
    """What ``allowed_tools`` leaves out is not offered, and a model that calls it all the same has not answered."""
    choice = {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "g"}]}
    call = model_call(tools=(F, G), tool_choice=choice)

    with pytest.raises(UpstreamBroken, match=f"called '{called}', which 'tool_choice' does not allow"):
        _whole_call(call, called)
    assert _whole_call(call, "g") == ["g"]
    assert _whole_call(model_call(tools=(F, G)), called) == [called]


def _whole_call(call: ModelCall, name: str) -> list[str]:
    """The names of the calls in a reply to *call* that calls *name*."""
    ids = IdFactory(lambda: 0.0)
    message = {"tool_calls": [{"id": "1", "function": {"name": name, "arguments": "{}"}}]}
    body = orjson.dumps({"choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}]})
    events = OpenAIChat().decoder(call, ids, ids.family()).whole(body)
    return [event.item["name"] for event in events if isinstance(event, OutputItemDone)]


def test_tools_that_an_item_adds_stand_with_the_requests() -> None:
    """The item is no message; of two namesakes the later one counts; what is called comes back under its own name."""
    added = item("additional_tools", role="developer", tools=[CRM, function_tool("f", description="newer"), CUSTOM])
    call = model_call(added, user("go"), tools=(function_tool("f"), function_tool("g")))

    body = encoded_body(call)

    assert body["messages"] == [{"role": "user", "content": "go"}]
    assert names(body) == ["f", "g", "crm__find", "crm__count", "sql"]
    assert body["tools"][0]["function"]["description"] == "newer"
    reply = OpenAIChat().decoder(call, IdFactory(lambda: 0.0), IdFactory(lambda: 0.0).family())
    calls = [{"id": "up_1", "type": "function", "function": {"name": "crm__find", "arguments": "{}"}}]
    message = {"role": "assistant", "content": None, "tool_calls": calls}
    said = reply.whole(orjson.dumps({"choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}]}))
    done = [event.item for event in said if isinstance(event, OutputItemDone)]
    assert [(called["name"], called["namespace"]) for called in done] == [("find", "crm")]
