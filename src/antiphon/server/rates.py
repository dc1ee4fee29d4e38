"""What a caller has left of its limits, as OpenAI's headers say it."""

from __future__ import annotations

from antiphon.engine.limits import Rate, Rates
from antiphon.server.reply import Headers

__all__ = ["rate_headers"]


def rate_headers(rates: Rates) -> Headers:
    """The ``x-ratelimit-…`` headers; none for what is not limited."""
    return [
        *(() if rates.requests is None else _headers(b"requests", rates.requests)),
        *(() if rates.tokens is None else _headers(b"tokens", rates.tokens)),
    ]


def _headers(of: bytes, rate: Rate) -> Headers:
    return [
        (b"x-ratelimit-limit-" + of, b"%d" % rate.limit),
        (b"x-ratelimit-remaining-" + of, b"%d" % rate.remaining),
        (b"x-ratelimit-reset-" + of, _duration(rate.reset_s)),
    ]


def _duration(seconds: float) -> bytes:
    """As OpenAI writes durations: ``17ms``, ``8.64s``, ``1m0s``."""
    if seconds < 1:
        return b"%dms" % round(seconds * 1000)
    minutes, rest_s = divmod(round(seconds, 2), 60)
    written = f"{rest_s:.2f}".rstrip("0").rstrip(".")
    return f"{minutes:.0f}m{written}s".encode() if minutes else f"{written}s".encode()
