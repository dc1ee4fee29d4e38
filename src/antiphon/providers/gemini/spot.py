"""Where in a request something stands that Gemini cannot be told, for the error that names it."""

from __future__ import annotations

import msgspec

from antiphon.hub.errors import UnsupportedParameter
from antiphon.hub.items import Item

__all__ = ["Spot"]


class Spot(msgspec.Struct, frozen=True, gc=False):
    """
    The place of an item, or of something in it.

    Attributes:
        index: The item's place within the whole context.
        input_start: How many items of the context are history.
        field: Within the item, such as ``content[1]``; empty for the item itself.
    """

    item: Item
    index: int
    input_start: int
    field: str = ""

    def at(self, field: str) -> Spot:
        """The place of a field of the item."""
        return msgspec.structs.replace(self, field=field)

    def refuse(self, reason: str) -> UnsupportedParameter:
        """The error for what stands here, named by its place in the client's input, or by its id if it is older."""
        if self.index < self.input_start:
            return UnsupportedParameter(f"Item '{self.item.id}' of the history: {reason}", param="input")
        place = f"input[{self.index - self.input_start}]"
        return UnsupportedParameter(reason, param=f"{place}.{self.field}" if self.field else place)
