"""Answers of Responses upstreams that are not 2xx, and errors inside those that are, as errors of our own tree."""

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
from antiphon.providers.openai_responses import OpenAIResponses
from tests.providers.openai_responses_replies import stream, whole

JSON = {"content-type": "application/json"}
OVERFLOW = "Your input exceeds the context window of this model. Please adjust your input and try again."


def translate(status: int, body: Any = b"", **headers: str) -> UpstreamError:
    raw = body if isinstance(body, bytes) else orjson.dumps(body)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return OpenAIResponses().error(status, JSON | named, raw, upstream="local")


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
    "OpenAI": (envelope("Bad.", type="invalid_request_error", param=None, code=None), "Bad."),
    "llama.cpp": (envelope("'input' is required", code=400, type="invalid_request_error"), "'input' is required"),
    "text error (Ollama, LM Studio)": ({"error": "invalid reasoning value"}, "invalid reasoning value"),
    "xAI": ({"code": "Client specified an invalid argument", "error": "Bad tool."}, "Bad tool."),
    "detail (FastAPI)": ({"detail": "Not allowed"}, "Not allowed"),
    "detail list (FastAPI)": (
        {
            "detail": [
                {"loc": ["body", "input", 0], "msg": "Field required", "type": "missing", "input": "secret"},
                {"loc": ["body", "n"], "msg": "Too big", "type": "value_error"},
            ]
        },
        "body.input.0: Field required; body.n: Too big",
    ),
    "vLLM": ({"object": "error", "message": "Bad role", "type": "BadRequestError", "code": 400}, "Bad role"),
    "message": ({"message": "Nope", "code": 7}, "Nope"),
    "list around an envelope": ([envelope("Wrong.", code=400)], "Wrong."),
    "plain text": (b"no such thing", "no such thing"),
    "JSON text": (b'"no such thing"', "no such thing"),
    "invalid UTF-8": (b'{"error": {"message": "caf\xe9"}}', "caf\ufffd"),
    "broken JSON": (b'{"error": {"message": "cut o', '{"error": {"message": "cut o'),
    "control characters": (envelope("a\x00b\r\n\x1b[31mc\u202ed"), "a b [31mc d"),
}


@pytest.mark.parametrize(("body", "expected"), SHAPES.values(), ids=SHAPES)
def test_the_message_is_found_in_every_shape(body: Any, expected: str) -> None:
    """Wherever a server puts its one sentence, it reaches the client as one clean line."""
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
    "huge JSON": orjson.dumps({"detail": [{"input": "x" * 2_000_000}]}),
    "nested envelopes": b'{"error":' * 900 + b"1" + b"}" * 900,
    "nested lists": b"[" * 900 + b"]" * 900,
}


@pytest.mark.parametrize("body", SILENT.values(), ids=SILENT)
def test_a_body_that_says_nothing_is_not_shown(body: bytes) -> None:
    """The status is all there is to say; a proxy's page and an echoed request never reach a client."""
    assert translate(502, body).message == "Upstream 'local' failed (HTTP 502)."


def test_a_page_is_known_by_its_header_too() -> None:
    """A page is not shown, also if it does not begin like one."""
    error = translate(503, b"Service <b>unavailable</b>", content_type="text/html; charset=utf-8")

    assert error.message == "Upstream 'local' failed (HTTP 503)."


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"word " * 100_000, id="text"),
        pytest.param(orjson.dumps(envelope("word " * 100_000)), id="message"),
        pytest.param(orjson.dumps({"detail": [{"msg": "word"}] * 10_000}), id="list"),
    ],
)
def test_long_messages_are_cut(body: bytes) -> None:
    """What is shown stays short, however much the upstream had to say."""
    message = translate(400, body).message

    assert "word" in message
    assert len(message) < 600


