"""Errors of Google's APIs, as errors of our own tree."""

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
from antiphon.providers.gemini import Gemini
from tests.providers.gemini_replies import frames, stream

JSON = {"content-type": "application/json; charset=UTF-8"}
OVERFLOW = "Your input exceeds the context window of this model. Please adjust your input and try again."


def status(name: str, message: str, *details: dict[str, Any], code: int = 400) -> dict[str, Any]:
    more = {"details": list(details)} if details else {}
    return {"error": {"code": code, "message": message, "status": name, **more}}


def translate(http_status: int, body: Any = b"", **headers: str) -> UpstreamError:
    raw = body if isinstance(body, bytes) else orjson.dumps(body)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Gemini().error(http_status, JSON | named, raw, upstream="vendor")


def info(reason: str) -> dict[str, Any]:
    return {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason, "domain": "googleapis.com"}


def retry_info(delay: Any) -> dict[str, Any]:
    return {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay}


def bad_field(field: str) -> dict[str, Any]:
    violation = {"field": field, "description": "Wrong."}
    return {"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": [violation]}


# The vendor's own errors: HTTP status, canonical name, message, and what they become.
VENDOR: dict[str, tuple[int, str, str, type[UpstreamError], str | None]] = {
    "invalid": (400, "INVALID_ARGUMENT", "Request contains an invalid argument.", UpstreamRefused, "invalid_argument"),
    "too large": (
        400,
        "INVALID_ARGUMENT",
        "Request payload size exceeds the limit.",
        UpstreamRefused,
        "invalid_argument",
    ),
    "precondition": (400, "FAILED_PRECONDITION", "Not now.", UpstreamRefused, "failed_precondition"),
    "location": (
        400,
        "FAILED_PRECONDITION",
        "User location is not supported for the API use.",
        UpstreamAuthentication,
        "upstream_authentication_failed",
    ),
    "bad key": (
        400,
        "INVALID_ARGUMENT",
        "API key not valid. Please pass a valid API key.",
        UpstreamAuthentication,
        "upstream_authentication_failed",
    ),
    "unauthenticated": (
        401,
        "UNAUTHENTICATED",
        "Request had invalid authentication credentials.",
        UpstreamAuthentication,
        "upstream_authentication_failed",
    ),
    "forbidden": (
        403,
        "PERMISSION_DENIED",
        "Permission denied.",
        UpstreamAuthentication,
        "upstream_authentication_failed",
    ),
    "no model": (
        404,
        "NOT_FOUND",
        "models/nope is not found for API version v1beta.",
        UpstreamLacksModel,
        "model_not_found",
    ),
    "nothing there": (404, "NOT_FOUND", "Requested entity was not found.", UpstreamBroken, "upstream_broken"),
    "limited": (429, "RESOURCE_EXHAUSTED", "Resource exhausted.", UpstreamRateLimited, "rate_limit_exceeded"),
    "no money": (
        429,
        "RESOURCE_EXHAUSTED",
        "Your prepayment credits are depleted.",
        UpstreamRateLimited,
        "insufficient_quota",
    ),
    "cancelled": (499, "CANCELLED", "The operation was cancelled.", UpstreamUnavailable, "upstream_unavailable"),
    "internal": (500, "INTERNAL", "An internal error has occurred.", UpstreamUnavailable, "upstream_unavailable"),
    "unknown": (500, "UNKNOWN", "Unknown.", UpstreamUnavailable, "upstream_unavailable"),
    "unimplemented": (501, "UNIMPLEMENTED", "Not here.", UpstreamRefused, "unimplemented"),
    "overloaded": (503, "UNAVAILABLE", "The model is overloaded.", UpstreamUnavailable, "upstream_unavailable"),
    "too slow": (504, "DEADLINE_EXCEEDED", "Deadline expired.", UpstreamTimeout, "upstream_timeout"),
}


@pytest.mark.parametrize("form", ["envelope", "list", "stream"])
@pytest.mark.parametrize("name", VENDOR)
def test_the_canonical_name_decides(name: str, form: str) -> None:
    """Each of the vendor's errors has its class and code, as an answer, as a list, and inside a stream."""
    http_status, canonical, message, kind, code = VENDOR[name]
    document = status(canonical, message, code=http_status)
    if form == "stream":
        with pytest.raises(UpstreamError) as raised:
            stream(frames(document))
        error = raised.value
    else:
        error = translate(http_status, document if form == "envelope" else [document])

    assert (type(error), error.code) == (kind, code)
    assert error.message.startswith("Upstream 'vendor' ")
    assert error.message.endswith(f"(HTTP {http_status}): {message}")
    assert error.param == ("model" if kind is UpstreamLacksModel else None)


