"""One tenant's library in a SQLite store: lists, forks and rewinds, prompts."""

from __future__ import annotations

from collections.abc import Sequence

import apsw

from antiphon.hub.errors import ConversationNotFound, PromptNotFound, ResponseNotFound
from antiphon.sessions.library import Filter, ListPage, NewPrompt, StoredPrompt
from antiphon.sessions.records import Conversation, NewConversation
from antiphon.sessions.work import Settlement
from antiphon.stores.sqlite import library_queries, queries
from antiphon.stores.sqlite.listing import Place, conversations_of, responses_of
from antiphon.stores.sqlite.rows import conversation_of, prompt_of, rows_of
from antiphon.stores.sqlite.tenant_work import TenantWork

__all__ = ["TenantLibrary"]

# Later than any prompt.
_NOWHERE: Place = ((1 << 63) - 1, "")


class TenantLibrary(TenantWork):
    """See :class:`~antiphon.sessions.library.LibraryStore`."""

    # Lists.

    async def list_responses(self, wanted: Filter) -> ListPage[str]:
        now_s = int(self._clock())
        with self._connections().readers.snapshot() as connection:
            statement = library_queries.READ_PLACE_OF_RESPONSE
            after = self._place(connection, statement, wanted.after, now_s)
            if wanted.after is not None and after is None:
                raise ResponseNotFound(wanted.after)
            return await responses_of(wanted, after=after, now_s=now_s).read(connection, self._tenant)

    async def list_conversations(self, wanted: Filter) -> ListPage[Conversation]:
        with self._connections().readers.snapshot() as connection:
            after = self._place(connection, library_queries.READ_PLACE_OF_CONVERSATION, wanted.after)
            if wanted.after is not None and after is None:
                raise ConversationNotFound(wanted.after)
            page = await conversations_of(wanted, after=after).read(connection, self._tenant)
            rows = [rows_of(connection, queries.READ_CONVERSATION, self._tenant, its_id)[0] for its_id in page.data]
            return ListPage(data=tuple(map(conversation_of, rows)), has_more=page.has_more)

    def _place(self, connection: apsw.Connection, statement: str, its_id: str | None, *more: object) -> Place | None:
        rows = [] if its_id is None else rows_of(connection, statement, self._tenant, its_id, *more)
        return (rows[0][0], rows[0][1]) if rows else None

    # Forks.

    async def fork_conversation(
        self,
        conversation_id: str,
        fork: NewConversation,
        *,
        at: str | None = None,
        settlement: Settlement | None = None,
    ) -> Conversation:
        return await self._write(lambda writing: writing.fork_conversation(conversation_id, fork, at, settlement))

    async def rewind_conversation(self, conversation_id: str, item_id: str) -> int:
        return await self._write(lambda writing: writing.rewind_conversation(conversation_id, item_id))

    # Prompts.

    async def add_prompt(self, prompt: NewPrompt, *, settlement: Settlement | None = None) -> StoredPrompt:
        return await self._write(lambda writing: writing.add_prompt(prompt, settlement))

    async def read_prompt(self, prompt_id: str, version: int | None = None) -> StoredPrompt | None:
        if version is None:
            row = self._read_one(library_queries.READ_NEWEST_PROMPT, prompt_id)
        else:
            row = self._read_one(library_queries.READ_PROMPT, prompt_id, version)
        return None if row is None else prompt_of(row)

    async def list_prompts(self, *, limit: int, after: str | None) -> Sequence[StoredPrompt]:
        with self._connections().readers.snapshot() as connection:
            place = self._place(connection, library_queries.READ_PLACE_OF_PROMPT, after)
            if after is not None and place is None:
                raise PromptNotFound(after)
            statement = library_queries.LIST_PROMPTS
            rows = rows_of(connection, statement, self._tenant, *(place or _NOWHERE), limit)
            return tuple(map(prompt_of, rows))

    async def delete_prompt(self, prompt_id: str) -> bool:
        return await self._write(lambda writing: writing.delete_prompt(prompt_id))
