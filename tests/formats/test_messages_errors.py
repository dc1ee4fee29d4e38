"""Errors of the Messages dialect: every error of the tree has a type, and the SDK raises what belongs to it."""

from __future__ import annotations

from collections.abc import Iterator

import anthropic
import httpx2
import orjson
import pytest
from anthropic.types.shared import ErrorResponse
from pydantic import TypeAdapter

from antiphon.formats.messages import status_of
from antiphon.hub import errors as tree
from antiphon.hub.errors import AntiphonError
from antiphon.hub.events import ResponseFailed
from antiphon.hub.items import JsonObject
from tests.formats.messages_turns import FORMAT, asked

# What the SDK raises for an answer of each status.
RAISED: dict[int, type[anthropic.APIStatusError]] = {
    400: anthropic.BadRequestError,
    401: anthropic.AuthenticationError,
    403: anthropic.PermissionDeniedError,
    404: anthropic.NotFoundError,
    409: anthropic.ConflictError,
    413: anthropic.RequestTooLargeError,
    422: anthropic.UnprocessableEntityError,
    429: anthropic.RateLimitError,
}

TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    408: "invalid_request_error",
    409: "invalid_request_error",
    413: "request_too_large",
    415: "invalid_request_error",
    422: "invalid_request_error",
    429: "rate_limit_error",
    431: "invalid_request_error",
    500: "api_error",
    502: "api_error",
    504: "timeout_error",
    529: "overloaded_error",
}


def kinds(kind: type[AntiphonError]) -> Iterator[type[AntiphonError]]:
    yield kind
    for narrower in kind.__subclasses__():
        yield from kinds(narrower)


def raised(status: int, body: bytes) -> anthropic.APIStatusError:
    """What the SDK's client raises for this answer."""
    transport = httpx2.MockTransport(lambda _: httpx2.Response(status, content=body))
    with httpx2.Client(transport=transport) as http:
        client = anthropic.Anthropic(api_key="none", base_url="http://127.0.0.1:1", http_client=http, max_retries=0)
        with pytest.raises(anthropic.APIStatusError) as caught:
            client.messages.create(model="m", max_tokens=1, messages=[{"role": "user", "content": "Hi"}])
    return caught.value


ALL = sorted({kind.status for kind in kinds(AntiphonError)})


def _of_status(status: int) -> AntiphonError:
    kind = next(kind for kind in kinds(AntiphonError) if kind.status == status)
    error = kind.__new__(kind)
    AntiphonError.__init__(error, "What was wrong.")
    return error


@pytest.mark.parametrize("status", ALL)
def test_every_status_of_the_tree_has_its_type(status: int) -> None:
    """The type follows from the status, which is the dialect's own where the upstream has too much to do."""
    error = _of_status(status)

    written = orjson.loads(FORMAT.encode_error(error, request_id="req_1"))

    assert status_of(error) == (529 if status == 503 else status)
    assert written == {
        "type": "error",
        "error": {"type": TYPES[status_of(error)], "message": "What was wrong."},
        "request_id": "req_1",
    }


# The SDK's union of errors lacks the type that its documentation has for 413.
@pytest.mark.parametrize("status", [status for status in ALL if status != 413])
def test_an_error_is_one_that_the_sdk_knows(status: int) -> None:
    """Its types take the body in strict mode, and its client raises the error of that status."""
    error = _of_status(status)
    written = FORMAT.encode_error(error, request_id="req_1")

    TypeAdapter(ErrorResponse).validate_json(written, strict=True)
    found = raised(status_of(error), written)

    assert isinstance(found, RAISED.get(status, anthropic.APIStatusError))
    assert found.status_code == status_of(error)
    assert "What was wrong." in str(found)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            tree.ContextLengthExceeded(limit_tokens=200_000, needed_tokens=210_000),
            "prompt is too long: 210000 tokens > 200000 maximum",
        ),
        (
            tree.ContextLengthExceeded(),
            f"prompt is too long. {tree.ContextLengthExceeded().message}",
        ),
        (
            tree.KeysUnavailable("/etc/keys: no such file"),
            "A key that is needed cannot be had at the moment. Try again; the gateway's log says more.",
        ),
    ],
    ids=["numbers", "no numbers", "an operator's"],
)
def test_a_message_is_what_callers_may_read(error: AntiphonError, message: str) -> None:
    """A context that is too long is told in the words that clients look for; what is the operator's is not told."""
    written = orjson.loads(FORMAT.encode_error(error, request_id="req_1"))

    assert written["error"]["message"] == message


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        ({"code": "server_error", "message": "No."}, "api_error", "No."),
        ({"code": "rate_limit_exceeded", "message": "No."}, "rate_limit_error", "No."),
        ({"code": "insufficient_quota", "message": "No."}, "rate_limit_error", "No."),
        ({"code": "upstream_unavailable", "message": "No."}, "overloaded_error", "No."),
        ({"code": "context_length_exceeded", "message": "No."}, "invalid_request_error", "prompt is too long. No."),
        (None, "api_error", "The answer was ended before it was whole: it is cancelled."),
    ],
    ids=["server", "rate", "quota", "overloaded", "length", "cancelled"],
)
def test_a_stream_that_fails_ends_with_an_error_event(error: JsonObject | None, kind: str, message: str) -> None:
    """The SDK's client raises it in the middle of the stream."""
    failed = {"id": "resp_1", "status": "failed" if error else "cancelled", "error": error}

    stream = FORMAT.stream_encoder(asked()).encode([ResponseFailed(failed)])

    written = {"type": "error", "error": {"type": kind, "message": message}}
    assert stream == b"event: error\ndata: %b\n\n" % orjson.dumps(written)
    TypeAdapter(ErrorResponse).validate_python(written, strict=True)
    _check_raised(stream, message)


def _check_raised(stream: bytes, message: str) -> None:
    transport = httpx2.MockTransport(lambda _: httpx2.Response(200, content=stream))
    with httpx2.Client(transport=transport) as http:
        client = anthropic.Anthropic(api_key="none", base_url="http://127.0.0.1:1", http_client=http, max_retries=0)
        with pytest.raises(anthropic.APIStatusError, match=message.partition(".")[0]):
            list(
                client.messages.create(
                    model="m", max_tokens=1, messages=[{"role": "user", "content": "a"}], stream=True
                )
            )
