"""
Dropping: a call without what its target's dialect cannot say, where the request or the configuration wants that.

A codec refuses by name what it has no words for. If the wish covers that name, just that goes: a field is at its
default again, a tool is taken out, a part or an item is left out; and the codec is asked again. What the wish does not
cover is refused as ever. The request itself stays as it was asked for: another target may be able to say all of it.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence
from typing import TypeVar

import msgspec

from antiphon.engine.answers import Question
from antiphon.engine.droppable import FIELDS, NESTED_FIELDS, covers
from antiphon.engine.target import Target
from antiphon.hub.errors import InvalidRequest, UnsupportedParameter
from antiphon.hub.items import Item, JsonObject
from antiphon.hub.turn import ModelCall, TurnRequest
from antiphon.hub.upstream import UpstreamRequest

__all__ = ["Written", "question_of", "write", "write_without"]

R = TypeVar("R", bound=UpstreamRequest | None)

# From this many items on, writing the upstream's request would hold the event loop for milliseconds.
_WRITE_IN_THREAD_ITEMS = 400

# Each try takes something away. A request has at most some dozens of fields and kinds of content, and 128 tools.
_MOST_TRIES = 256
# Each kind of content costs writing all that stands before it once more, and clients choose how many there are.
_MOST_KINDS_OF_CONTENT = 32

_DEFAULTS = TurnRequest(model="")
_LOGPROBS = "message.output_text.logprobs"

# What a tool is; one that cannot say it is taken out. Of other fields just the field goes.
_TOOLS_OWN = frozenset(
    {"description", "format", "name", "parameters", "server_label", "strict", "tools", "type", "vector_store_ids"}
)

_STEP = re.compile(r"[^.\[\]]+")
_INPUT = re.compile(r"input\[(\d+)\]")
# Of a data URL what it is of and how that is written, of another one just its scheme.
_SCHEME = re.compile(r"(data:[^,]{0,100}|[a-z]+:)", re.IGNORECASE)


class Written(msgspec.Struct, frozen=True, kw_only=True):
    """
    A call in a dialect.

    Attributes:
        call: What was written: without what was dropped.
        dropped: By name, as the answer's header tells it.
    """

    call: ModelCall
    dropped: tuple[str, ...] = ()


async def question_of(target: Target, call: ModelCall) -> Question:
    """
    A call written for its target, without what may be dropped where that cannot be said there.

    Raises:
        UnsupportedParameter: Something that cannot be said is to be said.
    """
    request, written = await write(target, target.upstream.provider.encode, call)
    if written.dropped:
        not_applied = tuple(dict.fromkeys((*request.not_applied, *written.dropped)))
        request = msgspec.structs.replace(request, not_applied=not_applied)
    return Question(target=target, call=written.call, request=request)


async def write(target: Target, encode: Callable[[ModelCall], R], call: ModelCall) -> tuple[R, Written]:
    """
    What *encode*, a codec's of the target, makes of as much of *call* as it can say: see :func:`write_without`.

    The event loop waits for a short call that is written at once, and for no other.

    Raises:
        UnsupportedParameter: Something that cannot be said is to be said.
    """
    wish = call.request.drop | target.upstream.may_drop
    if len(call.items) < _WRITE_IN_THREAD_ITEMS:
        try:
            return encode(call), Written(call=call)
        except InvalidRequest:
            if not wish:
                raise
    return await asyncio.to_thread(write_without, encode, call, wish)


def write_without(encode: Callable[[ModelCall], R], call: ModelCall, wish: frozenset[str]) -> tuple[R, Written]:
    """
    What *encode* makes of as much of *call* as it can say.

    Args:
        encode: A codec's; what it refuses it names as the client knows it.

    Raises:
        UnsupportedParameter: The first thing that cannot be said and that the wish does not cover; also what asks for
            something that has gone, such as a choice among tools.

    Note:
        Content of one kind goes together, so it is one more try for each kind, not for each image of a long history.
    """
    less = _Without(call, wish)
    for _ in range(_MOST_TRIES):
        try:
            return encode(less.call), less.written()
        except UnsupportedParameter as error:
            less.drop(error)
        except InvalidRequest as error:
            if not less.written().dropped:  # the request is wrong by itself
                raise
            less.drop(error)
    return encode(less.call), less.written()


class _Without:
    """A call that gets smaller."""

    def __init__(self, call: ModelCall, wish: frozenset[str]) -> None:
        self.call = call
        self._input_start = call.input_start
        self._wish = wish
        self._places = list(range(len(call.items)))
        self._dropped: dict[str, None] = {}
        self._kinds_of_content = 0

    def written(self) -> Written:
        return Written(call=self.call, dropped=tuple(self._dropped))

    def drop(self, error: InvalidRequest) -> None:
        """
        Take away what was refused.

        Raises:
            UnsupportedParameter: The wish does not cover it.
        """
        head, *steps = _STEP.findall(error.param or "") or [""]
        name = self._drop_of_input(error) if head == "input" else self._drop_setting(head, steps)
        if name is None:
            raise self._as_asked(error)
        self._dropped[name] = None

    def _as_asked(self, error: InvalidRequest) -> UnsupportedParameter:
        """
        The error with the place that an item has in the client's input, from which others may be gone by now.

        What has become wrong because something went is wrong for this upstream alone: another one may be asked.
        """
        match = _INPUT.match(error.param or "")
        if match is not None and error.param is not None and len(self._places) > int(match[1]) + self.call.input_start:
            place = self._places[int(match[1]) + self.call.input_start] - self._input_start
            error.param = f"input[{place}]{error.param[match.end() :]}"
        if isinstance(error, UnsupportedParameter):
            return error
        return UnsupportedParameter(error.message, param=error.param)

    # Settings.

    def _drop_setting(self, head: str, steps: Sequence[str]) -> str | None:
        request = self.call.request
        if head == "tools" and steps:
            return self._drop_tool(steps)
        if head == "tool_choice" and steps:
            return self._drop_allowed(steps)
        if head in NESTED_FIELDS and steps:
            return self._drop_member(head, steps[0])
        if head == "include":
            return self._drop_logprobs()
        if head in FIELDS and covers(self._wish, head) and getattr(request, head) != getattr(_DEFAULTS, head):
            return self._set(head, **{head: getattr(_DEFAULTS, head)})
        return None

    def _drop_tool(self, steps: Sequence[str]) -> str | None:
        """One of all tools that are offered, wherever it is: a body has one list of them."""
        offered, (index, *rest) = self.call.tools, steps
        if not index.isdigit() or int(index) >= len(offered):
            return None
        tool, own = offered[int(index)], self.call.request.tools
        for place, each in enumerate(own):
            if each is tool:
                less = _less_tools(own, [str(place), *rest], self._wish)
                return less and self._set(less[1], tools=tuple(less[0]))
        for item_place, item in enumerate(self.call.items):
            for place, each in enumerate(item.body["tools"] if item.type == "additional_tools" else ()):
                if each is tool:
                    return self._drop_added_tool(item_place, [str(place), *rest])
        return None

    def _drop_added_tool(self, item_place: int, steps: Sequence[str]) -> str | None:
        """One that an item of the context adds."""
        item = self.call.items[item_place]
        less = _less_tools(item.body["tools"], steps, self._wish)
        if less is None:
            return None
        self._replace({item_place: _with(item, "tools", list(less[0]))})
        return less[1]

    def _drop_member(self, field: str, member: str) -> str | None:
        name = f"{field}.{member}"
        said: JsonObject = getattr(self.call.request, field)
        usual: JsonObject = getattr(_DEFAULTS, field)
        less = {key: value for key, value in said.items() if key != member}
        if member in usual:
            less[member] = usual[member]
        if less == said or not covers(self._wish, field, name):
            return None
        return self._set(name, **{field: less})

    def _drop_logprobs(self) -> str | None:
        """Of all that can be included, only log probabilities are asked of the upstream."""
        include = self.call.request.include
        if _LOGPROBS not in include or not covers(self._wish, "include", "top_logprobs"):
            return None
        return self._set("include", include=include - {_LOGPROBS}, top_logprobs=None)

    def _drop_allowed(self, steps: Sequence[str]) -> str | None:
        """A tool that may be called, and cannot be offered. The demand to call one goes only if it is named itself."""
        choice = self.call.request.tool_choice
        if isinstance(choice, str) or len(steps) < 2 or not steps[1].isdigit():
            return None
        kind = choice["tools"][int(steps[1])]["type"]
        if not covers(self._wish, "tools", "tool_choice", kind):
            return None
        left = [entry for entry in choice["tools"] if entry["type"] != kind]
        if left:
            return self._set(f"tool_choice.{kind}", tool_choice={**choice, "tools": left})
        if choice["mode"] != "required":
            return self._set(f"tool_choice.{kind}", tool_choice="none")
        return self._set("tool_choice", tool_choice="auto") if covers(self._wish, "tool_choice") else None

    def _set(self, name: str, **fields: object) -> str:
        request = msgspec.structs.replace(self.call.request, **fields)
        self._change(request=request)
        return name

    # Items.

    def _drop_of_input(self, error: InvalidRequest) -> str | None:
        place, steps = self._refused_place(error)
        if place is None:
            return None
        item = self.call.items[place]
        match steps:
            case []:
                return self._drop_items(item.type)
            case ["content" | "output" as field, index, *_] if index.isdigit():
                return self._drop_parts(item, field, int(index))
            case ["tools", *rest] if item.type == "additional_tools" and rest:
                return self._drop_added_tool(place, rest)
        return None

    def _refused_place(self, error: InvalidRequest) -> tuple[int | None, list[str]]:
        """Which item is refused, and what of it: one of the history goes by its id, one of the input by its place."""
        if isinstance(error, UnsupportedParameter) and error.item_id is not None:
            places = (place for place, item in enumerate(self.call.items) if item.id == error.item_id)
            return next(places, None), _STEP.findall(error.field)
        match = _INPUT.match(error.param or "")
        if match is None or error.param is None:
            return None, []
        place = int(match[1]) + self.call.input_start
        return (place if 0 <= place < len(self.call.items) else None), _STEP.findall(error.param[match.end() :])

    def _drop_items(self, kind: str) -> str | None:
        """All items of a type, each with the call that it answers or the output that it has."""
        if kind == "message" or not covers(self._wish, kind):
            return None
        items = self.call.items
        calls = {item.body.get("call_id") for item in items if item.type == kind} - {None}
        kept = [
            place for place, item in enumerate(items) if item.type != kind and item.body.get("call_id") not in calls
        ]
        gone_of_history = self.call.input_start - sum(place < self.call.input_start for place in kept)
        self._places = [self._places[place] for place in kept]
        self._change(
            items=tuple([items[place] for place in kept]),
            input_start=self.call.input_start - max(gone_of_history, 0),
        )
        return kind

    def _drop_parts(self, item: Item, field: str, index: int) -> str | None:
        """A content part, and all that are like it: what is refused of one is refused of all."""
        content = item.body[field]
        if not isinstance(content, list):
            return None
        kind = content[index]["type"]
        self._kinds_of_content += 1
        if not covers(self._wish, kind) or self._kinds_of_content > _MOST_KINDS_OF_CONTENT:
            return None
        refused = _likeness(item, field, content[index])
        changed: dict[int, Item] = {}
        for place, other in enumerate(self.call.items):
            parts = other.body.get(field)
            if not isinstance(parts, list):
                continue
            left = [part for part in parts if _likeness(other, field, part) != refused]
            if len(left) < len(parts):
                changed[place] = _with(other, field, left)
        self._replace(changed)
        return str(kind)

    def _replace(self, changed: dict[int, Item]) -> None:
        self._change(items=tuple([changed.get(place, item) for place, item in enumerate(self.call.items)]))

    def _change(self, **fields: object) -> None:
        """The client's own body is not what is said any more."""
        self.call = msgspec.structs.replace(self.call, **fields, verbatim=None)


