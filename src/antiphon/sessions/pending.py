"""
Pending turns: turns that are written down before they are carried out, with all that is needed to do so.

Any process can take one over from the store: the request, its input with the ids that were given out, and the response
as it began. The history is not copied; it is read again from where the request says it is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Literal, cast

import msgspec

from antiphon.hub.errors import SealChanged, StoreCorrupt
from antiphon.hub.events import Event, OtherEvent, ResponseCreated, ResponseQueued, body_of, event_of
from antiphon.hub.ids import Family, ItemId
from antiphon.hub.items import Item, JsonObject, Private
from antiphon.hub.response import render
from antiphon.hub.turn import TurnRequest
from antiphon.sessions.end_users import EndUsers
from antiphon.sessions.inputs import InputItem
from antiphon.sessions.payloads import Payloads
from antiphon.sessions.records import Claim
from antiphon.sessions.reread import reread_if_erased
from antiphon.sessions.search import Search
from antiphon.sessions.store import TenantStore
from antiphon.sessions.work import EventGroup, KeyClaim, NewPending, Pending
from antiphon.streams.accumulator import Accumulator

__all__ = ["PendingTurn", "PendingTurns"]

_VERSION = 1

# How many groups of events are opened before the event loop gets a turn.
_SLICE = 64


class PendingTurn(msgspec.Struct, frozen=True, kw_only=True):
    """
    A turn that is still to be carried out, or is being.

    Attributes:
        request: Without its input.
        input: The turn's own input, resolved.
        opening: The response as it began.
        request_id: Of the HTTP request that began it.
        actor: On whose behalf it is carried out, for the audit trail.
        attempts: How often work on it was begun.
    """

    response_id: str
    family: Family
    background: bool
    request: TurnRequest
    input: tuple[InputItem, ...]
    opening: JsonObject
    request_id: str
    actor: str = "local"
    status: Literal["queued", "in_progress"] = "queued"
    attempts: int = 1
    cancel_requested: bool = False
    expires_at: int | None = None

    def announcement(self) -> list[Event | OtherEvent]:
        """The events with which a background response begins; they are never stored, as they follow from the rest."""
        if not self.background:
            return []
        queued = render(self.opening, status="queued", output=())
        return [ResponseCreated(queued), ResponseQueued(queued)]


class PendingTurns:
    """The pending turns of one tenant."""

    def __init__(self, store: TenantStore, payloads: Payloads, search: Search, end_users: EndUsers) -> None:
        self._store = store
        self._payloads = payloads
        self._search = search
        self._end_users = end_users

    async def open(self, turn: PendingTurn, *, key: KeyClaim | None, holder: str, ttl_s: float) -> Claim:
        """
        Write a turn down.

        Raises:
            LeaseLost: The idempotency key passed to somebody else.
        """
        try:
            return await self._store.open_turn(await self._new(turn, key), holder=holder, ttl_s=ttl_s)
        except SealChanged:
            self._payloads.forget_keys()
            return await self._store.open_turn(await self._new(turn, key), holder=holder, ttl_s=ttl_s)

    async def _new(self, turn: PendingTurn, key: KeyClaim | None) -> NewPending:
        request = turn.request
        is_new = request.previous_response_id is None and request.conversation is None
        return NewPending(
            response_id=turn.response_id,
            family=turn.family,
            seal=await self._payloads.found(turn.family, is_new=is_new),
            end_user=await self._end_users.named(request.safety_identifier, request.user),
            background=turn.background,
            created_at=turn.opening["created_at"],
            conversation_id=request.conversation,
            previous_response_id=request.previous_response_id,
            expires_at=turn.expires_at,
            payload=await self._payloads.pending(_written(turn), turn.response_id),
            key=key,
            model=turn.opening["model"],
            alias=request.model,
            terms=await self._search.terms(turn.opening["metadata"]) if turn.background else (),
        )

    @reread_if_erased
    async def find(self, response_id: str) -> PendingTurn | None:
        """A pending turn, or None."""
        pending = await self._store.read_pending(response_id)
        return None if pending is None else await self.read(pending)

    async def exists(self, response_id: str) -> bool:
        """Whether a turn is pending still."""
        return await self._store.read_pending(response_id) is not None

    async def read(self, pending: Pending) -> PendingTurn:
        """
        A pending turn out of its row.

        Raises:
            KeysUnavailable: The key service does not answer.
            StoreCorrupt: Its payload cannot be opened.
        """
        value = await self._payloads.open_pending(pending.payload, pending.response_id)
        if value.get("v") != _VERSION:
            raise StoreCorrupt(f"The pending turn '{pending.response_id}' has the unknown version {value.get('v')!r}.")
        return PendingTurn(
            response_id=pending.response_id,
            family=pending.family,
            background=pending.background,
            request=msgspec.convert(value["request"], TurnRequest),
            input=tuple(_input_item(entry) for entry in value["input"]),
            opening=value["opening"],
            request_id=value["request_id"],
            actor=value.get("actor", "local"),  # a turn of an earlier version has none
            status=pending.status,
            attempts=pending.attempts,
            cancel_requested=pending.cancel_requested,
            expires_at=pending.expires_at,
        )

    async def keep_events(self, claim: Claim, first: int, events: Sequence[Event | OtherEvent]) -> bool:
        """
        Keep events that are about to be shown.

        Returns:
            Whether a client asked for the turn's end.

        Raises:
            LeaseLost: The turn was taken over.
        """
        payload = await self._payloads.events([body_of(event) for event in events], claim.response_id, first)
        return await self._store.append_events(claim, EventGroup(first=first, count=len(events), payload=payload))

    @reread_if_erased
    async def events(self, turn: PendingTurn, start: int = 0) -> list[Event | OtherEvent]:
        """The events of a pending turn that were shown, from sequence number *start* on."""
        announced = turn.announcement()
        found: list[Event | OtherEvent] = announced[start:]
        groups = await self._store.read_events(turn.response_id, first=max(start, len(announced)))
        for place, group in enumerate(groups, start=1):
            if place % _SLICE == 0:
                await asyncio.sleep(0)
            bodies = await self._payloads.open_events(group.payload, turn.response_id, group.first)
            found += [event_of(body) for body in bodies[max(start - group.first, 0) :]]
        return found

    async def snapshot(self, turn: PendingTurn) -> JsonObject:
        """The response of a pending turn as it is now."""
        accumulator = Accumulator()
        accumulator.feed(await self.events(turn))
        return render(turn.opening, status=turn.status, output=accumulator.output())

    async def request_cancel(self, response_id: str) -> bool:
        """See :meth:`TenantStore.request_cancel`."""
        return await self._store.request_cancel(response_id)

    async def drop(self, claim: Claim) -> bool:
        """See :meth:`TenantStore.drop_turn`."""
        return await self._store.drop_turn(claim)


def _written(turn: PendingTurn) -> JsonObject:
    return {
        "v": _VERSION,
        "request": msgspec.to_builtins(msgspec.structs.replace(turn.request, input=())),
        "input": [_written_item(entry) for entry in turn.input],
        "opening": turn.opening,
        "request_id": turn.request_id,
        "actor": turn.actor,
    }


def _written_item(entry: InputItem) -> list[Any]:
    private = None if entry.item.private is None else msgspec.to_builtins(entry.item.private)
    return [entry.item.body, private, entry.stored, entry.stored_bytes]


def _input_item(written: list[Any]) -> InputItem:
    body, private, stored, stored_bytes = written
    item = Item(
        id=ItemId(body["id"]),
        type=body["type"],
        body=cast(JsonObject, body),
        private=None if private is None else msgspec.convert(private, Private),
    )
    return InputItem(item, stored=stored, stored_bytes=stored_bytes)
