"""What is left of a caller's limits, in OpenAI's headers."""

from __future__ import annotations

import pytest

from antiphon.engine.limits import Rate, Rates
from antiphon.server.rates import rate_headers


def test_what_is_not_limited_has_no_headers() -> None:
    """Nothing is said of a limit that there is not."""
    assert rate_headers(Rates()) == []
    names = [name for name, _ in rate_headers(Rates(tokens=Rate(limit=1, remaining=1, reset_s=0)))]
    assert names == [b"x-ratelimit-limit-tokens", b"x-ratelimit-remaining-tokens", b"x-ratelimit-reset-tokens"]


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0, b"0ms"),
        (0.0174, b"17ms"),
        (1, b"1s"),
        (8.64, b"8.64s"),
        (59.999, b"1m0s"),
        (60, b"1m0s"),
        (60.756, b"1m0.76s"),
    ],
)
def test_durations_are_written_as_openai_does(seconds: float, expected: bytes) -> None:
    """Milliseconds below a second, minutes from sixty on."""
    headers = dict(rate_headers(Rates(requests=Rate(limit=3, remaining=2, reset_s=seconds))))
    assert headers == {
        b"x-ratelimit-limit-requests": b"3",
        b"x-ratelimit-remaining-requests": b"2",
        b"x-ratelimit-reset-requests": expected,
    }
