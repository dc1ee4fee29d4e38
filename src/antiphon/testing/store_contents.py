"""What there is in a store, table by table, and a tenant that has something of everything."""

from __future__ import annotations

from typing import Final, get_args

import msgspec

from antiphon.hub.ids import Family, ItemId
from antiphon.sessions.codec import TENANT_FAMILY, Table
from antiphon.sessions.library import NewPrompt
from antiphon.sessions.records import NewDelivery, NewItem
from antiphon.sessions.store import TenantStore
from antiphon.sessions.vault import Payload, Scanned
from antiphon.sessions.work import EventGroup, KeyClaim, Settlement
from antiphon.testing.store_fixture import StoreFixture
from antiphon.testing.store_pending import pending

__all__ = [
    "CHAIN",
    "END_USER",
    "SCANNED",
    "SEAL",
    "TABLES",
    "TALK",
    "Filled",
    "contents",
    "expected",
    "fill",
    "id_in",
    "rows",
    "size_of",
]

TABLES: Final[tuple[Table, ...]] = get_args(Table)
SCANNED: Final[tuple[Scanned, ...]] = (*TABLES, "families")

CHAIN = Family("00000000000000c1")
TALK = Family("00000000000000d2")
SEAL = b"seal"
END_USER = b"keyed hash of an end user"

_KEY = b"\x01\x02 key"


class Filled(msgspec.Struct, frozen=True, kw_only=True):
    """The ids of what :func:`fill` made."""

    response: str
    pending: str
    conversation: str
    prompt: str


def id_in(family: Family, prefix: str, name: str) -> str:
    """An id of the form that ids have: its family can be read from it."""
    return f"{prefix}_{family}00{name.encode().hex():0<32}"


def _sealed(what: str) -> bytes:
    return b"\x01" + what.encode()


async def fill(s: StoreFixture, tenant: TenantStore) -> Filled:
    """
    Store something in every table: a turn and a pending one in one family, a conversation in another.

    Both turns are of one end user, all are found by terms, and there is an answer about the turn.
    """
    made = Filled(
        response=id_in(CHAIN, "resp", "turn"),
        pending=id_in(CHAIN, "resp", "pending"),
        conversation=id_in(TALK, "conv", "talk"),
        prompt=id_in(CHAIN, "pmpt", "prompt"),
    )
    await _fill_with_turns(s, tenant, made)
    await tenant.create_conversation(
        s.conversation(
            "talk",
            [_item(TALK, "said")],
            id=made.conversation,
            family=TALK,
            seal=SEAL,
            payload=_sealed("conversation"),
            terms=(b"blue", b"red"),
        )
    )
    for version in (1, 2):
        prompt = NewPrompt(
            id=made.prompt, version=version, created_at=int(s.clock()), payload=_sealed(f"prompt {version}")
        )
        await tenant.add_prompt(prompt)
    expires_at = int(s.clock()) + 1000
    claim = await tenant.take_key(_KEY, b"fingerprint", holder="one", ttl_s=30, expires_at=expires_at)
    assert isinstance(claim, KeyClaim)
    await tenant.settle_key(Settlement(claim=claim, answer=_sealed("answer"), about=made.response))
    await tenant.secret(_sealed("secret"))
    return made


async def _fill_with_turns(s: StoreFixture, tenant: TenantStore, made: Filled) -> None:
    turn = s.turn(
        "turn",
        None,
        [_item(CHAIN, "asked"), _item(CHAIN, "answered")],
        response_id=made.response,
        family=CHAIN,
        seal=SEAL,
        end_user=END_USER,
        payload=_sealed("response"),
        trace=_sealed("trace"),
        terms=(b"red",),
        deliveries=(
            NewDelivery(id="wh_1", response_id=made.response, created_at=int(s.clock()), payload=_sealed("delivery")),
        ),
    )
    await tenant.commit(turn)
    begun = pending(
        s,
        "pending",
        response_id=made.pending,
        family=CHAIN,
        seal=SEAL,
        end_user=END_USER,
        payload=_sealed("request"),
        terms=(b"red", b"green"),
    )
    claim = await tenant.open_turn(begun, holder="one", ttl_s=30)
    for first in (0, 2):
        await tenant.append_events(claim, EventGroup(first=first, count=2, payload=_sealed(f"events {first}")))


def _item(family: Family, name: str) -> NewItem:
    return NewItem(id=ItemId(id_in(family, "msg", name)), type="message", payload=_sealed(name))


def expected(made: Filled) -> list[Payload]:
    """Every payload that :func:`fill` stored."""
    of_items = [(CHAIN, "asked"), (CHAIN, "answered"), (TALK, "said")]
    found: list[tuple[Scanned, Family, str, str]] = [
        *[("items", family, id_in(family, "msg", name), name) for family, name in of_items],
        ("responses", CHAIN, made.response, "response"),
        ("traces", CHAIN, made.response, "trace"),
        ("conversations", TALK, made.conversation, "conversation"),
        *[("prompts", TENANT_FAMILY, f"{made.prompt}/{version}", f"prompt {version}") for version in (1, 2)],
        ("pending", CHAIN, made.pending, "request"),
        *[("stream_events", CHAIN, f"{made.pending}/{first}", f"events {first}") for first in (0, 2)],
        ("idempotency", TENANT_FAMILY, _KEY.hex(), "answer"),
        ("deliveries", TENANT_FAMILY, "wh_1", "delivery"),
        ("secrets", TENANT_FAMILY, "secret", "secret"),
    ]
    return [
        *[Payload(table=table, row_id=row, family=family, payload=_sealed(what)) for table, family, row, what in found],
        *[Payload(table="families", row_id=family, family=family, payload=SEAL) for family in (CHAIN, TALK)],
    ]


async def rows(tenant: TenantStore, table: Scanned, *, limit: int = 100) -> list[Payload]:
    """All payloads of a table, page by page."""
    found: list[Payload] = []
    after: bytes | None = None
    while True:
        page = await tenant.scan(table, after=after, limit=limit)
        assert len(page.payloads) <= limit, f"{len(page.payloads)} payloads on a page of {limit}"
        found += page.payloads
        if page.cursor is None:
            return found
        assert page.cursor != after, "the scan does not get on"
        after = page.cursor


async def contents(tenant: TenantStore) -> dict[tuple[Scanned, str], bytes]:
    """Every payload of a tenant, and what is kept with its families, by table and row."""
    found = [payload for table in SCANNED for payload in await rows(tenant, table)]
    assert len({(each.table, each.row_id) for each in found}) == len(found), "a payload was shown twice"
    return {(each.table, each.row_id): each.payload for each in found}


async def size_of(tenant: TenantStore) -> int:
    """The lengths of all payloads of a tenant."""
    found = await contents(tenant)
    return sum(len(payload) for (table, _), payload in found.items() if table != "families")
