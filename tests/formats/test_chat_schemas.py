"""The published schemas of chat's requests against the decoders that they are generated from."""

from __future__ import annotations

from typing import Any

import pytest
from jsonschema import Draft202012Validator

from antiphon.formats.chat.completions import CompletionsFormat
from antiphon.formats.chat.embeddings import decode_embeddings
from antiphon.formats.chat.published import request_schemas
from antiphon.formats.chat.request import decode
from antiphon.hub.errors import InvalidRequest
from antiphon.hub.items import JsonObject

SCHEMAS = request_schemas(max_tools=128, refuse_unknown=True)
DECODERS = {
    "CreateChatCompletion": decode,
    "CreateCompletion": CompletionsFormat().decode,
    "CreateEmbedding": decode_embeddings,
}
HELLO = {"role": "user", "content": "Hello"}
TOOL = {"type": "function", "function": {"name": "f"}}


def validator(name: str) -> Draft202012Validator:
    document = {"components": {"schemas": SCHEMAS}, "$ref": f"#/components/schemas/{name}"}
    return Draft202012Validator(document)


def test_every_schema_is_one() -> None:
    """Each is valid in its own right."""
    for schema in SCHEMAS.values():
        Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize("name", list(DECODERS))
def test_examples_are_right(name: str) -> None:
    """An example validates, and its decoder takes it."""
    for example in SCHEMAS[name]["examples"]:
        validator(name).validate(example)
        DECODERS[name](example)


BODIES: list[tuple[str, JsonObject, bool]] = [
    ("CreateChatCompletion", {"model": "m", "messages": [HELLO], "tools": [TOOL], "tool_choice": "auto"}, True),
    ("CreateChatCompletion", {"model": "m", "messages": [HELLO], "stop": ["a"], "temperature": None}, True),
    ("CreateChatCompletion", {"model": "m"}, False),
    ("CreateChatCompletion", {"model": "m", "messages": []}, False),
    ("CreateChatCompletion", {"model": "m", "messages": [{"role": "bogus", "content": "x"}]}, False),
    ("CreateChatCompletion", {"model": "m", "messages": [HELLO], "zzz": 1}, False),
    ("CreateChatCompletion", {"model": "m", "messages": [HELLO], "tools": [{"type": "function"}]}, False),
    ("CreateCompletion", {"model": "m", "prompt": ["x"], "max_tokens": 1}, True),
    ("CreateCompletion", {"model": "m", "prompt": "x", "max_tokens": 0}, False),
    ("CreateEmbedding", {"model": "m", "input": [[1], [2]]}, True),
    ("CreateEmbedding", {"model": "m", "input": [1, "a"]}, False),
    ("CreateEmbedding", {"model": "m", "input": ""}, False),
]


@pytest.mark.parametrize(("name", "body", "right"), BODIES, ids=[str(number) for number in range(len(BODIES))])
def test_the_schema_says_what_the_decoder_does(name: str, body: JsonObject, right: bool) -> None:
    """What one takes the other takes, and what one refuses the other refuses."""
    assert validator(name).is_valid(body) is right
    assert _is_taken(name, body) is right


def _is_taken(name: str, body: Any) -> bool:
    try:
        DECODERS[name](body)
    except InvalidRequest:
        return False
    return True


def test_what_is_refused_is_marked() -> None:
    """A reader of the document sees what this gateway has nothing behind."""
    functions = SCHEMAS["CreateChatCompletion"]["properties"]["functions"]

    assert functions["x-antiphon-refused"] is True
    assert "Use 'tools'." in functions["description"]


def test_unknown_fields_may_be_allowed() -> None:
    """Where they are ignored, the schema does not forbid them."""
    lenient = request_schemas(max_tools=1, refuse_unknown=False)["CreateChatCompletion"]

    assert "additionalProperties" not in lenient
    assert lenient["properties"]["tools"]["maxItems"] == 1
