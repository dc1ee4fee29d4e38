"""
The schemas of the dialect's requests as they are published, generated from what the decoders check.

What stands together only with something else (a result with its call, ``stream_options`` with ``stream``) has no words
in JSON Schema and is left to the decoders.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from antiphon.formats.chat import completions, embeddings, request
from antiphon.formats.chat.messages import MESSAGES
from antiphon.formats.chat.tools import TOOL_CHOICE, TOOLS
from antiphon.formats.checks.json_schema import SchemaWriter
from antiphon.formats.checks.schema import Anything, Field, Obj, Schema
from antiphon.hub.items import JsonObject

__all__ = ["request_schemas"]

_HELLO = {"model": "gpt-5", "messages": [{"role": "user", "content": "Hello"}]}
_EXAMPLES: Mapping[str, JsonObject] = {
    "CreateChatCompletion": _HELLO,
    "CreateCompletion": {"model": "gpt-5", "prompt": "Say hello."},
    "CreateEmbedding": {"model": "text-embedding-3-small", "input": ["Hello", "Goodbye"]},
}

_TOKENS = {"type": "array", "items": {"type": "integer", "minimum": 0}, "minItems": 1}
_EMBEDDED: JsonObject = {
    "anyOf": [
        {"type": "string", "minLength": 1},
        {"type": "array", "items": {"type": "string", "minLength": 1}, "minItems": 1, "maxItems": 2048},
        _TOKENS,
        {"type": "array", "items": _TOKENS, "minItems": 1, "maxItems": 2048},
    ]
}


@cache
def request_schemas(*, max_tools: int, refuse_unknown: bool) -> Mapping[str, JsonObject]:
    """
    Every schema by name. The same ones whenever they are asked for: not to be changed.

    Args:
        max_tools: The most tools in one request.
        refuse_unknown: Whether a field of a chat request that the API does not know is an error.
    """
    schemas = SchemaWriter(_named(refuse_unknown=refuse_unknown)).components()
    chat = schemas["CreateChatCompletion"]["properties"]
    chat["tools"]["maxItems"] = max_tools
    for name, remedy in request.REFUSED.items():
        chat[name]["description"] = f"Part of the API, and refused by this gateway. {remedy}"
        chat[name]["x-antiphon-refused"] = True
    schemas["CreateEmbedding"]["properties"]["input"] = _EMBEDDED
    return {
        name: {**schema, "examples": [_EXAMPLES[name]]} if name in _EXAMPLES else schema
        for name, schema in schemas.items()
    }


def _named(*, refuse_unknown: bool) -> dict[str, Schema]:
    # Which list an input is depends on its first member; written out above.
    embedded = {**embeddings.FIELDS, "input": Field(schema=Anything(), required=True)}
    return {
        "CreateChatCompletion": Obj(fields=request.FIELDS, extra="refuse" if refuse_unknown else "keep"),
        "ChatRequestMessage": MESSAGES.item,
        "ChatTool": TOOLS.item,
        "ChatToolChoice": TOOL_CHOICE,
        "CreateCompletion": Obj(fields=completions.FIELDS),
        "CreateEmbedding": Obj(fields=embedded),
    }
