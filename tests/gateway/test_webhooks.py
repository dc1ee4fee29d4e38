"""Webhooks: told after the end of a background response, signed, again until they are taken, and on record."""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import openai
import pytest
from aiohttp import web
from tests.gateway.conftest import Client, serving
from tests.gateway.test_background import eventually
from tests.support.scripted_upstream import ScriptedUpstream, http_json

from antiphon import Gateway, InMemorySessionStore, SQLiteSessionStore, upstream
from antiphon.engine.webhooks import Receiver, WebhookPolicy, signed_headers
from antiphon.transport.post import HttpPost

_KEY = b"0123456789abcdef0123456789abcdef"
_SECRET = "whsec_" + base64.b64encode(_KEY).decode()


class Hooks:
    """A receiver that answers what the test says and remembers what it was told."""

    def __init__(self) -> None:
        self.url = ""
        self.answers: list[int] = []
        self.told: list[tuple[bytes, dict[str, str]]] = []
        self.came = asyncio.Event()

    @classmethod
    @contextlib.asynccontextmanager
    async def serve(cls) -> AsyncIterator[Hooks]:
        hooks = cls()
        application = web.Application()
        application.router.add_post("/hook", hooks._take)
        runner = web.AppRunner(application, access_log=None)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            hooks.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
            yield hooks
        finally:
            await runner.cleanup()

    async def wait(self, count: int) -> None:
        """Until it was told so often."""
        while len(self.told) < count:
            self.came.clear()
            await asyncio.wait_for(self.came.wait(), 60)

    async def _take(self, request: web.Request) -> web.Response:
        self.told.append((await request.read(), {name.lower(): value for name, value in request.headers.items()}))
        self.came.set()
        return web.Response(status=self.answers.pop(0) if self.answers else 204)


@pytest.fixture
async def hooks() -> AsyncIterator[Hooks]:
    async with Hooks.serve() as receiver:
        yield receiver


@pytest.fixture
async def told(scripted: ScriptedUpstream, store: Any, hooks: Hooks) -> AsyncIterator[Client]:
    """A gateway that tells *hooks*, trying again at once."""
    policy = WebhookPolicy(receivers=(Receiver(url=hooks.url, secret=_KEY),), post=HttpPost(), pauses_s=(0.0, 0.0))
    gateway = Gateway([upstream(scripted.url)], webhooks=policy).with_session_store(store)
    async with serving(gateway, scripted) as client:
        yield client


async def test_the_official_client_takes_what_it_is_told(told: Client, hooks: Hooks) -> None:
    """Signature, time and body pass OpenAI's own check; the event names the response, which is stored by then."""
    queued = await told.respond("hi", background=True)
    await hooks.wait(1)
    body, headers = hooks.told[0]
    event = openai.OpenAI(api_key="sk-test").webhooks.unwrap(body, headers, secret=_SECRET)
    assert event.type == "response.completed"
    assert event.data.id == queued["id"]
    assert headers["webhook-id"] == event.id
    assert (await told.call("GET", f"/v1/responses/{queued['id']}"))[1]["status"] == "completed"
    with pytest.raises(openai.InvalidWebhookSignatureError):
        openai.OpenAI(api_key="sk-test").webhooks.unwrap(body + b" ", headers, secret=_SECRET)


async def test_a_failure_and_a_cancellation_are_told_as_such(told: Client, hooks: Hooks) -> None:
    """The type is that of the response's end."""
    told.upstream.then(http_json({"error": {"message": "bad thing", "type": "x"}}, status=400))
    failed = await told.respond("hi", background=True)
    await hooks.wait(1)
    assert b'"response.failed"' in hooks.told[0][0]
    assert failed["id"].encode() in hooks.told[0][0]


async def test_a_foreground_response_is_told_to_nobody(told: Client, hooks: Hooks) -> None:
    """Who asked for it has the answer."""
    await told.respond("hi")
    queued = await told.respond("hi", background=True)
    await hooks.wait(1)
    assert [queued["id"].encode() in body for body, _ in hooks.told] == [True]


async def test_a_receiver_that_fails_is_told_again_the_same_event(told: Client, hooks: Hooks) -> None:
    """Until it answers 2xx: the same id and body, signed anew."""
    hooks.answers = [500, 302]
    await told.respond("hi", background=True)
    await hooks.wait(3)
    assert len({body for body, _ in hooks.told}) == 1
    assert len({headers["webhook-id"] for _, headers in hooks.told}) == 1


