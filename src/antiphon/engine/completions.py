"""
Stored completions: the use cases of responses as the dialect sees them that they were asked for in.

The ids that go in and out are the dialect's own. What is unknown, was not asked for in this dialect, or is no id of a
completion at all, is one and the same: CompletionNotFound.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager, suppress

import msgspec

from antiphon.engine.audit import AuditTrail
from antiphon.engine.quota import Quota
from antiphon.hub.completions import CompletionFormat, StoredCompletion
from antiphon.hub.errors import CompletionNotFound, ResponseNotFound, UpstreamBroken
from antiphon.hub.format import PageRequest
from antiphon.hub.items import JsonObject
from antiphon.hub.library import ListRequest
from antiphon.hub.principal import LOCAL, Principal
from antiphon.sessions.completions import Completions
from antiphon.sessions.library import ListPage
from antiphon.sessions.sessions import TenantSessions

__all__ = ["StoredCompletions"]


class StoredCompletions:
    """
    What is stored for a principal's tenant of one dialect's completions.

    Args:
        state: Gives the state of a principal's tenant. Raises InvalidRequest where no state is kept.
        delete: Deletes a response; see :meth:`Gateway.delete`.
    """

    def __init__(
        self,
        format: CompletionFormat,  # noqa: A002 - the field's own word
        *,
        state: Callable[[Principal], Awaitable[TenantSessions]],
        delete: Callable[[str, Principal], Awaitable[JsonObject]],
        trail: AuditTrail,
        quota: Quota,
    ) -> None:
        self._format = format
        self._dialect = format.dialect
        self._state = state
        self._delete = delete
        self._trail = trail
        self._quota = quota

    async def retrieve(self, completion_id: str, principal: Principal = LOCAL) -> JsonObject:
        """
        A stored completion.

        Raises:
            CompletionNotFound: There is none.
            UpstreamBroken: The model said something that the dialect has no words for.
        """
        with self._trail.reading(principal, "response.read", self._named(completion_id)), _called(completion_id):
            completions = await self._completions(principal)
            return self._format.show(await completions.retrieve(self._known(completion_id), self._dialect))

    async def list(self, wanted: ListRequest, principal: Principal = LOCAL) -> ListPage[JsonObject]:
        """
        Stored completions in the order in which they were stored.

        What the dialect has no words for, and its retrieval therefore refuses, is left out; not so that a page is
        empty though there is more, for which clients would take it as the end.

        Raises:
            CompletionNotFound: The cursor is unknown.
        """
        after = wanted.after
        with self._trail.reading(principal, "response.list"), _called(after or ""):
            completions = await self._completions(principal)
            wanted = msgspec.structs.replace(wanted, after=None if after is None else self._known(after))
            page = await completions.list(wanted, self._dialect)
            while not (shown := tuple(self._shown(page.data))) and page.has_more and page.data:
                wanted = msgspec.structs.replace(wanted, after=page.data[-1].response["id"])
                page = await completions.list(wanted, self._dialect)
        return ListPage(data=shown, has_more=page.has_more)

    async def messages(
        self, completion_id: str, page: PageRequest, principal: Principal = LOCAL
    ) -> ListPage[JsonObject]:
        """
        One page of the messages that a completion was asked for with.

        Raises:
            CompletionNotFound: There is no such completion.
            ItemNotFound: The cursor is not among its messages.
        """
        with self._trail.reading(principal, "items.read", self._named(completion_id)), _called(completion_id):
            completions = await self._completions(principal)
            found = await completions.retrieve(self._known(completion_id), self._dialect, with_input=True)
            shown, has_more = self._format.show_messages(found, page)
            return ListPage(data=tuple(shown), has_more=has_more)

    async def update(self, completion_id: str, metadata: dict[str, str], principal: Principal = LOCAL) -> JsonObject:
        """
        Replace a completion's metadata; answers the completion.

        Raises:
            CompletionNotFound: There is no such completion.
            QuotaExceeded: The tenant may not store more.
        """
        named = self._named(completion_id)
        with self._trail.refusing(principal, "response.update", named), _called(completion_id):
            completions = await self._completions(principal)
            await self._quota.refuse_full(principal.tenant)
            await completions.refuse_unknown(self._known(completion_id), self._dialect)
        async with self._trail.joining(principal, ("response.update", named)) as audit:
            with _called(completion_id):
                updated = await completions.update(named, self._dialect, metadata, audit=audit)
        return self._format.show(updated)

    async def delete(self, completion_id: str, principal: Principal = LOCAL) -> JsonObject:
        """
        Delete a completion, and with it the response; answers what the dialect says of it.

        Raises:
            CompletionNotFound: There is no such completion.
        """
        with _called(completion_id):
            with self._trail.refusing(principal, "response.delete", self._named(completion_id)):
                completions = await self._completions(principal)
                await completions.refuse_unknown(self._known(completion_id), self._dialect)
            await self._delete(self._known(completion_id), principal)
        return self._format.show_deleted(completion_id)

    def _shown(self, completions: Iterable[StoredCompletion]) -> Iterator[JsonObject]:
        for completion in completions:
            with suppress(UpstreamBroken):
                yield self._format.show(completion)

    async def _completions(self, principal: Principal) -> Completions:
        return (await self._state(principal)).completions

    def _named(self, completion_id: str) -> str:
        """What the audit trail calls a completion: its response, as everywhere else."""
        return self._format.response_id(completion_id) or completion_id

    def _known(self, completion_id: str) -> str:
        """
        The id of a completion's response.

        Raises:
            CompletionNotFound: It is no id of a completion.
        """
        response_id = self._format.response_id(completion_id)
        if response_id is None:
            raise CompletionNotFound(completion_id)
        return response_id


@contextmanager
def _called(completion_id: str) -> Iterator[None]:
    """Around what looks for a response: one that is unknown is so under the name that the client gave it."""
    try:
        yield
    except ResponseNotFound:
        raise CompletionNotFound(completion_id) from None
