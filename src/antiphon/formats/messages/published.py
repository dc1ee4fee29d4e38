"""
The schemas of the dialect as they are published: requests generated from what the decoders check, answers by hand.

What stands together only with something else (a result with its call, a budget with ``max_tokens``) has no words in
JSON Schema and is left to the decoders.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

from antiphon.formats.checks.json_schema import REFUSED, SchemaWriter, Writing
from antiphon.formats.checks.schema import Obj, Schema, Tagged
from antiphon.formats.messages.answer_schemas import ANSWERS
from antiphon.formats.messages.blocks import MESSAGE, Open
from antiphon.formats.messages.refusal import Only, Refused, TaggedOrRefused
from antiphon.formats.messages.request import COUNT_FIELDS, FIELDS
from antiphon.formats.messages.settings import THINKING
from antiphon.formats.messages.tools import TOOL_CHOICE, TOOLS
from antiphon.hub.items import JsonObject

__all__ = ["published_schemas"]

_HELLO: JsonObject = {"model": "claude-sonnet-5", "messages": [{"role": "user", "content": "Hello"}]}
_EXAMPLES: Mapping[str, JsonObject] = {"CreateMessage": {**_HELLO, "max_tokens": 1024}, "CountMessageTokens": _HELLO}


@cache
def published_schemas(*, max_tools: int, refuse_unknown: bool) -> Mapping[str, JsonObject]:
    """
    Every schema by name. The same ones whenever they are asked for: not to be changed.

    Args:
        max_tools: The most tools in one request.
        refuse_unknown: Whether a field of a request that the API does not know is an error.
    """
    schemas = SchemaWriter(_named(refuse_unknown=refuse_unknown), _WRITINGS).components()
    for name, example in _EXAMPLES.items():
        tools = schemas[name]["properties"]["tools"]
        schemas[name]["properties"]["tools"] = {**tools, "maxItems": max_tools}
        schemas[name]["examples"] = [example]
    return MappingProxyType({**schemas, **ANSWERS})


def _named(*, refuse_unknown: bool) -> dict[str, Schema]:
    extra = "refuse" if refuse_unknown else "keep"
    return {
        "CreateMessage": Obj(fields=FIELDS, extra=extra),  # type: ignore[arg-type]  # one of the two words
        "CountMessageTokens": Obj(fields=COUNT_FIELDS, extra=extra),  # type: ignore[arg-type]  # likewise
        "MessagesRequestMessage": MESSAGE,
        "MessagesTools": TOOLS,
        "MessagesToolChoice": TOOL_CHOICE,
        "MessagesThinking": THINKING,
    }


def _refused(_: SchemaWriter, schema: Refused) -> JsonObject:
    """Nothing but what asks for nothing."""
    text = f"Part of the API, and refused by this gateway. {schema.remedy}"
    return {"type": ["array", "object"], "maxItems": 0, "maxProperties": 0, "description": text, REFUSED: True}


def _only(_: SchemaWriter, schema: Only) -> JsonObject:
    text = f"Other values are part of the API, and refused by this gateway. {schema.remedy}"
    return {"enum": [schema.value], "description": text}


def _union(writer: SchemaWriter, schema: TaggedOrRefused) -> JsonObject:
    return writer.write(Tagged(variants=schema.variants))


def _open(writer: SchemaWriter, schema: Open) -> JsonObject:
    return {name: value for name, value in writer.write(schema.schema).items() if name != "additionalProperties"}


_WRITINGS: Mapping[type, Writing] = MappingProxyType(
    {Refused: _refused, Only: _only, TaggedOrRefused: _union, Open: _open}
)
