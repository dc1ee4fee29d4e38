"""
Attempts: ask targets until one answers, and never again once one has.

A try is repeated only before the upstream has sent a byte of its answer, only for faults that may pass, a few times,
with a growing pause; then the next target is asked. The error that the client gets is the last one.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from contextlib import suppress

import msgspec

from antiphon.engine.routing import Target
from antiphon.hub.errors import (
    UpstreamError,
    UpstreamRateLimited,
    UpstreamRefused,
    UpstreamUnavailable,
    UpstreamUnreachable,
)
from antiphon.hub.turn import ModelCall
from antiphon.hub.upstream import UpstreamReply, UpstreamRequest

__all__ = ["Answer", "Question", "Retries", "ask"]

# An error's body may be long, or never end: what it says is said at its beginning, and its status is known without it.
_ERROR_BODY_BYTES = 256 * 1024
_ERROR_BODY_S = 5.0

# Faults that may pass by themselves, and that came before anything was generated for us.
_MAY_PASS = (UpstreamUnreachable, UpstreamUnavailable, UpstreamRateLimited)


class Retries(msgspec.Struct, frozen=True, kw_only=True):
    """
    How often and how long.

    Attributes:
        per_target: Further tries after the first.
        first_pause_s: Doubled for each further try, with up to half of it taken off at random.
        longest_pause_s: An upstream that asks for a longer pause (``retry-after``) is not asked again.
    """

    per_target: int = 2
    first_pause_s: float = 0.25
    longest_pause_s: float = 4.0


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """A 2xx answer whose body has not been read, and the question that it answers."""

    target: Target
    call: ModelCall
    request: UpstreamRequest
    reply: UpstreamReply


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """A call written in its target's dialect."""

    target: Target
    call: ModelCall
    request: UpstreamRequest


async def ask(targets: Sequence[Target], write: Callable[[Target], Question], retries: Retries) -> Answer:
    """
    The first answer that is one.

    Args:
        targets: In the order in which they are tried; at least one.
        write: Writes the call for a target; its errors are the client's and are not tried elsewhere.

    Raises:
        UpstreamError: The last fault, if no target answered.
    """
    fault: UpstreamError | None = None
    for target in targets:
        question = write(target)
        for attempt in range(retries.per_target + 1):
            try:
                return await _send(question)
            except UpstreamRefused:
                raise  # it would be refused elsewhere too: the request is at fault
            except UpstreamError as error:
                fault = error
                pause_s = _pause(attempt, error, retries)
                if pause_s is None:
                    break
                await asyncio.sleep(pause_s)
    assert fault is not None, "ask() needs a target"
    raise fault


def _pause(attempt: int, error: UpstreamError, retries: Retries) -> float | None:
    """How long to wait before the next try; None for no further one."""
    if attempt >= retries.per_target or not isinstance(error, _MAY_PASS) or error.code == "insufficient_quota":
        return None
    pause_s = retries.first_pause_s * 2**attempt * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, hides nothing
    if error.retry_after_s is not None:
        pause_s = max(pause_s, error.retry_after_s)
    return pause_s if pause_s <= retries.longest_pause_s else None


async def _send(question: Question) -> Answer:
    upstream = question.target.upstream
    reply = await upstream.transport.send(question.request)
    try:
        if reply.status < 300:
            return Answer(target=question.target, call=question.call, request=question.request, reply=reply)
        body = await _error_body(reply)
        error = upstream.provider.error(reply.status, reply.headers, body, upstream=upstream.name)
    except BaseException:
        await reply.close()
        raise
    await reply.close()
    upstream.conceal(error)
    raise error


async def _error_body(reply: UpstreamReply) -> bytes:
    """As much of an error's body as comes soon and is worth reading; less if it breaks off, which changes no error."""
    blocks: list[bytes] = []
    size_bytes = 0
    with suppress(UpstreamError, TimeoutError):
        async with asyncio.timeout(_ERROR_BODY_S):
            while size_bytes < _ERROR_BODY_BYTES and (block := await reply.read_block()):
                blocks.append(block)
                size_bytes += len(block)
    return b"".join(blocks)
