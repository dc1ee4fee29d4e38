"""
The transit engine of HashiCorp Vault or OpenBao as a key service, over its HTTP interface.

The token is in ``VAULT_TOKEN``, or in the file that ``VAULT_TOKEN_FILE`` names, which is read for each call so that it
may be renewed; ``VAULT_NAMESPACE`` is sent if it is set. A transit key that was made with ``derived=true`` binds each
wrapped key to its tenant and version.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import aiohttp
import orjson

from antiphon.crypto.services.service import KeyContext, Wrapped, round_trip
from antiphon.hub.errors import KeysUnavailable, StoreCorrupt

__all__ = ["VaultTransit"]

_TIMEOUT_S = 5.0


class VaultTransit:
    """
    A key service over a transit key.

    Args:
        url: Of the server, with the engine's mount and the key's name behind ``#``:
            ``https://vault.example:8200#transit/antiphon``.
        environ: Where the token is.

    Raises:
        ValueError: The URL is of another form, or would send keys in clear over a network.
    """

    def __init__(self, url: str, environ: Mapping[str, str]) -> None:
        parts = urlsplit(url)
        mount, _, name = parts.fragment.rpartition("/")
        if parts.scheme not in ("http", "https") or not parts.hostname or not mount or not name:
            raise ValueError("vault: needs a URL of the form https://HOST:PORT#MOUNT/KEY.")
        if parts.scheme == "http" and not _is_loopback(parts.hostname):
            raise ValueError("vault: keys would travel in clear over http. Use https.")
        if parts.username or parts.password or parts.query:
            raise ValueError("vault: put no credentials or queries into the URL; the token is in VAULT_TOKEN.")
        self._base = f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}/v1/{mount}"
        self._name = name
        self.ref = f"vault:{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}#{mount}/{name}"
        self.place = f"Vault's transit key '{mount}/{name}' at {parts.netloc}"
        self._environ = environ

    async def open(self, *, create: bool) -> str | None:
        self._headers()
        return None

    async def refs(self) -> tuple[str, ...]:
        return (self.ref,)

    async def has(self, ref: str) -> bool:
        return ref == self.ref

    async def wrap(self, key: bytes, context: KeyContext) -> Wrapped:
        answer = await self._call("encrypt", {"plaintext": _text(key), "context": _text(context.encode())})
        return Wrapped(self.ref, self._field(answer, "ciphertext").encode())

    async def unwrap(self, ref: str, blob: bytes, context: KeyContext) -> bytes:
        if ref != self.ref:
            raise KeysUnavailable(f"The root key '{ref}' is needed, and {self.place} is not what wrapped with it.")
        body = {"ciphertext": blob.decode("ascii", "replace"), "context": _text(context.encode())}
        try:
            return base64.b64decode(self._field(await self._call("decrypt", body), "plaintext"), validate=True)
        except binascii.Error:
            raise KeysUnavailable(f"{self.place} answered something else than base64.") from None

    async def health(self) -> None:
        await round_trip(self)

    async def _call(self, verb: Literal["encrypt", "decrypt"], body: dict[str, str]) -> Any:
        # A connection for each call: a tenant's key is asked for every few minutes, and nothing has to be closed.
        limits = aiohttp.ClientTimeout(total=_TIMEOUT_S)
        try:
            async with (
                aiohttp.ClientSession(timeout=limits, trust_env=False) as session,
                session.post(
                    f"{self._base}/{verb}/{self._name}", json=body, headers=self._headers(), allow_redirects=False
                ) as answer,
            ):
                content = await answer.read()
        except TimeoutError:
            raise KeysUnavailable(f"{self.place} did not answer within {_TIMEOUT_S:g} s.") from None
        except aiohttp.ClientError as error:
            raise KeysUnavailable(f"{self.place} cannot be reached: {type(error).__name__}.") from error
        if answer.status == 200:
            return _parsed(content)
        if answer.status == 400 and verb == "decrypt":
            raise StoreCorrupt(f"A wrapped key cannot be opened with {self.place}.")
        raise KeysUnavailable(f"{self.place} answered '{verb}' with status {answer.status}.")

    def _headers(self) -> dict[str, str]:
        namespace = self._environ.get("VAULT_NAMESPACE")
        return {
            "X-Vault-Request": "true",
            "X-Vault-Token": self._token(),
            **({"X-Vault-Namespace": namespace} if namespace else {}),
        }

    def _token(self) -> str:
        token, path = self._environ.get("VAULT_TOKEN"), self._environ.get("VAULT_TOKEN_FILE")
        if not token and path:
            try:
                token = Path(path).read_text(encoding="utf-8")
            except OSError as error:
                raise KeysUnavailable(f"The file of VAULT_TOKEN_FILE cannot be read: {error.strerror}.") from error
        if not token or not token.strip():
            raise KeysUnavailable(f"There is no token for {self.place}. Set VAULT_TOKEN or VAULT_TOKEN_FILE.")
        return token.strip()

    def _field(self, answer: Any, name: str) -> str:
        data = answer.get("data") if isinstance(answer, dict) else None
        value = data.get(name) if isinstance(data, dict) else None
        if not isinstance(value, str):
            raise KeysUnavailable(f"{self.place} answered without '{name}'.")
        return value


def _parsed(content: bytes) -> Any:
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError:
        return None


def _text(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
