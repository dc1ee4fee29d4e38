"""Prices of models, and what tokens cost at them. In USD, in decimal numbers: nothing is lost in adding up."""

from __future__ import annotations

from decimal import Context, Decimal

import msgspec

from antiphon.hub.usage import Usage

__all__ = ["Price", "Rates", "Tier", "plain"]

_MILLION = 1_000_000
# A millionth of a millionth: below what any token costs.
_SMALLEST = Decimal("0.000000000001")
# The usual 28 digits are too few for what an upstream can say that it has counted.
_DIGITS = Context(prec=100)


class Rates(msgspec.Struct, frozen=True, kw_only=True):
    """
    What a million tokens cost.

    Attributes:
        input: Of the prompt.
        cached_input: Of what was read from the upstream's prefix cache; None for as much as *input*.
        cache_write: Of what was written to it; None likewise.
        output: Of what was generated, reasoning included; None where nobody knows, as of models that generate nothing.
        reasoning: Of the reasoning, where it has a price of its own; None for as much as *output*.
    """

    input: Decimal
    cached_input: Decimal | None = None
    cache_write: Decimal | None = None
    output: Decimal | None = None
    reasoning: Decimal | None = None

    def cost(self, usage: Usage) -> Decimal | None:
        """
        What these tokens cost; None if there are some of a kind that has no price.

        Some servers count what was cached, or reasoning, beside the whole and not as part of it: that leaves nothing
        else of the whole, and never less than nothing.
        """
        if self.output is None and usage.output_tokens:
            return None
        plain_input = max(usage.input_tokens - usage.cached_tokens - usage.cache_write_tokens, 0)
        micro_usd = plain_input * self.input
        micro_usd += usage.cached_tokens * (self.input if self.cached_input is None else self.cached_input)
        micro_usd += usage.cache_write_tokens * (self.input if self.cache_write is None else self.cache_write)
        if self.output is not None:
            reasoning = usage.reasoning_tokens if self.reasoning is not None else 0
            micro_usd += max(usage.output_tokens - reasoning, 0) * self.output
            micro_usd += reasoning * (self.reasoning or 0)
        return micro_usd / _MILLION


class Tier(msgspec.Struct, frozen=True):
    """What all tokens of a call cost whose prompt has more than so many tokens."""

    above_tokens: int
    rates: Rates


class Price(msgspec.Struct, frozen=True, kw_only=True):
    """
    What a model costs.

    Attributes:
        tiers: For long prompts; in the order of their lengths.
        per_call: What each call costs besides its tokens.
    """

    rates: Rates
    tiers: tuple[Tier, ...] = ()
    per_call: Decimal = Decimal(0)

    def cost(self, usage: Usage) -> Decimal | None:
        """What a call has cost that used so much; None if it used what has no price."""
        rates = self.rates
        for tier in self.tiers:
            if usage.input_tokens > tier.above_tokens:
                rates = tier.rates
        cost = rates.cost(usage)
        return None if cost is None else cost + self.per_call


def plain(cost: Decimal) -> str:
    """A sum as people write it: ``0.00042``, never with an exponent."""
    return f"{cost.quantize(_SMALLEST, context=_DIGITS).normalize(_DIGITS):f}"
