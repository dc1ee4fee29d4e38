"""Sessions without an engine: turns whose answers a test makes up, over any store and codec."""

from __future__ import annotations

from typing import Any

from antiphon.hub.ids import IdFactory, ItemId, TenantId
from antiphon.hub.items import Item, JsonObject
from antiphon.hub.response import opening_response, render
from antiphon.hub.turn import TurnRequest
from antiphon.hub.webhook import Webhook
from antiphon.sessions.cache import HistoryCache
from antiphon.sessions.codec import Codec
from antiphon.sessions.pending import PendingTurn
from antiphon.sessions.records import Claim
from antiphon.sessions.resolve import ResolvedTurn
from antiphon.sessions.sessions import Sessions, TenantSessions, TurnOutcome
from antiphon.sessions.store import SessionStore
from antiphon.testing.store_fixture import FixedClock

ACME = TenantId("acme")
GLOBEX = TenantId("globex")


def said(text: str) -> JsonObject:
    """A user's message, as the format decodes it."""
    return {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}], "status": "completed"}


class Stage:
    """Sessions over an open store."""

    def __init__(self, store: SessionStore, codec: Codec, clock: FixedClock) -> None:
        self.store = store
        self.codec = codec
        self.clock = clock
        self.ids = IdFactory(clock)
        self.cache = HistoryCache()
        self.sessions = self.another(self.cache)

    def another(self, cache: HistoryCache | None = None) -> Sessions:
        """Sessions that share store and codec with these, and remember nothing."""
        return Sessions(self.store, ids=self.ids, clock=self.clock, codec=self.codec, cache=cache)

    @property
    def acme(self) -> TenantSessions:
        """The tenant that most tests use."""
        return self.sessions.for_tenant(ACME)

    async def turn(self, text: str, *, sessions: TenantSessions | None = None, **fields: Any) -> JsonObject:
        """A whole turn that answers with the text of its input in capitals."""
        state = sessions or self.acme
        request = self.request(text, **fields)
        lease = await state.acquire_lease(request.conversation, "holder", 60) if request.conversation else None
        resolved = await state.resolve(request, lease=lease)
        return await self.commit(request, resolved, sessions=state)

    def request(self, text: str, **fields: Any) -> TurnRequest:
        """A request, decoded."""
        return TurnRequest(model="model", input=(said(text),), **fields)

    def opening(self, request: TurnRequest, resolved: ResolvedTurn) -> JsonObject:
        """The response to a request, as it begins."""
        return opening_response(
            request,
            id=self.ids.response(resolved.family),
            created_at=int(self.clock()),
            model="model",
            conversation_id=resolved.conversation_id,
        )

    async def commit(
        self,
        request: TurnRequest,
        resolved: ResolvedTurn,
        *,
        sessions: TenantSessions | None = None,
        opening: JsonObject | None = None,
        answer: Item | None = None,
        claim: Claim | None = None,
        trace: object = None,
        webhooks: tuple[Webhook, ...] = (),
    ) -> JsonObject:
        """End a turn and store it."""
        answer = answer or self.answer(resolved)
        response = render(
            opening or self.opening(request, resolved), status="completed", output=[answer.body], completed_at=0
        )
        outcome = TurnOutcome(
            response=response,
            output=(answer,),
            alias=request.model,
            provider="upstream",
            trace=trace,
            claim=claim,
            webhooks=webhooks,
        )
        await (sessions or self.acme).commit(resolved, outcome)
        return response

    def answer(self, resolved: ResolvedTurn) -> Item:
        """What a model says that shouts back whatever was said last."""
        item_id = self.ids.item("message", resolved.family)
        text = resolved.items[-1].body["content"][0]["text"].upper()
        content = [{"type": "output_text", "text": text, "annotations": [], "logprobs": []}]
        body = {"type": "message", "id": item_id, "role": "assistant", "content": content, "status": "completed"}
        return Item(ItemId(item_id), "message", body)

    async def open_turn(self, text: str, **fields: Any) -> tuple[PendingTurn, ResolvedTurn, Claim]:
        """A turn that is written down and claimed, and not carried out yet."""
        request = self.request(text, background=True, **fields)
        resolved = await self.acme.resolve(request)
        opening = self.opening(request, resolved)
        pending = PendingTurn(
            response_id=opening["id"],
            family=resolved.family,
            background=True,
            request=request,
            input=resolved.input,
            opening=opening,
            request_id="req_1",
        )
        claim = await self.acme.pending.open(pending, key=None, holder="holder", ttl_s=60)
        return pending, resolved, claim

    async def texts(self, response_id: str, *, sessions: TenantSessions | None = None) -> list[str]:
        """What a turn after a response stands on, as texts."""
        state = sessions or self.another().for_tenant(ACME)
        resolved = await state.resolve(self.request("and?", previous_response_id=response_id))
        return [item.body["content"][0]["text"] for item in resolved.history]
