"""
The library: the use cases of what is stored that run no turn. Conversations and their items, lists, forks, exports and
prompts, for whoever calls (the server, or a program that embeds the gateway).
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing

from antiphon.engine.idempotency import Answered, Idempotency
from antiphon.hub.format import PageRequest
from antiphon.hub.items import JsonObject
from antiphon.hub.library import ConversationDraft, CursorPage, ForkDraft, ListRequest
from antiphon.hub.principal import LOCAL, Principal
from antiphon.hub.prompt import Prompt
from antiphon.sessions.conversations import ListedItems
from antiphon.sessions.keys import KeyedRequest
from antiphon.sessions.library import ListPage
from antiphon.sessions.sessions import TenantSessions
from antiphon.sessions.work import Settle

__all__ = ["Library"]


class Library:
    """
    What is stored for a principal's tenant. Every method is one use case of the sessions layer, which says what it
    raises; an id of another tenant is unknown.

    Args:
        state: Gives the state of a principal's tenant. Raises InvalidRequest where no state is kept.
        idempotency: Knows the requests with a key.
    """

    def __init__(self, state: Callable[[Principal], Awaitable[TenantSessions]], idempotency: Idempotency) -> None:
        self._state = state
        self._idempotency = idempotency

    async def once(
        self,
        request: KeyedRequest | None,
        create: Callable[[Settle | None], Awaitable[JsonObject]],
        principal: Principal = LOCAL,
    ) -> Answered:
        """
        The answer to a request that creates something; with an idempotency key, the answer that it had before.

        Args:
            request: None for a request without a key.
            create: Carries it out, with what it hands on to one of the methods below.

        Raises:
            IdempotencyKeyReused: The key was used for another request.
            IdempotencyConflict: Another process carries it out right now.
        """
        if request is None:
            return Answered(await create(None))
        state = await self._state(principal)
        return await self._idempotency.answer(state, principal.tenant, request, create)

    # Conversations.

    async def create_conversation(
        self, draft: ConversationDraft, principal: Principal = LOCAL, *, settle: Settle | None = None
    ) -> JsonObject:
        """See :meth:`Conversations.create`; an import is created in the same way."""
        return await (await self._state(principal)).conversations.create(draft, settle=settle)

    async def retrieve_conversation(self, conversation_id: str, principal: Principal = LOCAL) -> JsonObject:
        """See :meth:`Conversations.retrieve`."""
        return await (await self._state(principal)).conversations.retrieve(conversation_id)

    async def update_conversation(
        self, conversation_id: str, metadata: dict[str, str], principal: Principal = LOCAL
    ) -> JsonObject:
        """See :meth:`Conversations.update`."""
        return await (await self._state(principal)).conversations.update(conversation_id, metadata)

    async def delete_conversation(
        self, conversation_id: str, principal: Principal = LOCAL, *, cascade: bool = False
    ) -> JsonObject:
        """See :meth:`Conversations.delete`. Answers what the API says of a conversation that was deleted."""
        await (await self._state(principal)).conversations.delete(conversation_id, cascade=cascade)
        return {"id": conversation_id, "object": "conversation.deleted", "deleted": True}

    async def list_conversations(self, wanted: ListRequest, principal: Principal = LOCAL) -> ListPage[JsonObject]:
        """See :meth:`Conversations.list`."""
        return await (await self._state(principal)).conversations.list(wanted)

    async def fork_conversation(
        self,
        conversation_id: str,
        draft: ForkDraft,
        principal: Principal = LOCAL,
        *,
        settle: Settle | None = None,
    ) -> JsonObject:
        """See :meth:`Conversations.fork`."""
        return await (await self._state(principal)).conversations.fork(conversation_id, draft, settle=settle)

    async def rewind_conversation(self, conversation_id: str, to: str, principal: Principal = LOCAL) -> JsonObject:
        """See :meth:`Conversations.rewind`."""
        return await (await self._state(principal)).conversations.rewind(conversation_id, to)

    async def export_conversation(
        self, conversation_id: str, principal: Principal = LOCAL
    ) -> AsyncGenerator[Sequence[JsonObject], None]:
        """See :meth:`Conversations.export`."""
        async with aclosing((await self._state(principal)).conversations.export(conversation_id)) as groups:
            async for lines in groups:
                yield lines

    # Items.

    async def conversation_items(
        self, conversation_id: str, page: PageRequest, principal: Principal = LOCAL
    ) -> ListedItems:
        """See :meth:`Conversations.items`."""
        return await (await self._state(principal)).conversations.items(conversation_id, page)

    async def conversation_item(self, conversation_id: str, item_id: str, principal: Principal = LOCAL) -> JsonObject:
        """See :meth:`Conversations.item`."""
        return await (await self._state(principal)).conversations.item(conversation_id, item_id)

    async def append_items(
        self,
        conversation_id: str,
        bodies: Sequence[JsonObject],
        principal: Principal = LOCAL,
        *,
        settle: Settle | None = None,
    ) -> ListedItems:
        """See :meth:`Conversations.append`."""
        return await (await self._state(principal)).conversations.append(conversation_id, bodies, settle=settle)

    async def remove_item(self, conversation_id: str, item_id: str, principal: Principal = LOCAL) -> JsonObject:
        """See :meth:`Conversations.remove`."""
        return await (await self._state(principal)).conversations.remove(conversation_id, item_id)

    # Responses.

    async def list_responses(self, wanted: ListRequest, principal: Principal = LOCAL) -> ListPage[JsonObject]:
        """See :meth:`TenantSessions.list_responses`."""
        return await (await self._state(principal)).list_responses(wanted)

    # Webhooks.

    async def list_deliveries(self, page: CursorPage, principal: Principal = LOCAL) -> ListPage[JsonObject]:
        """See :meth:`Deliveries.list`."""
        return await (await self._state(principal)).deliveries.list(page)

    # Prompts.

    async def create_prompt(
        self, prompt: Prompt, principal: Principal = LOCAL, *, settle: Settle | None = None
    ) -> JsonObject:
        """See :meth:`Prompts.create`."""
        return await (await self._state(principal)).prompts.create(prompt, settle=settle)

    async def revise_prompt(
        self, prompt_id: str, prompt: Prompt, principal: Principal = LOCAL, *, settle: Settle | None = None
    ) -> JsonObject:
        """See :meth:`Prompts.revise`."""
        return await (await self._state(principal)).prompts.revise(prompt_id, prompt, settle=settle)

    async def retrieve_prompt(
        self, prompt_id: str, version: str | None = None, principal: Principal = LOCAL
    ) -> JsonObject:
        """See :meth:`Prompts.retrieve`."""
        return await (await self._state(principal)).prompts.retrieve(prompt_id, version)

    async def list_prompts(self, page: CursorPage, principal: Principal = LOCAL) -> ListPage[JsonObject]:
        """See :meth:`Prompts.list`."""
        return await (await self._state(principal)).prompts.list(page)

    async def delete_prompt(self, prompt_id: str, principal: Principal = LOCAL) -> JsonObject:
        """See :meth:`Prompts.delete`. Answers what was deleted, in the form that the API has for conversations."""
        await (await self._state(principal)).prompts.delete(prompt_id)
        return {"id": prompt_id, "object": "prompt.deleted", "deleted": True}
