"""Webhook deliveries of one tenant: what is to be told, and how far that has come."""

from __future__ import annotations

from typing import cast
from urllib.parse import urlsplit, urlunsplit

import msgspec

from antiphon.hub.items import JsonObject
from antiphon.hub.library import CursorPage
from antiphon.hub.webhook import Webhook
from antiphon.sessions.library import ListPage
from antiphon.sessions.payloads import Payloads
from antiphon.sessions.records import NewDelivery
from antiphon.sessions.store import TenantStore
from antiphon.sessions.work import Delivery

__all__ = ["Deliveries"]


class Deliveries:
    """See the module."""

    def __init__(self, store: TenantStore, payloads: Payloads) -> None:
        self._store = store
        self._payloads = payloads

    async def new(self, webhook: Webhook) -> NewDelivery:
        """What the commit of a response keeps of a webhook."""
        return NewDelivery(
            id=webhook.id,
            response_id=webhook.response_id,
            created_at=webhook.created_at,
            payload=await self._payloads.webhook(cast(JsonObject, msgspec.to_builtins(webhook)), webhook.id),
        )

    async def webhook(self, delivery: Delivery) -> Webhook:
        """
        What is to be told.

        Raises:
            KeysUnavailable: The key service does not answer.
            StoreCorrupt: The payload cannot be opened.
        """
        return msgspec.convert(await self._payloads.open_webhook(delivery.payload, delivery.id), Webhook)

    async def record(self, delivery_id: str, *, outcome: str, next_at: int | None, delivered_at: int | None) -> None:
        """See :meth:`DeliveryStore.record_delivery`."""
        await self._store.record_delivery(delivery_id, outcome=outcome, next_at=next_at, delivered_at=delivered_at)

    async def list(self, page: CursorPage) -> ListPage[JsonObject]:
        """Deliveries as clients see them, newest first."""
        found = await self._store.list_deliveries(limit=page.limit + 1, after=page.after)
        data = [await self._shown(delivery) for delivery in found[: page.limit]]
        return ListPage(data=tuple(data), has_more=len(found) > page.limit)

    async def _shown(self, delivery: Delivery) -> JsonObject:
        webhook = await self.webhook(delivery)
        waiting = delivery.next_at is not None
        return {
            "id": delivery.id,
            "object": "webhook.delivery",
            "created_at": delivery.created_at,
            "type": webhook.event["type"],
            "response_id": delivery.response_id,
            "url": _without_secrets(webhook.url),
            "status": "delivered" if delivery.delivered_at is not None else "pending" if waiting else "failed",
            "attempts": delivery.attempts,
            "last_outcome": delivery.outcome or None,
            "next_attempt_at": delivery.next_at,
            "delivered_at": delivery.delivered_at,
        }


def _without_secrets(url: str) -> str:
    """A receiver as tenants see it: it is the operator's, and what lets us in there is not for them."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
