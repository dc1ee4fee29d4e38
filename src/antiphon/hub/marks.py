"""
The mark of who made it, on what a client carries for an upstream.

Encrypted reasoning can be read by nobody but the account that wrote it; sent to another one it fails the whole request.
So what a client is shown of it bears a mark, in every dialect the same, and goes back only where the mark leads.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import sha256

__all__ = ["marked", "unmarked"]

_PREFIX = "antiphon."
_HASH_DIGITS = 16


def marked(content: str, provider: str, account: str) -> str:
    """*content* of an account, as a client sees it."""
    return f"{_mark_of(provider, account)}{content}"


def unmarked(content: str, provider: str, account: str) -> str | None:
    """
    What an account wrote, of what a client sent; None if another one wrote it.

    What bears no mark was never shown by a gateway: the client has it from the upstream itself.
    """
    if not content.startswith(_PREFIX):
        return content
    own = _mark_of(provider, account)
    return content.removeprefix(own) if content.startswith(own) else None


@lru_cache(maxsize=256)
def _mark_of(provider: str, account: str) -> str:
    return f"{_PREFIX}{sha256(f'{provider}/{account}'.encode()).hexdigest()[:_HASH_DIGITS]}."
