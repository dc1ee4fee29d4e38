"""
The bytes that sealing makes: what is derived from what, and how it is laid out. Pure functions; keys in, bytes out.

    payload       0x01 | tenant key version (4) | nonce (12) | AES-256-GCM ciphertext | tag (16)
    family seal   salt (32) | once or more: tenant key version (4) | commitment (32)
    wrapped key   0x01 | commitment (32) | what a key service made of the tenant key

Numbers are big endian. A family's key and its commitment are the two halves of HKDF-SHA-256 (RFC 5869) of the tenant
key and the family's salt; what belongs to a tenant as a whole has a key without salt. AES-GCM (NIST SP 800-38D) alone
lets who knows two keys make one ciphertext that opens under both, so a key is only used where its commitment stands.

The form is frozen: vectors of every part of it are in ``tests/crypto/vectors.json``.
"""

from __future__ import annotations

import hmac
from collections.abc import Collection, Mapping
from typing import Final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from antiphon.hub.ids import Family, TenantId
from antiphon.sessions.codec import SEALED_VERSION

__all__ = [
    "HEADER_BYTES",
    "KEY_BYTES",
    "NONCE_BYTES",
    "SALT_BYTES",
    "FamilySeal",
    "InvalidEnvelope",
    "PayloadCipher",
    "WrappedTenantKey",
    "associated_data",
    "derive_family",
    "derive_tenant_family",
    "found_seal",
    "header_of",
    "parse_seal",
    "parse_wrapped",
    "place_head",
    "place_tail",
    "tenant_key_commitment",
]

KEY_BYTES: Final = 32
SALT_BYTES: Final = 32
NONCE_BYTES: Final = 12
HEADER_BYTES: Final = 5

_VERSION_BYTES = 4
_TAG_BYTES = 16
_COMMITMENT_BYTES = 32
_SHORTEST = HEADER_BYTES + NONCE_BYTES + _TAG_BYTES
_NONCE_END = HEADER_BYTES + NONCE_BYTES
_WRAPPED_FORMAT = b"\x01"
_SHA256 = SHA256()


class InvalidEnvelope(Exception):
    """
    Bytes that are not what they should be: of another form, cut, altered, or sealed with another key or for another
    place. Says which, and nothing of what is in them.
    """


def associated_data(*parts: bytes) -> bytes:
    """Each part behind its length, so that ("ab", "c") and ("a", "bc") are two different things."""
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


# Payloads.


def header_of(version: int) -> bytes:
    """What a payload begins with that was sealed under this version of its tenant's key."""
    return SEALED_VERSION + version.to_bytes(_VERSION_BYTES, "big")


class PayloadCipher:
    """
    Seals and opens payloads with one key.

    Args:
        version: Of the tenant key that the key was derived from.
        key: 32 bytes.

    Attributes:
        header: What its payloads begin with.
    """

    __slots__ = ("_aes", "header")

    def __init__(self, version: int, key: bytes) -> None:
        self.header = header_of(version)
        self._aes = AESGCM(key)

    def seal(self, plaintext: bytes, aad: bytes, nonce: bytes) -> bytes:
        """A payload. *nonce* is 12 bytes that this key never saw before: 2^32 random ones at most."""
        if len(nonce) != NONCE_BYTES:
            raise ValueError(f"A nonce has {NONCE_BYTES} bytes, not {len(nonce)}.")
        return self.header + nonce + self._aes.encrypt(nonce, plaintext, aad)

    def open(self, payload: bytes, aad: bytes) -> bytes:
        """
        What was sealed.

        Raises:
            InvalidEnvelope: It was not sealed with this key for this *aad*, or was altered since.
        """
        if len(payload) < _SHORTEST:
            raise InvalidEnvelope("it is cut off")
        if payload[:HEADER_BYTES] != self.header:
            raise InvalidEnvelope("it is of another version")
        try:
            return self._aes.decrypt(payload[HEADER_BYTES:_NONCE_END], memoryview(payload)[_NONCE_END:], aad)
        except InvalidTag:
            raise InvalidEnvelope("it was altered, or belongs somewhere else") from None


# Families.


class FamilySeal(msgspec.Struct, frozen=True):
    """
    What a store keeps with a family.

    Attributes:
        commitments: By the version of the tenant key that a key of the family can be derived from.
    """

    salt: bytes
    commitments: Mapping[int, bytes]

    def encode(self) -> bytes:
        """The bytes that :func:`parse_seal` reads."""
        return self.salt + b"".join(
            [
                version.to_bytes(_VERSION_BYTES, "big") + commitment
                for version, commitment in sorted(self.commitments.items())
            ]
        )

    def key(self, version: int, tenant_key: bytes) -> bytes:
        """
        The family's key under a version of the tenant key.

        Raises:
            InvalidEnvelope: The family has no commitment to it, or to another key.
        """
        key, commitment = derive_family(tenant_key, self.salt)
        if not hmac.compare_digest(self.commitments.get(version, b""), commitment):
            raise InvalidEnvelope("its seal does not commit to this key")
        return key

    def with_key(self, version: int, tenant_key: bytes) -> FamilySeal:
        """The same with one more commitment."""
        _, commitment = derive_family(tenant_key, self.salt)
        return FamilySeal(self.salt, {**self.commitments, version: commitment})

    def only(self, versions: Collection[int]) -> FamilySeal:
        """The same without commitments to other versions than these."""
        kept = {version: commitment for version, commitment in self.commitments.items() if version in versions}
        return FamilySeal(self.salt, kept)


