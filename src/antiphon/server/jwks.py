"""
The public keys of an identity provider: a JSON Web Key Set (RFC 7517), fetched and kept.

Where it is fetched from is configured, and nothing that a token says changes that. A key that is not known makes it be
fetched again, at most once a minute, so that a provider can change its keys and a stranger cannot have us ask for ever.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
import orjson

from antiphon.hub.errors import AntiphonError, KeysUnavailable
from antiphon.telemetry import Log

try:
    from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm
    from jwt.exceptions import InvalidKeyError
except ImportError as error:
    raise ImportError("Tokens need PyJWT. Install it with: pip install 'antiphon[jwt]'") from error

__all__ = ["Fetch", "KeySet", "VerifyingKey", "read_file"]

# Gives what is at a location. Raises OSError or an AntiphonError if it cannot.
Fetch = Callable[[str], Awaitable[bytes]]

_TIMEOUT_S = 10.0
_REFETCH_S = 60.0
_RETRY_S = 5.0
_FRESH_S = 600.0
# A provider that is out of reach for longer may have withdrawn a key, and we would not know.
_USABLE_S = 3600.0
_MAX_BYTES = 1024 * 1024
_RSA_BITS = range(2048, 8193)

_OF_RSA: Final = frozenset(("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"))
_OF_CURVE: Final = {"P-256": "ES256", "P-384": "ES384", "P-521": "ES512"}


class VerifyingKey(msgspec.Struct, frozen=True, kw_only=True):
    """
    A public key.

    Attributes:
        algorithms: What it may verify: what its type and curve allow, or of that what the set names.
    """

    kid: str | None
    algorithms: frozenset[str]
    key: Any


class KeySet:
    """
    Args:
        location: Of the set: a URL, or whatever else *fetch* understands.
        clock: Seconds, monotonic.
    """

    def __init__(self, location: str, fetch: Fetch, *, clock: Callable[[], float], log: Log | None = None) -> None:
        self._location = location
        self._fetch = fetch
        self._clock = clock
        self._log = log or Log()
        self._keys: tuple[VerifyingKey, ...] | None = None
        self._loaded_at = 0.0
        self._tried_at = float("-inf")
        self._loading = asyncio.Lock()

    async def find(self, kid: str | None, algorithm: str) -> VerifyingKey | None:
        """
        The key that verifies tokens of this header; None if there is none, or more than one.

        Raises:
            KeysUnavailable: The set cannot be had.
        """
        if self._keys is None or self._clock() > self._loaded_at + _FRESH_S:
            await self._load()
        found = self._find(kid, algorithm)
        if found is None and kid is not None and not self._knows(kid):
            await self._load()
            found = self._find(kid, algorithm)
        if self._keys is None or self._clock() > self._loaded_at + _USABLE_S:
            raise KeysUnavailable(
                "The identity provider's keys cannot be had. Try again in a moment.", retry_after_s=5.0
            )
        return found

    def _find(self, kid: str | None, algorithm: str) -> VerifyingKey | None:
        fitting = [key for key in self._keys or () if algorithm in key.algorithms and kid in (None, key.kid)]
        return fitting[0] if len(fitting) == 1 else None

    def _knows(self, kid: str) -> bool:
        return any(key.kid == kid for key in self._keys or ())

    async def _load(self) -> None:
        """Fetch the set, unless that was tried a moment ago. What was there before stays if it cannot be had."""
        async with self._loading:
            pause_s = _RETRY_S if self._keys is None else _REFETCH_S
            if self._clock() < self._tried_at + pause_s:
                return
            self._tried_at = self._clock()
            try:
                async with asyncio.timeout(_TIMEOUT_S):
                    self._keys = _parse(await self._fetch(self._location))
            except (OSError, ValueError, AntiphonError) as error:  # a TimeoutError is an OSError
                self._log.warning("jwks_not_loaded", error=type(error).__name__)
            else:
                self._loaded_at = self._tried_at


async def read_file(path: str) -> bytes:
    """A :data:`Fetch` for a set in a file."""
    return await asyncio.to_thread(Path(path).read_bytes)  # a file blocks


def _parse(data: bytes) -> tuple[VerifyingKey, ...]:
    """
    The keys of a set that can be used; others are for other purposes, and are skipped.

    Raises:
        ValueError: It is no key set.
    """
    if len(data) > _MAX_BYTES:
        raise ValueError("The key set is too large.")
    keys = orjson.loads(data)
    match keys:
        case {"keys": list(members)}:
            return tuple(key for key in map(_verifying_key, members) if key is not None)
    raise ValueError("A key set is an object with a list 'keys'.")


def _verifying_key(member: object) -> VerifyingKey | None:
    if not isinstance(member, dict) or member.get("use", "sig") != "sig" or "d" in member:
        return None
    kid, uses = member.get("kid"), member.get("key_ops", ["verify"])
    if not (kid is None or isinstance(kid, str)) or not isinstance(uses, list) or "verify" not in uses:
        return None
    try:
        key, algorithms = _loaded(member)
    except (InvalidKeyError, ValueError, TypeError, KeyError):  # of whatever is wrong inside of it
        return None
    if "alg" in member:
        algorithms &= {member["alg"]} if isinstance(member["alg"], str) else set()
    return VerifyingKey(kid=kid, algorithms=algorithms, key=key) if algorithms else None


def _loaded(member: Mapping[str, Any]) -> tuple[Any, frozenset[str]]:
    """A key and what it can verify. A key of an unknown or a symmetric type verifies nothing."""
    given = dict(member)
    match member.get("kty"):
        case "RSA":
            rsa = RSAAlgorithm.from_jwk(given)
            return rsa, _OF_RSA if rsa.key_size in _RSA_BITS else frozenset()
        case "EC":
            return ECAlgorithm.from_jwk(given), frozenset((_OF_CURVE[member["crv"]],))
        case "OKP":
            return OKPAlgorithm.from_jwk(given), frozenset(("EdDSA",))
    return None, frozenset()
