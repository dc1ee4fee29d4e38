"""Short ways to write the items that the tests of contexts are about, and any context that a turn can have."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from antiphon.hub.ids import ItemId
from antiphon.hub.items import CALL_TYPES, OUTPUT_TYPES, Item


def item(item_id: str, type_: str, **body: Any) -> Item:
    return Item(ItemId(item_id), type_, {"id": item_id, "type": type_, **body})


def message(item_id: str, role: str, text: str = "words") -> Item:
    kind = "output_text" if role == "assistant" else "input_text"
    return item(item_id, "message", role=role, status="completed", content=[{"type": kind, "text": text}])


def user(item_id: str, text: str = "words") -> Item:
    return message(item_id, "user", text)


def assistant(item_id: str, text: str = "words") -> Item:
    return message(item_id, "assistant", text)


def reasoning(item_id: str) -> Item:
    return item(item_id, "reasoning", summary=[], content=[{"type": "reasoning_text", "text": "hm"}])


def call(item_id: str, call_id: str = "", kind: str = "function_call") -> Item:
    value = {"arguments": "{}"} if kind == "function_call" else {"input": "x"}
    return item(item_id, kind, call_id=call_id or f"call_{item_id}", name="look", status="completed", **value)


def output(item_id: str, call_id: str, kind: str = "function_call_output", text: str = "done") -> Item:
    return item(item_id, kind, call_id=call_id, output=text)


def ids(items: Any) -> list[str]:
    return [str(each.id) for each in items]


def text_of(message: Item) -> str:
    return str(message.body["content"][0]["text"])


@st.composite
def contexts(draw: st.DrawFn, *, pending: bool = False, max_steps: int = 12) -> tuple[Item, ...]:
    """
    A context that passes the check of pairing: messages, reasoning, and calls in groups with outputs in any order, with
    messages between them. With *pending* it may end in calls that are not answered.
    """
    items: list[Item] = []

    def name() -> str:
        return f"i{len(items)}"

    def size() -> str:
        return "w" * draw(st.integers(1, 200))

    for _ in range(draw(st.integers(1, max_steps))):
        if draw(st.booleans()):
            items.append(reasoning(name()))
        if draw(st.integers(0, 2)):
            items.append(message(name(), draw(st.sampled_from(["user", "assistant", "developer"])), size()))
        else:
            _group(draw, items, answered=True)
    if pending and draw(st.booleans()):
        _group(draw, items, answered=False)
    return tuple(items)


def _group(draw: st.DrawFn, items: list[Item], *, answered: bool) -> None:
    """Some calls at once, and their outputs. A call id may be used again once it was answered."""
    kinds = draw(st.lists(st.sampled_from(["function_call", "custom_tool_call"]), min_size=1, max_size=3))
    calls = [(f"call_{number}", kind) for number, kind in enumerate(kinds)]
    for call_id, kind in calls:
        items.append(call(f"i{len(items)}", call_id, kind))
    for call_id, kind in draw(st.permutations(calls)) if answered else []:
        if draw(st.integers(0, 3)) == 0:
            items.append(user(f"i{len(items)}"))
        items.append(output(f"i{len(items)}", call_id, CALL_TYPES[kind]))


def is_paired(items: tuple[Item, ...]) -> bool:
    """Whether every output has its call before it, and every call its output behind it."""
    waiting: set[tuple[str, str]] = set()
    for each in items:
        if each.type in CALL_TYPES:
            waiting.add((each.type, each.body["call_id"]))
        elif each.type in OUTPUT_TYPES:
            key = (OUTPUT_TYPES[each.type], each.body["call_id"])
            if key not in waiting:
                return False
            waiting.remove(key)
    return not waiting
