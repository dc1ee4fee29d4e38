"""
Tool calls and their outputs belong together: checked before a token is spent.

Every call in the context needs exactly one output after it, and every output a call before it. The messages are
OpenAI's own; each names the ``call_id``.
"""

from __future__ import annotations

from collections.abc import Iterable

from antiphon.hub.errors import InvalidRequest
from antiphon.hub.items import CALL_TYPES, OUTPUT_TYPES, Item

__all__ = ["check_pairing"]

_SPOKEN = {kind: kind.removesuffix("_call").replace("_", " ") for kind in CALL_TYPES}


def check_pairing(items: Iterable[Item]) -> None:
    """
    Refuse a context in which a tool call has no output, or an output no call.

    Raises:
        InvalidRequest: Names the first ``call_id`` at fault.
    """
    waiting: dict[str, str] = {}
    for item in items:
        kind = item.type
        if kind in CALL_TYPES:
            waiting[item.body["call_id"]] = kind
        elif kind in OUTPUT_TYPES:
            call_id = item.body["call_id"]
            if waiting.pop(call_id, None) != OUTPUT_TYPES[kind]:
                raise InvalidRequest(_surplus(kind, call_id), param="input")
    for call_id, kind in waiting.items():
        raise InvalidRequest(_missing(kind, call_id), param="input")


def _missing(kind: str, call_id: str) -> str:
    return f"No tool output found for {_SPOKEN[kind]} call {call_id}."


def _surplus(kind: str, call_id: str) -> str:
    spoken = _SPOKEN[OUTPUT_TYPES[kind]]
    return f"No tool call found for {spoken} call output with call_id {call_id}."
