"""Embeddings in each dialect: what is asked, what is understood, and what is refused by name."""

from __future__ import annotations

from base64 import b64encode
from struct import pack
from typing import Any

import orjson
import pytest

from antiphon.hub.embedding import EmbeddingRequest, Embeddings
from antiphon.hub.errors import UnsupportedParameter, UpstreamBroken
from antiphon.hub.upstream import Embeds, UpstreamRequest
from antiphon.providers.anthropic import Anthropic
from antiphon.providers.bedrock import Bedrock
from antiphon.providers.bedrock import Quirks as BedrockQuirks
from antiphon.providers.gemini import Gemini
from antiphon.providers.gemini import Quirks as GeminiQuirks
from antiphon.providers.openai_chat import OpenAIChat
from antiphon.providers.openai_chat import Quirks as ChatQuirks
from antiphon.providers.openai_responses import OpenAIResponses

OPENAI: dict[str, Embeds] = {"openai_chat": OpenAIChat(), "openai_responses": OpenAIResponses()}
VERTEX = Gemini(GeminiQuirks(host="vertex"))
TITAN = "amazon.titan-embed-text-v2:0"
COHERE = "cohere.embed-v4:0"


def wanted(*inputs: Any, model: str = "m", **fields: Any) -> EmbeddingRequest:
    return EmbeddingRequest(model=model, inputs=inputs or ("a", "b"), **fields)


def body_of(request: UpstreamRequest) -> Any:
    return orjson.loads(request.body)


def read(provider: Embeds, answer: Any, **headers: str) -> Embeddings:
    return provider.decode_embeddings(orjson.dumps(answer), {name.replace("_", "-"): headers[name] for name in headers})


@pytest.mark.parametrize("dialect", OPENAI.values(), ids=OPENAI.keys())
def test_openai_is_asked_for_what_the_client_wants(dialect: Embeds) -> None:
    """In the form that it wants, too: one is far shorter, the other has all digits."""
    request = dialect.embed(wanted(dimensions=8, user="u", encoding_format="base64"))

    assert (request.method, request.path, request.stream) == ("POST", "/embeddings", False)
    assert body_of(request) == {
        "model": "m",
        "input": ["a", "b"],
        "encoding_format": "base64",
        "dimensions": 8,
        "user": "u",
    }
    assert body_of(dialect.embed(wanted((1, 2), (3,))))["input"] == [[1, 2], [3]]
    assert body_of(dialect.embed(wanted()))["encoding_format"] == "float"
    assert dialect.max_inputs("m") == 2048


def test_a_field_that_a_server_does_not_take_is_reported() -> None:
    """The end user's name changes no vector."""
    request = OpenAIChat(ChatQuirks(drop=("user",))).embed(wanted(user="u"))

    assert ("user" in body_of(request), request.not_applied) == (False, ("user",))


@pytest.mark.parametrize("dialect", OPENAI.values(), ids=OPENAI.keys())
def test_openais_vectors_are_taken_by_their_index_as_numbers_or_base64(dialect: Embeds) -> None:
    """Some servers answer base64 to whoever asks for numbers, and in an order of their own."""
    packed = b64encode(pack("<2f", 0.5, -1.25)).decode()
    answer = {
        "data": [{"index": 1, "embedding": packed}, {"index": 0, "embedding": [1, 2.5]}],
        "usage": {"prompt_tokens": 7, "total_tokens": 7},
    }

    found = read(dialect, answer)

    assert [list(vector) for vector in found.vectors] == [[1.0, 2.5], [0.5, -1.25]]
    assert found.input_tokens == 7
    assert read(dialect, {"data": [{"embedding": [1]}]}) == Embeddings(vectors=([1.0],))


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"{}",
        b"[]",
        b'{"data":[{"embedding":null}]}',
        b'{"data":[{"embedding":["x"]}]}',
        b'{"data":[{"embedding":"!"}]}',
        b'{"data":[{"embedding":"AAAA"}]}',
        b'{"data":[{"index":0,"embedding":[]},{"index":0,"embedding":[]}]}',
        b'{"data":[{"index":1,"embedding":[]}]}',
        b'{"data":[],"usage":{"prompt_tokens":-1}}',
        b"\xff",
    ],
)
def test_openais_answers_that_are_none(answer: bytes) -> None:
    """What holds no vector for each input is broken."""
    with pytest.raises(UpstreamBroken):
        OpenAIChat().decode_embeddings(answer, {})


def test_gemini_is_asked_for_a_batch() -> None:
    """Every text is a request of its own in it, with the model's name."""
    request = Gemini().embed(wanted(dimensions=8, user="u", model="gemini-embedding-001"))

    assert request.path == "/models/gemini-embedding-001:batchEmbedContents"
    assert body_of(request)["requests"][1] == {
        "model": "models/gemini-embedding-001",
        "outputDimensionality": 8,
        "content": {"parts": [{"text": "b"}]},
    }
    assert request.not_applied == ("user",)
    assert Gemini().max_inputs("gemini-embedding-001") == 100


