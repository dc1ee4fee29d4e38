"""Tools, and which of them may be called."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import orjson
import pytest

from antiphon.hub.errors import InvalidRequest, UnsupportedParameter
from antiphon.hub.items import JsonObject
from antiphon.providers.gemini import Gemini, Quirks
from tests.providers.gemini_replies import chunk
from tests.providers.kit.calls import (
    custom_call,
    custom_output,
    function_call,
    function_output,
    function_tool,
    item,
    model_call,
    user,
)
from tests.providers.kit.replies import outcome
from tests.streams.fixed_ids import FAMILY, counting_ids

LOOK, FIND = function_tool("look"), function_tool("find")
CUSTOM: JsonObject = {"type": "custom", "name": "patch", "description": "Patches."}


def namespace(name: str, *tools: JsonObject) -> JsonObject:
    return {"type": "namespace", "name": name, "description": "C", "tools": list(tools)}


def body(*tools: JsonObject, quirks: Quirks | None = None, **request: Any) -> JsonObject:
    encoded: JsonObject = orjson.loads(Gemini(quirks or Quirks()).encode(model_call(tools=tools, **request)).body)
    return encoded


def declarations(*tools: JsonObject, quirks: Quirks | None = None, **request: Any) -> list[JsonObject]:
    declared: list[JsonObject] = body(*tools, quirks=quirks, **request)["tools"][0]["functionDeclarations"]
    return declared


def mode(*tools: JsonObject, quirks: Quirks | None = None, **request: Any) -> Any:
    config = body(*tools, quirks=quirks, **request).get("toolConfig")
    return config and config["functionCallingConfig"]


def not_applied(*tools: JsonObject, quirks: Quirks | None = None, **request: Any) -> tuple[str, ...]:
    return Gemini(quirks or Quirks()).encode(model_call(tools=tools, **request)).not_applied


def refused(*tools: JsonObject, quirks: Quirks | None = None, **request: Any) -> str | None:
    with pytest.raises((UnsupportedParameter, InvalidRequest)) as raised:
        body(*tools, quirks=quirks, **request)
    return raised.value.param


# Names.


LONG = "n" * 60
NAMES: dict[str, tuple[tuple[JsonObject, ...], list[str]]] = {
    "plain": ((LOOK,), ["look"]),
    "in a namespace": ((namespace("crm", FIND),), ["crm__find"]),
    "in two namespaces": ((namespace("a", FIND), namespace("b", FIND), FIND), ["a__find", "b__find", "find"]),
    "begins with a digit": ((function_tool("2nd"),), ["_2nd"]),
    "begins with a hyphen": ((function_tool("-v"),), ["_-v"]),
    "characters that a name cannot have": ((namespace("a.b", function_tool("c d")),), ["a_b__c_d"]),
    "too long": ((namespace(LONG, FIND),), [f"{LONG[:55]}_HASH"]),
    "the joined name is taken": ((function_tool("crm__find"), namespace("crm", FIND)), ["crm__find", "crm__find_HASH"]),
    "the changed name is taken": ((function_tool("2nd"), function_tool("_2nd")), ["_2nd_HASH", "_2nd"]),
}


@pytest.mark.parametrize(("tools", "expected"), NAMES.values(), ids=NAMES.keys())
def test_names(tools: tuple[JsonObject, ...], expected: list[str]) -> None:
    """Each tool has a name of its own that Gemini takes, and calls of it come back under the client's."""
    names = [declared["name"] for declared in declarations(*tools)]
    call = model_call(user("Hi"), tools=tools)
    parts = [{"functionCall": {"name": name}} for name in names]
    items, _ = outcome([*Gemini().decoder(call, counting_ids(), FAMILY).whole(orjson.dumps(chunk(*parts)))])

    assert len(set(names)) == len(names)
    assert all(len(name) <= 64 for name in names)
    patterns = [re.escape(wanted).replace("HASH", "[0-9a-f]{8}") for wanted in expected]
    assert [bool(re.fullmatch(*pair)) for pair in zip(patterns, names, strict=True)] == [True] * len(names)
    flat = [(tool.get("name"), None) for tool in tools if tool["type"] != "namespace"]
    inside = [(inner["name"], tool["name"]) for tool in tools if tool["type"] == "namespace" for inner in tool["tools"]]
    assert sorted((entry.body["name"], entry.body.get("namespace") or "") for entry in items) == sorted(
        (name, space or "") for name, space in [*flat, *inside]
    )


