"""Authenticated encryption: of what is stored, and of what leaves this gateway and comes back."""

from antiphon.crypto.codec import SealingCodec, UnsealedCodec
from antiphon.crypto.lifetimes import Lifetimes
from antiphon.crypto.seal import Sealer
from antiphon.crypto.services import KeyService, open_service

__all__ = ["KeyService", "Lifetimes", "Sealer", "SealingCodec", "UnsealedCodec", "open_service"]
