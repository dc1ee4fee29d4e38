"""
The tools that a request offers, in the words of the Messages API.

It knows functions, and calls them tools. A custom tool travels as a function with one string property, ``input``. A
``namespace`` is flattened: each tool in it becomes one of its own under a joined name, and :attr:`Toolbox.origins`
leads back. Whatever else the API has is refused by name, or left out and reported where the upstream is configured so.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from hashlib import sha256

import msgspec

from antiphon.hub.errors import InvalidRequest, UnsupportedParameter
from antiphon.hub.items import JsonObject
from antiphon.hub.turn import ModelCall
from antiphon.providers.anthropic.quirks import Quirks

__all__ = ["Origin", "Tool", "Toolbox", "joined_name", "read_tools"]

_KINDS = ("function", "custom")
_MAX_NAME_CHARS = 64
_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9_-]")
_NO_PARAMETERS: JsonObject = {"type": "object", "properties": {}}
_FREE_FORM: JsonObject = {
    "type": "object",
    "properties": {"input": {"type": "string", "description": "The whole input of the tool, as free text."}},
    "required": ["input"],
    "additionalProperties": False,
}


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """Which tool of the client's a name at the upstream stands for."""

    kind: str
    namespace: str | None
    name: str


class Tool(msgspec.Struct, frozen=True, kw_only=True):
    """
    One tool that can be offered.

    Attributes:
        body: The entry of the body's ``tools``; its name is the upstream's.
    """

    origin: Origin
    body: JsonObject

    @property
    def wire_name(self) -> str:
        """As the upstream knows it."""
        name: str = self.body["name"]
        return name


class Toolbox(msgspec.Struct, frozen=True, kw_only=True):
    """
    All tools of a call that the dialect can express.

    Attributes:
        not_applied: ``tools.<type>`` for each type that was left out, ``tools.<field>`` for what has no words here.
    """

    tools: tuple[Tool, ...]
    not_applied: tuple[str, ...]

    @property
    def origins(self) -> dict[str, Origin]:
        """The upstream's names, and what each stands for."""
        return {tool.wire_name: tool.origin for tool in self.tools}

    def wire_name(self, namespace: str | None, name: str) -> str:
        """The upstream's name of a tool, whether it is offered or was called in the past."""
        if namespace is None:
            return name
        for tool in self.tools:
            if (tool.origin.namespace, tool.origin.name) == (namespace, name):
                return tool.wire_name
        return joined_name(namespace, name)


class _Declared(msgspec.Struct, frozen=True, kw_only=True):
    path: str
    body: JsonObject
    namespace: str | None = None
    purpose: str = ""


def read_tools(call: ModelCall, quirks: Quirks) -> Toolbox:
    """
    Translate the tools of a call: the request's, then those that items of the context add.

    Raises:
        UnsupportedParameter: A tool's type, or a field of it that changes what the model may do, has no words here.
        InvalidRequest: Two tools of different kinds have the same name.
    """
    reader = _Reader(quirks, structured=quirks.family(call.model).structured)
    for index, tool in enumerate(call.tools):
        reader.feed(tool, f"tools[{index}]")
    return reader.finish()


def joined_name(namespace: str, name: str, *, width: int = 2) -> str:
    """
    One name for a tool in a namespace: both, joined by *width* underscores.

    What a tool's name cannot have becomes underscores; a name over 64 characters is cut and ends in a hash.
    """
    joined = f"{namespace}{'_' * width}{name}"
    legal = _NOT_IN_A_NAME.sub("_", joined)
    if len(legal) <= _MAX_NAME_CHARS:
        return legal
    return f"{legal[: _MAX_NAME_CHARS - 9]}_{sha256(joined.encode()).hexdigest()[:8]}"