def test_a_call_in_the_history_has_the_name_of_its_tool() -> None:
    """Calls go up under the names that their tools are offered by, or would be if they are not any more."""
    call = model_call(
        user("Go"),
        function_call("call_1", "find", namespace="crm"),
        function_output("call_1"),
        function_call("call_2", "2nd"),
        function_output("call_2"),
        tools=(namespace("crm", FIND),),
    )
    said = orjson.loads(Gemini().encode(call).body)["contents"]

    assert said[1]["parts"][0]["functionCall"]["name"] == "crm__find"
    assert said[2]["parts"][0]["functionResponse"]["name"] == "crm__find"
    assert said[3]["parts"][0]["functionCall"]["name"] == "_2nd"


def test_a_function_and_a_custom_tool_of_one_name() -> None:
    """On the wire both are functions, so one of them has to be renamed."""
    assert refused(function_tool("patch"), CUSTOM) == "tools[1].name"


# Declarations.


def test_a_grammar_is_told_in_words() -> None:
    """A custom tool's grammar stands in its description."""
    grammar = {"type": "grammar", "syntax": "lark", "definition": "start: WORD"}

    described = declarations({**CUSTOM, "format": grammar})[0]["description"]

    assert described == "Patches.\n\nThe input has to follow this grammar, written in lark:\nstart: WORD"


def test_a_custom_tool_that_is_called_and_answered() -> None:
    """A custom tool's call and output are a function's on the wire."""
    said = orjson.loads(
        Gemini().encode(model_call(custom_call("call_1", "patch", "x"), custom_output("call_1"), tools=(CUSTOM,))).body
    )["contents"]
    assert said[0]["parts"][0]["functionCall"]["args"] == {"input": "x"}


def test_what_a_tool_gives_is_described() -> None:
    """An output schema is sent where schemas are, and reported where only the subset is."""
    tool = {**LOOK, "output_schema": {"type": "string"}}

    assert declarations(tool)[0]["responseJsonSchema"] == {"type": "string"}
    assert "responseJsonSchema" not in declarations(tool, quirks=Quirks(schemas="openapi"))[0]
    assert not_applied(tool, quirks=Quirks(schemas="openapi")) == ("tools.output_schema",)


def test_parameters_in_the_subset() -> None:
    """Older models are given their own form of schema, and none for a function without parameters."""
    bare = function_tool("ping", parameters={"type": "object", "properties": {}, "additionalProperties": False})
    look, ping = declarations(LOOK, bare, quirks=Quirks(schemas="openapi"))

    assert look["parameters"] == {"type": "OBJECT", "properties": {"city": {"type": "STRING"}}, "required": ["city"]}
    assert ping == {"name": "ping", "description": "pings"}


def test_tools_that_items_add() -> None:
    """A tool that an item of the context adds stands with the request's; a namesake takes its place."""
    added = item("additional_tools", tools=[FIND, {**LOOK, "description": "newer"}])
    call = model_call(added, user("Hi"), tools=(LOOK,))

    declared = orjson.loads(Gemini().encode(call).body)["tools"][0]["functionDeclarations"]

    assert [(each["name"], each["description"]) for each in declared] == [("look", "newer"), ("find", "finds")]


REFUSED: dict[str, tuple[JsonObject, str]] = {
    "a hosted tool": ({"type": "mcp", "server_label": "x"}, "tools[0]"),
    "a hosted tool in a namespace": (namespace("crm", {"type": "mcp"}), "tools[0].tools[0]"),
    "a tool that loads later": ({**LOOK, "defer_loading": True}, "tools[0].defer_loading"),
    "a tool that answers later": ({**LOOK, "async": True}, "tools[0].async"),
    "a tool that others call": ({**LOOK, "allowed_callers": ["code"]}, "tools[0].allowed_callers"),
}


@pytest.mark.parametrize(("tool", "param"), REFUSED.values(), ids=REFUSED.keys())
def test_tools_that_cannot_be_said(tool: JsonObject, param: str) -> None:
    """What changes what the model may do, and has no words, is refused by its place."""
    assert refused(tool) == param


def test_tools_can_be_dropped() -> None:
    """An upstream may be configured to go without tools that it does not know; they are reported."""
    quirks = Quirks(unsupported_tools="drop")
    assert [each["name"] for each in declarations({"type": "mcp"}, LOOK, quirks=quirks)] == ["look"]
    assert not_applied({"type": "mcp"}, quirks=quirks) == ("tools.mcp",)
    assert "tools" not in body({"type": "mcp"}, quirks=quirks)


# The vendor's own search.


SEARCH = Quirks(web_search="google_search")


