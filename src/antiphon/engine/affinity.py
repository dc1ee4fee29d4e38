"""
Affinity: the turns of one log go to the same one of several equal targets, whose prefix cache has the log already.

Rendezvous hashing with weights (Thaler and Ravishankar 1998; the logarithmic method for weights): each target has a
score for each log, and the highest wins. New logs spread by weight; a target that goes moves only its own logs, and one
that comes takes only what it wins. It needs no memory, so every replica of a gateway chooses alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from math import log

from antiphon.engine.target import Target
from antiphon.hub.turn import TurnRequest
from antiphon.sessions.resolve import ResolvedTurn

__all__ = ["ranked", "seed_of", "seed_of_turn", "stands_in_log"]

_MASK = (1 << 64) - 1
_ODD = 0x9E3779B97F4A7C15  # 2**64 by the golden ratio
_UNIT = 1 << 52  # what a float counts exactly, with a half to spare


def seed_of_turn(request: TurnRequest, resolved: ResolvedTurn) -> int:
    """
    The seed of a turn: that of the log that it stands in, with all its forks.

    A turn that stands in none goes by the client's ``prompt_cache_key``, if there is one: that is what clients that
    keep their history themselves have instead.
    """
    key = request.prompt_cache_key
    if key is not None and not stands_in_log(request, resolved):
        return seed_of(resolved.tenant, f"key {key}")
    return seed_of(resolved.tenant, resolved.family)


def stands_in_log(request: TurnRequest, resolved: ResolvedTurn) -> bool:
    """Whether there are, or can be, other turns with the same beginning."""
    return request.store or bool(resolved.history)


def seed_of(tenant: str, log_name: str) -> int:
    """64 bits that are the same for the same log of the same tenant, in every process."""
    return int.from_bytes(blake2b(f"{tenant}\x00{log_name}".encode(), digest_size=8).digest())


def ranked(targets: Sequence[Target], seed: int) -> tuple[Target, ...]:
    """
    *targets* as they are to be tried: by their order, and among equals the log's own first.

    Note:
        One to two microseconds for each target.
    """
    if len(targets) == 1:
        return tuple(targets)
    scored = []
    for place, target in enumerate(targets):
        # Seed and mark are hashes already. Mixed, so that the scores of two targets do not depend on one another.
        mixed = (seed ^ _mark_of(target)) * _ODD & _MASK
        mixed = (mixed ^ mixed >> 32) * _ODD & _MASK
        unit = ((mixed >> 12) + 0.5) / _UNIT  # a number between 0 and 1, never one of these
        # The lowest is the first: the score that the papers maximise is the reciprocal, less than nothing.
        scored.append((target.order or 0, -log(unit) / target.weight, place))
    scored.sort()
    return tuple([targets[place] for _, _, place in scored])


def _mark_of(target: Target) -> int:
    upstream, model = target.upstream, target.model
    mark = upstream.marks.get(model)
    if mark is None:
        mark = upstream.marks[model] = seed_of(f"{upstream.name}\x00{upstream.base_url}", model)
    return mark
