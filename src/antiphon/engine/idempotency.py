"""
Idempotency: a request that is sent again with its key is answered again, not carried out again.

One process carries a request out; whoever else sends it, here or elsewhere, is given the same answer: the run that is
under way, the stored response, or the stored answer. A key is bound in the transaction that creates what it stands
for, so a crash leaves either nothing, or something that the next one who comes finds.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

import msgspec

from antiphon.engine.run import Run
from antiphon.hub.errors import (
    AntiphonError,
    IdempotencyConflict,
    IdempotencyKeyReused,
    InvalidRequest,
    LeaseLost,
    NotFound,
    ResponseNotFound,
)
from antiphon.hub.ids import TenantId
from antiphon.hub.items import JsonObject
from antiphon.hub.principal import Principal
from antiphon.sessions.keys import KeyedRequest, Outcome
from antiphon.sessions.sessions import TenantSessions
from antiphon.sessions.work import KeyClaim, Settle

__all__ = ["Answered", "Begun", "Idempotency", "asked_by"]

T = TypeVar("T")

_KEPT_S = 24 * 3600
_LOOK_EVERY_S = 0.1
_KEY = re.compile(r"[\x21-\x7e]{1,255}")


class Begun(msgspec.Struct, frozen=True):
    """
    A turn that a request stands for.

    Attributes:
        replayed: It was begun by an earlier request with the same idempotency key.
    """

    run: Run
    replayed: bool = False


class Answered(msgspec.Struct, frozen=True):
    """The answer to a request that is not a turn."""

    answer: JsonObject
    replayed: bool = False


def asked_by(request: KeyedRequest, principal: Principal) -> KeyedRequest:
    """
    The request as this principal's. Whoever may ask for some models only shares no key with whoever may ask for
    others: he would be given an answer that he may not ask for.
    """
    if principal.models is None:
        return request
    return msgspec.structs.replace(request, operation=f"{request.operation} {sorted(principal.models)}")


class _Flight(msgspec.Struct, eq=False):
    """A request that this process carries out: what comes of it, for those who send it again meanwhile."""

    fingerprint: bytes
    landed: asyncio.Task[tuple[Any, bool]]


class Idempotency:
    """
    Args:
        holder: Names this process.
        ttl_s: How long a claim on a key lasts after a crash.
        wait_s: How long a duplicate waits for another process, before it is told to come again.
    """

    def __init__(self, *, holder: str, ttl_s: float, clock: Callable[[], float], wait_s: float = 30.0) -> None:
        self._holder = holder
        self._ttl_s = ttl_s
        self._clock = clock
        self._wait_s = wait_s
        self._flights: dict[tuple[TenantId, bytes], _Flight] = {}

    async def turn(
        self,
        sessions: TenantSessions,
        tenant: TenantId,
        request: KeyedRequest,
        *,
        begin: Callable[[KeyClaim], Awaitable[Run]],
        follow: Callable[[str], Awaitable[Run]],
    ) -> Begun:
        """
        The run of a request for a turn.

        Args:
            begin: Begins the turn under the claim; the store binds the key to it.
            follow: The run of a response that was begun elsewhere or earlier; raises ResponseNotFound if it is gone.

        Raises:
            IdempotencyKeyReused: The key was used for another request.
            IdempotencyConflict: The answer was not kept or is deleted, or another process has not begun yet.
            AntiphonError: The request was refused; its key is free again.
        """

        async def carry_out(claim: KeyClaim) -> Run:
            run = await begin(claim)
            if not run.is_kept:
                await self._settle_unkept(sessions, claim, run, stream=request.body.get("stream") is True)
            return run

        async def recall(outcome: Outcome) -> Run | None:
            if outcome.response_id is None:
                raise _not_kept()
            try:
                return await follow(outcome.response_id)
            except ResponseNotFound:
                if outcome.settled:
                    raise _deleted() from None
                return None

        return Begun(*await self._once(sessions, tenant, request, carry_out, recall))

    async def answer(
        self,
        sessions: TenantSessions,
        tenant: TenantId,
        request: KeyedRequest,
        carry_out: Callable[[Settle], Awaitable[JsonObject]],
    ) -> Answered:
        """
        The answer to a request that creates something else than a turn.

        Args:
            carry_out: Does it and returns the answer. It is given a function that makes, of what it creates, the
                settlement which the store writes in the same transaction.

        Raises:
            As :meth:`turn`.
        """

        async def perform(claim: KeyClaim) -> JsonObject:
            return await carry_out(lambda kept: sessions.keys.settlement(claim, kept))

        async def recall(outcome: Outcome) -> JsonObject | None:
            if outcome.kept is None:
                raise _not_kept()
            try:
                return await sessions.recall(outcome.kept)
            except NotFound:
                raise _deleted() from None

        return Answered(*await self._once(sessions, tenant, request, perform, recall))

    async def _once(
        self,
        sessions: TenantSessions,
        tenant: TenantId,
        request: KeyedRequest,
        carry_out: Callable[[KeyClaim], Awaitable[T]],
        recall: Callable[[Outcome], Awaitable[T | None]],
    ) -> tuple[T, bool]:
        if not _KEY.fullmatch(request.key):
            raise InvalidRequest(
                "Invalid 'Idempotency-Key': expected 1 to 255 visible ASCII characters.", param="Idempotency-Key"
            )
        key, fingerprint = await sessions.keys.hashes(request)
        while True:
            flight = self._flights.get((tenant, key))
            if flight is None:
                flight = self._fly(tenant, key, fingerprint, self._land(sessions, key, fingerprint, carry_out, recall))
                return await asyncio.shield(flight.landed)
            if flight.fingerprint != fingerprint:
                raise IdempotencyKeyReused
            with suppress(AntiphonError):  # it came to nothing, so this one is the first now
                landed, _ = await asyncio.shield(flight.landed)
                return landed, True

    def _fly(
        self, tenant: TenantId, key: bytes, fingerprint: bytes, landing: Coroutine[Any, Any, tuple[Any, bool]]
    ) -> _Flight:
        """Carry a request out in a task of its own: whoever sent it may leave, and others may wait for it."""
        landed = asyncio.get_running_loop().create_task(landing, name="antiphon-idempotent")
        flight = self._flights[tenant, key] = _Flight(fingerprint, landed)

        def forget(_: object = None) -> None:
            self._flights.pop((tenant, key), None)

        def note(task: asyncio.Task[tuple[Any, bool]]) -> None:
            # A run is found here for as long as it goes on, and in the store after that.
            if not task.cancelled() and task.exception() is None and isinstance(run := task.result()[0], Run):
                run.finished.add_done_callback(forget)
            else:
                forget()

        landed.add_done_callback(note)
        return flight

    async def _land(
        self,
        sessions: TenantSessions,
        key: bytes,
        fingerprint: bytes,
        carry_out: Callable[[KeyClaim], Awaitable[T]],
        recall: Callable[[Outcome], Awaitable[T | None]],
    ) -> tuple[T, bool]:
        """Carry the request out, or recall what came of it; once more, if that came to nothing meanwhile."""
        deadline = time.monotonic() + self._wait_s
        while True:
            taken = await sessions.keys.take(
                key, fingerprint, holder=self._holder, ttl_s=self._ttl_s, expires_at=int(self._clock()) + _KEPT_S
            )
            if isinstance(taken, KeyClaim):
                with suppress(LeaseLost):  # our claim ran out before the key was bound: see who has it now
                    return await self._carried_out(sessions, taken, carry_out), False
            elif taken.settled or taken.response_id is not None:
                recalled = await recall(taken)
                if recalled is not None:
                    return recalled, True
            if time.monotonic() > deadline:
                raise IdempotencyConflict(
                    "The request with this Idempotency-Key is being carried out. Try again in a moment.",
                    retry_after_s=1.0,
                )
            await asyncio.sleep(_LOOK_EVERY_S)

    async def _carried_out(
        self, sessions: TenantSessions, claim: KeyClaim, carry_out: Callable[[KeyClaim], Awaitable[T]]
    ) -> T:
        try:
            return await carry_out(claim)
        except BaseException:
            with suppress(AntiphonError):  # the store is out of reach: the claim runs out by itself
                await sessions.keys.release(claim)
            raise

    async def _settle_unkept(self, sessions: TenantSessions, claim: KeyClaim, run: Run, *, stream: bool) -> None:
        """
        Note that a turn whose answer is not kept was carried out, before anybody is told.

        The key can be used up without an answer, but no answer can be given twice.
        """
        try:
            await asyncio.shield(run.opened if stream else run.finished)
            await sessions.keys.settle(await sessions.keys.settlement(claim, None))
        except BaseException:
            run.cancel()  # nobody is given it
            raise


def _not_kept() -> IdempotencyConflict:
    return IdempotencyConflict(
        "The request with this Idempotency-Key was carried out, and its answer was not kept (store is false). "
        "Use a new key to have it carried out again."
    )


def _deleted() -> IdempotencyConflict:
    return IdempotencyConflict(
        "The request with this Idempotency-Key was carried out, and its outcome was deleted since. "
        "Use a new key to have it carried out again."
    )
