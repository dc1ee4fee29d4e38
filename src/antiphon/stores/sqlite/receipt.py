"""What a job has erased so far, counted where it is erased."""

from __future__ import annotations

import msgspec

from antiphon.sessions.directory import Erasure

__all__ = ["Receipt"]


class Receipt(msgspec.Struct, kw_only=True):
    """
    See :class:`~antiphon.sessions.directory.Erasure`, which this becomes.

    Attributes:
        uncounted_bytes: What came (positive) and went (negative) in tables whose sums no trigger keeps, and is not in
            the tenant's row yet.
    """

    responses: set[str] = msgspec.field(default_factory=set)
    conversations: set[str] = msgspec.field(default_factory=set)
    prompts: set[str] = msgspec.field(default_factory=set)
    items: int = 0
    other: dict[str, int] = msgspec.field(default_factory=dict)
    keys_destroyed: int = 0
    uncounted_bytes: int = 0

    def add(self, table: str, count: int) -> None:
        """Note that so many rows of a table went because of something else."""
        if count:
            self.other[table] = self.other.get(table, 0) + count

    def erasure(self, payload_bytes: int) -> Erasure:
        """The receipt, once everything was erased. *payload_bytes* is how much less the tenant stores."""
        return Erasure(
            responses=tuple(sorted(self.responses)),
            conversations=tuple(sorted(self.conversations)),
            prompts=tuple(sorted(self.prompts)),
            items=self.items,
            other=dict(sorted(self.other.items())),
            keys_destroyed=self.keys_destroyed,
            payload_bytes=payload_bytes,
        )
