"""A store with sealed content of every kind, written and read the way the sessions layer does it."""

from __future__ import annotations

import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

from antiphon.crypto import KeyService, Lifetimes, SealingCodec, UnsealedCodec
from antiphon.crypto.services import EphemeralKeys
from antiphon.hub.errors import SealChanged, StoreCorrupt
from antiphon.hub.ids import Family, IdFactory, ItemId, TenantId
from antiphon.hub.items import Item
from antiphon.sessions.library import NewPrompt
from antiphon.sessions.payloads import Payloads
from antiphon.sessions.records import NewConversation, NewDelivery, NewTurn, StoredItem
from antiphon.sessions.store import SessionStore, TenantStore
from antiphon.sessions.vault import Payload, Scanned
from antiphon.sessions.work import EventGroup, KeyClaim, NewPending, Settlement
from antiphon.telemetry import Log

__all__ = ["ACME", "GLOBEX", "QUICK", "HandClock", "Writer", "rows", "sealing"]

Written = TypeVar("Written")

_TRIES = 50

ACME, GLOBEX = TenantId("acme"), TenantId("globex")

# As in production, but that nobody waits for minutes.
QUICK = Lifetimes(look_again_s=0.03, unwrapped_s=0.3, held_s=0.03)


class HandClock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def sealing(
    store: SessionStore,
    service: KeyService | None = None,
    *,
    lifetimes: Lifetimes | None = None,
    monotonic: Callable[[], float] = time.monotonic,
    takes_plain: bool = False,
) -> SealingCodec:
    """A codec over a store, as a process of its own has one."""
    return SealingCodec(
        store,
        service or EphemeralKeys(),
        time.time,
        lifetimes=lifetimes,
        monotonic=monotonic,
        takes_plain=takes_plain,
        log=Log("error"),
    )


@dataclass
class Writer:
    """Writes a tenant's content, and reads it again."""

    store: SessionStore
    codec: SealingCodec | UnsealedCodec
    tenant: TenantId = ACME
    ids: IdFactory = field(default_factory=lambda: IdFactory(time.time))

    def __post_init__(self) -> None:
        self.vault: TenantStore = self.store.for_tenant(self.tenant)
        self.payloads = Payloads(self.codec, self.tenant)

    async def turn(self, said: str, after: str | None = None, *, deliveries: bool = False) -> str:
        """Store a turn, and seal it again if its family's keys were changed meanwhile. Returns its id."""
        try:
            return await self._in_time(lambda: self._turn(said, after, deliveries=deliveries))
        except SealChanged:
            self.codec.forget(self.tenant)
            return await self._in_time(lambda: self._turn(said, after, deliveries=deliveries))

    async def _in_time(self, write: Callable[[], Awaitable[Written]]) -> Written:
        """What founds a family, begun again whenever that took longer than its key may be held: a machine is busy."""
        for _ in range(_TRIES):
            began_at = time.monotonic()
            try:
                return await write()
            except StoreCorrupt:
                held_s = self.codec.lifetimes.held_s if isinstance(self.codec, SealingCodec) else math.inf
                if time.monotonic() - began_at < held_s:
                    raise
        return await write()

    async def _turn(self, said: str, after: str | None, *, deliveries: bool) -> str:
        family = self.ids.family() if after is None else Family(after[-50:-34])
        head = None if after is None else await self.vault.read_head(after)
        response_id = self.ids.response(family)
        seal = await self.payloads.found(family, is_new=after is None)
        item_id = self.ids.item("message", family)
        item = Item(item_id, "message", {"id": item_id, "said": said})
        payloads = await self.payloads.of_turn((item,), response_id)
        turn = NewTurn(
            response_id=response_id,
            family=family,
            seal=seal,
            attach=None if head is None else head.head,
            entries=tuple(await payloads.new_items([item])),
            previous_response_id=after,
            status="completed",
            model="m",
            alias="m",
            created_at=1,
            payload=payloads.response({"id": response_id, "instructions": said, "output": []}),
            trace=payloads.trace([said], response_id),
            deliveries=(
                NewDelivery(
                    id=f"wh_{response_id}",
                    response_id=response_id,
                    created_at=1,
                    payload=await self.payloads.webhook({"said": said}, f"wh_{response_id}"),
                ),
            )
            if deliveries
            else (),
        )
        await self.vault.commit(turn)
        return response_id

    async def read(self, response_id: str) -> str:
        """What was said in a turn; begun again if its keys went between reading and opening it."""
        try:
            return await self._read(response_id)
        except StoreCorrupt:
            return await self._read(response_id)

    async def _read(self, response_id: str) -> str:
        session = await self.vault.get_by_response_id(response_id)
        assert session is not None
        response = await self.payloads.open_response(session.payload, response_id)
        trace = await self.vault.read_trace(response_id)
        assert trace is not None
        items = await self.payloads.items([item for item in session.messages if isinstance(item, StoredItem)])
        said = {response["instructions"], *[item.body["said"] for item in items]}
        assert [*said] == await self.payloads.open_trace(trace, response_id)
        return str(said.pop())

    async def everything(self, said: str) -> None:
        """Something in every table, with the same words in each."""
        first = await self.turn(said, deliveries=True)
        await self.turn(said, first)
        await self._in_time(lambda: self._conversation(said))
        await self._in_time(lambda: self._pending(said))
        prompt_id = self.ids.prompt(self.ids.family())
        payload = await self.payloads.prompt({"said": said}, prompt_id, 1)
        await self.vault.add_prompt(NewPrompt(id=prompt_id, version=1, created_at=1, payload=payload))
        key = said.encode()[:8]
        claim = await self.vault.take_key(key, b"f", holder="h", ttl_s=60, expires_at=int(time.time()) + 1000)
        assert isinstance(claim, KeyClaim)
        answer = await self.payloads.answer({"said": said}, key)
        await self.vault.settle_key(Settlement(claim=claim, answer=answer, about=first))
        await self.vault.secret(await self.payloads.secret(said.encode()))

    async def _conversation(self, said: str) -> None:
        family = self.ids.family()
        conversation_id = self.ids.conversation(family)
        seal = await self.payloads.found(family)
        item_id = self.ids.item("message", family)
        items = await self.payloads.new_items([Item(ItemId(item_id), "message", {"said": said})])
        await self.vault.create_conversation(
            NewConversation(
                id=conversation_id,
                family=family,
                seal=seal,
                created_at=1,
                payload=await self.payloads.metadata({"said": said}, conversation_id),
                entries=tuple(items),
            )
        )

    async def _pending(self, said: str) -> None:
        family = self.ids.family()
        response_id = self.ids.response(family)
        seal = await self.payloads.found(family)
        payload = await self.payloads.pending({"said": said}, response_id)
        begun = NewPending(
            response_id=response_id, family=family, seal=seal, background=True, created_at=1, payload=payload
        )
        claim = await self.vault.open_turn(begun, holder="h", ttl_s=600)
        for first in (0, 2):
            events = await self.payloads.events([{"said": said}], response_id, first)
            await self.vault.append_events(claim, EventGroup(first=first, count=2, payload=events))


async def rows(vault: TenantStore, table: Scanned) -> list[Payload]:
    """All payloads of a table."""
    found: list[Payload] = []
    after: bytes | None = None
    while True:
        page = await vault.scan(table, after=after, limit=7)
        found += page.payloads
        if page.cursor is None:
            return found
        after = page.cursor
