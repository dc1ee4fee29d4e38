"""One tenant's work in memory. Whatever is refused is refused before anything is changed."""

from __future__ import annotations

from antiphon.sessions.records import Claim, NewTurn
from antiphon.sessions.work import Delivery, EventGroup, KeyClaim, KeyRecord, NewPending, Pending, Settlement
from antiphon.stores.memory_state import drop_unused_families, take_insertion_index
from antiphon.stores.memory_vault import TenantSealing
from antiphon.stores.memory_work import DeliveryRow, KeyRow, PendingRow
from antiphon.stores.turns import id_in_use
from antiphon.stores.work import check_deliveries, claim_lost, claim_until_ms, gap_in_stream, is_own_claim, key_lost

__all__ = ["TenantWork"]


class TenantWork(TenantSealing):
    """See the protocols of :mod:`antiphon.sessions.work`."""

    async def read_trace(self, response_id: str) -> bytes | None:
        response = self._response(response_id)
        return None if response is None else response.turn.trace

    # Pending turns.

    async def open_turn(self, turn: NewPending, *, holder: str, ttl_s: float) -> Claim:
        self._admit()
        self._check_seal(turn.family, turn.seal)
        if turn.response_id in self._state.responses or turn.response_id in self._state.work.pending:
            raise id_in_use("response", turn.response_id)
        key = None if turn.key is None else self._held_key(turn.key)
        if key is not None:
            key.response_id, key.holder = turn.response_id, None
        row = PendingRow(
            new=turn,
            holder=holder,
            claim_until_ms=claim_until_ms(self._clock(), ttl_s),
            insertion_index=take_insertion_index(self._state) if turn.background else None,
        )
        self._state.work.pending[turn.response_id] = row
        self._found(turn.family, turn.seal)
        return Claim(response_id=turn.response_id, holder=holder, epoch=row.epoch)

    async def read_pending(self, response_id: str) -> Pending | None:
        row = self._state.work.pending.get(response_id)
        return None if row is None else row.shown

    async def append_events(self, claim: Claim, group: EventGroup) -> bool:
        row = self._claimed(claim)
        if row is None:
            raise claim_lost()
        if not row.follows(group):
            raise gap_in_stream(group)
        row.groups.append(group)
        return row.cancel_requested

    async def read_events(self, response_id: str, *, first: int) -> tuple[EventGroup, ...]:
        row = self._state.work.pending.get(response_id)
        groups = () if row is None else row.groups
        return tuple(group for group in groups if group.first + group.count > first)

    async def request_cancel(self, response_id: str) -> bool:
        row = self._state.work.pending.get(response_id)
        if row is None:
            return False
        row.cancel_requested = True
        return True

    async def drop_turn(self, claim: Claim) -> bool:
        if self._claimed(claim) is None:
            return False
        self._drop_pending(claim.response_id)
        return True

    # Idempotency keys.

    async def take_key(
        self, key: bytes, fingerprint: bytes, *, holder: str, ttl_s: float, expires_at: int
    ) -> KeyClaim | KeyRecord:
        row = self._key(key)
        if row is not None and (row.holder is None or row.claim_until_ms > self._now_ms()):
            return row.shown
        self._admit()
        taken = KeyRow(
            fingerprint=fingerprint,
            holder=holder,
            epoch=self._state.work.next_key_epoch,
            claim_until_ms=claim_until_ms(self._clock(), ttl_s),
            attempts=1 if row is None else row.attempts + 1,
            expires_at=expires_at,
        )
        self._state.work.next_key_epoch += 1
        self._state.work.keys[key] = taken
        return KeyClaim(key=key, holder=holder, epoch=taken.epoch, attempts=taken.attempts)

    async def settle_key(self, settlement: Settlement) -> None:
        self._settle(settlement)

    async def release_key(self, claim: KeyClaim) -> None:
        row = self._state.work.keys.get(claim.key)
        if row is not None and row.is_held_by(claim):
            del self._state.work.keys[claim.key]

    # Deliveries.

    async def record_delivery(
        self, delivery_id: str, *, outcome: str, next_at: int | None, delivered_at: int | None
    ) -> None:
        row = self._state.work.deliveries.get(delivery_id)
        if row is not None and self._response(row.new.response_id) is not None:
            row.attempts += 1
            row.outcome, row.next_at, row.delivered_at = outcome, next_at, delivered_at

    async def list_deliveries(self, *, limit: int, after: str | None) -> tuple[Delivery, ...]:
        live = [row for row in self._state.work.deliveries.values() if self._response(row.new.response_id) is not None]
        live.sort(key=lambda row: (row.new.created_at, row.new.id), reverse=True)
        ids = [row.new.id for row in live]
        following = live if after is None else live[ids.index(after) + 1 :] if after in ids else []
        return tuple(row.shown for row in following[:limit])

    # For the operations that work is part of.

    def _check_work(self, turn: NewTurn) -> None:
        """Refuse a finished turn whose claim is not in force, or whose ids are in use."""
        pending = self._state.work.pending.get(turn.response_id)
        if turn.claim is not None and not (is_own_claim(turn) and pending and pending.is_held_by(turn.claim)):
            raise claim_lost()
        if turn.claim is None:
            self._check_not_pending(turn.response_id)
        check_deliveries(turn)
        for new in turn.deliveries:
            if new.id in self._state.work.deliveries:
                raise id_in_use("delivery", new.id)

    def _check_not_pending(self, response_id: str) -> None:
        if response_id in self._state.work.pending:
            raise id_in_use("response", response_id)

    def _place_in_lists(self, turn: NewTurn) -> int | None:
        """
        The place in lists that a turn keeps from when it was pending.

        None if a later one of its conversation was stored before it: the last one stored is the newest there.
        """
        pending = self._state.work.pending.get(turn.response_id)
        if pending is None or pending.insertion_index is None:
            return None
        stored = (self._state.responses[each] for each in self._state.turns_of.get(turn.conversation_id or "", ()))
        is_newest = all(each.insertion_index < pending.insertion_index for each in stored)
        return pending.insertion_index if is_newest else None

    def _finish_work(self, turn: NewTurn) -> None:
        """Let a turn that was stored take the place of its pending row, and keep its deliveries."""
        work = self._state.work
        pending = work.pending.pop(turn.response_id, None)
        key = None if pending is None else self._bound_key(pending)
        if key is not None:
            work.keys[key].settled = True
        if pending is not None and pending.new.family != turn.family:
            drop_unused_families(self._state)
        for new in turn.deliveries:
            work.deliveries[new.id] = DeliveryRow(new=new, next_at=int(self._clock()))

    def _check_settlement(self, settlement: Settlement | None) -> None:
        """Refuse what would be settled under a key that passed to somebody else."""
        if settlement is not None:
            self._held_key(settlement.claim)

    def _settle(self, settlement: Settlement | None) -> None:
        if settlement is not None:
            key = self._held_key(settlement.claim)
            answer = settlement.answer if self._is_there(settlement.about) else None
            about = None if answer is None else settlement.about
            key.settled, key.answer, key.about, key.holder = True, answer, about, None

    def _is_there(self, about: str | None) -> bool:
        """Whether what an answer is about was not deleted before the answer came."""
        state = self._state
        return about is None or about in state.responses | state.work.pending | state.conversations

    def _drop_pending(self, response_id: str) -> None:
        """Remove a pending turn, with its events and the key that is bound to it."""
        key = self._bound_key(self._state.work.pending.pop(response_id))
        if key is not None:
            del self._state.work.keys[key]
        drop_unused_families(self._state)

    # How.

    def _claimed(self, claim: Claim) -> PendingRow | None:
        row = self._state.work.pending.get(claim.response_id)
        return row if row is not None and row.is_held_by(claim) else None

    def _key(self, key: bytes) -> KeyRow | None:
        row = self._state.work.keys.get(key)
        return row if row is not None and row.expires_at > self._clock() else None

    def _held_key(self, claim: KeyClaim) -> KeyRow:
        row = self._key(claim.key)
        if row is None or not row.is_held_by(claim):
            raise key_lost()
        return row

    def _bound_key(self, row: PendingRow) -> bytes | None:
        """The key that a pending turn was begun for, if it is still bound to it."""
        key = None if row.new.key is None else row.new.key.key
        known = None if key is None else self._state.work.keys.get(key)
        return key if known is not None and known.response_id == row.new.response_id else None
