"""
What a key service does: it holds root keys, which never leave it or the place where they are kept, and wraps tenants'
keys with them.
"""

from __future__ import annotations

from typing import Protocol

import msgspec

from antiphon.crypto.envelope import associated_data
from antiphon.hub.errors import KeysUnavailable
from antiphon.hub.ids import TenantId

__all__ = ["KeyContext", "KeyService", "Wrapped", "round_trip"]


class KeyContext(msgspec.Struct, frozen=True):
    """What a wrapped key is bound to."""

    tenant: TenantId
    version: int

    def encode(self) -> bytes:
        """One form for each context, and no two contexts with one form."""
        return associated_data(b"antiphon/v1/wrap", self.tenant.encode(), self.version.to_bytes(4, "big"))


class Wrapped(msgspec.Struct, frozen=True):
    """A wrapped key. *ref* names the root key that can unwrap it."""

    ref: str
    blob: bytes


class KeyService(Protocol):
    """
    A source of root keys. Every method that may wait gives up after a few seconds.

    Attributes:
        place: Where the root keys are looked for, to be told to people: ``the key file 'x.db.key'``. No secret.
    """

    @property
    def place(self) -> str:
        """See above."""
        ...

    @property
    def ref(self) -> str:
        """
        The root key that wraps from now on.

        Raises:
            KeysUnavailable: There is none, or the service is not open.
        """
        ...

    async def open(self, *, create: bool) -> str | None:
        """
        Find the root keys.

        Args:
            create: A first one may be made if there is none: nothing was wrapped yet.

        Returns:
            What the operator has to know about a root key that was made; None if none was.

        Raises:
            KeysUnavailable: There is none, or it must not be used. Says what to do.
        """
        ...

    async def refs(self) -> tuple[str, ...]:
        """The root keys that are there, the one that wraps first, looked up anew."""
        ...

    async def has(self, ref: str) -> bool:
        """Whether this root key is there, or, of a service that cannot tell, may be."""
        ...

    async def wrap(self, key: bytes, context: KeyContext) -> Wrapped:
        """
        Wrap a key.

        Raises:
            KeysUnavailable: The service does not answer, or refuses.
        """
        ...

    async def unwrap(self, ref: str, blob: bytes, context: KeyContext) -> bytes:
        """
        Unwrap a key that was wrapped with the root key *ref*.

        Raises:
            KeysUnavailable: The service does not answer, refuses, or does not have this root key.
            StoreCorrupt: It is not what was wrapped, or was wrapped for something else.
        """
        ...

    async def health(self) -> None:
        """
        Answer if keys can be wrapped and unwrapped.

        Raises:
            KeysUnavailable: They cannot.
        """
        ...


async def round_trip(service: KeyService) -> None:
    """
    See that what *service* wraps, it unwraps.

    Raises:
        KeysUnavailable: It does not.
    """
    context = KeyContext(TenantId("_health"), 0)
    probe = b"antiphon's probe of a key service"[:32]
    wrapped = await service.wrap(probe, context)
    if probe in wrapped.blob or await service.unwrap(wrapped.ref, wrapped.blob, context) != probe:
        raise KeysUnavailable(f"What {service.place} wraps, it does not unwrap. Mend it before anything is sealed.")
