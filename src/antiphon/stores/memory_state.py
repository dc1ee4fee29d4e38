"""
What the in-memory store remembers of one tenant, and how it forgets: mark everything that is reached, erase the rest.

The rules of erasing (:mod:`antiphon.sessions.store`) in their plainest form, and the oracle for every store that does
it incrementally.
"""

from __future__ import annotations

import msgspec

from antiphon.hub.ids import Family, LogId, TenantId
from antiphon.sessions.directory import AuditRecord, TenantRecord
from antiphon.sessions.library import NewPrompt
from antiphon.sessions.records import Head, NewTurn
from antiphon.sessions.vault import TenantKey
from antiphon.stores.memory_work import WorkState, problems_of_work
from antiphon.stores.turns import Settled

__all__ = [
    "ConversationRecord",
    "Log",
    "Response",
    "State",
    "View",
    "drop_unused_families",
    "erase_unreached",
    "families_in_use",
    "forget",
    "path_of",
    "problems_of",
    "reached_by",
    "take_insertion_index",
    "views_of",
]

_DEAD = -2  # `Log.top` of a log that nothing looks into any more

View = tuple[LogId, frozenset[int]]
"""A log, as seen by whoever does not see these positions."""


class Log(msgspec.Struct, kw_only=True):
    """
    A list of items. ``slots[i]`` stands at position ``first + i``; None where the content was erased.

    Attributes:
        top: Up to here everything that is not removed is kept, because something looks at it.
        removals: The epoch in which a position was hidden from this log's view: one of its own, or of a log below.
            Along a path each position is there once, so it says which item is meant.
    """

    family: Family
    is_conversation: bool = False
    base: Head | None = None
    slots: list[Settled | None] = msgspec.field(default_factory=list)
    top: int = -1
    epoch: int = 0
    removals: dict[int, int] = msgspec.field(default_factory=dict)

    @property
    def first(self) -> int:
        return self.base.position + 1 if self.base is not None else 0

    @property
    def length(self) -> int:
        return self.first + len(self.slots)

    def hidden(self, epoch: int) -> frozenset[int]:
        """The positions that this log hides from a view of *epoch*."""
        return frozenset(position for position, since in self.removals.items() if since <= epoch)


class Response(msgspec.Struct, kw_only=True):
    """A stored turn: what was committed, and where its own items stand."""

    turn: NewTurn
    log: LogId
    first: int
    epoch: int
    created_at: int
    insertion_index: int
    count: int

    @property
    def head(self) -> Head:
        return Head(log=self.log, position=self.first + self.count - 1, epoch=self.epoch)


class ConversationRecord(msgspec.Struct, kw_only=True):
    """A conversation with its lease."""

    id: str
    log: LogId
    created_at: int
    payload: bytes
    terms: tuple[bytes, ...] = ()
    holder: str | None = None
    lock_epoch: int = 0
    lock_until_ms: int = 0


class State(msgspec.Struct):
    """
    Everything of one tenant.

    Attributes:
        families: What is kept with each family that a log or a pending turn is of.
        record: What the tenant was created or configured with; None if it never was.
    """

    families: dict[Family, bytes] = msgspec.field(default_factory=dict)
    tenant_keys: dict[int, TenantKey] = msgspec.field(default_factory=dict)
    audit: list[AuditRecord] = msgspec.field(default_factory=list)
    record: TenantRecord | None = None
    logs: dict[LogId, Log] = msgspec.field(default_factory=dict)
    items: dict[str, tuple[LogId, int]] = msgspec.field(default_factory=dict)
    responses: dict[str, Response] = msgspec.field(default_factory=dict)
    conversations: dict[str, ConversationRecord] = msgspec.field(default_factory=dict)
    turns_of: dict[str, set[str]] = msgspec.field(default_factory=dict)
    prompts: dict[str, list[NewPrompt]] = msgspec.field(default_factory=dict)
    next_insertion_index: int = 1
    work: WorkState = msgspec.field(default_factory=WorkState)

    @property
    def is_going(self) -> bool:
        """Whether the tenant is being erased."""
        return self.record is not None and self.record.state == "erasing"

    @property
    def holds_anything(self) -> bool:
        """Whether there is any data of the tenant, its trail aside. Whatever has a log or is pending has a family."""
        return bool(self.families or self.tenant_keys or self.prompts or self.work.keys) or self.work.secret is not None

    def drop_keys(self) -> None:
        """Destroy what content is opened with, and the secret."""
        self.tenant_keys.clear()
        self.work.secret = None

    def become(self, other: State) -> None:
        """Take everything over from *other*; whoever holds this state sees it."""
        for field in self.__struct_fields__:
            setattr(self, field, getattr(other, field))


def take_insertion_index(state: State) -> int:
    """The next number of the counter that orders a tenant's turns."""
    state.next_insertion_index += 1
    return state.next_insertion_index - 1


