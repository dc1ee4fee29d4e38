"""A configured secret in a complaint is no client's business; when an upstream wants to be asked again."""

from __future__ import annotations

import time

import pytest

from antiphon.engine.upstreams import Upstream
from antiphon.hub.errors import UpstreamRefused
from antiphon.providers.openai_chat import provider
from antiphon.providers.openai_chat.errors import translate_error
from antiphon.settings import Secret
from antiphon.transport.replay import ReplayTransport

NOW = "Sun, 22 Nov 2026 10:00:00 GMT"
WAITS = {
    "seconds": ({"retry-after": "7"}, 7.0),
    "a date": ({"retry-after": "Sun, 22 Nov 2026 10:00:07 GMT", "date": NOW}, 7.0),
    "a date in another zone": ({"retry-after": "Sun, 22 Nov 2026 11:00:07 +0100", "date": NOW}, 7.0),
    "a date that has passed": ({"retry-after": "Sat, 21 Nov 2026 10:00:00 GMT", "date": NOW}, 0.0),
    "the last date there is": ({"retry-after": "Fri, 31 Dec 9999 23:59:59 GMT", "date": NOW}, 86_400.0),
    "a date without a clock": ({"retry-after": NOW}, None),
    "a date by a wrong clock": ({"retry-after": NOW, "date": "yesterday"}, None),
    "no date": ({"retry-after": "Sun, 99 Nov 2026 25:00:00 GMT", "date": NOW}, None),
    "a year too late": ({"retry-after": "Sun, 22 Nov 99999 10:00:00 GMT", "date": NOW}, None),
    "an absurd zone": ({"retry-after": "Sun, 22 Nov 2026 10:00:00 +999999", "date": NOW}, None),
}


@pytest.mark.parametrize(("headers", "wait_s"), WAITS.values(), ids=WAITS.keys())
def test_when_to_try_again(headers: dict[str, str], wait_s: float | None) -> None:
    """The wait is in seconds, or up to a date by the answer's own clock; what is neither is no wait."""
    assert wait_s == translate_error(429, headers, b"", upstream="u").retry_after_s


def _upstream(secret: str) -> Upstream:
    return Upstream("u", provider({}), ReplayTransport(), models=[], credential=Secret(secret), clock=time.monotonic)


def test_the_credential_is_masked_wherever_it_is() -> None:
    """Message, code and field of an error are told without the gateway's credential, also where it was cut off."""
    error = UpstreamRefused(
        "Key plain-credential is wrong: plain-cred…", code="plain-credential", param="plain-credential"
    )

    _upstream("plain-credential").conceal(error)

    assert (error.message, error.code, error.param) == ("Key *** is wrong: ***…", "***", "***")
    assert "plain" not in str(error)


def test_a_word_that_is_no_secret_is_not_masked() -> None:
    """What stands for no credential, as local servers want it, leaves every message as it is."""
    error = UpstreamRefused("None of these is EMPTY.")

    _upstream("EMPTY").conceal(error)

    assert error.message == "None of these is EMPTY."
