"""Where payloads stand: each opens there, and, if it is sealed, nowhere else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import get_args

import msgspec
import pytest

from antiphon.hub.errors import StoreCorrupt
from antiphon.hub.events import OtherEvent
from antiphon.hub.ids import Family, ItemId
from antiphon.hub.items import Item, Private
from antiphon.hub.library import ConversationDraft
from antiphon.hub.prompt import Prompt
from antiphon.hub.webhook import Webhook
from antiphon.sessions.codec import SEALED_VERSION, TENANT_FAMILY, Place, PlainCodec, Table
from antiphon.sessions.vault import Payload, Scanned
from antiphon.sessions.work import KeyClaim
from tests.sessions.stage import ACME, GLOBEX, Stage, said

CANARY = "a word that nobody else would say"


async def store_everything(stage: Stage) -> None:
    """A payload in every table."""
    webhook = Webhook(id="evt_1", response_id="", url="https://example.org", created_at=0, event={"type": CANARY})
    request = stage.request(CANARY, metadata={"topic": CANARY}, instructions=CANARY)
    resolved = await stage.acme.resolve(request)
    opening = stage.opening(request, resolved)
    webhook = msgspec.structs.replace(webhook, response_id=opening["id"])
    await stage.commit(request, resolved, opening=opening, trace={"v": CANARY}, webhooks=(webhook,))
    _, _, claim = await stage.open_turn(CANARY)
    for first in (2, 3):
        await stage.acme.pending.keep_events(claim, first, [OtherEvent("response.custom", {"said": CANARY})])
    prompt = await stage.acme.prompts.create(Prompt(instructions=CANARY))
    await stage.acme.prompts.revise(prompt["id"], Prompt(instructions=CANARY + "!"))
    taken = await stage.acme.keys.take(b"k" * 32, b"f" * 32, holder="holder", ttl_s=60, expires_at=2**40)
    assert isinstance(taken, KeyClaim)
    draft = ConversationDraft(items=(said(CANARY),), metadata={"topic": CANARY})
    await stage.acme.conversations.create(draft, settle=lambda kept: stage.acme.keys.settlement(taken, kept))


async def payloads(stage: Stage, table: Scanned) -> AsyncIterator[Payload]:
    """All that a table holds for the tenant."""
    cursor: bytes | None = None
    while True:
        page = await stage.store.for_tenant(ACME).scan(table, after=cursor, limit=100)
        for payload in page.payloads:
            yield payload
        cursor = page.cursor
        if cursor is None:
            return


def family_of(payload: Payload) -> Family:
    """By the rule: of what is in ids of items, responses and conversations; else the tenant's."""
    if payload.table in ("prompts", "idempotency", "deliveries", "secrets"):
        return TENANT_FAMILY
    return Family(payload.row_id.split("/")[0][-50:-34])


@pytest.mark.parametrize("table", get_args(Table))
async def test_a_payload_opens_at_its_place_and_nowhere_else(stage: Stage, table: Table) -> None:
    """Sealed: not under another row, in another table, or for another tenant; and nothing of it can be read."""
    await store_everything(stage)
    found = [payload async for payload in payloads(stage, table)]
    assert len(found) == {"items": 3, "stream_events": 2, "prompts": 2}.get(table, 1)
    rows = {payload.row_id for payload in found}
    assert len(rows) == len(found)
    for payload in found:
        assert payload.family == family_of(payload)
        place = Place(ACME, payload.family, table, payload.row_id)
        keys = await stage.codec.keys(ACME, [payload.family], payloads=[payload.payload])
        keys.decode(payload.payload, place)
        if isinstance(stage.codec, PlainCodec):
            assert payload.payload[:1] == b"\x00"
            continue
        assert payload.payload[:1] == SEALED_VERSION
        assert CANARY.encode() not in payload.payload
        elsewhere: Table = "responses" if table == "traces" else "traces"
        for other in (
            msgspec.structs.replace(place, row_id=payload.row_id + "0"),
            msgspec.structs.replace(place, table=elsewhere),
            msgspec.structs.replace(place, tenant=GLOBEX),
            *(msgspec.structs.replace(place, row_id=row_id) for row_id in rows - {payload.row_id}),
        ):
            with pytest.raises(StoreCorrupt):
                keys.decode(payload.payload, other)


async def test_rows_are_named_as_they_were_agreed(stage: Stage) -> None:
    """A version of a prompt by its number, a group of events by its first one, an answer by the hash of its key."""
    await store_everything(stage)
    prompts = [payload.row_id async for payload in payloads(stage, "prompts")]
    assert sorted(row_id.partition("/")[2] for row_id in prompts) == ["1", "2"]
    events = [payload.row_id async for payload in payloads(stage, "stream_events")]
    assert sorted(row_id.partition("/")[2] for row_id in events) == ["2", "3"]
    assert [payload.row_id async for payload in payloads(stage, "idempotency")] == [(b"k" * 32).hex()]
    assert [payload.row_id async for payload in payloads(stage, "deliveries")] == ["evt_1"]
    assert [payload.row_id async for payload in payloads(stage, "secrets")] == ["secret"]


async def test_a_turn_that_is_not_stored_founds_nothing(stage: Stage) -> None:
    """It leaves no family and no payload behind."""
    await stage.acme.resolve(stage.request("hi", store=False))
    assert [payload async for payload in payloads(stage, "families")] == []


async def test_what_a_provider_needs_back_is_sealed_with_its_item(stage: Stage) -> None:
    """It comes back with the item, for the provider alone, and is never shown."""
    request = stage.request("hi")
    resolved = await stage.acme.resolve(request)
    plain = stage.answer(resolved)
    signed = Item(ItemId(plain.id), plain.type, plain.body, Private("anthropic", "claude", {"signature": "s"}))
    response = await stage.commit(request, resolved, answer=signed)
    read = await stage.another().for_tenant(ACME).resolve(stage.request("and?", previous_response_id=response["id"]))
    assert read.history[1] == signed
    assert "signature" not in str(await stage.acme.retrieve(response["id"]))