def _with(item: Item, field: str, value: object) -> Item:
    return msgspec.structs.replace(item, body={**item.body, field: value})


def _likeness(item: Item, field: str, part: JsonObject) -> tuple[object, ...]:
    """All of a part that a codec refuses it for: where it stands, what it is, and how its content is given."""
    given = tuple(
        (name, match[1].lower() if (match := _SCHEME.match(value)) else None)
        for name, value in part.items()
        if isinstance(value, str) and name.startswith(("file", "image"))
    )
    suffix = str(part.get("filename") or "").rpartition(".")[2].lower()
    return item.type, item.body.get("role"), field, part["type"], given, suffix


def _less_tools(
    tools: Sequence[JsonObject], steps: Sequence[str], wish: frozenset[str]
) -> tuple[Sequence[JsonObject], str] | None:
    """*tools* without the one that *steps* lead to, or without its field; and the name of what is gone."""
    index, *rest = steps
    if not index.isdigit():
        return None
    tool = tools[int(index)]
    kind = tool["type"]
    kept: list[JsonObject] = []
    name = f"tools.{kind}"
    if len(rest) > 1 and rest[0] == "tools":
        less = _less_tools(tool["tools"], rest[1:], wish)
        if less is None:
            return None
        name = less[1]
        kept = [{**tool, "tools": list(less[0])}] if less[0] else []
    elif not covers(wish, "tools", kind):
        return None
    elif rest and rest[0] in tool and rest[0] not in _TOOLS_OWN:
        name = f"tools.{rest[0]}"
        kept = [{field: value for field, value in tool.items() if field != rest[0]}]
    return [*tools[: int(index)], *kept, *tools[int(index) + 1 :]], name
