"""
The tools that a request offers, in chat's words.

Chat knows functions (and, at OpenAI, custom tools). A ``namespace`` is flattened: each tool in it becomes one of its
own under a joined name, and :attr:`Toolbox.namespaces` leads back. Whatever else the API has is refused by name, or
left out and reported where the upstream is configured so. :mod:`.tool_choice` decides which of them are offered.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from typing import Literal

import msgspec

from antiphon.hub.errors import InvalidRequest, UnsupportedParameter
from antiphon.hub.items import JsonObject
from antiphon.providers.openai_chat.quirks import Quirks

__all__ = ["Tool", "Toolbox", "flat_name", "read_tools", "wraps_custom_tools"]

ToolKind = Literal["function", "custom"]

_KINDS = ("function", "custom")
_MAX_NAME_CHARS = 64  # OpenAI's limit for a function's name in chat; the Responses API allows 128
_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9_-]")
_WRAPPED_INPUT = {
    "type": "object",
    "properties": {"input": {"type": "string", "description": "The tool's whole input, as free-form text."}},
    "required": ["input"],
    "additionalProperties": False,
}


class Tool(msgspec.Struct, frozen=True, kw_only=True):
    """
    One tool that can be offered.

    Attributes:
        name: As the client knows it, within *namespace*.
        wire_name: As the upstream knows it.
        body: The entry of the chat body's ``tools``.
    """

    kind: ToolKind
    namespace: str | None
    name: str
    wire_name: str
    body: JsonObject


class Toolbox(msgspec.Struct, frozen=True, kw_only=True):
    """
    All tools of a request that chat can express.

    Attributes:
        not_applied: ``tools.<type>`` for each type that was left out, ``tools.output_schema`` where one was given.
    """

    tools: tuple[Tool, ...]
    not_applied: tuple[str, ...]

    @property
    def namespaces(self) -> dict[str, tuple[str, str]]:
        """Joined names, and the namespace and name that each stands for."""
        return {tool.wire_name: (tool.namespace, tool.name) for tool in self.tools if tool.namespace is not None}

    @property
    def custom_names(self) -> frozenset[str]:
        """The upstream's names of the custom tools."""
        return frozenset(tool.wire_name for tool in self.tools if tool.kind == "custom")

    def wire_names(self) -> dict[tuple[str, str], str]:
        """The joined name of each (namespace, name)."""
        return {origin: joined for joined, origin in self.namespaces.items()}


_NO_TOOLS = Toolbox(tools=(), not_applied=())


class _Declared(msgspec.Struct, frozen=True, kw_only=True):
    path: str
    namespace: str | None = None
    purpose: str = ""
    body: JsonObject

    @property
    def kind(self) -> ToolKind:
        return "function" if self.body["type"] == "function" else "custom"

    @property
    def identity(self) -> tuple[str | None, str]:
        return (self.namespace, self.body["name"])


def wraps_custom_tools(quirks: Quirks) -> bool:
    """Whether custom tools travel as functions."""
    return quirks.custom_tools == "function"


def read_tools(tools: Sequence[JsonObject], quirks: Quirks) -> Toolbox:
    """
    Translate the tools of a request.

    Raises:
        UnsupportedParameter: A tool's type, or a field of it that changes what the model may do, has no words in chat.
        InvalidRequest: A function and a custom tool have the same name.
    """
    if not tools:
        return _NO_TOOLS
    not_applied: list[str] = []
    declared: list[_Declared] = []
    for index, tool in enumerate(tools):
        if tool["type"] not in (*_KINDS, "namespace"):
            not_applied.append(_leave_out(tool["type"], f"tools[{index}]", quirks))
        else:
            declared += _unfold(tool, f"tools[{index}]")
    names = _wire_names(declared)
    for entry in declared:
        _refuse_unsayable(entry)
        if entry.body.get("output_schema") is not None:
            not_applied.append("tools.output_schema")
    return Toolbox(
        tools=tuple(_tool(entry, names[entry.identity], quirks) for entry in declared),
        not_applied=tuple(dict.fromkeys(not_applied)),
    )


def flat_name(namespace: str, name: str, *, width: int = 2) -> str:
    """
    One name for a tool in a namespace: both, joined by *width* underscores.

    Characters that a function's name cannot have become underscores; a name over 64 characters is cut and ends in
    a hash of the whole.
    """
    joined = f"{namespace}{'_' * width}{name}"
    legal = _NOT_IN_A_NAME.sub("_", joined)
    if len(legal) <= _MAX_NAME_CHARS:
        return legal
    digest = sha256(joined.encode()).hexdigest()[:8]
    return f"{legal[: _MAX_NAME_CHARS - 9]}_{digest}"


