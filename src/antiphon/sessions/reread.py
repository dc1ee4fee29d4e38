"""Reading again what was erased between the moment when it was read and the moment when it was opened."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from antiphon.hub.errors import StoreCorrupt

__all__ = ["reread_if_erased"]

P = ParamSpec("P")
T = TypeVar("T")


def reread_if_erased(read: Callable[P, Awaitable[T]]) -> Callable[P, Awaitable[T]]:
    """
    The same reading, begun anew if a payload could not be opened.

    Its family's key may have been destroyed since the store was asked; then the store knows by now that it is gone, and
    the caller hears that. What is really corrupt is so the second time as well.
    """

    @wraps(read)
    async def reading(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return await read(*args, **kwargs)
        except StoreCorrupt:
            return await read(*args, **kwargs)

    return reading
