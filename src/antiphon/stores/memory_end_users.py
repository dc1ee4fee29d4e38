"""What one tenant keeps in memory on behalf of its end users, and how that is erased."""

from __future__ import annotations

from typing import NamedTuple

from antiphon.sessions.directory import Erasure
from antiphon.sessions.store import OfEndUser
from antiphon.stores.library import Doomed
from antiphon.stores.memory_library import TenantLibrary
from antiphon.stores.memory_receipts import erasing

__all__ = ["TenantEndUsers"]


class _Turn(NamedTuple):
    """A turn of an end user, stored or pending; ordered by its age."""

    created_at: int
    response_id: str
    conversation_id: str | None


class TenantEndUsers(TenantLibrary):
    """The part of :class:`~antiphon.sessions.store.TenantStore` that is about end users."""

    async def list_of_end_user(self, end_user: bytes) -> OfEndUser:
        turns = [turn for turn in self._turns_of(end_user) if self._is_known(turn.response_id)]
        return OfEndUser(
            responses=tuple(turn.response_id for turn in turns), conversations=self._conversations_of(turns)
        )

    async def erase_end_user(self, end_user: bytes, *, dry_run: bool = False) -> Erasure:
        def erase(tenant: TenantEndUsers) -> bool:
            tenant._erase_turns_of(end_user)
            return True

        return erasing(self, erase, dry_run=dry_run) or Erasure()

    def _erase_turns_of(self, end_user: bytes) -> None:
        """Erase what bears the hash, expired or not."""
        turns = self._turns_of(end_user)
        doomed = Doomed()
        for turn in turns:
            if turn.response_id in self._state.responses:
                doomed.add(self._doomed_with_response(self._state.responses[turn.response_id]))
        for conversation_id in self._conversations_of(turns):
            doomed.add(self._doomed_with_conversation(self._state.conversations[conversation_id]))
        self._erase(doomed)
        for turn in turns:
            if turn.response_id in self._state.work.pending:
                self._drop_pending(turn.response_id)

    def _turns_of(self, end_user: bytes) -> list[_Turn]:
        stored = [
            _Turn(row.created_at, row.turn.response_id, row.turn.conversation_id)
            for row in self._state.responses.values()
            if row.turn.end_user == end_user
        ]
        pending = [
            _Turn(row.new.created_at, row.new.response_id, row.new.conversation_id)
            for row in self._state.work.pending.values()
            if row.new.end_user == end_user
        ]
        return sorted(stored + pending)

    def _is_known(self, response_id: str) -> bool:
        return response_id in self._state.work.pending or self._response(response_id) is not None

    def _conversations_of(self, turns: list[_Turn]) -> tuple[str, ...]:
        known = self._state.conversations
        ids = {turn.conversation_id for turn in turns}
        return tuple(
            each.id for each in sorted(known.values(), key=lambda each: (each.created_at, each.id)) if each.id in ids
        )