def test_web_search_can_be_the_vendors() -> None:
    """Where it is configured so, web_search is the upstream's own; alone or beside functions."""
    tool = {"type": "web_search", "search_context_size": "low"}

    assert body(tool, quirks=SEARCH)["tools"] == [{"googleSearch": {}}]
    assert body(LOOK, tool, quirks=SEARCH)["tools"][1] == {"googleSearch": {}}
    assert not_applied(tool, quirks=SEARCH) == ("tools.search_context_size",)
    assert "tools" not in body(tool, quirks=SEARCH, tool_choice="none")


@pytest.mark.parametrize("field", ["filters", "user_location"])
def test_what_the_vendors_search_cannot_be_told(field: str) -> None:
    """Whatever changes what is found is refused by name."""
    assert refused({"type": "web_search", field: {"country": "FR"}}, quirks=SEARCH) == f"tools[0].{field}"


# The choice.


def test_strict_tools() -> None:
    """A strict tool holds calls to the schemas; where one has to be called it is held to them anyway."""
    strict = {**LOOK, "strict": True}

    assert mode(strict, FIND) == {"mode": "VALIDATED"}
    assert mode(strict, tool_choice="required") == {"mode": "ANY"}
    assert mode(strict, tool_choice="none") == {"mode": "NONE"}
    assert mode(strict, quirks=Quirks(validated_calls=False)) is None
    assert not_applied(strict, quirks=Quirks(validated_calls=False)) == ("tools.strict",)


ONE_OF = [{"type": "function", "name": "look"}]


def test_allowed_tools() -> None:
    """Of the tools that may be called only those are offered; if one has to be, all are and those are named."""
    auto = {"type": "allowed_tools", "mode": "auto", "tools": ONE_OF}
    required = {**auto, "mode": "required"}

    assert [each["name"] for each in declarations(LOOK, FIND, tool_choice=auto)] == ["look"]
    assert mode(LOOK, FIND, tool_choice=auto) is None
    assert len(declarations(LOOK, FIND, tool_choice=required)) == 2
    assert mode(LOOK, FIND, tool_choice=required) == {"mode": "ANY", "allowedFunctionNames": ["look"]}


CHOICES: dict[str, tuple[JsonObject, list[str]]] = {
    "a custom tool": ({"type": "custom", "name": "patch"}, ["patch"]),
    "in a namespace": ({"type": "function", "name": "find", "namespace": "crm"}, ["crm__find"]),
    "by its name alone": ({"type": "function", "name": "look"}, ["look"]),
    "a whole namespace": (
        {"type": "allowed_tools", "mode": "required", "tools": [{"type": "namespace", "name": "crm"}]},
        ["crm__find", "crm__look"],
    ),
}


@pytest.mark.parametrize(("choice", "names"), CHOICES.values(), ids=CHOICES.keys())
def test_named_tools(choice: JsonObject, names: list[str]) -> None:
    """A choice names tools as the client knows them."""
    tools = (LOOK, CUSTOM, namespace("crm", FIND, LOOK))
    assert mode(*tools, tool_choice=choice) == {"mode": "ANY", "allowedFunctionNames": names}


BAD_CHOICES: dict[str, tuple[Any, str]] = {
    "a tool that is not there": ({"type": "function", "name": "nowhere"}, "tool_choice"),
    "not in this namespace": ({"type": "function", "name": "look", "namespace": "crm"}, "tool_choice"),
    "a kind that there is not": ({"type": "mcp", "server_label": "x"}, "tool_choice"),
    "a kind among the allowed": (
        {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "mcp", "server_label": "x"}]},
        "tool_choice.tools[0]",
    ),
}


@pytest.mark.parametrize(("choice", "param"), BAD_CHOICES.values(), ids=BAD_CHOICES.keys())
def test_choices_that_cannot_be_made(choice: Any, param: str) -> None:
    """A choice of what is not offered, or cannot be, is refused by its place."""
    assert refused(LOOK, tool_choice=choice) == param


def test_no_tool_to_be_called() -> None:
    """Demanding a call without tools is the client's mistake."""
    assert refused(tool_choice="required") == "tool_choice"


def test_the_request_is_not_changed() -> None:
    """Encoding leaves the client's tools as they were."""
    tools = (LOOK, namespace("crm", FIND))
    before = orjson.dumps(tools)

    for quirks in (Quirks(), Quirks(schemas="openapi")):
        body(*tools, quirks=quirks)

    assert orjson.dumps(tools) == before
    assert msgspec.json.encode(tools) == before
