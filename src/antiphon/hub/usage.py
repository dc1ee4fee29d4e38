"""Token usage of one turn, in the five counts that the Responses API reports (usage of the response object)."""

from __future__ import annotations

import msgspec

from antiphon.hub.items import JsonObject

__all__ = ["Usage"]


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """
    Token counts as the upstream reported them; 0 where it said nothing.

    Attributes:
        input_tokens: The whole prompt, history included.
        cached_tokens: Of these, read from the upstream's prefix cache.
        cache_write_tokens: Of these, written to it.
        output_tokens: Everything generated, reasoning included.
        reasoning_tokens: Of these, reasoning.
    """

    input_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(**{name: getattr(self, name) + getattr(other, name) for name in self.__struct_fields__})

    def body(self) -> JsonObject:
        """The ``usage`` object of a response."""
        return {
            "input_tokens": self.input_tokens,
            "input_tokens_details": {
                "cached_tokens": self.cached_tokens,
                "cache_write_tokens": self.cache_write_tokens,
            },
            "output_tokens": self.output_tokens,
            "output_tokens_details": {"reasoning_tokens": self.reasoning_tokens},
            "total_tokens": self.input_tokens + self.output_tokens,
        }
