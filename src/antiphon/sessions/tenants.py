"""What is configured of tenants, read again often enough that a change is felt at once."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

from antiphon.hub.ids import TenantId
from antiphon.sessions.directory import Directory, TenantRecord

__all__ = ["NOTICED_AFTER_S", "TenantRecords"]

_MAX_AGE_S = 1.0
NOTICED_AFTER_S = _MAX_AGE_S + 0.1
"""After how long every process acts on a change of a tenant."""
# From this age on, whoever comes first reads it again, while the others go on with what is known.
_RENEWED_AT_S = 0.5
_MAX_TENANTS = 10_000


class _Known:
    """A record, and since when it is known."""

    __slots__ = ("read_at", "record", "renewing")

    def __init__(self, record: TenantRecord | None, read_at: float) -> None:
        self.record = record
        self.read_at = read_at
        self.renewing = False


class TenantRecords:
    """
    The records of tenants, at most a second old. One statement for each tenant that is busy, every half second.

    Args:
        on_erased: Told of a tenant that was there and is erased, or is another one of the same name.
        monotonic: Seconds that never run backwards.
    """

    def __init__(
        self,
        directory: Directory,
        *,
        on_erased: Callable[[TenantId], None],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._directory = directory
        self._on_erased = on_erased
        self._monotonic = monotonic
        self._known: OrderedDict[TenantId, _Known] = OrderedDict()

    async def read(self, tenant: TenantId) -> TenantRecord | None:
        """See :meth:`Directory.read_tenant`."""
        known = self._known.get(tenant)
        if known is not None:
            age_s = self._monotonic() - known.read_at
            if age_s < _RENEWED_AT_S or (known.renewing and age_s < _MAX_AGE_S):
                return known.record
            known.renewing = True
        return await self._read(tenant, known)

    def forget(self, tenant: TenantId) -> None:
        """Ask the store the next time."""
        self._known.pop(tenant, None)

    async def _read(self, tenant: TenantId, before: _Known | None) -> TenantRecord | None:
        began = self._monotonic()
        try:
            record = await self._directory.read_tenant(tenant)
        finally:
            if before is not None:
                before.renewing = False
        if before is not None and _was_erased(before.record, record):
            self._on_erased(tenant)
        self._known[tenant] = _Known(record, began)
        self._known.move_to_end(tenant)
        if len(self._known) > _MAX_TENANTS:
            self._known.popitem(last=False)
        return record


def _was_erased(before: TenantRecord | None, now: TenantRecord | None) -> bool:
    if before is None:
        return False
    return now is None or now.state == "erasing" or now.created_at > before.created_at