def _leave_out(tool_type: str, path: str, quirks: Quirks) -> str:
    if quirks.unsupported_tools == "reject":
        raise UnsupportedParameter(
            f"Tools of type '{tool_type}' are not supported by this upstream. Use 'function', 'custom' or 'namespace'.",
            param=path,
        )
    return f"tools.{tool_type}"


def _unfold(tool: JsonObject, path: str) -> Iterator[_Declared]:
    if tool["type"] != "namespace":
        yield _Declared(path=path, body=tool)
        return
    for index, inner in enumerate(tool["tools"]):
        inner_path = f"{path}.tools[{index}]"
        if inner["type"] not in _KINDS:
            raise UnsupportedParameter(f"A namespace cannot hold a tool of type '{inner['type']}'.", param=inner_path)
        purpose = tool.get("description") or ""
        yield _Declared(path=inner_path, namespace=tool["name"], purpose=purpose, body=inner)


def _wire_names(declared: Sequence[_Declared]) -> Mapping[tuple[str | None, str], str]:
    """A name for each tool, unique: plain names stay as they are, joined ones give way with a longer joint."""
    names: dict[tuple[str | None, str], str] = {}
    kinds: dict[tuple[str | None, str], ToolKind] = {}
    for entry in declared:
        if kinds.setdefault(entry.identity, entry.kind) != entry.kind:
            raise InvalidRequest(
                f"A function and a custom tool are both called '{entry.body['name']}'. Rename one of them.",
                param=f"{entry.path}.name",
            )
        if entry.namespace is None:
            names[entry.identity] = entry.body["name"]
    taken = set(names.values())
    for entry in declared:
        if entry.namespace is not None and entry.identity not in names:
            names[entry.identity] = _free_name(entry.namespace, entry.body["name"], taken)
            taken.add(names[entry.identity])
    return names


def _free_name(namespace: str, name: str, taken: set[str]) -> str:
    width = 2
    while (joined := flat_name(namespace, name, width=width)) in taken:
        width += 1
    return joined


def _refuse_unsayable(entry: _Declared) -> None:
    for field in ("defer_loading", "async"):
        if entry.body.get(field):
            raise UnsupportedParameter(
                f"'{field}' is not supported by this upstream. Leave it out.", param=f"{entry.path}.{field}"
            )
    callers = entry.body.get("allowed_callers")
    if callers is not None and "direct" not in callers:
        raise UnsupportedParameter(
            "This upstream's model can only call a tool directly. Add 'direct' to 'allowed_callers', or leave it out.",
            param=f"{entry.path}.allowed_callers",
        )


def _tool(entry: _Declared, wire_name: str, quirks: Quirks) -> Tool:
    if entry.kind == "function":
        body = _function(entry, wire_name)
    elif wraps_custom_tools(quirks):
        body = _wrapped_custom(entry, wire_name)
    else:
        body = _native_custom(entry, wire_name)
    return Tool(kind=entry.kind, namespace=entry.namespace, name=entry.body["name"], wire_name=wire_name, body=body)


def _function(entry: _Declared, wire_name: str) -> JsonObject:
    function: JsonObject = {"name": wire_name, **_description(entry)}
    if entry.body.get("parameters") is not None:
        function["parameters"] = entry.body["parameters"]
    if entry.body.get("strict"):
        function["strict"] = True
    return {"type": "function", "function": function}


def _wrapped_custom(entry: _Declared, wire_name: str) -> JsonObject:
    function = {"name": wire_name, **_description(entry, _grammar_in_words(entry.body)), "parameters": _WRAPPED_INPUT}
    return {"type": "function", "function": function}


def _native_custom(entry: _Declared, wire_name: str) -> JsonObject:
    custom: JsonObject = {"name": wire_name, **_description(entry)}
    text_format = entry.body.get("format")
    if text_format is not None and text_format["type"] == "grammar":
        # Flat in the Responses API, nested in chat.
        grammar = {"syntax": text_format["syntax"], "definition": text_format["definition"]}
        custom["format"] = {"type": "grammar", "grammar": grammar}
    return {"type": "custom", "custom": custom}


def _grammar_in_words(tool: JsonObject) -> str:
    text_format = tool.get("format")
    if text_format is None or text_format["type"] != "grammar":
        return ""
    return f"The input must match this {text_format['syntax']} grammar:\n{text_format['definition']}"


def _description(entry: _Declared, *more: str) -> dict[str, str]:
    """The description field: the namespace's purpose, the tool's own description, then *more*; empty if all are."""
    paragraphs = [entry.purpose, entry.body.get("description") or "", *more]
    text = "\n\n".join(paragraph for paragraph in paragraphs if paragraph)
    return {"description": text} if text else {}
