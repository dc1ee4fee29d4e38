"""Authenticated encryption of what leaves this gateway and comes back."""

from antiphon.crypto.seal import Sealer

__all__ = ["Sealer"]
