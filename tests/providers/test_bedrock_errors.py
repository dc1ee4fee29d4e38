"""Errors of Bedrock: which error of ours each becomes, and what of it is shown."""

from __future__ import annotations

from typing import Any

import botocore.session
import orjson
import pytest

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
from antiphon.providers.bedrock import Bedrock
from antiphon.providers.bedrock.errors import translate_exception


def translated(status: int, body: Any = b"", **headers: str) -> UpstreamError:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    raw = body if isinstance(body, bytes) else orjson.dumps(body)
    return Bedrock().error(status, named, raw, upstream="vendor")


NAMES = [
    (400, "ValidationException", UpstreamRefused),
    (400, "ServiceQuotaExceededException", UpstreamRateLimited),
    (403, "AccessDeniedException", UpstreamAuthentication),
    (403, "InvalidSignatureException", UpstreamAuthentication),
    (403, "UnrecognizedClientException", UpstreamAuthentication),
    (403, "ExpiredTokenException", UpstreamAuthentication),
    (403, "MissingAuthenticationTokenException", UpstreamAuthentication),
    (400, "IncompleteSignatureException", UpstreamAuthentication),
    (404, "ResourceNotFoundException", UpstreamLacksModel),
    (404, "UnknownOperationException", UpstreamBroken),
    (408, "ModelTimeoutException", UpstreamTimeout),
    (424, "ModelErrorException", UpstreamUnavailable),
    (424, "ModelStreamErrorException", UpstreamUnavailable),
    (429, "ThrottlingException", UpstreamRateLimited),
    (429, "ModelNotReadyException", UpstreamUnavailable),
    (500, "InternalServerException", UpstreamUnavailable),
    (503, "ServiceUnavailableException", UpstreamUnavailable),
]


@pytest.mark.parametrize(("status", "name", "kind"), NAMES, ids=[name for _, name, _ in NAMES])
def test_names(status: int, name: str, kind: type[UpstreamError]) -> None:
    """An error's name decides, wherever AWS writes it: in a header, in the body, or in a frame of a stream."""
    body = {"message": "Why."}

    errors = [
        translated(status, body, x_amzn_errortype=name),
        translated(status, body, x_amzn_errortype=f"{name}:http://internal.amazon.com/coral/com.amazon.bedrock/"),
        translated(status, {**body, "__type": f"com.amazon.coral.service#{name}"}),
        translated(418, {"Message": "Why.", "__type": name}),
        translate_exception(f"{name[0].lower()}{name[1:]}", orjson.dumps(body), upstream="vendor"),
    ]

    assert [type(error) for error in errors] == [kind] * 5
    for error in errors:
        assert error.message.startswith("Upstream 'vendor' ")
        assert error.message.endswith(": Why.")
        assert name in error.message


@pytest.mark.parametrize("operation", ["Converse", "ConverseStream", "CountTokens"])
def test_amazons_own_description_names_no_other(operation: str) -> None:
    """Every error that the service is described to have is one that we know by name."""
    service = botocore.session.Session().get_service_model("bedrock-runtime")

    described = {shape.name for shape in service.operation_model(operation).error_shapes}

    assert described <= {name for _, name, _ in NAMES}


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, UpstreamRefused),
        (401, UpstreamAuthentication),
        (403, UpstreamAuthentication),
        (404, UpstreamBroken),
        (413, UpstreamRefused),
        (424, UpstreamUnavailable),
        (429, UpstreamRateLimited),
        (500, UpstreamUnavailable),
        (504, UpstreamTimeout),
        (529, UpstreamUnavailable),
        (302, UpstreamBroken),
    ],
)
@pytest.mark.parametrize("body", [b"", b"<html>Bad</html>", b'{"message":5}', b"[]", b"\xff", b"{"])
def test_statuses(status: int, kind: type[UpstreamError], body: bytes) -> None:
    """An answer without a known name is told by its status, whatever its body; nothing of a strange body is shown."""
    error = translated(status, body, x_amzn_errortype="BrandNewException")

    assert type(error) is kind
    assert error.message.endswith(f"(BrandNewException, HTTP {status}).")


OVERFLOWS = [
    ("Input is too long for requested model.", None, None),
    ("The model returned the following errors: prompt is too long: 200049 tokens > 200000 maximum", 200000, 200049),
    (
        (
            "The model returned the following errors: input length and `max_tokens` exceed context limit: "
            "198000 + 8192 > 200000, decrease input length or `max_tokens` and try again"
        ),
        191808,
        198000,
    ),
    ("Too many input tokens. Max input tokens: 8192, request input token count: 9214", 8192, 9214),
    (
        "This model's maximum context length is 131072 tokens. Please reduce the length of the prompt",
        None,
        None,
    ),
    ("Input Tokens Exceeded: Number of input tokens exceeds the maximum context length", None, None),
]


