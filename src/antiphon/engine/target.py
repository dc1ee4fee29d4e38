"""Targets: one upstream with one of its models, and how it is asked among others."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from antiphon.engine.deadlines import Deadlines
from antiphon.engine.gates import Capacity
from antiphon.engine.upstreams import Upstream
from antiphon.hub.price import Price
from antiphon.hub.upstream import Transport

__all__ = ["Target", "in_order"]


class Target(msgspec.Struct, frozen=True):
    """
    One upstream with one of its models.

    Attributes:
        order: Lower ones are tried first. Targets of one order are equals: each log has one of them as its own. None
            for all targets of an alias is the order in which they are listed.
        weight: How many logs it has among its equals.
        capacity: How much it is asked at a time, besides what its upstream as a whole is.
        deadlines: None for those of its upstream.
        price: What its model costs; None for what is said of its upstream.
        transport: A way of its own, with time-outs of its own; None for that of its upstream.
    """

    upstream: Upstream
    model: str
    order: int | None = None
    weight: float = 1.0
    capacity: Capacity | None = None
    deadlines: Deadlines | None = None
    transport: Transport | None = None
    price: Price | None = None

    def __post_init__(self) -> None:
        if not self.weight > 0:
            raise ValueError(f"The weight of a target must be more than 0, not {self.weight:g}.")

    @property
    def way(self) -> Transport:
        """The way to it."""
        return self.transport or self.upstream.transport

    @property
    def limits(self) -> Deadlines:
        """How long an attempt may take."""
        return self.deadlines or self.upstream.deadlines

    @property
    def key(self) -> tuple[Upstream, str]:
        """What its health is known by: the same for all aliases that it stands behind."""
        return self.upstream, self.model


def in_order(targets: Sequence[Target]) -> tuple[Target, ...]:
    """
    The targets of an alias, the first to be tried first, each with its order.

    Raises:
        ValueError: Some say their order and some do not.
    """
    said = [target.order is not None for target in targets]
    if all(said):
        return tuple(sorted(targets, key=lambda target: target.order or 0))
    if any(said):
        raise ValueError("Either all targets of an alias have an order or none of them has.")
    return tuple(msgspec.structs.replace(target, order=place) for place, target in enumerate(targets))
