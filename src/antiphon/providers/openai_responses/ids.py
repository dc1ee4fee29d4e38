"""
Ids on their way up: which items need one, and which they are given.

Ids of ours stay here. Where the published schema wants an item's id, it is the one that the upstream gave the item
itself, or one made of ours by a hash, so that it is the same in every call.
"""

from __future__ import annotations

from hashlib import sha256

from antiphon.hub.ids import prefix_of_item
from antiphon.hub.items import Item
from antiphon.providers.openai_responses.reasoning import own_data

__all__ = ["HOSTED_TYPES", "KEPT_ID_TYPES", "wire_id"]

# Made by tools that the upstream runs itself: of no use to another one.
HOSTED_TYPES = frozenset(
    {
        "code_interpreter_call",
        "file_search_call",
        "image_generation_call",
        "mcp_approval_request",
        "mcp_call",
        "mcp_list_tools",
        "program",
        "program_output",
        "web_search_call",
    }
)
# Whose id the schema of input items demands.
KEPT_ID_TYPES = HOSTED_TYPES | {"computer_call", "local_shell_call"}

_HEX_DIGITS = 50  # as many as OpenAI's own ids have


def wire_id(item: Item, account: str) -> str:
    """The id under which an item goes up."""
    data = own_data(item, account)
    if data is not None and "id" in data:
        own: str = data["id"]
        return own
    return f"{prefix_of_item(item.type)}_{sha256(item.id.encode()).hexdigest()[:_HEX_DIGITS]}"
