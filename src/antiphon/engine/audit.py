"""
The audit trail: who did what to which id, when, and how it went. No content.

A turn is written down in the transaction that stores it, and so is what is changed of it later. Any other change is
written down before it is made: its entry goes to the store first and the change right behind it, in the same group of
the store's writer, and nobody is told of the change before both are durable. So there is no change without its entry.
An entry whose change then failed is followed by another one with the error's code.

Reads, and requests that were refused, are written in groups a moment later (:mod:`.audit_buffer`).
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager, nullcontext
from types import TracebackType
from typing import Literal

from antiphon.engine.audit_buffer import AuditBuffer
from antiphon.engine.audit_entry import OK, REQUEST_ID, Action, Deed, outcome_of, plain_text
from antiphon.engine.audit_link import AuditLink
from antiphon.hub.errors import AntiphonError
from antiphon.hub.ids import TenantId
from antiphon.hub.principal import Principal
from antiphon.sessions.directory import AuditAppend, AuditEntry, AuditPage, AuditTrailStore
from antiphon.sessions.sessions import Sessions
from antiphon.telemetry import Log

__all__ = ["AuditMode", "AuditTrail"]

# What is written down: everything; changes, made or refused; or nothing.
AuditMode = Literal["all", "writes", "off"]

_PAGE = 500
_MAX_LINKS = 10_000
_PAUSES_S = (0.05, 0.2, 1.0)


class AuditTrail:
    """
    Writes and reads the trails of all tenants.

    Args:
        sessions: None for a gateway without a store, which keeps no trail.
        clock: Seconds since the epoch, UTC.
        flush_after_s: How long the entry of a read waits for others.
        max_buffered: How many such entries may wait for a store that is out of reach.
    """

    def __init__(
        self,
        sessions: Sessions | None,
        *,
        clock: Callable[[], float],
        log: Log,
        mode: AuditMode = "all",
        flush_after_s: float = 0.25,
        max_buffered: int = 10_000,
    ) -> None:
        self._sessions = sessions
        self._clock = clock
        self._log = log
        self._mode: AuditMode = mode if sessions is not None else "off"
        self._links: dict[TenantId, tuple[bytes, AuditLink]] = {}
        self._appends: set[asyncio.Task[None]] = set()
        self._buffer = AuditBuffer(self._append, log=log, flush_after_s=flush_after_s, max_entries=max_buffered)

    @property
    def lost(self) -> int:
        """How many entries could not be written."""
        return self._buffer.lost

    async def flush(self) -> None:
        """Write what waits; what cannot be written now goes on waiting."""
        await self._buffer.flush()

    async def close(self) -> None:
        """Write what waits."""
        if self._appends:
            await asyncio.wait(self._appends)
        await self._buffer.close()

    # Writing.

    def reading(self, principal: Principal, action: Action, object_id: str = "") -> AbstractContextManager[object]:
        """Around a read: notes that it took place, or with which error it ended."""
        return _Noting(self, principal, (action, object_id)) if self._mode == "all" else nullcontext()

    def refusing(
        self, principal: Principal, action: Action, object_id: str = "", *, request_id: str | None = None
    ) -> AbstractContextManager[object]:
        """Around what comes before a change, which may be refused: notes the error, if there is one."""
        if self._mode == "off":
            return nullcontext()
        return _Noting(self, principal, (action, object_id), request_id=request_id, only_errors=True)

    def writing(
        self, principal: Principal, *deeds: Deed, request_id: str | None = None, outcome: str = OK
    ) -> AbstractAsyncContextManager[object]:
        """
        Around a change: its entries, one for each deed, go to the store ahead of it, and are durable when the block
        has been left.

        Args:
            request_id: None for that of the request that is being answered.
            outcome: As it is known already; if the block raises, another entry says what.

        Raises:
            StoreUnavailable: The entries could not be written. What the block did is done; they are tried again.
        """
        if self._mode == "off":
            return nullcontext()
        return _Writing(self, principal, deeds, request_id=request_id, outcome=outcome)

    def joining(
        self, principal: Principal, *deeds: Deed, request_id: str | None = None, outcome: str = OK
    ) -> AbstractAsyncContextManager[AuditAppend | None]:
        """
        Around a change whose transaction takes the entries along, as a turn's commit does: the block is given them.

        Args:
            request_id, outcome: As of :meth:`writing`.
        """
        if self._mode == "off":
            return nullcontext()
        return _Joining(self, principal, deeds, request_id=request_id, outcome=outcome)

    def note(
        self,
        principal: Principal,
        action: Action,
        object_id: str = "",
        *,
        error: BaseException | None = None,
        request_id: str | None = None,
    ) -> None:
        """Note something that changed nothing. It is written a moment later, together with others."""
        if self._mode != "off":
            entry = self.entry(principal, (action, object_id), outcome_of(error), request_id)
            self._buffer.keep(principal.tenant, [entry])

    def entry(self, principal: Principal, deed: Deed, outcome: str = OK, request_id: str | None = None) -> AuditEntry:
        """What the trail says of a deed that is done now."""
        action, object_id = deed
        return AuditEntry(
            at_ms=int(self._clock() * 1000),
            actor=principal.actor,
            action=action,
            object_id=plain_text(object_id),
            outcome=outcome,
            request_id=REQUEST_ID.get() if request_id is None else request_id,
        )

    async def link(self, tenant: TenantId) -> AuditLink:
        """
        What ties a tenant's entries together.

        Raises:
            KeysUnavailable: It cannot be had. What would have to be written down must not be done.
        """
        assert self._sessions is not None
        secret = await self._sessions.for_tenant(tenant).secret()
        known = self._links.get(tenant)
        if known is not None and known[0] == secret:
            return known[1]
        if len(self._links) >= _MAX_LINKS:
            self._links.clear()
        link = AuditLink(secret)
        self._links[tenant] = secret, link
        return link

    def send(self, tenant: TenantId, entries: Sequence[AuditEntry]) -> asyncio.Task[None]:
        """
        Send entries to the store; they are durable when the task is done. It goes on whatever becomes of the caller.
        """
        task = asyncio.get_running_loop().create_task(self._insist(tenant, entries), name="antiphon-audit-append")
        self._appends.add(task)
        task.add_done_callback(self._sent)
        return task

    def _sent(self, task: asyncio.Task[None]) -> None:
        self._appends.discard(task)
        if not task.cancelled() and (error := task.exception()) and not isinstance(error, AntiphonError):
            self._log.crash("audit_crashed", error)

    async def _insist(self, tenant: TenantId, entries: Sequence[AuditEntry]) -> None:
        """Write entries of a change, which may have been made by now: they must not be lost."""
        for pause_s in _PAUSES_S:
            try:
                await self._append(tenant, entries)
            except AntiphonError as error:
                self._log.warning("audit_not_written_yet", tenant=tenant, entries=len(entries), error=error.message)
                await asyncio.sleep(pause_s)
            else:
                return
        try:
            await self._append(tenant, entries)
        except AntiphonError:
            self._buffer.keep(tenant, entries)
            raise

    async def _append(self, tenant: TenantId, entries: Sequence[AuditEntry]) -> None:
        assert self._sessions is not None
        await self._sessions.store.for_tenant(tenant).append_audit(entries, await self.link(tenant))

    # Reading.

    async def read(
        self,
        tenant: TenantId,
        *,
        after: int = 0,
        limit: int = 100,
        object_id: str | None = None,
        actor: str | None = None,
    ) -> AuditPage:
        """A tenant's records from after an index on, oldest first; what waited to be written is among them."""
        if self._sessions is None:
            return AuditPage(records=(), has_more=False)
        await self._buffer.flush()
        store = self._sessions.store.for_tenant(tenant)
        return await store.read_audit(after=after, limit=limit, object_id=object_id, actor=actor)

    async def verify(self, tenant: TenantId, *, since_s: int = 0) -> list[str]:
        """
        Go through a tenant's whole trail.

        Args:
            since_s: When the tenant was created. What is older may be of an erased tenant of the same name, whose keys
                are gone.

        Returns:
            One line for each entry that is missing, was altered or was put in; empty if the trail is sound. That
            entries were cut off at its end can only be seen by who has kept a later link.
        """
        if self._sessions is None:
            return []
        store, link = self._sessions.store.for_tenant(tenant), await self.link(tenant)
        after, previous = await self._past_strangers(store, link, since_s * 1000)
        found = [_of_strangers(after)] if after else []
        has_more = True
        while has_more:
            page = await store.read_audit(after=after, limit=_PAGE)
            found += link.problems(page.records, after=after, previous=previous)
            has_more = page.has_more and bool(page.records)
            if page.records:
                after, previous = page.records[-1].index, page.records[-1].link
        return found

    @staticmethod
    async def _past_strangers(store: AuditTrailStore, link: AuditLink, since_ms: int) -> tuple[int, bytes]:
        """Index and link of the last entry that an erased tenant of the same name left; 0 if there is none."""
        after, previous = 0, b""
        while (records := (await store.read_audit(after=after, limit=_PAGE)).records) and (
            after or link.problems(records[:1], after=0, previous=b"")
        ):
            older = list(itertools.takewhile(lambda record: record.entry.at_ms < since_ms, records))
            if older:
                after, previous = older[-1].index, older[-1].link
            if len(older) < len(records):
                break
        return after, previous


