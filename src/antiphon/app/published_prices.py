"""
Published prices: what vendors ask for their models, from the data of the package ``genai-prices``, if it is installed.

The data is as old as the package: nothing is fetched. Which of its prices holds is asked of the package; what tokens
come to is reckoned here, as asking for that takes a hundred times as long (``docs/adr/0027-prices.md``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from importlib.util import find_spec
from typing import TYPE_CHECKING

from antiphon.hub.price import Price, Rates, Tier

if TYPE_CHECKING:
    from genai_prices.types import ModelPrice, TieredPrices
    from genai_prices.types import Tier as PublishedTier

    _Said = Decimal | TieredPrices | None

__all__ = ["PublishedPrices", "published_prices"]

# Our words for what costs something, by the package's.
_KINDS: Mapping[str, str] = {
    "input": "input_mtok",
    "cached_input": "cache_read_mtok",
    "cache_write": "cache_write_mtok",
    "output": "output_mtok",
    "reasoning": "output_reasoning_mtok",
}
_PER_THOUSAND_CALLS = "requests_kcount"
_THOUSAND = 1000


class PublishedPrices:
    """Implements :class:`antiphon.engine.cost.PriceList`. Stateless, and reads the package's data on first use."""

    def find(self, addresses: Sequence[str], model: str, *, service_tier: str | None, at_s: float) -> Price | None:
        """See :class:`antiphon.engine.cost.PriceList`. Takes half a second the first time, then half a millisecond."""
        from genai_prices import Usage, calc_price  # noqa: PLC0415 - half a second, which only who needs it spends

        for address in addresses:
            try:
                found = calc_price(
                    Usage(input_tokens=1),
                    model,
                    provider_api_url=address,
                    genai_request_timestamp=datetime.fromtimestamp(at_s, UTC),
                    price_context=None if service_tier is None else {"service_tier": service_tier},
                )
            except LookupError:  # nobody is known at this address, or nobody there has such a model
                continue
            return _price(found.model_price)
        return None


def published_prices() -> PublishedPrices | None:
    """The prices that are there; None without the package."""
    return PublishedPrices() if find_spec("genai_prices") is not None else None


def _price(said: ModelPrice) -> Price | None:
    """A price in our words; None for one that is not by the token, as of speech and pictures."""
    kinds: dict[str, _Said] = {kind: getattr(said, name) for kind, name in _KINDS.items()}
    if kinds["input"] is None:
        return None
    starts = sorted({tier.start for price in kinds.values() for tier in _tiers(price)})
    per_call = getattr(said, _PER_THOUSAND_CALLS)
    return Price(
        rates=_rates(kinds, 0),
        tiers=tuple(Tier(start, _rates(kinds, start + 1)) for start in starts),
        per_call=Decimal(0) if per_call is None else per_call / _THOUSAND,
    )


def _rates(kinds: Mapping[str, _Said], input_tokens: int) -> Rates:
    found = {kind: _at(price, input_tokens) for kind, price in kinds.items()}
    return Rates(
        input=found["input"] or Decimal(0),
        cached_input=found["cached_input"],
        cache_write=found["cache_write"],
        output=found["output"],
        reasoning=found["reasoning"],
    )


def _at(price: _Said, input_tokens: int) -> Decimal | None:
    """What a kind of tokens costs when the prompt has so many."""
    if price is None or isinstance(price, Decimal):
        return price
    found = price.base
    for tier in price.tiers:
        if input_tokens > tier.start:
            found = tier.price
    return found


def _tiers(price: _Said) -> Iterable[PublishedTier]:
    return () if price is None or isinstance(price, Decimal) else price.tiers
