"""
Histories that were decoded before, bounded in bytes.

A view never changes: the log below a response only grows, and removals have an epoch. So a decoded history stays right
for as long as its head exists. Whether the head exists, and whose it is, is never answered from here: the store is
asked every time. An entry moves on to the turn that continued it; a fork from an older turn is read from the store
again.

What was erased is dropped from here at once. A history that was read before that and would be put here after it is
refused: whoever reads says since when.
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

# Of so many tenants it is known when they last erased something; of all others, that it was not after these.
_MAX_ERASERS = 1000


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
        self._moment = 0
        self._erased: OrderedDict[TenantId, int] = OrderedDict()
        self._erased_by_others = 0

    def moment(self) -> int:
        """Now, to be noted before something is read that is going to be put here."""
        return self._moment

    def get(self, tenant: TenantId, key: str) -> CachedHistory | None:
        """The history, now the most recently used; None if it is not here."""
        entry = self._entries.get((tenant, key))
        if entry is not None:
            self._entries.move_to_end((tenant, key))
        return entry

    def put(
        self, tenant: TenantId, key: str, history: CachedHistory, *, since: int, instead_of: str | None = None
    ) -> None:
        """
        Keep a history, unless the tenant has erased something since it was read.

        Args:
            since: The :meth:`moment` before it was read.
            instead_of: The history that it grew from.
        """
        if self._erased.get(tenant, self._erased_by_others) > since:
            return
        if instead_of is not None:
            self._remove(tenant, instead_of)
        self._remove(tenant, key)
        if _weight(history) > self._max_bytes:
            return
        self._entries[tenant, key] = history
        self._size_bytes += _weight(history)
        while self._size_bytes > self._max_bytes:
            _, oldest = self._entries.popitem(last=False)
            self._size_bytes -= _weight(oldest)

    def drop_all(self, tenant: TenantId) -> None:
        """Forget every history of a tenant: something was erased that any of them may show."""
        self._note_erased(tenant)
        for key in [key for owner, key in self._entries if owner == tenant]:
            self._remove(tenant, key)

    def drop(self, tenant: TenantId, *keys: str) -> None:
        """Forget histories, if they are here: something that they may show was erased."""
        self._note_erased(tenant)
        for key in keys:
            self._remove(tenant, key)

    def _note_erased(self, tenant: TenantId) -> None:
        self._moment += 1
        self._erased[tenant] = self._moment
        self._erased.move_to_end(tenant)
        if len(self._erased) > _MAX_ERASERS:
            _, self._erased_by_others = self._erased.popitem(last=False)

    def _remove(self, tenant: TenantId, key: str) -> None:
        entry = self._entries.pop((tenant, key), None)
        if entry is not None:
            self._size_bytes -= _weight(entry)


def _weight(history: CachedHistory) -> int:
    return history.size_bytes * _BYTES_PER_TEXT_BYTE + 200 * len(history.items) + 500
