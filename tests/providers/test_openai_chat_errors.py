"""Answers that are not 2xx, as errors of our own tree."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from antiphon.hub.errors import (
    ContextLengthExceeded,
    UpstreamAuthentication,
    UpstreamBroken,
    UpstreamError,
    UpstreamLacksModel,
    UpstreamRateLimited,
    UpstreamRefused,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from antiphon.providers.openai_chat import OpenAIChat

JSON = {"content-type": "application/json"}
OVERFLOW = "Your input exceeds the context window of this model. Please adjust your input and try again."


def translate(status: int, body: Any = b"", **headers: str) -> UpstreamError:
    raw = body if isinstance(body, bytes) else orjson.dumps(body)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return OpenAIChat().error(status, JSON | named, raw, upstream="local")


def envelope(message: str, **more: Any) -> dict[str, Any]:
    return {"error": {"message": message, **more}}


STATUSES: dict[int, tuple[type[UpstreamError], str | None]] = {
    302: (UpstreamBroken, "upstream_broken"),
    400: (UpstreamRefused, None),
    401: (UpstreamAuthentication, "upstream_authentication_failed"),
    402: (UpstreamRateLimited, "insufficient_quota"),
    403: (UpstreamAuthentication, "upstream_authentication_failed"),
    404: (UpstreamBroken, "upstream_broken"),
    405: (UpstreamBroken, "upstream_broken"),
    408: (UpstreamTimeout, "upstream_timeout"),
    409: (UpstreamRefused, None),
    413: (UpstreamRefused, None),
    422: (UpstreamRefused, None),
    429: (UpstreamRateLimited, "rate_limit_exceeded"),
    500: (UpstreamUnavailable, "upstream_unavailable"),
    501: (UpstreamRefused, None),
    502: (UpstreamUnavailable, "upstream_unavailable"),
    503: (UpstreamUnavailable, "upstream_unavailable"),
    504: (UpstreamTimeout, "upstream_timeout"),
    524: (UpstreamTimeout, "upstream_timeout"),
    529: (UpstreamUnavailable, "upstream_unavailable"),
}


@pytest.mark.parametrize(("status", "expected"), STATUSES.items())
def test_the_status_decides_the_class(status: int, expected: tuple[type[UpstreamError], str | None]) -> None:
    """Every status has its class and code, and the message names the upstream, the status and what it said."""
    error = translate(status, envelope("Something is wrong."))
    assert (type(error), error.code) == expected
    assert error.message.startswith("Upstream 'local' ")
    assert error.message.endswith(f"(HTTP {status}): Something is wrong.")


SHAPES: dict[str, tuple[Any, str]] = {
    "openai": (envelope("Bad.", type="invalid_request_error", param=None, code=None), "Bad."),
    "llama.cpp": (envelope("'messages' is required", code=400, type="invalid_request_error"), "'messages' is required"),
    "text error (Ollama)": ({"error": "invalid message"}, "invalid message"),
    "detail (FastAPI)": ({"detail": "Not allowed"}, "Not allowed"),
    "detail list (FastAPI)": (
        {
            "detail": [
                {"loc": ["body", "messages", 0, "role"], "msg": "Field required", "type": "missing", "input": "secret"},
                {"loc": ["body", "n"], "msg": "Too big", "type": "value_error"},
            ]
        },
        "body.messages.0.role: Field required; body.n: Too big",
    ),
    "detail in message (Mistral)": (
        {"object": "error", "message": {"detail": [{"loc": ["body", "tools"], "msg": "Empty"}]}},
        "body.tools: Empty",
    ),
    "message": ({"message": "Nope", "code": 20015}, "Nope"),
    "old vLLM": ({"object": "error", "message": "Bad role", "type": "BadRequestError", "code": 400}, "Bad role"),
    "error beside message": ({"error": "Bad Request", "message": "The role is wrong"}, "The role is wrong"),
    "list around an envelope (Gemini)": ([envelope("Wrong.", status="INVALID_ARGUMENT", code=400)], "Wrong."),
    "list of errors (Cloudflare)": ({"success": False, "errors": [{"code": 7, "message": "Bad"}]}, "Bad"),
    "OpenRouter": (
        envelope("Provider returned error", code=400, metadata={"raw": "too hot", "provider_name": "X"}),
        "Provider returned error: too hot",
    ),
    "plain text": (b"no such thing", "no such thing"),
    "JSON text": (b'"no such thing"', "no such thing"),
    "invalid UTF-8 in JSON": (b'{"error": {"message": "caf\xe9"}}', "caf\ufffd"),
    "invalid UTF-8": (b"caf\xe9", "caf\ufffd"),
    "broken JSON": (b'{"error": {"message": "cut o', '{"error": {"message": "cut o'),
    "control characters": (envelope("a\x00b\r\n\x1b[31mc\u202ed"), "a b [31mc d"),
}


@pytest.mark.parametrize(("body", "expected"), SHAPES.values(), ids=SHAPES.keys())
def test_the_message_is_found_in_every_shape(body: Any, expected: str) -> None:
    """Wherever a vendor puts its one sentence, it reaches the client as one clean line."""
    assert translate(400, body).message == f"Upstream 'local' refused the request (HTTP 400): {expected}"


SILENT: dict[str, bytes] = {
    "empty": b"",
    "blank": b" \r\n",
    "html": b"<!DOCTYPE html><html><body>Bad gateway</body></html>",
    "html after a byte order mark": b"\xef\xbb\xbf\n<html></html>",
    "html in JSON": orjson.dumps(envelope("<html><body>Bad gateway</body></html>")),
    "null": b"null",
    "number": b"42",
    "empty object": b"{}",
    "empty list": b"[]",
    "no message": b'{"error": {"message": null, "code": null}}',
    "empty texts": b'{"error": {"message": ""}, "detail": []}',
    "huge JSON": orjson.dumps({"detail": [{"input": "x" * 10_000_000}]}),
    "nested envelopes": b'{"error":' * 900 + b"1" + b"}" * 900,
    "nested lists": b"[" * 900 + b"]" * 900,
    "nested details": b'{"detail":[' * 400 + b"1" + b"]}" * 400,
}


@pytest.mark.parametrize("body", SILENT.values(), ids=SILENT.keys())
def test_a_body_that_says_nothing_is_not_shown(body: bytes) -> None:
    """The status is all there is to say; a proxy's page and an echoed request never reach a client."""
    assert translate(502, body).message == "Upstream 'local' failed (HTTP 502)."


