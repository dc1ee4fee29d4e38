"""
What administrators do: tenants, their API keys, and what is stored of them.

The use cases behind the command line and behind the administrators' API. Every action is an entry in the audit trail
of the tenant ``_system``, which names who did it: a change's before the change takes effect, a refusal's as well. No
secret is stored, and none is told twice: a key's text is the answer to whoever had it made.
"""

from __future__ import annotations

import asyncio
import functools
import math
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import Literal, Protocol

import msgspec
from msgspec import UNSET

from antiphon.engine.administration_requests import NewApiKey, NewTenant, Rotate, TenantChanges, is_tenant, nearest
from antiphon.engine.audit import AuditTrail
from antiphon.engine.retention import Sweeper
from antiphon.engine.tenant_erasure import erase_tenant, joined, would_be_erased
from antiphon.engine.tenant_export import export_end_user, export_tenant
from antiphon.hub.api_key import ApiKey, mint
from antiphon.hub.errors import AntiphonError, ApiKeyNotFound, Conflict, InvalidRequest, TenantNotFound
from antiphon.hub.ids import TenantId
from antiphon.hub.items import JsonObject
from antiphon.hub.principal import ADMIN_SCOPES, Principal
from antiphon.sessions.directory import ApiKeyRecord, AuditPage, Erasure, TenantRecord
from antiphon.sessions.sessions import Sessions
from antiphon.sessions.vault import TenantKey
from antiphon.telemetry import Log

__all__ = [
    "COMMAND_LINE",
    "SYSTEM",
    "Administration",
    "MintedKey",
    "RotatedRoot",
    "Sealing",
    "TenantDetails",
    "administrator",
]

SYSTEM = TenantId("_system")
"""The tenant that is nobody's: it has the pepper of all API keys and the administrators' audit trail."""

_SECONDS_PER_DAY = 86400
_ATTEMPTS = 5
_PAGE = 500


def administrator(actor: str) -> Principal:
    """Whoever administers, as the audit trail names them."""
    return Principal(tenant=SYSTEM, actor=actor, scopes=ADMIN_SCOPES)


COMMAND_LINE = administrator("cli")


class MintedKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key that was made just now, with its text: the only time that it can be told."""

    key: ApiKey
    record: ApiKeyRecord


class TenantDetails(msgspec.Struct, frozen=True, kw_only=True):
    """
    A tenant, with what belongs to it.

    Attributes:
        keys: The versions of the key that its content is sealed under, oldest first.
        api_keys: All of its API keys, the revoked ones too.
    """

    record: TenantRecord
    keys: tuple[TenantKey, ...]
    api_keys: tuple[ApiKeyRecord, ...]


class RotatedRoot(msgspec.Struct, frozen=True, kw_only=True):
    """
    What became of a change of the root key.

    Attributes:
        ref, place: The root key that wraps now, and where it is.
        is_new: It was made for this.
        count: How many keys were wrapped with it.
    """

    ref: str
    place: str
    is_new: bool
    count: int


class Sealing(Protocol):
    """
    Changes keys, while everything goes on. Whatever is cut off is taken up again by the next call.
    """

    async def rotate_tenant(self, tenant: TenantId) -> None:
        """
        Give a tenant a new key and seal everything anew under it. Takes minutes.

        Raises:
            InvalidRequest: Nothing in this store is sealed.
        """
        ...

    async def rotate_root(self) -> RotatedRoot:
        """
        Wrap all tenants' keys with a new root key.

        Raises:
            InvalidRequest: Nothing in this store is sealed.
        """
        ...


class Administration:
    """
    Args:
        sessions: Open, as long as this is used.
        trail: Where every action is written down, whatever the tenants' own trails are configured to hold.
        sealing: Changes the keys that everything is sealed with.
    """

    def __init__(
        self,
        sessions: Sessions,
        *,
        trail: AuditTrail,
        clock: Callable[[], float],
        sealing: Sealing,
        log: Log,
    ) -> None:
        self._sessions = sessions
        self._directory = sessions.store
        self._trail = trail
        self._clock = clock
        self._sealing = sealing
        self._log = log
        self._rotations: dict[str, asyncio.Task[None]] = {}
        self._has_made_keys = False
        self._looked_up_to = 0

    # Tenants.

    async def create_tenant(self, new: NewTenant, by: Principal) -> TenantRecord:
        """
        Create a tenant.

        Raises:
            Conflict: There is one of this name.
        """
        record = TenantRecord(
            id=TenantId(new.id),
            created_at=int(self._clock()),
            retention_days=new.retention_days,
            max_stored_bytes=new.max_stored_bytes,
        )
        if not is_tenant(new.id):
            raise InvalidRequest("Invalid 'id': a tenant's name is one line.", param="id")
        async with self._trail.writing(by, ("tenant.create", new.id)):
            if not await self._directory.create_tenant(record):
                raise Conflict(f"There is a tenant '{new.id}' already.", param="id", code="tenant_exists")
        return record

    async def tenants(self, by: Principal) -> tuple[TenantRecord, ...]:
        """All tenants, by name."""
        with self._trail.reading(by, "tenant.list"):
            return tuple(tenant for tenant in await self._directory.list_tenants() if is_tenant(tenant.id))

    async def tenant(self, name: str, by: Principal) -> TenantDetails:
        """
        A tenant with its keys.

        Raises:
            TenantNotFound: There is none of this name; says which is near.
        """
        with self._trail.reading(by, "tenant.read", name):
            record = await self._known(name)
            return TenantDetails(
                record=record,
                keys=await self._directory.for_tenant(record.id).read_keys(),
                api_keys=await self._directory.list_api_keys(record.id),
            )

    async def configure(self, name: str, changes: TenantChanges, by: Principal) -> TenantRecord:
        """
        Change a tenant's retention or quota, for what is stored from now on.

        Raises:
            TenantNotFound: There is none of this name.
        """
        given = {field: value for field, value in msgspec.structs.asdict(changes).items() if value is not UNSET}
        return await self._changed(name, "tenant.update", given, by)

    async def suspend(self, name: str, by: Principal) -> TenantRecord:
        """
        Refuse a tenant everything, from within a second on. Its turns that run end as they would.

        Raises:
            TenantNotFound: There is none of this name.
        """
        return await self._changed(name, "tenant.suspend", {"state": "suspended"}, by)

    async def resume(self, name: str, by: Principal) -> TenantRecord:
        """
        Let a suspended tenant in again.

        Raises:
            TenantNotFound: There is none of this name.
        """
        return await self._changed(name, "tenant.resume", {"state": "active"}, by)

    async def _changed(
        self,
        name: str,
        action: Literal["tenant.update", "tenant.suspend", "tenant.resume"],
        changes: dict[str, object],
        by: Principal,
    ) -> TenantRecord:
        with self._trail.refusing(by, action, name):
            await self._known(name)
        async with self._trail.writing(by, (action, name)):
            for _ in range(_ATTEMPTS):
                # Nobody's change is undone by another one that was made at the same time.
                was = await self._known(name)
                record = msgspec.structs.replace(was, **changes)
                if await self._directory.update_tenant(record, was=was):
                    return record
        raise Conflict(f"Tenant '{name}' is being changed by somebody else. Try again.")

    async def export(
        self, name: str, by: Principal, *, end_user: str | None = None
    ) -> AsyncGenerator[JsonObject, None]:
        """
        Everything that a tenant has stored, or what was made on behalf of one of its end users, as lines of JSON.

        Raises:
            TenantNotFound: There is none of this name.
        """
        with self._trail.refusing(by, "tenant.export", name):
            record = await self._known(name)
        state = self._sessions.for_tenant(record.id)
        async with self._trail.writing(by, ("tenant.export", name)):  # written down before a word is told
            pass
        lines = export_tenant(state, name) if end_user is None else export_end_user(state, name, end_user)
        async with aclosing(lines):
            async for line in lines:
                yield line

    async def erase(self, name: str, by: Principal, *, end_user: str | None = None, dry_run: bool = False) -> Erasure:
        """
        Erase a tenant with everything that it has, or what was made on behalf of one of its end users.

        A tenant's keys go first: from that moment on nothing of it can be opened. May be called again after it was cut
        off, and goes on.

        Returns:
            What went, or with *dry_run* would go.

        Raises:
            TenantNotFound: There is none of this name.
            ConversationLocked: For an end user: a turn holds a conversation that would change. Nothing was erased.
        """
        with self._trail.refusing(by, "tenant.erase", name):
            record = await self._known(name, erasing=end_user is None)
        state = self._sessions.for_tenant(record.id)
        if dry_run:
            with self._trail.reading(by, "tenant.read" if end_user is None else "end_user.read", name):
                if end_user is not None:
                    return await state.end_users.erase(end_user, dry_run=True)
                return await would_be_erased(self._directory.for_tenant(record.id))
        if end_user is not None:
            async with self._trail.writing(by, ("end_user.erase", name)):
                return await state.end_users.erase(end_user)
        async with self._trail.writing(by, ("tenant.erase", name)):
            try:
                return await erase_tenant(self._directory, record.id)
            finally:
                self._sessions.forget(record.id)

    async def rotate_tenant_key(self, name: str, by: Principal) -> None:
        """
        Give a tenant a new key, and seal everything that it has anew. Turns go on meanwhile.

        Raises:
            TenantNotFound: There is none of this name.
        """
        with self._trail.refusing(by, "sealing.rotate", name):
            record = await self._known(name)
        async with self._trail.writing(by, ("sealing.rotate", name)):
            await self._sealing.rotate_tenant(record.id)

    async def begin_key_rotation(self, name: str, by: Principal) -> None:
        """
        The same, behind the caller's back. One that runs here already goes on.

        Raises:
            TenantNotFound: There is none of this name.
        """
        if name not in self._rotations:
            with self._trail.refusing(by, "sealing.rotate", name):
                await self._known(name)
            work = self._logged_rotation(name, by)
            self._rotations.setdefault(name, asyncio.create_task(work, name=f"antiphon-rotate-{name}"))

    async def _logged_rotation(self, name: str, by: Principal) -> None:
        try:
            await self.rotate_tenant_key(name, by)
        except AntiphonError as error:
            self._log.error("key_rotation_failed", tenant=name, error=error.message)
        except Exception as error:  # noqa: BLE001 - nobody else waits for this task
            self._log.crash("key_rotation_crashed", error)
        finally:
            self._rotations.pop(name, None)

    async def rotate_root_key(self, by: Principal) -> RotatedRoot:
        """Wrap all tenants' keys with a new root key. What is stored does not change."""
        async with self._trail.writing(by, ("sealing.rewrap", "")):
            return await self._sealing.rotate_root()

    async def sweep(self, by: Principal, *, dry_run: bool = False) -> Erasure:
        """
        Erase what has expired, of all tenants. Each of their trails says what went; the server does it all the time.

        Returns:
            What went, or with *dry_run* would go.
        """
        with self._trail.reading(by, "response.list" if dry_run else "response.expire"):
            sweeper = Sweeper(self._sessions, every_s=math.inf, trail=self._trail, log=self._log)
            expired = await sweeper.expired()
            if not dry_run:
                await sweeper.sweep()
        return functools.reduce(joined, expired.erased.values(), Erasure())

    async def close(self) -> None:
        """End what goes on in the background, where it can be taken up again; write what is still to be written."""
        running = list(self._rotations.values())
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await self._trail.close()

    async def _known(self, name: str, *, erasing: bool = False) -> TenantRecord:
        record = await self._directory.read_tenant(TenantId(name)) if is_tenant(name) else None
        if record is not None and (record.state != "erasing" or erasing):
            return record
        names = [tenant.id for tenant in await self._directory.list_tenants() if is_tenant(tenant.id)]
        raise TenantNotFound(name[:100], nearest(name, names))

    # API keys.

    async def create_key(self, tenant: str, new: NewApiKey, by: Principal) -> MintedKey:
        """
        Make an API key for a tenant.

        Raises:
            TenantNotFound: There is none of this name; says which is near.
            InvalidRequest: A scope that is not for tenants.
        """
        with self._trail.refusing(by, "key.create", tenant):
            record = await self._known(tenant)
            scopes = new.granted()
        return await self._created(record.id, new, scopes, by)

    async def create_admin_key(self, new: NewApiKey, by: Principal) -> MintedKey:
        """
        Make a key for an administrator, for the administrators' own listener.

        Raises:
            InvalidRequest: It has something that only a tenant's key can have.
        """
        with self._trail.refusing(by, "key.create", SYSTEM):
            if new.scopes is not None or new.models is not None or new.limits != type(new.limits)():
                raise InvalidRequest("An administrator's key has no scopes, models or limits to be chosen.")
        return await self._created(SYSTEM, new, tuple(ADMIN_SCOPES), by)

    async def _created(self, tenant: TenantId, new: NewApiKey, scopes: Sequence[str], by: Principal) -> MintedKey:
        now = int(self._clock())
        pepper = await self._pepper()
        while True:
            key = mint("admin" if tenant == SYSTEM else "live")
            record = ApiKeyRecord(
                key_id=key.key_id,
                tenant=tenant,
                mac=key.mac(pepper),
                hint=key.hint,
                name=new.name,
                scopes=tuple(scopes),
                models=new.models,
                limits=new.limits.limits(),
                created_at=now,
                created_by=by.actor,
                expires_at=None if new.expires_days is None else now + round(new.expires_days * _SECONDS_PER_DAY),
            )
            async with self._trail.writing(by, ("key.create", key.key_id)):
                if await self._directory.create_api_key(record):
                    await self._refuse_orphan(record)
                    return MintedKey(key=key, record=record)

    async def _refuse_orphan(self, record: ApiKeyRecord) -> None:
        """A key whose tenant was erased meanwhile would open another one's data that is given the name later."""
        if record.tenant == SYSTEM:
            return
        try:
            await self._known(record.tenant)
        except TenantNotFound:
            revoked = msgspec.structs.replace(record, revoked_at=record.created_at)
            await self._directory.update_api_key(record, revoked)
            raise

    async def keys(self, by: Principal, *, tenant: str | None = None) -> tuple[ApiKeyRecord, ...]:
        """
        All API keys, or those of a tenant, oldest first; the administrators' own are the tenant ``_system``'s.

        Raises:
            TenantNotFound: There is none of this name.
        """
        with self._trail.reading(by, "key.list", tenant or ""):
            if tenant is None or tenant == SYSTEM:
                return await self._directory.list_api_keys(None if tenant is None else SYSTEM)
            return await self._directory.list_api_keys((await self._known(tenant)).id)

    async def has_made_keys(self) -> bool:
        """Whether an API key was ever made here, though none may be left: a tenant's go with it."""
        trail, has_more = self._directory.for_tenant(SYSTEM), True
        while has_more and not self._has_made_keys:
            page = await trail.read_audit(after=self._looked_up_to, limit=_PAGE)
            self._has_made_keys = any(record.entry.action == "key.create" for record in page.records)
            has_more = page.has_more and bool(page.records)
            if page.records:
                self._looked_up_to = page.records[-1].index
        return self._has_made_keys

    async def rotate_key(self, key_id: str, asked: Rotate, by: Principal) -> MintedKey:
        """
        Give an API key a new secret; the one before goes on working for a while.

        Raises:
            ApiKeyNotFound: There is none of this id.
            Conflict: It is revoked or has expired; or an earlier rotation's grace has not passed, and to rotate now
                would end a secret that may be in use.
        """
        with self._trail.refusing(by, "key.rotate", key_id):
            await self._key(key_id)
        pepper = await self._pepper()
        async with self._trail.writing(by, ("key.rotate", key_id)):
            for _ in range(_ATTEMPTS):
                old = await self._key(key_id)
                key = mint("admin" if old.tenant == SYSTEM else "live", key_id=key_id)
                new = _rotated(old, key, pepper, asked, int(self._clock()))
                if await self._directory.update_api_key(old, new):
                    return MintedKey(key=key, record=new)
        raise Conflict(f"API key '{key_id}' is being changed by somebody else. Try again.")

    async def revoke_key(self, key_id: str, by: Principal) -> ApiKeyRecord:
        """
        End an API key, within a second in every process. One that is revoked already stays as it is.

        Raises:
            ApiKeyNotFound: There is none of this id.
        """
        with self._trail.refusing(by, "key.revoke", key_id):
            await self._key(key_id)
        async with self._trail.writing(by, ("key.revoke", key_id)):
            for _ in range(_ATTEMPTS):
                old = await self._key(key_id)
                if old.revoked_at is not None:
                    return old
                new = msgspec.structs.replace(
                    old, revoked_at=int(self._clock()), previous_mac=None, previous_until=None
                )
                if await self._directory.update_api_key(old, new):
                    return new
        raise Conflict(f"API key '{key_id}' is being changed by somebody else. Try again.")

    async def _key(self, key_id: str) -> ApiKeyRecord:
        record = await self._directory.read_api_key(key_id)
        if record is None:
            raise ApiKeyNotFound(key_id[:100])
        return record

    async def _pepper(self) -> bytes:
        return await self._sessions.for_tenant(SYSTEM).secret()

    # Audit.

    async def audit(
        self,
        name: str,
        by: Principal,
        *,
        after: int = 0,
        limit: int = 100,
        object_id: str | None = None,
        actor: str | None = None,
    ) -> AuditPage:
        """
        A tenant's audit trail, oldest first; ``_system`` names the administrators' own. A tenant's trail outlives it.

        Raises:
            TenantNotFound: This cannot be a tenant's name.
        """
        with self._trail.reading(by, "audit.read", name):
            tenant = _named(name)
            return await self._trail.read(tenant, after=after, limit=limit, object_id=object_id, actor=actor)

    async def verify_audit(self, name: str, by: Principal) -> list[str]:
        """
        What is wrong with a tenant's audit trail: one line for each problem; empty if it is whole.

        Raises:
            TenantNotFound: This cannot be a tenant's name.
        """
        with self._trail.reading(by, "audit.read", name):
            tenant = _named(name)
            record = await self._directory.read_tenant(tenant)
            if tenant != SYSTEM and record is None:
                if (await self._trail.read(tenant, limit=1)).records:
                    return ["The tenant was erased, and its keys with it: nobody can verify its trail any more."]
                raise TenantNotFound(name)
            return await self._trail.verify(tenant, since_s=record.created_at if record is not None else 0)


def _named(name: str) -> TenantId:
    if name != SYSTEM and not is_tenant(name):
        raise TenantNotFound(name[:100])
    return TenantId(name)


def _rotated(old: ApiKeyRecord, key: ApiKey, pepper: bytes, asked: Rotate, now: int) -> ApiKeyRecord:
    if old.revoked_at is not None or (old.expires_at is not None and old.expires_at <= now):
        raise Conflict(f"API key '{old.key_id}' is revoked or has expired. Create a new one.")
    is_rotating = old.previous_until is not None and old.previous_until > now
    if is_rotating and not asked.again:
        raise Conflict(
            f"API key '{old.key_id}' was rotated already, and its earlier secret works for another "
            f"{(old.previous_until or 0) - now} s. To give up the secret that was made then, ask for it again.",
            code="rotation_in_progress",
        )
    kept = old.previous_mac if is_rotating else old.mac
    return msgspec.structs.replace(
        old,
        mac=key.mac(pepper),
        hint=key.hint,
        previous_mac=kept if asked.grace_s else None,
        previous_until=now + asked.grace_s if asked.grace_s else None,
    )
