"""
Which beginnings of a prompt are kept in the API's cache.

A mark (``cache_control``) caches everything up to its block: tools come first, then the system prompt, then messages.
Marked is what the next turn begins with as well: the tools and the system prompt, and the history. The turn's own input
is not: if nobody goes on from there, writing it would have cost a quarter more for nothing. Of the four marks that a
request may have these are two at most.
"""

from __future__ import annotations

from antiphon.hub.items import JsonObject
from antiphon.providers.anthropic.quirks import Quirks
from antiphon.providers.anthropic.transcript import Transcript

__all__ = ["mark_stable_prefix"]


def mark_stable_prefix(body: JsonObject, transcript: Transcript, quirks: Quirks) -> None:
    """Mark the end of the tools and the system prompt, and that of the history, in a body that was just made."""
    if not quirks.caching:
        return
    mark = {"type": "ephemeral"} if quirks.cache_ttl == "5m" else {"type": "ephemeral", "ttl": quirks.cache_ttl}
    if body.get("system"):
        body["system"][-1]["cache_control"] = mark
    elif body.get("tools"):
        body["tools"][-1] = {**body["tools"][-1], "cache_control": mark}
    if transcript.history_end is not None:
        transcript.history_end["cache_control"] = mark
