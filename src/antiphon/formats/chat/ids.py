"""What chat clients call a response: the same digits behind the dialect's own prefix, so that it can be found again."""

from __future__ import annotations

from typing import Final

__all__ = ["CHAT_PREFIX", "TEXT_PREFIX", "read_id", "shown_id"]

CHAT_PREFIX: Final = "chatcmpl-"
TEXT_PREFIX: Final = "cmpl-"

_OURS: Final = "resp_"


def shown_id(response_id: str, prefix: str = CHAT_PREFIX) -> str:
    """The id of a response as its client sees it."""
    return prefix + response_id.removeprefix(_OURS)


def read_id(shown: str) -> str | None:
    """The id of the response that a client calls *shown*; None if it is no id of this dialect."""
    for prefix in (CHAT_PREFIX, TEXT_PREFIX):
        if shown.startswith(prefix):
            return _OURS + shown.removeprefix(prefix)
    return None
