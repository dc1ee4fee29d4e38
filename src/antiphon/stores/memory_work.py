"""What the in-memory store remembers of a tenant's work: pending turns, idempotency keys, webhook deliveries."""

from __future__ import annotations

from typing import Literal

import msgspec

from antiphon.hub.ids import TenantId
from antiphon.sessions.records import Claim, NewDelivery
from antiphon.sessions.work import Delivery, EventGroup, KeyClaim, KeyRecord, NewPending, Pending

__all__ = ["DeliveryRow", "KeyRow", "PendingRow", "WorkState", "problems_of_work"]


class PendingRow(msgspec.Struct, kw_only=True):
    """A pending turn with its claim and its stream."""

    new: NewPending
    holder: str
    claim_until_ms: int
    epoch: int = 1
    attempts: int = 1
    cancel_requested: bool = False
    insertion_index: int | None = None
    groups: list[EventGroup] = msgspec.field(default_factory=list)

    def is_held_by(self, claim: Claim) -> bool:
        """Whether *claim* is in force."""
        return (self.holder, self.epoch) == (claim.holder, claim.epoch)

    def follows(self, group: EventGroup) -> bool:
        """Whether *group* goes on where the stream ends; the first group may begin anywhere."""
        last = self.groups[-1] if self.groups else None
        return group.count > 0 and (last is None or group.first == last.first + last.count)

    @property
    def status(self) -> Literal["queued", "in_progress"]:
        return "in_progress" if self.groups else "queued"

    @property
    def shown(self) -> Pending:
        new = self.new
        return Pending(
            response_id=new.response_id,
            family=new.family,
            background=new.background,
            created_at=new.created_at,
            conversation_id=new.conversation_id,
            previous_response_id=new.previous_response_id,
            expires_at=new.expires_at,
            status=self.status,
            attempts=self.attempts,
            cancel_requested=self.cancel_requested,
            payload=new.payload,
        )


class KeyRow(msgspec.Struct, kw_only=True):
    """An idempotency key: claimed (it has a holder), bound to a pending turn, or settled."""

    fingerprint: bytes
    holder: str | None
    epoch: int
    claim_until_ms: int
    attempts: int
    expires_at: int
    response_id: str | None = None
    settled: bool = False
    answer: bytes | None = None
    about: str | None = None

    def is_held_by(self, claim: KeyClaim) -> bool:
        """Whether *claim* is in force."""
        return (self.holder, self.epoch) == (claim.holder, claim.epoch)

    @property
    def shown(self) -> KeyRecord:
        return KeyRecord(
            fingerprint=self.fingerprint, response_id=self.response_id, settled=self.settled, answer=self.answer
        )


class DeliveryRow(msgspec.Struct, kw_only=True):
    """A webhook and how its delivery goes."""

    new: NewDelivery
    next_at: int | None
    attempts: int = 0
    delivered_at: int | None = None
    outcome: str = ""

    @property
    def shown(self) -> Delivery:
        return Delivery(
            id=self.new.id,
            response_id=self.new.response_id,
            created_at=self.new.created_at,
            payload=self.new.payload,
            attempts=self.attempts,
            next_at=self.next_at,
            delivered_at=self.delivered_at,
            outcome=self.outcome,
        )


class WorkState(msgspec.Struct):
    """All work of one tenant, and the payload with the secret that its hashes are made with."""

    pending: dict[str, PendingRow] = msgspec.field(default_factory=dict)
    keys: dict[bytes, KeyRow] = msgspec.field(default_factory=dict)
    deliveries: dict[str, DeliveryRow] = msgspec.field(default_factory=dict)
    next_key_epoch: int = 1
    secret: bytes | None = None

    def deliveries_of(self, response_id: str) -> dict[str, DeliveryRow]:
        """The webhooks that tell of a response."""
        return {row_id: row for row_id, row in self.deliveries.items() if row.new.response_id == response_id}

    def drop_deliveries(self, response_id: str) -> None:
        """Forget the webhooks that tell of a response, which is gone."""
        for row_id in self.deliveries_of(response_id):
            del self.deliveries[row_id]

    def drop_answers_about(self, object_id: str) -> None:
        """Let go of answers that hold content of a response or conversation, which is gone; their keys stay settled."""
        for row in self.keys.values():
            if row.about == object_id:
                row.answer = row.about = None


def problems_of_work(tenant: TenantId, work: WorkState, responses: set[str]) -> list[str]:
    """What is wrong with a tenant's work, beside its stored *responses*; one line for each problem."""
    bound = {str(row.response_id) for row in work.keys.values() if row.response_id and not row.settled}
    untold = {row_id for row_id, row in work.deliveries.items() if row.new.response_id not in responses}
    return [
        *(f"{tenant}: the response {each} is pending and stored" for each in sorted(responses & set(work.pending))),
        *(f"{tenant}: a key is bound to {each}, which is not pending" for each in sorted(bound - set(work.pending))),
        *(f"{tenant}: the delivery {each} tells of a response that is not there" for each in sorted(untold)),
    ]
