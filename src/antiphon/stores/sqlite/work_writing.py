"""
What a job does for pending turns, idempotency keys and deliveries, inside the writer's transaction.

Whatever it raises undoes the transaction, so that a check may come after a change.
"""

from __future__ import annotations

import apsw

from antiphon.hub.ids import Family, TenantId
from antiphon.sessions.records import Claim, NewTurn
from antiphon.sessions.work import EventGroup, KeyClaim, KeyRecord, NewPending, Settlement
from antiphon.stores.sqlite import work_queries as queries
from antiphon.stores.sqlite.families import drop_unused_family, found_family
from antiphon.stores.sqlite.receipt import Receipt
from antiphon.stores.sqlite.rows import Row, rows_of
from antiphon.stores.sqlite.tenancy import admit, take_place, tenant_is_going
from antiphon.stores.sqlite.terms import add_terms, drop_terms
from antiphon.stores.turns import id_in_use
from antiphon.stores.work import check_deliveries, claim_lost, claim_until_ms, gap_in_stream, is_own_claim, key_lost

__all__ = ["WorkWriting"]


class WorkWriting:
    """
    One tenant's writes on one connection, inside a transaction that the caller has begun.

    Args:
        now_s: The time of the transaction, in seconds since the epoch.
        receipt: Where it is counted what goes.
    """

    def __init__(self, connection: apsw.Connection, tenant: TenantId, *, now_s: float, receipt: Receipt) -> None:
        self._connection = connection
        self._tenant = tenant
        self._now = now_s
        self._now_s = int(now_s)
        self._receipt = receipt

    # Turns.

    def replace_pending(self, turn: NewTurn) -> tuple[int | None, Family]:
        """
        Let a finished turn take the place of its pending row.

        Returns:
            The place in lists that it has had so far; and its family, which may have nothing left but this turn.

        Raises:
            LeaseLost: The turn was taken over.
        """
        assert turn.claim is not None
        if not is_own_claim(turn):
            raise claim_lost()
        row = self._take_out(turn.claim)
        if row is None:
            raise claim_lost()
        if row[0] is not None:
            self._run(queries.SETTLE_BOUND_KEY, row[0], turn.response_id)
        return row[1], row[2]

    def is_pending(self, response_id: str) -> bool:
        """Whether a turn with this id was begun and is not yet stored."""
        return self._one(queries.READ_PENDING, response_id) is not None

    def add_deliveries(self, turn: NewTurn) -> None:
        """
        Keep the webhooks that tell of a turn, due at once.

        Raises:
            StoreConflict: One has an id that is in use, or tells of another response.
        """
        check_deliveries(turn)
        for new in turn.deliveries:
            try:
                self._run(queries.ADD_DELIVERY, new.id, new.response_id, new.created_at, new.payload, self._now_s)
            except apsw.ConstraintError as error:
                raise id_in_use("delivery", new.id) from error

    def drop_deliveries(self, response_id: str) -> None:
        """Forget the webhooks that tell of a response, which is gone."""
        self._receipt.add("deliveries", self._run(queries.DROP_DELIVERIES, response_id))

    def drop_answers(self, object_id: str) -> None:
        """Let go of answers that hold content of a response or a conversation, which is gone."""
        self._receipt.add("idempotency", self._run(queries.DROP_ANSWERS, object_id))

    # Pending turns.

    def open_turn(self, turn: NewPending, holder: str, ttl_s: float) -> Claim:
        """See :meth:`antiphon.sessions.work.PendingStore.open_turn`."""
        admit(self._connection, self._tenant)
        found_family(self._connection, self._tenant, turn.family, turn.seal)
        place = take_place(self._connection, self._tenant) if turn.background else None
        added = self._run(
            queries.ADD_PENDING,
            turn.response_id,
            turn.family,
            turn.background,
            turn.created_at,
            turn.conversation_id,
            turn.previous_response_id,
            turn.expires_at,
            holder,
            claim_until_ms(self._now, ttl_s),
            None if turn.key is None else turn.key.key,
            place,
            turn.model,
            turn.alias,
            turn.end_user,
        )
        if not added:
            raise id_in_use("response", turn.response_id)
        self._run(queries.ADD_PENDING_REQUEST, turn.response_id, turn.payload)
        if place is not None:
            add_terms(self._connection, self._tenant, "response", turn.response_id, ordinal=place, terms=turn.terms)
        if turn.key is not None:
            self._write_key(queries.BIND_KEY, turn.key, turn.response_id)
        return Claim(response_id=turn.response_id, holder=holder, epoch=1)

    def append_events(self, claim: Claim, group: EventGroup) -> bool:
        """See :meth:`antiphon.sessions.work.PendingStore.append_events`."""
        row = self._one(queries.EXTEND_STREAM, *_fence(claim), group.first, group.count)
        if row is None:
            raise claim_lost() if self._one(queries.FIND_CLAIM, *_fence(claim)) is None else gap_in_stream(group)
        self._run(queries.ADD_EVENTS, claim.response_id, group.first, group.count, group.payload)
        return bool(row[0])

    def request_cancel(self, response_id: str) -> bool:
        """See :meth:`antiphon.sessions.work.PendingStore.request_cancel`."""
        return self._one(queries.REQUEST_CANCEL, response_id) is not None

    def drop_turn(self, claim: Claim) -> bool:
        """See :meth:`antiphon.sessions.work.PendingStore.drop_turn`."""
        row = self._take_out(claim)
        if row is None:
            return False
        if row[0] is not None:
            self._run(queries.DROP_BOUND_KEY, row[0], claim.response_id)
        drop_unused_family(self._connection, self._tenant, row[2], self._receipt)
        return True

    def drop_any_turn(self, response_id: str) -> None:
        """Remove a pending turn, whoever works on it: that one's commit is refused."""
        row = self._one(queries.DROP_ANY_PENDING, response_id)
        if row is None:
            return
        self._drop_what_follows(response_id)
        if row[0] is not None:
            self._run(queries.DROP_BOUND_KEY, row[0], response_id)
        drop_unused_family(self._connection, self._tenant, row[2], self._receipt)
        self._receipt.responses.add(response_id)

    # Idempotency keys.

    def take_key(
        self, key: bytes, fingerprint: bytes, *, holder: str, ttl_s: float, expires_at: int
    ) -> KeyClaim | KeyRecord:
        """See :meth:`antiphon.sessions.work.KeyStore.take_key`."""
        attempts = 1
        row = self._one(queries.READ_KEY, key, self._now_s)
        if row is not None:
            known, response_id, settled, answer, of, taken_until_ms, before = row
            if of is None or taken_until_ms > self._now * 1000:
                return KeyRecord(fingerprint=known, response_id=response_id, settled=settled == 1, answer=answer)
            attempts = before + 1
        taken = self._one(queries.TAKE_KEY_EPOCH)
        if taken is None:
            raise tenant_is_going(self._tenant)
        claim = KeyClaim(key=key, holder=holder, epoch=taken[0], attempts=attempts)
        until_ms = claim_until_ms(self._now, ttl_s)
        self._run(queries.PUT_KEY, key, fingerprint, holder, claim.epoch, until_ms, attempts, expires_at)
        return claim

    def settle_key(self, settlement: Settlement, *, creates: str | None = None) -> None:
        """
        See :meth:`antiphon.sessions.work.KeyStore.settle_key`.

        Args:
            creates: What the present transaction is about to create.
        """
        about = settlement.about
        is_gone = about not in (None, creates) and self._one(queries.FIND_SUBJECT, about) is None
        answer = None if is_gone else settlement.answer
        self._write_key(queries.SETTLE_KEY, settlement.claim, answer, about)

    def release_key(self, claim: KeyClaim) -> None:
        """See :meth:`antiphon.sessions.work.KeyStore.release_key`."""
        self._run(queries.RELEASE_KEY, claim.key, claim.holder, claim.epoch)

    def drop_key(self, key: bytes) -> None:
        """Forget a key, with its answer."""
        dropped = self._one(queries.DROP_KEY, key)
        self._receipt.add("idempotency", dropped is not None and dropped[0])

    # Deliveries.

    def record_delivery(self, delivery_id: str, *, outcome: str, next_at: int | None, delivered_at: int | None) -> None:
        """See :meth:`antiphon.sessions.work.DeliveryStore.record_delivery`."""
        self._run(queries.RECORD_DELIVERY, self._now_s, delivery_id, outcome, next_at, delivered_at)

    # How.

    def _take_out(self, claim: Claim) -> Row | None:
        """
        Remove a pending turn with its request, its events and what it is found by.

        Returns:
            Its key, its place in lists and its family; None if the claim is not in force.
        """
        row = self._one(queries.DROP_PENDING, *_fence(claim))
        if row is not None:
            self._drop_what_follows(claim.response_id)
        return row

    def _drop_what_follows(self, response_id: str) -> None:
        terms = drop_terms(self._connection, self._tenant, "response", response_id)
        self._receipt.add("metadata_index", terms)
        self._receipt.add("pending", self._run(queries.DROP_PENDING_REQUEST, response_id))
        self._receipt.add("stream_events", self._run(queries.DROP_EVENTS, response_id))

    def _write_key(self, statement: str, claim: KeyClaim, *values: object) -> None:
        if self._one(statement, claim.key, claim.holder, claim.epoch, self._now_s, *values) is None:
            raise key_lost()

    def _run(self, statement: str, *parameters: object) -> int:
        """Run a statement that gives nothing. Returns how many rows it changed."""
        self._connection.execute(statement, (self._tenant, *parameters))
        return self._connection.changes()

    def _one(self, statement: str, *parameters: object) -> Row | None:
        rows = rows_of(self._connection, statement, self._tenant, *parameters)
        return rows[0] if rows else None


def _fence(claim: Claim) -> tuple[str, str, int]:
    return claim.response_id, claim.holder, claim.epoch
