"""What is known of a turn before it begins: what its caller says besides the body, and all that it needs to begin."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import msgspec

from antiphon.engine.audit_entry import Action, Deed
from antiphon.engine.compaction import Compactor
from antiphon.engine.context import Context
from antiphon.engine.limits import Admission
from antiphon.engine.target import Target
from antiphon.hub.errors import AntiphonError
from antiphon.hub.events import Event, OtherEvent
from antiphon.hub.format import DialectTurn
from antiphon.hub.items import Item, JsonObject
from antiphon.hub.principal import Principal
from antiphon.hub.turn import OnDisconnect, TurnRequest
from antiphon.sessions.keys import KeyedRequest
from antiphon.sessions.records import Claim
from antiphon.sessions.resolve import ResolvedTurn
from antiphon.sessions.sessions import TenantSessions
from antiphon.sessions.work import KeyClaim

__all__ = ["BackgroundPolicy", "Plan", "TurnOptions"]


class BackgroundPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """
    How many background turns one process carries out, and how many may wait for it.

    Attributes:
        max_running: At once; the others wait their turn, tenants in rotation.
        max_queued: More are refused with 429.
    """

    max_running: int = 64
    max_queued: int = 10_000
    max_queued_per_tenant: int = 1_000


class TurnOptions(msgspec.Struct, frozen=True, kw_only=True):
    """
    What a caller says about a turn besides its body.

    Attributes:
        request_id: Of the HTTP request; None makes one.
        received_at: When the request had arrived (monotonic clock), for the overhead that is reported.
        conversation_wait_s: How long to wait for a conversation that another turn holds.
        on_disconnect: What the turn does when the last one who follows it has gone; None as configured.
        key: The idempotency key, with the request as it came.
        local: Contexts of earlier turns that only this caller can continue (a WebSocket's own), by response id.
        generate: False for a turn that only keeps its input, so that a later one can continue from it.
        drop: What may be left out for an upstream that cannot be told of it, by the names of
            :mod:`antiphon.engine.droppable`.
    """

    request_id: str | None = None
    received_at: float | None = None
    conversation_wait_s: float = 0.0
    on_disconnect: OnDisconnect | None = None
    key: KeyedRequest | None = None
    local: Mapping[str, tuple[Item, ...]] | None = None
    generate: bool = True
    drop: Collection[str] = ()


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """
    A turn that can begin.

    Attributes:
        principal: Who asked for it.
        asked: As it was asked for in another dialect; None if it was a request of the Responses API, and for a turn
            that was taken over.
        context: What the model is given.
        compactor: For a turn that compacts its context, or may have to.
        targets: The first to be tried first, as the turn's log has it.
        sessions: None for a turn that the store does not keep.
        claim: For a pending turn.
        admission: Of a turn that was asked for here, and not taken over.
        events: With which its stream has begun already.
        failure: Why it is not carried out but ended.
    """

    principal: Principal
    asked: DialectTurn | None = None
    request: TurnRequest
    resolved: ResolvedTurn
    context: Context
    compactor: Compactor | None = None
    targets: Sequence[Target]
    opening: JsonObject
    sessions: TenantSessions | None
    request_id: str
    received_at: float
    stays: bool
    keeps_context: bool = False
    claim: Claim | None = None
    admission: Admission | None = None
    events: tuple[Event | OtherEvent, ...] = ()
    failure: AntiphonError | None = None

    def is_pending(self, key: KeyClaim | None) -> bool:
        """Whether the turn has to be written down before it begins."""
        return self.sessions is not None and (self.request.background or key is not None)

    @property
    def deed(self) -> Deed:
        """What the audit trail says of it: that it was begun; of one that was written down before, that it ended."""
        return ("response.end" if self.claim is not None else _action(self.request)), self.opening["id"]


def _action(request: TurnRequest) -> Action:
    """What asking for a turn is in the audit trail."""
    stands_on_something = request.previous_response_id is not None or request.conversation is not None
    return "response.continue" if stands_on_something else "response.create"
