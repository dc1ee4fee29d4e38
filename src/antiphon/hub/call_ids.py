"""The ids of tool calls at an upstream that is narrower than the Responses API."""

from __future__ import annotations

import re
from hashlib import sha256
from typing import Final

__all__ = ["CallIds"]

_LEGAL: Final = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")


class CallIds:
    """
    For one request: an id of its own for each call, of ASCII letters, digits, ``_`` and ``-``.

    Clients may use an id again once it is answered, as some model servers do in every turn. The same calls get the same
    ids every time, so that a cached prefix stays one.
    """

    def __init__(self) -> None:
        self._uses: dict[str, int] = {}

    def take(self, call_id: str) -> str:
        """The id of the next call: the client's, or a hash where that is taken or has other characters."""
        uses = self._uses[call_id] = self._uses.get(call_id, 0) + 1
        if uses == 1 and _LEGAL.match(call_id):
            return call_id
        return f"call_{sha256(f'{call_id} {uses}'.encode()).hexdigest()[:32]}"
