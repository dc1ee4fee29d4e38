"""Answers of the Messages API that are not 2xx, and errors within a stream, as errors of our own tree."""

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
from antiphon.providers.anthropic import Anthropic
from tests.providers.anthropic_replies import decode_stream, sse


def translate(status: int, body: Any = b"", **headers: str) -> UpstreamError:
    raw = body if isinstance(body, bytes) else orjson.dumps(body)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Anthropic().error(status, {"content-type": "application/json"} | named, raw, upstream="vendor")


def envelope(kind: str, message: str) -> dict[str, Any]:
    return {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_01A"}


KINDS: dict[str, tuple[int, type[UpstreamError], str | None]] = {
    "invalid_request_error": (400, UpstreamRefused, None),
    "authentication_error": (401, UpstreamAuthentication, "upstream_authentication_failed"),
    "billing_error": (402, UpstreamRateLimited, "insufficient_quota"),
    "permission_error": (403, UpstreamAuthentication, "upstream_authentication_failed"),
    "not_found_error": (404, UpstreamBroken, "upstream_broken"),
    "request_too_large": (413, UpstreamRefused, "request_too_large"),
    "rate_limit_error": (429, UpstreamRateLimited, "rate_limit_exceeded"),
    "api_error": (500, UpstreamUnavailable, "upstream_unavailable"),
    "timeout_error": (504, UpstreamTimeout, "upstream_timeout"),
    "overloaded_error": (529, UpstreamUnavailable, "upstream_unavailable"),
}


@pytest.mark.parametrize(("kind", "expected"), KINDS.items())
def test_every_error_of_the_api(kind: str, expected: tuple[int, type[UpstreamError], str | None]) -> None:
    """Each documented error has its class and code, and its message names the upstream, the status and the words."""
    status, error_type, code = expected
    error = translate(status, envelope(kind, "Something is wrong."))

    assert (type(error), error.code) == (error_type, code)
    assert error.message.startswith("Upstream 'vendor' ")
    assert error.message.endswith(f"(HTTP {status}): Something is wrong.")


STATUSES: dict[int, type[UpstreamError]] = {
    302: UpstreamBroken,
    400: UpstreamRefused,
    401: UpstreamAuthentication,
    403: UpstreamAuthentication,
    404: UpstreamBroken,
    405: UpstreamBroken,
    408: UpstreamTimeout,
    409: UpstreamRefused,
    413: UpstreamRefused,
    424: UpstreamUnavailable,
    429: UpstreamRateLimited,
    500: UpstreamUnavailable,
    503: UpstreamUnavailable,
    504: UpstreamTimeout,
    529: UpstreamUnavailable,
}


@pytest.mark.parametrize(("status", "expected"), STATUSES.items())
def test_without_a_type_the_status_decides(status: int, expected: type[UpstreamError]) -> None:
    """An answer of whoever stands between is judged by its status, and nothing of a page is shown."""
    error = translate(status, b"<html>Bad gateway</html>", content_type="text/html")

    assert type(error) is expected
    assert error.message.endswith(f"(HTTP {status}).")


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("request_too_large", "not_found_error")])
def test_an_error_in_a_stream_is_the_same_error(kind: str) -> None:
    """An error that comes after status 200 is of the class that its status would have given it."""
    with pytest.raises(KINDS[kind][1], match=r"\(in its reply\): Wrong\.") as raised:
        decode_stream(sse({"type": "error", "error": {"type": kind, "message": "Wrong."}}))

    assert raised.value.code == KINDS[kind][2]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        pytest.param(b'{"error": {"type": "overloaded_error"}}', "is overloaded", id="no type"),
        pytest.param(b'{"type": "error", "error": "Out of order"}', "Out of order", id="a text"),
        pytest.param(b'{"type": "error"}', "failed", id="nothing"),
        pytest.param(b'{"type": "error", "error": {"type": "novel_error", "message": "New."}}', "New", id="a new one"),
    ],
)
def test_an_error_in_a_stream_of_another_form(data: bytes, words: str) -> None:
    """Whatever says that it is an error is one, and what nobody knows by name has failed."""
    with pytest.raises(UpstreamUnavailable, match=words):
        decode_stream(b"event: error\ndata: " + data + b"\n\n")


def test_a_model_that_is_missing_in_a_stream() -> None:
    """What is not found after status 200 can only be the model."""
    with pytest.raises(UpstreamLacksModel):
        decode_stream(sse({"type": "error", "error": {"type": "not_found_error", "message": "gone"}}))


OVERFLOWS: dict[str, tuple[str, int | None, int | None]] = {
    "with numbers": ("prompt is too long: 208310 tokens > 200000 maximum", 200_000, 208_310),
    "without numbers": ("messages: prompt is too long", None, None),
    "with the output": (
        "input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000, decrease input length",
        180_000,
        190_000,
    ),
    "numbers at odds": ("prompt is too long: 5 tokens > 200000 maximum", None, None),
    "Bedrock": ("Input is too long for requested model.", None, None),
}


@pytest.mark.parametrize(("words", "limit", "needed"), OVERFLOWS.values(), ids=OVERFLOWS.keys())
def test_a_context_that_is_too_long(words: str, limit: int | None, needed: int | None) -> None:
    """A context that is too long is told apart by its words, with the numbers where they make sense."""
    error = translate(400, envelope("invalid_request_error", words))

    assert isinstance(error, ContextLengthExceeded)
    assert (error.limit_tokens, error.needed_tokens, error.param) == (limit, needed, "input")


