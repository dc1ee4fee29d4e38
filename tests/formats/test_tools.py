"""Tools and tool choices, as they are accepted and echoed."""

from __future__ import annotations

from typing import Any

import pytest
from openai._models import validate_type
from openai.types.responses import Tool as SdkTool

from antiphon.formats.responses import ResponsesFormat
from antiphon.hub.errors import InvalidRequest
from antiphon.hub.response import opening_response

FORMAT = ResponsesFormat()

GRAMMAR = {"type": "grammar", "syntax": "lark", "definition": "start: /a/"}
TOOLS: list[dict[str, Any]] = [
    {"type": "function", "name": "f", "description": "d", "parameters": {"type": "object"}, "strict": False},
    {"type": "custom", "name": "c", "format": GRAMMAR},
    {"type": "namespace", "name": "n", "description": "d", "tools": [{"type": "function", "name": "f"}]},
    {"type": "tool_search"},
    {"type": "mcp", "server_label": "s", "server_url": "https://x.example/mcp", "require_approval": "never"},
    {"type": "mcp", "server_label": "s", "connector_id": "connector_gmail", "allowed_tools": ["a"]},
    {"type": "web_search", "search_context_size": "low"},
    {"type": "web_search_2025_08_26"},
    {"type": "web_search_preview"},
    {"type": "web_search_preview_2025_03_11"},
    {"type": "file_search", "vector_store_ids": ["vs_1"], "max_num_results": 5},
    {"type": "code_interpreter", "container": {"type": "auto"}},
    {"type": "code_interpreter", "container": "cntr_1"},
    {"type": "image_generation", "size": "auto"},
    {"type": "shell", "environment": {"type": "container_auto"}},
    {"type": "local_shell"},
    {"type": "apply_patch"},
    {"type": "computer"},
    {"type": "computer_use_preview", "environment": "browser", "display_width": 1, "display_height": 1},
    {"type": "programmatic_tool_calling"},
]


def decoded(tool: dict[str, Any]) -> dict[str, Any]:
    """The tool as the turn's request has it."""
    return FORMAT.decode({"model": "m", "input": "hi", "tools": [tool]}).tools[0]


@pytest.mark.parametrize("tool", TOOLS, ids=[f"{i}-{tool['type']}" for i, tool in enumerate(TOOLS)])
def test_a_tool_is_accepted_and_its_echo_is_one_that_the_sdk_knows(tool: dict[str, Any]) -> None:
    """Nothing that was sent is lost, and the echo passes the SDK's strict types."""
    echo = decoded(tool)

    assert {**echo, **tool} | {"tools": echo.get("tools")} == echo | {"tools": echo.get("tools")}
    validate_type(type_=SdkTool, value=echo)  # type: ignore[arg-type]  # a union is a type to pydantic


def test_a_functions_defaults_are_filled_in() -> None:
    """The echo says what holds for a function of which only the name was given."""
    expected = {
        "type": "function",
        "description": None,
        "name": "f",
        "output_schema": None,
        "parameters": None,
        "strict": None,
    }
    assert expected == decoded({"type": "function", "name": "f", "strict": None})


def test_strictness_that_was_not_asked_for_is_echoed_and_not_imposed() -> None:
    """The response shows the API's default, also in a namespace; what is decided by the provider stays undecided."""
    function = {"type": "function", "name": "f"}
    namespace = {"type": "namespace", "name": "n", "description": "d", "tools": [function]}
    request = FORMAT.decode({"model": "m", "input": "hi", "tools": [function, namespace]})
    echoed = opening_response(request, id="resp_1", created_at=1, model="m", conversation_id=None)["tools"]

    assert [tool.get("strict") for tool in request.tools] == [None, None]
    assert (echoed[0]["strict"], echoed[1]["tools"][0]["strict"]) == (True, True)


def test_null_inside_a_schema_stays() -> None:
    """``parameters`` is the caller's own JSON: null in it means null."""
    schema = {"type": "object", "properties": {"a": {"enum": [None, "x"], "default": None}}}

    assert schema == decoded({"type": "function", "name": "f", "parameters": schema})["parameters"]


