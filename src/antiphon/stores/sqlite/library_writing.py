"""What a job does for the library inside the writer's transaction: forks, rewinds, prompts."""

from __future__ import annotations

from antiphon.sessions.library import NewPrompt, StoredPrompt
from antiphon.sessions.records import Conversation, Head, NewConversation
from antiphon.sessions.work import Settlement
from antiphon.stores.library import check_fork, check_version, item_not_shown
from antiphon.stores.sqlite import library_queries, queries
from antiphon.stores.sqlite.cascade import Cascade
from antiphon.stores.sqlite.families import found_family
from antiphon.stores.sqlite.tenancy import admit
from antiphon.stores.turns import id_in_use

__all__ = ["LibraryWriting"]


class LibraryWriting(Cascade):
    """See :class:`~antiphon.stores.sqlite.writing.Writing`."""

    def fork_conversation(
        self, conversation_id: str, fork: NewConversation, at: str | None, settlement: Settlement | None
    ) -> Conversation:
        """See :meth:`antiphon.sessions.library.LibraryStore.fork_conversation`."""
        if settlement is not None:
            self.work.settle_key(settlement, creates=fork.id)
        source = self._conversation(conversation_id)
        end = source.shown.head
        check_fork(fork, source.shown.family)
        if self._find_conversation(fork.id) is not None:
            raise id_in_use("conversation", fork.id)
        found_family(self._connection, self._tenant, fork.family, fork.seal)
        position = end.position if at is None else self._first_place(source.log, at)
        base = Head(log=end.log, position=position, epoch=end.epoch)
        return self._add_conversation(fork, self._open_log(fork.family, base, kind="conversation", count=0))

    def rewind_conversation(self, conversation_id: str, item_id: str) -> int:
        """See :meth:`antiphon.sessions.library.LibraryStore.rewind_conversation`."""
        conversation = self._unlocked(conversation_id)
        place = self._first_place(conversation.log, item_id)
        after = self._all(queries.FIND_PRESENT_AFTER, conversation.log, place)
        if after:
            self._hide(conversation.log, [(log, position) for log, position, _ in after])
            self._settle([conversation.log])
            self._count_bytes()
        return sum(not left_out for _, _, left_out in after)

    def _first_place(self, log: int, item_id: str) -> int:
        places = self._all(queries.FIND_PRESENT, log, item_id)
        if not places:
            raise item_not_shown(item_id)
        return int(places[0][1])

    # Prompts.

    def add_prompt(self, prompt: NewPrompt, settlement: Settlement | None) -> StoredPrompt:
        """See :meth:`antiphon.sessions.library.LibraryStore.add_prompt`."""
        if settlement is not None:
            self.work.settle_key(settlement)
        admit(self._connection, self._tenant)
        row = self._one(library_queries.ADD_PROMPT, prompt.id, prompt.created_at, prompt.payload)
        assert row is not None
        check_version(prompt, row[0])
        return StoredPrompt(
            id=prompt.id, version=row[0], latest=row[0], created_at=prompt.created_at, payload=prompt.payload
        )

    def delete_prompt(self, prompt_id: str) -> bool:
        """See :meth:`antiphon.sessions.library.LibraryStore.delete_prompt`."""
        if not self._all(library_queries.DROP_PROMPT, prompt_id):
            return False
        self.receipt.prompts.add(prompt_id)
        return True