CREDENTIALS: dict[str, str] = {
    "OpenAI": "Incorrect API key provided: sk-proj-{0}. You can find it on the page.",
    "starred": "Incorrect API key provided: sk-{0}****wxyz.",
    "xAI": "Incorrect API key provided: xai-{0}",
    "without a prefix": "Incorrect API key provided: {0}",
    "bearer": "Authorization: Bearer {0} was refused",
    "query": "GET https://host.example/v1/models?key={0}&alt=json failed",
    "api_key": 'api_key="{0}" is unknown',
    "json": 'got {{"api_key": "{0}"}}',
    "access token": "access_token={0}",
    "jwt": "eyJ{0}.{0}.{0}",
    "url": "http://user:{0}@host.example/v1",
    "split by control characters": "key=\x00{0}",
}


@pytest.mark.parametrize("text", CREDENTIALS.values(), ids=CREDENTIALS)
@pytest.mark.parametrize("status", [400, 401, 500])
def test_credentials_are_masked(text: str, status: int) -> None:
    """Nothing that looks like a credential is in the error, whatever sentence it stands in."""
    secret = "Zq81hGd0LmW3kPbVx"

    message = translate(status, envelope(text.format(secret))).message

    assert secret not in message
    assert "***" in message


# A context that is too long: what the server says, how many tokens there is room for, and how many there are.

TOO_LONG: dict[str, tuple[int, Any, int | None, int | None]] = {
    "OpenAI": (400, envelope(OVERFLOW, code="context_length_exceeded", param="input"), None, None),
    "OpenAI with numbers": (
        400,
        envelope(
            "This model's maximum context length is 8192 tokens. However, your messages resulted in 10000 tokens."
        ),
        8192,
        10000,
    ),
    "vLLM": (
        400,
        {
            "message": "This model's maximum context length is 4096 tokens. However, you requested 100 output tokens "
            "and your prompt contains at least 4097 input tokens, for a total of at least 4197 tokens."
        },
        3996,
        4097,
    ),
    "llama.cpp": (
        400,
        envelope("x", code=400, type="exceed_context_size_error", n_prompt_tokens=5000, n_ctx=4096),
        4096,
        5000,
    ),
    "llama.cpp in words": (
        500,
        envelope("request (5000 tokens) exceeds the available context size (4096 tokens), try increasing it"),
        4096,
        5000,
    ),
    "LM Studio": (
        400,
        {
            "error": "Trying to keep the first 5000 tokens when context the overflows. However, the model is loaded "
            "with context length of only 4096 tokens, which is not enough."
        },
        4096,
        5000,
    ),
    "xAI": (
        400,
        {"error": "This model's maximum prompt length is 131072 but the request contains 200000 tokens."},
        131072,
        200000,
    ),
    "SGLang": (
        400,
        envelope("The input (5000 tokens) is longer than the model's context length (4096 tokens)."),
        4096,
        5000,
    ),
    "the body is too large": (413, envelope("Request exceeds the context window."), None, None),
    "numbers at odds": (400, envelope("maximum context length is 4096 tokens, request contains 7 tokens"), None, None),
    "numbers of another type": (
        400,
        envelope("x", code="context_length_exceeded", n_prompt_tokens=True, n_ctx="4096"),
        None,
        None,
    ),
}


@pytest.mark.parametrize(("status", "body", "limit", "needed"), TOO_LONG.values(), ids=TOO_LONG)
def test_a_context_that_is_too_long(status: int, body: Any, limit: int | None, needed: int | None) -> None:
    """Every server's wording becomes the API's own error, with numbers of input tokens where they make sense."""
    error = translate(status, body)

    assert isinstance(error, ContextLengthExceeded)
    assert (error.code, error.param, error.message) == ("context_length_exceeded", "input", OVERFLOW)
    assert (error.limit_tokens, error.needed_tokens) == (limit, needed)


def test_too_large_an_output_is_not_too_long_an_input() -> None:
    """The client is pointed at the field that it has to change."""
    text = "'max_output_tokens' is too large: 5000. This model's maximum context length is 4096 tokens."

    error = translate(400, envelope(text, param="max_tokens"))

    assert (type(error), error.param) == (UpstreamRefused, "max_output_tokens")


# Models, quotas, limits.


