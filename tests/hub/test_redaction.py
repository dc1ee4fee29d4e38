"""What of an upstream's words is no client's business, whichever vendor they are of."""

from __future__ import annotations

import time

import pytest

from antiphon.hub.redaction import clean_text

SECRET = "Zq81hGd0LmW3kPbVx"
CREDENTIALS = {
    "a vendor's prefix": "Incorrect API key provided: sk-proj-{0}. You can find it on the page.",
    "starred": "Incorrect API key provided: sk-{0}****wxyz.",
    "without a prefix": "Incorrect API key provided: {0}",
    "bearer": "Authorization: Bearer {0} was refused",
    "a query": "GET https://host.example/v1/models?key={0}&alt=json failed",
    "a field": 'api_key="{0}" is unknown',
    "JSON": 'got {{"api_key": "{0}"}}',
    "a header": "x-api-key: {0}",
    "Google's key": "AIza{0}",
    "Google's signed key": "AQ.{0}",
    "Google's token": "token ya29.{0} expired",
    "Google's project": "projects/{0}/locations/us",
    "a JSON web token": "eyJ{0}.{0}.{0}",
    "a user in a URL": "http://user:{0}@host.example/v1",
    "split by control characters": "key=\x00{0}",
    "Bedrock's key": "ABSK{0} is no key",
    "an AWS user": "User: arn:aws:iam::111122223333:user/{0} is not authorized",
    "what was signed": "Credential={0}/20261123",
}
SHOWN = {
    "plain words": ("The task-specific sk-learn needs max_tokens: 5, token by token.",) * 2,
    "an AWS key": ("key ASIA0123456789ABCDEF is expired", "key *** is expired"),
    "an account": ("bedrock:us-east-1:111122223333:profile", "bedrock:us-east-1:***:profile"),
    "an address of a private network": ("ask 10.1.2.3:8000 first", "ask *** first"),
    "loopback": ("127.0.0.1 is down", "*** is down"),
    "a private URL": ("at http://192.168.7.7:80/v1?key=x", "at http://***/v1?***"),
    "a host without a domain": ("POST http://node-7:9000/v1 failed", "POST http://***/v1 failed"),
    "a host of a cluster": ("https://llm.prod.svc/v1", "https://***/v1"),
    "a host of a cluster with a port": ("https://llm.prod.internal:443/v1", "https://***/v1"),
    "an IPv6 address": ("http://[fd00::1]:80/v1", "http://***/v1"),
    "a query": ("see https://vendor.example/v1?key=abc&x=1 now", "see https://vendor.example/v1?*** now"),
    "a public page": ("see https://vendor.example/docs.", "see https://vendor.example/docs."),
    "a version": ("needs 3.10.1.2 or 1.10.0.5", "needs 3.10.1.2 or 1.10.0.5"),
    "a public address": ("8.8.8.8 and 172.15.0.1", "8.8.8.8 and 172.15.0.1"),
    "lines and controls": ("a\r\n\x1b[31mb\u202ec\ud800", "a [31mb c"),
    "a page": ("\ufeff <html>The gateway is down.</html>", ""),
}


@pytest.mark.parametrize("text", CREDENTIALS.values(), ids=CREDENTIALS)
def test_credentials_are_masked(text: str) -> None:
    """Nothing that looks like a credential or says who asked is shown, whatever sentence it stands in."""
    shown = clean_text(text.format(SECRET))

    assert SECRET not in shown
    assert "***" in shown


@pytest.mark.parametrize(("text", "shown"), SHOWN.values(), ids=SHOWN)
def test_what_is_shown(text: str, shown: str) -> None:
    """Accounts, queries and private places are masked, a page is not shown; what is public stays readable."""
    assert clean_text(text) == shown


def test_what_is_shown_is_short() -> None:
    """At most 500 characters are shown, the last of which says that there was more."""
    shown = clean_text("word " * 1000)

    assert (len(shown), shown[-1]) == (500, "…")


def test_hostile_text_is_cleaned_in_time() -> None:
    """No text makes the masks slow."""
    for text in ("://" * 5000, "1" * 20_000, "10." * 9000, "http://" + "a." * 9000, "?" * 20_000 + "://a?"):
        began_at = time.perf_counter()
        clean_text(text)
        assert time.perf_counter() - began_at < 2.0