def test_geminis_vectors() -> None:
    """With the count of tokens, where there is one."""
    batch: dict[str, Any] = {"embeddings": [{"values": [1, 2]}, {"values": [3.5]}]}

    assert read(Gemini(), batch) == Embeddings(vectors=([1.0, 2.0], [3.5]))
    assert read(Gemini(), {**batch, "usageMetadata": {"promptTokenCount": 4}}).input_tokens == 4


def test_vertex_is_asked_to_predict() -> None:
    """Without cutting a text that is too long, which it would do in silence."""
    request = VERTEX.embed(wanted(dimensions=8, model="text-embedding-005"))

    assert request.path == "/models/text-embedding-005:predict"
    assert body_of(request) == {
        "instances": [{"content": "a"}, {"content": "b"}],
        "parameters": {"autoTruncate": False, "outputDimensionality": 8},
    }
    assert (VERTEX.max_inputs("text-embedding-005"), VERTEX.max_inputs("gemini-embedding-001")) == (250, 1)


def test_vertex_counts_each_text() -> None:
    """The sum is what was used; a text without a count leaves it unknown."""
    first = {"embeddings": {"values": [1.0], "statistics": {"token_count": 3.0, "truncated": False}}}
    second = {"embeddings": {"values": [2.0]}}

    assert read(VERTEX, {"predictions": [first, first]}) == Embeddings(vectors=([1.0], [1.0]), input_tokens=6)
    assert read(VERTEX, {"predictions": [first, second]}) == Embeddings(vectors=([1.0], [2.0]))


def test_titan_takes_one_text() -> None:
    """In the path of the model, whose id may be that of an inference profile."""
    request = Bedrock().embed(wanted("a", model=f"eu.{TITAN}", dimensions=256, user="u"))

    assert request.path == "/model/eu.amazon.titan-embed-text-v2%3A0/invoke"
    assert body_of(request) == {"inputText": "a", "dimensions": 256}
    assert request.not_applied == ("user",)
    assert Bedrock().max_inputs(TITAN) == 1
    answer = {"embedding": [1, 2], "inputTextTokenCount": 5, "embeddingsByType": {"float": [1, 2]}}
    assert read(Bedrock(), answer) == Embeddings(vectors=([1.0, 2.0],), input_tokens=5)


def test_cohere_is_told_what_the_vectors_are_for() -> None:
    """A configuration says it, as clients have no word for it; nothing is cut."""
    request = Bedrock(BedrockQuirks(embedding_input_type="search_query")).embed(wanted(model=COHERE, dimensions=512))

    assert body_of(request) == {
        "texts": ["a", "b"],
        "input_type": "search_query",
        "embedding_types": ["float"],
        "truncate": "NONE",
        "output_dimension": 512,
    }
    assert Bedrock().max_inputs(COHERE) == 96


@pytest.mark.parametrize("embeddings", [[[1.0], [2.0]], {"float": [[1.0], [2.0]]}], ids=["listed", "by-type"])
def test_coheres_vectors_are_counted_in_a_header(embeddings: Any) -> None:
    """In either form; what a header says is no number is no count."""
    answer = {"id": "x", "embeddings": embeddings, "texts": ["a", "b"]}
    expected = ([1.0], [2.0])

    assert read(Bedrock(), answer, x_amzn_bedrock_input_token_count="9") == Embeddings(vectors=expected, input_tokens=9)
    assert read(Bedrock(), answer, x_amzn_bedrock_input_token_count="many") == Embeddings(vectors=expected)


REFUSED: dict[str, tuple[Embeds, EmbeddingRequest, str]] = {
    "gemini, token ids": (Gemini(), wanted((1, 2)), "input"),
    "vertex, token ids": (VERTEX, wanted((1, 2)), "input"),
    "bedrock, token ids": (Bedrock(), wanted((1, 2), model=TITAN), "input"),
    "bedrock, another house": (Bedrock(), wanted("a", model="amazon.nova-lite-v1:0"), "model"),
    "titan 1, dimensions": (Bedrock(), wanted("a", model="amazon.titan-embed-text-v1", dimensions=8), "dimensions"),
    "cohere 3, dimensions": (Bedrock(), wanted("a", model="cohere.embed-english-v3", dimensions=8), "dimensions"),
    "gemini, a name that leads elsewhere": (Gemini(), wanted(model="../x"), "model"),
}


@pytest.mark.parametrize(("dialect", "request_", "param"), REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_said_is_refused_by_name(dialect: Embeds, request_: EmbeddingRequest, param: str) -> None:
    """Nothing is left out that changes a vector."""
    with pytest.raises(UnsupportedParameter) as refused:
        dialect.embed(request_)

    assert refused.value.param == param


@pytest.mark.parametrize("dialect", [Gemini(), VERTEX, Bedrock()], ids=["gemini", "vertex", "bedrock"])
@pytest.mark.parametrize("answer", [b"", b"{}", b"[]", b'{"embeddings":7}', b'{"predictions":[{}]}', b"\xff"])
def test_answers_that_are_none(dialect: Embeds, answer: bytes) -> None:
    """What holds no vectors is broken."""
    with pytest.raises(UpstreamBroken):
        dialect.decode_embeddings(answer, {})


def test_anthropic_has_none() -> None:
    """There is no such operation in its API."""
    assert not isinstance(Anthropic(), Embeds)
