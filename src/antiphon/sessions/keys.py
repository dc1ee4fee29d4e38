"""
Idempotency keys of one tenant: who carries a request out, and what became of it.

The store never sees a key or a request, only hashes of them under the tenant's own secret.
"""

from __future__ import annotations

import asyncio

import msgspec
import orjson

from antiphon.hub.errors import IdempotencyKeyReused
from antiphon.hub.items import JsonObject
from antiphon.sessions.kept import Kept, UnstoredAnswer
from antiphon.sessions.payloads import Payloads
from antiphon.sessions.secret import TenantSecret, keyed_hash
from antiphon.sessions.store import TenantStore
from antiphon.sessions.work import KeyClaim, KeyRecord, Settlement

__all__ = ["IdempotencyKeys", "KeyedRequest", "Outcome"]

_HASH_IN_THREAD_BYTES = 256 * 1024


class KeyedRequest(msgspec.Struct, frozen=True):
    """
    A request with an idempotency key.

    Attributes:
        key: What the client sent.
        operation: Method and path: the same key for another operation is another request.
        body: The request's body.
    """

    key: str
    operation: str
    body: JsonObject


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """
    What became of a key that somebody else has, or had.

    Attributes:
        response_id: The turn that was begun for it.
        settled: The request was carried out.
        kept: What was kept of its answer, if it is not a turn.
    """

    response_id: str | None
    settled: bool
    kept: Kept | None


class IdempotencyKeys:
    """See the module."""

    def __init__(self, store: TenantStore, payloads: Payloads, secret: TenantSecret) -> None:
        self._store = store
        self._payloads = payloads
        self._secret = secret

    async def hashes(self, request: KeyedRequest) -> tuple[bytes, bytes]:
        """The hash that the key is kept under, and the fingerprint of the request."""
        secret = await self._secret.read()
        written = orjson.dumps([request.operation, request.body], option=orjson.OPT_SORT_KEYS)
        key = keyed_hash(secret, b"idempotency key", request.key.encode())
        if len(written) > _HASH_IN_THREAD_BYTES:  # 32 MiB take as long as a hundred turns
            return key, await asyncio.to_thread(keyed_hash, secret, b"idempotent request", written)
        return key, keyed_hash(secret, b"idempotent request", written)

    async def take(
        self, key: bytes, fingerprint: bytes, *, holder: str, ttl_s: float, expires_at: int
    ) -> KeyClaim | Outcome:
        """
        Take a key, or hear what became of it.

        Raises:
            IdempotencyKeyReused: It was used for another request.
        """
        taken = await self._store.take_key(key, fingerprint, holder=holder, ttl_s=ttl_s, expires_at=expires_at)
        if isinstance(taken, KeyClaim):
            return taken
        if taken.fingerprint != fingerprint:
            raise IdempotencyKeyReused
        return await self._outcome(key, taken)

    async def settlement(self, claim: KeyClaim, kept: Kept | None) -> Settlement:
        """
        What settles a key with what its request created; None keeps no answer.

        An answer that holds content goes with what it is of. One that only names what was created stays, so that who
        asks again hears that it was deleted.
        """
        if kept is None:
            return Settlement(claim=claim, answer=None)
        about = kept.response_id if isinstance(kept, UnstoredAnswer) else None
        return Settlement(
            claim=claim, answer=await self._payloads.answer(msgspec.to_builtins(kept), claim.key), about=about
        )

    async def settle(self, settlement: Settlement) -> None:
        """See :meth:`TenantStore.settle_key`."""
        await self._store.settle_key(settlement)

    async def release(self, claim: KeyClaim) -> None:
        """See :meth:`TenantStore.release_key`."""
        await self._store.release_key(claim)

    async def _outcome(self, key: bytes, record: KeyRecord) -> Outcome:
        kept = None if record.answer is None else await self._payloads.open_answer(record.answer, key)
        return Outcome(
            response_id=record.response_id,
            settled=record.settled,
            kept=None if kept is None else msgspec.convert(kept, Kept),
        )