STATUSES: dict[int, type[UpstreamError]] = {
    302: UpstreamBroken,
    400: UpstreamRefused,
    401: UpstreamAuthentication,
    403: UpstreamAuthentication,
    404: UpstreamBroken,
    405: UpstreamBroken,
    408: UpstreamTimeout,
    413: UpstreamRefused,
    429: UpstreamRateLimited,
    500: UpstreamUnavailable,
    502: UpstreamUnavailable,
    503: UpstreamUnavailable,
    504: UpstreamTimeout,
}
PAGE = b"<!DOCTYPE html><title>Error</title>"


@pytest.mark.parametrize("code", STATUSES)
@pytest.mark.parametrize(
    "body", [b"", PAGE, b"null", b"[]", b'{"error":7}'], ids=["empty", "page", "null", "list", "number"]
)
def test_without_a_name_the_status_decides(code: int, body: bytes) -> None:
    """A proxy's answer has the class of its status, and nothing of a page is shown."""
    error = translate(code, body)
    assert type(error) is STATUSES[code]
    assert error.message.endswith(f"(HTTP {code}).")


def test_words_of_a_proxy_are_shown() -> None:
    """A plain text is the message."""
    assert translate(502, b"no healthy upstream").message.endswith("(HTTP 502): no healthy upstream")
    assert translate(502, {"error": "no healthy upstream"}).message.endswith(": no healthy upstream")
    assert translate(502, {"message": "no healthy upstream"}).message.endswith(": no healthy upstream")


@pytest.mark.parametrize(
    "reason", ["API_KEY_INVALID", "API_KEY_SERVICE_BLOCKED", "SERVICE_DISABLED", "ACCESS_TOKEN_EXPIRED"]
)
def test_the_reason_of_a_bad_credential(reason: str) -> None:
    """Details say that a credential is bad, under whatever status."""
    error = translate(400, status("INVALID_ARGUMENT", "Bad request.", info(reason)))
    assert type(error) is UpstreamAuthentication


OVERFLOWS: dict[str, tuple[str, int | None, int | None]] = {
    "both numbers": (
        "The input token count (1091639) exceeds the maximum number of tokens allowed (1048576).",
        1048576,
        1091639,
    ),
    "one number": ("The input token count exceeds the maximum number of tokens allowed 1048576.", None, None),
    "Vertex AI": (
        "Unable to submit request because the input token count is 1200000 but model only supports up to 1048576.",
        1048576,
        1200000,
    ),
    "numbers at odds": ("The input token count (5) exceeds the maximum number of tokens allowed (9).", None, None),
}


@pytest.mark.parametrize(("message", "limit", "needed"), OVERFLOWS.values(), ids=OVERFLOWS.keys())
def test_a_context_that_is_too_long(message: str, limit: int | None, needed: int | None) -> None:
    """Too many tokens are OpenAI's own error, with the numbers where the vendor says both."""
    error = translate(400, status("INVALID_ARGUMENT", message))

    assert isinstance(error, ContextLengthExceeded)
    assert (error.message, error.param, error.code) == (OVERFLOW, "input", "context_length_exceeded")
    assert (error.limit_tokens, error.needed_tokens) == (limit, needed)


def test_a_rate_of_tokens_is_no_overflow() -> None:
    """A limit on tokens per minute is waited for, however it is worded."""
    message = "Quota exceeded for metric: generate_content_free_tier_input_token_count, limit: 250000"
    assert type(translate(429, status("RESOURCE_EXHAUSTED", message, code=429))) is UpstreamRateLimited


DELAYS: dict[str, tuple[Any, float | None]] = {
    "seconds": ("17s", 17.0),
    "parts of a second": ("0.250s", 0.25),
    "a year": ("31536000s", 86400.0),
    "no unit": ("17", None),
    "negative": ("-1s", None),
    "a number": (17, None),
}


@pytest.mark.parametrize(("delay", "expected"), DELAYS.values(), ids=DELAYS.keys())
def test_when_to_try_again(delay: Any, expected: float | None) -> None:
    """RetryInfo says how long to wait, in an answer and in a stream."""
    document = status("RESOURCE_EXHAUSTED", "Slow down.", info("RATE_LIMIT_EXCEEDED"), retry_info(delay), code=429)

    assert translate(429, document).retry_after_s == expected
    with pytest.raises(UpstreamRateLimited) as raised:
        stream(frames(document))
    assert raised.value.retry_after_s == expected


