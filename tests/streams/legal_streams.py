"""Streams of every kind that the order check lets pass, also such as no server of good sense would send."""

from __future__ import annotations

from typing import Any, TypeVar

from hypothesis import strategies as st

from antiphon.hub import events as e
from antiphon.hub.items import JsonObject, Private

__all__ = ["AnyEvent", "legal_streams"]

AnyEvent = e.Event | e.OtherEvent
_Choice = TypeVar("_Choice")

_TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=4)
_PIECES = st.one_of(_TEXTS, st.sampled_from(["", "a", " the", "é", "👩‍👩‍👧", "x" * 61, "x" * 62, "ab" * 1000]))
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 2**40) | st.floats(allow_nan=False, allow_infinity=False) | _TEXTS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(_TEXTS, inner, max_size=2),
    max_leaves=4,
)
_OBJECTS = st.dictionaries(st.sampled_from(["delta", "item_id", "output_index", "x"]), _VALUES, max_size=3)
_LOGPROBS = st.lists(st.sampled_from([{"token": "a", "logprob": -0.5}, {"token": "b", "logprob": 0}]), max_size=2)
_ITEM_TYPES = ["message", "reasoning", "function_call", "custom_tool_call", "mcp_call"]
_PARTS = {"message": ["output_text", "refusal", "x"], "reasoning": ["reasoning_text", "summary_text"]}
_FIELDS = {"refusal": "refusal", "arguments": "arguments", "input": "input"}
_DELTAS: dict[str, Any] = {
    "output_text": e.OutputTextDelta,
    "refusal": e.RefusalDelta,
    "reasoning_text": e.ReasoningTextDelta,
    "summary_text": e.ReasoningSummaryTextDelta,
    "arguments": e.FunctionCallArgumentsDelta,
    "input": e.CustomToolCallInputDelta,
}
_DONES: dict[str, Any] = {
    "output_text": e.OutputTextDone,
    "refusal": e.RefusalDone,
    "reasoning_text": e.ReasoningTextDone,
    "summary_text": e.ReasoningSummaryTextDone,
    "arguments": e.FunctionCallArgumentsDone,
    "input": e.CustomToolCallInputDone,
}


class _Part:
    def __init__(self, kind: str, *place: Any) -> None:
        self.kind = kind
        self.place: Any = place  # its length is the kind's
        self.text = ""
        self.logprobs: list[JsonObject] = []
        self.annotations: list[JsonObject] = []
        self.state = "open"
        self.spoken = False

    def body(self) -> JsonObject:
        body: JsonObject = {"type": self.kind, _FIELDS.get(self.kind, "text"): self.text}
        if self.kind == "output_text":
            body |= {"annotations": list(self.annotations), "logprobs": list(self.logprobs)}
        return body


class _Item:
    def __init__(self, index: int, body: JsonObject) -> None:
        self.index = index
        self.body = body
        self.content: list[_Part] = []
        self.summary: list[_Part] = []
        value = {"function_call": "arguments", "custom_tool_call": "input"}.get(body["type"])
        self.value = _Part(value, body["id"], index) if value else None

    def parts(self) -> list[_Part]:
        return [*self.content, *self.summary, *([self.value] if self.value else [])]

    def done(self) -> JsonObject:
        body = {**self.body, "status": "completed"}
        if self.content:
            body["content"] = [part.body() for part in self.content]
        if self.summary:
            body["summary"] = [part.body() for part in self.summary]
        if self.value:
            body[self.value.kind] = self.value.text
        return body


