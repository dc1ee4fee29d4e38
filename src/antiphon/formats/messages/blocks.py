"""
Content blocks of a request: one schema for each type.

Fields of a block that the API does not know ride along with what becomes of it. Blocks of tools that Anthropic runs
itself, files that it keeps, and citations that it is asked for are refused by name.

Specification: ``platform.claude.com/docs/en/api/messages``, ``messages[].content``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from antiphon.formats.checks.common import MAX_TEXT
from antiphon.formats.checks.flaw import unknown
from antiphon.formats.checks.pruning import pruned
from antiphon.formats.checks.schema import (
    Anything,
    Arr,
    Bool,
    ByType,
    Enum,
    Field,
    Obj,
    Schema,
    Str,
    Tagged,
)
from antiphon.formats.messages.refusal import Only, Refused, TaggedOrRefused

__all__ = ["CACHE_CONTROL", "MESSAGE", "SYSTEM", "THINKING_BLOCK", "Open", "need", "open_object"]

_MAX_DATA = 73_400_320
_MAX_ID = 256

_TEXT = Str(max_length=MAX_TEXT)
_DATA = Str(min_length=1, max_length=_MAX_DATA)
_ID = Str(min_length=1, max_length=_MAX_ID)
_FREE_OBJECT = Obj(fields={}, extra="keep")


def need(schema: Schema) -> Field:
    """A field that has to be there."""
    return Field(schema=schema, required=True)


def _may(schema: Schema) -> Field:
    return Field(schema=schema)


def _tagged(tag: str, fields: dict[str, Field]) -> Obj:
    return Obj(fields={"type": need(Enum((tag,))), **fields})


CACHE_CONTROL = _may(
    Obj(fields={"type": need(Enum(("ephemeral",))), "ttl": _may(Enum(("5m", "1h")))}, extra="keep"),
)


# What the hub's items, parts and tools say themselves.
_TAKEN = frozenset(
    {
        *("id", "type", "role", "status", "content", "phase", "call_id", "namespace", "name", "arguments", "output"),
        *("text", "annotations", "logprobs", "detail", "image_url", "file_id", "file_data", "file_url", "filename"),
        *("parameters", "output_schema"),
    }
)


@dataclass(frozen=True, slots=True)
class Open:
    """An object whose unknown fields ride along with what it becomes, unless they would say what that says itself."""

    schema: Obj

    def check(self, value: object) -> Any:
        """See :class:`Schema`."""
        checked = self.schema.check(value)
        for name in checked:
            if name in _TAKEN and name not in self.schema.fields:
                raise unknown(name, None)
        return checked

    def prune(self, value: object) -> Any:
        """See :class:`antiphon.formats.checks.pruning.Prunable`."""
        if type(value) is not dict:
            return value
        own = self.schema.fields
        return pruned(self.schema, {name: part for name, part in value.items() if name in own or name not in _TAKEN})


def open_object(fields: dict[str, Field]) -> Open:
    """An :class:`Open` object of these fields."""
    return Open(Obj(fields=fields, extra="keep"))


def _block(tag: str, **fields: Field) -> Open:
    return open_object({"type": need(Enum((tag,))), **fields, "cache_control": CACHE_CONTROL})


_NO_FILES = Refused("Send what is in the file: as 'base64', or by its 'url'.")
_CITATIONS = _may(
    Obj(
        fields={
            "enabled": Field(
                schema=Only(Bool(), value=False, remedy="Answers without citations can be had: set it to false.")
            )
        }
    )
)

_TEXT_FIELDS = {"text": need(_TEXT), "citations": _may(Arr(item=_FREE_OBJECT))}
_TEXT_BLOCK = _block("text", **_TEXT_FIELDS)
# One whose text alone is taken.
_BARE_TEXT = _tagged("text", {**_TEXT_FIELDS, "cache_control": CACHE_CONTROL})

_IMAGE_SOURCE = Tagged(
    variants={
        "base64": _tagged(
            "base64",
            {
                "media_type": need(Enum(("image/jpeg", "image/png", "image/gif", "image/webp"))),
                "data": need(_DATA),
            },
        ),
        "url": _tagged("url", {"url": need(Str(min_length=1))}),
        "file": _NO_FILES,
    }
)
_IMAGE = _block("image", source=need(_IMAGE_SOURCE), transformations=_may(Refused()))

_DOCUMENT_CONTENT = TaggedOrRefused(variants={"text": _TEXT_BLOCK, "image": _IMAGE}, noun="content blocks")
_DOCUMENT_SOURCE = Tagged(
    variants={
        "base64": _tagged("base64", {"media_type": need(Enum(("application/pdf",))), "data": need(_DATA)}),
        "text": _tagged("text", {"media_type": need(Enum(("text/plain",))), "data": need(_TEXT)}),
        "url": _tagged("url", {"url": need(Str(min_length=1))}),
        "content": _tagged(
            "content",
            {
                "content": need(
                    ByType(cases={str: _TEXT, list: Arr(item=_DOCUMENT_CONTENT)}, expected="one of a string or array")
                )
            },
        ),
        "file": _NO_FILES,
    }
)
_DOCUMENT = _block(
    "document",
    source=need(_DOCUMENT_SOURCE),
    title=_may(Str()),
    context=_may(_TEXT),
    citations=_CITATIONS,
)

_SEARCH_RESULT = _block(
    "search_result",
    content=need(Arr(item=TaggedOrRefused(variants={"text": _BARE_TEXT}, noun="content blocks"))),
    source=need(Str()),
    title=need(Str()),
    citations=_CITATIONS,
)

# Servers that speak this dialect for other models sign nothing, or leave the field out.
# They go back as they came, whatever is in them.
_THINKING = Obj(
    fields={
        "type": need(Enum(("thinking",))),
        "thinking": need(_TEXT),
        "signature": Field(schema=Str(max_length=_MAX_DATA), default=""),
    },
    extra="keep",
)
_REDACTED = Obj(
    fields={"type": need(Enum(("redacted_thinking",))), "data": need(Str(max_length=_MAX_DATA))}, extra="keep"
)
THINKING_BLOCK: Schema = Tagged(variants={"thinking": _THINKING, "redacted_thinking": _REDACTED})

_DIRECT = Only(_FREE_OBJECT, value={"type": "direct"}, remedy="Only calls that the model makes directly are supported.")
_TOOL_USE = _block(
    "tool_use",
    id=need(_ID),
    name=need(Str(min_length=1, max_length=256)),
    input=need(ByType(cases={dict: Anything()}, expected="an object")),
    caller=_may(_DIRECT),
    toolset_name=_may(Refused()),
)

_USER_PARTS: dict[str, Schema] = {
    "text": _TEXT_BLOCK,
    "image": _IMAGE,
    "document": _DOCUMENT,
    "search_result": _SEARCH_RESULT,
}
_TOOL_RESULT = _block(
    "tool_result",
    tool_use_id=need(_ID),
    content=_may(
        ByType(
            cases={str: _TEXT, list: Arr(item=TaggedOrRefused(variants=_USER_PARTS, noun="content blocks"))},
            expected="one of a string or array",
        )
    ),
    is_error=Field(schema=Bool(), default=False),
    toolset_name=_may(Refused()),
)

_BY_ROLE: dict[str, dict[str, Schema]] = {
    "user": {**_USER_PARTS, "tool_result": _TOOL_RESULT},
    "assistant": {
        "text": _TEXT_BLOCK,
        "thinking": _THINKING,
        "redacted_thinking": _REDACTED,
        "tool_use": _TOOL_USE,
    },
    "system": {"text": _TEXT_BLOCK},
}
_SERVED = frozenset(tag for variants in _BY_ROLE.values() for tag in variants)


def _content(role: str) -> ByType:
    block = TaggedOrRefused(variants=_BY_ROLE[role], noun="content blocks", elsewhere=_SERVED)
    return ByType(cases={str: _TEXT, list: Arr(item=block)}, expected="one of a string or array of content blocks")


MESSAGE: Schema = Tagged(
    variants={role: Obj(fields={"role": need(Enum((role,))), "content": need(_content(role))}) for role in _BY_ROLE},
    tag="role",
)
SYSTEM: Schema = ByType(
    cases={str: _TEXT, list: Arr(item=TaggedOrRefused(variants={"text": _BARE_TEXT}, noun="content blocks"))},
    expected="one of a string or array of content blocks",
)
