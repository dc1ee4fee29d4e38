"""
The tools that a request offers, in Gemini's words: function declarations.

A custom tool is offered as a function with one text. A ``namespace`` is flattened: each tool in it becomes a function
of its own under a joined name. :class:`Toolbox` leads from the names on the wire back to the client's tools, and from
their names to those. Whatever else the API has is refused by name, or left out and reported
where the upstream is configured so. :mod:`.tool_choice` decides which of them are offered.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from typing import Literal

import msgspec

from antiphon.hub.errors import InvalidRequest, UnsupportedParameter
from antiphon.hub.items import JsonObject
from antiphon.hub.turn import ModelCall
from antiphon.providers.gemini.quirks import Quirks
from antiphon.providers.gemini.schema import openapi_schema

__all__ = ["Tool", "Toolbox", "legal_name", "read_tools"]

ToolKind = Literal["function", "custom"]
_Identity = tuple[str | None, str]

_MAX_NAME_CHARS = 64  # the most that every generation of models takes
_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9_-]")
_BEGINS_NO_NAME = re.compile(r"[0-9-]")
_WEB_SEARCH = ("web_search", "web_search_preview")
_FREE_FORM = {
    "type": "object",
    "properties": {"input": {"type": "string", "description": "Everything that the tool is given, as free text."}},
    "required": ["input"],
}


class Tool(msgspec.Struct, frozen=True, kw_only=True):
    """
    One tool that can be offered.

    Attributes:
        name: As the client knows it, within *namespace*.
        wire_name: As the upstream knows it.
        strict: Whether the client wants calls held to the schema.
        declaration: The entry of ``functionDeclarations``.
    """

    kind: ToolKind
    namespace: str | None
    name: str
    wire_name: str
    strict: bool
    declaration: JsonObject


class Toolbox(msgspec.Struct, frozen=True, kw_only=True):
    """
    All tools of a call that Gemini can express.

    Attributes:
        hosted: Entries of ``tools`` that the upstream carries out itself.
        not_applied: ``tools.<type>`` for each type that was left out, ``tools.<field>`` for a field.
    """

    tools: tuple[Tool, ...] = ()
    hosted: tuple[JsonObject, ...] = ()
    not_applied: tuple[str, ...] = ()

    def by_wire_name(self) -> dict[str, Tool]:
        """Each tool by its name on the wire."""
        return {tool.wire_name: tool for tool in self.tools}

    def wire_names(self) -> dict[_Identity, str]:
        """The name on the wire of each (namespace or None, name)."""
        return {(tool.namespace, tool.name): tool.wire_name for tool in self.tools}


class _Declared(msgspec.Struct, frozen=True, kw_only=True):
    path: str
    namespace: str | None = None
    purpose: str = ""
    body: JsonObject

    @property
    def kind(self) -> ToolKind:
        return "function" if self.body["type"] == "function" else "custom"

    @property
    def identity(self) -> _Identity:
        return (self.namespace, self.body["name"])


class _Sorted(msgspec.Struct):
    declared: list[_Declared] = []
    hosted: list[JsonObject] = []
    not_applied: list[str] = []


def read_tools(call: ModelCall, quirks: Quirks) -> Toolbox:
    """
    Translate the tools of a call: the request's, and those that items of its context add.

    Raises:
        UnsupportedParameter: A tool's type, or a field of it that changes what the model may do, has no words here.
        InvalidRequest: A function and a custom tool have the same name.
    """
    tools = call.tools
    if not tools:
        return Toolbox()
    kinds = _sort(tools, quirks)
    names = _wire_names(kinds.declared)
    for entry in kinds.declared:
        _refuse_unsayable(entry)
        if entry.body.get("output_schema") is not None and quirks.schemas == "openapi":
            kinds.not_applied.append("tools.output_schema")
    return Toolbox(
        tools=tuple(_tool(entry, names[entry.identity], quirks) for entry in kinds.declared),
        hosted=tuple(kinds.hosted),
        not_applied=tuple(dict.fromkeys(kinds.not_applied)),
    )


def _sort(tools: Sequence[JsonObject], quirks: Quirks) -> _Sorted:
    kinds = _Sorted()
    for index, tool in enumerate(tools):
        path = f"tools[{index}]"
        if tool["type"] in ("function", "custom", "namespace"):
            kinds.declared += _unfold(tool, path)
        elif tool["type"] in _WEB_SEARCH and quirks.web_search == "google_search":
            kinds.hosted.append(_web_search(tool, path))
            kinds.not_applied += ["tools.search_context_size"] if tool.get("search_context_size") else []
        elif quirks.unsupported_tools == "drop":
            kinds.not_applied.append(f"tools.{tool['type']}")
        else:
            raise UnsupportedParameter(
                f"Tools of type '{tool['type']}' are not supported by this upstream. Use 'function', 'custom' or "
                "'namespace'.",
                param=path,
            )
    return kinds


def _web_search(tool: JsonObject, path: str) -> JsonObject:
    for field in ("filters", "user_location"):
        if tool.get(field):
            raise UnsupportedParameter(
                f"This upstream's search cannot be given '{field}'. Leave it out.", param=f"{path}.{field}"
            )
    return {"googleSearch": {}}


def _unfold(tool: JsonObject, path: str) -> Iterator[_Declared]:
    if tool["type"] != "namespace":
        yield _Declared(path=path, body=tool)
        return
    for index, inner in enumerate(tool["tools"]):
        inner_path = f"{path}.tools[{index}]"
        if inner["type"] not in ("function", "custom"):
            raise UnsupportedParameter(f"A namespace cannot hold a tool of type '{inner['type']}'.", param=inner_path)
        purpose = tool.get("description") or ""
        yield _Declared(path=inner_path, namespace=tool["name"], purpose=purpose, body=inner)


def _wire_names(declared: Sequence[_Declared]) -> Mapping[_Identity, str]:
    """A name for each tool, unique: names that are legal stay as they are, all others give way to them."""
    names: dict[_Identity, str] = {}
    kinds: dict[_Identity, ToolKind] = {}
    for entry in declared:
        if kinds.setdefault(entry.identity, entry.kind) != entry.kind:
            raise InvalidRequest(
                f"A function and a custom tool are both called '{entry.body['name']}'. Rename one of them.",
                param=f"{entry.path}.name",
            )
    changed = {identity: legal_name(*identity) for identity in kinds}
    taken = {name for (namespace, own), name in changed.items() if namespace is None and name == own}
    for (namespace, own), name in changed.items():
        kept = namespace is None and name == own
        names[(namespace, own)] = name if kept else _free_name(namespace, own, taken)
        taken.add(names[(namespace, own)])
    return names


def _free_name(namespace: str | None, name: str, taken: set[str]) -> str:
    free = legal_name(namespace, name)
    return _hashed(free, namespace, name) if free in taken else free


def legal_name(namespace: str | None, name: str) -> str:
    """
    What a function can be called: the name itself, behind its namespace and two underscores if it has one.

    Characters that a name cannot have become underscores, one is put before a digit or a hyphen at the beginning, and
    a name that is too long is cut and ends in a hash of the whole.
    """
    legal = _NOT_IN_A_NAME.sub("_", name if namespace is None else f"{namespace}__{name}")
    if _BEGINS_NO_NAME.match(legal):
        legal = f"_{legal}"
    return legal if len(legal) <= _MAX_NAME_CHARS else _hashed(legal, namespace, name)


def _hashed(legal: str, namespace: str | None, name: str) -> str:
    digest = sha256(f"{namespace or ''}/{name}".encode()).hexdigest()[:8]
    return f"{legal[: _MAX_NAME_CHARS - 9]}_{digest}"


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
    declaration: JsonObject = {"name": wire_name, **_description(entry), **_parameters(entry, quirks)}
    if entry.body.get("output_schema") is not None and quirks.schemas == "json_schema":
        declaration["responseJsonSchema"] = entry.body["output_schema"]
    return Tool(
        kind=entry.kind,
        namespace=entry.namespace,
        name=entry.body["name"],
        wire_name=wire_name,
        strict=bool(entry.body.get("strict")),
        declaration=declaration,
    )


def _parameters(entry: _Declared, quirks: Quirks) -> JsonObject:
    parameters = _FREE_FORM if entry.kind == "custom" else entry.body.get("parameters")
    if parameters is None:
        return {}
    if quirks.schemas == "json_schema":
        return {"parametersJsonSchema": parameters}
    # An object without properties is refused there; a function without parameters is not.
    return (
        {"parameters": openapi_schema(parameters, f"{entry.path}.parameters")} if parameters.get("properties") else {}
    )


def _description(entry: _Declared) -> dict[str, str]:
    """The description: the namespace's purpose, the tool's own, and the grammar of a custom tool's input in words."""
    paragraphs = [entry.purpose, entry.body.get("description") or "", _grammar_in_words(entry.body)]
    text = "\n\n".join(paragraph for paragraph in paragraphs if paragraph)
    return {"description": text} if text else {}


def _grammar_in_words(tool: JsonObject) -> str:
    text_format = tool.get("format")
    if tool["type"] != "custom" or text_format is None or text_format["type"] != "grammar":
        return ""
    return f"The input has to follow this grammar, written in {text_format['syntax']}:\n{text_format['definition']}"
