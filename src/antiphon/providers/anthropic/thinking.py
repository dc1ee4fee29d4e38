"""
Thinking: how it is asked for, how it is kept, and which of it goes back.

The API signs each block of thinking and wants the blocks of a tool loop back as they were, all of them and in order. So
the blocks are private data of the reasoning item: they go back byte for byte to the account that they came from, and
to nobody else. A client that speaks this dialect itself brings blocks along of which nobody can tell whose they are:
they go where the client sends them.

What a client sees of the blocks is their text, as a summary: that is what the API calls it. Reasoning that somebody
else made has no signature and is left out. If the API finds no thinking where it expects some, it goes on without; it
is no error.
"""

from __future__ import annotations

from typing import Final

from antiphon.hub.errors import UnsupportedParameter
from antiphon.hub.items import Item, JsonObject, Private
from antiphon.hub.turn import ModelCall, TurnRequest
from antiphon.providers.anthropic.families import Family
from antiphon.providers.anthropic.quirks import Quirks

__all__ = ["DIALECT", "THINKING_BLOCKS", "ThinkingReplay", "ask_for_thinking", "keep_blocks"]

DIALECT: Final = "anthropic"
THINKING_BLOCKS = frozenset({"thinking", "redacted_thinking"})

_BLOCKS = "blocks"
_BROUGHT_ALONG = ""  # the account of what a client sent
_SMALLEST_BUDGET = 1024
# The API does not say what an effort is worth in tokens: these steps are ours.
_BUDGETS = {"minimal": 1024, "low": 4096, "medium": 12_288, "high": 24_576, "xhigh": 32_768, "max": 49_152}
_EFFORTS = {"minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "xhigh", "max": "max"}


def keep_blocks(blocks: list[JsonObject], account: str) -> Private:
    """The private data of a reasoning item that is made of these blocks."""
    return Private(provider=DIALECT, account=account, data={_BLOCKS: blocks})


class ThinkingReplay:
    """Which blocks of thinking go back with a call."""

    def __init__(self, call: ModelCall, quirks: Quirks) -> None:
        self._account = call.account
        self._first = _first_replayed(call, quirks)

    def blocks(self, item: Item, index: int) -> list[JsonObject]:
        """The blocks of a reasoning item as they came, if they go back; *index* is its place in the whole context."""
        private = item.private
        if private is None or index < self._first or private.provider != DIALECT:
            return []
        if private.account not in (self._account, _BROUGHT_ALONG):
            return []
        blocks: list[JsonObject] = private.data.get(_BLOCKS, [])
        return blocks


def ask_for_thinking(request: TurnRequest, family: Family, max_tokens: int) -> JsonObject:
    """
    The fields ``thinking`` and ``output_config`` for a request's ``reasoning``; empty where the model decides.

    Raises:
        UnsupportedParameter: The model cannot think like that, or not within the limit of its output.
    """
    effort = request.reasoning.get("effort")
    if effort == "none":
        return _without(family)
    if effort is not None and (family.thinking == "none" or effort not in _EFFORTS):
        raise _refused(f"Reasoning effort '{effort}' cannot be asked of this upstream's model.")
    if family.thinking == "adaptive":
        return _adaptive(effort, shown=bool(request.reasoning.get("summary")))
    return {} if effort is None else {"thinking": {"type": "enabled", "budget_tokens": _budget(effort, max_tokens)}}


def _without(family: Family) -> JsonObject:
    if not family.thinking_stops:
        raise _refused("Reasoning effort 'none': this upstream's model always reasons. Use 'low'.")
    return {} if family.thinking == "none" else {"thinking": {"type": "disabled"}}


def _adaptive(effort: str | None, *, shown: bool) -> JsonObject:
    fields: JsonObject = {}
    if effort is not None or shown:
        fields["thinking"] = {"type": "adaptive"}
    if shown:
        fields["thinking"]["display"] = "summarized"  # the newest models leave the text out otherwise
    if effort is not None:
        fields["output_config"] = {"effort": _EFFORTS[effort]}
    return fields


def _budget(effort: str, max_tokens: int) -> int:
    """A budget counts towards the limit of the output, of which a quarter is left for the answer."""
    if max_tokens <= _SMALLEST_BUDGET:
        raise UnsupportedParameter(
            f"Reasoning takes at least {_SMALLEST_BUDGET} tokens at this upstream, and the output is limited to "
            f"{max_tokens}. Raise 'max_output_tokens', or set 'reasoning.effort' to 'none'.",
            param="max_output_tokens",
        )
    return max(min(_BUDGETS[effort], max_tokens * 3 // 4), _SMALLEST_BUDGET)


def _refused(reason: str) -> UnsupportedParameter:
    return UnsupportedParameter(reason, param="reasoning.effort")


def _first_replayed(call: ModelCall, quirks: Quirks) -> int:
    """The index from which on thinking is replayed."""
    if quirks.replay_thinking == "never":
        return len(call.items)
    context = call.request.reasoning.get("context")
    if context == "all_turns" or (context != "current_turn" and quirks.replay_thinking == "always"):
        return 0
    return call.loop_start
