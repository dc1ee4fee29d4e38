"""
The table of the administrators' operations, which all need the scope ``admin``.

See :mod:`antiphon.server.table` for what a row is.
"""

from __future__ import annotations

from typing import Literal

from antiphon.hub.errors import AntiphonError, ApiKeyNotFound, Conflict, ConversationLocked, TenantNotFound
from antiphon.server.admin_endpoints import AdminEndpoints
from antiphon.server.routes import PUBLIC, Handler, Route, Tag

__all__ = ["admin_operations"]

Method = Literal["GET", "POST", "DELETE"]


def admin_operations(endpoints: AdminEndpoints) -> list[Route]:
    """Every operation of the administrators' listener, in the order of the published document."""
    return [*_tenants(endpoints), *_erasing(endpoints), *_keys(endpoints), *_audit(endpoints), _live(endpoints)]


def _row(
    method: Method, path: str, handler: Handler, summary: str, *,
    name: str, tag: Tag, answer: str, body: str | None = None,
    query: str | None = None, optional_body: bool = False, errors: tuple[type[AntiphonError], ...] = (),
    details: str = "",
) -> Route:  # fmt: skip
    """An operation of administrators: none of them is one of OpenAI's."""
    return Route(
        method, f"/admin/v1{path}", handler, summary, name=name, tag=tag, scope="admin", extension=True, answer=answer,
        body=body, query=query, optional_body=optional_body, errors=errors, details=details,
    )  # fmt: skip


def _tenants(endpoints: AdminEndpoints) -> list[Route]:
    return [
        _row(
            "GET", "/tenants", endpoints.tenants, "List tenants",
            name="listTenants", tag="Tenants", answer="TenantList",
        ),
        _row(
            "POST", "/tenants", endpoints.create_tenant, "Create a tenant",
            name="createTenant", tag="Tenants", body="NewTenant", answer="Tenant", errors=(Conflict,),
            details="One of the same name is a conflict, so it can be sent again without harm.",
        ),
        _row(
            "GET", "/tenants/{tenant}", endpoints.tenant, "Retrieve a tenant",
            name="getTenant", tag="Tenants", answer="TenantWithKeys", errors=(TenantNotFound,),
            details="With what it has stored, its API keys, and the versions of its sealing key.",
        ),
        _row(
            "POST", "/tenants/{tenant}", endpoints.configure_tenant, "Configure a tenant",
            name="configureTenant", tag="Tenants", body="TenantChanges", answer="Tenant", errors=(TenantNotFound,),
            details="What is left out stays as it is; null takes a limit away. Holds for what is stored from now on.",
        ),
        _row(
            "POST", "/tenants/{tenant}/suspend", endpoints.suspend_tenant, "Suspend a tenant",
            name="suspendTenant", tag="Tenants", answer="Tenant", errors=(TenantNotFound,),
            details="Within a second its keys are refused everywhere. Nothing is erased.",
        ),
        _row(
            "POST", "/tenants/{tenant}/resume", endpoints.resume_tenant, "Let a suspended tenant in again",
            name="resumeTenant", tag="Tenants", answer="Tenant", errors=(TenantNotFound,),
        ),
        _row(
            "POST", "/tenants/{tenant}/rotate", endpoints.rotate_tenant, "Change a tenant's sealing key",
            name="rotateTenant", tag="Tenants", answer="KeyRotation", errors=(TenantNotFound,),
            details="Seals everything that it has anew, behind the answer, while its turns go on. It is done when the "
            "tenant shows one key again. After a restart, send it again: it goes on where it was.",
        ),
    ]  # fmt: skip


def _erasing(endpoints: AdminEndpoints) -> list[Route]:
    return [
        _row(
            "DELETE", "/tenants/{tenant}", endpoints.delete_tenant, "Erase a tenant",
            name="deleteTenant", tag="Tenants", query="DryRunQuery", answer="Receipt", errors=(TenantNotFound,),
            details="Its keys first, so that nothing of it can be opened any more, then all but its audit trail.",
        ),
        _row(
            "POST", "/tenants/{tenant}/erase", endpoints.erase, "Erase a tenant, or what was made for an end user",
            name="eraseTenant", tag="Tenants", body="Erase", optional_body=True, query="DryRunQuery", answer="Receipt",
            errors=(TenantNotFound, ConversationLocked),
        ),
    ]  # fmt: skip


def _keys(endpoints: AdminEndpoints) -> list[Route]:
    return [
        _row(
            "GET", "/keys", endpoints.keys, "List all API keys",
            name="listKeys", tag="Keys", answer="ApiKeyList",
            details="Of all tenants, and the administrators' own.",
        ),
        _row(
            "GET", "/tenants/{tenant}/keys", endpoints.keys_of_tenant, "List a tenant's API keys",
            name="listTenantKeys", tag="Keys", answer="ApiKeyList", errors=(TenantNotFound,),
        ),
        _row(
            "POST", "/tenants/{tenant}/keys", endpoints.create_key, "Create an API key",
            name="createKey", tag="Keys", body="NewApiKey", optional_body=True, answer="NewKey",
            errors=(TenantNotFound,),
            details="The key's text is told this once. Administrators' keys are made on the command line alone.",
        ),
        _row(
            "POST", "/keys/{key_id}/rotate", endpoints.rotate_key, "Give an API key a new secret",
            name="rotateKey", tag="Keys", body="Rotate", optional_body=True, answer="NewKey",
            errors=(ApiKeyNotFound, Conflict),
            details="The secret before it works on for 'grace_s' seconds. While it does, rotating again is a conflict; "
            "with 'again' it replaces the newer secret, for an answer that was lost.",
        ),
        _row(
            "POST", "/keys/{key_id}/revoke", endpoints.revoke_key, "Revoke an API key",
            name="revokeKey", tag="Keys", answer="ApiKey", errors=(ApiKeyNotFound, Conflict),
            details="Within a second it is refused everywhere. One that is revoked stays as it is.",
        ),
    ]  # fmt: skip


def _audit(endpoints: AdminEndpoints) -> list[Route]:
    return [
        _row(
            "GET", "/audit", endpoints.audit, "Read what administrators did",
            name="readAdminAudit", tag="Audit", query="AuditQuery", answer="AuditList",
        ),
        _row(
            "GET", "/audit/verify", endpoints.verify_audit, "Verify what administrators did",
            name="verifyAdminAudit", tag="Audit", answer="AuditVerdict",
        ),
        _row(
            "GET", "/tenants/{tenant}/audit", endpoints.audit, "Read a tenant's audit trail",
            name="readAudit", tag="Audit", query="AuditQuery", answer="AuditList", errors=(TenantNotFound,),
            details="It outlives the tenant.",
        ),
        _row(
            "GET", "/tenants/{tenant}/audit/verify", endpoints.verify_audit, "Verify a tenant's audit trail",
            name="verifyAudit", tag="Audit", answer="AuditVerdict", errors=(TenantNotFound,),
            details="Goes through all of it: nothing in it was altered, taken out or put in.",
        ),
    ]  # fmt: skip


def _live(endpoints: AdminEndpoints) -> Route:
    return Route(
        "GET", "/livez", endpoints.live, "Whether the process serves",
        name="adminLive", tag="Service", scope=PUBLIC, answer="Health", extension=True,
    )  # fmt: skip