def found_seal(salt: bytes, version: int, tenant_key: bytes) -> FamilySeal:
    """The seal of a new family. *salt* is 32 random bytes."""
    if len(salt) != SALT_BYTES:
        raise ValueError(f"A salt has {SALT_BYTES} bytes, not {len(salt)}.")
    return FamilySeal(salt, {}).with_key(version, tenant_key)


def parse_seal(seal: bytes) -> FamilySeal:
    """
    What a store keeps with a family, read.

    Raises:
        InvalidEnvelope: It has another form.
    """
    size = _VERSION_BYTES + _COMMITMENT_BYTES
    if len(seal) < SALT_BYTES + size or (len(seal) - SALT_BYTES) % size:
        raise InvalidEnvelope("its seal has another length")
    entries = [seal[start : start + size] for start in range(SALT_BYTES, len(seal), size)]
    versions = [int.from_bytes(entry[:_VERSION_BYTES], "big") for entry in entries]
    if versions != sorted(set(versions)):
        raise InvalidEnvelope("its seal has versions out of order")
    return FamilySeal(
        seal[:SALT_BYTES], {version: entry[_VERSION_BYTES:] for version, entry in zip(versions, entries, strict=True)}
    )


def derive_family(tenant_key: bytes, salt: bytes) -> tuple[bytes, bytes]:
    """The key of a family, and the commitment to it."""
    derived = _derive(tenant_key, salt, b"antiphon/v1/family", KEY_BYTES + _COMMITMENT_BYTES)
    return derived[:KEY_BYTES], derived[KEY_BYTES:]


def derive_tenant_family(tenant_key: bytes) -> bytes:
    """The key of what belongs to a tenant as a whole."""
    return _derive(tenant_key, None, b"antiphon/v1/tenant", KEY_BYTES)


# Tenant keys.


class WrappedTenantKey(msgspec.Struct, frozen=True):
    """A tenant key as a store keeps it: what its key service made of it, and a commitment to what that was."""

    commitment: bytes
    blob: bytes

    def encode(self) -> bytes:
        """The bytes that :func:`parse_wrapped` reads."""
        return _WRAPPED_FORMAT + self.commitment + self.blob

    def check(self, tenant_key: bytes, tenant: TenantId, version: int) -> None:
        """
        See that an unwrapped key is the one that was wrapped, for this tenant and version.

        Raises:
            InvalidEnvelope: It is another one, or this is another's record.
        """
        if len(tenant_key) != KEY_BYTES or not hmac.compare_digest(
            self.commitment, tenant_key_commitment(tenant_key, tenant, version)
        ):
            raise InvalidEnvelope("it opens to another key, or belongs to another tenant or version")


def parse_wrapped(wrapped: bytes) -> WrappedTenantKey:
    """
    A wrapped key as a store keeps it, read.

    Raises:
        InvalidEnvelope: It has another form.
    """
    if wrapped[:1] != _WRAPPED_FORMAT or len(wrapped) <= 1 + _COMMITMENT_BYTES:
        raise InvalidEnvelope("it is cut off, or of another version")
    return WrappedTenantKey(wrapped[1 : 1 + _COMMITMENT_BYTES], wrapped[1 + _COMMITMENT_BYTES :])


def tenant_key_commitment(tenant_key: bytes, tenant: TenantId, version: int) -> bytes:
    """What only this key of this tenant has in this version, and what tells nothing about it."""
    info = associated_data(b"antiphon/v1/tenant-key", tenant.encode(), version.to_bytes(_VERSION_BYTES, "big"))
    return _derive(tenant_key, None, info, _COMMITMENT_BYTES)


def place_head(tenant: TenantId, table: str) -> bytes:
    """The first part of a payload's associated data: the same for every row of a table."""
    return associated_data(SEALED_VERSION, tenant.encode(), table.encode())


def place_tail(family: Family) -> bytes:
    """The last part of a payload's associated data: the same for every row of a family."""
    name = family.encode()
    return len(name).to_bytes(4, "big") + name


def _derive(key: bytes, salt: bytes | None, info: bytes, length: int) -> bytes:
    return HKDF(_SHA256, length, salt, info).derive(key)
