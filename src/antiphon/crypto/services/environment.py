"""Root keys in an environment variable: base64, several separated by commas, of which the first wraps."""

from __future__ import annotations

from collections.abc import Mapping

from antiphon.crypto.services.root_keys import RootKeys, parse_root_key
from antiphon.crypto.services.service import KeyContext, Wrapped, round_trip
from antiphon.hub.errors import KeysUnavailable

__all__ = ["EnvironmentKeys"]

_MAKE_ONE = "python3 -c 'import base64, os; print(base64.b64encode(os.urandom(32)).decode())'"


class EnvironmentKeys:
    """
    A key service over an environment variable. Nothing is ever made: what the environment has is what there is.

    Args:
        name: Of the variable.
        environ: The environment, read when the service is opened.
    """

    def __init__(self, name: str, environ: Mapping[str, str]) -> None:
        self.place = f"the environment variable {name}"
        self._name = name
        self._environ = environ
        self._keys = RootKeys((), self.place)

    @property
    def ref(self) -> str:
        return self._keys.active.ref

    async def open(self, *, create: bool) -> str | None:
        texts = [text for text in self._environ.get(self._name, "").split(",") if text.strip()]
        if not texts:
            raise KeysUnavailable(
                f"There is no root key in {self.place}. Set it to 32 random bytes in base64, and keep a copy: "
                f"{_MAKE_ONE}"
            )
        try:
            self._keys = RootKeys([parse_root_key(text) for text in texts], self.place)
        except ValueError as fault:
            raise KeysUnavailable(
                f"A root key in {self.place} cannot be used: {fault}. Make one: {_MAKE_ONE}"
            ) from None
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