@pytest.mark.parametrize(
    ("status", "body"),
    [
        pytest.param(400, envelope("The requested model 'x' does not exist.", code="model_not_found"), id="OpenAI"),
        pytest.param(404, envelope("The model `x` does not exist or you do not have access to it."), id="in words"),
        pytest.param(404, envelope("The API deployment is missing.", code="DeploymentNotFound"), id="Azure"),
        pytest.param(404, envelope('model "x" not found, try pulling it first'), id="Ollama"),
        pytest.param(404, {"object": "error", "message": "The model `x` does not exist.", "code": 404}, id="vLLM"),
    ],
)
def test_a_model_that_is_not_served(status: int, body: Any) -> None:
    """Whatever the status, the client learns that it is the model."""
    error = translate(status, body)

    assert (type(error), error.code, error.param) == (UpstreamLacksModel, "model_not_found", "model")


def test_a_path_that_is_not_served_is_the_operators_fault() -> None:
    """A 404 that is not about the model means a wrong base URL, or a server without this API, and says so."""
    error = translate(404, envelope("File Not Found", code=404, type="not_found_error"))

    assert isinstance(error, UpstreamBroken)
    assert "base_url" in error.message


def test_input_of_a_kind_that_the_model_does_not_take() -> None:
    """llama.cpp answers 500 to an image; trying again would not help, so it is a refusal."""
    error = translate(500, envelope("image input is not supported - hint: provide the mmproj", code=500))

    assert (type(error), error.http_status) == (UpstreamRefused, 400)


def test_an_exhausted_quota_keeps_its_code() -> None:
    """Clients give up on ``insufficient_quota`` and retry a rate limit."""
    body = envelope("You exceeded your current quota.", type="insufficient_quota", code="insufficient_quota")

    assert translate(429, body).code == "insufficient_quota"


NOW = "Sun, 22 Nov 2026 10:00:00 GMT"
WAITS: dict[str, tuple[dict[str, str], float | None]] = {
    "seconds": ({"retry_after": "3"}, 3.0),
    "milliseconds": ({"retry_after_ms": "1500"}, 1.5),
    "milliseconds first": ({"retry_after": "2", "retry_after_ms": "1500"}, 1.5),
    "unreadable milliseconds": ({"retry_after": "2", "retry_after_ms": "soon"}, 2.0),
    "a date": ({"retry_after": "Sun, 22 Nov 2026 10:00:07 GMT", "date": NOW}, 7.0),
    "a date that has passed": ({"retry_after": "Sat, 21 Nov 2026 10:00:00 GMT", "date": NOW}, 0.0),
    "a date without a clock": ({"retry_after": NOW}, None),
    "no date": ({"retry_after": "Sun, 99 Nov 2026 25:00:00 GMT", "date": NOW}, None),
    "negative": ({"retry_after": "-1"}, None),
    "infinite": ({"retry_after": "inf"}, None),
    "longer than anybody waits": ({"retry_after": "1e308"}, 86_400.0),
    "none": ({}, None),
}


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(("headers", "expected"), WAITS.values(), ids=WAITS)
def test_how_long_to_wait(headers: dict[str, str], expected: float | None, status: int) -> None:
    """What the headers say is kept in seconds; anything unreadable is not guessed at."""
    assert translate(status, envelope("Slow down."), **headers).retry_after_s == expected


IN_WORDS = {
    "seconds": ("Please try again in 1.898s.", 1.898),
    "milliseconds": ("Please try again in 20ms.", 0.02),
    "minutes and seconds": ("Please try again in 6m0.5s. Visit the page.", 360.5),
    "days": ("try again in 9999d", 86_400.0),
    "nothing": ("Please try again in a while.", None),
}


@pytest.mark.parametrize(("text", "expected"), IN_WORDS.values(), ids=IN_WORDS)
def test_how_long_to_wait_in_words(text: str, expected: float | None) -> None:
    """Without a header OpenAI's own sentence counts, which is all there is in a stream; a header comes first."""
    assert translate(429, envelope(text)).retry_after_s == expected
    assert translate(429, envelope(text), retry_after="5").retry_after_s == 5.0


