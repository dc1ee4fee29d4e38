"""How long keys are held in a process, and how many."""

from __future__ import annotations

import msgspec

__all__ = ["Lifetimes"]


class Lifetimes(msgspec.Struct, frozen=True, kw_only=True):
    """
    How long keys are held in a process, and how many.

    Attributes:
        look_again_s: The store is asked again for a tenant's keys, and for a family's seal, that were read so long ago.
            So an erased family can still be opened for as long as this by a process that had its key (and by the one
            that founded it, for *held_s* from then), and no longer; and every process takes part in a rotation
            within it.
        unwrapped_s: The key service is asked again for a key that was unwrapped so long ago, and before that is tried
            after half the time: an outage of the service is not felt for at least the other half by tenants that were
            served right before it.
        held_s: What :meth:`Codec.keys` and :meth:`Codec.found` answered is not used for longer than this, until what
            was sealed with it is stored.
        tenants, families: Of so many the keys are held; those that were used longest ago go first. A family takes some
            3 KB.
    """

    look_again_s: float = 30.0
    unwrapped_s: float = 300.0
    held_s: float = 60.0
    tenants: int = 1_000
    families: int = 10_000

    @property
    def settle_s(self) -> float:
        """After so long a change of a tenant's keys or a family's seal is known, and acted on, by every process."""
        return self.look_again_s + self.held_s
