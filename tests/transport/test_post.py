"""Webhooks are posted through the guard: where they may go, and what is said when they may not."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from antiphon.app import build_application
from antiphon.engine.webhooks import Deliverer
from antiphon.hub.errors import UpstreamUnreachable
from antiphon.settings import Secret, Settings, WebhookSettings
from antiphon.transport.guard import GuardedConnector
from antiphon.transport.post import HttpPost

from .captive import PUBLIC, Captive, captive_network, whole

SECRET = Secret("whsec_MDEyMzQ1Njc4OWFiY2RlZg==")


@pytest.fixture
async def captive(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Captive]:
    async with captive_network(monkeypatch) as network:
        network.names |= {"hooks.internal": [["10.0.0.7"]], "metadata.internal": [["169.254.169.254"]]}
        network.answer = lambda _: whole(b"")
        yield network


@pytest.mark.parametrize(
    ("url", "allow", "goes"),
    [
        ("http://public.example:9000/hook", None, True),
        ("http://127.0.0.1:9000/hook", None, True),
        ("http://localhost:9000/hook", None, True),
        ("http://127.0.0.1:9000/hook", False, False),
        ("http://hooks.internal/hook", None, False),
        ("http://hooks.internal/hook", True, True),
        ("http://metadata.internal/hook", True, False),
        ("http://169.254.169.254/hook", None, False),
        ("http://169.254.169.254/hook", True, False),
        ("http://a:b@public.example/hook", None, True),  # the operator's own credential for it
        ("http://a:b@hooks.internal/hook", None, False),
        ("http://2130706433/hook", None, False),
        ("http://public.example\\@127.0.0.1/", None, False),
    ],
)
async def test_where_a_receiver_may_be(captive: Captive, url: str, *, allow: bool | None, goes: bool) -> None:
    """Public addresses; private ones if the operator says so or the URL does; metadata services never."""
    post = HttpPost(allow_private={} if allow is None else {url: allow})
    try:
        if goes:
            assert await post(url, b"{}", {}) == 200
            return
        with pytest.raises(UpstreamUnreachable) as caught:
            await post(url, b"{}", {})
    finally:
        await post.close()
    assert caught.value.code == "address_refused"
    assert captive.attempts == []


async def test_a_receiver_that_rebinds_is_refused(captive: Captive) -> None:
    """A public receiver's name that leads inside the next time gets nothing then."""
    captive.names["hooks.example"] = [[PUBLIC], ["127.0.0.1"]]
    post = HttpPost()
    assert await post("http://hooks.example/", b"{}", {}) == 200
    with pytest.raises(UpstreamUnreachable):
        await post("http://hooks.example/", b"{}", {})
    await post.close()
    assert captive.attempts == [(PUBLIC, 80)]


async def test_redirects_are_not_followed(captive: Captive) -> None:
    """The receiver's answer is its status, wherever it points."""
    captive.answer = lambda _: whole(b"", "location: http://127.0.0.1/", status="307 Moved")
    post = HttpPost()
    assert await post("http://public.example/", b"{}", {}) == 307
    await post.close()
    assert captive.attempts == [(PUBLIC, 80)]


async def test_the_production_client_has_the_guard(captive: Captive) -> None:
    """What ``antiphon serve`` posts with is guarded, with each receiver's own reach."""
    near, far = "http://hooks.internal/hook", "https://public.example/hook"
    webhooks = (WebhookSettings(url=near, secret=SECRET, allow_private=True), WebhookSettings(url=far, secret=SECRET))
    application = build_application(Settings(store="memory:", webhooks=webhooks))
    deliverer: Deliverer = application.gateway._deliverer
    post = deliverer._post
    assert isinstance(post, HttpPost)
    assert (post.reach(near), post.reach(far)) == ("private", "public")
    connectors = [post.session(post.reach(url)).connector for url in (near, far)]
    await post.close()

    assert all(isinstance(connector, GuardedConnector) for connector in connectors)
    assert connectors[0] is not connectors[1]


async def test_what_is_raised_holds_no_url(captive: Captive) -> None:
    """A receiver's URL may hold a token: neither the error nor what stands behind it shows it."""
    captive.refused = {PUBLIC}
    post = HttpPost()
    with pytest.raises(UpstreamUnreachable) as caught:
        await post("http://public.example/?token=canary", b"{}", {})
    await post.close()
    assert "canary" not in repr(caught.value)
    assert caught.value.__context__ is None
