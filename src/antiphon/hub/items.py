"""
Items: the unit of everything that is stored and replayed.

An item's body is the JSON object that clients see. Fields and types that this version does not know ride along
untouched. What only one provider understands is kept beside the body (``private``) and goes back to that provider
alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from operator import attrgetter
from typing import Any

import msgspec

from antiphon.hub.ids import ItemId

__all__ = [
    "CALL_TYPES",
    "OUTPUT_TYPES",
    "Item",
    "JsonObject",
    "Private",
    "copied",
    "has_type",
    "is_cut_off_call",
]

JsonObject = dict[str, Any]

# Item types that wait for an answer of the client, with the type of that answer. Both carry `call_id`.
CALL_TYPES = {
    "function_call": "function_call_output",
    "custom_tool_call": "custom_tool_call_output",
    "shell_call": "shell_call_output",
    "local_shell_call": "local_shell_call_output",
    "apply_patch_call": "apply_patch_call_output",
    "computer_call": "computer_call_output",
}
OUTPUT_TYPES = {output: call for call, output in CALL_TYPES.items()}

_TYPE_OF = attrgetter("type")
_CONTAINERS = frozenset({dict, list, tuple})


class Private(msgspec.Struct, frozen=True):
    """What one provider needs back and nobody else may see: a thinking signature, the name of its reasoning field."""

    provider: str
    account: str
    data: JsonObject


class Item(msgspec.Struct, frozen=True):
    """
    One entry of context.

    Attributes:
        id: Ours, unique within the tenant. The same as ``body["id"]``.
        type: The same as ``body["type"]``.
        body: What clients see. Never changed after construction.
        private: See :class:`Private`; None for nearly all items.
    """

    id: ItemId
    type: str
    body: JsonObject
    private: Private | None = None


def has_type(items: Iterable[Item], item_type: str) -> bool:
    """Whether an item of this type is among *items*, which may be thousands: no code is interpreted for each."""
    return item_type in map(_TYPE_OF, items)


def copied(value: Any) -> Any:
    """A JSON value that shares nothing that can be changed with the one that was given."""
    if type(value) is dict:
        return {name: copied(part) if type(part) in _CONTAINERS else part for name, part in value.items()}
    if type(value) is list:
        return [copied(part) if type(part) in _CONTAINERS else part for part in value]
    if type(value) is tuple:
        return tuple([copied(part) if type(part) in _CONTAINERS else part for part in value])
    return value


def is_cut_off_call(body: JsonObject) -> bool:
    """Whether a tool call was cut off before its arguments were whole: it stays on its response and is not replayed."""
    return body["type"] in CALL_TYPES and body.get("status") == "incomplete"
