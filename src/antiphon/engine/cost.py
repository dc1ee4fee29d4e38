"""
What turns cost: the price of a target, and what its tokens come to at it.

A price that is configured, with a target or with its upstream, holds. Else it is looked up by the upstream's address in
a list of published prices, where there is one. Without a price there is no cost, which is not the same as none at all.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Protocol

from antiphon.engine.target import Target
from antiphon.hub.price import Price
from antiphon.hub.usage import Usage
from antiphon.telemetry import Log

__all__ = ["Costs", "PriceList"]

# Prices change at full hours at the earliest, and none is asked for more often than this.
_KEPT_S = 900
_MOST_KEPT = 1000
# Upstreams report names of any length, and no list has longer ones.
_LONGEST_NAME = 200

_Key = tuple[tuple[str, ...], str, str | None]


class PriceList(Protocol):
    """Published prices. Looking one up may take long, the first time above all."""

    def find(self, addresses: Sequence[str], model: str, *, service_tier: str | None, at_s: float) -> Price | None:
        """
        The price of a model; None if it is not in the list. Called from another thread.

        Args:
            addresses: Base URLs by which whoever sells it may be known, the surest first.
            model: The seller's name of it.
            service_tier: As the upstream reported it.
            at_s: When, in seconds since the epoch.
        """
        ...


class Costs:
    """
    What calls cost. One for all turns of a gateway.

    Args:
        prices: What is asked for a price that is not configured; None for nobody.
        clock: Seconds since the epoch, UTC.
    """

    def __init__(
        self, prices: PriceList | None = None, *, clock: Callable[[], float] = time.time, log: Log | None = None
    ) -> None:
        self._prices = prices
        self._clock = clock
        self._log = log or Log("warning")
        self._found: dict[_Key, tuple[int, asyncio.Task[Price | None]]] = {}

    def expect(self, target: Target) -> None:
        """A call of *target* has begun: have its price at hand when it ends."""
        if _configured(target) is None and self._is_listed(target):
            self._look_up(target, target.model, None)

    async def of(
        self, target: Target, usage: Usage, *, model: str | None = None, service_tier: str | None = None
    ) -> Decimal | None:
        """
        What a call has cost, in USD; None where no price is known.

        Args:
            usage: Of one call: several together may reach prices that none of them has.
            model: As the upstream reported it. It is the one that counts: a target may be called by any name.
            service_tier: Likewise.
        """
        price = _configured(target)
        if price is None and self._is_listed(target):
            price = await self._listed(target, model, service_tier)
        return None if price is None else price.cost(usage)

    async def _listed(self, target: Target, model: str | None, service_tier: str | None) -> Price | None:
        reported = target.model if model is None or len(model) > _LONGEST_NAME else model
        for name in dict.fromkeys((reported, target.model)):
            price = await asyncio.shield(self._look_up(target, name, service_tier))
            if price is not None:
                return price
        return None

    def _is_listed(self, target: Target) -> bool:
        return self._prices is not None and bool(target.upstream.sold_at)

    def _look_up(self, target: Target, model: str, service_tier: str | None) -> asyncio.Task[Price | None]:
        key = (target.upstream.sold_at, model, service_tier)
        now_s = self._clock()
        period = int(now_s // _KEPT_S)
        kept = self._found.get(key)
        if kept is None or kept[0] != period:
            if len(self._found) >= _MOST_KEPT:  # names that an upstream makes up
                self._found.clear()
            finding = asyncio.get_running_loop().create_task(self._find(key, now_s), name="antiphon-price")
            kept = self._found[key] = (period, finding)
        return kept[1]

    async def _find(self, key: _Key, now_s: float) -> Price | None:
        assert self._prices is not None
        addresses, model, service_tier = key
        try:
            # In a thread: the list is read from disk when it is first asked, and long.
            return await asyncio.to_thread(self._prices.find, addresses, model, service_tier=service_tier, at_s=now_s)
        except Exception as error:  # noqa: BLE001 - a price that cannot be had is one that is not known: the turn stands
            self._log.crash("price_not_found", error, model=model)
            return None


def _configured(target: Target) -> Price | None:
    return target.price or target.upstream.price
