"""
The arguments of a call: text in the hub, an object in this dialect.

What a model wrote stays as it wrote it. Where that is no object it stands, as a string, in an object of its own under
the name that Anthropic's documentation proposes for this; a client that sends it back gives the model its own words.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import orjson

__all__ = ["INVALID", "arguments_of", "input_json"]

INVALID: Final = "INVALID_JSON"


def input_json(arguments: str) -> str:
    """The ``input`` of a call as JSON: always an object, byte for byte what the model wrote if that is one."""
    text = arguments.strip()
    if not text:
        return "{}"
    return text if _is_object(text) else orjson.dumps({INVALID: arguments}).decode()


def arguments_of(given: Mapping[str, Any]) -> str:
    """The arguments of a call that a client sends back."""
    invalid = given.get(INVALID)
    if isinstance(invalid, str) and len(given) == 1:
        return invalid
    return orjson.dumps(given).decode()


def _is_object(text: str) -> bool:
    try:
        return text[0] == "{" and isinstance(orjson.loads(text), dict)
    except orjson.JSONDecodeError:
        return False