class _Reader:
    """Collects tools, then gives each a name of its own."""

    def __init__(self, quirks: Quirks, *, structured: bool) -> None:
        self._quirks = quirks
        self._structured = structured
        self._declared: list[_Declared] = []
        self._not_applied: dict[str, None] = {}

    def feed(self, tool: JsonObject, path: str) -> None:
        kind = tool["type"]
        if kind == "namespace":
            self._declared += _unfold(tool, path)
        elif kind in _KINDS:
            self._declared.append(_Declared(path=path, body=tool))
        elif self._quirks.unsupported_tools == "drop":
            self._not_applied[f"tools.{kind}"] = None
        else:
            raise UnsupportedParameter(
                f"Tools of type '{kind}' are not supported by this upstream. Use 'function', 'custom' or 'namespace'.",
                param=path,
            )

    def finish(self) -> Toolbox:
        names = self._names()
        tools = tuple(self._tool(entry, names[entry.namespace, entry.body["name"]]) for entry in self._declared)
        return Toolbox(tools=tools, not_applied=tuple(self._not_applied))

    def _names(self) -> dict[tuple[str | None, str], str]:
        """Plain names stay as they are; joined ones give way with a longer joint."""
        names: dict[tuple[str | None, str], str] = {}
        kinds: dict[tuple[str | None, str], str] = {}
        for entry in self._declared:
            place, kind = (entry.namespace, entry.body["name"]), entry.body["type"]
            if kinds.setdefault(place, kind) != kind:
                raise InvalidRequest(
                    f"A function and a custom tool are both called '{place[1]}'. Rename one of them.",
                    param=f"{entry.path}.name",
                )
            if entry.namespace is None:
                names[place] = entry.body["name"]
        taken = set(names.values())
        for entry in self._declared:
            if entry.namespace is not None and (entry.namespace, entry.body["name"]) not in names:
                name = _free_name(entry.namespace, entry.body["name"], taken)
                names[entry.namespace, entry.body["name"]] = name
                taken.add(name)
        return names

    def _tool(self, entry: _Declared, wire_name: str) -> Tool:
        _refuse_unsayable(entry)
        body = entry.body
        if body.get("output_schema") is not None:
            self._not_applied["tools.output_schema"] = None
        written: JsonObject = {"name": wire_name, **_description(entry)}
        if body["type"] == "custom":
            written["input_schema"] = _FREE_FORM
        else:
            # The API demands the type, which is the only one that the arguments of a call can have.
            written["input_schema"] = {"type": "object", **(body.get("parameters") or _NO_PARAMETERS)}
            if body.get("strict"):
                self._add_strict(written)
        origin = Origin(kind=body["type"], namespace=entry.namespace, name=body["name"])
        return Tool(origin=origin, body=written)

    def _add_strict(self, written: JsonObject) -> None:
        if self._structured:
            written["strict"] = True
        else:
            self._not_applied["tools.strict"] = None


def _unfold(tool: JsonObject, path: str) -> Iterator[_Declared]:
    for index, inner in enumerate(tool["tools"]):
        inner_path = f"{path}.tools[{index}]"
        if inner["type"] not in _KINDS:
            raise UnsupportedParameter(f"A namespace cannot hold a tool of type '{inner['type']}'.", param=inner_path)
        purpose = tool.get("description") or ""
        yield _Declared(path=inner_path, body=inner, namespace=tool["name"], purpose=purpose)


def _free_name(namespace: str, name: str, taken: set[str]) -> str:
    width = 2
    while (joined := joined_name(namespace, name, width=width)) in taken:
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


def _description(entry: _Declared) -> dict[str, str]:
    """The namespace's purpose, the tool's own description, and a grammar, for which there is no field, in words."""
    paragraphs = [entry.purpose, entry.body.get("description") or ""]
    text_format = entry.body.get("format")
    if text_format is not None and text_format["type"] == "grammar":
        paragraphs.append(
            f"The input has to follow this grammar ({text_format['syntax']}):\n{text_format['definition']}"
        )
    text = "\n\n".join(paragraph for paragraph in paragraphs if paragraph)
    return {"description": text} if text else {}
