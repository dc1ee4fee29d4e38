"""
Search: how what clients look for is said to a store that knows no content.

A *term* is a keyed hash of one name and value of an object's metadata, or of the dialect that a response was asked for
in. The store can compare terms, and learns from them only which objects have something in common.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping

from antiphon.hub.library import ListRequest
from antiphon.sessions.library import Filter
from antiphon.sessions.secret import TenantSecret

__all__ = ["Search", "term"]

# 128 bits: even a tenant with billions of pairs meets no collision by chance.
_TERM_BYTES = 16
# The tenant's secret is used for other hashes too; no two of them hash the same words.
_PURPOSE = b"metadata term\x00"
_OF_ORIGIN = b"origin term\x00"


class Search:
    """What one tenant's objects are found by."""

    def __init__(self, secret: TenantSecret) -> None:
        self._secret = secret

    async def terms(self, metadata: Mapping[str, str], *, dialect: str | None = None) -> tuple[bytes, ...]:
        """
        The terms of an object: of its metadata and, for a response that was asked for in another dialect, of that.

        Nothing is asked of the store for an object without any. A list is read by the first of its terms, and most
        have the dialect's, so that one comes last.
        """
        if not metadata and dialect is None:
            return ()
        secret = await self._secret.read()
        of_metadata = tuple(term(secret, name, value) for name, value in metadata.items())
        return of_metadata if dialect is None else (*of_metadata, _origin_term(secret, dialect))

    async def filter(self, wanted: ListRequest, *, dialect: str | None = None) -> Filter:
        """
        What the store is asked for a list.

        Args:
            dialect: Only responses that were asked for in it; None for all.
        """
        return Filter(
            limit=wanted.limit,
            order=wanted.order,
            after=wanted.after,
            created_from=None if wanted.created_after is None else wanted.created_after + 1,
            created_before=wanted.created_before,
            terms=await self.terms(wanted.metadata, dialect=dialect),
            model=wanted.model,
            status=wanted.status,
            conversation_id=wanted.conversation,
        )


def term(secret: bytes, name: str, value: str) -> bytes:
    """The term of one pair. The name's length stands before it, so no other pair reads the same."""
    name_bytes = name.encode()
    message = _PURPOSE + len(name_bytes).to_bytes(4, "big") + name_bytes + value.encode()
    return hmac.digest(secret, message, "sha256")[:_TERM_BYTES]


def _origin_term(secret: bytes, dialect: str) -> bytes:
    return hmac.digest(secret, _OF_ORIGIN + dialect.encode(), "sha256")[:_TERM_BYTES]
