"""
Tools and the choice among them: nested under the name of their type in chat, flat in the hub.

A function that does not say whether it is strict is not: that is chat's default, and not the Responses API's.
"""

from __future__ import annotations

from collections.abc import Sequence

from antiphon.formats.checks.flaw import Flaw
from antiphon.formats.checks.schema import Anything, Arr, Bool, ByType, Enum, Field, Obj, Schema, Str, Tagged
from antiphon.hub.items import JsonObject

__all__ = ["TOOLS", "TOOL_CHOICE", "WEB_SEARCH", "hub_choice", "hub_tools", "web_search_tool"]

_NAME = Field(schema=Str(min_length=1, max_length=64, pattern="^[a-zA-Z0-9_-]+$"), required=True)
_TEXT = Field(schema=Str())


def _tagged(tag: str, inner: Schema) -> Obj:
    return Obj(
        fields={"type": Field(schema=Enum((tag,)), required=True), tag: Field(schema=inner, required=True)},
    )


_FUNCTION = Obj(
    fields={
        "name": _NAME,
        "description": Field(schema=Str(), default=None),
        # A JSON Schema is free-form, and null inside it means null.
        "parameters": Field(schema=ByType(cases={dict: Anything()}, expected="an object"), default=None),
        "strict": Field(schema=Bool(), default=False),
    },
)
_GRAMMAR = Obj(
    fields={
        "syntax": Field(schema=Enum(("lark", "regex")), required=True),
        "definition": Field(schema=Str(), required=True),
    },
)
_PLAIN = Obj(fields={"type": Field(schema=Enum(("text",)), required=True)})
_CUSTOM = Obj(
    fields={
        "name": _NAME,
        "description": _TEXT,
        "format": Field(schema=Tagged(variants={"text": _PLAIN, "grammar": _tagged("grammar", _GRAMMAR)})),
    },
)

TOOLS = Arr(
    item=Tagged(variants={"function": _tagged("function", _FUNCTION), "custom": _tagged("custom", _CUSTOM)}),
    min_length=1,
    expected="an array of objects",
)

_NAMED = Obj(fields={"name": Field(schema=Str(), required=True)})
_NAMED_CHOICES: dict[str, Schema] = {tag: _tagged(tag, _NAMED) for tag in ("function", "custom")}
_ALLOWED = Obj(
    fields={
        "mode": Field(schema=Enum(("auto", "required")), required=True),
        "tools": Field(schema=Arr(item=Tagged(variants=_NAMED_CHOICES), expected="an array of objects"), required=True),
    },
)

TOOL_CHOICE = ByType(
    cases={
        str: Enum(("none", "auto", "required")),
        dict: Tagged(variants={**_NAMED_CHOICES, "allowed_tools": _tagged("allowed_tools", _ALLOWED)}),
    },
    # The doubled words are OpenAI's.
    expected="one of one of 'none', 'auto', or 'required' or object",
)

_PLACE = Obj(fields=dict.fromkeys(("city", "country", "region", "timezone"), _TEXT))
WEB_SEARCH = Obj(
    fields={
        "search_context_size": Field(schema=Enum(("low", "medium", "high"))),
        "user_location": Field(schema=_tagged("approximate", _PLACE)),
    },
)


def hub_tools(tools: Sequence[JsonObject]) -> tuple[JsonObject, ...]:
    """
    Checked tools in the hub's form.

    Raises:
        Flaw: Two of them have the same name.
    """
    seen: set[str] = set()
    for index, tool in enumerate(tools):
        name = tool[tool["type"]]["name"]
        if name in seen:
            raise _duplicate(name).under(f".{tool['type']}.name").under(f"[{index}]")
        seen.add(name)
    return tuple(_flat(tool) for tool in tools)


def hub_choice(choice: str | JsonObject) -> str | JsonObject:
    """A checked ``tool_choice`` in the hub's form."""
    if isinstance(choice, str):
        return choice
    kind = choice["type"]
    if kind == "allowed_tools":
        allowed = choice["allowed_tools"]
        return {"type": kind, "mode": allowed["mode"], "tools": [hub_choice(tool) for tool in allowed["tools"]]}
    return {"type": kind, "name": choice[kind]["name"]}


def web_search_tool(options: JsonObject) -> JsonObject:
    """The tool that checked ``web_search_options`` ask for."""
    tool: JsonObject = {"type": "web_search", **options}
    if "user_location" in options:
        tool["user_location"] = {"type": "approximate", **options["user_location"]["approximate"]}
    return tool


def _flat(tool: JsonObject) -> JsonObject:
    kind = tool["type"]
    flat = {"type": kind, **tool[kind]}
    if flat.get("format", {}).get("type") == "grammar":
        flat["format"] = {"type": "grammar", **flat["format"]["grammar"]}
    return flat


def _duplicate(name: str) -> Flaw:
    return Flaw(
        "invalid_value",
        lambda path: f"Invalid '{path}': another tool is already named '{name}'. Give every tool a name of its own.",
    )
