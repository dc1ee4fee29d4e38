"""A root key that dies with the process, for stores that do too."""

from __future__ import annotations

from antiphon.crypto.nonces import random_key
from antiphon.crypto.services.root_keys import RootKey, RootKeys
from antiphon.crypto.services.service import KeyContext, Wrapped, round_trip

__all__ = ["EphemeralKeys"]


class EphemeralKeys:
    """A key service of one random root key, which is nowhere but here."""

    def __init__(self) -> None:
        self.place = "this process's memory"
        self._keys = RootKeys([RootKey(random_key())], self.place)

    @property
    def ref(self) -> str:
        return self._keys.active.ref

    async def open(self, *, create: bool) -> str | None:
        return None

    async def refs(self) -> tuple[str, ...]:
        return self._keys.refs

    async def has(self, ref: str) -> bool:
        return ref in self._keys.refs

    async def wrap(self, key: bytes, context: KeyContext) -> Wrapped:
        return self._keys.wrap(key, context)

    async def unwrap(self, ref: str, blob: bytes, context: KeyContext) -> bytes:
        return self._keys.unwrap(ref, blob, context)

    async def health(self) -> None:
        await round_trip(self)
