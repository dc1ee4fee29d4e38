"""What is done about a fault that came before an answer: the one table of it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

import msgspec

from antiphon.hub.errors import (
    UpstreamAuthentication,
    UpstreamBroken,
    UpstreamBusy,
    UpstreamError,
    UpstreamLacksModel,
    UpstreamRateLimited,
    UpstreamRefused,
    UpstreamTimeout,
    UpstreamUnavailable,
    UpstreamUnreachable,
)

__all__ = ["RULES", "Rule", "rule_of"]


class Rule(msgspec.Struct, frozen=True):
    """
    What is done about a fault that came before an answer.

    Attributes:
        word: In headers and logs.
        again: Whether the same target is asked again: ``always``, only where no other can be asked (``last``), never.
        elsewhere: Whether the next target is asked.
    """

    word: str
    again: Literal["always", "last", "never"]
    elsewhere: bool


RULES: Mapping[type[UpstreamError], Rule] = MappingProxyType(
    {
        UpstreamUnreachable: Rule("unreachable", "always", elsewhere=True),
        UpstreamBusy: Rule("busy", "never", elsewhere=True),
        UpstreamUnavailable: Rule("unavailable", "always", elsewhere=True),
        UpstreamRateLimited: Rule("rate_limited", "last", elsewhere=True),
        UpstreamTimeout: Rule("timeout", "never", elsewhere=True),
        UpstreamAuthentication: Rule("authentication", "never", elsewhere=True),
        UpstreamLacksModel: Rule("lacks_model", "never", elsewhere=True),
        UpstreamBroken: Rule("broken", "never", elsewhere=True),
        UpstreamRefused: Rule("refused", "never", elsewhere=False),
        UpstreamError: Rule("failed", "never", elsewhere=True),
    }
)
"""What is done about each class of fault; a class without a row has that of the class above it."""

_QUOTA = Rule("quota", "never", elsewhere=True)


def rule_of(error: UpstreamError) -> Rule:
    """What is done about a fault."""
    if error.code == "insufficient_quota":
        return _QUOTA
    return next(RULES[kind] for kind in type(error).__mro__ if kind in RULES)