@pytest.mark.parametrize(("text", "limit", "needed"), OVERFLOWS)
def test_a_context_that_is_too_long(text: str, limit: int | None, needed: int | None) -> None:
    """A context that is too long is told by its words, with the numbers that are in them."""
    errors = [
        translated(400, {"message": text}, x_amzn_errortype="ValidationException"),
        translate_exception("validationException", orjson.dumps({"message": text}), upstream="vendor"),
    ]

    for error in errors:
        assert isinstance(error, ContextLengthExceeded)
        assert (error.limit_tokens, error.needed_tokens) == (limit, needed)


def test_throttled_tokens_are_no_long_context() -> None:
    """Too many tokens in a minute is not too many in one request: waiting helps, shortening does not."""
    text = "Too many tokens, please wait before trying again."
    error = translated(429, {"message": text}, x_amzn_errortype="ThrottlingException", retry_after="7")

    assert type(error) is UpstreamRateLimited
    assert (error.retry_after_s, error.retryable) == (7.0, True)


@pytest.mark.parametrize(
    "text",
    [
        (
            "The maximum tokens you requested exceeds the model limit of 4096. Try again with a maximum tokens value "
            "that is lower than 4096."
        ),
        (
            "The model returned the following errors: max_tokens: 100000 > 64000, which is the maximum allowed number "
            "of output tokens for this model"
        ),
        (
            "'max_tokens' or 'max_completion_tokens' is too large: 50000. This model's maximum context length is 40960 "
            "tokens and your request has 12 input tokens"
        ),
    ],
)
def test_a_limit_of_output_that_is_too_high(text: str) -> None:
    """A wish for too much output is blamed on the field that wished it."""
    error = translated(400, {"message": text}, x_amzn_errortype="ValidationException")

    assert (type(error), error.param) == (UpstreamRefused, "max_output_tokens")


@pytest.mark.parametrize(
    ("status", "name", "text"),
    [
        (400, "ValidationException", "The provided model identifier is invalid."),
        (
            400,
            "ValidationException",
            (
                "Invocation of model ID m with on-demand throughput isn\u2019t supported. Retry your request with the "
                "ID or ARN of an inference profile that contains this model."
            ),
        ),
        (403, "AccessDeniedException", "You don't have access to the model with the specified model ID."),
        (404, "ResourceNotFoundException", "Could not resolve the foundation model from the provided identifier."),
    ],
)
def test_a_model_that_is_not_there(status: int, name: str, text: str) -> None:
    """A model that is not there, or not for this account, is one that another upstream may have."""
    error = translated(status, {"message": text}, x_amzn_errortype=name)

    assert (type(error), error.code, error.param) == (UpstreamLacksModel, "model_not_found", "model")


@pytest.mark.parametrize("wait", ["", "soon", "-1", "nan", "inf"])
def test_waits_that_are_none(wait: str) -> None:
    """A wait that is no number of seconds is none."""
    assert translated(429, x_amzn_errortype="ThrottlingException", retry_after=wait).retry_after_s is None


def test_a_wait_has_its_limit() -> None:
    """Nobody is told to wait for longer than a day."""
    assert translated(503, retry_after="1e9").retry_after_s == 86_400.0


SECRETS = [
    "User: arn:aws:iam::111122223333:user/robot is not authorized",
    "The Canonical String for this request should have been Credential=AKIA0123456789ABCDEF/20261123",
    "key ASIA0123456789ABCDEF is expired",
    "Bearer bedrock-api-key-dGVzdC1rZXktdGVzdA",
    "ABSKdGVzdC1rZXktZm9yLXRlc3Rz is no key",
    "arn:aws:bedrock:us-east-1:111122223333:inference-profile/x",
    "signature=abcdef0123",
]
SHOWN_NOWHERE = ("111122223333", "robot", "0123456789ABCDEF", "dGVzdC1r", "abcdef0123")


@pytest.mark.parametrize("text", SECRETS)
def test_credentials_and_accounts_are_masked(text: str) -> None:
    """What looks like a credential, and whose account it is, reaches no client."""
    shown = translated(403, {"message": text}, x_amzn_errortype="AccessDeniedException").message

    assert "***" in shown
    assert not [secret for secret in SHOWN_NOWHERE if secret in shown]


def test_what_is_shown_is_one_short_line() -> None:
    """Control characters are gone, and what is long is cut."""
    shown = translated(400, {"message": "a\nb\u202ec\x00" + "d" * 5000}, x_amzn_errortype="ValidationException").message

    assert shown.isprintable()
    assert len(shown) < 700
    assert "a b c d" in shown


def test_a_giant_body_is_not_read() -> None:
    """A body of megabytes is not worth reading."""
    assert translated(400, b'{"message":"' + b"x" * (1 << 20) + b'"}').message.endswith("(HTTP 400).")


def test_a_models_own_complaint_is_shown() -> None:
    """What the model server behind Bedrock said is shown beside what Bedrock says."""
    body = {"message": "The model failed.", "originalStatusCode": 500, "originalMessage": "Worker lost."}

    assert translated(424, body, x_amzn_errortype="ModelErrorException").message.endswith(
        "The model failed. Worker lost."
    )
