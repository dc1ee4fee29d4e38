"""What stands around the items of a reply: its end, its usage, and whether it failed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final, Literal

import msgspec

from antiphon.hub.errors import UpstreamBroken, UpstreamError, UpstreamUnavailable
from antiphon.hub.events import ReplyEnd
from antiphon.hub.items import JsonObject
from antiphon.hub.redaction import clean_text
from antiphon.hub.usage import Usage
from antiphon.providers.openai_responses.stream_error import translate_stream_error

__all__ = ["read_end", "read_output", "read_usage"]

# What databases and JavaScript still count exactly.
_Count = Annotated[int, msgspec.Meta(le=2**53 - 1)]
_SHOWN_CHARS = 64

# The API's tiers. A vendor's own is not one of them, and clients refuse it.
_SERVICE_TIERS: Final = frozenset({"default", "flex", "scale", "priority", "fast", "ultrafast"})
_REASONS: Final[Mapping[object, str]] = {"max_tokens": "max_output_tokens", "length": "max_output_tokens"}
_CUT_SHORT = "max_output_tokens"


class _InputDetails(msgspec.Struct, gc=False):
    cached_tokens: _Count | None = None
    cache_write_tokens: _Count | None = None


class _OutputDetails(msgspec.Struct, gc=False):
    reasoning_tokens: _Count | None = None


class _Usage(msgspec.Struct, gc=False):
    input_tokens: _Count | None = None
    output_tokens: _Count | None = None
    input_tokens_details: _InputDetails | None = None
    output_tokens_details: _OutputDetails | None = None


def read_end(response: JsonObject, default_status: str | None, *, upstream: str) -> ReplyEnd:
    """
    How a response has ended.

    Args:
        response: The response object of the terminal event, or the whole body.
        default_status: What the name of the event says, for a response without a status.

    Raises:
        UpstreamError: It failed, with the reason that it gives.
        UpstreamBroken: It has not ended, or ended in a way that the API does not have.
    """
    status = _ended_status(response, default_status, upstream)
    return ReplyEnd(
        status=status,
        incomplete_reason=_incomplete_reason(response) if status == "incomplete" else None,
        usage=read_usage(response),
        model=model if isinstance(model := response.get("model"), str) and model else None,
        service_tier=tier if (tier := response.get("service_tier")) in _SERVICE_TIERS else None,
    )


def read_output(response: JsonObject) -> list[JsonObject]:
    """
    The items of a whole response; none where the upstream gave none.

    Raises:
        UpstreamBroken: One of them is no item.
    """
    output = response.get("output") or []
    if not isinstance(output, list) or not all(_is_item(item) for item in output):
        raise UpstreamBroken("The upstream's reply holds what is not an item.")
    return output


def read_usage(response: JsonObject) -> Usage | None:
    """
    What a response has counted; None if nothing.

    Raises:
        UpstreamBroken: The counts are no counts.
    """
    usage = response.get("usage")
    if usage is None:
        return None
    try:
        read = msgspec.convert(usage, _Usage)
    except msgspec.ValidationError as error:
        raise UpstreamBroken(f"The usage of the upstream's reply is of another form: {error}.") from error
    given, made = read.input_tokens_details or _InputDetails(), read.output_tokens_details or _OutputDetails()
    return Usage(
        input_tokens=_tokens(read.input_tokens),
        cached_tokens=_tokens(given.cached_tokens),
        cache_write_tokens=_tokens(given.cache_write_tokens),
        output_tokens=_tokens(read.output_tokens),
        reasoning_tokens=_tokens(made.reasoning_tokens),
    )


def _ended_status(
    response: JsonObject, default_status: str | None, upstream: str
) -> Literal["completed", "incomplete"]:
    match response.get("status") or default_status:
        case "completed":
            return "completed"
        case "incomplete":
            return "incomplete"
        case "failed":
            raise _failure(response, upstream)
        case "cancelled":
            raise UpstreamUnavailable(f"Upstream '{upstream}' cancelled its answer.")
        case other:
            named = clean_text(str(other)[:_SHOWN_CHARS])
            raise UpstreamBroken(f"Upstream '{upstream}' ended its reply in the status '{named}'.")


def _failure(response: JsonObject, upstream: str) -> UpstreamError:
    error = response.get("error")
    return translate_stream_error(error or {"code": "server_error"}, upstream=upstream)


def _incomplete_reason(response: JsonObject) -> str:
    details = response.get("incomplete_details")
    reason = details.get("reason") if isinstance(details, dict) else None
    if not isinstance(reason, str) or not reason:
        return _CUT_SHORT  # what nearly every server means that gives no reason
    return _REASONS.get(reason, clean_text(reason[:_SHOWN_CHARS]))


def _tokens(count: int | None) -> int:
    return max(count or 0, 0)


def _is_item(item: object) -> bool:
    return isinstance(item, dict) and isinstance(item.get("type"), str)
