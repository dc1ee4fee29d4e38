"""Templates of prompts, and the turns that they make."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from antiphon.hub.errors import InvalidRequest
from antiphon.hub.items import JsonObject
from antiphon.hub.prompt import Prompt, PromptVariable, apply_prompt, variables_of
from antiphon.hub.turn import TurnRequest

IMAGE = {"type": "input_image", "image_url": "https://example.com/a.png", "detail": "auto"}


def message(*parts: JsonObject, role: str = "user") -> JsonObject:
    return {"type": "message", "role": role, "status": "completed", "content": list(parts)}


def text(value: str, kind: str = "input_text") -> JsonObject:
    return {"type": kind, "text": value}


def prompt(**fields: Any) -> Prompt:
    """A prompt as a decoder makes it: with all variables of its templates."""
    names = variables_of(fields.get("instructions"), fields.get("input", ()))
    declared = fields.pop("variables", {})
    return Prompt(**fields, variables={name: declared.get(name, PromptVariable()) for name in names})


def filled(stored: Prompt, **variables: object) -> TurnRequest:
    request = TurnRequest(model="m", prompt={"id": "p", "variables": variables}, given=frozenset({"model", "prompt"}))
    return apply_prompt(request, stored, version="1")


def rendered(template: str, **variables: object) -> str | None:
    return filled(prompt(instructions=template), **variables).instructions


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("Hello {{name}}.", "Hello Ada."),
        ("{{name}}", "Ada"),
        ("{{ name }}{{name}}", "AdaAda"),
        ("{{\n name\t}}", "Ada"),
        ("{name} {{na me}} {{}} {{ 1name }} {{name", "{name} {{na me}} {{}} {{ 1name }} {{name"),
        ("{{{name}}}", "{Ada}"),
    ],
)
def test_placeholders_are_filled(template: str, expected: str) -> None:
    """Two braces and a name are a placeholder, with or without space; everything else stays as it is."""
    known = variables_of(template, ())
    assert expected == rendered(template, **dict.fromkeys(known, "Ada"))


def test_a_value_is_never_a_template() -> None:
    """What a variable says is not filled in again."""
    assert rendered("{{a}} {{b}}", a="{{b}}", b="{{a}}") == "{{b}} {{a}}"


@settings(max_examples=200, deadline=None)
@given(pieces=st.lists(st.tuples(st.text(alphabet="ab{} \n"), st.text(alphabet="xy{}"))))
def test_filling_changes_nothing_but_the_placeholders(pieces: list[tuple[str, str]]) -> None:
    """Words and values come out in order, whatever they are made of."""
    words = [word.replace("{", "").replace("}", "") for word, _ in pieces]
    template = "".join(f"{word}{{{{v{number}}}}}" for number, word in enumerate(words))
    values = {f"v{number}": value for number, (_, value) in enumerate(pieces)}
    expected = "".join(word + value for word, (_, value) in zip(words, pieces, strict=True))
    assert f"{expected}." == rendered(f"{template}.", **values)


def test_a_default_stands_in() -> None:
    """A value that is given wins over it, also an empty one."""
    stored = prompt(instructions="<{{a}}>", variables={"a": PromptVariable(default="d")})
    assert [filled(stored).instructions, filled(stored, a="").instructions] == ["<d>", "<>"]


def test_parts_stand_between_the_words() -> None:
    """Text around a part becomes parts of its own, and nothing empty is left."""
    stored = prompt(input=(message(text("{{a}} and {{b}}{{a}}"), IMAGE),))
    (item,) = filled(stored, a=IMAGE, b="words").input
    assert item["content"] == [IMAGE, text(" and words"), IMAGE, IMAGE]


def test_a_text_part_is_text() -> None:
    """As a value, it is the same as its text, also where only text can stand."""
    assert rendered("<{{a}}>", a=text("x")) == "<x>"
    (item,) = filled(prompt(input=(message(text("<{{a}}>")),)), a=text("x")).input
    assert item["content"] == [text("<x>")]


def test_an_empty_template_stays_one_part() -> None:
    """A message never loses all of its content."""
    (item,) = filled(prompt(input=(message(text("{{a}}")),)), a="").input
    assert item["content"] == [text("")]


def test_assistant_messages_are_templates_of_text() -> None:
    """Words can be filled in; a picture cannot."""
    stored = prompt(input=(message(text("I am {{a}}.", "output_text"), role="assistant"),))
    (item,) = filled(stored, a="here").input
    assert item["content"] == [text("I am here.", "output_text")]
    with pytest.raises(InvalidRequest, match="it stands in an assistant's message"):
        filled(stored, a=IMAGE)


def test_other_items_are_no_templates() -> None:
    """A tool call says what it says."""
    call = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{{a}}", "status": "completed"}
    assert variables_of(None, (call,)) == ()
    assert filled(prompt(input=(call,))).input == (call,)


def test_a_template_that_is_not_used_needs_no_values() -> None:
    """Instructions of the request's own make those of the prompt, with their variables, unimportant."""
    request = TurnRequest(
        model="m", instructions="own", prompt={"id": "p"}, given=frozenset({"model", "prompt", "instructions"})
    )
    assert apply_prompt(request, prompt(instructions="{{a}}"), version="1").instructions == "own"


@pytest.mark.parametrize("value", ["x" * 1_000_000, {**IMAGE, "image_url": "x" * 1_000_000}], ids=["text", "image"])
def test_a_short_request_cannot_ask_for_gigabytes(value: object) -> None:
    """A value that is used many times is counted as often."""
    stored = prompt(input=(message(text("{{a}}" * 100)),))
    with pytest.raises(InvalidRequest) as caught:
        filled(stored, a=value)
    assert caught.value.param == "prompt.variables"


def test_what_was_given_is_not_changed() -> None:
    """Neither the request nor the prompt."""
    stored = prompt(instructions="{{a}}", input=(message(text("{{a}}")),))
    before = repr(stored)
    request = TurnRequest(model="m", prompt={"id": "p", "variables": {"a": "b"}}, given=frozenset({"prompt"}))
    unfilled = repr(request)
    apply_prompt(request, stored, version="1")
    assert (repr(stored), repr(request)) == (before, unfilled)
