"""One tenant's view of a SQLite store: reads on the event loop's thread, writes through the writer."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial

import apsw
import orjson

from antiphon.hub.errors import ConversationNotFound
from antiphon.sessions.directory import AuditAppend, Erasure
from antiphon.sessions.records import (
    Committed,
    Conversation,
    Entry,
    History,
    ItemPage,
    Lease,
    NewConversation,
    NewTurn,
    Page,
    ResponseHead,
    StoredItem,
    StoredSession,
)
from antiphon.sessions.store import OfEndUser
from antiphon.sessions.work import Settlement
from antiphon.stores.sqlite import queries
from antiphon.stores.sqlite.end_users import end_user_of
from antiphon.stores.sqlite.library_writing import LibraryWriting
from antiphon.stores.sqlite.pages import read_page
from antiphon.stores.sqlite.rows import (
    Row,
    conversation_of,
    input_end_of,
    item_of,
    response_head_of,
    rows_of,
    session_of,
)
from antiphon.stores.sqlite.tenant_audit import TenantAudit
from antiphon.stores.sqlite.tenant_library import TenantLibrary
from antiphon.stores.sqlite.tenant_vault import TenantVault
from antiphon.stores.sqlite.views import read_view

__all__ = ["SQLiteTenantStore"]

# Turns between two looks at the event loop.
_SLICE = 32


class SQLiteTenantStore(TenantLibrary, TenantVault, TenantAudit):
    """See :class:`~antiphon.sessions.store.TenantStore`."""

    # The four named operations.

    async def get_by_response_id(self, response_id: str) -> StoredSession | None:
        with self._connections().readers.snapshot() as connection:
            rows = rows_of(connection, queries.READ_RESPONSE, self._tenant, response_id, int(self._clock()))
            return self._session(connection, rows[0]) if rows else None

    async def get_by_conversation_id(self, conversation_id: str) -> list[StoredSession]:
        with self._connections().readers.snapshot() as connection:
            now_s = int(self._clock())
            sessions = []
            for row in rows_of(connection, queries.READ_RESPONSES_OF, self._tenant, conversation_id, now_s):
                sessions.append(self._session(connection, row))
                if len(sessions) % _SLICE == 0:
                    await asyncio.sleep(0)
            return sessions

    async def put_session(self, session: StoredSession) -> StoredSession:
        return await self._write(lambda writing: writing.put_session(session))

    async def delete_session(self, response_id: str) -> None:
        await self.delete_response(response_id)

    # Turns.

    async def read_head(self, response_id: str) -> ResponseHead | None:
        row = self._read_one(queries.READ_HEAD, response_id, int(self._clock()))
        return None if row is None else response_head_of(response_id, row)

    async def read_history_after(self, response_id: str) -> History | None:
        return await self._view(queries.READ_HISTORY_AFTER, response_id)

    async def read_history_of(self, conversation_id: str) -> History | None:
        return await self._view(queries.READ_HISTORY_OF, conversation_id)

    async def find_items(self, ids: Sequence[str]) -> dict[str, StoredItem]:
        with self._connections().readers.connection() as connection:
            rows = rows_of(connection, queries.FIND_ITEMS, self._tenant, orjson.dumps(list(ids)).decode())
            return {str(item.id): item for item in map(item_of, rows)}

    async def commit(self, turn: NewTurn, *, audit: AuditAppend | None = None) -> Committed:
        return await self._write(lambda writing: writing.commit(turn, audit=audit))

    async def update_response(
        self,
        response_id: str,
        payload: bytes,
        terms: Sequence[bytes] = (),
        *,
        instead_of: bytes,
        audit: AuditAppend | None = None,
    ) -> bool:
        return await self._write(
            lambda writing: writing.update_response(response_id, payload, terms, instead_of=instead_of, audit=audit)
        )

    async def delete_response(
        self, response_id: str, *, cascade: bool = False, dry_run: bool = False
    ) -> Erasure | None:
        def erase(writing: LibraryWriting) -> Erasure | None:
            delete = writing.delete_response_and_more if cascade else writing.delete_response
            return writing.erasing(partial(delete, response_id), dry_run=dry_run)

        return await self._write(erase)

    async def list_input_items(self, response_id: str, page: Page) -> ItemPage | None:
        with self._connections().readers.snapshot() as connection:
            rows = rows_of(connection, queries.READ_INPUT_END, self._tenant, response_id, int(self._clock()))
            if not rows:
                return None
            return await read_page(connection, self._tenant, input_end_of(response_id, rows[0]), page)

    # Conversations.

    async def create_conversation(
        self, conversation: NewConversation, *, settlement: Settlement | None = None
    ) -> Conversation:
        return await self._write(lambda writing: writing.create_conversation(conversation, settlement))

    async def read_conversation(self, conversation_id: str) -> Conversation | None:
        row = self._read_one(queries.READ_CONVERSATION, conversation_id)
        return None if row is None else conversation_of(row)

    async def update_conversation(
        self, conversation_id: str, payload: bytes, terms: Sequence[bytes] = ()
    ) -> Conversation | None:
        return await self._write(lambda writing: writing.update_conversation(conversation_id, payload, terms))

    async def delete_conversation(
        self, conversation_id: str, *, cascade: bool = False, dry_run: bool = False
    ) -> Erasure | None:
        def erase(writing: LibraryWriting) -> Erasure | None:
            delete = writing.delete_conversation_and_more if cascade else writing.delete_conversation
            return writing.erasing(partial(delete, conversation_id), dry_run=dry_run)

        return await self._write(erase)

    async def list_conversation_items(self, conversation_id: str, page: Page) -> ItemPage | None:
        with self._connections().readers.snapshot() as connection:
            rows = rows_of(connection, queries.READ_CONVERSATION, self._tenant, conversation_id)
            return await read_page(connection, self._tenant, conversation_of(rows[0]).head, page) if rows else None

    async def read_conversation_item(self, conversation_id: str, item_id: str) -> StoredItem | None:
        with self._connections().readers.snapshot() as connection:
            rows = rows_of(connection, queries.READ_CONVERSATION, self._tenant, conversation_id)
            if not rows:
                raise ConversationNotFound(conversation_id)
            log = conversation_of(rows[0]).head.log
            places = rows_of(connection, queries.FIND_PRESENT, self._tenant, log, item_id)
            return None if not places else self._items(connection, places[0][0], places[0][1], places[0][1])[0]

    async def append_items(
        self, conversation_id: str, entries: Sequence[Entry], *, settlement: Settlement | None = None
    ) -> tuple[StoredItem, ...]:
        return await self._write(lambda writing: writing.append_items(conversation_id, entries, settlement))

    async def remove_item(self, conversation_id: str, item_id: str) -> bool:
        return await self._write(lambda writing: writing.remove_item(conversation_id, item_id))

    # End users.

    async def list_of_end_user(self, end_user: bytes) -> OfEndUser:
        with self._connections().readers.snapshot() as connection:
            return end_user_of(connection, self._tenant, end_user, now_s=int(self._clock()))

    async def erase_end_user(self, end_user: bytes, *, dry_run: bool = False) -> Erasure:
        receipt = await self._write(
            lambda writing: writing.erasing(partial(writing.erase_turns_of, end_user), dry_run=dry_run)
        )
        assert receipt is not None
        return receipt

    # Leases.

    async def acquire_lease(self, conversation_id: str, holder: str, ttl_s: float) -> Lease:
        return await self._write(lambda writing: writing.acquire_lease(conversation_id, holder, ttl_s))

    async def renew_lease(self, lease: Lease, ttl_s: float) -> bool:
        return await self._write(lambda writing: writing.renew_lease(lease, ttl_s))

    async def release_lease(self, lease: Lease) -> None:
        await self._write(lambda writing: writing.release_lease(lease))

    # How.

    async def _view(self, statement: str, object_id: str) -> History | None:
        with self._connections().readers.connection() as connection:
            return await read_view(connection, statement, (self._tenant, object_id, int(self._clock())))

    def _session(self, connection: apsw.Connection, row: Row) -> StoredSession:
        return session_of(row, self._items(connection, row[18], row[21], row[19]))

    def _items(self, connection: apsw.Connection, log: int, first: int, last: int) -> list[StoredItem]:
        return list(map(item_of, rows_of(connection, queries.READ_OWN_ITEMS, self._tenant, log, first, last)))
