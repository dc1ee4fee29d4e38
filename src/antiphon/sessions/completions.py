"""
Stored completions: responses that were asked for in another dialect, found and changed as that dialect sees them.

They are responses like all others. To a dialect only its own are known: every other response of the tenant is as
unknown here as one that never was.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import cast

from antiphon.hub.completions import StoredCompletion
from antiphon.hub.errors import ResponseNotFound
from antiphon.hub.items import JsonObject
from antiphon.hub.library import ListRequest
from antiphon.hub.origin import Origin
from antiphon.sessions.directory import AuditAppend
from antiphon.sessions.library import ListPage
from antiphon.sessions.payloads import Payloads
from antiphon.sessions.records import NewItem, Reference, StoredItem, StoredSession
from antiphon.sessions.reread import reread_if_erased
from antiphon.sessions.search import Search
from antiphon.sessions.store import TenantStore

__all__ = ["Completions"]


class Completions:
    """
    One tenant's stored completions.

    Wherever one is asked for by its response's id and *dialect*, what this tenant does not have, or what was not asked
    for in that dialect, raises ResponseNotFound.
    """

    def __init__(self, store: TenantStore, payloads: Payloads, search: Search) -> None:
        self._store = store
        self._payloads = payloads
        self._search = search

    async def refuse_unknown(self, response_id: str, dialect: str) -> None:
        """Raise if there is no such completion; its items are not opened."""
        await self._opened(response_id, dialect)

    @reread_if_erased
    async def retrieve(self, response_id: str, dialect: str, *, with_input: bool = False) -> StoredCompletion:
        """A completion; *with_input* also with the input items of its own turn."""
        return await self._completion(*await self._opened(response_id, dialect), with_input=with_input)

    @reread_if_erased
    async def update(
        self, response_id: str, dialect: str, metadata: dict[str, str], *, audit: AuditAppend | None = None
    ) -> StoredCompletion:
        """
        Replace a completion's metadata; the response has them too. Of two who do so at once, the later one wins.

        Args:
            audit: Written in the transaction of the change.
        """
        while True:
            session, response, origin = await self._opened(response_id, dialect)
            updated = {**response, "metadata": metadata}
            if await self._store.update_response(
                response_id,
                await self._payloads.response(updated, origin),
                await self._search.terms(metadata, dialect=dialect),
                instead_of=session.payload,
                audit=audit,
            ):
                return await self._completion(session, updated, origin)
            # Somebody else updated it or sealed it anew, and so got on; or it went, and the next look says so.

    async def list(self, wanted: ListRequest, dialect: str) -> ListPage[StoredCompletion]:
        """
        Completions in the order in which they were stored. One that goes meanwhile is left out.

        Raises:
            ResponseNotFound: The cursor is no completion of this dialect.
        """
        if wanted.after is not None:
            await self.refuse_unknown(wanted.after, dialect)
        page = await self._store.list_responses(await self._search.filter(wanted, dialect=dialect))
        found = []
        for response_id in page.data:
            with suppress(ResponseNotFound):
                found.append(await self.retrieve(response_id, dialect))
        return ListPage(data=tuple(found), has_more=page.has_more)

    async def _opened(self, response_id: str, dialect: str) -> tuple[StoredSession, JsonObject, Origin]:
        """A completion's row, its response without output, and its origin."""
        session = await self._store.get_by_response_id(response_id)
        if session is None:
            raise ResponseNotFound(response_id)
        response, origin = await self._payloads.open_with_origin(session.payload, response_id)
        if origin is None or origin.dialect != dialect:
            raise ResponseNotFound(response_id)
        response["created_at"] = session.created_at  # as the commit clamped it
        return session, response, origin

    async def _completion(
        self, session: StoredSession, response: JsonObject, origin: Origin, *, with_input: bool = False
    ) -> StoredCompletion:
        output = await self._bodies(session.messages[session.output_index :])
        return StoredCompletion(
            response={**response, "output": output},
            origin=origin,
            input=tuple(await self._bodies(session.messages[: session.output_index])) if with_input else (),
        )

    async def _bodies(self, messages: Sequence[StoredItem | NewItem | Reference]) -> Sequence[JsonObject]:
        items = await self._payloads.items(cast(Sequence[StoredItem], messages))  # as a store answers them
        return [item.body for item in items]
