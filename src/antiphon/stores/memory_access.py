"""How one tenant's operations in memory find things, and what of them a view shows."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from typing import Self

from antiphon.hub.errors import ConversationLocked, ConversationNotFound, StoreConflict
from antiphon.hub.ids import Family, ItemId, LogId
from antiphon.sessions.records import Conversation, Head, Lease, StoredItem, StoredSession
from antiphon.stores.memory_state import ConversationRecord, Log, Response, State, path_of
from antiphon.stores.paging import listed
from antiphon.stores.turns import Settled

__all__ = ["TenantAccess"]


class TenantAccess:
    """The root of a tenant's store: its parts add the operations. No method awaits, so each is atomic."""

    def __init__(self, state: State, clock: Callable[[], float], random_bytes: Callable[[int], bytes]) -> None:
        self._state = state
        self._clock = clock
        self._random_bytes = random_bytes

    @property
    def state(self) -> State:
        """Everything of the tenant."""
        return self._state

    def rehearsal(self) -> Self:
        """The same tenant on a copy of everything, for doing what is to change nothing."""
        return type(self)(copy.deepcopy(self._state), self._clock, self._random_bytes)

    def _admit(self) -> None:
        """
        Refuse to store anything for a tenant that is being erased.

        Raises:
            StoreConflict: It is.
        """
        if self._state.is_going:
            raise StoreConflict("The tenant is being erased. Nothing was stored.")

    # Looking things up.

    def _now_ms(self) -> int:
        return int(self._clock() * 1000)

    def _response(self, response_id: str) -> Response | None:
        response = self._state.responses.get(response_id)
        if response is None or self._has_expired(response):
            return None
        return response

    def _has_expired(self, response: Response) -> bool:
        return response.turn.expires_at is not None and response.turn.expires_at <= self._clock()

    def _conversation(self, conversation_id: str) -> ConversationRecord:
        conversation = self._state.conversations.get(conversation_id)
        if conversation is None:
            raise ConversationNotFound(conversation_id)
        return conversation

    def _unlocked(self, conversation_id: str) -> ConversationRecord:
        conversation = self._conversation(conversation_id)
        if conversation.holder is not None and conversation.lock_until_ms > self._now_ms():
            raise ConversationLocked
        return conversation

    def _leased(self, lease: Lease) -> ConversationRecord | None:
        conversation = self._state.conversations.get(lease.conversation_id)
        if conversation is None or (conversation.holder, conversation.lock_epoch) != (lease.holder, lease.epoch):
            return None
        return conversation

    def _owner_of(self, log: LogId) -> ConversationRecord | None:
        return next((each for each in self._state.conversations.values() if each.log == log), None)

    def _find(self, item_id: str) -> StoredItem | None:
        place = self._state.items.get(item_id)
        return None if place is None else self._entry(*place)

    def _end_of(self, conversation: ConversationRecord) -> Head:
        log = self._state.logs[conversation.log]
        return Head(log=conversation.log, position=log.length - 1, epoch=log.epoch)

    def _last_created_at(self, conversation_id: str | None, *, before: int | None = None) -> int:
        turns = (self._response(response_id) for response_id in self._state.turns_of.get(conversation_id or "", ()))
        return max(
            (turn.created_at for turn in turns if turn and (before is None or turn.insertion_index < before)), default=0
        )

    # What is seen.

    def _entry(self, log_id: LogId, position: int, *, removed: bool = False) -> StoredItem:
        log = self._state.logs[log_id]
        slot = log.slots[position - log.first]
        shown = slot if slot is None or slot.target is None else self._target(slot.target)
        return StoredItem(
            log=log_id,
            position=position,
            id=None if shown is None else ItemId(shown.id),
            type="" if shown is None else shown.type,
            payload=None if shown is None else shown.payload,
            left_out=slot is not None and slot.left_out,
            removed=removed,
        )

    def _target(self, place: tuple[int, int]) -> Settled | None:
        log = self._state.logs[LogId(place[0])]
        return log.slots[place[1] - log.first]

    def _view(self, head: Head) -> tuple[StoredItem, ...]:
        items: list[StoredItem] = []
        hidden: set[int] = set()
        for segment in path_of(self._state, head):
            log = self._state.logs[segment.log]
            hidden |= log.hidden(segment.epoch)
            below = reversed(range(log.first, segment.position + 1))
            items += (self._entry(segment.log, position, removed=position in hidden) for position in below)
        return tuple(reversed(items))

    def _present(self, conversation: ConversationRecord) -> list[StoredItem]:
        return listed(self._view(self._end_of(conversation)))

    def _own_items(self, response: Response) -> list[StoredItem]:
        return [self._entry(response.log, response.first + index) for index in range(response.count)]

    def _session(self, response: Response) -> StoredSession:
        turn = response.turn
        own = self._own_items(response)
        return StoredSession(
            response_id=turn.response_id,
            conversation_id=turn.conversation_id,
            previous_response_id=turn.previous_response_id,
            messages=tuple(item for item in own if item.payload is not None),
            output_index=sum(item.payload is not None for item in own[: turn.output_index]),
            model=turn.model,
            alias=turn.alias,
            provider=turn.provider,
            status=turn.status,
            created_at=response.created_at,
            completed_at=turn.completed_at,
            insertion_index=response.insertion_index,
            expires_at=turn.expires_at,
            usage=turn.usage,
            payload=turn.payload,
            family=self._state.logs[response.log].family,
            head=response.head,
            first_position=response.first,
            ephemeral=turn.ephemeral,
        )

    def _shown(self, conversation: ConversationRecord) -> Conversation:
        return Conversation(
            id=conversation.id,
            family=self._state.logs[conversation.log].family,
            created_at=conversation.created_at,
            payload=conversation.payload,
            head=self._end_of(conversation),
        )

    # Logs.

    def _open_log(self, family: Family, *, base: Head | None, is_conversation: bool = False) -> LogId:
        log = LogId(int.from_bytes(self._random_bytes(8), "big", signed=True))
        self._state.logs[log] = Log(
            family=family, base=base, is_conversation=is_conversation, top=-1 if base is None else base.position
        )
        return log

    def _hide(self, log_id: LogId, positions: Iterable[int]) -> None:
        """Hide *positions* of the log's path from its view, from a new epoch on."""
        log = self._state.logs[log_id]
        hidden = [position for position in positions if position not in log.removals]
        if hidden:
            log.epoch += 1
            log.removals.update(dict.fromkeys(hidden, log.epoch))
