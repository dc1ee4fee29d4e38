"""Whole bodies: a response, or any other object of the API, as JSON bytes."""

from __future__ import annotations

import orjson

from antiphon.hub.items import JsonObject

__all__ = ["encode_response"]


def encode_response(response: JsonObject) -> bytes:
    """The JSON body of a whole response."""
    return orjson.dumps(response)
