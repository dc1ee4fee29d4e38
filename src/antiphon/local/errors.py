"""Why the local model cannot be used, in words that say what to do."""

from __future__ import annotations

__all__ = ["LocalModelError"]


class LocalModelError(Exception):
    """The local model cannot be fetched or started. The message says why and what helps."""
