"""
One item of a reply that is being streamed: says what the upstream says of it, and what the upstream left out.

Servers that speak this dialect agree on the names of events, not on which of them they send. Some never announce a
part, some never say that a text or a call's arguments are done, some number their parts by the token. So an upstream's
numbers of parts are not heeded: one part of an item is open at a time, and it is the one that was opened last.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import orjson

from antiphon.hub.errors import UpstreamBroken
from antiphon.hub.events import (
    AnnotationAdded,
    ContentPartAdded,
    ContentPartDone,
    CustomToolCallInputDelta,
    CustomToolCallInputDone,
    FunctionCallArgumentsDelta,
    FunctionCallArgumentsDone,
    OutputItemAdded,
    OutputItemDone,
    OutputTextDelta,
    OutputTextDone,
    ReasoningSummaryPartAdded,
    ReasoningSummaryPartDone,
    ReasoningSummaryTextDelta,
    ReasoningSummaryTextDone,
    ReasoningTextDelta,
    ReasoningTextDone,
    RefusalDelta,
    RefusalDone,
)
from antiphon.hub.items import JsonObject, Private
from antiphon.hub.upstream import ReplyEvent
from antiphon.providers.openai_responses.bodies import (
    EndStatus,
    added_body,
    done_body,
    empty_part,
    field_of_part,
    objects,
    text_of,
    whole_part,
)

__all__ = ["OWNERS", "OpenItem"]

# Which type of item a part of a known kind belongs to.
OWNERS: Final = {
    "output_text": "message",
    "refusal": "message",
    "reasoning_text": "reasoning",
    "summary_text": "reasoning",
}
_VALUES: Final = {"function_call": "arguments", "custom_tool_call": "input"}


class _Part:
    __slots__ = ("annotations", "body", "index", "kind", "logprobs", "pieces", "said")

    def __init__(self, body: JsonObject, index: int) -> None:
        self.body = body
        self.kind: str = body["type"]
        self.index = index
        self.pieces: list[str] = []
        self.logprobs: list[JsonObject] = []
        self.annotations: list[JsonObject] = []
        self.said: str | None = None  # its text, once that was said to be done


class OpenItem:
    """
    An item from its first event to its last.

    Args:
        wire: Its body as the upstream began it.
        body: The same under the names that things have here.
        output_index: Its place in the output.
        say: Takes the events.

    Raises:
        UpstreamBroken: It is a call without a name. Clients are told of whom is called as soon as a call begins.
    """

    def __init__(
        self, wire: JsonObject, body: JsonObject, output_index: int, say: Callable[[ReplyEvent], None]
    ) -> None:
        self.wire = wire
        self.id: str = body["id"]
        self.type: str = body["type"]
        self.call_id: str | None = body.get("call_id")
        self.output_index = output_index
        self.is_done = False
        self._say = say
        self._part: _Part | None = None
        self._content: list[JsonObject] = []
        self._summary: list[JsonObject] = []
        self._pieces: list[str] = []
        self._value: str | None = None
        if self.type in _VALUES:
            _name_of(body)
        say(OutputItemAdded(output_index, added_body(body)))

    # Parts.

    def open_part(self, body: JsonObject) -> None:
        """
        A part opens, and with it the one before it closes.

        Raises:
            UpstreamBroken: An item of this type has no such part.
        """
        if self.type == "reasoning" and body["type"] == "output_text":
            body = {"type": "reasoning_text"}  # so vLLM announces its raw reasoning
        if OWNERS.get(body["type"], self.type) != self.type:
            raise UpstreamBroken("The upstream sent a part of an item that cannot have it.")
        self.close_part()
        self._begin_part(body)

    def delta(self, kind: str, text: str, logprobs: Sequence[JsonObject] = ()) -> None:
        """A piece of the text of the open part; opens one if none of this kind is open."""
        if not text and not logprobs:
            return
        part = self._part
        if part is None or part.kind != kind or part.said is not None:
            self.close_part()
            part = self._begin_part({"type": kind})
        part.pieces.append(text)
        part.logprobs += logprobs
        self._say(self._delta_event(part, text, tuple(logprobs)))

    def annotate(self, annotation: JsonObject) -> None:
        """A citation in the open text."""
        part = self._part
        if part is None or part.kind != "output_text":
            self.close_part()
            part = self._begin_part({"type": "output_text"})
        self._say(AnnotationAdded(self.id, self.output_index, part.index, len(part.annotations), annotation))
        part.annotations.append(annotation)

    def text_done(self, kind: str, text: str, logprobs: Sequence[JsonObject] = ()) -> None:
        """The whole text of the open part; nothing new, if it was said already."""
        part = self._part
        if part is None or part.kind != kind:
            if not text or self._has_said(kind, text):
                return
            self.close_part()
            part = self._begin_part({"type": kind})
        if part.said is None:
            self._say_text(part, text, logprobs)

    def close_part(self, body: JsonObject | None = None) -> None:
        """The open part is whole. *body* is the upstream's own, where it gave one."""
        part, self._part = self._part, None
        if part is None:
            return
        field = field_of_part(part.kind)
        given = body if body is not None and body["type"] == part.kind else part.body
        if field is None:
            self._keep(part, given)
            return
        if part.said is None:
            self._say_text(part, text_of(given, field), objects(given.get("logprobs")))
        whole = whole_part(given)
        whole[field] = whole[field] or part.said
        if part.kind == "output_text":
            self._add_marginals(part, whole)
        self._keep(part, whole)

    # Arguments and input.

    def value_delta(self, delta: str) -> None:
        """A piece of a call's arguments, or of its input."""
        if not delta:
            return
        if self._value is not None:
            raise UpstreamBroken("The upstream sent a piece of a tool call that was whole.")
        self._pieces.append(delta)
        if self.type == "function_call":
            self._say(FunctionCallArgumentsDelta(self.id, self.output_index, delta))
        else:
            self._say(CustomToolCallInputDelta(self.id, self.output_index, delta))

    def value_done(self, value: str, name: str) -> None:
        """A call's whole arguments or input; nothing new, if they were said already."""
        if self._value is not None:
            return
        if not self._pieces:
            self.value_delta(value)
        self._value = value or "".join(self._pieces)
        if self.type == "function_call":
            self._say(FunctionCallArgumentsDone(self.id, self.output_index, self._value, name))
        else:
            self._say(CustomToolCallInputDone(self.id, self.output_index, self._value))

    # The end.

    def close(self, body: JsonObject, private: Private | None, status: EndStatus) -> None:
        """
        The item is done.

        Args:
            body: Its body under the names that things have here. What it lacks is what was said of it.
            status: The item's, where its body gives none.
        """
        done = done_body(body, status)
        if self.type in _VALUES:
            self._close_call(done)
        elif self.type in ("message", "reasoning"):
            self._close_parts(done)
        self.is_done = True
        self._say(OutputItemDone(self.output_index, done, private))

    def _close_call(self, done: JsonObject) -> None:
        field = _VALUES[self.type]
        name = _name_of(done)
        value = done.get(field)
        if isinstance(value, dict):
            done[field] = orjson.dumps(value).decode()  # what some servers make of a model's own form of calls
        self.value_done(text_of(done, field), name)
        done[field] = text_of(done, field) or self._value

    def _close_parts(self, done: JsonObject) -> None:
        content, summary = _parts(done.get("content"), "output_text"), _parts(done.get("summary"), "summary_text")
        if self._part is not None:
            final = summary if self._part.kind == "summary_text" else content
            self.close_part(final[self._part.index] if self._part.index < len(final) else None)
        for part in (*summary[len(self._summary) :], *content[len(self._content) :]):
            self.open_part(part)
            self.close_part(part)
        if self._summary or self.type == "reasoning":
            done["summary"] = _truer(self._summary, summary)
        if self._content or self.type == "message":
            done["content"] = _truer(self._content, content)

    # What is said.

    def _begin_part(self, body: JsonObject) -> _Part:
        is_summary = body["type"] == "summary_text"
        part = self._part = _Part(body, len(self._summary if is_summary else self._content))
        kind = ReasoningSummaryPartAdded if is_summary else ContentPartAdded
        self._say(kind(self.id, self.output_index, part.index, empty_part(body)))
        return part

    def _say_text(self, part: _Part, text: str, logprobs: Sequence[JsonObject]) -> None:
        if text and not part.pieces:
            part.pieces.append(text)
            part.logprobs += logprobs
            self._say(self._delta_event(part, text, tuple(logprobs)))
        part.said = text or "".join(part.pieces)
        part.logprobs = list(logprobs) or part.logprobs
        where = (self.id, self.output_index, part.index)
        match part.kind:
            case "output_text":
                self._say(OutputTextDone(*where, part.said, tuple(part.logprobs)))
            case "refusal":
                self._say(RefusalDone(*where, part.said))
            case "summary_text":
                self._say(ReasoningSummaryTextDone(*where, part.said))
            case _:
                self._say(ReasoningTextDone(*where, part.said))

    def _delta_event(self, part: _Part, text: str, logprobs: tuple[JsonObject, ...]) -> ReplyEvent:
        where = (self.id, self.output_index, part.index)
        match part.kind:
            case "output_text":
                return OutputTextDelta(*where, text, logprobs)
            case "refusal":
                return RefusalDelta(*where, text)
            case "summary_text":
                return ReasoningSummaryTextDelta(*where, text)
            case _:
                return ReasoningTextDelta(*where, text)

    def _add_marginals(self, part: _Part, whole: JsonObject) -> None:
        """What stands beside a text: citations that were not announced are, and what was said before is kept."""
        for annotation in whole["annotations"][len(part.annotations) :]:
            self._say(AnnotationAdded(self.id, self.output_index, part.index, len(part.annotations), annotation))
            part.annotations.append(annotation)
        whole["annotations"] = whole["annotations"] or part.annotations
        whole["logprobs"] = whole["logprobs"] or part.logprobs

    def _keep(self, part: _Part, whole: JsonObject) -> None:
        if part.kind == "summary_text":
            self._summary.append(whole)
            self._say(ReasoningSummaryPartDone(self.id, self.output_index, part.index, whole))
        else:
            self._content.append(whole)
            self._say(ContentPartDone(self.id, self.output_index, part.index, whole))

    def _has_said(self, kind: str, text: str) -> bool:
        """Whether the part that closed last has this text: some servers close a part before they say its text."""
        closed = self._summary if kind == "summary_text" else self._content
        field = field_of_part(kind) or ""
        return bool(closed) and closed[-1]["type"] == kind and closed[-1].get(field) == text


def _name_of(call: JsonObject) -> str:
    name = call.get("name")
    if not isinstance(name, str) or not name:
        raise UpstreamBroken("The upstream sent a tool call without a name.")
    return name


def _parts(value: object, kind: str) -> list[JsonObject]:
    """The parts of a finished item; a bare text stands for one of *kind*."""
    if isinstance(value, str):
        return [{"type": kind, "text": value}] if value else []
    return [part for part in objects(value) if isinstance(part.get("type"), str)]


def _truer(said: list[JsonObject], final: list[JsonObject]) -> list[JsonObject]:
    """The parts as the finished item has them; as they were said, where it has nothing of them."""
    whole = [whole_part(part) for part in final]
    return [
        now if now["type"] == before["type"] and _text(now) and _annotated(now) >= _annotated(before) else before
        for before, now in zip(said, whole, strict=False)
    ] + said[len(whole) :]


def _text(part: JsonObject) -> object:
    field = field_of_part(part["type"])
    return part if field is None else part[field]


def _annotated(part: JsonObject) -> int:
    return len(part.get("annotations") or ())
