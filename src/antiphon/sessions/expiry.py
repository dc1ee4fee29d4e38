"""When a response expires: decided when it is stored, and not moved by what is configured later."""

from __future__ import annotations

from collections.abc import Callable

from antiphon.hub.ids import TenantId
from antiphon.hub.items import JsonObject
from antiphon.sessions.tenants import TenantRecords

__all__ = ["Expiry"]

_SECONDS_PER_DAY = 86_400

# A background response that is not to be stored is kept for so long after its end, for those who poll it.
_EPHEMERAL_S = 600


class Expiry:
    """
    Args:
        retention_days: Of tenants that have no retention of their own; None for ever.
        clock: Seconds since the epoch, UTC.
    """

    def __init__(self, tenants: TenantRecords, *, retention_days: float | None, clock: Callable[[], float]) -> None:
        self._tenants = tenants
        self._retention_days = retention_days
        self._clock = clock

    async def of(self, response: JsonObject, tenant: TenantId) -> int | None:
        """From when on a response that has ended is unknown, in seconds since the epoch; None for never."""
        if not response["store"]:
            return int(self._clock()) + _EPHEMERAL_S
        record = await self._tenants.read(tenant)
        days = self._retention_days if record is None or record.retention_days is None else record.retention_days
        return None if days is None else int(response["created_at"]) + round(days * _SECONDS_PER_DAY)
