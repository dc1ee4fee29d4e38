"""The names that clients ask for, with the targets behind them, built from settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from antiphon.app.prices import price_of
from antiphon.engine.budgets import BudgetPolicy
from antiphon.engine.deadlines import Deadlines
from antiphon.engine.gates import Capacity
from antiphon.engine.health import HealthPolicy
from antiphon.engine.target import Target
from antiphon.engine.upstreams import Upstream
from antiphon.settings import (
    CapacitySettings,
    RoutingSettings,
    Settings,
    TargetSettings,
    TimeoutSettings,
    UpstreamSettings,
)

__all__ = ["aliases_of", "budget_policy", "capacity_of", "deadlines_of", "health_policy"]

Build = Callable[[UpstreamSettings], Upstream]


def aliases_of(settings: Settings, upstreams: Mapping[str, Upstream], build: Build) -> dict[str, Sequence[Target]]:
    """
    Targets by the name that clients ask for.

    Args:
        upstreams: By name.
        build: Makes an upstream, for a target whose way has time-outs of its own.
    """
    sections = {section.name: section for section in settings.upstreams}
    return {
        alias.name: [_target(target, sections[target.upstream], upstreams, build) for target in alias.targets]
        for alias in settings.models
    }


def _target(
    target: TargetSettings, section: UpstreamSettings, upstreams: Mapping[str, Upstream], build: Build
) -> Target:
    timeouts = _merged(section.timeouts, target)
    own_way = timeouts != section.timeouts
    return Target(
        upstreams[target.upstream],
        target.model,
        order=target.order,
        weight=1.0 if target.weight is None else target.weight,
        capacity=capacity_of(target.capacity),
        deadlines=deadlines_of(timeouts) if own_way else None,
        price=price_of(target.prices),
        transport=build(msgspec.structs.replace(section, timeouts=timeouts)).transport if own_way else None,
    )


def _merged(timeouts: TimeoutSettings, target: TargetSettings) -> TimeoutSettings:
    """The time-outs of an upstream with those that a target has of its own."""
    said = msgspec.structs.asdict(target.timeouts)
    return msgspec.structs.replace(timeouts, **{name: value for name, value in said.items() if value is not None})


def deadlines_of(timeouts: TimeoutSettings) -> Deadlines:
    """What of an upstream's time-outs is measured for each attempt."""
    return Deadlines(first_token_s=timeouts.first_token_s, total_s=timeouts.total_s)


def capacity_of(section: CapacitySettings | None) -> Capacity | None:
    """How much is asked at a time; None for no limit."""
    if section is None:
        return None
    return Capacity(max_parallel=section.max_parallel, max_queued=section.max_queued, queue_s=section.queue_s)


def health_policy(section: RoutingSettings) -> HealthPolicy:
    """When a target is passed over."""
    return HealthPolicy(
        failures=section.failures_to_eject, ejection_s=section.ejection_s, longest_s=section.longest_ejection_s
    )


def budget_policy(section: RoutingSettings) -> BudgetPolicy:
    """How many further requests there may be."""
    return BudgetPolicy(share=section.retry_share, reserve=section.retry_reserve)
