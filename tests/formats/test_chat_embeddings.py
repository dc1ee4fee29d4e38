"""Embeddings: what may be embedded, and vectors as OpenAI's client reads them."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from openai.types import CreateEmbeddingResponse

from antiphon.formats.chat.embeddings import EmbeddingRequest, decode_embeddings, encode_embeddings
from antiphon.hub.errors import InvalidRequest
from tests.formats.chat_answers import client

VECTORS = [[0.5, -1.25], [2.0, 0.0]]


def decode(given: Any, **fields: Any) -> EmbeddingRequest:
    return decode_embeddings({"model": "m", "input": given, **fields})


@pytest.mark.parametrize(
    ("given", "expected"),
    [("a", ("a",)), (["a", "b"], ("a", "b")), ([1, 2], ((1, 2),)), ([[1, 2], [3]], ((1, 2), (3,)))],
    ids=["text", "texts", "tokens", "lists-of-tokens"],
)
def test_one_input_or_many(given: Any, expected: Any) -> None:
    """A list of numbers is one input of token ids."""
    assert expected == decode(given).inputs


def test_settings() -> None:
    """Vectors are numbers unless the client wants them otherwise."""
    expected = EmbeddingRequest(model="m", inputs=("a",), dimensions=8, encoding_format="base64", user="u")

    assert expected == decode("a", dimensions=8, encoding_format="base64", user="u")
    assert decode("a").encoding_format == "float"


@pytest.mark.parametrize(
    ("given", "param"),
    [
        ("", "input"),
        ([], "input"),
        ([""], "input[0]"),
        (["a", 1], "input[1]"),
        ([1, "a"], "input[1]"),
        ([[1], []], "input[1]"),
        ([{}], "input[0]"),
        (7, "input"),
        (None, "input"),
        (["a"] * 2049, "input"),
    ],
    ids=["empty", "none", "empty-text", "mixed", "mixed-tokens", "no-tokens", "object", "number", "null", "too-many"],
)
def test_what_cannot_be_embedded_is_named(given: Any, param: str) -> None:
    """The place of the first input that is wrong."""
    with pytest.raises(InvalidRequest) as raised:
        decode(given)

    assert param == raised.value.param


@pytest.mark.parametrize(
    ("fields", "param"),
    [({"dimensions": 0}, "dimensions"), ({"encoding_format": "hex"}, "encoding_format"), ({"top_k": 1}, "top_k")],
    ids=["dimensions", "encoding", "unknown"],
)
def test_fields_are_checked(fields: dict[str, Any], param: str) -> None:
    """As everywhere in the API."""
    with pytest.raises(InvalidRequest) as raised:
        decode("a", **fields)

    assert param == raised.value.param


def test_an_answer_of_numbers_is_of_the_sdks_type() -> None:
    """Vectors are numbered in the order of the inputs."""
    body = encode_embeddings(decode(["a", "b"]), VECTORS, input_tokens=2)

    read = CreateEmbeddingResponse.model_validate_json(body, strict=True)

    assert [one.embedding for one in read.data] == VECTORS
    assert [one.index for one in read.data] == [0, 1]
    assert (read.usage.prompt_tokens, read.usage.total_tokens) == (2, 2)


def test_openais_client_reads_base64() -> None:
    """It asks for base64 by itself, and finds the same numbers in it."""
    asked = decode(["a", "b"], encoding_format="base64")
    body = encode_embeddings(asked, VECTORS, input_tokens=2)

    # Its strictness comes before it decodes what it has asked for itself.
    read = client(body, stream=False, strict=False).embeddings.create(model="m", input=["a", "b"])

    assert isinstance(orjson.loads(body)["data"][0]["embedding"], str)
    assert [one.embedding for one in read.data] == VECTORS
