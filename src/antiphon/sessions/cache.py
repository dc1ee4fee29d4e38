"""
Histories that were decoded before, bounded in bytes.

A view never changes: the log below a response only grows, and removals have an epoch. So a decoded history stays right
for as long as its head exists. Whether the head exists, and whose it is, is never answered from here: the store is
asked every time. An entry moves on to the turn that continued it; a fork from an older turn is read from the store
again.
"""

from __future__ import annotations

from collections import OrderedDict

import msgspec

from antiphon.hub.ids import TenantId
from antiphon.hub.items import Item
from antiphon.sessions.records import Head

__all__ = ["CachedHistory", "HistoryCache"]

# A decoded JSON object takes several times the bytes of its text.
_BYTES_PER_TEXT_BYTE = 6


class CachedHistory(msgspec.Struct, frozen=True, kw_only=True):
    """
    A decoded view.

    Attributes:
        items: What is replayed, oldest first.
        left_out: How many cut-off tool calls are in the view and not in *items*.
        size_bytes: Length of the payloads.
    """

    head: Head
    items: tuple[Item, ...]
    left_out: int = 0
    size_bytes: int = 0


class HistoryCache:
    """
    Least recently used histories, by (tenant, id of a response or conversation).

    Args:
        max_bytes: Estimated memory; 0 switches the cache off.
    """

    def __init__(self, max_bytes: int = 128 * 1024 * 1024) -> None:
        self._max_bytes = max_bytes
        self._size_bytes = 0
        self._entries: OrderedDict[tuple[TenantId, str], CachedHistory] = OrderedDict()

    def get(self, tenant: TenantId, key: str) -> CachedHistory | None:
        """The history, now the most recently used; None if it is not here."""
        entry = self._entries.get((tenant, key))
        if entry is not None:
            self._entries.move_to_end((tenant, key))
        return entry

    def put(self, tenant: TenantId, key: str, history: CachedHistory, *, instead_of: str | None = None) -> None:
        """Keep a history; *instead_of* names the one that it grew from."""
        if instead_of is not None:
            self.drop(tenant, instead_of)
        self.drop(tenant, key)
        if _weight(history) > self._max_bytes:
            return
        self._entries[tenant, key] = history
        self._size_bytes += _weight(history)
        while self._size_bytes > self._max_bytes:
            _, oldest = self._entries.popitem(last=False)
            self._size_bytes -= _weight(oldest)

    def drop_all(self, tenant: TenantId) -> None:
        """Forget every history of a tenant: something was erased that any of them may show."""
        for key in [key for owner, key in self._entries if owner == tenant]:
            self.drop(tenant, key)

    def drop(self, tenant: TenantId, key: str) -> None:
        """Forget a history, if it is here."""
        entry = self._entries.pop((tenant, key), None)
        if entry is not None:
            self._size_bytes -= _weight(entry)


def _weight(history: CachedHistory) -> int:
    return history.size_bytes * _BYTES_PER_TEXT_BYTE + 200 * len(history.items) + 500
