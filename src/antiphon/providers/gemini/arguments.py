"""
The arguments of calls: text in the Responses API, an object on Gemini's wire.

On the way up the text goes into the body as it was written, so that no number and no order of keys changes. Text that
is no JSON object (a model was cut short, or a client wrote it) goes up wrapped, as ``{"arguments": TEXT}``: the model
sees what was said, and nothing is made up. The free-form input of a custom tool is ``{"input": TEXT}`` both ways.
"""

from __future__ import annotations

from typing import Any

import msgspec
import orjson

from antiphon.hub.items import JsonObject

__all__ = ["arguments_object", "arguments_text", "input_object", "input_text"]


def arguments_object(text: str) -> orjson.Fragment | JsonObject:
    """A function call's arguments as the object that stands in a body; empty text is a call without arguments."""
    if not text.strip():
        return {}
    try:
        is_object = isinstance(orjson.loads(text), dict)
    except orjson.JSONDecodeError:
        is_object = False
    return orjson.Fragment(text) if is_object else {"arguments": text}


def arguments_text(arguments: JsonObject | None) -> str:
    """The JSON text of the arguments that the model gave."""
    return msgspec.json.encode(arguments or {}).decode()


def input_object(text: str) -> JsonObject:
    """A custom tool's input as the arguments of the function that it is offered as."""
    return {"input": text}


def input_text(arguments: JsonObject | None) -> str:
    """The input in the arguments that a custom tool was called with, or their JSON if they do not hold just that."""
    value: Any = (arguments or {}).get("input")
    return value if isinstance(value, str) and arguments == {"input": value} else arguments_text(arguments)
