"""Token counts in chat's words, and what they have cost."""

from __future__ import annotations

from antiphon.hub.items import JsonObject

__all__ = ["chat_usage"]


def chat_usage(usage: JsonObject) -> JsonObject:
    """
    The ``usage`` of a completion, made of that of a response. What the hub does not count is 0; a cost that nobody
    knows is not there.
    """
    cost = {"cost": usage["cost"]} if "cost" in usage else {}
    return {
        "prompt_tokens": usage["input_tokens"],
        "completion_tokens": usage["output_tokens"],
        "total_tokens": usage["total_tokens"],
        "prompt_tokens_details": {
            "cached_tokens": usage["input_tokens_details"]["cached_tokens"],
            "cache_write_tokens": usage["input_tokens_details"]["cache_write_tokens"],
            "audio_tokens": 0,
        },
        "completion_tokens_details": {
            "reasoning_tokens": usage["output_tokens_details"]["reasoning_tokens"],
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
        **cost,
    }
