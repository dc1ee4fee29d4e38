"""
Which items of a history go up as they are, and which are told in words: see :mod:`antiphon.hub.handover`.

Of what the upstream's own tools made only its maker can make something. What tools of the client's made every server
understands that knows these tools; one that is configured with a list of them (``tool_types``) knows no other.
"""

from __future__ import annotations

from antiphon.hub.handover import COMMON_TYPES, Handover, hand_over
from antiphon.hub.items import CALL_TYPES, Item
from antiphon.hub.turn import ModelCall
from antiphon.providers.openai_responses.quirks import Quirks
from antiphon.providers.openai_responses.reasoning import is_foreign, own_data

__all__ = ["take_over"]

_CUSTOM_TYPES = frozenset({"custom_tool_call", "custom_tool_call_output"})
# Of the client's own tools: it calls and answers them, whoever asked.
_CLIENT_TYPES = frozenset({*CALL_TYPES, *CALL_TYPES.values()})
# Approvals find their requests by themselves, and say nothing without them.
_APPROVALS = frozenset({"mcp_approval_request", "mcp_approval_response"})


def take_over(call: ModelCall, quirks: Quirks) -> Handover:
    """*call* with a history that this upstream understands."""
    types = quirks.tool_types
    if types is None:
        return hand_over(
            call, COMMON_TYPES | _CLIENT_TYPES | _APPROVALS, carries=lambda item: not is_foreign(item, call.account)
        )
    carried = COMMON_TYPES if "custom" in types else COMMON_TYPES - _CUSTOM_TYPES
    return hand_over(call, carried, carries=lambda item: _is_own(item, call.account))


def _is_own(item: Item, account: str) -> bool:
    return own_data(item, account) is not None
