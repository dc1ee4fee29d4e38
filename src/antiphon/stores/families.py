"""What the stores have in common where they keep families. Pure."""

from __future__ import annotations

from antiphon.hub.errors import SealChanged
from antiphon.hub.ids import Family

__all__ = ["seal_differs"]


def seal_differs(family: Family) -> SealChanged:
    """The error of what was sealed under a key that is not its family's: nobody could open it."""
    return SealChanged(f"The family '{family}' is kept with another seal. Nothing was stored.")