@pytest.mark.parametrize(
    ("param", "expected"),
    [
        pytest.param("input[3].content", "input", id="a place in the input"),
        pytest.param("input", "input", id="the input"),
        pytest.param("input_image", "input_image", id="a name that only begins like it"),
        pytest.param("text.format.schema", "text.format.schema", id="a path"),
        pytest.param("tools[0].parameters", "tools[0].parameters", id="a place in the tools"),
        pytest.param("max_output_tokens", "max_output_tokens", id="a field"),
        pytest.param("", None, id="empty"),
        pytest.param("<b>", None, id="not a name"),
        pytest.param("a" * 300, None, id="too long"),
        pytest.param(["body"], None, id="not a text"),
        pytest.param(None, None, id="null"),
    ],
)
def test_the_field_at_fault(param: Any, expected: str | None) -> None:
    """Fields have the client's own names; a place in the input is not the client's, whose history came before it."""
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
    """A refusal keeps its code, if it is a word that a client can compare."""
    assert translate(400, envelope("Bad.", code=code)).code == expected


# Errors inside a reply whose status is 200.

INSIDE: dict[str, tuple[Any, type[UpstreamError], str | None]] = {
    "a limit": ({"code": "rate_limit_exceeded", "message": "x"}, UpstreamRateLimited, "rate_limit_exceeded"),
    "a quota": ({"code": "insufficient_quota", "message": "x"}, UpstreamRateLimited, "insufficient_quota"),
    "the context": ({"code": "context_length_exceeded", "message": "x"}, ContextLengthExceeded, None),
    "the prompt": ({"code": "invalid_prompt", "message": "x"}, UpstreamRefused, "invalid_prompt"),
    "an image": ({"code": "image_too_large", "message": "x"}, UpstreamRefused, "image_too_large"),
    "sealed content": (
        {"code": "invalid_encrypted_content", "message": "x"},
        UpstreamRefused,
        "invalid_encrypted_content",
    ),
    "a model": ({"code": "model_not_found", "message": "x"}, UpstreamLacksModel, "model_not_found"),
    "a time-out": ({"code": "vector_store_timeout", "message": "x"}, UpstreamTimeout, "upstream_timeout"),
    "the server": ({"code": "server_error", "message": "x"}, UpstreamUnavailable, "upstream_unavailable"),
    "a type alone": ({"type": "invalid_request_error", "message": "x"}, UpstreamRefused, None),
    "a status": ({"code": 401, "message": "x"}, UpstreamAuthentication, "upstream_authentication_failed"),
    "a status as text": ({"code": "503", "message": "x"}, UpstreamUnavailable, "upstream_unavailable"),
    "a word that nobody knows": ({"code": "odd", "message": "x"}, UpstreamUnavailable, "upstream_unavailable"),
    "a text": ("x", UpstreamUnavailable, "upstream_unavailable"),
}


def told_of(error: UpstreamError, kind: type[UpstreamError], code: str | None) -> bool:
    return type(error) is kind and error.code == (kind.default_code if code is None else code)


@pytest.mark.parametrize(("error", "kind", "code"), INSIDE.values(), ids=INSIDE)
def test_errors_in_every_place(error: Any, kind: type[UpstreamError], code: str | None) -> None:
    """An error means the same in an event, flat or nested, in a response that failed, and as the whole body."""
    failed = {"id": "resp_1", "status": "failed", "error": error, "output": []}
    flat = {"type": "error", **error} if isinstance(error, dict) and "type" not in error else None
    streams = [
        {"type": "error", "error": error},
        {"error": error},
        {"type": "response.failed", "response": failed},
        *([flat] if flat else []),
    ]

    for event in streams:
        with pytest.raises(UpstreamError) as caught:
            stream(b"data: " + orjson.dumps(event) + b"\n\n")
        assert told_of(caught.value, kind, code)
    for body in (failed, {"error": error}):
        with pytest.raises(UpstreamError) as caught:
            whole(orjson.dumps(body))
        assert told_of(caught.value, kind, code)


def test_an_error_event_without_an_object() -> None:
    """A bare text under the name of an error is shown as what it is."""
    with pytest.raises(UpstreamUnavailable, match="it broke"):
        stream(b"event: error\ndata: it broke\n\n")


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["error", "message", "detail", "code", "type", "param", "loc", "n_ctx", "errors"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@settings(max_examples=100, deadline=None)
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