def test_a_page_is_known_by_its_header_too() -> None:
    """Also if it does not begin like one."""
    error = translate(503, b"Service <b>unavailable</b>", content_type="text/html; charset=utf-8")
    assert error.message == "Upstream 'local' failed (HTTP 503)."


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"word " * 2_000_000, id="10 MB of text"),
        pytest.param(orjson.dumps(envelope("word " * 100_000)), id="long message"),
        pytest.param(orjson.dumps({"detail": [{"msg": "word"}] * 10_000}), id="long list"),
    ],
)
def test_long_messages_are_cut(body: bytes) -> None:
    """What is shown stays short, however much the upstream had to say."""
    message = translate(400, body).message
    assert "word" in message
    assert len(message) < 600


CREDENTIALS: dict[str, str] = {
    "openai": "Incorrect API key provided: sk-proj-{0}. You can find it on the page.",
    "starred": "Incorrect API key provided: sk-{0}****wxyz.",
    "without a prefix": "Incorrect API key provided: {0}",
    "bearer": "Authorization: Bearer {0} was refused",
    "bearer in quotes": "header 'authorization: bearer {0}'",
    "query": "GET https://host/v1/models?key={0}&alt=json failed",
    "api_key": 'api_key="{0}" is unknown',
    "json": 'got {{"api_key": "{0}"}}',
    "x-api-key": "x-api-key: {0}",
    "access token": "access_token={0}",
    "groq": "gsk_{0}",
    "hugging face": "token hf_{0} is invalid",
    "google": "AIza{0}",
    "jwt": "eyJ{0}.{0}.{0}",
    "url": "http://user:{0}@host/v1",
    "split by control characters": "key=\x00{0}",
}


@pytest.mark.parametrize("text", CREDENTIALS.values(), ids=CREDENTIALS.keys())
@pytest.mark.parametrize("status", [400, 401, 500])
def test_credentials_are_masked(text: str, status: int) -> None:
    """Nothing that looks like a credential is in the error, whatever sentence it stands in."""
    secret = "Zq81hGd0LmW3kPbVx"
    message = translate(status, envelope(text.format(secret))).message
    assert secret not in message
    assert "***" in message


