"""
Stored prompts: kept and versioned for one tenant, and filled into the turns that name them.

A version's payload is the JSON object ``{"v": 1, "prompt": {...}}``, with the fields of
:class:`~antiphon.hub.prompt.Prompt`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import msgspec

from antiphon.hub.errors import ConversationNotFound, LeaseLost, PromptNotFound, StoreConflict, StoreCorrupt
from antiphon.hub.ids import IdFactory
from antiphon.hub.items import JsonObject
from antiphon.hub.library import CursorPage
from antiphon.hub.prompt import Prompt, apply_prompt
from antiphon.hub.turn import TurnRequest
from antiphon.sessions.kept import CreatedPrompt
from antiphon.sessions.library import ListPage, NewPrompt, StoredPrompt
from antiphon.sessions.payloads import Payloads
from antiphon.sessions.store import TenantStore
from antiphon.sessions.work import Settle

__all__ = ["Prompts"]

_PAYLOAD_VERSION = 1
# Each try that fails is another one's success; so many others at once are none that somebody waits for.
_MAX_TRIES = 64
_VERSION = re.compile(r"[1-9][0-9]{0,17}")


class Prompts:
    """
    One tenant's stored prompts.

    What creates something can be given *settle*: with it, an idempotency key is settled in the same transaction.
    """

    def __init__(self, *, store: TenantStore, payloads: Payloads, ids: IdFactory, clock: Callable[[], float]) -> None:
        self._store = store
        self._payloads = payloads
        self._ids = ids
        self._clock = clock

    async def create(self, prompt: Prompt, *, settle: Settle | None = None, new_id: str | None = None) -> JsonObject:
        """Store the first version of a prompt."""
        return await self._add(prompt, new_id or self._ids.prompt(self._ids.family()), 1, settle)

    async def revise(self, prompt_id: str, prompt: Prompt, *, settle: Settle | None = None) -> JsonObject:
        """
        Store a new version of a prompt; the ones before it stay.

        Raises:
            PromptNotFound: This tenant has no such prompt.
        """
        tries = 0
        while True:
            newest = await self._find(prompt_id, None)
            try:
                return await self._add(prompt, prompt_id, newest.latest + 1, settle)
            except StoreConflict as error:
                # Somebody else added this version in between: ours is the one after it.
                tries += 1
                if isinstance(error, LeaseLost) or tries == _MAX_TRIES:
                    raise

    async def retrieve(self, prompt_id: str, version: str | None = None) -> JsonObject:
        """
        A version of a prompt; None is the newest.

        Raises:
            PromptNotFound: This tenant has no such prompt, or it has no such version.
        """
        return await self._body(await self._find(prompt_id, version))

    async def list(self, page: CursorPage) -> ListPage[JsonObject]:
        """
        The newest version of every prompt, newest prompt first.

        Raises:
            PromptNotFound: The cursor is unknown to this tenant.
        """
        found = await self._store.list_prompts(limit=page.limit + 1, after=page.after)
        data = [await self._body(stored) for stored in found[: page.limit]]
        return ListPage(data=tuple(data), has_more=len(found) > page.limit)

    async def delete(self, prompt_id: str) -> None:
        """
        Remove a prompt with all its versions. Responses that were made with it keep what they were made of.

        Raises:
            PromptNotFound: This tenant has no such prompt.
        """
        if not await self._store.delete_prompt(prompt_id):
            raise PromptNotFound(prompt_id)

    async def fill(self, request: TurnRequest) -> TurnRequest:
        """
        What a request asks for once the prompt that it names is filled in; the request itself if it names none.

        The conversation that it names is looked up before the prompt, as the API does.

        Raises:
            ConversationNotFound: This tenant has no such conversation.
            PromptNotFound: This tenant has no such prompt, or it has no such version.
            InvalidRequest: See :func:`~antiphon.hub.prompt.apply_prompt`.
        """
        if request.prompt is None:
            return request
        if request.conversation is not None and await self._store.read_conversation(request.conversation) is None:
            raise ConversationNotFound(request.conversation)
        stored = await self._find(request.prompt["id"], request.prompt.get("version"))
        return apply_prompt(request, await self._open(stored), version=str(stored.version))

    async def _add(self, prompt: Prompt, prompt_id: str, version: int, settle: Settle | None) -> JsonObject:
        created_at = int(self._clock())
        payload = await self._payload(prompt, prompt_id, version)
        new = NewPrompt(id=prompt_id, version=version, created_at=created_at, payload=payload)
        answer = _body(prompt, prompt_id, version, created_at)
        settlement = await settle(CreatedPrompt(prompt_id, version)) if settle else None
        await self._store.add_prompt(new, settlement=settlement)
        return answer

    async def _find(self, prompt_id: str, version: str | None) -> StoredPrompt:
        if version is not None and not _VERSION.fullmatch(version):
            raise PromptNotFound(prompt_id)
        stored = await self._store.read_prompt(prompt_id, None if version is None else int(version))
        if stored is None:
            raise PromptNotFound(prompt_id)
        return stored

    async def _payload(self, prompt: Prompt, prompt_id: str, version: int) -> bytes:
        value = {"v": _PAYLOAD_VERSION, "prompt": msgspec.to_builtins(prompt)}
        return await self._payloads.prompt(value, prompt_id, version)

    async def _open(self, stored: StoredPrompt) -> Prompt:
        value = await self._payloads.open_prompt(stored.payload, stored.id, stored.version)
        if value.get("v") != _PAYLOAD_VERSION:
            raise StoreCorrupt(f"The stored prompt '{stored.id}' has the unknown version {value.get('v')!r}.")
        return msgspec.convert(value["prompt"], Prompt)

    async def _body(self, stored: StoredPrompt) -> JsonObject:
        return _body(await self._open(stored), stored.id, stored.version, stored.created_at)


def _body(prompt: Prompt, prompt_id: str, version: int, created_at: int) -> JsonObject:
    """A version of a prompt as clients see it: every field, null where it says nothing."""
    said: dict[str, Any] = {name: getattr(prompt, name) for name in prompt.__struct_fields__}
    said["variables"] = {name: msgspec.to_builtins(variable) for name, variable in prompt.variables.items()}
    return {"id": prompt_id, "object": "prompt", "version": str(version), "created_at": created_at, **said}
