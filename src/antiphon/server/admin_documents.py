"""
What the administrators' API answers, as data, and the schemas of its bodies for the published document.

Of an API key there is its text in the answer to whoever had it made, and nowhere else; a hash is never told.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from antiphon.engine.administration import MintedKey, TenantDetails
from antiphon.engine.administration_requests import Erase, NewApiKey, NewTenant, Rotate, TenantChanges, is_tenant
from antiphon.hub.items import JsonObject
from antiphon.hub.principal import Limits
from antiphon.sessions.directory import ApiKeyRecord, AuditPage, Erasure, TenantRecord

__all__ = [
    "ApiKeyList",
    "AuditQuery",
    "AuditVerdict",
    "DryRunQuery",
    "KeyRotation",
    "TenantList",
    "api_key",
    "audit_list",
    "new_key",
    "receipt",
    "schemas",
    "tenant",
    "tenant_with_keys",
]


class _Document(msgspec.Struct, frozen=True, kw_only=True):
    """The root of the documents below."""


class Tenant(_Document, frozen=True, kw_only=True):
    """A tenant: the unit of isolation. Times are seconds since the epoch."""

    id: str
    object: Literal["tenant"] = "tenant"
    created_at: int
    state: Literal["active", "suspended", "erasing"]
    retention_days: Annotated[float | None, Meta(description="Null: as the gateway is configured.")]
    max_stored_bytes: Annotated[int | None, Meta(description="Null: no limit.")]
    stored_bytes: Annotated[int, Meta(description="What it has stored, in bytes.")]


class SealingKey(_Document, frozen=True, kw_only=True):
    """A version of the key that a tenant's content is sealed under; the key itself is nowhere."""

    version: int
    state: Annotated[Literal["next", "active", "retiring"], Meta(description="Only the active one seals.")]
    root_key: Annotated[str, Meta(description="The root key that it is wrapped with, by its name.")]
    created_at: int


class ApiKey(_Document, frozen=True, kw_only=True):
    """An API key, without the key. Times are seconds since the epoch."""

    id: str
    object: Literal["api_key"] = "api_key"
    tenant: Annotated[str | None, Meta(description="Null: an administrator's.")]
    name: str
    hint: Annotated[str, Meta(description="The last characters of its secret.")]
    scopes: tuple[str, ...]
    models: Annotated[tuple[str, ...] | None, Meta(description="Null: all.")]
    limits: Limits
    created_at: int
    created_by: str
    expires_at: int | None
    revoked_at: int | None
    last_used_at: Annotated[int | None, Meta(description="To about a minute.")]
    previous_secret_until: Annotated[int | None, Meta(description="Until when the secret before the last one works.")]


class NewKey(ApiKey, frozen=True, kw_only=True):
    """An API key that was made just now, with its text, which is told this once."""

    key: str


class TenantWithKeys(Tenant, frozen=True, kw_only=True):
    """A tenant with all that belongs to it."""

    sealing_keys: tuple[SealingKey, ...]
    api_keys: tuple[ApiKey, ...]


class TenantList(_Document, frozen=True, kw_only=True):
    """All tenants, by name."""

    object: Literal["list"] = "list"
    data: tuple[Tenant, ...]


class ApiKeyList(_Document, frozen=True, kw_only=True):
    """API keys, oldest first."""

    object: Literal["list"] = "list"
    data: tuple[ApiKey, ...]


class Receipt(_Document, frozen=True, kw_only=True):
    """What was erased; of a dry run, what would be."""

    object: Literal["erasure"] = "erasure"
    tenant: str
    dry_run: bool
    responses: tuple[str, ...]
    conversations: tuple[str, ...]
    prompts: tuple[str, ...]
    items: Annotated[int, Meta(description="How many items' content.")]
    other: Annotated[Mapping[str, int], Meta(description="How many rows of what follows from these, by table.")]
    keys_destroyed: Annotated[int, Meta(description="How many keys, so that no copy can be opened.")]
    payload_bytes: int


class KeyRotation(_Document, frozen=True, kw_only=True):
    """A change of a tenant's sealing key, which goes on in the background."""

    object: Literal["key_rotation"] = "key_rotation"
    tenant: str
    status: Literal["running"] = "running"


class AuditEntryDocument(_Document, frozen=True, kw_only=True):
    """Somebody did something to something; the link ties it to all entries before it."""

    index: int
    object: Literal["audit_entry"] = "audit_entry"
    at_ms: Annotated[int, Meta(description="Milliseconds since the epoch.")]
    actor: str
    action: str
    object_id: str
    outcome: Annotated[str, Meta(description="'ok', or the code of the error.")]
    request_id: str
    link: Annotated[str, Meta(description="In hexadecimal.")]


