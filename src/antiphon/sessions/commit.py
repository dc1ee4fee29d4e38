"""
Commit: what a finished turn is stored as, and what is remembered of it for the turn after it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import msgspec

from antiphon.hub.errors import SealChanged
from antiphon.hub.ids import TenantId
from antiphon.hub.items import Item, JsonObject, is_cut_off_call
from antiphon.hub.origin import Origin
from antiphon.hub.usage import Usage
from antiphon.hub.webhook import Webhook
from antiphon.sessions.cache import CachedHistory, HistoryCache
from antiphon.sessions.deliveries import Deliveries
from antiphon.sessions.directory import AuditAppend
from antiphon.sessions.end_users import EndUsers
from antiphon.sessions.expiry import Expiry
from antiphon.sessions.inputs import entries_of, new_among
from antiphon.sessions.payloads import Payloads
from antiphon.sessions.records import CONTINUABLE, Claim, Committed, NewItem, NewTurn, Status
from antiphon.sessions.resolve import ResolvedTurn
from antiphon.sessions.search import Search
from antiphon.sessions.store import TenantStore

__all__ = ["Committer", "TurnOutcome"]

# Other dialects have no words for a turn that failed or was cancelled: only the Responses API shows it.
_ANSWERED = frozenset({"completed", "incomplete"})


class TurnOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """
    How a turn ended, to be committed.

    Attributes:
        response: The terminal response, its output included.
        output: The output items with what belongs to their provider alone.
        alias: The model name that the client asked for.
        provider: The name of the upstream that answered.
        trace: Where its stream was cut, for :mod:`antiphon.streams.trace`.
        claim: For a pending turn, whose place the stored one takes.
        webhooks: What tells of it.
        origin: What is kept for the dialect that it was asked for in, if it came to an answer.
    """

    response: JsonObject
    output: tuple[Item, ...]
    alias: str
    provider: str
    usage: Usage | None = None
    trace: object = None
    claim: Claim | None = None
    webhooks: tuple[Webhook, ...] = ()
    origin: Origin | None = None


class Committer:
    """Stores the finished turns of one tenant."""

    def __init__(
        self,
        *,
        tenant: TenantId,
        store: TenantStore,
        payloads: Payloads,
        deliveries: Deliveries,
        search: Search,
        end_users: EndUsers,
        expiry: Expiry,
        cache: HistoryCache,
    ) -> None:
        self._tenant = tenant
        self._store = store
        self._payloads = payloads
        self._deliveries = deliveries
        self._search = search
        self._end_users = end_users
        self._expiry = expiry
        self._cache = cache

    async def commit(self, turn: ResolvedTurn, outcome: TurnOutcome, audit: AuditAppend | None) -> Committed:
        """See :meth:`TenantSessions.commit`."""
        since = self._cache.moment()
        new = await self._finished(turn, outcome)
        try:
            committed = await self._store.commit(new, audit=audit)
        except SealChanged:
            self._payloads.forget_keys()
            new = await self._finished(turn, outcome)
            committed = await self._store.commit(new, audit=audit)
        if new.status in CONTINUABLE and not new.ephemeral:
            self._remember(turn, committed, outcome.output, new, since)
        return committed

    async def _finished(self, turn: ResolvedTurn, outcome: TurnOutcome) -> NewTurn:
        response = outcome.response
        status = cast(Status, response["status"])
        ephemeral = not response["store"]
        origin = outcome.origin if status in _ANSWERED and not ephemeral else None
        # A family without a past is the turn's own, unless a pending row brought it along.
        seal = await self._payloads.found(turn.family, is_new=turn.attach is None and outcome.claim is None)
        payloads = await self._payloads.of_turn((*new_among(turn.input), *outcome.output), response["id"])
        entries = await entries_of(turn.input, payloads)
        output = await payloads.new_items(outcome.output, of_output=True)
        return NewTurn(
            response_id=response["id"],
            family=turn.family,
            seal=seal,
            end_user=await self._end_users.named(response["safety_identifier"], response["user"]),
            attach=turn.attach,
            lease=turn.lease,
            claim=outcome.claim,
            aside=ephemeral or status in ("failed", "cancelled"),
            ephemeral=ephemeral,
            entries=(*entries, *output),
            output_index=len(entries),
            previous_response_id=response["previous_response_id"],
            conversation_id=turn.conversation_id,
            status=status,
            model=response["model"],
            alias=outcome.alias,
            provider=outcome.provider,
            created_at=response["created_at"],
            completed_at=response["completed_at"],
            usage=outcome.usage,
            expires_at=await self._expiry.of(response, self._tenant),
            payload=payloads.response(response, origin),
            trace=b"" if outcome.trace is None else payloads.trace(outcome.trace, response["id"]),
            deliveries=tuple([await self._deliveries.new(webhook) for webhook in outcome.webhooks]),
            terms=await self._search.terms(response["metadata"], dialect=None if origin is None else origin.dialect),
        )

    def _remember(
        self,
        turn: ResolvedTurn,
        committed: Committed,
        output: Sequence[Item],
        new: NewTurn,
        since: int,
    ) -> None:
        kept = [item for item in output if not is_cut_off_call(item.body)]
        grown = CachedHistory(
            head=committed.head,
            items=(*turn.items, *kept),
            left_out=turn.left_out + len(output) - len(kept),
            size_bytes=turn.history_bytes
            + sum(len(entry.payload) for entry in new.entries if isinstance(entry, NewItem))
            + sum(entry.stored_bytes for entry in turn.input),
        )
        # A fork leaves its parent the newest of its own log; an appended turn takes the parent's place.
        appended = turn.attach is None or committed.head.log == turn.attach.log
        key = turn.source_id if appended and turn.lease is not None and turn.source_id else new.response_id
        self._cache.put(self._tenant, key, grown, since=since, instead_of=turn.source_id if appended else None)
