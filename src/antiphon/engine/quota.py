"""What a tenant may store: whatever would store more is refused before it begins, once that much is there."""

from __future__ import annotations

from antiphon.hub.errors import QuotaExceeded
from antiphon.hub.ids import TenantId
from antiphon.sessions.tenants import TenantRecords

__all__ = ["Quota"]


class Quota:
    """
    Args:
        records: What is configured of tenants and how much they have stored; None where nothing is stored.
    """

    def __init__(self, records: TenantRecords | None) -> None:
        self._records = records

    async def refuse_full(self, tenant: TenantId) -> None:
        """
        Let a tenant that has used up its quota store nothing more. Deleting helps, within a second.

        A tenant may go over its quota by what it stores within that second, and by what its running turns bring.

        Raises:
            QuotaExceeded: It has.
        """
        record = await self._records.read(tenant) if self._records is not None else None
        if record is None or record.max_stored_bytes is None or record.stored_bytes < record.max_stored_bytes:
            return
        raise QuotaExceeded(
            f"You have stored {record.stored_bytes} bytes and may store {record.max_stored_bytes} (max_stored_bytes). "
            "Delete responses, conversations or prompts, or send 'store': false."
        )
