"""
Where a response comes from, if not from the Responses API: the dialect that it was asked for in, and what only that
dialect has words for.

One state, two views: such a response is stored, found and continued like every other. Its origin lets it be shown in
its own dialect as well.
"""

from __future__ import annotations

import msgspec

from antiphon.hub.items import JsonObject

__all__ = ["Origin"]


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """
    Attributes:
        dialect: The name of the format that the request was written in.
        words: What the request said that its items and settings do not hold. Only that format reads it.
    """

    dialect: str
    words: JsonObject
