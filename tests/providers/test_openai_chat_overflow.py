"""A context that is too long: the numbers that servers give; and how much a model takes, as they list it."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from antiphon.hub.errors import ContextLengthExceeded, UpstreamBroken
from antiphon.hub.items import JsonObject
from antiphon.hub.upstream import Counts
from antiphon.providers.openai_chat import OpenAIChat, Quirks
from tests.providers.chat_calls import model_call, user

COUNTING = OpenAIChat(Quirks(counting="completion"))

# What the server says, the tokens that the input may have, and those that it has.
NUMBERS: dict[str, tuple[str, int, int]] = {
    "openai": (
        "This model's maximum context length is 8192 tokens. However, your messages resulted in 10000 tokens. Please",
        8192,
        10000,
    ),
    "openai with output": (
        (
            "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens "
            "(1000 in the messages, 4000 in the completion). Please reduce the length of the messages or completion."
        ),
        96,
        1000,
    ),
    "openai with functions": (
        (
            "This model's maximum context length is 4096 tokens. However, you requested 4200 tokens "
            "(3000 in the messages, 200 in the functions, and 1000 in the completion)."
        ),
        3096,
        3200,
    ),
    "vllm": (
        (
            "This model's maximum context length is 4096 tokens. However, you requested 100 output tokens and your "
            "prompt contains at least 4097 input tokens, for a total of at least 4197 tokens."
        ),
        3996,
        4097,
    ),
    "sglang": ("The input (5000 tokens) is longer than the model's context length (4096 tokens).", 4096, 5000),
    "llama.cpp in words": (
        "request (5000 tokens) exceeds the available context size (4096 tokens), try increasing it",
        4096,
        5000,
    ),
    "mistral": (
        "Prompt contains 40000 tokens, too large for model with 32768 maximum context length",
        32768,
        40000,
    ),
    "gemini": (
        "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
        1048576,
        1200000,
    ),
    "xai": (
        "This model's maximum prompt length is 131072 but the request contains 200000 tokens.",
        131072,
        200000,
    ),
    "anthropic": ("prompt is too long: 210000 tokens > 200000 maximum", 200000, 210000),
    "anthropic with output": (
        "input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000, decrease input length",
        180000,
        190000,
    ),
    "openrouter": (
        (
            "This endpoint's maximum context length is 32768 tokens. However, you requested about 40000 tokens (39000 "
            "of text input, 1000 in the output)."
        ),
        31768,
        39000,
    ),
    "tgi": (
        (
            "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. Given: 4000 `inputs` tokens "
            "and 1000 `max_new_tokens`"
        ),
        3096,
        4000,
    ),
    "moonshot": ("Your request exceeded model token limit: 8192 (requested: 9000)", 8192, 9000),
}


def overflow(error: JsonObject) -> ContextLengthExceeded:
    raised = OpenAIChat().error(400, {}, orjson.dumps({"error": error}), upstream="local")
    assert isinstance(raised, ContextLengthExceeded), raised
    return raised


@pytest.mark.parametrize(("text", "limit", "needed"), NUMBERS.values(), ids=NUMBERS.keys())
def test_the_numbers_of_every_vendor(text: str, limit: int, needed: int) -> None:
    """What there is and what there is room for are both of input tokens, whatever the server counts."""
    error = overflow({"message": text})
    assert (error.limit_tokens, error.needed_tokens) == (limit, needed)


def test_numbers_in_fields() -> None:
    """llama.cpp says them in fields of their own."""
    error = overflow(
        {"code": 400, "message": "x", "type": "exceed_context_size_error", "n_prompt_tokens": 5000, "n_ctx": 4096}
    )
    assert (error.limit_tokens, error.needed_tokens) == (4096, 5000)


@pytest.mark.parametrize(
    "error",
    [
        pytest.param({"message": "prompt is too long"}, id="none"),
        pytest.param({"message": "This model's maximum context length is 4096 tokens."}, id="the limit alone"),
        pytest.param({"message": "prompt is too long: 100 tokens > 200 maximum"}, id="it would fit"),
        pytest.param({"message": "x", "code": "context_length_exceeded", "n_ctx": "4096"}, id="text"),
        pytest.param({"message": "context length", "n_prompt_tokens": True, "n_ctx": False}, id="booleans"),
        pytest.param(
            {"message": "maximum context length is 4096 tokens (1000 in the messages, 5000 in the completion)"},
            id="no room at all",
        ),
    ],
)
def test_numbers_that_do_not_help_are_left_out(error: JsonObject) -> None:
    """Half a pair, or one that is at odds with itself, is not passed on."""
    found = overflow(error)
    assert (found.limit_tokens, found.needed_tokens) == (None, None)


@settings(deadline=None)
@given(st.text(max_size=80), st.integers(), st.integers())
def test_numbers_are_useful_or_absent(text: str, prompt: int, window: int) -> None:
    """Whoever reads them can divide by them."""
    error = overflow(
        {"message": text, "code": "context_length_exceeded", "n_prompt_tokens": prompt % 2**60, "n_ctx": window % 2**60}
    )
    if error.limit_tokens is None or error.needed_tokens is None:
        assert error.limit_tokens is error.needed_tokens is None
    else:
        assert 0 < error.limit_tokens < error.needed_tokens


# How much a model takes.

WINDOWS: dict[str, tuple[JsonObject, int | None]] = {
    "llama.cpp": ({"meta": {"n_ctx": 4096, "n_ctx_train": 8192}}, 4096),
    "llama.cpp before": ({"meta": {"n_ctx_train": 8192}}, 8192),
    "vllm": ({"max_model_len": 32768}, 32768),
    "openrouter": ({"context_length": 200000, "top_provider": {"context_length": 128000}}, 128000),
    "openrouter without a provider": ({"context_length": 200000, "top_provider": {"context_length": None}}, 200000),
    "lm studio": ({"max_context_length": 131072, "loaded_context_length": 4096}, 4096),
    "mistral": ({"max_context_length": 32768}, 32768),
    "groq": ({"context_window": 131072}, 131072),
    "openai": ({}, None),
    "not a number": ({"context_window": "large", "meta": [], "top_provider": "x"}, None),
    "nothing": ({"max_model_len": 0, "context_length": -1}, None),
}


@pytest.mark.parametrize(("fields", "expected"), WINDOWS.values(), ids=WINDOWS.keys())
def test_a_listed_model_says_how_much_it_takes(fields: JsonObject, expected: int | None) -> None:
    """The size stands under one name, whatever the server calls it; what is loaded wins over what could be."""
    (model,) = OpenAIChat().decode_models(orjson.dumps({"data": [{"id": "m", **fields}]}))
    assert model.get("context_window") == expected


# Counting.


def test_no_counting_without_the_quirk() -> None:
    """A request that costs something is made only where the configuration asks for it."""
    assert OpenAIChat().count(model_call()) is None


def test_a_count_asks_the_same_question_for_one_token() -> None:
    """All that makes the prompt is sent as in a turn; only the answer is as short as can be."""
    call = model_call(user("Hi"), instructions="Be brief.", max_output_tokens=500, stream=True)
    request = COUNTING.count(call)
    assert request is not None
    body: Any = orjson.loads(request.body)
    turn: Any = orjson.loads(COUNTING.encode(call).body)
    assert (body["messages"], body["model"]) == (turn["messages"], turn["model"])
    assert (body["max_tokens"], "stream" in body, request.stream) == (1, False, False)


def test_a_count_is_the_prompts_tokens() -> None:
    """The answer's usage is the count, and its text is of no interest."""
    body = {"choices": [{"index": 0, "message": {"content": "x"}}], "usage": {"prompt_tokens": 31}}
    assert COUNTING.decode_count(orjson.dumps(body)) == 31


@pytest.mark.parametrize("body", [b"", b"{}", b'{"usage":null}', b'{"usage":{"completion_tokens":1}}', b"[1]"])
def test_an_answer_without_a_count_is_broken(body: bytes) -> None:
    """Nothing is made up in its place."""
    with pytest.raises(UpstreamBroken):
        COUNTING.decode_count(body)


def test_the_provider_is_known_to_count() -> None:
    """The engine tells providers that can count from those that cannot by this protocol."""
    assert isinstance(OpenAIChat(), Counts)