class _Writer:
    """Writes one stream; every choice is drawn."""

    def __init__(self, draw: st.DrawFn) -> None:
        self._draw = draw
        self._open: list[_Item] = []
        self._added = 0
        self.events: list[AnyEvent] = []

    def step(self) -> None:
        draw = self._draw
        item = self._one_of(self._open)
        part = self._one_of(item.parts()) if item else None
        if not draw(st.integers(0, 9)):
            self.events.append(e.OtherEvent(draw(st.sampled_from(["response.x.delta", "response.y"])), draw(_OBJECTS)))
        elif item is None:
            self._add_item()
        elif part is not None and part.state == "open" and part.kind != "x":
            self._speak(item, part)
        elif part is not None and part.state == "said" and part is not item.value:
            self._close_part(item, part)
        elif draw(st.booleans()):
            self._add_part(item)
        else:
            self._close_item(item)

    def finish(self) -> None:
        for item in list(self._open):
            self._close_item(item)

    def _add_item(self) -> None:
        draw = self._draw
        kind = draw(st.sampled_from(_ITEM_TYPES))
        body: JsonObject = {"id": f"item_{self._added}", "type": kind}
        if draw(st.booleans()):
            body["status"] = "in_progress"
        fields: dict[str, JsonObject] = {
            "message": {"content": [], "role": "assistant"},
            "reasoning": {"summary": []},
            "function_call": {"arguments": draw(st.sampled_from(["", "", "{"])), "call_id": "call_1", "name": "f"},
            "custom_tool_call": {"call_id": "call_2", "input": "", "name": "g"},
            "mcp_call": {"arguments": "", "output": None},
        }
        body |= fields[kind]
        self._open.append(_Item(self._added, body))
        self.events.append(e.OutputItemAdded(self._added, dict(body)))
        self._added += 1

    def _add_part(self, item: _Item) -> None:
        kind = self._draw(st.sampled_from(_PARTS.get(item.body["type"], ["x"])))
        parts = item.summary if kind == "summary_text" else item.content
        part = _Part(kind, item.body["id"], item.index, len(parts))
        parts.append(part)
        body = part.body()
        if self._odd():
            body = {**body, "text": "begun ", "more": self._draw(_VALUES)}
        added: Any = e.ReasoningSummaryPartAdded if kind == "summary_text" else e.ContentPartAdded
        self.events.append(added(*part.place, body))

    def _speak(self, item: _Item, part: _Part) -> None:
        draw = self._draw
        if part.kind == "output_text" and not draw(st.integers(0, 5)):
            annotation = draw(_OBJECTS)
            added: Any = e.AnnotationAdded
            self.events.append(added(*part.place, len(part.annotations), annotation))
            part.annotations.append(annotation)
        elif not draw(st.integers(0, 4)):
            self._say(item, part)
        else:
            for piece in draw(st.lists(_PIECES, min_size=1, max_size=4)):
                self._delta(part, piece)

    def _delta(self, part: _Part, piece: str) -> None:
        part.text += piece
        more: tuple[Any, ...] = ()
        if part.kind == "output_text" and not self._draw(st.integers(0, 3)):
            logprobs = self._draw(_LOGPROBS)
            part.logprobs += logprobs
            more = (tuple(logprobs),)
        part.spoken = True
        self.events.append(_DELTAS[part.kind](*part.place, piece, *more))

    def _say(self, item: _Item, part: _Part) -> None:
        if self._odd():
            part.text = self._draw(st.sampled_from([part.text + "!", part.text[:-1], "other"]))
        if self._odd():
            part.logprobs = self._draw(_LOGPROBS)
        more: dict[str, tuple[Any, ...]] = {"output_text": (tuple(part.logprobs),), "arguments": ("f",)}
        self.events.append(_DONES[part.kind](*part.place, part.text, *more.get(part.kind, ())))
        part.state = "said" if part is not item.value else "closed"

    def _close_part(self, item: _Item, part: _Part) -> None:
        if part.state == "open" and part.kind != "x":
            self._say(item, part)
        if self._odd():
            part.text += "?"
        done: Any = e.ReasoningSummaryPartDone if part.kind == "summary_text" else e.ContentPartDone
        self.events.append(done(*part.place, part.body()))
        part.state = "closed"

    def _close_item(self, item: _Item) -> None:
        for part in item.parts():
            if part is item.value:
                if part.state == "open" and (part.spoken or self._draw(st.booleans())):
                    self._say(item, part)
            elif part.state != "closed":
                self._close_part(item, part)
        body = item.done()
        if self._odd():
            body |= self._draw(st.sampled_from([{"more": 1.0}, {"status": "odd"}, {"content": []}, {"summary": [{}]}]))
        private = self._draw(st.sampled_from([None, Private(provider="p", account="a", data={})]))
        self.events.append(e.OutputItemDone(item.index, body, private))
        self._open.remove(item)

    def _one_of(self, choices: list[_Choice]) -> _Choice | None:
        """Mostly one of *choices*, sometimes none."""
        if not choices or not self._draw(st.integers(0, 9)):
            return None
        return self._draw(st.sampled_from(choices))

    def _odd(self) -> bool:
        return self._draw(st.integers(0, 7)) == 7


@st.composite
def legal_streams(draw: st.DrawFn, *, whole: bool) -> list[AnyEvent]:
    """The events of a reply; all items done if it is *whole*, else cut off anywhere."""
    writer = _Writer(draw)
    for _ in range(draw(st.integers(0, 25))):
        writer.step()
    if whole:
        writer.finish()
    return writer.events
