"""
The tools that a request offers, as Converse's tool specifications.

Converse knows functions. A custom tool goes up as a function with one string property, a ``namespace`` is flattened,
and a name that the API does not take becomes one that it does; :class:`Toolbox` leads back from the upstream's names.
Whatever else the Responses API has is refused by name, or left out and reported where the upstream is so configured.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from hashlib import sha256
from typing import Literal

import msgspec

from antiphon.hub.errors import InvalidRequest, UnsupportedParameter
from antiphon.hub.items import JsonObject
from antiphon.hub.turn import ModelCall
from antiphon.providers.bedrock.quirks import Quirks

__all__ = ["Tool", "Toolbox", "read_tools", "wire_name_of"]

ToolKind = Literal["function", "custom"]

_MAX_NAME_CHARS = 64
_LEGAL_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")
_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9_-]")
_NO_PARAMETERS = {"type": "object", "properties": {}}
_FREE_INPUT = {
    "type": "object",
    "properties": {"input": {"type": "string", "description": "All of the tool's input, as free text."}},
    "required": ["input"],
    "additionalProperties": False,
}


class Tool(msgspec.Struct, frozen=True, kw_only=True):
    """
    One tool that can be offered.

    Attributes:
        name: As the client knows it, within *namespace*.
        wire_name: As the upstream knows it.
        entry: The entry of ``toolConfig.tools``.
    """

    kind: ToolKind
    namespace: str | None
    name: str
    wire_name: str
    entry: JsonObject


class Toolbox(msgspec.Struct, frozen=True, kw_only=True):
    """
    All tools of a request that Converse can express.

    Attributes:
        not_applied: ``tools.<type>`` for each type that was left out, ``tools.output_schema`` where one was given.
    """

    tools: tuple[Tool, ...] = ()
    not_applied: tuple[str, ...] = ()

    def by_wire_name(self) -> dict[str, Tool]:
        """The tools by the upstream's names of them."""
        return {tool.wire_name: tool for tool in self.tools}

    def wire_names(self) -> dict[tuple[str | None, str], str]:
        """The upstream's name of each (namespace, name)."""
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
    def identity(self) -> tuple[str | None, str]:
        return (self.namespace, self.body["name"])


def read_tools(call: ModelCall, quirks: Quirks) -> Toolbox:
    """
    The tools of a call: the request's, then those that items of the context add.

    Raises:
        UnsupportedParameter: A tool's type, or a field of it that changes what the model may do, has no words here.
        InvalidRequest: A function and a custom tool have the same name.
    """
    not_applied: list[str] = []
    declared: list[_Declared] = []
    for index, tool in enumerate(call.tools):
        if tool["type"] in ("function", "custom", "namespace"):
            declared += _unfold(tool, f"tools[{index}]")
        else:
            not_applied.append(_leave_out(tool["type"], f"tools[{index}]", quirks))
    for entry in declared:
        _refuse_unsayable(entry)
        if entry.body.get("output_schema") is not None:
            not_applied.append("tools.output_schema")
    names = _wire_names(declared)
    return Toolbox(
        tools=tuple(_tool(entry, names[entry.identity]) for entry in declared),
        not_applied=tuple(dict.fromkeys(not_applied)),
    )


def wire_name_of(namespace: str | None, name: str, *, width: int = 2) -> str:
    """
    What the upstream calls a tool: its name with its namespace before it, joined by *width* underscores.

    A character that is not taken becomes an underscore, and such a name, or a longer one, ends in a hash of the whole.
    """
    joined = name if namespace is None else f"{namespace}{'_' * width}{name}"
    if _LEGAL_NAME.match(joined):
        return joined
    digest = sha256(joined.encode()).hexdigest()[:8]
    return f"{_NOT_IN_A_NAME.sub('_', joined)[: _MAX_NAME_CHARS - 9]}_{digest}"


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
    purpose = tool.get("description") or ""
    for index, inner in enumerate(tool["tools"]):
        inner_path = f"{path}.tools[{index}]"
        if inner["type"] not in ("function", "custom"):
            raise UnsupportedParameter(f"A namespace cannot hold a tool of type '{inner['type']}'.", param=inner_path)
        yield _Declared(path=inner_path, namespace=tool["name"], purpose=purpose, body=inner)


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


def _wire_names(declared: Sequence[_Declared]) -> dict[tuple[str | None, str], str]:
    """A name of its own for each tool; those that can keep theirs go first."""
    kinds: dict[tuple[str | None, str], ToolKind] = {}
    for entry in declared:
        if kinds.setdefault(entry.identity, entry.kind) != entry.kind:
            raise InvalidRequest(
                f"A function and a custom tool are both called '{entry.body['name']}'. Rename one of them.",
                param=f"{entry.path}.name",
            )
    names: dict[tuple[str | None, str], str] = {}
    taken: set[str] = set()
    for namespace, name in sorted(kinds, key=lambda identity: wire_name_of(*identity) != identity[1]):
        width = 2
        while (wire_name := wire_name_of(namespace, name, width=width)) in taken:
            width += 1
        names[namespace, name] = wire_name
        taken.add(wire_name)
    return names


def _tool(entry: _Declared, wire_name: str) -> Tool:
    body = entry.body
    spec: JsonObject = {"name": wire_name}
    description = _description(entry)
    if description:
        spec["description"] = description
    spec["inputSchema"] = {"json": _FREE_INPUT if entry.kind == "custom" else body.get("parameters") or _NO_PARAMETERS}
    if body.get("strict"):
        spec["strict"] = True
    return Tool(
        kind=entry.kind,
        namespace=entry.namespace,
        name=body["name"],
        wire_name=wire_name,
        entry={"toolSpec": spec},
    )


def _description(entry: _Declared) -> str:
    """The namespace's purpose, the tool's own description, and the grammar that its free text has to follow."""
    paragraphs = [entry.purpose, entry.body.get("description") or ""]
    text_format = entry.body.get("format")
    if text_format is not None and text_format["type"] == "grammar":
        paragraphs.append(f"The input must match this {text_format['syntax']} grammar:\n{text_format['definition']}")
    return "\n\n".join(paragraph for paragraph in paragraphs if paragraph)
