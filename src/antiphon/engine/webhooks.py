"""
Webhooks: tells receivers that a background response has ended, signed after the Standard Webhooks scheme.

What has to be told is stored in the transaction that stores the response, so it is told at least once, whatever
happens; a receiver knows an event again by its id. A receiver that does not answer 2xx is tried again, with growing
pauses, for about three days.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import random
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Protocol

import msgspec
import orjson

from antiphon.hub.errors import AntiphonError
from antiphon.hub.ids import IdFactory, TenantId
from antiphon.hub.items import JsonObject
from antiphon.hub.webhook import EVENTS, Webhook
from antiphon.sessions.sessions import Sessions
from antiphon.sessions.work import Delivery
from antiphon.telemetry import Log

__all__ = ["Deliverer", "Post", "Receiver", "WebhookPolicy", "signed_headers"]

# The pause after each try that failed: 4 minutes in quick tries, then hours; three days in all.
PAUSES_S = (5, 30, 200, 900, 3600, 3 * 3600, 6 * 3600, 12 * 3600, 24 * 3600, 24 * 3600)

_LOOK_EVERY_S = 5.0
_BATCH = 50
_GONE = 410


class Receiver(msgspec.Struct, frozen=True, kw_only=True):
    """
    Who is told.

    Attributes:
        secret: The bytes that the signature is made with.
        events: The types that it wants.
    """

    url: str
    secret: bytes
    events: frozenset[str] = frozenset(EVENTS.values())

    def __repr__(self) -> str:
        return f"Receiver(url={self.url!r}, secret=***)"


class WebhookPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """
    Who is told, and how.

    Attributes:
        post: Sends; None only where nobody is told.
        pauses_s: Between the tries of one event; after the last of them it is given up.
    """

    receivers: tuple[Receiver, ...] = ()
    post: Post | None = None
    pauses_s: tuple[float, ...] = PAUSES_S


class Post(Protocol):
    """Sends one request and says how it went."""

    async def __call__(self, url: str, body: bytes, headers: Mapping[str, str]) -> int:
        """
        The status of the answer. No redirects are followed.

        Raises:
            UpstreamError: There was none in time.
        """
        ...

    async def close(self) -> None:
        """Close idle connections."""
        ...


def signed_headers(webhook_id: str, body: bytes, *, secret: bytes, now_s: int) -> dict[str, str]:
    """The headers of a webhook: its id, the time and the signature over both and the body (Standard Webhooks)."""
    signed = b"%s.%d.%s" % (webhook_id.encode(), now_s, body)
    signature = base64.b64encode(hmac.new(secret, signed, hashlib.sha256).digest()).decode()
    return {
        "content-type": "application/json",
        "webhook-id": webhook_id,
        "webhook-timestamp": str(now_s),
        "webhook-signature": f"v1,{signature}",
    }


class Deliverer:
    """
    Tells receivers what is due, with one task.

    Without receivers nothing is told, and nothing is looked for.
    """

    def __init__(
        self,
        policy: WebhookPolicy,
        *,
        sessions: Sessions | None,
        ids: IdFactory,
        clock: Callable[[], float],
        log: Log,
    ) -> None:
        self._receivers = {receiver.url: receiver for receiver in policy.receivers}
        self._post = policy.post
        self._sessions = sessions
        self._ids = ids
        self._clock = clock
        self._log = log
        self._pauses_s = policy.pauses_s
        self._due = asyncio.Event()
        self._closing = False
        self._task: asyncio.Task[None] | None = None

    def webhooks_of(self, response: JsonObject) -> tuple[Webhook, ...]:
        """What has to be told of a response that has ended."""
        event = EVENTS[response["status"]]
        return tuple(
            self._webhook(receiver, event, response["id"])
            for receiver in self._receivers.values()
            if event in receiver.events
        )

    def look(self) -> None:
        """Something may be due."""
        self._due.set()

    def start(self) -> None:
        """Begin, if there is anybody to tell."""
        if self._post is not None and self._receivers and self._sessions is not None:
            self._task = asyncio.get_running_loop().create_task(self._deliver_for_ever(), name="antiphon-webhooks")

    async def close(self) -> None:
        """Stop, after the tries that are under way. What is not told by now is told by the next process."""
        task, self._task = self._task, None
        if task is not None:
            self._closing = True
            self.look()
            await asyncio.gather(task, return_exceptions=True)
        if self._post is not None:
            await self._post.close()

    def _webhook(self, receiver: Receiver, event: str, response_id: str) -> Webhook:
        created_at = int(self._clock())
        webhook_id = self._ids.event()
        return Webhook(
            id=webhook_id,
            response_id=response_id,
            url=receiver.url,
            created_at=created_at,
            event={
                "id": webhook_id,
                "object": "event",
                "created_at": created_at,
                "type": event,
                "data": {"id": response_id},
            },
        )

    async def _deliver_for_ever(self) -> None:
        while not self._closing:
            try:
                more = await self._deliver_due()
            except AntiphonError as error:
                self._log.warning("webhooks_not_looked_for", error=error.message)
                more = False
            except Exception as error:  # noqa: BLE001 - a bug must not mean that nobody is told any more
                self._log.crash("webhooks_crashed", error)
                more = False
            if not more and not self._closing:
                await self._wait()

    async def _wait(self) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._due.wait(), _LOOK_EVERY_S)
        self._due.clear()

    async def _deliver_due(self) -> bool:
        """Tell what is due. Returns whether there may be more."""
        assert self._sessions is not None
        # Nobody else takes them while they are being told; a try is far shorter.
        due = await self._sessions.store.take_deliveries(_BATCH, ttl_s=120.0)
        await asyncio.gather(*(self._deliver(tenant, delivery) for tenant, delivery in due))
        return len(due) == _BATCH

    async def _deliver(self, tenant: TenantId, delivery: Delivery) -> None:
        assert self._sessions is not None
        deliveries = self._sessions.for_tenant(tenant).deliveries
        webhook = await deliveries.webhook(delivery)
        outcome, told = await self._tell(webhook)
        now = int(self._clock())
        next_at = None if told or outcome == str(_GONE) else self._next(delivery.attempts, now)
        await deliveries.record(delivery.id, outcome=outcome, next_at=next_at, delivered_at=now if told else None)
        if next_at is not None and next_at - now < _LOOK_EVERY_S:
            asyncio.get_running_loop().call_later(next_at - now, self.look)
        write = self._log.info if told else self._log.warning
        write("webhook", event=webhook.id, response=webhook.response_id, outcome=outcome, tries=delivery.attempts + 1)

    async def _tell(self, webhook: Webhook) -> tuple[str, bool]:
        """How a try went, in a word, and whether the receiver took it."""
        receiver = self._receivers.get(webhook.url)
        if receiver is None or self._post is None:
            return "no longer configured", False
        body = orjson.dumps(webhook.event)
        headers = signed_headers(webhook.id, body, secret=receiver.secret, now_s=int(self._clock()))
        try:
            status = await self._post(webhook.url, body, headers)
        except AntiphonError as error:
            return error.code or "error", False
        return str(status), 200 <= status < 300

    def _next(self, attempts: int, now: int) -> int | None:
        if attempts >= len(self._pauses_s):
            return None
        pause_s = self._pauses_s[attempts]
        return now + round(pause_s * random.uniform(1.0, 1.2))  # noqa: S311 - spreads load, hides nothing
