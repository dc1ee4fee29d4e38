"""
Stored prompts: what a version of one holds, and the turn that it makes of a request which names it. Pure.

A template is text with placeholders, ``{{name}}``: the instructions, and every text part of the input's messages. All
placeholders are filled in one pass, so what a variable says is never read as a template itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from antiphon.hub.errors import InvalidRequest
from antiphon.hub.items import JsonObject
from antiphon.hub.turn import TurnRequest

__all__ = ["VARIABLE_NAME", "Prompt", "PromptVariable", "apply_prompt", "variables_of"]

VARIABLE_NAME = r"[A-Za-z_][A-Za-z0-9_]{0,63}"

_PLACEHOLDER = re.compile(r"\{\{\s*(" + VARIABLE_NAME + r")\s*\}\}")
_TEXT_PARTS = ("input_text", "output_text")

# Settings that stand in for what the request leaves open, each as a whole.
_SETTINGS = ("model", "tools", "tool_choice", "text", "reasoning", "temperature", "top_p", "max_output_tokens")

# A variable may be used many times: without a bound, a short request could ask for gigabytes. As much as a body holds.
_MAX_RENDERED_CHARS = 32 * 1024 * 1024

Value = str | JsonObject


class PromptVariable(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A variable of a prompt. Without a *default*, whoever uses it in a turn has to give its value."""

    default: str | None = None
    description: str | None = None


