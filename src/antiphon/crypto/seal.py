"""
Sealed texts: opaque to whoever carries them, and opened only here, for the purpose and the tenant they were made for.

    ags1_<base64url of nonce (12 bytes), ciphertext, tag (16 bytes)>

AES-256-GCM (NIST SP 800-38D) under a key that HKDF-SHA-256 (RFC 5869) derives from the secret, so that the same secret
may serve other ends. The version in front and the associated data are authenticated with the text. A text has exactly
one form: what was padded, re-encoded or cut is refused like what was altered.
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from antiphon.hub.errors import InvalidEncryptedContent

__all__ = ["Sealer"]

_PREFIX = "ags1_"
_KEY_BYTES = 32
_NONCE_BYTES = 12
_TAG_BYTES = 16


class Sealer:
    """
    Seals and opens texts under one secret.

    Args:
        key: 32 random bytes, which only those share who may open each other's texts: one tenant.

    Raises:
        ValueError: The key has another length.

    Note:
        About 15 µs to make, below 0.1 ms to seal or open 4 KB. Nonces are random: up to 2^32 texts for one key.
    """

    def __init__(self, key: bytes) -> None:
        if len(key) != _KEY_BYTES:
            raise ValueError(f"A sealing key has {_KEY_BYTES} bytes, not {len(key)}.")
        derived = HKDF(algorithm=SHA256(), length=_KEY_BYTES, salt=None, info=b"antiphon/v1/seal").derive(key)
        self._cipher = AESGCM(derived)

    def seal(self, plaintext: bytes, aad: Sequence[str]) -> str:
        """
        A text that :meth:`open` turns back into *plaintext*.

        Args:
            aad: What it is bound to, such as its purpose and its tenant. Not part of the text.
        """
        nonce = os.urandom(_NONCE_BYTES)
        sealed = nonce + self._cipher.encrypt(nonce, plaintext, _associated(aad))
        return _PREFIX + _encode(sealed)

    def open(self, text: str, aad: Sequence[str]) -> bytes:
        """
        What was sealed.

        Raises:
            InvalidEncryptedContent: It was not sealed with this key for this *aad*, or was altered since.
        """
        sealed = _decode(text)
        try:
            return self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], _associated(aad))
        except InvalidTag:
            raise InvalidEncryptedContent from None


def _associated(aad: Sequence[str]) -> bytes:
    """The version and each part behind its length: ("ab", "c") and ("a", "bc") are two different things."""
    parts = [part.encode() for part in (_PREFIX, *aad)]
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def _encode(sealed: bytes) -> str:
    return base64.urlsafe_b64encode(sealed).rstrip(b"=").decode("ascii")


def _decode(text: str) -> bytes:
    encoded = text.removeprefix(_PREFIX)
    try:
        sealed = base64.b64decode(encoded + "=" * (-len(encoded) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise InvalidEncryptedContent from None
    if _PREFIX + _encode(sealed) != text or len(sealed) < _NONCE_BYTES + _TAG_BYTES:
        raise InvalidEncryptedContent
    return sealed
