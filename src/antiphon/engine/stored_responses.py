"""Stored responses: the use cases of what is kept of a turn, and of one that still runs, as its tenant sees it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import cast

from antiphon.engine.audit import AuditTrail
from antiphon.engine.receipts import deleted_body
from antiphon.engine.turns import Turns
from antiphon.hub.errors import InvalidRequest, ResponseNotFound
from antiphon.hub.format import PageRequest
from antiphon.hub.items import JsonObject, copied
from antiphon.hub.principal import Principal
from antiphon.sessions.conversations import page_of_items
from antiphon.sessions.sessions import ListedItems, TenantSessions

__all__ = ["StoredResponses", "own_copy"]


class StoredResponses:
    """
    The responses of a principal's tenant.

    Args:
        state: Gives the state of a principal's tenant. Raises InvalidRequest where no state is kept.
        turns: Knows of those that run here.
    """

    def __init__(
        self, state: Callable[[Principal], Awaitable[TenantSessions]], *, turns: Turns, trail: AuditTrail
    ) -> None:
        self._state = state
        self._turns = turns
        self._trail = trail

    async def retrieve(self, response_id: str, principal: Principal) -> JsonObject:
        """
        A stored response; one that still runs as it is now.

        Raises:
            ResponseNotFound: This tenant has no such response.
        """
        with self._trail.reading(principal, "response.read", response_id):
            sessions = await self._state(principal)
            run = self._turns.running(response_id, principal)
            if run is not None and run.snapshot is not None:
                return own_copy(run.snapshot())
            return await sessions.retrieve_or_snapshot(response_id)

    async def cancel(self, response_id: str, principal: Principal) -> JsonObject:
        """
        End a background response. One that is cancelled already is answered as it is.

        Raises:
            ResponseNotFound: This tenant has no such response.
            InvalidRequest: It is no background response, or it has ended otherwise.
        """
        with self._trail.refusing(principal, "response.cancel", response_id):
            sessions = await self._state(principal)
            if not self._turns.running(response_id, principal) and not await sessions.pending.exists(response_id):
                response = await sessions.retrieve(response_id)
                _check_cancelled(response)
                return own_copy(response)
        async with self._trail.writing(principal, ("response.cancel", response_id)):
            ended = await self._turns.cancel(response_id, principal)
            response = ended if ended is not None else await sessions.retrieve(response_id)
            _check_cancelled(response)
        return own_copy(response)

    async def delete(
        self, response_id: str, principal: Principal, *, cascade: bool, receipt: bool, dry_run: bool
    ) -> JsonObject:
        """
        Make a response unknown, and erase what nothing else stands on.

        Args:
            cascade: Erase what stands on it as well.
            receipt: Say what was erased.
            dry_run: Erase nothing, and say what would be.

        Raises:
            ResponseNotFound: This tenant has no such response.
            InvalidRequest: It still runs.
            ConversationLocked: With *cascade*, a turn holds a conversation that would change.
        """
        if dry_run:
            with self._trail.reading(principal, "response.read", response_id):
                sessions = await self._deletable(response_id, principal)
                erasure = await sessions.delete(response_id, cascade=cascade, dry_run=True)
            return deleted_body("response", response_id, erasure, receipt=receipt, dry_run=True)
        with self._trail.refusing(principal, "response.delete", response_id):
            sessions = await self._deletable(response_id, principal)
        async with self._trail.writing(principal, ("response.delete", response_id)):
            erasure = await sessions.delete(response_id, cascade=cascade)
        return deleted_body("response", response_id, erasure, receipt=receipt, dry_run=False)

    async def _deletable(self, response_id: str, principal: Principal) -> TenantSessions:
        sessions = await self._state(principal)
        if self._turns.running(response_id, principal) or await sessions.pending.exists(response_id):
            raise InvalidRequest("Cannot delete an in-flight response.")
        if not await sessions.has_response(response_id):
            raise ResponseNotFound(response_id)
        return sessions

    async def input_items(self, response_id: str, page: PageRequest, principal: Principal) -> ListedItems:
        """
        What the model saw, or sees while the turn runs, as one page.

        Raises:
            ResponseNotFound: This tenant has no such response.
            ItemNotFound: The cursor is not among these items.
        """
        with self._trail.reading(principal, "items.read", response_id):
            return await self._input_items(response_id, page, principal)

    async def _input_items(self, response_id: str, page: PageRequest, principal: Principal) -> ListedItems:
        sessions = await self._state(principal)
        run = self._turns.running(response_id, principal)
        if run is not None:
            return page_of_items(run.items, page)
        try:
            return await sessions.input_items(response_id, page)
        except ResponseNotFound:
            pending = await sessions.pending.find(response_id)
            if pending is None:
                return await sessions.input_items(response_id, page)  # it may have ended in between
            return page_of_items((await sessions.resume(pending)).items, page)


def _check_cancelled(response: JsonObject) -> None:
    if not response["background"]:
        raise InvalidRequest("Cannot cancel a synchronous response.")
    match response["status"]:
        case "completed" | "failed" as status:
            raise InvalidRequest(f"Cannot cancel a {status} response.")
        case "incomplete":
            raise InvalidRequest("Cannot cancel a response in terminal state.")


def own_copy(response: JsonObject) -> JsonObject:
    """A copy for the caller, who may do with it as he likes: its items are those that are stored and replayed."""
    return cast(JsonObject, copied(response))
