"""
Ids of messages: a response's own digits behind the dialect's prefix, so that one is found from the other.

Items of type ``message`` have the same prefix and digits of their own; what is read here is only ever a response's.
"""

from __future__ import annotations

__all__ = ["message_id_of", "response_id_of"]

_RESPONSE, _MESSAGE = "resp_", "msg_"


def message_id_of(response_id: str) -> str:
    """``msg_…`` for ``resp_…``."""
    return _MESSAGE + response_id.removeprefix(_RESPONSE)


def response_id_of(message_id: str) -> str:
    """``resp_…`` for ``msg_…``."""
    return _RESPONSE + message_id.removeprefix(_MESSAGE)
