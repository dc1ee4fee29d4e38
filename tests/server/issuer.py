"""An identity provider for tests: keys of every kind, a key set that can change, and tokens of any shape."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from functools import cache
from typing import Any

import orjson
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from jwt import get_algorithm_by_name

__all__ = ["AUDIENCE", "ISSUER", "Issuer", "b64", "private_key", "public_jwk"]

ISSUER = "https://id.example"
AUDIENCE = "antiphon"


def b64(data: bytes | str | object) -> str:
    """A segment: of bytes, of a text, or of an object as JSON."""
    raw = data if isinstance(data, bytes) else (data if isinstance(data, str) else json.dumps(data)).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


@cache
def private_key(kind: str) -> Any:
    """A private key, by its type and size or curve; the same one each time."""
    match kind:
        case "P-256" | "other P-256":
            return ec.generate_private_key(ec.SECP256R1())
        case "P-384":
            return ec.generate_private_key(ec.SECP384R1())
        case "P-521":
            return ec.generate_private_key(ec.SECP521R1())
        case "secp256k1":
            return ec.generate_private_key(ec.SECP256K1())
        case "Ed25519":
            return ed25519.Ed25519PrivateKey.generate()
        case "Ed448":
            return ed448.Ed448PrivateKey.generate()
        case "RSA-1024":
            return rsa.generate_private_key(65537, 1024)  # noqa: S505 - to be refused
    return rsa.generate_private_key(65537, 2048)


_ALGORITHM_OF = {"P-256": "ES256", "P-384": "ES384", "P-521": "ES512", "Ed25519": "EdDSA", "Ed448": "EdDSA"}


def public_jwk(kind: str, **about: object) -> dict[str, Any]:
    """The public half of a key as a member of a key set."""
    algorithm = get_algorithm_by_name(_ALGORITHM_OF.get(kind.removeprefix("other "), "RS256"))
    jwk = algorithm.to_jwk(private_key(kind).public_key(), as_dict=True)
    return {**jwk, **about}


class Issuer:
    """
    Attributes:
        keys: What the key set holds.
        fetched: From where it was fetched.
        fault: What fetching it raises instead.
    """

    def __init__(self) -> None:
        self.keys: list[Any] = [public_jwk("RSA", kid="r"), public_jwk("P-256", kid="e")]
        self.body: bytes | None = None
        self.fetched: list[str] = []
        self.fault: Exception | None = None

    async def fetch(self, location: str) -> bytes:
        self.fetched.append(location)
        if self.fault is not None:
            raise self.fault
        return self.body if self.body is not None else orjson.dumps({"keys": self.keys})

    def token(
        self,
        claims: Mapping[str, object] | str | bytes,
        *,
        algorithm: str = "RS256",
        key: str = "RSA",
        secret: bytes | None = None,
        header: Mapping[str, object] | str | None = None,
        **more: object,
    ) -> str:
        """A signed token. *header* takes the place of the usual one, *more* comes to it."""
        head = header if header is not None else {"alg": algorithm, "typ": "JWT", "kid": "r", **more}
        signed = f"{b64(head)}.{b64(claims)}"
        if secret is not None:
            signature = hmac.new(secret, signed.encode(), hashlib.sha256).digest()
        else:
            signature = get_algorithm_by_name(algorithm).sign(signed.encode(), private_key(key))
        return f"{signed}.{b64(signature)}"
