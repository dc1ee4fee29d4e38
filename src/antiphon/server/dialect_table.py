"""
The table of operations of client dialects besides the Responses API. A part of the table of all.

See :mod:`antiphon.server.table` for what a row is. What goes wrong on one of these paths, and below it, is answered in
the dialect's own form.
"""

from __future__ import annotations

from typing import Final

from antiphon.engine.gateway import Gateway
from antiphon.hub.errors import (
    AntiphonError,
    ContextLengthExceeded,
    ModelNotFound,
    QuotaExceeded,
    ShuttingDown,
    UnsupportedParameter,
    UpstreamBroken,
    UpstreamRateLimited,
    UpstreamRefused,
    UpstreamTimeout,
    UpstreamUnavailable,
    UpstreamUnreachable,
)
from antiphon.hub.format import ClientDialect, ClientDialects
from antiphon.server.body import BodyLimits
from antiphon.server.dialects import CountingEndpoint, DialectEndpoint
from antiphon.server.headers import OF_MESSAGES, OF_RATES, OF_TURNS
from antiphon.server.routes import Route
from antiphon.server.sse import StreamLimits

__all__ = ["dialect_operations"]

_ABOUT_TURNS: Final = ("x-antiphon-drop", "x-antiphon-on-disconnect")
# With which Anthropic's own clients mark an operation that has betas.
_OF_MESSAGES_QUERY: Final = frozenset({"beta"})

_OF_TURNS: Final[tuple[type[AntiphonError], ...]] = (
    UnsupportedParameter,
    ModelNotFound,
    ContextLengthExceeded,
    ShuttingDown,
    UpstreamRefused,
    UpstreamRateLimited,
    UpstreamUnreachable,
    UpstreamUnavailable,
    UpstreamTimeout,
    UpstreamBroken,
)


def dialect_operations(
    gateway: Gateway, dialects: ClientDialects, body_limits: BodyLimits, stream_limits: StreamLimits
) -> list[Route]:
    """Every operation of the dialects, in the order of the published document."""

    def endpoint(dialect: ClientDialect, query: frozenset[str] = frozenset()) -> DialectEndpoint:
        return DialectEndpoint(gateway, dialect, body_limits=body_limits, stream_limits=stream_limits, query=query)

    messages = dialects.messages
    counting = CountingEndpoint(gateway, messages, body_limits=body_limits, query=_OF_MESSAGES_QUERY)
    return [
        _chat(endpoint(dialects.chat), dialects.chat),
        _completions(endpoint(dialects.completions), dialects.completions),
        _messages(endpoint(messages, _OF_MESSAGES_QUERY), messages),
        _count(counting, messages),
    ]


def _chat(endpoint: DialectEndpoint, form: ClientDialect) -> Route:
    return Route(
        "POST",
        "/v1/chat/completions",
        endpoint.create,
        "Run a turn, in the words of Chat Completions",
        name="createChatCompletion",
        tag="Chat",
        scope="responses:write",
        body="CreateChatCompletion",
        answer="ChatCompletion",
        events="ChatCompletionChunk",
        idempotent=True,
        request_headers=_ABOUT_TURNS,
        answer_headers=(*OF_TURNS, *OF_RATES),
        extension=False,
        errors=(*_OF_TURNS, QuotaExceeded),
        error_form=form,
        details=(
            "The whole context is in the messages. Nothing of it is kept, unless `store` is true: then the turn is a "
            "response like any other as well."
        ),
    )


def _completions(endpoint: DialectEndpoint, form: ClientDialect) -> Route:
    return Route(
        "POST",
        "/v1/completions",
        endpoint.create,
        "Run a turn, in the words of text completions",
        name="createCompletion",
        tag="Chat",
        scope="responses:write",
        body="CreateCompletion",
        answer="Completion",
        events="CompletionChunk",
        idempotent=True,
        request_headers=_ABOUT_TURNS,
        answer_headers=(*OF_TURNS, *OF_RATES),
        extension=False,
        errors=_OF_TURNS,
        error_form=form,
        details="The prompt is asked as one message of the user, and what the model says to it is the text.",
    )


def _messages(endpoint: DialectEndpoint, form: ClientDialect) -> Route:
    return Route(
        "POST",
        "/v1/messages",
        endpoint.create,
        "Run a turn, in the words of Anthropic's Messages API",
        name="createMessage",
        tag="Messages",
        scope="responses:write",
        body="CreateMessage",
        answer="MessageAnswer",
        events="MessageStreamEvent",
        idempotent=True,
        request_headers=(*OF_MESSAGES, *_ABOUT_TURNS),
        answer_headers=(*OF_TURNS, *OF_RATES),
        extension=True,
        errors=_OF_TURNS,
        error_form=form,
        details="The whole context is in the messages; nothing of it is kept. The key may be sent as `x-api-key`.",
    )


def _count(endpoint: CountingEndpoint, form: ClientDialect) -> Route:
    return Route(
        "POST",
        "/v1/messages/count_tokens",
        endpoint.count,
        "Count the tokens of a request of the Messages API",
        name="countMessageTokens",
        tag="Messages",
        scope="responses:write",
        body="CountMessageTokens",
        answer="MessageTokens",
        request_headers=(*OF_MESSAGES, "x-antiphon-drop"),
        answer_headers=("x-antiphon-token-count", *OF_RATES),
        extension=True,
        errors=(UnsupportedParameter, ModelNotFound, ShuttingDown, UpstreamRefused, UpstreamUnavailable),
        error_form=form,
        details="Exact where the model's server can count; else an estimate, as a header says.",
    )
