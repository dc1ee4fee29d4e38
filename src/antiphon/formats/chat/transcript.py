"""
Checked chat messages as items.

An assistant message becomes up to three kinds of items: its reasoning, what it said, its calls. Calls and their results
must stand together as the API wants it: results of all calls of a message directly behind it. The legacy pair of
``function_call`` and a message of role ``function`` has no ids; it gets one made of its place.

What a message has beyond the fields of its role rides along on its first item that stands for what was said or called.
Where the hub has a meaning of its own for the field's name, it cannot, and is reported instead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, Literal

from antiphon.formats.chat.content import input_parts, output_parts
from antiphon.hub.errors import InvalidRequest, UnsupportedParameter
from antiphon.hub.items import JsonObject

__all__ = ["Transcript"]

_KNOWN = frozenset(
    {
        *("role", "content", "refusal", "annotations", "audio", "reasoning_content", "reasoning"),
        *("tool_calls", "function_call", "tool_call_id"),
    }
)

# Fields that mean something on an item. A participant's name is one: the hub knows only names of tools.
_MEANT_OTHERWISE = frozenset(
    {
        *("id", "type", "status", "phase", "name", "namespace", "call_id", "arguments", "input", "output"),
        *("summary", "encrypted_content"),
    }
)


class _Step:
    """The calls of one assistant message, and which of them have no result yet."""

    def __init__(
        self, kind: Literal["tool_calls", "function_call"], outputs: Mapping[str, str], name: str = ""
    ) -> None:
        self.kind = kind
        self.waiting = dict(outputs)  # the type of the output that each call waits for, by its id
        self.name = name


class Transcript:
    """
    The items of a conversation in the making.

    Attributes:
        items: As far as messages were fed, in their full form.
        not_applied: ``messages.<field>`` for each field that had to be left out.
    """

    def __init__(self) -> None:
        self.items: list[JsonObject] = []
        self.not_applied: dict[str, None] = {}
        self._step: _Step | None = None

    def feed(self, message: JsonObject, index: int) -> None:
        """
        Take the next message.

        Raises:
            InvalidRequest: A result without its call, or a call without its result.
            UnsupportedParameter: The message refers to audio that only its server has.
        """
        if message["role"] not in ("tool", "function"):
            self._close_step()
        self._READERS[message["role"]](self, message, index)

    def finish(self) -> tuple[JsonObject, ...]:
        """
        All items.

        Raises:
            InvalidRequest: A call without its result.
        """
        self._close_step()
        return tuple(self.items)

    def _input(self, message: JsonObject, index: int) -> None:
        """A message that goes to the model: of the user, the system or a developer."""
        self._add_message(message, message["role"], input_parts(message["content"]))

    def _assistant(self, message: JsonObject, index: int) -> None:
        _check_assistant(message, index)
        before = len(self.items)
        self._reasoning(message)
        first = len(self.items)
        parts = _said(message)
        if parts:
            self.items.append(_message("assistant", parts))
        self._call(message, index)
        if before == len(self.items):
            self.items.append(_message("assistant", output_parts("")))
        self._keep(message, _KNOWN, self.items[first:])

    def _reasoning(self, message: JsonObject) -> None:
        # Servers that send both say the same twice.
        text = message.get("reasoning_content") or message.get("reasoning")
        if text:
            self.items.append({"type": "reasoning", "summary": [], "content": [_reasoning_text(text)]})

    def _call(self, message: JsonObject, index: int) -> None:
        if "function_call" in message:
            self._function_call(message["function_call"], index)
        if "tool_calls" in message:
            for call in message["tool_calls"]:
                self._tool_call(call)
            self._step = _Step("tool_calls", {call["id"]: _OUTPUTS[call["type"]] for call in message["tool_calls"]})

    def _tool_call(self, call: JsonObject) -> None:
        kind = call["type"]
        item = _call_item(kind, call["id"], call[kind])
        self.items.append(item)
        self._keep({**call[kind], **call}, frozenset({"id", "type", kind, "name", "arguments", "input"}), [item])

    def _function_call(self, called: JsonObject, index: int) -> None:
        call_id = f"call_function_{index}"
        item = _call_item("function", call_id, called)
        self.items.append(item)
        self._keep(called, frozenset({"name", "arguments"}), [item])
        self._step = _Step("function_call", {call_id: _OUTPUTS["function"]}, called["name"])

    def _tool(self, message: JsonObject, index: int) -> None:
        step = self._step
        if step is None or step.kind != "tool_calls":
            raise InvalidRequest(
                "Invalid parameter: messages with role 'tool' must be a response to a preceeding message with "
                "'tool_calls'.",
                param=f"messages.[{index}].role",
            )
        call_id = message["tool_call_id"]
        if call_id not in step.waiting:
            raise InvalidRequest(
                f"Invalid parameter: 'tool_call_id' of '{call_id}' not found in 'tool_calls' of previous message.",
                param=f"messages.[{index}].tool_call_id",
            )
        self._output(step.waiting.pop(call_id), call_id, message)

    def _function(self, message: JsonObject, index: int) -> None:
        step = self._step
        if step is None or step.kind != "function_call" or step.name != message["name"] or not step.waiting:
            raise InvalidRequest(
                "Invalid parameter: messages with role 'function' must be a response to a preceeding message with "
                f"'function_call' of '{message['name']}'.",
                param=f"messages.[{index}].role",
            )
        call_id, output_type = step.waiting.popitem()
        self._output(output_type, call_id, message, known=frozenset({"name"}))

    def _output(self, output_type: str, call_id: str, message: JsonObject, known: frozenset[str] = frozenset()) -> None:
        content = message["content"]
        output = content if isinstance(content, str) else input_parts(content)
        item = {"type": output_type, "call_id": call_id, "output": output, "status": "completed"}
        self.items.append(item)
        self._keep(message, _KNOWN | known, [item])

    def _close_step(self) -> None:
        step, self._step = self._step, None
        if step is None or not step.waiting:
            return
        if step.kind == "function_call":
            raise InvalidRequest(
                "An assistant message with 'function_call' must be followed by a message with role 'function' that has "
                f"the result of '{step.name}'.",
                param="messages",
            )
        raise InvalidRequest(
            "An assistant message with 'tool_calls' must be followed by tool messages responding to each "
            f"'tool_call_id'. The following tool_call_ids did not have response messages: {', '.join(step.waiting)}",
            param="messages",
        )

    def _add_message(self, message: JsonObject, role: str, parts: list[JsonObject]) -> None:
        item = _message(role, parts)
        self.items.append(item)
        self._keep(message, _KNOWN, [item])

    def _keep(self, source: Mapping[str, Any], known: frozenset[str], items: Sequence[JsonObject]) -> None:
        """Put what *source* has beyond *known* onto the first of *items*."""
        for name in source:
            if name in known:
                continue
            if items and name not in _MEANT_OTHERWISE and name not in items[0]:
                items[0][name] = source[name]
            else:
                self.not_applied[f"messages.{name}"] = None

    _READERS: ClassVar[Mapping[str, Callable[[Transcript, JsonObject, int], None]]] = {
        "assistant": _assistant,
        "developer": _input,
        "function": _function,
        "system": _input,
        "tool": _tool,
        "user": _input,
    }


_OUTPUTS = {"function": "function_call_output", "custom": "custom_tool_call_output"}


def _check_assistant(message: JsonObject, index: int) -> None:
    if "audio" in message:
        raise UnsupportedParameter(
            "Earlier audio of the assistant cannot be referred to. Send its transcript as 'content'.",
            param=f"messages[{index}].audio",
        )
    if "tool_calls" in message and "function_call" in message:
        raise InvalidRequest(
            "An assistant message can have only one of 'tool_calls' and 'function_call'.",
            param=f"messages[{index}].function_call",
        )


def _message(role: str, parts: list[JsonObject]) -> JsonObject:
    return {"type": "message", "role": role, "status": "completed", "content": parts}


def _call_item(kind: str, call_id: str, called: JsonObject) -> JsonObject:
    if kind == "custom":
        value = {"type": "custom_tool_call", "call_id": call_id, "name": called["name"], "input": called["input"]}
    else:
        value = {"type": "function_call", "call_id": call_id, "name": called["name"], "arguments": called["arguments"]}
    return {**value, "status": "completed"}


def _said(message: JsonObject) -> list[JsonObject]:
    """The parts of what an assistant message says; none for one that only calls or thinks."""
    content = message.get("content")
    parts = output_parts(content) if content else []
    if message.get("refusal"):
        parts.append({"type": "refusal", "refusal": message["refusal"]})
    if message.get("annotations"):
        _cite(parts, message["annotations"])
    return parts


def _cite(parts: Iterable[JsonObject], annotations: Sequence[JsonObject]) -> None:
    """Put the citations of a message onto its first text: chat counts their places through the whole content."""
    for part in parts:
        if part["type"] == "output_text":
            part["annotations"] = [_flat(annotation) for annotation in annotations]
            return


def _flat(annotation: JsonObject) -> JsonObject:
    kind = annotation.get("type")
    nested = annotation.get(kind) if isinstance(kind, str) else None
    return {"type": kind, **nested} if isinstance(nested, dict) else dict(annotation)


def _reasoning_text(text: str) -> JsonObject:
    return {"type": "reasoning_text", "text": text}
