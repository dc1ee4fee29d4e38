"""
Tools and the choice among them: ``tools`` and ``tool_choice`` of a request.

What the gateway itself understands (functions, custom tools, namespaces of these) is checked to the last field and
comes back with the defaults that the response echoes. Tools that somebody else runs are checked for what they need and
keep fields that this version does not know.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from antiphon.formats.checks.flaw import Flaw
from antiphon.formats.checks.schema import Anything, Arr, Bool, ByType, Enum, Field, Int, Obj, Schema, Str, Tagged
from antiphon.hub.items import JsonObject

__all__ = ["HOSTED_TOOLS", "TOOLS", "TOOL_CHOICE", "check_tool_names"]

_TEXT = Field(schema=Str())
_FREE_OBJECT = Obj(fields={}, extra="keep")
_NAME = Field(schema=Str(min_length=1, max_length=128, pattern="^[a-zA-Z0-9_-]+$"), required=True)
_CALLERS = Field(schema=Arr(item=Enum(("direct", "programmatic"))))


def _tagged(tag: str, fields: Mapping[str, Field], *, hosted: bool = False) -> Obj:
    return Obj(
        fields={"type": Field(schema=Enum((tag,)), required=True), **fields}, extra="keep" if hosted else "refuse"
    )


# `parameters` is a JSON Schema: free-form, and null inside it means null.
_JSON_SCHEMA = ByType(cases={dict: Anything()}, expected="an object")

_FUNCTION = _tagged(
    "function",
    {
        "defer_loading": Field(schema=Bool()),
        "description": Field(schema=Str(), default=None),
        "name": _NAME,
        "output_schema": Field(schema=_JSON_SCHEMA, default=None),
        "parameters": Field(schema=_JSON_SCHEMA, default=None),
        "strict": Field(schema=Bool(), default=None),
        "allowed_callers": _CALLERS,
        "async": Field(schema=Bool()),
    },
)

_CUSTOM = _tagged(
    "custom",
    {
        "name": _NAME,
        "description": _TEXT,
        "format": Field(
            schema=Tagged(
                variants={
                    "text": _tagged("text", {}),
                    "grammar": _tagged(
                        "grammar",
                        {
                            "syntax": Field(schema=Enum(("lark", "regex")), required=True),
                            "definition": Field(schema=Str(), required=True),
                        },
                    ),
                },
            ),
        ),
        "defer_loading": Field(schema=Bool()),
        "allowed_callers": _CALLERS,
        "async": Field(schema=Bool()),
    },
)

_NAMESPACE = _tagged(
    "namespace",
    {
        "name": _NAME,
        "description": Field(schema=Str(), required=True),
        "tools": Field(
            schema=Arr(
                item=Tagged(variants={"function": _FUNCTION, "custom": _CUSTOM}),
                min_length=1,
                expected="an array of tools",
            ),
            required=True,
        ),
    },
)

_APPROVAL = ByType(
    cases={str: Enum(("always", "never")), dict: _FREE_OBJECT},
    expected="one of an object or 'always' or 'never'",
)
_STRINGS = Arr(item=Str(), expected="an array of strings")

_HOSTED: dict[str, dict[str, Field]] = {
    "apply_patch": {"allowed_callers": _CALLERS},
    "code_interpreter": {
        "container": Field(
            schema=ByType(cases={str: Str(), dict: _FREE_OBJECT}, expected="one of a string or object"), required=True
        ),
    },
    "computer": {},
    "computer_use_preview": {
        "environment": Field(schema=Enum(("windows", "mac", "linux", "ubuntu", "browser")), required=True),
        "display_width": Field(schema=Int(), required=True),
        "display_height": Field(schema=Int(), required=True),
    },
    "file_search": {
        "vector_store_ids": Field(schema=_STRINGS, required=True),
        "max_num_results": Field(schema=Int(minimum=1, maximum=50)),
    },
    "image_generation": {},
    "local_shell": {},
    "mcp": {
        "server_label": Field(schema=Str(), required=True),
        "server_url": _TEXT,
        "connector_id": _TEXT,
        "tunnel_id": _TEXT,
        "authorization": _TEXT,
        "server_description": _TEXT,
        "headers": Field(schema=_FREE_OBJECT),
        "allowed_tools": Field(
            schema=ByType(cases={list: _STRINGS, dict: _FREE_OBJECT}, expected="one of an array of strings or object")
        ),
        "require_approval": Field(schema=_APPROVAL),
        "defer_loading": Field(schema=Bool()),
    },
    "programmatic_tool_calling": {},
    "shell": {"environment": Field(schema=_FREE_OBJECT)},
    "tool_search": {
        "execution": Field(schema=Enum(("server", "client"))),
        "description": Field(schema=Str(), default=None),
        "parameters": Field(schema=_JSON_SCHEMA, default=None),
    },
    "web_search": {"search_context_size": Field(schema=Enum(("low", "medium", "high")))},
    "web_search_2025_08_26": {"search_context_size": Field(schema=Enum(("low", "medium", "high")))},
    "web_search_preview": {"search_context_size": Field(schema=Enum(("low", "medium", "high")))},
    "web_search_preview_2025_03_11": {"search_context_size": Field(schema=Enum(("low", "medium", "high")))},
}

# Tools that whoever serves the model runs by itself; `max_tool_calls` counts these.
HOSTED_TOOLS = frozenset(_HOSTED) - {"apply_patch", "computer", "computer_use_preview", "local_shell", "tool_search"}

TOOLS = Arr(
    item=Tagged(
        variants={
            "function": _FUNCTION,
            "custom": _CUSTOM,
            "namespace": _NAMESPACE,
            **{tag: _tagged(tag, fields, hosted=True) for tag, fields in _HOSTED.items()},
        },
    ),
    expected="an array of tools",
)


def _choice(tag: str, **fields: Schema) -> Obj:
    members = {name: Field(schema=schema, required=True) for name, schema in fields.items()}
    return Obj(fields={"type": Field(schema=Enum((tag,)), required=True), **members})


_NAMELESS_CHOICES = (
    "apply_patch",
    "code_interpreter",
    "computer",
    "computer_use",
    "computer_use_preview",
    "file_search",
    "image_generation",
    "programmatic_tool_calling",
    "shell",
    "web_search",
    "web_search_preview",
    "web_search_preview_2025_03_11",
)

_NAMED = {"name": Field(schema=Str(), required=True), "namespace": _TEXT}
_ALLOWED_TOOLS = Arr(
    item=Tagged(
        variants={
            **{tag: _tagged(tag, _NAMED, hosted=True) for tag in ("function", "custom", "namespace")},
            **{tag: _tagged(tag, {}, hosted=True) for tag in _HOSTED},
        },
    ),
    expected="an array of objects",
)

TOOL_CHOICE = ByType(
    cases={
        str: Enum(("none", "auto", "required")),
        dict: Tagged(
            variants={
                "function": _choice("function", name=Str()),
                "custom": _choice("custom", name=Str()),
                "allowed_tools": _choice(
                    "allowed_tools",
                    mode=Enum(("auto", "required")),
                    tools=_ALLOWED_TOOLS,
                ),
                "mcp": _tagged("mcp", {"server_label": Field(schema=Str(), required=True), "name": _TEXT}),
                **{tag: _choice(tag) for tag in _NAMELESS_CHOICES},
            },
        ),
    },
    expected="one of an object or 'none', 'auto', or 'required'",
)


def check_tool_names(tools: Sequence[JsonObject]) -> None:
    """
    Refuse tools that a model could not tell apart.

    Raises:
        Flaw: Names the second of the same name; a namespace has names of its own.
    """
    seen: set[str] = set()
    for index, tool in enumerate(tools):
        if tool["type"] == "namespace":
            try:
                check_tool_names(tool["tools"])
            except Flaw as flaw:
                raise flaw.under(f"[{index}].tools") from None
        elif tool["type"] in ("function", "custom"):
            if tool["name"] in seen:
                raise _duplicate(tool["name"]).under(".name").under(f"[{index}]")
            seen.add(tool["name"])


def _duplicate(name: str) -> Flaw:
    return Flaw(
        "invalid_value",
        lambda path: f"Invalid '{path}': another tool is already named '{name}'. Give every tool a name of its own.",
    )