async def test_a_receiver_that_never_takes_it_is_given_up(told: Client, hooks: Hooks) -> None:
    """After the last pause the delivery stands as failed, with how its last try went."""
    hooks.answers = [500, 500, 503]
    queued = await told.respond("hi", background=True)
    delivery = await _delivery(told, "failed")
    assert delivery == {
        "id": delivery["id"],
        "object": "webhook.delivery",
        "created_at": delivery["created_at"],
        "type": "response.completed",
        "response_id": queued["id"],
        "url": hooks.url,
        "status": "failed",
        "attempts": 3,
        "last_outcome": "503",
        "next_attempt_at": None,
        "delivered_at": None,
    }


async def test_deliveries_are_listed_newest_first(told: Client, hooks: Hooks) -> None:
    """In pages, each with how far it has come; they go with their response."""
    ids = []
    for number in range(3):
        ids.append((await told.respond("hi", background=True))["id"])
        await hooks.wait(number + 1)
        await _delivery(told, "delivered")
    _, page = await told.call("GET", "/v1/webhook_deliveries?limit=2")
    assert ([entry["response_id"] for entry in page["data"]], page["has_more"]) == (ids[:0:-1], True)
    _, rest = await told.call("GET", f"/v1/webhook_deliveries?limit=2&after={page['last_id']}")
    assert ([entry["response_id"] for entry in rest["data"]], rest["has_more"]) == (ids[:1], False)
    await told.call("DELETE", f"/v1/responses/{ids[0]}")
    _, page = await told.call("GET", "/v1/webhook_deliveries")
    assert ids[0] not in [entry["response_id"] for entry in page["data"]]


async def _delivery(client: Client, status: str) -> Any:
    for _ in range(2000):
        _, page = await client.call("GET", "/v1/webhook_deliveries")
        if page["data"] and page["data"][0]["status"] == status:
            return page["data"][0]
        await asyncio.sleep(0.005)
    raise AssertionError(page)


async def test_what_was_not_told_is_told_by_the_next_process(
    scripted: ScriptedUpstream, tmp_path: Path, hooks: Hooks
) -> None:
    """The event was stored with the response, so it outlives the gateway that should have told it."""
    receivers = (Receiver(url=hooks.url, secret=_KEY),)
    silent = WebhookPolicy(receivers=receivers, post=_Unreachable(), pauses_s=(0.0,) * 10_000)
    store = tmp_path / "antiphon.db"
    first = Gateway([upstream(scripted.url)], webhooks=silent).with_session_store(SQLiteSessionStore(store))
    async with serving(first, scripted) as client:
        queued = await client.respond("hi", background=True)
        await eventually(client, queued["id"], "completed")
    second = WebhookPolicy(receivers=receivers, post=HttpPost())
    gateway = Gateway([upstream(scripted.url)], webhooks=second).with_session_store(SQLiteSessionStore(store))
    async with serving(gateway, scripted):
        await hooks.wait(1)
    assert queued["id"].encode() in hooks.told[0][0]


class _Unreachable(HttpPost):
    """Posts to where nobody listens."""

    async def __call__(self, url: str, body: bytes, headers: Any) -> int:
        return await super().__call__("http://127.0.0.1:9/", body, headers)


def test_the_signature_is_that_of_the_scheme() -> None:
    """The published example of Standard Webhooks."""
    secret = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    headers = signed_headers("msg_p5jXN8AQM9LWM0D4loKWxJek", b'{"test": 2432232314}', secret=secret, now_s=1614265330)
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_receiver_does_not_show_its_secret() -> None:
    """Not in a log line, not in a traceback."""
    assert "0123" not in repr(Receiver(url="http://127.0.0.1/", secret=_KEY))


async def test_without_receivers_nothing_is_kept(scripted: ScriptedUpstream) -> None:
    """No delivery is written for nobody."""
    gateway = Gateway([upstream(scripted.url)]).with_session_store(InMemorySessionStore())
    async with serving(gateway, scripted) as client:
        queued = await client.respond("hi", background=True)
        await eventually(client, queued["id"], "completed")
        assert (await client.call("GET", "/v1/webhook_deliveries"))[1]["data"] == []
