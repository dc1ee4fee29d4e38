"""Prices and costs, built from settings."""

from __future__ import annotations

import time
from collections.abc import Callable
from decimal import Decimal

from antiphon.app.published_prices import published_prices
from antiphon.engine.cost import Costs
from antiphon.hub.price import Price, Rates
from antiphon.settings import PriceSettings
from antiphon.telemetry import Log

__all__ = ["costs_of", "price_of"]


def costs_of(log: Log, clock: Callable[[], float] = time.time) -> Costs:
    """What tells what turns cost: by configured prices, and by published ones if they are installed."""
    return Costs(published_prices(), clock=clock, log=log)


def price_of(section: PriceSettings | None) -> Price | None:
    """A configured price; None for none."""
    if section is None:
        return None
    return Price(
        rates=Rates(
            input=Decimal(str(section.input)),
            cached_input=_decimal(section.cached_input),
            cache_write=_decimal(section.cache_write),
            output=_decimal(section.output),
        )
    )


def _decimal(number: float | None) -> Decimal | None:
    """As it was written: a float's digits and not its bits."""
    return None if number is None else Decimal(str(number))
