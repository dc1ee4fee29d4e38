"""
The schemas as they are published: every body, query and answer of the dialect by name, described and with examples.

Everything that a decoder checks is generated from the decoder's own tables. What those tables cannot say (that a turn
needs a model and something to answer) is added here.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import Any, cast

from antiphon.formats.checks.common import METADATA
from antiphon.formats.checks.json_schema import SchemaWriter, given
from antiphon.formats.checks.schema import Arr, ByType, Field, Obj, Schema, Tagged
from antiphon.formats.responses.answers import ANSWERS
from antiphon.formats.responses.content import ASSISTANT_CONTENT, INPUT_CONTENT
from antiphon.formats.responses.context import COMPACTION, COUNT
from antiphon.formats.responses.descriptions import DESCRIPTIONS, EXAMPLES
from antiphon.formats.responses.event_schemas import event_schemas
from antiphon.formats.responses.items import ITEM, ItemUnion
from antiphon.formats.responses.library import FORK, PROMPT, REWIND
from antiphon.formats.responses.parameters import (
    AUDIT,
    CONVERSATION_LIST,
    DELETION,
    DELIVERY_LIST,
    ERASURE,
    PAGE,
    PROMPT_LIST,
    PROMPT_VERSION,
    RESPONSE_LIST,
    RETRIEVAL,
    SHOWN,
)
from antiphon.formats.responses.request import FIELDS, INCLUDE, REFUSED, STATE
from antiphon.formats.responses.state import ADDITION, CONVERSATION, UPDATE
from antiphon.formats.responses.tools import TOOL_CHOICE, TOOLS
from antiphon.hub.items import JsonObject

__all__ = ["QUERIES", "published_schemas"]

QUERIES: Mapping[str, Mapping[str, Field]] = {
    "PageQuery": PAGE,
    "RetrieveQuery": RETRIEVAL,
    "IncludeQuery": SHOWN,
    "DeletionQuery": DELETION,
    "ErasureQuery": ERASURE,
    "AuditQuery": AUDIT,
    "ResponseListQuery": RESPONSE_LIST,
    "ConversationListQuery": CONVERSATION_LIST,
    "DeliveryListQuery": DELIVERY_LIST,
    "PromptListQuery": PROMPT_LIST,
    "PromptVersionQuery": PROMPT_VERSION,
}


@cache
def published_schemas(*, max_items: int, max_tools: int, refuse_unknown: bool) -> Mapping[str, JsonObject]:
    """
    Every schema by name. The same ones whenever they are asked for: not to be changed.

    Args:
        max_items: The most input items in one request.
        max_tools: The most tools in one request.
        refuse_unknown: Whether a field of a turn's body that the API does not know is an error.
    """
    writer = SchemaWriter(_named(refuse_unknown=refuse_unknown))
    schemas = {
        **writer.components(),
        **{name: writer.parameters(fields) for name, fields in QUERIES.items()},
        **ANSWERS,
        **event_schemas(),
    }
    _complete_turn(schemas["CreateResponse"], max_items, max_tools)
    # The decoder takes the one for the other: see `items.py`.
    schemas["LocalShellCallOutputInput"] |= given(("call_id", "id"))
    return MappingProxyType({name: _described(name, schema) for name, schema in schemas.items()})


def _named(*, refuse_unknown: bool) -> dict[str, Schema]:
    """What has a name of its own in the document; everything else stands where it is used."""
    union = cast(ItemUnion, ITEM)
    return {
        "CreateResponse": Obj(fields=FIELDS, extra="refuse" if refuse_unknown else "keep"),
        "TextOptions": FIELDS["text"].schema,
        "ReasoningOptions": FIELDS["reasoning"].schema,
        "PromptReference": FIELDS["prompt"].schema,
        "StreamOptions": FIELDS["stream_options"].schema,
        "ToolChoice": TOOL_CHOICE,
        "Tool": TOOLS.item,
        **{f"{_title(tag)}Tool": tool for tag, tool in cast(Tagged, TOOLS.item).variants.items()},
        "CompactContext": COMPACTION,
        "CountInput": COUNT,
        "CreateConversation": CONVERSATION,
        "UpdateConversation": UPDATE,
        "CreateConversationItems": ADDITION,
        "ForkConversation": FORK,
        "RewindConversation": REWIND,
        "CreatePrompt": PROMPT,
        "InputItem": ITEM,
        **{f"{_title(role)}MessageInput": message for role, message in union.messages.items()},
        **{f"{_title(tag)}Input": item for tag, item in union.typed.items()},
        **{f"{_title(tag)}Input": part for tag, part in _parts(INPUT_CONTENT).items()},
        **{f"{_title(tag)}Input": part for tag, part in _parts(ASSISTANT_CONTENT).items()},
        "Include": INCLUDE.item,
        "Metadata": METADATA,
    }


def _parts(content: ByType) -> dict[str, Schema]:
    """The parts of a content by type, under names that no item has: ``input_text`` is ``TextPart``."""
    parts = cast(Tagged, cast(Arr, content.cases[list]).item)
    return {f"{tag.removeprefix('input_')}_part": part for tag, part in parts.variants.items()}


def _complete_turn(schema: JsonObject, max_items: int, max_tools: int) -> None:
    schema["allOf"] = [given(("model", "prompt")), given(("input", *STATE))]
    for variant in schema["properties"]["input"]["anyOf"]:
        if variant.get("type") == "array":
            variant["maxItems"] = max_items
    schema["properties"]["tools"]["maxItems"] = max_tools
    for name, remedy in REFUSED.items():
        schema["properties"][name]["description"] = f"Part of the API, and refused by this gateway. {remedy}"
        schema["properties"][name]["x-antiphon-refused"] = True


def _described(name: str, schema: JsonObject) -> JsonObject:
    texts = DESCRIPTIONS.get(name, {})
    described: JsonObject = dict(schema)
    if "" in texts:
        described["description"] = texts[""]
    if name in EXAMPLES:
        described["examples"] = EXAMPLES[name]
    if "properties" in schema:
        described["properties"] = _members(schema["properties"], texts)
    return described


def _members(properties: Mapping[str, Any], texts: Mapping[str, str]) -> JsonObject:
    return {
        name: {**member, "description": texts[name]} if name in texts else member for name, member in properties.items()
    }


def _title(tag: str) -> str:
    """``function_call`` as ``FunctionCall``."""
    return "".join(word.capitalize() for word in tag.split("_"))