MODELS: dict[str, tuple[int, Any]] = {
    "Anthropic": (404, envelope("not_found_error", "model: claude-nope")),
    "Google": (404, [{"error": {"code": 404, "message": "Publisher Model `x` was not found.", "status": "NOT_FOUND"}}]),
    "Amazon": (404, {"__type": "ResourceNotFoundException", "message": "Could not resolve the foundation model"}),
    "Amazon, by its words": (400, {"message": "The provided model identifier is invalid."}),
}


@pytest.mark.parametrize(("status", "body"), MODELS.values(), ids=MODELS.keys())
def test_a_model_that_is_not_served(status: int, body: Any) -> None:
    """A model that the host does not have is its own error, so that another target may be tried."""
    error = translate(status, body)

    assert (type(error), error.param, error.code) == (UpstreamLacksModel, "model", "model_not_found")


@pytest.mark.parametrize(
    "words",
    [
        "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing.",
        "You have reached your specified API usage limits. You will regain access on 2026-12-01 at 00:00 UTC.",
    ],
    ids=["no credit", "a limit of the account's own"],
)
def test_an_account_that_may_spend_no_more(words: str) -> None:
    """The API calls it an invalid request; it is the operator's quota, not the caller's mistake."""
    error = translate(400, envelope("invalid_request_error", words))

    assert (type(error), error.code) == (UpstreamRateLimited, "insufficient_quota")


PARAMS = {
    "max_tokens: 200000 > 64000, which is the maximum allowed number of output tokens": "max_output_tokens",
    "messages.1.content.0: `thinking` blocks cannot be modified": "input",
    "messages: text content blocks must be non-empty": "input",
    "system.0.text: too long": "instructions",
    "tools.0.custom.input_schema.type: Field required": "tools",
    "output_config.effort: not supported": "reasoning.effort",
    "output_config.format.schema: additionalProperties must be false": "text.format",
    "thinking.enabled.budget_tokens: too small": "reasoning.effort",
    "container: unknown": None,
    "Something else entirely": None,
}


@pytest.mark.parametrize(("words", "param"), PARAMS.items())
def test_the_field_at_fault_has_the_clients_name(words: str, param: str | None) -> None:
    """The path that the API's messages begin with becomes the parameter that the client sent."""
    assert translate(400, envelope("invalid_request_error", words)).param == param


WAITS = {"12": 12.0, "0": 0.0, "1e9": 86_400.0, "-1": None, "nan": None, "soon": None, "": None}


@pytest.mark.parametrize(("header", "wait_s"), WAITS.items())
def test_when_to_try_again(header: str, wait_s: float | None) -> None:
    """retry-after is handed on, within reason."""
    assert translate(429, envelope("rate_limit_error", "Slow down"), retry_after=header).retry_after_s == wait_s


AMAZONS: dict[str, tuple[int, type[UpstreamError]]] = {
    "ThrottlingException": (429, UpstreamRateLimited),
    "AccessDeniedException": (403, UpstreamAuthentication),
    "ValidationException": (400, UpstreamRefused),
    "ModelTimeoutException": (408, UpstreamTimeout),
    "ModelNotReadyException": (429, UpstreamUnavailable),
    "ServiceUnavailableException": (503, UpstreamUnavailable),
    "ModelErrorException": (424, UpstreamUnavailable),
}


@pytest.mark.parametrize(("name", "expected"), AMAZONS.items())
def test_amazons_errors(name: str, expected: tuple[int, type[UpstreamError]]) -> None:
    """Amazon names its errors in a header; a model that is not ready is not a rate limit."""
    status, error_type = expected
    error = translate(status, {"message": "Wrong."}, x_amzn_errortype=f"{name}:http://internal.amazon.com/")

    assert type(error) is error_type
    assert error.message.endswith(": Wrong.")


def test_a_secret_is_not_shown() -> None:
    """What looks like a credential, a query or a private address in an error's words is masked."""
    words = "key sk-ant-api03-abcdefgh at http://me:pw@10.0.0.7:80/v1?key=abcdef with Bearer abc.def"

    message = translate(400, envelope("invalid_request_error", words)).message

    assert not [secret for secret in ("abcdefgh", "pw@", "10.0.0.7", "abcdef", "abc.def") if secret in message]


@settings(max_examples=60, deadline=None)
@given(
    status=st.integers(300, 599),
    body=st.one_of(
        st.binary(max_size=60),
        st.recursive(
            st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=20),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(st.sampled_from(["error", "message", "type", "status", "x"]), inner, max_size=4)
            ),
            max_leaves=6,
        ).map(orjson.dumps),
    ),
)
def test_any_answer_becomes_an_error_of_the_tree(status: int, body: bytes) -> None:
    """Whatever comes is translated into one line that can be printed, and never raises anything else."""
    error = translate(status, body)

    assert isinstance(error, UpstreamError)
    assert error.message.isprintable()
    assert len(error.message) < 700


def test_a_huge_answer_is_cut() -> None:
    """A message of megabytes is cut to a line, and an echo of the request is not shown at all."""
    assert len(translate(400, envelope("invalid_request_error", "word " * 100_000)).message) < 700
    assert translate(502, b'{"echo": "' + b"x" * 2_000_000 + b'"}').message == "Upstream 'vendor' failed (HTTP 502)."