def test_masking_leaves_plain_words() -> None:
    """Words that only look a little like a key stay readable."""
    text = "The task-specific model sk-learn needs max_tokens: 5, token by token."
    assert translate(400, envelope(text)).message.endswith(text)


# A context that is too long.

TOO_LONG: dict[str, tuple[int, Any]] = {
    "openai": (
        400,
        envelope("This model's maximum context length is 128000 tokens. However, …", code="context_length_exceeded"),
    ),
    "code alone": (400, envelope("Too long.", code="context_length_exceeded")),
    "llama.cpp": (
        400,
        envelope(
            "the request exceeds the available context size (4096 tokens), try increasing it",
            code=400,
            type="exceed_context_size_error",
            n_prompt_tokens=5000,
            n_ctx=4096,
        ),
    ),
    "llama.cpp before": (500, envelope("the request exceeds the available context size. try increasing", code=500)),
    "vllm": (400, {"object": "error", "message": "This model's maximum context length is 4096 tokens. However, you"}),
    "sglang": (400, envelope("The input (5000 tokens) is longer than the model's context length (4096 tokens).")),
    "mistral": (
        400,
        {"message": "Prompt contains 40000 tokens, too large for model with 32768 maximum context length"},
    ),
    "groq": (400, envelope("Please reduce the length of the messages or completion.")),
    "gemini": (
        400,
        [envelope("The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).")],
    ),
    "xai": (400, {"error": "This model's maximum prompt length is 131072 but the request contains 200000 tokens."}),
    "anthropic": (400, envelope("prompt is too long: 210000 tokens > 200000 maximum")),
    "anthropic with output": (
        400,
        envelope("input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000"),
    ),
    "bedrock": (400, {"message": "Input is too long for requested model."}),
    "tgi": (422, {"error": "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096"}),
    "moonshot": (400, envelope("Invalid request: Your request exceeded model token limit: 8192")),
    "dashscope": (400, envelope("Range of input length should be [1, 30720]")),
    "zhipu": (400, envelope("Prompt exceeds max length", code="1261")),
    "cohere": (400, {"message": "too many tokens: size limit exceeded by 100 tokens"}),
    "lm studio": (400, {"error": "Trying to keep the first 5000 tokens when context the overflows. … context length"}),
    "body too large": (413, envelope("Request exceeds the context window.")),
}


@pytest.mark.parametrize(("status", "body"), TOO_LONG.values(), ids=TOO_LONG.keys())
def test_a_context_that_is_too_long_in_any_words(status: int, body: Any) -> None:
    """Every vendor's wording becomes the API's own error, which clients act on."""
    error = translate(status, body)
    assert (type(error), error.code, error.param, error.message) == (
        ContextLengthExceeded,
        "context_length_exceeded",
        "input",
        OVERFLOW,
    )


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(
            "max_tokens is too large: 100000. This model supports at most 16384 completion tokens.", id="openai"
        ),
        pytest.param(
            "'max_tokens' or 'max_completion_tokens' is too large: 5000. This model's maximum context length is 4096 "
            "tokens and your request has 20 input tokens (5000 > 4096 - 20).",
            id="vllm",
        ),
    ],
)
def test_too_large_an_output_is_not_too_long_an_input(text: str) -> None:
    """The client is pointed at the field that it has to change."""
    error = translate(400, envelope(text, param="max_tokens"))
    assert (type(error), error.param, error.code) == (UpstreamRefused, "max_output_tokens", None)


# Models, quotas, limits.


@pytest.mark.parametrize(
    ("status", "body"),
    [
        pytest.param(404, envelope("The model `x` does not exist or you do not have access to it."), id="openai"),
        pytest.param(404, envelope("gone", code="model_not_found"), id="code"),
        pytest.param(404, envelope('model "x" not found, try pulling it first'), id="ollama"),
        pytest.param(404, {"object": "error", "message": "The model `x` does not exist.", "code": 404}, id="vllm"),
        pytest.param(404, [envelope("models/x is not found for API version v1main")], id="gemini"),
        pytest.param(400, envelope("Model Not Exist"), id="deepseek"),
        pytest.param(400, {"message": "Invalid model: x"}, id="mistral"),
        pytest.param(404, envelope("Unable to access model x"), id="together"),
    ],
)
def test_a_model_that_is_not_served(status: int, body: Any) -> None:
    """Whatever the status, the client learns that it is the model."""
    error = translate(status, body)
    assert (type(error), error.code, error.param) == (UpstreamLacksModel, "model_not_found", "model")


