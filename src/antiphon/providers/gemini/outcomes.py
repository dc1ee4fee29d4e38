"""What ends a reply, and what that makes of the turn."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

from antiphon.hub.errors import UpstreamBroken, UpstreamError, UpstreamRefused
from antiphon.hub.redaction import clean_text

__all__ = ["BLOCKED", "NOT_FINISHED", "Outcome", "read_outcome"]

Outcome = tuple[Literal["completed", "incomplete"], str | None]

_COMPLETED: Final[Outcome] = ("completed", None)
_CUT_SHORT: Final[Outcome] = ("incomplete", "max_output_tokens")
BLOCKED: Final[Outcome] = ("incomplete", "content_filter")

# What a protocol buffer says where nothing was said.
NOT_FINISHED: Final = "FINISH_REASON_UNSPECIFIED"

_OUTCOMES: Mapping[str, Outcome] = {
    "STOP": _COMPLETED,
    "MAX_TOKENS": _CUT_SHORT,
    # Filters: what was said before is kept.
    "SAFETY": BLOCKED,
    "RECITATION": BLOCKED,
    "BLOCKLIST": BLOCKED,
    "PROHIBITED_CONTENT": BLOCKED,
    "SPII": BLOCKED,
    "LANGUAGE": BLOCKED,
    "MODEL_ARMOR": BLOCKED,
    "IMAGE_SAFETY": BLOCKED,
    "IMAGE_PROHIBITED_CONTENT": BLOCKED,
    "IMAGE_RECITATION": BLOCKED,
    # The vendor does not say why, and stops for its policies under this name too.
    "OTHER": BLOCKED,
    "IMAGE_OTHER": BLOCKED,
}
# The model said something that the API could not read. What came of it is no answer; asking again may help.
_FAILURES: Mapping[str, str] = {
    "MALFORMED_FUNCTION_CALL": "wrote a tool call that cannot be read",
    "UNEXPECTED_TOOL_CALL": "called a tool that it was not offered",
    "TOO_MANY_TOOL_CALLS": "called too many tools in a row",
    "MALFORMED_RESPONSE": "wrote an answer that cannot be read",
    "NO_IMAGE": "was to make an image and made none",
}
_UNSIGNED = "MISSING_THOUGHT_SIGNATURE"
# How much of a word that nobody knows is shown.
_SHOWN_CHARS = 64


def read_outcome(finish_reason: str, finish_message: str | None, *, upstream: str) -> Outcome:
    """
    What a ``finishReason`` makes of the turn.

    Args:
        finish_message: What the vendor says about it.
        upstream: The configured name, which goes into errors.

    Raises:
        UpstreamError: The reply failed, or ended for a reason that nobody knows.
    """
    outcome = _OUTCOMES.get(finish_reason)
    if outcome is None:
        raise _failure(finish_reason, finish_message or "", upstream)
    return outcome


def _failure(finish_reason: str, finish_message: str, upstream: str) -> UpstreamError:
    detail = f": {clean_text(finish_message)}" if finish_message else "."
    if finish_reason in _FAILURES:
        return UpstreamBroken(
            f"The model of upstream '{upstream}' {_FAILURES[finish_reason]} ({finish_reason}){detail}"
        )
    if finish_reason == _UNSIGNED:
        return UpstreamRefused(
            f"Upstream '{upstream}' refuses a tool call of the history without its thought signature{detail}",
            param="input",
        )
    named = clean_text(finish_reason[:_SHOWN_CHARS])
    return UpstreamBroken(f"Upstream '{upstream}' ended its reply with finishReason '{named}'{detail}")
