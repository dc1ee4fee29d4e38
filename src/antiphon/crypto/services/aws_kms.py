"""
AWS KMS as a key service: a symmetric key that never leaves it. Needs the extra ``aws`` (boto3) and AWS credentials from
where boto3 looks for them.

Each wrapped key is bound to its tenant and version by the encryption context, which is in AWS's own audit trail too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from antiphon.crypto.services.service import KeyContext, Wrapped, round_trip
from antiphon.hub.errors import KeysUnavailable, StoreCorrupt

__all__ = ["AwsKms", "KmsClient"]

R = TypeVar("R")

_SCHEME = "aws-kms:"
_CONNECT_S = 3
_ANSWER_S = 5
# What AWS calls a blob that it did not make, or not with this key or for this context.
_NOT_ITS_OWN = frozenset({"InvalidCiphertextException", "IncorrectKeyException"})


class KmsClient(Protocol):
    """What is used of boto3's client."""

    def encrypt(self, **parameters: Any) -> dict[str, Any]:
        """See AWS's Encrypt."""
        ...

    def decrypt(self, **parameters: Any) -> dict[str, Any]:
        """See AWS's Decrypt."""
        ...


class AwsKms:
    """
    A key service over AWS KMS.

    Args:
        arn: The key's, or its alias's. Keys that were wrapped under an earlier ARN are still unwrapped.
        connect: Makes a client for a region; boto3's by default.
    """

    def __init__(self, arn: str, *, connect: Callable[[str], KmsClient] | None = None) -> None:
        parts = arn.split(":")
        if len(parts) < 6 or parts[0] != "arn" or parts[2] != "kms":
            raise ValueError("aws-kms: needs the ARN of a key or an alias, such as arn:aws:kms:REGION:ACCOUNT:key/ID.")
        self.place = f"AWS KMS ('{arn}')"
        self.ref = _SCHEME + arn
        self._arn = arn
        self._region = parts[3]
        self._connect = connect or _boto3_client
        self._client: KmsClient | None = None

    async def open(self, *, create: bool) -> str | None:
        await self._in_thread(self._connected)
        return None

    async def refs(self) -> tuple[str, ...]:
        return (self.ref,)

    async def has(self, ref: str) -> bool:
        return ref.startswith(_SCHEME)

    async def wrap(self, key: bytes, context: KeyContext) -> Wrapped:
        def encrypt() -> bytes:
            answer = self._connected().encrypt(KeyId=self._arn, Plaintext=key, EncryptionContext=_context(context))
            return bytes(answer["CiphertextBlob"])

        return Wrapped(self.ref, await self._in_thread(encrypt))

    async def unwrap(self, ref: str, blob: bytes, context: KeyContext) -> bytes:
        if not ref.startswith(_SCHEME):
            raise KeysUnavailable(f"The root key '{ref}' is needed, and {self.place} is not what wrapped with it.")

        def decrypt() -> bytes:
            answer = self._connected().decrypt(
                KeyId=ref.removeprefix(_SCHEME), CiphertextBlob=blob, EncryptionContext=_context(context)
            )
            return bytes(answer["Plaintext"])

        return await self._in_thread(decrypt)

    async def health(self) -> None:
        await round_trip(self)

    def _connected(self) -> KmsClient:
        if self._client is None:
            self._client = self._connect(self._region)
        return self._client

    async def _in_thread(self, call: Callable[[], R]) -> R:
        """In a thread, since boto3 blocks. boto3's clients may be used by several at once."""
        try:
            return await asyncio.to_thread(call)
        except KeysUnavailable:
            raise
        except Exception as error:
            # boto3 is not at hand to name its errors; they carry what AWS called the fault.
            code = _code_of(error)
            if code in _NOT_ITS_OWN:
                raise StoreCorrupt(f"A wrapped key cannot be opened with {self.place}: {code}.") from None
            raise KeysUnavailable(f"{self.place} does not serve: {code or type(error).__name__}.") from error


def _boto3_client(region: str) -> KmsClient:
    try:
        import boto3  # noqa: PLC0415 - an extra, and slow to import
        from botocore.config import Config  # noqa: PLC0415
    except ImportError:
        raise KeysUnavailable("aws-kms: needs boto3. Install it: pip install 'antiphon[aws]'") from None
    limits = Config(connect_timeout=_CONNECT_S, read_timeout=_ANSWER_S, retries={"total_max_attempts": 2})
    client: KmsClient = boto3.client("kms", region_name=region, config=limits)
    return client


def _context(context: KeyContext) -> dict[str, str]:
    return {"antiphon-tenant": context.tenant, "antiphon-key-version": str(context.version)}


def _code_of(error: Exception) -> str | None:
    response = getattr(error, "response", None)
    if not isinstance(response, dict):
        return None
    code = response.get("Error", {}).get("Code")
    return str(code) if code else None