def forget(state: State, response_id: str) -> None:
    """Make a response unknown; what only it reached is erased next."""
    response = state.responses.pop(response_id)
    if response.turn.conversation_id is not None:
        state.turns_of[response.turn.conversation_id].discard(response_id)
    state.work.drop_deliveries(response_id)
    state.work.drop_answers_about(response_id)


def path_of(state: State, head: Head) -> list[Head]:
    """The logs that a view goes through, from the head's down, with how far it looks into each."""
    path = [head]
    while (base := state.logs[path[-1].log].base) is not None:
        path.append(msgspec.structs.replace(base, position=min(base.position, path[-1].position)))
    return path


def views_of(state: State, also: Head | None = None) -> dict[View, int]:
    """How far anything looks into each log, by what it does not see there; *also* is one more head to be held."""
    pending: list[tuple[Head, frozenset[int]]] = [(head, frozenset()) for head in _heads_of(state)]
    if also is not None:
        pending.append((also, frozenset()))
    tops: dict[View, int] = {}
    while pending:
        head, hidden_above = pending.pop()
        log = state.logs[head.log]
        hidden = hidden_above | log.hidden(head.epoch)
        if tops.get((head.log, hidden), _DEAD) >= head.position:
            continue
        tops[head.log, hidden] = head.position
        if log.base is not None:
            below = msgspec.structs.replace(log.base, position=min(log.base.position, head.position))
            pending.append((below, hidden))
    return tops


def _heads_of(state: State) -> list[Head]:
    heads = [response.head for response in state.responses.values()]
    for conversation in state.conversations.values():
        log = state.logs[conversation.log]
        heads.append(Head(log=conversation.log, position=log.length - 1, epoch=log.epoch))
    return heads


def reached_by(views: dict[View, int], state: State) -> set[tuple[int, int]]:
    """The places whose content can be seen: directly, or through a reference that can be seen."""
    reached: set[tuple[int, int]] = set()
    for (log_id, hidden), top in views.items():
        log = state.logs[log_id]
        for position in range(log.first, top + 1):
            slot = log.slots[position - log.first]
            if slot is not None and position not in hidden:
                reached.add((log_id, position))
                if slot.target is not None:
                    reached.add(slot.target)
    return reached


def erase_unreached(state: State, also: Head | None = None, *, held: Family | None = None) -> None:
    """
    Erase all content that nothing reaches, and drop the logs that hold none, and the families of which nothing is left.

    *also* is a head that is about to be stood on, *held* a family that something is about to be of.
    """
    views = views_of(state, also)
    reached = reached_by(views, state)
    tops: dict[LogId, int] = {}
    for (log_id, _), top in views.items():
        tops[log_id] = max(top, tops.get(log_id, _DEAD))
    for log_id, log in list(state.logs.items()):
        log.top = tops.get(log_id, _DEAD)
        for position in range(log.first, log.length):
            slot = log.slots[position - log.first]
            if slot is not None and (log_id, position) not in reached:
                log.slots[position - log.first] = None
                if slot.target is None:
                    del state.items[slot.id]
        if log.top == _DEAD and not any(log.slots):
            del state.logs[log_id]
    drop_unused_families(state, held=held)


def families_in_use(state: State) -> set[Family]:
    """The families that a log or a pending turn is of."""
    return {log.family for log in state.logs.values()} | {row.new.family for row in state.work.pending.values()}


def drop_unused_families(state: State, *, held: Family | None = None) -> None:
    """Destroy what is kept with families of which nothing is left."""
    in_use = families_in_use(state) | ({held} if held is not None else set())
    for family in state.families.keys() - in_use:
        del state.families[family]


def problems_of(tenant: TenantId, state: State) -> list[str]:
    """What is wrong with a tenant's data, one line for each problem."""
    reached = reached_by(views_of(state), state)
    kept = {
        (log_id, log.first + index)
        for log_id, log in state.logs.items()
        for index, slot in enumerate(log.slots)
        if slot is not None
    }
    indexed = set(state.items.values())
    in_use = families_in_use(state)
    originals = {place for place in kept if _slot(state, place).target is None}
    return [
        *(f"{tenant}: the content at {place} is reached and is not there" for place in sorted(reached - kept)),
        *(f"{tenant}: nothing reaches the content at {place}" for place in sorted(kept - reached)),
        *(f"{tenant}: the item at {place} is not found by its id" for place in sorted(originals ^ indexed)),
        *(f"{tenant}: nothing is of the family '{each}'" for each in sorted(state.families.keys() - in_use)),
        *(f"{tenant}: nothing is kept with the family '{each}'" for each in sorted(in_use - state.families.keys())),
        *(f"{tenant}: the audit trail is broken at {each}" for each in _gaps_in(state.audit)),
        *problems_of_work(tenant, state.work, set(state.responses)),
    ]


def _gaps_in(trail: list[AuditRecord]) -> list[int]:
    return [place for place, record in enumerate(trail, start=1) if record.index != place]


def _slot(state: State, place: tuple[LogId, int]) -> Settled:
    log = state.logs[place[0]]
    slot = log.slots[place[1] - log.first]
    assert slot is not None
    return slot