class Prompt(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """
    A version of a stored prompt. None and empty are what it says nothing about.

    Attributes:
        input: Items in their full form, without ids: they are new in every turn.
        metadata: The prompt's own; responses do not inherit it.
        variables: Every variable of its templates, declared or not.
    """

    name: str | None = None
    model: str | None = None
    instructions: str | None = None
    input: tuple[JsonObject, ...] = ()
    tools: tuple[JsonObject, ...] | None = None
    tool_choice: str | JsonObject | None = None
    text: JsonObject | None = None
    reasoning: JsonObject | None = None
    temperature: float | None = None
    top_p: float | None = None
    max_output_tokens: int | None = None
    metadata: dict[str, str] = msgspec.field(default_factory=dict)
    variables: dict[str, PromptVariable] = msgspec.field(default_factory=dict)


def variables_of(instructions: str | None, items: Iterable[JsonObject]) -> tuple[str, ...]:
    """The names of the variables of a prompt's templates, in the order in which they first occur."""
    texts = [instructions or "", *(part["text"] for item in items for part in _templates(item))]
    return tuple(dict.fromkeys(name for text in texts for name in _PLACEHOLDER.findall(text)))


def apply_prompt(request: TurnRequest, prompt: Prompt, *, version: str) -> TurnRequest:
    """
    What a request asks for that names a prompt.

    The request's own fields win over the prompt's. The prompt's input stands before the request's.

    Args:
        version: Of the prompt; the response says it.

    Raises:
        InvalidRequest: A variable is missing, unknown or of a kind that does not fit where it is used; or neither
            the request nor the prompt names a model, or gives the model anything to answer.
    """
    assert request.prompt is not None
    given = request.prompt.get("variables") or {}
    filling = _Filling(prompt.variables, given)
    changes: dict[str, Any] = {
        name: value for name in _SETTINGS if name not in request.given and (value := getattr(prompt, name)) is not None
    }
    if prompt.instructions is not None and "instructions" not in request.given:
        changes["instructions"] = filling.text(prompt.instructions, "the instructions")
    filled = msgspec.structs.replace(
        request,
        **changes,
        input=(*[filling.item(item) for item in prompt.input], *request.input),
        prompt={"id": request.prompt["id"], "version": version, "variables": given},
    )
    _check_whole(filled)
    return filled


def _check_whole(request: TurnRequest) -> None:
    if not request.model:
        raise InvalidRequest("Missing required parameter: 'model'.", param="model", code="missing_required_parameter")
    stands = request.previous_response_id is not None or request.conversation is not None
    if not (request.input or request.instructions or stands):
        raise InvalidRequest(
            "One of \"input\" or \"previous_response_id\" or 'prompt' or 'conversation' must be provided.",
            code="missing_required_parameter",
        )


class _Filling:
    """Fills templates with one request's variables, within a bound on all of them together."""

    def __init__(self, known: Mapping[str, PromptVariable], given: Mapping[str, Value]) -> None:
        _refuse_unknown(given, known)
        defaults = {name: variable.default for name, variable in known.items() if variable.default is not None}
        self._values: dict[str, Value] = {**defaults, **given}
        self._left_chars = _MAX_RENDERED_CHARS

    def text(self, template: str, place: str) -> str:
        """A template where only text can stand."""
        return "".join([self._written(piece, place) for piece in self._pieces(template)])

    def item(self, item: JsonObject) -> JsonObject:
        """An item of the prompt's input."""
        if not _templates(item):
            return item
        return {**item, "content": [new for part in item["content"] for new in self._part(part)]}

    def _part(self, part: JsonObject) -> Iterator[JsonObject]:
        if part["type"] not in _TEXT_PARTS:
            yield part
        elif part["type"] == "output_text":
            yield {**part, "text": self.text(part["text"], "an assistant's message")}
        else:
            yield from _joined(part, self._pieces(part["text"]))

    def _pieces(self, template: str) -> list[Value]:
        """The template's own words and the values between them, in order."""
        # Splitting by a pattern with one group gives words and names in turn.
        pieces = enumerate(_PLACEHOLDER.split(template))
        return [self._spend(self._value(piece) if at % 2 else piece) for at, piece in pieces]

    def _value(self, name: str) -> Value:
        value = self._values.get(name)
        if value is None:
            path = f"prompt.variables.{name}"
            raise InvalidRequest(
                f"Missing required parameter: '{path}'.", param=path, code="missing_required_parameter"
            )
        return _as_text(value)

    def _spend(self, piece: Value) -> Value:
        self._left_chars -= _length(piece)
        if self._left_chars < 0:
            raise InvalidRequest(
                f"The prompt with its variables is longer than {_MAX_RENDERED_CHARS} characters. Shorten the values "
                "of 'prompt.variables'.",
                param="prompt.variables",
                code="string_above_max_length",
            )
        return piece

    def _written(self, piece: Value, place: str) -> str:
        if isinstance(piece, str):
            return piece
        name = next(name for name, value in self._values.items() if value is piece)
        raise InvalidRequest(
            f"Invalid type for 'prompt.variables.{name}': expected a string, because it stands in {place}, but got "
            f"a part of type '{piece['type']}' instead.",
            param=f"prompt.variables.{name}",
            code="invalid_type",
        )


def _templates(item: JsonObject) -> list[JsonObject]:
    content = item.get("content")
    if item["type"] != "message" or not isinstance(content, list):
        return []
    return [part for part in content if part["type"] in _TEXT_PARTS]


def _as_text(value: Value) -> Value:
    return value["text"] if isinstance(value, dict) and value["type"] == "input_text" else value


def _length(piece: Value) -> int:
    return len(piece) if isinstance(piece, str) else sum(len(part) for part in piece.values() if isinstance(part, str))


def _joined(part: JsonObject, pieces: Iterable[Value]) -> Iterator[JsonObject]:
    """Text between other parts becomes text parts of its own; a template without any stays one part."""
    words: list[str] = []
    whole = True
    for piece in pieces:
        if isinstance(piece, str):
            words.append(piece)
            continue
        if any(words):
            yield {**part, "text": "".join(words)}
        yield piece
        words, whole = [], False
    if whole or any(words):
        yield {**part, "text": "".join(words)}


def _refuse_unknown(given: Iterable[str], known: Iterable[str]) -> None:
    names = sorted(known)
    for name in given:
        if name not in names:
            has = f"has the variables {', '.join(names)}" if names else "has no variables"
            path = f"prompt.variables.{name[:128]}"
            raise InvalidRequest(
                f"Unknown parameter: '{path}'. The prompt {has}.", param=path, code="unknown_parameter"
            )
