"""The endpoints of ``/admin/v1``: tenants, API keys and audit trails. The rules are the use cases'."""

from __future__ import annotations

from typing import TypeVar

import msgspec
from msgspec import UNSET

from antiphon.engine.administration import SYSTEM, Administration
from antiphon.engine.administration_requests import Erase, NewApiKey, NewTenant, Rotate, TenantChanges, decode
from antiphon.hub.errors import InvalidRequest
from antiphon.server import admin_documents as documents
from antiphon.server.body import BodyLimits
from antiphon.server.exchange import Exchange

__all__ = ["AdminEndpoints"]

RequestT = TypeVar("RequestT", bound=msgspec.Struct)


class AdminEndpoints:
    """What administrators can do over HTTP."""

    def __init__(self, administration: Administration, *, body_limits: BodyLimits) -> None:
        self._administration = administration
        self._body_limits = body_limits

    # Tenants.

    async def tenants(self, exchange: Exchange) -> None:
        """``GET /admin/v1/tenants``."""
        exchange.refuse_query()
        found = await self._administration.tenants(exchange.principal)
        await _answer(exchange, documents.TenantList(data=tuple(map(documents.tenant, found))))

    async def create_tenant(self, exchange: Exchange) -> None:
        """``POST /admin/v1/tenants``."""
        new = await self._body(exchange, NewTenant)
        await _answer(exchange, documents.tenant(await self._administration.create_tenant(new, exchange.principal)))

    async def tenant(self, exchange: Exchange) -> None:
        """``GET /admin/v1/tenants/{tenant}``."""
        exchange.refuse_query()
        details = await self._administration.tenant(exchange.params[0], exchange.principal)
        await _answer(exchange, documents.tenant_with_keys(details))

    async def configure_tenant(self, exchange: Exchange) -> None:
        """``POST /admin/v1/tenants/{tenant}``."""
        changes = await self._body(exchange, TenantChanges)
        record = await self._administration.configure(exchange.params[0], changes, exchange.principal)
        await _answer(exchange, documents.tenant(record))

    async def suspend_tenant(self, exchange: Exchange) -> None:
        """``POST /admin/v1/tenants/{tenant}/suspend``."""
        exchange.refuse_query()
        record = await self._administration.suspend(exchange.params[0], exchange.principal)
        await _answer(exchange, documents.tenant(record))

    async def resume_tenant(self, exchange: Exchange) -> None:
        """``POST /admin/v1/tenants/{tenant}/resume``."""
        exchange.refuse_query()
        record = await self._administration.resume(exchange.params[0], exchange.principal)
        await _answer(exchange, documents.tenant(record))

    async def delete_tenant(self, exchange: Exchange) -> None:
        """``DELETE /admin/v1/tenants/{tenant}``: erase all of it."""
        await self._erase(exchange, None)

    async def erase(self, exchange: Exchange) -> None:
        """``POST /admin/v1/tenants/{tenant}/erase``: all of it, or what was made for one of its end users."""
        asked = await self._body(exchange, Erase, dry_run=True)
        await self._erase(exchange, None if asked.end_user is UNSET else asked.end_user)

    async def _erase(self, exchange: Exchange, end_user: str | None) -> None:
        name, dry_run = exchange.params[0], _query(exchange, documents.DryRunQuery).dry_run
        erased = await self._administration.erase(name, exchange.principal, end_user=end_user, dry_run=dry_run)
        await _answer(exchange, documents.receipt(erased, name, dry_run=dry_run))

    async def rotate_tenant(self, exchange: Exchange) -> None:
        """``POST /admin/v1/tenants/{tenant}/rotate``: a new sealing key."""
        exchange.refuse_query()
        await self._administration.begin_key_rotation(exchange.params[0], exchange.principal)
        await _answer(exchange, documents.KeyRotation(tenant=exchange.params[0]))

    # API keys.

    async def keys(self, exchange: Exchange) -> None:
        """``GET /admin/v1/keys``: everybody's."""
        exchange.refuse_query()
        found = await self._administration.keys(exchange.principal)
        await _answer(exchange, documents.ApiKeyList(data=tuple(map(documents.api_key, found))))

    async def keys_of_tenant(self, exchange: Exchange) -> None:
        """``GET /admin/v1/tenants/{tenant}/keys``."""
        exchange.refuse_query()
        found = await self._administration.keys(exchange.principal, tenant=exchange.params[0])
        await _answer(exchange, documents.ApiKeyList(data=tuple(map(documents.api_key, found))))

    async def create_key(self, exchange: Exchange) -> None:
        """``POST /admin/v1/tenants/{tenant}/keys``."""
        new = await self._body(exchange, NewApiKey)
        minted = await self._administration.create_key(exchange.params[0], new, exchange.principal)
        await _answer(exchange, documents.new_key(minted))

    async def rotate_key(self, exchange: Exchange) -> None:
        """``POST /admin/v1/keys/{key_id}/rotate``."""
        asked = await self._body(exchange, Rotate)
        minted = await self._administration.rotate_key(exchange.params[0], asked, exchange.principal)
        await _answer(exchange, documents.new_key(minted))

    async def revoke_key(self, exchange: Exchange) -> None:
        """``POST /admin/v1/keys/{key_id}/revoke``."""
        exchange.refuse_query()
        record = await self._administration.revoke_key(exchange.params[0], exchange.principal)
        await _answer(exchange, documents.api_key(record))

    # Audit trails.

    async def audit(self, exchange: Exchange) -> None:
        """``GET /admin/v1/audit`` and ``GET /admin/v1/tenants/{tenant}/audit``."""
        asked = _query(exchange, documents.AuditQuery)
        page = await self._administration.audit(
            _trail(exchange),
            exchange.principal,
            after=asked.after,
            limit=asked.limit,
            object_id=asked.object_id,
            actor=asked.actor,
        )
        await _answer(exchange, documents.audit_list(page))

    async def verify_audit(self, exchange: Exchange) -> None:
        """``GET /admin/v1/audit/verify`` and ``GET /admin/v1/tenants/{tenant}/audit/verify``."""
        exchange.refuse_query()
        name = _trail(exchange)
        problems = tuple(await self._administration.verify_audit(name, exchange.principal))
        await _answer(exchange, documents.AuditVerdict(tenant=name, sound=not problems, problems=problems))

    async def live(self, exchange: Exchange) -> None:
        """``GET /livez``: 200 for as long as the process answers."""
        exchange.refuse_query()
        await exchange.answer({"status": "ok"})

    async def _body(self, exchange: Exchange, kind: type[RequestT], *, dry_run: bool = False) -> RequestT:
        if not dry_run:
            exchange.refuse_query()
        return decode(kind, await exchange.read_json(self._body_limits, empty={}))


def _trail(exchange: Exchange) -> str:
    """Whose trail is asked for: the tenant's in the path, else the administrators' own."""
    if not exchange.params:
        return SYSTEM
    if exchange.params[0] == SYSTEM:
        raise InvalidRequest("The administrators' own audit trail is at /admin/v1/audit.")
    return exchange.params[0]


def _query(exchange: Exchange, kind: type[RequestT]) -> RequestT:
    """
    The query's parameters.

    Raises:
        InvalidRequest: One is unknown, stands there twice, or has another type or range.
    """
    for name, values in exchange.query.items():
        if len(values) > 1:
            raise InvalidRequest(f"The parameter '{name[:100]}' stands in the query twice.", param=name[:100])
    return decode(kind, {name: values[0] for name, values in exchange.query.items()}, text=True)


async def _answer(exchange: Exchange, document: msgspec.Struct) -> None:
    await exchange.answer(msgspec.to_builtins(document))
