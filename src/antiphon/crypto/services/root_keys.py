"""
Root keys that this process holds itself: read from a file or the environment, or made for a store in memory.

A root key is named by its *check value*, which everybody may know: ``local:`` and 16 hex digits of an HMAC under the
key. So it has one name wherever it is kept, and a wrong key is told from the right one before anything is opened.

Keys are wrapped with AES-256-GCM under a key that HKDF-SHA-256 derives from the root key:

    wrapped   nonce (12) | ciphertext | tag (16)
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Sequence
from itertools import pairwise

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from antiphon.crypto.envelope import KEY_BYTES, NONCE_BYTES
from antiphon.crypto.nonces import next_nonce
from antiphon.crypto.services.service import KeyContext, Wrapped
from antiphon.hub.errors import KeysUnavailable, StoreCorrupt

__all__ = ["RootKey", "RootKeys", "parse_root_key"]

_CHECK_BYTES = 8
# 32 random bytes have some 30 different ones; fewer than this many come of a pattern, not of a random source.
_FEWEST_DIFFERENT = 16


class RootKey:
    """
    A root key.

    Args:
        key: 32 random bytes.

    Attributes:
        check_value: 16 hex digits that tell this key from others, and tell nothing of it.
        ref: Its name with what it has wrapped.

    Raises:
        ValueError: It is not 32 bytes, or plainly not random.
    """

    def __init__(self, key: bytes) -> None:
        _refuse_weak(key)
        self.check_value = hmac.digest(key, b"antiphon/v1/key-check", "sha256")[:_CHECK_BYTES].hex()
        self.ref = f"local:{self.check_value}"
        self._text = base64.b64encode(key).decode("ascii")
        self._aes = AESGCM(HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=b"antiphon/v1/root").derive(key))

    def __repr__(self) -> str:
        return f"RootKey({self.ref})"

    def reveal(self) -> str:
        """The key itself, in base64, to be written where it is kept."""
        return self._text

    def wrap(self, key: bytes, context: KeyContext, nonce: bytes) -> bytes:
        """A wrapped key."""
        return nonce + self._aes.encrypt(nonce, key, context.encode())

    def unwrap(self, blob: bytes, context: KeyContext) -> bytes:
        """
        What was wrapped.

        Raises:
            StoreCorrupt: It was altered, or wrapped for something else.
        """
        try:
            return self._aes.decrypt(blob[:NONCE_BYTES], blob[NONCE_BYTES:], context.encode())
        except (InvalidTag, ValueError):
            raise StoreCorrupt(
                f"The wrapped key {context.version} of tenant '{context.tenant}' cannot be opened with the root key "
                f"'{self.ref}' that it names: it was altered, or belongs somewhere else."
            ) from None


class RootKeys:
    """
    Some root keys, of which the first wraps.

    Args:
        place: Where they were found, for messages.
    """

    def __init__(self, keys: Sequence[RootKey], place: str) -> None:
        self._keys = {key.ref: key for key in keys}
        self._place = place

    @property
    def active(self) -> RootKey:
        """
        The one that wraps.

        Raises:
            KeysUnavailable: There is none.
        """
        for key in self._keys.values():
            return key
        raise KeysUnavailable(f"There is no root key in {self._place}.")

    @property
    def refs(self) -> tuple[str, ...]:
        """All of them, the one that wraps first."""
        return tuple(self._keys)

    def wrap(self, key: bytes, context: KeyContext) -> Wrapped:
        """See :meth:`KeyService.wrap`."""
        return Wrapped(self.active.ref, self.active.wrap(key, context, next_nonce()))

    def unwrap(self, ref: str, blob: bytes, context: KeyContext) -> bytes:
        """See :meth:`KeyService.unwrap`."""
        root = self._keys.get(ref)
        if root is None:
            raise KeysUnavailable(f"The root key '{ref}' is needed, and is not in {self._place}.")
        return root.unwrap(blob, context)


def parse_root_key(text: str) -> RootKey:
    """
    A root key in base64.

    Raises:
        ValueError: It is none. The message does not repeat it.
    """
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("it is not base64") from None
    return RootKey(key)


def _refuse_weak(key: bytes) -> None:
    """Keys that people write when they are asked for one. What a random source gives passes but once in 10^14."""
    if not key:
        raise ValueError("it is empty")
    if len(key) != KEY_BYTES:
        raise ValueError(f"it has {len(key)} bytes instead of {KEY_BYTES}")
    if len(set(key)) < _FEWEST_DIFFERENT:
        raise ValueError("it repeats a few bytes, so it is not random")
    if len({(after - before) % 256 for before, after in pairwise(key)}) == 1:
        raise ValueError("it is a sequence of numbers, so it is not random")
    if all(0x20 <= byte < 0x7F for byte in key):
        raise ValueError("it is a text, so it is not random")
