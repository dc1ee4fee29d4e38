"""Where in a call something stands that an upstream cannot be told, for the error that names it."""

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
        input_start: See :class:`~antiphon.hub.turn.ModelCall`.
        field: Within the item, such as ``content[1]``; empty for the item itself.
    """

    item: Item
    index: int
    input_start: int
    field: str = ""

    @property
    def is_history(self) -> bool:
        """Whether it was there before this turn: the client cannot be blamed for it."""
        return self.index < self.input_start

    def at(self, field: str) -> Spot:
        """The place of a field of the item."""
        return Spot(self.item, self.index, self.input_start, field)

    def refuse(self, reason: str, field: str = "") -> UnsupportedParameter:
        """
        The error for what stands here, or in *field*.

        An item of the request's own input is named by its place there, one of the history by its id.
        """
        within = field or self.field
        if self.is_history:
            said = f"Item '{self.item.id}' of the history: {reason}"
            return UnsupportedParameter(said, param="input", item_id=self.item.id, field=within)
        place = f"input[{self.index - self.input_start}]"
        return UnsupportedParameter(reason, param=f"{place}.{within}" if within else place)
