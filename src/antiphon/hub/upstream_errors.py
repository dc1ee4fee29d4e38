"""The errors of the model server behind us; a branch of :mod:`antiphon.hub.errors`."""

from __future__ import annotations

from antiphon.hub.error import AntiphonError

__all__ = [
    "ContextLengthExceeded",
    "UpstreamAuthentication",
    "UpstreamBroken",
    "UpstreamBusy",
    "UpstreamError",
    "UpstreamLacksModel",
    "UpstreamRateLimited",
    "UpstreamRefused",
    "UpstreamTimeout",
    "UpstreamUnavailable",
    "UpstreamUnreachable",
]


class UpstreamError(AntiphonError):
    """The model server failed. ``stage`` in the message says where; a credential is never in it."""

    status = 502
    fault = "upstream"


class UpstreamUnreachable(UpstreamError):
    """No connection: refused, unknown host, TLS failure, or closed before a byte was answered."""

    default_code = "upstream_unreachable"
    retryable = True


class UpstreamTimeout(UpstreamError):
    """The upstream did not connect, answer or go on in time."""

    status = 504
    default_code = "upstream_timeout"
    retryable = True


class UpstreamUnavailable(UpstreamError):
    """The upstream answered with a server error or said that it is overloaded."""

    status = 503
    default_code = "upstream_unavailable"
    retryable = True


class UpstreamBusy(UpstreamUnavailable):
    """The gateway asks the upstream as much as it may already, and as many requests wait as may. It was not asked."""

    default_code = "upstream_busy"


class UpstreamRateLimited(UpstreamError):
    """The upstream answered 429. ``retry_after_s`` is what it asked for."""

    status = 429
    type = "rate_limit_error"
    default_code = "rate_limit_exceeded"
    retryable = True


class UpstreamAuthentication(UpstreamError):
    """The upstream refused the gateway's credential. The operator has to mend it, not the caller."""

    default_code = "upstream_authentication_failed"


class UpstreamRefused(UpstreamError):
    """The upstream called the request invalid; its reason is in the message."""

    status = 400
    type = "invalid_request_error"


class ContextLengthExceeded(UpstreamRefused):
    """
    The context is longer than the model's window. OpenAI's own words, whichever upstream refused.

    Attributes:
        limit_tokens: How many tokens of input there is room for; None where the upstream did not say.
        needed_tokens: How many the request has; None likewise.
    """

    default_code = "context_length_exceeded"

    def __init__(self, *, limit_tokens: int | None = None, needed_tokens: int | None = None) -> None:
        super().__init__(
            "Your input exceeds the context window of this model. Please adjust your input and try again.",
            param="input",
        )
        self.limit_tokens = limit_tokens
        self.needed_tokens = needed_tokens


class UpstreamLacksModel(UpstreamError):
    """The upstream does not serve the model that it was asked for; another one may."""

    status = 404
    type = "invalid_request_error"
    default_code = "model_not_found"


class UpstreamBroken(UpstreamError):
    """The upstream's answer is not what its dialect allows: malformed, truncated, or of the wrong type."""

    default_code = "upstream_broken"
