"""
What belongs to the upstream that made it: encrypted reasoning, and the ids of items that it wants back.

Both are kept as an item's private data and go back only to the account that they came from. A client that asks for
encrypted reasoning carries it itself, so there it bears a mark of the account: what is sent back by hand reaches the
upstream that can read it, and no other, which would refuse the whole request because of it.
"""

from __future__ import annotations

import re
from typing import Literal

from antiphon.hub.items import Item, JsonObject, Private
from antiphon.hub.marks import unmarked
from antiphon.providers.openai_responses.quirks import Quirks

__all__ = ["DIALECT", "ReplayMode", "encrypted_content", "is_foreign", "own_data", "private_of", "replay_mode"]

DIALECT = "openai_responses"

ReplayMode = Literal["encrypted", "text", "never"]

# Models of OpenAI that do not reason, also behind a vendor's prefix or fine-tuned. They refuse reasoning items, and the
# wish for encrypted content too: https://github.com/openai/openai-agents-python/issues/569
_PLAIN_MODELS = re.compile(r"(?:.*/)?(?:ft:)?(?:gpt-[34]|chatgpt-|gpt-5-chat|computer-use-preview)", re.IGNORECASE)


def replay_mode(quirks: Quirks, model: str) -> ReplayMode:
    """How reasoning goes back to *model*, by the upstream's own name of it."""
    if quirks.reasoning != "by_model":
        return quirks.reasoning
    return "never" if _PLAIN_MODELS.match(model) else "encrypted"


def own_data(item: Item, account: str) -> JsonObject | None:
    """The private data of an item that came from this dialect at this upstream; None for any other item."""
    private = item.private
    if private is None or (private.provider, private.account) != (DIALECT, account):
        return None
    return private.data


def is_foreign(item: Item, account: str) -> bool:
    """Whether somebody else's private data says that this upstream did not make the item."""
    return item.private is not None and own_data(item, account) is None


def private_of(account: str, data: JsonObject) -> Private | None:
    """Private data for the next call to *account*; None where there is none."""
    return Private(provider=DIALECT, account=account, data=data) if data else None


def encrypted_content(item: Item, account: str) -> str | None:
    """The encrypted content of a reasoning item as *account* wrote it; None if there is none, or it is not its own."""
    data = own_data(item, account)
    if data is not None or item.private is not None:
        return (data or {}).get("encrypted_content")
    content: str | None = item.body.get("encrypted_content")
    return None if content is None else unmarked(content, DIALECT, account)
