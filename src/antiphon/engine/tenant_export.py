"""
Taking out what a tenant has stored: one line of JSON for each thing, in the forms that the API has for them.

The first line says what the file is. Then come prompts, conversations with their items, and responses with the input
and output items of their own turn: the history that a turn stood on is in the lines of the turns before it. Read a page
at a time, so that it may be as long as it likes; what goes meanwhile is left out.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, suppress

from antiphon.hub.errors import ConversationNotFound, ItemNotFound, ResponseNotFound
from antiphon.hub.items import JsonObject
from antiphon.hub.library import CursorPage, ListRequest
from antiphon.sessions.library import ListPage
from antiphon.sessions.sessions import TenantSessions

__all__ = ["export_end_user", "export_tenant"]

_VERSION = 1
_PAGE = 100


async def export_tenant(state: TenantSessions, tenant: str) -> AsyncGenerator[JsonObject, None]:
    """Everything that a tenant has stored and that has not expired."""
    yield {"object": "tenant.export", "version": _VERSION, "tenant": tenant}
    async for prompt in _listed(lambda after: state.prompts.list(CursorPage(limit=_PAGE, after=after))):
        yield prompt
    async for conversation in _listed(lambda after: state.conversations.list(_oldest_first(after))):
        async for line in _conversation(state, conversation["id"]):
            yield line
    async for response in _listed(lambda after: state.list_responses(_oldest_first(after))):
        async for line in _response(state, response["id"]):
            yield line


async def export_end_user(state: TenantSessions, tenant: str, end_user: str) -> AsyncGenerator[JsonObject, None]:
    """What was made on behalf of an end user, with the conversations that it was made in."""
    yield {"object": "end_user.export", "version": _VERSION, "tenant": tenant, "end_user": end_user}
    found = await state.end_users.made_for(end_user)
    for conversation_id in found.conversations:
        async for line in _conversation(state, conversation_id):
            yield line
    for response_id in found.responses:
        async for line in _response(state, response_id):
            yield line


def _oldest_first(after: str | None) -> ListRequest:
    return ListRequest(limit=_PAGE, order="asc", after=after)


async def _listed(page_after: Callable[[str | None], Awaitable[ListPage[JsonObject]]]) -> AsyncIterator[JsonObject]:
    after: str | None = None
    while True:
        page = await page_after(after)
        for value in page.data:
            yield value
        if not page.has_more or not page.data:
            return
        after = str(page.data[-1]["id"])


async def _conversation(state: TenantSessions, conversation_id: str) -> AsyncIterator[JsonObject]:
    with suppress(ConversationNotFound, ItemNotFound):  # it went while it was read
        async with aclosing(state.conversations.export(conversation_id)) as groups:
            async for lines in groups:
                for line in lines:
                    yield line


async def _response(state: TenantSessions, response_id: str) -> AsyncIterator[JsonObject]:
    with suppress(ResponseNotFound):
        yield {"object": "response.export", **await state.exported(response_id)}
