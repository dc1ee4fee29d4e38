"""
A tenant's secret: 32 random bytes, made once and kept sealed.

Whatever the store has to compare without knowing it is hashed under this: metadata that is searched by, idempotency
keys, end users. Compaction items are sealed under it as well. No two purposes hash the same words.
"""

from __future__ import annotations

import hmac
import os

from antiphon.sessions.payloads import Payloads
from antiphon.sessions.vault import TenantVault

__all__ = ["TenantSecret", "keyed_hash"]

_BYTES = 32


class TenantSecret:
    """The secret of one tenant: read once, when it is first needed."""

    def __init__(self, store: TenantVault, payloads: Payloads) -> None:
        self._store = store
        self._payloads = payloads
        self._secret: bytes | None = None

    async def read(self) -> bytes:
        """
        The secret; made, if this tenant has none yet.

        Raises:
            KeysUnavailable: The key service does not answer.
            StoreCorrupt: It is there and cannot be opened.
        """
        if self._secret is None:
            sealed = await self._store.read_secret()
            if sealed is None:
                # Whoever is first decides; everybody else is given that one.
                sealed = await self._store.secret(await self._payloads.secret(os.urandom(_BYTES)))
            self._secret = await self._payloads.open_secret(sealed)
        return self._secret


def keyed_hash(secret: bytes, purpose: bytes, value: bytes) -> bytes:
    """HMAC-SHA-256 of a value, for one purpose."""
    return hmac.digest(secret, purpose + b"\x00" + value, "sha256")
