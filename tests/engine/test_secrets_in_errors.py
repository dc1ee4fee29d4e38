"""What an upstream is sent in secret is not told to clients, wherever the upstream repeats it."""

from __future__ import annotations

import pytest

from antiphon import upstream
from antiphon.hub.errors import UpstreamRefused

KEY = "sk-test-0123456789"
TOKEN = "token-abcdefghij"


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (f"Key {KEY} and token {TOKEN} are wrong", "Key *** and token *** are wrong"),
        (f"Header 'Bearer {TOKEN}' is wrong", "Header '***' is wrong"),
        (f"The token is wrong: {TOKEN[:-4]}…", "The token is wrong: ***…"),
        ("Version v1 is wrong", "Version v1 is wrong"),
    ],
    ids=["both", "with its scheme", "cut through", "too short to be one"],
)
def test_configured_headers_are_masked(said: str, told: str) -> None:
    """A key, and the value of every configured header that is long enough to be a secret, whole or cut."""
    asked = upstream("http://127.0.0.1:1/v1", api_key=KEY, headers={"x-token": f"Bearer {TOKEN}", "x-version": "v1"})
    error = UpstreamRefused(said, param=TOKEN)
    asked.conceal(error)
    assert (error.message, error.param) == (told, "***")
