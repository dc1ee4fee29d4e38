"""
Who there is: tenants, their API keys, and what is kept of what they did.

Nothing here is content. Of an API key the store has a keyed hash; of an action, who did it to which id, and when.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, Protocol

from antiphon.hub.ids import TenantId
from antiphon.hub.principal import Limits
from antiphon.sessions.records import Record

__all__ = [
    "ApiKeyRecord",
    "AuditAppend",
    "AuditEntry",
    "AuditPage",
    "AuditRecord",
    "AuditTrailStore",
    "Directory",
    "Erasure",
    "TenantRecord",
]


class ApiKeyRecord(Record, frozen=True, kw_only=True):
    """
    An API key, without the key.

    Attributes:
        key_id: The public part of the key.
        mac: HMAC-SHA-256 of the whole key under the store's pepper.
        previous_mac, previous_until: Of the secret before the last rotation, for as long as it still works.
        hint: The last four characters of the secret, to be recognised by people.
        scopes: What it may do.
        models: Which models it may ask for; None for all.
        expires_at, revoked_at, last_used_at: Seconds since the epoch, UTC.
        created_by: The key id, or ``cli``.
    """

    key_id: str
    tenant: TenantId
    mac: bytes
    previous_mac: bytes | None = None
    previous_until: int | None = None
    hint: str
    name: str = ""
    scopes: tuple[str, ...]
    models: tuple[str, ...] | None = None
    limits: Limits = Limits()
    created_at: int
    created_by: str
    expires_at: int | None = None
    revoked_at: int | None = None
    last_used_at: int | None = None


class TenantRecord(Record, frozen=True, kw_only=True):
    """
    A tenant.

    Attributes:
        retention_days: How long its responses live from now on; None for what the gateway is configured with.
        max_stored_bytes: Its quota; None for none.
        stored_bytes: The lengths of all its payloads; kept by the store, ignored on the way in.
        state: A ``suspended`` tenant is refused everything; an ``erasing`` one is unknown, and goes in batches.
    """

    id: TenantId
    created_at: int
    retention_days: float | None = None
    max_stored_bytes: int | None = None
    stored_bytes: int = 0
    state: Literal["active", "suspended", "erasing"] = "active"


class AuditEntry(Record, frozen=True, kw_only=True):
    """
    Somebody did something.

    Attributes:
        at_ms: Milliseconds since the epoch, UTC.
        actor: The key id, ``jwt:`` and the subject's hash, ``local`` without keys, ``cli``, or ``system``.
        action: Such as ``response.create``; a closed set (:mod:`antiphon.engine.audit`).
        object_id: What it was done to; empty where there is no such thing.
        outcome: ``ok``, or the code of the error.
        request_id: Of the HTTP request; empty outside one.
    """

    at_ms: int
    actor: str
    action: str
    object_id: str = ""
    outcome: str = "ok"
    request_id: str = ""


class AuditRecord(Record, frozen=True, kw_only=True):
    """
    An entry in its tenant's chain.

    Attributes:
        index: From 1, without gaps.
        link: What ties it to all entries before it.
    """

    index: int
    entry: AuditEntry
    link: bytes


# The link of an entry, of the link before it (empty for the first), the entry's index and the entry.
Link = Callable[[bytes, int, AuditEntry], bytes]


class AuditAppend(Record, frozen=True, kw_only=True):
    """Entries that stand in the trail if, and only if, what they tell of was stored: in the same transaction."""

    entries: tuple[AuditEntry, ...]
    link: Link


class AuditPage(Record, frozen=True, kw_only=True):
    """Some records, oldest first."""

    records: tuple[AuditRecord, ...]
    has_more: bool


class Erasure(Record, frozen=True, kw_only=True):
    """
    A receipt: what was erased, or, of a dry run, what would be.

    Attributes:
        responses, conversations, prompts: Their ids.
        items: How many items' content went.
        other: How many rows went, by table, that follow from these: stream events, requests, answers under idempotency
            keys, deliveries, search terms.
        keys_destroyed: How many families' keys went with their last content, so that no copy can be opened.
        payload_bytes: The lengths of all payloads that went.
    """

    responses: tuple[str, ...] = ()
    conversations: tuple[str, ...] = ()
    prompts: tuple[str, ...] = ()
    items: int = 0
    other: Mapping[str, int] = {}
    keys_destroyed: int = 0
    payload_bytes: int = 0


class AuditTrailStore(Protocol):
    """The part of a tenant's store that holds its audit trail. Nothing in it is ever changed."""

    async def append_audit(self, entries: Sequence[AuditEntry], link: Link) -> None:
        """Add entries at the end of the chain, in one transaction that is durable when this returns."""
        ...

    async def read_audit(
        self, *, after: int = 0, limit: int = 100, object_id: str | None = None, actor: str | None = None
    ) -> AuditPage:
        """Records from after an index on, oldest first."""
        ...


class Directory(Protocol):
    """The part of a store that knows tenants and API keys."""

    async def create_tenant(self, tenant: TenantRecord) -> bool:
        """Add a tenant. False if there is one of this id."""
        ...

    async def read_tenant(self, tenant: TenantId) -> TenantRecord | None:
        """A tenant, or None. A tenant that was never created and has data is active, with the defaults."""
        ...

    async def update_tenant(self, tenant: TenantRecord, *, was: TenantRecord | None = None) -> bool:
        """
        Replace what can be configured of a tenant.

        Args:
            was: Replace only what still equals this but for ``stored_bytes``.

        Returns:
            False if it is unknown, or is not as it *was*, or is being erased: that is never taken back.
        """
        ...

    async def list_tenants(self) -> tuple[TenantRecord, ...]:
        """All tenants, by id."""
        ...

    async def erase_tenant(self, tenant: TenantId, *, limit: int = 500) -> tuple[Erasure, bool]:
        """
        Erase at most *limit* rows of a tenant; its keys first, so that the rest cannot be opened from that moment on,
        and its API keys. The audit trail stays, and the record of the tenant goes last.

        Returns:
            What went, and whether there is more: call again until there is not.
        """
        ...

    async def create_api_key(self, key: ApiKeyRecord) -> bool:
        """Add an API key. False if its id is in use."""
        ...

    async def read_api_key(self, key_id: str) -> ApiKeyRecord | None:
        """An API key, or None. One statement."""
        ...

    async def update_api_key(self, old: ApiKeyRecord, new: ApiKeyRecord) -> bool:
        """Replace a record that still equals *old* but for ``last_used_at``. False if it does not."""
        ...

    async def list_api_keys(self, tenant: TenantId | None = None) -> tuple[ApiKeyRecord, ...]:
        """All API keys, or those of a tenant, oldest first."""
        ...

    async def note_api_key_use(self, used_at: Mapping[str, int]) -> None:
        """Set when keys were last used, by key id."""
        ...
