"""
What a store keeps so that payloads can be sealed: wrapped keys, what families' keys are derived with, and the means to
go through every payload when a key changes.

The store understands none of it. It keeps bytes, and changes them only if they are still what the caller read.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, Protocol

from antiphon.hub.ids import Family, TenantId
from antiphon.sessions.codec import Table
from antiphon.sessions.records import Record

__all__ = ["Payload", "PayloadPage", "Replacement", "RootKeyUse", "Scanned", "TenantKey", "TenantVault", "Vault"]

# What a change of keys goes through: the payloads of these tables, and what is kept with families.
Scanned = Table | Literal["families"]


class TenantKey(Record, frozen=True, kw_only=True):
    """
    One version of a tenant's key, wrapped by a key service.

    Attributes:
        version: From 1; unique in the tenant.
        state: ``next`` is known and not used to seal yet, ``active`` seals (one at most), ``retiring`` only opens.
        root_ref: Which root key wrapped it, as the key service names it.
        created_at: Seconds since the epoch, UTC.
    """

    version: int
    state: Literal["next", "active", "retiring"]
    root_ref: str
    wrapped: bytes
    created_at: int


class Payload(Record, frozen=True, kw_only=True):
    """
    A stored payload and where it stands.

    Attributes:
        row_id: As in :class:`~antiphon.sessions.codec.Place`; of ``families`` the family.
        family: Of tables whose rows are of a family; else the family of the tenant.
    """

    table: Scanned
    row_id: str
    family: Family
    payload: bytes


class PayloadPage(Record, frozen=True, kw_only=True):
    """Some payloads of a table; *cursor* is what the next page begins after, None at the table's end."""

    payloads: tuple[Payload, ...]
    cursor: bytes | None


class Replacement(Record, frozen=True, kw_only=True):
    """A payload that takes another's place, if that one is still there."""

    old: Payload
    payload: bytes


class RootKeyUse(Record, frozen=True, kw_only=True):
    """How many wrapped keys of a store a root key has wrapped."""

    root_ref: str
    count: int


class TenantVault(Protocol):
    """The part of a tenant's store that holds its keys."""

    async def read_keys(self) -> tuple[TenantKey, ...]:
        """Every version, oldest first; empty for a tenant that has none yet."""
        ...

    async def add_key(self, key: TenantKey) -> tuple[TenantKey, ...]:
        """
        Add a version, unless somebody else has added it. Returns what :meth:`read_keys` then answers: the caller sees
        in it whose key it was.
        """
        ...

    async def change_key(self, old: TenantKey, new: TenantKey) -> bool:
        """
        Replace a version's record if it still equals *old*. A version that becomes active makes the one that was
        active retiring, in the same transaction. False if it was changed meanwhile.
        """
        ...

    async def drop_key(self, key: TenantKey) -> bool:
        """Destroy a version if its record still equals *key*, and overwrite where it stood."""
        ...

    async def read_families(self, families: Sequence[Family]) -> dict[Family, bytes]:
        """What is kept with these families. Unknown ones are absent. One statement."""
        ...

    async def secret(self, candidate: bytes) -> bytes:
        """The payload that holds this tenant's secret: *candidate* if there is none yet, the same ever after."""
        ...

    async def read_secret(self) -> bytes | None:
        """The payload that holds this tenant's secret, or None."""
        ...

    async def scan(self, table: Scanned, *, after: bytes | None, limit: int) -> PayloadPage:
        """At most *limit* payloads of a table, in an order that inserts do not disturb."""
        ...

    async def replace(self, replacements: Sequence[Replacement]) -> int:
        """
        Replace payloads that are still what they were, in one transaction. What was replaced is overwritten.

        Returns:
            How many were; the others have changed or are gone.
        """
        ...


class Vault(Protocol):
    """The part of a store that knows of all tenants' keys."""

    async def list_tenants_with_data(self) -> tuple[TenantId, ...]:
        """Every tenant that has a row."""
        ...

    async def root_keys_in_use(self) -> tuple[RootKeyUse, ...]:
        """Which root keys have wrapped what is here; empty for a store without sealed content."""
        ...

    async def has_plain_payloads(self) -> bool:
        """Whether any payload of any tenant is not sealed (its version byte is 0)."""
        ...

    async def compact(self, *, progress: Callable[[str], None] | None = None) -> None:
        """
        Rewrite what is on the disk, so that nothing that was replaced or erased is left in it, in free pages or logs.

        Raises:
            StoreUnavailable: Another process is using it, or the disk is full. Nothing is lost.
        """
        ...
