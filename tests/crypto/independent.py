"""
The format of sealed content, written a second time from its description: HKDF of HMACs, associated data by hand.

What the product makes is held against this, so that both would have to be wrong in the same way.
"""

from __future__ import annotations

import hashlib
import hmac
import struct

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

__all__ = ["aad", "commitment_of", "family_key", "hkdf", "payload", "root_wrapped", "seal", "tenant_key", "wrapped"]


def hkdf(key: bytes, salt: bytes, info: bytes, length: int) -> bytes:
    """RFC 5869 with SHA-256."""
    extracted = hmac.new(salt or bytes(32), key, hashlib.sha256).digest()
    block, made = b"", b""
    while len(made) < length:
        block = hmac.new(extracted, block + info + bytes([len(made) // 32 + 1]), hashlib.sha256).digest()
        made += block
    return made[:length]


def parts(*values: bytes) -> bytes:
    """Each behind its length."""
    return b"".join(struct.pack(">I", len(value)) + value for value in values)


def aad(tenant: str, table: str, row_id: str, family: str) -> bytes:
    """What a payload is bound to."""
    return parts(b"\x01", tenant.encode(), table.encode(), row_id.encode(), family.encode())


def family_key(key: bytes, salt: bytes) -> tuple[bytes, bytes]:
    """A family's key, and its commitment."""
    made = hkdf(key, salt, b"antiphon/v1/family", 64)
    return made[:32], made[32:]


def tenant_key(key: bytes) -> bytes:
    """The key of what belongs to a tenant as a whole."""
    return hkdf(key, b"", b"antiphon/v1/tenant", 32)


def seal(salt: bytes, keys: dict[int, bytes]) -> bytes:
    """What is kept with a family."""
    return salt + b"".join(struct.pack(">I", version) + family_key(keys[version], salt)[1] for version in sorted(keys))


def payload(key: bytes, version: int, nonce: bytes, plaintext: bytes, bound_to: bytes) -> bytes:
    """A sealed payload."""
    return b"\x01" + struct.pack(">I", version) + nonce + AESGCM(key).encrypt(nonce, plaintext, bound_to)


def commitment_of(key: bytes, tenant: str, version: int) -> bytes:
    """The commitment to a tenant's key."""
    return hkdf(key, b"", parts(b"antiphon/v1/tenant-key", tenant.encode(), struct.pack(">I", version)), 32)


def root_wrapped(root: bytes, nonce: bytes, key: bytes, tenant: str, version: int) -> bytes:
    """What a root key of this process makes of a tenant's key."""
    bound_to = parts(b"antiphon/v1/wrap", tenant.encode(), struct.pack(">I", version))
    return nonce + AESGCM(hkdf(root, b"", b"antiphon/v1/root", 32)).encrypt(nonce, key, bound_to)


def wrapped(key: bytes, tenant: str, version: int, blob: bytes) -> bytes:
    """A tenant's key as the store keeps it."""
    return b"\x01" + commitment_of(key, tenant, version) + blob
