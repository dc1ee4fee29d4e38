"""Authenticated encryption: of what is stored, and of what leaves this gateway and comes back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from antiphon.crypto.codec import SealingCodec, UnsealedCodec
from antiphon.crypto.lifetimes import Lifetimes
from antiphon.crypto.seal import Sealer
from antiphon.crypto.services import KeyService, open_service
from antiphon.sessions.store import SessionStore

__all__ = ["KeyService", "Lifetimes", "Sealer", "SealingCodec", "UnsealedCodec", "open_codec", "open_service"]


def open_codec(
    store: SessionStore, *, key: str | None, store_path: str | Path | None, clock: Callable[[], float]
) -> SealingCodec | UnsealedCodec:
    """
    The codec that ``sealing.key`` asks for. It is not opened yet.

    Args:
        key: As :func:`open_service` takes it, or ``none``.

    Raises:
        ValueError: *key* names no key service.
    """
    if key == "none":
        return UnsealedCodec(store)
    return SealingCodec(store, open_service(key, store_path), clock)
