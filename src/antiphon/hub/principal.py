"""Who calls: the principal, and the tenant that everything it does belongs to."""

from __future__ import annotations

import msgspec

from antiphon.hub.ids import TenantId

__all__ = ["LOCAL", "Principal"]


class Principal(msgspec.Struct, frozen=True, kw_only=True):
    """
    An authenticated caller.

    Attributes:
        tenant: The unit of isolation. Nothing of another tenant can be reached on behalf of this principal.
    """

    tenant: TenantId


# Everybody who reaches a keyless gateway on the loopback interface.
LOCAL = Principal(tenant=TenantId("default"))