def _of_strangers(count: int) -> str:
    return (
        f"Entries 1 to {count} are of an earlier tenant of this name: it was erased, and its keys with it, so nobody "
        "can verify them any more."
    )


class _Noting:
    """Notes how a block ended. One that was broken off may have had its answer."""

    def __init__(
        self,
        trail: AuditTrail,
        principal: Principal,
        deed: Deed,
        *,
        request_id: str | None = None,
        only_errors: bool = False,
    ) -> None:
        self._trail = trail
        self._principal = principal
        self._deed = deed
        self._request_id = request_id
        self._only_errors = only_errors

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        fault = error if isinstance(error, Exception) else None
        if fault is not None or not self._only_errors:
            self._trail.note(self._principal, *self._deed, error=fault, request_id=self._request_id)


class _Writing:
    """Sends entries ahead of a block and waits for them behind it."""

    def __init__(
        self, trail: AuditTrail, principal: Principal, deeds: Sequence[Deed], *, request_id: str | None, outcome: str
    ) -> None:
        self._trail = trail
        self._principal = principal
        self._deeds = deeds
        self._request_id = request_id
        self._outcome = outcome
        self._sent: asyncio.Task[None] | None = None

    async def __aenter__(self) -> None:
        trail, principal = self._trail, self._principal
        await trail.link(principal.tenant)  # at hand, so that the entries go out without waiting for anything
        entries = [trail.entry(principal, deed, self._outcome, self._request_id) for deed in self._deeds]
        self._sent = trail.send(principal.tenant, entries)
        # The task takes its first step, up to the store's queue, before we take ours; the event loop looks for nothing
        # else in between, so that the store's writer finds both at once.
        await asyncio.sleep(0)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._sent is not None
        if error is None:
            await asyncio.shield(self._sent)
        elif isinstance(error, Exception):
            for action, object_id in self._deeds:
                self._trail.note(self._principal, action, object_id, error=error, request_id=self._request_id)


class _Joining:
    """Hands out entries to be written with a change; what failed instead is noted."""

    def __init__(
        self, trail: AuditTrail, principal: Principal, deeds: Sequence[Deed], *, request_id: str | None, outcome: str
    ) -> None:
        self._trail = trail
        self._principal = principal
        self._deeds = deeds
        self._request_id = request_id
        self._outcome = outcome

    async def __aenter__(self) -> AuditAppend:
        trail, principal = self._trail, self._principal
        entries = tuple([trail.entry(principal, deed, self._outcome, self._request_id) for deed in self._deeds])
        return AuditAppend(entries=entries, link=await trail.link(principal.tenant))

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if isinstance(error, Exception):
            for action, object_id in self._deeds:
                self._trail.note(self._principal, action, object_id, error=error, request_id=self._request_id)