class AuditList(_Document, frozen=True, kw_only=True):
    """Some entries of an audit trail, oldest first."""

    object: Literal["list"] = "list"
    data: tuple[AuditEntryDocument, ...]
    has_more: bool


class AuditVerdict(_Document, frozen=True, kw_only=True):
    """Whether an audit trail is whole."""

    object: Literal["audit_verification"] = "audit_verification"
    tenant: str
    sound: bool
    problems: tuple[str, ...]


class ErrorBody(_Document, frozen=True, kw_only=True):
    """What went wrong."""

    message: str
    type: str
    param: str | None
    code: str | None


class Error(_Document, frozen=True, kw_only=True):
    """OpenAI's envelope of an error."""

    error: ErrorBody


class DryRunQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whether to change nothing, and only tell what would go."""

    dry_run: Annotated[bool, Meta(description="Change nothing, and answer what would go.")] = False


class AuditQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which entries of an audit trail."""

    after: Annotated[int, Meta(ge=0, description="The index of the entry after which the page begins.")] = 0
    limit: Annotated[int, Meta(ge=1, le=1000)] = 100
    object_id: Annotated[str | None, Meta(description="Of what was done to this id.")] = None
    actor: Annotated[str | None, Meta(description="Of what this actor did.")] = None


def tenant(record: TenantRecord) -> Tenant:
    """A tenant, as it is answered."""
    return Tenant(**_of_tenant(record))


def tenant_with_keys(details: TenantDetails) -> TenantWithKeys:
    """A tenant with all that belongs to it."""
    return TenantWithKeys(
        **_of_tenant(details.record),
        sealing_keys=tuple(
            SealingKey(version=key.version, state=key.state, root_key=key.root_ref, created_at=key.created_at)
            for key in details.keys
        ),
        api_keys=tuple(map(api_key, details.api_keys)),
    )


def api_key(record: ApiKeyRecord) -> ApiKey:
    """An API key, as it is answered."""
    return ApiKey(**_of_key(record))


def new_key(minted: MintedKey) -> NewKey:
    """An API key with its text."""
    return NewKey(**_of_key(minted.record), key=minted.key.text)


def receipt(erased: Erasure, tenant: str, *, dry_run: bool) -> Receipt:
    """What was erased, or would be."""
    return Receipt(tenant=tenant, dry_run=dry_run, **msgspec.structs.asdict(erased))


def audit_list(page: AuditPage) -> AuditList:
    """A page of a trail."""
    return AuditList(
        data=tuple(
            AuditEntryDocument(index=record.index, link=record.link.hex(), **msgspec.structs.asdict(record.entry))
            for record in page.records
        ),
        has_more=page.has_more,
    )


def _of_tenant(record: TenantRecord) -> dict[str, Any]:
    return {
        "id": record.id,
        "created_at": record.created_at,
        "state": record.state,
        "retention_days": record.retention_days,
        "max_stored_bytes": record.max_stored_bytes,
        "stored_bytes": record.stored_bytes,
    }


def _of_key(record: ApiKeyRecord) -> dict[str, Any]:
    return {
        "id": record.key_id,
        "tenant": record.tenant if is_tenant(record.tenant) else None,
        "name": record.name,
        "hint": record.hint,
        "scopes": record.scopes,
        "models": record.models,
        "limits": record.limits,
        "created_at": record.created_at,
        "created_by": record.created_by,
        "expires_at": record.expires_at,
        "revoked_at": record.revoked_at,
        "last_used_at": record.last_used_at,
        "previous_secret_until": record.previous_until,
    }


# Every body, query and answer of the administrators' API.
_PUBLISHED = (
    NewTenant,
    TenantChanges,
    NewApiKey,
    Rotate,
    Erase,
    DryRunQuery,
    AuditQuery,
    Tenant,
    TenantWithKeys,
    TenantList,
    ApiKeyList,
    ApiKey,
    NewKey,
    Receipt,
    KeyRotation,
    AuditList,
    AuditVerdict,
    Error,
)


def schemas() -> dict[str, JsonObject]:
    """The schemas of all of them, by name, made from the types that are decoded and encoded."""
    _, found = msgspec.json.schema_components(_PUBLISHED, ref_template="#/components/schemas/{name}")
    return {
        **found,
        "Health": {"type": "object", "properties": {"status": {"const": "ok"}}, "required": ["status"]},
        "Document": {"type": "object", "description": "An OpenAPI 3.1 document."},
        "Page": {"type": "string", "description": "HTML."},
    }
