"""
The library: the use cases of what is stored that run no turn. Conversations and their items, lists, forks, exports and
prompts, for whoever calls (the server, or a program that embeds the gateway).

Every one of them is in the audit trail: what changes something goes there first, and what would store something more is
refused to a tenant that has used up its quota.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing, asynccontextmanager

from antiphon.engine.audit import AuditTrail
from antiphon.engine.audit_entry import Action, Deed
from antiphon.engine.idempotency import Answered, Idempotency, asked_by
from antiphon.engine.quota import Quota
from antiphon.engine.receipts import deleted_body
from antiphon.hub.format import PageRequest
from antiphon.hub.ids import IdFactory, family_of
from antiphon.hub.items import JsonObject
from antiphon.hub.library import ConversationDraft, CursorPage, ForkDraft, ListRequest
from antiphon.hub.principal import LOCAL, Principal
from antiphon.hub.prompt import Prompt
from antiphon.sessions.conversations import Conversations, ListedItems
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

    def __init__(
        self,
        state: Callable[[Principal], Awaitable[TenantSessions]],
        *,
        ids: IdFactory,
        idempotency: Idempotency,
        trail: AuditTrail,
        quota: Quota,
    ) -> None:
        self._state = state
        self._ids = ids
        self._idempotency = idempotency
        self._trail = trail
        self._quota = quota

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
        answered = await self._idempotency.answer(state, principal.tenant, asked_by(request, principal), create)
        if answered.replayed:
            with self._trail.reading(principal, "request.replay", str(answered.answer.get("id", ""))):
                return answered
        return answered

    # Conversations.

    async def create_conversation(
        self, draft: ConversationDraft, principal: Principal = LOCAL, *, settle: Settle | None = None
    ) -> JsonObject:
        """See :meth:`Conversations.create`; an import is created in the same way."""
        with self._trail.refusing(principal, "conversation.create"):
            conversations = (await self._storing(principal)).conversations
        new_id = self._ids.conversation(self._ids.family())
        async with self._trail.writing(principal, ("conversation.create", new_id)):
            return await conversations.create(draft, settle=settle, new_id=new_id)

    async def retrieve_conversation(self, conversation_id: str, principal: Principal = LOCAL) -> JsonObject:
        """See :meth:`Conversations.retrieve`."""
        with self._trail.reading(principal, "conversation.read", conversation_id):
            return await (await self._state(principal)).conversations.retrieve(conversation_id)

    async def update_conversation(
        self, conversation_id: str, metadata: dict[str, str], principal: Principal = LOCAL
    ) -> JsonObject:
        """See :meth:`Conversations.update`."""
        async with self._adding(principal, "conversation.update", conversation_id) as conversations:
            return await conversations.update(conversation_id, metadata)

    async def delete_conversation(
        self,
        conversation_id: str,
        principal: Principal = LOCAL,
        *,
        cascade: bool = False,
        receipt: bool = False,
        dry_run: bool = False,
    ) -> JsonObject:
        """
        See :meth:`Conversations.delete`. Answers what the API says of a conversation that was deleted.

        Args:
            receipt: Say what was erased; of a dry run, which erases nothing, it is always said.
        """
        if dry_run:
            with self._trail.reading(principal, "conversation.read", conversation_id):
                conversations = (await self._state(principal)).conversations
                erasure = await conversations.delete(conversation_id, cascade=cascade, dry_run=True)
        else:
            async with self._changing(principal, "conversation.delete", conversation_id) as conversations:
                erasure = await conversations.delete(conversation_id, cascade=cascade)
        return deleted_body("conversation.deleted", conversation_id, erasure, receipt=receipt, dry_run=dry_run)

    async def list_conversations(self, wanted: ListRequest, principal: Principal = LOCAL) -> ListPage[JsonObject]:
        """See :meth:`Conversations.list`."""
        with self._trail.reading(principal, "conversation.list"):
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
        with self._trail.refusing(principal, "conversation.fork", conversation_id):
            conversations = (await self._storing(principal)).conversations
            await conversations.retrieve(conversation_id)
        new_id = self._ids.conversation(family_of(conversation_id))
        deeds: tuple[Deed, ...] = (("conversation.fork", conversation_id), ("conversation.create", new_id))
        async with self._trail.writing(principal, *deeds):
            return await conversations.fork(conversation_id, draft, settle=settle, new_id=new_id)

    async def rewind_conversation(self, conversation_id: str, to: str, principal: Principal = LOCAL) -> JsonObject:
        """See :meth:`Conversations.rewind`."""
        async with self._changing(principal, "conversation.rewind", conversation_id) as conversations:
            return await conversations.rewind(conversation_id, to)

    async def export_conversation(
        self, conversation_id: str, principal: Principal = LOCAL
    ) -> AsyncGenerator[Sequence[JsonObject], None]:
        """See :meth:`Conversations.export`."""
        async with aclosing((await self._state(principal)).conversations.export(conversation_id)) as groups:
            with self._trail.reading(principal, "conversation.export", conversation_id):
                first = await anext(groups)
            yield first
            async for lines in groups:
                yield lines

    # Items.

    async def conversation_items(
        self, conversation_id: str, page: PageRequest, principal: Principal = LOCAL
    ) -> ListedItems:
        """See :meth:`Conversations.items`."""
        with self._trail.reading(principal, "items.read", conversation_id):
            return await (await self._state(principal)).conversations.items(conversation_id, page)

    async def conversation_item(self, conversation_id: str, item_id: str, principal: Principal = LOCAL) -> JsonObject:
        """See :meth:`Conversations.item`."""
        with self._trail.reading(principal, "items.read", item_id):
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
        async with self._adding(principal, "conversation.append", conversation_id) as conversations:
            return await conversations.append(conversation_id, bodies, settle=settle)

    async def remove_item(self, conversation_id: str, item_id: str, principal: Principal = LOCAL) -> JsonObject:
        """See :meth:`Conversations.remove`."""
        async with self._changing(principal, "conversation.remove", conversation_id) as conversations:
            return await conversations.remove(conversation_id, item_id)

    # Responses.

    async def list_responses(self, wanted: ListRequest, principal: Principal = LOCAL) -> ListPage[JsonObject]:
        """See :meth:`TenantSessions.list_responses`."""
        with self._trail.reading(principal, "response.list"):
            return await (await self._state(principal)).list_responses(wanted)

    # Webhooks.

    async def list_deliveries(self, page: CursorPage, principal: Principal = LOCAL) -> ListPage[JsonObject]:
        """See :meth:`Deliveries.list`."""
        with self._trail.reading(principal, "webhooks.read"):
            return await (await self._state(principal)).deliveries.list(page)

    # Prompts.

    async def create_prompt(
        self, prompt: Prompt, principal: Principal = LOCAL, *, settle: Settle | None = None
    ) -> JsonObject:
        """See :meth:`Prompts.create`."""
        with self._trail.refusing(principal, "prompt.create"):
            prompts = (await self._storing(principal)).prompts
        new_id = self._ids.prompt(self._ids.family())
        async with self._trail.writing(principal, ("prompt.create", new_id)):
            return await prompts.create(prompt, settle=settle, new_id=new_id)

    async def revise_prompt(
        self, prompt_id: str, prompt: Prompt, principal: Principal = LOCAL, *, settle: Settle | None = None
    ) -> JsonObject:
        """See :meth:`Prompts.revise`."""
        with self._trail.refusing(principal, "prompt.revise", prompt_id):
            prompts = (await self._storing(principal)).prompts
            await prompts.retrieve(prompt_id)
        async with self._trail.writing(principal, ("prompt.revise", prompt_id)):
            return await prompts.revise(prompt_id, prompt, settle=settle)

    async def retrieve_prompt(
        self, prompt_id: str, version: str | None = None, principal: Principal = LOCAL
    ) -> JsonObject:
        """See :meth:`Prompts.retrieve`."""
        with self._trail.reading(principal, "prompt.read", prompt_id):
            return await (await self._state(principal)).prompts.retrieve(prompt_id, version)

    async def list_prompts(self, page: CursorPage, principal: Principal = LOCAL) -> ListPage[JsonObject]:
        """See :meth:`Prompts.list`."""
        with self._trail.reading(principal, "prompt.list"):
            return await (await self._state(principal)).prompts.list(page)

    async def delete_prompt(self, prompt_id: str, principal: Principal = LOCAL) -> JsonObject:
        """See :meth:`Prompts.delete`. Answers what was deleted, in the form that the API has for conversations."""
        with self._trail.refusing(principal, "prompt.delete", prompt_id):
            prompts = (await self._state(principal)).prompts
            await prompts.retrieve(prompt_id)
        async with self._trail.writing(principal, ("prompt.delete", prompt_id)):
            await prompts.delete(prompt_id)
        return {"id": prompt_id, "object": "prompt.deleted", "deleted": True}

    # What all changes have in common.

    async def _storing(self, principal: Principal) -> TenantSessions:
        """
        The state of a tenant that may store more.

        Raises:
            QuotaExceeded: It may not.
        """
        state = await self._state(principal)
        await self._quota.refuse_full(principal.tenant)
        return state

    @asynccontextmanager
    async def _adding(self, principal: Principal, action: Action, conversation_id: str) -> AsyncIterator[Conversations]:
        """Around a change of a conversation that stores something more."""
        with self._trail.refusing(principal, action, conversation_id):
            await self._storing(principal)
        async with self._changing(principal, action, conversation_id) as conversations:
            yield conversations

    @asynccontextmanager
    async def _changing(
        self, principal: Principal, action: Action, conversation_id: str
    ) -> AsyncIterator[Conversations]:
        """Around a change of a conversation: of one that there is not, only the refusal is in the trail."""
        with self._trail.refusing(principal, action, conversation_id):
            conversations = (await self._state(principal)).conversations
            await conversations.retrieve(conversation_id)
        async with self._trail.writing(principal, (action, conversation_id)):
            yield conversations