def test_a_path_that_is_not_served_is_the_operators_fault() -> None:
    """A 404 that is not about the model means a wrong base URL, and says so."""
    error = translate(404, envelope("File Not Found", code=404, type="not_found_error"))
    assert isinstance(error, UpstreamBroken)
    assert "base_url" in error.message


def test_input_of_a_kind_that_the_model_does_not_take() -> None:
    """llama.cpp answers 500 to an image; trying again would not help, so it is a refusal."""
    text = "image input is not supported - hint: if this is unexpected, you may need to provide the mmproj"
    error = translate(500, envelope(text, code=500, type="server_error"))
    assert (type(error), error.http_status, text in error.message) == (UpstreamRefused, 400, True)


def test_an_exhausted_quota_keeps_its_code() -> None:
    """Clients give up on ``insufficient_quota`` and retry a rate limit."""
    body = envelope("You exceeded your current quota.", type="insufficient_quota", code="insufficient_quota")
    assert translate(429, body).code == "insufficient_quota"


WAITS: dict[str, tuple[dict[str, str], float | None]] = {
    "seconds": ({"retry_after": "3"}, 3.0),
    "fractions": ({"retry_after": "0.5"}, 0.5),
    "milliseconds": ({"retry_after_ms": "1500"}, 1.5),
    "milliseconds first": ({"retry_after": "2", "retry_after_ms": "1500"}, 1.5),
    "unreadable milliseconds": ({"retry_after": "2", "retry_after_ms": "soon"}, 2.0),
    "date": ({"retry_after": "Wed, 21 Oct 2026 07:28:00 GMT"}, None),
    "negative": ({"retry_after": "-1"}, None),
    "infinite": ({"retry_after": "inf"}, None),
    "not a number": ({"retry_after": "nan"}, None),
    "longer than anybody waits": ({"retry_after": "1e308"}, 86_400.0),
    "none": ({}, None),
}


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(("headers", "expected"), WAITS.values(), ids=WAITS.keys())
def test_how_long_to_wait(headers: dict[str, str], expected: float | None, status: int) -> None:
    """A number of seconds or milliseconds is kept; anything else is not guessed at."""
    assert translate(status, envelope("Slow down."), **headers).retry_after_s == expected


@pytest.mark.parametrize(
    ("param", "expected"),
    [
        pytest.param("messages[3].content", "input", id="messages"),
        pytest.param("response_format", "text.format", id="format"),
        pytest.param("max_completion_tokens", "max_output_tokens", id="limit"),
        pytest.param("reasoning_effort", "reasoning.effort", id="effort"),
        pytest.param("tools[0].function.parameters", "tools", id="tools"),
        pytest.param("temperature", "temperature", id="same name"),
        pytest.param("", None, id="empty"),
        pytest.param("<b>", None, id="not a name"),
        pytest.param(["body"], None, id="not a text"),
        pytest.param(None, None, id="null"),
    ],
)
def test_the_field_at_fault_is_named_as_the_client_knows_it(param: Any, expected: str | None) -> None:
    """A client never sent ``messages``; it is told of its own field."""
    assert translate(400, envelope("Bad.", param=param)).param == expected


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        pytest.param("invalid_value", "invalid_value", id="word"),
        pytest.param(400, None, id="number"),
        pytest.param("1210", None, id="number as text"),
        pytest.param("a b\n", None, id="not a word"),
        pytest.param(None, None, id="null"),
    ],
)
def test_the_code_of_a_refusal_is_kept(code: Any, expected: str | None) -> None:
    """If it is a word that a client can compare."""
    assert translate(400, envelope("Bad.", code=code)).code == expected


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["error", "message", "detail", "code", "type", "param", "metadata", "raw", "loc", "errors"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None)
@given(
    status=st.integers(300, 599),
    body=st.binary(max_size=60) | JSON_VALUES.map(orjson.dumps),
    retry_after=st.text(max_size=6),
)
def test_any_answer_is_an_error_of_the_tree(status: int, body: bytes, retry_after: str) -> None:
    """Whatever comes, there is an upstream error with one printable line of bounded length."""
    error = translate(status, body, retry_after=retry_after)
    assert isinstance(error, UpstreamError)
    assert len(error.message) < 700
    assert not any(ord(character) < 32 for character in error.message)