def test_the_header_says_when_to_try_again() -> None:
    """Without RetryInfo the header counts; with both the body does."""
    assert translate(503, PAGE, retry_after="7").retry_after_s == 7.0
    assert translate(503, PAGE, retry_after="soon").retry_after_s is None
    assert translate(429, status("RESOURCE_EXHAUSTED", "x", retry_info("3s")), retry_after="7").retry_after_s == 3.0


FIELDS: dict[str, tuple[str, str | None]] = {
    "generation_config.temperature": ("generation_config.temperature", "temperature"),
    "camel case": ("generationConfig.maxOutputTokens", "max_output_tokens"),
    "of the request": ("GenerateContentRequest.generation_config.top_p", "top_p"),
    "within a field": ("generation_config.thinking_config.thinking_level", "reasoning"),
    "a schema": ("generation_config.response_json_schema.properties[a]", "text.format"),
    "an argument": ("contents[3].parts[0].function_call.args", "input"),
    "a declaration": ("tools[0].function_declarations[1].name", "tools"),
    "the choice": ("tool_config.function_calling_config.mode", "tool_choice"),
    "the instruction": ("system_instruction.parts", "instructions"),
    "nobody's": ("labels", None),
}


@pytest.mark.parametrize(("field", "param"), FIELDS.values(), ids=FIELDS.keys())
def test_the_field_at_fault_has_the_clients_name(field: str, param: str | None) -> None:
    """Clients are told of a field by the name under which they sent it."""
    error = translate(400, status("INVALID_ARGUMENT", "Wrong.", bad_field(field)))
    assert (type(error), error.param) == (UpstreamRefused, param)


SAID: dict[str, tuple[str, str | None]] = {
    "at": ("Invalid value at 'generation_config.temperature' (TYPE_FLOAT), \"hot\"", "temperature"),
    "list": ("* GenerateContentRequest.contents: contents is not specified", "input"),
    "nothing": ("Please ensure that multiturn requests alternate between user and model.", None),
}


@pytest.mark.parametrize(("message", "param"), SAID.values(), ids=SAID.keys())
def test_the_field_may_be_in_the_words_alone(message: str, param: str | None) -> None:
    """Some refusals name the field in their text only."""
    assert translate(400, status("INVALID_ARGUMENT", message)).param == param


SECRETS = {
    "a key": "API key AIzaSyTEST-TEST-TEST-TEST-TEST-TEST-TE is bad",
    "a token": "token ya29.a0AfTEST_test-test expired",
    "a header": "Authorization: Bearer abc.def.ghi refused",
    "a query": "GET https://h.example/v1?key=abcdefghij failed",
    "a project": "Quota exceeded for project_number:123456789012",
    "a path": "projects/my-secret-project/locations/us",
}


@pytest.mark.parametrize("message", SECRETS.values(), ids=SECRETS.keys())
def test_no_secret_is_shown(message: str) -> None:
    """Keys, tokens and the operator's project are masked."""
    shown = translate(429, status("RESOURCE_EXHAUSTED", message)).message

    assert "***" in shown
    for secret in ("AIza", "ya29", "abc", "123456789012", "my-secret-project"):
        assert secret not in shown


def test_a_message_is_one_short_line() -> None:
    """Control characters, line ends and length of the vendor's words stay there."""
    shown = translate(400, status("INVALID_ARGUMENT", "a\r\n\x1b[31mb\u202e" + "x" * 9000)).message
    assert len(shown) < 600
    assert shown.isprintable()


def test_a_body_of_any_size() -> None:
    """A body that is no error of this API is not read."""
    assert translate(500, b'{"error":"' + b"x" * (1 << 21)).message.endswith("(HTTP 500).")


@settings(max_examples=60, deadline=None)
@given(
    st.integers(300, 599),
    st.binary(max_size=40)
    | st.recursive(
        st.none() | st.booleans() | st.integers(0, 9) | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["error", "message", "status", "details", "code", "retryDelay", "fieldViolations"]),
                inner,
            )
        ),
        max_leaves=8,
    ).map(orjson.dumps),
)
def test_any_answer_is_an_error_of_ours(code: int, body: bytes) -> None:
    """Whatever comes back, it becomes an error of the tree that names the upstream."""
    error = translate(code, body)
    assert isinstance(error, UpstreamError)
    assert "'vendor'" in error.message
