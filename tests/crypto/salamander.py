"""
A ciphertext that AES-GCM opens under two keys: an "invisible salamander" (Dodis, Grubbs, Ristenpart, Woodage 2018).

Its tag is a polynomial of the ciphertext's blocks over GF(2^128), at a point that each key has of its own. With one
block free, two such equations with the same tag have a solution.
"""

from __future__ import annotations

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB

__all__ = ["one_ciphertext_for"]

_R = 0xE1 << 120


def one_ciphertext_for(first: bytes, second: bytes, nonce: bytes, aad: bytes) -> bytes:
    """Two blocks and a tag that are authentic under both keys, for this nonce and associated data."""
    given = int.from_bytes(b"the first block.", "big")
    lengths = (len(aad) * 8) << 64 | 2 * 128
    head = [int.from_bytes(aad[start : start + 16].ljust(16, b"\0"), "big") for start in range(0, len(aad), 16)]
    sides = [_Side(key, nonce) for key in (first, second)]
    # The free block stands two from the end: it is multiplied by the square of each key's point.
    known = [side.hash([*head, given, 0, lengths]) ^ side.mask for side in sides]
    squares = [_times(side.point, side.point) for side in sides]
    free = _times(known[0] ^ known[1], _inverse(squares[0] ^ squares[1]))
    tag = sides[0].hash([*head, given, free, lengths]) ^ sides[0].mask
    return b"".join(block.to_bytes(16, "big") for block in (given, free, tag))


class _Side:
    def __init__(self, key: bytes, nonce: bytes) -> None:
        encryptor = Cipher(AES(key), ECB()).encryptor()  # noqa: S305 - single blocks, as GCM is made of
        self.point = int.from_bytes(encryptor.update(bytes(16)), "big")
        self.mask = int.from_bytes(encryptor.update(nonce + b"\0\0\0\1"), "big")

    def hash(self, blocks: list[int]) -> int:
        found = 0
        for block in blocks:
            found = _times(found ^ block, self.point)
        return found


def _times(left: int, right: int) -> int:
    """In GF(2^128) as GCM writes it: the first bit is that of x^0."""
    found = 0
    for bit in range(127, -1, -1):
        if right >> bit & 1:
            found ^= left
        left = left >> 1 ^ (_R if left & 1 else 0)
    return found


def _inverse(value: int) -> int:
    """To the power of 2^128 - 2."""
    found, power = 1 << 127, value
    for _ in range(127):
        power = _times(power, power)
        found = _times(found, power)
    return found
