"""Who calls: the principal, the tenant that everything it does belongs to, and what it may do."""

from __future__ import annotations

from typing import Final, Literal, get_args

import msgspec

from antiphon.hub.ids import TenantId

__all__ = ["ADMIN_SCOPES", "LOCAL", "TENANT_SCOPES", "Limits", "Principal", "Scope"]

Scope = Literal[
    "responses:write",
    "responses:read",
    "responses:delete",
    "conversations:write",
    "conversations:read",
    "conversations:delete",
    "prompts:write",
    "prompts:read",
    "prompts:delete",
    "models:read",
    "webhooks:read",
    "end_users:export",
    "end_users:erase",
    "audit:read",
    "admin",
]

# An administrator's credential is of a class of its own: it manages tenants and keys, and reads no tenant's content.
ADMIN_SCOPES: Final[frozenset[Scope]] = frozenset({"admin"})
TENANT_SCOPES: Final[frozenset[Scope]] = frozenset(get_args(Scope)) - ADMIN_SCOPES


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What a principal may use; None where there is no limit."""

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    parallel_turns: int | None = None


class Principal(msgspec.Struct, frozen=True, kw_only=True):
    """
    An authenticated caller.

    Attributes:
        tenant: The unit of isolation. Nothing of another tenant can be reached on behalf of this principal.
        actor: Who it is in the audit trail: a key id, ``jwt:`` and a hash, or ``local``.
        scopes: What it may do.
        models: The names that it may ask models by; None for all.
        limits: What it may use, counted by *actor*.
    """

    tenant: TenantId
    actor: str = "local"
    scopes: frozenset[Scope] = TENANT_SCOPES
    models: frozenset[str] | None = None
    limits: Limits = Limits()

    def may_ask_for(self, model: str) -> bool:
        """Whether it may ask for a model by this name."""
        return self.models is None or model in self.models


# Everybody who reaches a keyless gateway on the loopback interface.
LOCAL = Principal(tenant=TenantId("default"))
