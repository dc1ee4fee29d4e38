"""
Deleting something together with whatever stands on it, inside the writer's transaction.

First everything that goes is found, then the locks are looked at, then it goes, and at the end the logs that lost
something are settled like after any other deletion.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from antiphon.stores.library import Doomed
from antiphon.stores.sqlite import library_queries as queries
from antiphon.stores.sqlite.queries import DROP_RESPONSE
from antiphon.stores.sqlite.rows import Row
from antiphon.stores.sqlite.writing import Writing

__all__ = ["Cascade"]


class Cascade(Writing):
    """See :class:`~antiphon.stores.sqlite.writing.Writing`."""

    def delete_response_and_more(self, response_id: str) -> bool:
        """See :meth:`antiphon.sessions.store.TenantStore.delete_response`, with *cascade*."""
        row = self._one(queries.READ_PLACE_OF, response_id, self._now_s)
        if row is None:
            return False
        self._erase(self._doomed_with_response(response_id, row))
        return True

    def delete_conversation_and_more(self, conversation_id: str) -> bool:
        """See :meth:`antiphon.sessions.store.TenantStore.delete_conversation`, with *cascade*."""
        conversation = self._find_conversation(conversation_id)
        if conversation is None:
            return False
        self._erase(self._doomed_with_conversation(conversation_id, conversation.log))
        return True

    def erase_turns_of(self, end_user: bytes) -> bool:
        """See :meth:`antiphon.sessions.store.TenantStore.erase_end_user`; expired turns go too. Returns True."""
        doomed = Doomed()
        pending = self._all(queries.READ_PENDING_OF_END_USER, end_user)
        stored = self._all(queries.READ_RESPONSES_OF_END_USER, end_user, -1)
        for response_id, *_ in stored:
            row = self._one(queries.READ_PLACE_OF, response_id, -1)
            assert row is not None
            doomed.add(self._doomed_with_response(response_id, row))
        for conversation_id in {row[2] for row in (*stored, *pending) if row[2] is not None}:
            conversation = self._find_conversation(conversation_id)
            if conversation is not None:
                doomed.add(self._doomed_with_conversation(conversation_id, conversation.log))
        self._erase(doomed)
        for response_id, *_ in pending:
            self.work.drop_any_turn(response_id)
        return True

    # Finding what goes.

    def _doomed_with_response(self, response_id: str, place: Row) -> Doomed:
        log, first, last, conversation_id = place
        doomed = Doomed(responses={response_id})
        self._add_showing(doomed, log, range(first, last + 1))
        owner = self._owner_of(log)
        if owner is not None and owner == conversation_id:
            doomed.conversations.discard(owner)
            hidden = self._present_from(log, first, last, owner)
            if hidden:
                doomed.hidden[owner] = hidden
        return doomed

    def _doomed_with_conversation(self, conversation_id: str, conversation_log: int) -> Doomed:
        doomed = Doomed(conversations={conversation_id})
        logs = {log for (log,) in self._all(queries.READ_LOGS_ON, conversation_log)}
        for log in logs:
            doomed.responses |= {row[0] for row in self._all(queries.READ_RESPONSES_IN, log, -1)}
            doomed.conversations |= {owner for (owner,) in self._all(queries.READ_OWNER_OF, log)}
        for response_id, log, first, last in self._all(queries.READ_PLACES_OF, conversation_id):
            doomed.responses.add(response_id)
            if log not in logs:
                self._add_showing(doomed, log, range(first, last + 1))
        return doomed

    def _owner_of(self, log: int) -> str | None:
        row = self._one(queries.READ_OWNER_OF, log)
        return None if row is None else str(row[0])

    def _add_showing(self, doomed: Doomed, item_log: int, own: range) -> None:
        """Add everything that shows one of the items at *own* in *item_log*."""
        pending: list[tuple[int, frozenset[int]]] = [(item_log, frozenset(own))]
        while pending:
            log, seen = pending.pop()
            if not seen:
                continue
            since = self._hidden_since(log, item_log, seen)
            for row in self._all(queries.READ_RESPONSES_IN, log, min(seen)):
                if _visible(seen, since, top=row[2], epoch=row[3]):
                    doomed.responses.add(row[0])
            if seen - since.keys():
                doomed.conversations |= {owner for (owner,) in self._all(queries.READ_OWNER_OF, log)}
            for fork, base_position, base_epoch in self._all(queries.READ_FORKS_OF, log, min(seen)):
                pending.append((fork, _visible(seen, since, top=base_position, epoch=base_epoch)))

    def _present_from(self, log: int, first: int, last: int, owner: str) -> set[int]:
        """The positions of a conversation's turn and of all later ones that are still shown."""
        later = [
            range(row[1], row[2] + 1)
            for row in self._all(queries.READ_RESPONSES_IN, log, last)
            if row[1] > last and row[4] == owner and (row[5] is None or row[5] > self._now_s)
        ]
        places = {place for turn in (range(first, last + 1), *later) for place in turn}
        if not places:
            return places
        return places - self._hidden_since(log, log, places).keys()

    def _hidden_since(self, log: int, item_log: int, places: Collection[int]) -> dict[int, int]:
        """The epochs in which *log* hid items that stand between *places* in *item_log*."""
        return dict(self._all(queries.READ_HIDDEN_SINCE, log, item_log, min(places), max(places)))

    # Carrying it out.

    def _erase(self, doomed: Doomed) -> None:
        """
        Make it all unknown and erase what nothing reaches.

        Raises:
            ConversationLocked: A turn holds a conversation that would change.
        """
        changed = {each: self._unlocked(each).log for each in doomed.changed_conversations}
        for conversation_id, positions in doomed.hidden.items():
            log = changed[conversation_id]
            self._hide(log, [(log, position) for position in sorted(positions)])
        lost: set[int] = {*changed.values()}
        for response_id in doomed.responses:
            lost.update(self._forget_response(response_id, self._all(DROP_RESPONSE, response_id)))
        for conversation_id in doomed.conversations:
            self._forget_conversation(conversation_id)
        self._settle(sorted(lost))


def _visible(seen: Iterable[int], since: Mapping[int, int], *, top: int, epoch: int) -> frozenset[int]:
    """Which of *seen* are at most at *top* and were not yet hidden at *epoch*."""
    return frozenset(place for place in seen if place <= top and epoch < since.get(place, epoch + 1))
