"""Which bodies are checked elsewhere than in the event loop."""

from __future__ import annotations

import pytest

from antiphon.engine.asked import is_long
from antiphon.hub.items import JsonObject

TEXT = {"type": "text", "text": "a"}
RESULT = {"type": "tool_result", "content": [TEXT] * 500}

LONG: dict[str, JsonObject] = {
    "messages": {"messages": [{"role": "user", "content": "a"}] * 400},
    "parts": {"input": [{"role": "user", "content": [TEXT] * 399}]},
    "parts of parts": {"messages": [{"role": "user", "content": [RESULT]}]},
    "all together": {"messages": [{"role": "user", "content": [TEXT] * 9}] * 45},
    "lists in lists": {"prompt": [[0] * 200, [0] * 200]},
}
SHORT: dict[str, JsonObject] = {
    "nothing": {},
    "text": {"input": "a" * 10_000},
    "messages": {"messages": [{"role": "user", "content": "a"}] * 399},
    "a schema": {"tools": [{"function": {"parameters": {"enum": [0] * 1000}}}]},
}


@pytest.mark.parametrize("body", LONG.values(), ids=LONG)
def test_what_has_many_entries_is_long(body: JsonObject) -> None:
    """However deep they lie: a check looks at each of them."""
    assert is_long(body)


@pytest.mark.parametrize("body", SHORT.values(), ids=SHORT)
def test_what_has_few_is_not(body: JsonObject) -> None:
    """Nor is what nobody checks part by part."""
    assert not is_long(body)
