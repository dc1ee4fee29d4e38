"""
The random machine of :mod:`antiphon.testing.store_machine` with dry runs, end users, keys, quotas and erased tenants.

What a tenant stores is compared with the model, payload by payload, after every step.
"""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from antiphon.hub.ids import TenantId
from antiphon.sessions.directory import AuditEntry
from antiphon.sessions.store import SessionStore, TenantStore
from antiphon.sessions.vault import Payload, Replacement, Scanned, TenantKey
from antiphon.testing.store_audit import link
from antiphon.testing.store_contents import SCANNED, rows, size_of
from antiphon.testing.store_machine import END_USERS, FAMILIES, StoreMachine, numbers, tenants

__all__ = ["TrustMachine"]

_VERSIONS = (1, 2, 3)
_BATCHES = 1000  # more than any tenant needs

tables = st.sampled_from(SCANNED)
end_users = st.sampled_from(END_USERS)


class TrustMachine(StoreMachine):
    """Override :meth:`make_store`, as with :class:`StoreMachine`."""

    # Dry runs.

    @precondition(lambda self: self.responses)
    @rule(tenant=tenants, number=numbers, cascade=st.booleans())
    def rehearse_deleting_a_response(self, *, tenant: str, number: int, cascade: bool) -> None:
        """Ask what would go with a response."""
        its_id = self._some(self.responses, number)
        self.both(tenant, lambda store, _: store.delete_response(its_id, cascade=cascade, dry_run=True))

    @precondition(lambda self: self.conversations)
    @rule(tenant=tenants, number=numbers, cascade=st.booleans())
    def rehearse_deleting_a_conversation(self, *, tenant: str, number: int, cascade: bool) -> None:
        """Ask what would go with a conversation."""
        its_id = self._some(self.conversations, number)
        self.both(tenant, lambda store, _: store.delete_conversation(its_id, cascade=cascade, dry_run=True))

    @rule(limit=st.integers(1, 4), dry_run=st.booleans())
    def sweep_a_little(self, *, limit: int, dry_run: bool) -> None:
        """Erase some of what has expired, or ask what that would take."""
        model, store = (self.runner.run(store.sweep(limit, dry_run=dry_run)) for store in self.stores)
        assert model == store

    # End users.

    @rule(tenant=tenants, end_user=end_users, number=numbers)
    def erase_end_user(self, tenant: str, end_user: bytes, number: int) -> None:
        """Erase an end user, or ask what that would take; the answers agree."""
        foretold = self.both(tenant, lambda store, _: store.erase_end_user(end_user, dry_run=True))
        if number % 3 == 0:
            assert foretold == self.both(tenant, lambda store, _: store.erase_end_user(end_user))

    # Keys and the secret.

    @rule(tenant=tenants, version=st.sampled_from(_VERSIONS), number=numbers)
    def add_key(self, tenant: str, version: int, number: int) -> None:
        """Add a version of a tenant's key, which may be there already."""
        state: Any = ("next", "active", "retiring")[number % 3]
        key = TenantKey(
            version=version, state=state, root_ref=f"root {number % 2}", wrapped=b"%d" % number, created_at=number
        )
        self.both(tenant, lambda store, _: store.add_key(key))

    @rule(tenant=tenants, number=numbers, drops=st.booleans(), is_late=st.booleans())
    def change_key(self, *, tenant: str, number: int, drops: bool, is_late: bool) -> None:
        """Change or drop a version as it was read, or as it never was."""

        async def work(store: TenantStore, _: int) -> object:
            key: TenantKey | None = self._some(await store.read_keys(), number)
            if key is None:
                return None
            state: Any = ("next", "active", "retiring")[number % 3]
            new = msgspec.structs.replace(key, state=state, root_ref="root 3")
            old = msgspec.structs.replace(key, wrapped=b"never") if is_late else key
            return await store.drop_key(old) if drops else await store.change_key(old, new)

        self.both(tenant, work)

    @rule(tenant=tenants, number=numbers)
    def offer_secret(self, tenant: str, number: int) -> None:
        """Offer a tenant's secret."""
        self.both(tenant, lambda store, _: store.secret(b"secret %d" % number))

    # Payloads.

    @rule(tenant=tenants, table=tables, number=numbers, is_late=st.booleans())
    def replace_payload(self, *, tenant: str, table: Scanned, number: int, is_late: bool) -> None:
        """Replace a payload as it was read, or as it never was."""
        if table == "families" and number % 4:
            return  # most turns would be refused

        async def work(store: TenantStore, _: int) -> object:
            old: Payload | None = self._some(await rows(store, table), number)
            if old is None:
                return None
            new = old.payload if table == "families" else b"%d" % number + old.payload
            read = msgspec.structs.replace(old, payload=b"never") if is_late else old
            return await store.replace([Replacement(old=read, payload=new)])

        self.both(tenant, work)

    # The trail.

    @rule(tenant=tenants, number=numbers, count=st.integers(0, 3))
    def append_audit(self, tenant: str, number: int, count: int) -> None:
        """Note what was done."""
        entries = [
            AuditEntry(at_ms=number, actor=f"actor {number % 2}", action="a", object_id=f"object {number % 3}")
            for _ in range(count)
        ]
        self.both(tenant, lambda store, _: store.append_audit(entries, link))

    # Tenants.

    @rule(tenant=tenants, number=numbers, limit=st.sampled_from([1, 3, 500]))
    def erase_tenant(self, tenant: str, number: int, limit: int) -> None:
        """Erase all of a tenant, batch by batch."""
        if number % 8:
            return
        sizes = [self.runner.run(self._erase_tenant(store, TenantId(tenant), limit)) for store in self.stores]
        assert sizes[0] == sizes[1], f"the model erased {sizes[0]} bytes, the store {sizes[1]}"

    async def _erase_tenant(self, store: SessionStore, tenant: TenantId, limit: int) -> int:
        size_bytes = 0
        for _ in range(_BATCHES):
            receipt, has_more = await store.erase_tenant(tenant, limit=limit)
            size_bytes += receipt.payload_bytes
            if not has_more:
                return size_bytes
        raise AssertionError("the tenant does not come to an end")

    # Looking.

    async def _everything(self, store: TenantStore) -> list[object]:
        seen = await super()._everything(store)
        seen += [await rows(store, table, limit=3) for table in SCANNED]
        seen += [await store.list_of_end_user(end_user) for end_user in END_USERS]
        seen += [await store.read_keys(), await store.read_secret(), await store.read_families(FAMILIES)]
        seen += [await store.read_audit(limit=5), await store.read_audit(actor="actor 1", object_id="object 1")]
        return seen

    def check_all(self) -> None:
        """What the stores say of all tenants agrees, and is the truth."""
        super().check_all()
        for tenant in ("acme", "globex"):
            told = [self.runner.run(_stored_bytes(store, TenantId(tenant))) for store in self.stores]
            found = self.runner.run(size_of(self.stores[0].for_tenant(TenantId(tenant))))
            assert told == [found, found], f"{tenant} stores {found} bytes; the stores say {told}"
        for ask in (_root_keys, _is_plain):
            model, store = (self.runner.run(ask(each)) for each in self.stores)
            assert model == store, f"the model answered {model}, the store {store}"


async def _stored_bytes(store: SessionStore, tenant: TenantId) -> int:
    record = await store.read_tenant(tenant)
    return 0 if record is None else record.stored_bytes


async def _root_keys(store: SessionStore) -> object:
    return sorted((use.root_ref, use.count) for use in await store.root_keys_in_use())


async def _is_plain(store: SessionStore) -> object:
    return await store.has_plain_payloads()
