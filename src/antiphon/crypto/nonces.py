"""
Random nonces and salts: the operating system's randomness, fetched in blocks, since a turn needs half a dozen of them.

A nonce is handed out once. A process that was forked begins with a block of its own. If the operating system has no
randomness to give, or gives the same again, nothing is sealed: there is no other source.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from antiphon.crypto.envelope import NONCE_BYTES
from antiphon.hub.errors import KeysUnavailable

__all__ = ["NoncePool", "next_nonce", "next_salt", "random_key"]

_BLOCK_NONCES = 256
_KEY_BYTES = 32
_SALT_BYTES = 32


class NoncePool:
    """
    Hands out a few random bytes at a time, to any thread.

    Args:
        random_bytes: The source; a test passes one that fails.
        size: How many bytes at a time.
    """

    def __init__(self, random_bytes: Callable[[int], bytes] = os.urandom, *, size: int = NONCE_BYTES) -> None:
        self._random_bytes = random_bytes
        self._size = size
        self._nonces: list[bytes] = []
        self._last = b""

    def __call__(self) -> bytes:
        """
        The next nonce.

        Raises:
            KeysUnavailable: There is no randomness to be had.
        """
        try:
            return self._nonces.pop()  # atomic: two threads are never given the same
        except IndexError:
            return self._refill()

    def clear(self) -> None:
        """Forget what was fetched: what another process may hand out as well."""
        self._nonces.clear()

    def _refill(self) -> bytes:
        block = _random(self._random_bytes, self._size * _BLOCK_NONCES)
        nonces = [block[start : start + self._size] for start in range(0, len(block), self._size)]
        if block == self._last or len(set(nonces)) != _BLOCK_NONCES:
            raise KeysUnavailable("The operating system's random numbers repeat. Nothing is sealed with such.")
        self._last = block
        first = nonces.pop()
        self._nonces.extend(nonces)
        return first


def random_key(random_bytes: Callable[[int], bytes] = os.urandom) -> bytes:
    """
    32 random bytes, for a key or a salt.

    Raises:
        KeysUnavailable: There is no randomness to be had.
    """
    return _random(random_bytes, _KEY_BYTES)


def _random(random_bytes: Callable[[int], bytes], size: int) -> bytes:
    try:
        block = random_bytes(size)
    except (OSError, NotImplementedError) as error:
        raise KeysUnavailable("The operating system gives no random numbers. Nothing is sealed without.") from error
    if len(block) != size:
        raise KeysUnavailable("The operating system gives too few random numbers. Nothing is sealed with such.")
    return block


next_nonce = NoncePool()
next_salt = NoncePool(size=_SALT_BYTES)  # of a family; no secret, but never the same twice
os.register_at_fork(after_in_child=next_nonce.clear)
os.register_at_fork(after_in_child=next_salt.clear)