def test_a_hosted_tool_keeps_fields_of_a_newer_api() -> None:
    """Whoever runs the tool knows what they mean."""
    assert decoded({"type": "web_search", "return_token_budget": "default"})["return_token_budget"] == "default"


def test_a_namespace_has_names_of_its_own() -> None:
    """The same function name may stand in two namespaces, and not twice in one."""
    function = {"type": "function", "name": "f"}
    spaces = [{"type": "namespace", "name": n, "description": "d", "tools": [function]} for n in ("a", "b")]
    assert len(FORMAT.decode({"model": "m", "input": "hi", "tools": [function, *spaces]}).tools) == 3

    spaces[1]["tools"] = [function, function]
    with pytest.raises(InvalidRequest) as caught:
        FORMAT.decode({"model": "m", "input": "hi", "tools": spaces})

    assert caught.value.param == "tools[1].tools[1].name"


@pytest.mark.parametrize(
    "choice",
    [
        "none",
        "auto",
        "required",
        {"type": "function", "name": "f"},
        {"type": "custom", "name": "c"},
        {"type": "mcp", "server_label": "s"},
        {"type": "mcp", "server_label": "s", "name": "n"},
        {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "f"}]},
        {"type": "file_search"},
        {"type": "web_search_preview"},
        {"type": "computer_use_preview"},
        {"type": "image_generation"},
        {"type": "code_interpreter"},
        {"type": "apply_patch"},
        {"type": "shell"},
        {"type": "programmatic_tool_calling"},
    ],
    ids=str,
)
def test_a_tool_choice_is_kept_as_sent(choice: Any) -> None:
    """Every form of the published document is accepted."""
    assert choice == FORMAT.decode({"model": "m", "input": "hi", "tool_choice": choice}).tool_choice


@pytest.mark.parametrize(
    ("tool", "param", "code"),
    [
        ({"type": "bogus"}, "tools[0].type", "invalid_value"),
        ({"type": 7}, "tools[0].type", "invalid_type"),
        ({"type": "function", "name": "n" * 129}, "tools[0].name", "string_above_max_length"),
        ({"type": "function", "name": "f\n"}, "tools[0].name", "invalid_value"),
        ({"type": "function", "name": "f", "parameters": []}, "tools[0].parameters", "invalid_type"),
        ({"type": "function", "name": "f", "strict": "x"}, "tools[0].strict", "invalid_type"),
        ({"type": "custom", "name": "c", "format": {"type": "regex"}}, "tools[0].format.type", "invalid_value"),
        ({"type": "custom"}, "tools[0].name", "missing_required_parameter"),
        ({"type": "namespace", "name": "n", "description": "d", "tools": []}, "tools[0].tools", "empty_array"),
        ({"type": "file_search"}, "tools[0].vector_store_ids", "missing_required_parameter"),
        ({"type": "code_interpreter"}, "tools[0].container", "missing_required_parameter"),
        ({"type": "mcp"}, "tools[0].server_label", "missing_required_parameter"),
    ],
    ids=str,
)
def test_a_wrong_tool_is_named(tool: dict[str, Any], param: str, code: str) -> None:
    """The path leads to the field at fault."""
    with pytest.raises(InvalidRequest) as caught:
        decoded(tool)

    assert (param, code) == (caught.value.param, caught.value.code)


@pytest.mark.parametrize(
    ("allowed", "param", "code"),
    [
        ({}, "type", "missing_required_parameter"),
        ({"type": ["function"], "name": "f"}, "type", "invalid_type"),
        ({"type": "bogus"}, "type", "invalid_value"),
        ({"type": "function"}, "name", "missing_required_parameter"),
        ({"type": "custom", "name": 7}, "name", "invalid_type"),
        ({"type": "function", "name": "f", "namespace": ["n"]}, "namespace", "invalid_type"),
    ],
    ids=str,
)
def test_a_wrong_entry_of_allowed_tools_is_named(allowed: dict[str, Any], param: str, code: str) -> None:
    """An entry has to say which tool it means."""
    choice = {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "f"}, allowed]}
    with pytest.raises(InvalidRequest) as caught:
        FORMAT.decode({"model": "m", "input": "hi", "tool_choice": choice})

    assert (f"tool_choice.tools[1].{param}", code) == (caught.value.param, caught.value.code)
