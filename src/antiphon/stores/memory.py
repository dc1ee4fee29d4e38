"""
The reference model: a session store in dictionaries, as simple as the rules allow.

It serves tests, stateless use and as the oracle that other stores are compared with. Nothing here is clever: after
whatever may have made content unreachable, everything that is still reached is marked and the rest is erased. A
commit without erasing costs O(its own entries). Nothing outlives the process.
"""

from __future__ import annotations

import copy
import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import partial

import msgspec

from antiphon.hub.errors import (
    PreviousResponseNotFound,
    StoreUnavailable,
)
from antiphon.hub.ids import Family, LogId, TenantId
from antiphon.sessions.codec import PLAIN_VERSION
from antiphon.sessions.directory import AuditAppend, Erasure
from antiphon.sessions.records import (
    Claim,
    Committed,
    Conversation,
    Entry,
    Head,
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
from antiphon.sessions.store import Swept
from antiphon.sessions.vault import RootKeyUse
from antiphon.sessions.work import Delivery, Pending, Settlement
from antiphon.stores.library import Doomed
from antiphon.stores.memory_all_work import expired_of, renew_claims, take_deliveries, take_over
from antiphon.stores.memory_audit import TenantTrail
from antiphon.stores.memory_directory import InMemoryDirectory
from antiphon.stores.memory_end_users import TenantEndUsers
from antiphon.stores.memory_payloads import PAYLOAD_TABLES, payloads_of
from antiphon.stores.memory_receipts import erasing
from antiphon.stores.memory_state import (
    ConversationRecord,
    Log,
    Response,
    State,
    erase_unreached,
    forget,
    problems_of,
    take_insertion_index,
)
from antiphon.stores.paging import listed, page_of
from antiphon.stores.turns import (
    Settled,
    attach_in_place_of,
    base_erased,
    check_family,
    id_in_use,
    is_same_place,
    lease_lost,
    settle_entries,
    turn_of,
)

__all__ = ["InMemorySessionStore"]


class _Landing(msgspec.Struct, frozen=True, kw_only=True):
    """Where a turn goes: into *log*, or (None) into a new one. *ground* is what it stands on, if that must be held."""

    log: LogId | None = None
    ground: Head | None = None
    only_stands: bool = False


class InMemorySessionStore(InMemoryDirectory):
    """
    A :class:`~antiphon.sessions.store.SessionStore` that lives and dies with its process.

    Args:
        clock: Seconds since the epoch, UTC.
        random_bytes: Source of log ids.
    """

    def __init__(
        self, *, clock: Callable[[], float] = time.time, random_bytes: Callable[[int], bytes] = os.urandom
    ) -> None:
        super().__init__()
        self._clock = clock
        self._random_bytes = random_bytes
        self._users = 0

    async def open(self) -> None:
        self._users += 1

    async def close(self) -> None:
        self._users = max(self._users - 1, 0)

    async def ping(self) -> None:
        if not self._users:
            raise StoreUnavailable("The session store is not open.")

    def for_tenant(self, tenant: TenantId) -> _Tenant:
        return _Tenant(self._states.setdefault(tenant, State()), self._clock, self._random_bytes)

    async def sweep(self, limit: int = 500, *, dry_run: bool = False) -> Swept:
        expired = expired_of(self._states, limit=limit, now_s=self._clock())
        receipts = {
            tenant: erasing(self.for_tenant(tenant), partial(_forget_expired, expired=going), dry_run=dry_run)
            for tenant, going in expired.items()
        }
        return Swept(
            count=sum(map(len, expired.values())),
            erased={tenant: receipt for tenant, receipt in receipts.items() if receipt is not None},
        )

    async def renew_claims(self, holder: str, ttl_s: float) -> list[tuple[TenantId, str]]:
        return renew_claims(self._states, holder, ttl_s=ttl_s, now_s=self._clock())

    async def take_over(self, holder: str, ttl_s: float, limit: int) -> list[tuple[TenantId, Pending, Claim]]:
        return take_over(self._states, holder, ttl_s=ttl_s, limit=limit, now_s=self._clock())

    async def take_deliveries(self, limit: int, *, ttl_s: float) -> list[tuple[TenantId, Delivery]]:
        return take_deliveries(self._states, limit, ttl_s=ttl_s, now_s=self._clock())

    # Sealing.

    async def root_keys_in_use(self) -> tuple[RootKeyUse, ...]:
        refs = Counter(key.root_ref for state in self._states.values() for key in state.tenant_keys.values())
        return tuple(RootKeyUse(root_ref=ref, count=refs[ref]) for ref in sorted(refs))

    async def has_plain_payloads(self) -> bool:
        return any(
            payload.startswith(PLAIN_VERSION)
            for state in self._states.values()
            for table in PAYLOAD_TABLES
            for payload in payloads_of(state, table).values()
        )

    async def compact(self, *, progress: Callable[[str], None] | None = None) -> None:
        """Nothing of this store is on a disk."""

    async def backup(self, path: str) -> None:
        raise StoreUnavailable("This session store is not in a file, so there is nothing to copy.")

    async def check(self) -> list[str]:
        return [problem for tenant, state in self._states.items() for problem in problems_of(tenant, state)]


class _Tenant(TenantEndUsers, TenantTrail):
    """See :class:`~antiphon.sessions.store.TenantStore`. No method awaits, so each is atomic."""

    # The four named operations.

    async def get_by_response_id(self, response_id: str) -> StoredSession | None:
        response = self._response(response_id)
        return None if response is None else self._session(response)

    async def get_by_conversation_id(self, conversation_id: str) -> list[StoredSession]:
        turns = [self._response(response_id) for response_id in self._state.turns_of.get(conversation_id, ())]
        present = [response for response in turns if response is not None]
        present.sort(key=lambda response: (response.created_at, response.insertion_index))
        return [self._session(response) for response in present]

    async def put_session(self, session: StoredSession) -> StoredSession:
        before = copy.deepcopy(self._state) if session.response_id in self._state.responses else None
        try:
            return self._session(self._put(session))
        except Exception:
            if before is not None:
                self._state.become(before)
            raise

    async def delete_session(self, response_id: str) -> None:
        await self.delete_response(response_id)

    # Turns.

    async def read_head(self, response_id: str) -> ResponseHead | None:
        response = self._response(response_id)
        if response is None:
            return None
        return ResponseHead(
            response_id=response_id,
            family=self._state.logs[response.log].family,
            head=response.head,
            status=response.turn.status,
            conversation_id=response.turn.conversation_id,
            ephemeral=response.turn.ephemeral,
        )

    async def read_history_after(self, response_id: str) -> History | None:
        response = self._response(response_id)
        if response is None:
            return None
        conversation_id = response.turn.conversation_id
        return History(
            head=response.head,
            family=self._state.logs[response.log].family,
            status=response.turn.status,
            items=self._view(response.head),
            conversation_id=conversation_id,
            last_created_at=self._last_created_at(conversation_id),
            ephemeral=response.turn.ephemeral,
        )

    async def read_history_of(self, conversation_id: str) -> History | None:
        conversation = self._state.conversations.get(conversation_id)
        if conversation is None:
            return None
        head = self._end_of(conversation)
        return History(
            head=head,
            family=self._state.logs[conversation.log].family,
            items=self._view(head),
            conversation_id=conversation_id,
            last_created_at=self._last_created_at(conversation_id),
        )

    async def find_items(self, ids: Sequence[str]) -> dict[str, StoredItem]:
        fleeting = [each for each in self._state.responses.values() if each.turn.ephemeral]
        places = {(each.log, each.first + index) for each in fleeting for index in range(each.count)}
        found = ((item_id, self._find(item_id)) for item_id in ids)
        return {its_id: item for its_id, item in found if item and (item.log, item.position) not in places}

    async def commit(self, turn: NewTurn, *, audit: AuditAppend | None = None) -> Committed:
        self._check_work(turn)
        if turn.response_id in self._state.responses:
            raise id_in_use("response", turn.response_id)
        landing = self._landing(turn, len(turn.entries), None if turn.lease is None else self._held(turn.lease))
        settled = settle_entries(turn.entries, self._find)
        self._admit()
        self._check_seal(turn.family, turn.seal)
        response = self._store(turn, landing, settled, insertion_index=self._place_in_lists(turn))
        if turn.lease is not None:
            self._state.conversations[turn.lease.conversation_id].holder = None
        self._finish_work(turn)
        if audit is not None:
            self._write_down(audit.entries, audit.link)
        return Committed(
            head=response.head,
            first_position=response.first,
            created_at=response.created_at,
            insertion_index=response.insertion_index,
        )

    async def update_response(
        self,
        response_id: str,
        payload: bytes,
        terms: Sequence[bytes] = (),
        *,
        instead_of: bytes,
        audit: AuditAppend | None = None,
    ) -> bool:
        response = self._response(response_id)
        if response is None or response.turn.payload != instead_of:
            return False
        if audit is not None:
            self._write_down(audit.entries, audit.link)
        response.turn = msgspec.structs.replace(response.turn, payload=payload, terms=tuple(terms))
        return True

    async def delete_response(
        self, response_id: str, *, cascade: bool = False, dry_run: bool = False
    ) -> Erasure | None:
        def erase(tenant: _Tenant) -> bool:
            response = tenant._response(response_id)
            if response is None:
                return False
            tenant._erase(tenant._doomed_with_response(response) if cascade else Doomed(responses={response_id}))
            return True

        return erasing(self, erase, dry_run=dry_run)

    async def list_input_items(self, response_id: str, page: Page) -> ItemPage | None:
        response = self._response(response_id)
        if response is None:
            return None
        end = response.first + response.turn.output_index
        return page_of(listed(self._view(response.head)[:end]), page)

    # Conversations.

    async def create_conversation(
        self, conversation: NewConversation, *, settlement: Settlement | None = None
    ) -> Conversation:
        self._check_settlement(settlement)
        if conversation.id in self._state.conversations:
            raise id_in_use("conversation", conversation.id)
        settled = settle_entries(conversation.entries, self._find)
        self._admit()
        self._check_seal(conversation.family, conversation.seal)
        self._found(conversation.family, conversation.seal)
        log = self._open_log(conversation.family, base=None, is_conversation=True)
        self._append(log, settled)
        self._state.conversations[conversation.id] = ConversationRecord(
            id=conversation.id,
            log=log,
            created_at=conversation.created_at,
            payload=conversation.payload,
            terms=conversation.terms,
        )
        self._settle(settlement)
        return self._shown(self._state.conversations[conversation.id])

    async def read_conversation(self, conversation_id: str) -> Conversation | None:
        conversation = self._state.conversations.get(conversation_id)
        return None if conversation is None else self._shown(conversation)

    async def update_conversation(
        self, conversation_id: str, payload: bytes, terms: Sequence[bytes] = ()
    ) -> Conversation | None:
        conversation = self._state.conversations.get(conversation_id)
        if conversation is None:
            return None
        conversation.payload, conversation.terms = payload, tuple(terms)
        return self._shown(conversation)

    async def delete_conversation(
        self, conversation_id: str, *, cascade: bool = False, dry_run: bool = False
    ) -> Erasure | None:
        def erase(tenant: _Tenant) -> bool:
            conversation = tenant._state.conversations.get(conversation_id)
            if conversation is None:
                return False
            if cascade:
                tenant._erase(tenant._doomed_with_conversation(conversation))
            else:
                tenant._forget_conversation(conversation_id)
                erase_unreached(tenant._state)
            return True

        return erasing(self, erase, dry_run=dry_run)

    async def list_conversation_items(self, conversation_id: str, page: Page) -> ItemPage | None:
        conversation = self._state.conversations.get(conversation_id)
        return None if conversation is None else page_of(self._present(conversation), page)

    async def read_conversation_item(self, conversation_id: str, item_id: str) -> StoredItem | None:
        present = self._present(self._conversation(conversation_id))
        return next((item for item in present if item.id == item_id), None)

    async def append_items(
        self, conversation_id: str, entries: Sequence[Entry], *, settlement: Settlement | None = None
    ) -> tuple[StoredItem, ...]:
        self._check_settlement(settlement)
        conversation = self._unlocked(conversation_id)
        settled = settle_entries(entries, self._find)
        self._admit()
        start = self._append(conversation.log, settled)
        self._settle(settlement)
        return tuple(self._entry(conversation.log, start + index) for index in range(len(settled)))

    async def remove_item(self, conversation_id: str, item_id: str) -> bool:
        conversation = self._unlocked(conversation_id)
        positions = [item.position for item in self._present(conversation) if item.id == item_id]
        if not positions:
            return False
        self._hide(conversation.log, positions)
        erase_unreached(self._state)
        return True

    # Leases.

    async def acquire_lease(self, conversation_id: str, holder: str, ttl_s: float) -> Lease:
        conversation = self._unlocked(conversation_id)
        conversation.holder = holder
        conversation.lock_epoch += 1
        conversation.lock_until_ms = self._now_ms() + int(ttl_s * 1000)
        return Lease(conversation_id=conversation_id, holder=holder, epoch=conversation.lock_epoch)

    async def renew_lease(self, lease: Lease, ttl_s: float) -> bool:
        conversation = self._leased(lease)
        if conversation is None:
            return False
        conversation.lock_until_ms = self._now_ms() + int(ttl_s * 1000)
        return True

    async def release_lease(self, lease: Lease) -> None:
        conversation = self._leased(lease)
        if conversation is not None:
            conversation.holder = None

    # Writing.

    def _landing(self, turn: NewTurn, count: int, conversation: ConversationRecord | None) -> _Landing:
        """Where a turn of *count* entries goes. Changes nothing, so that a refusal leaves nothing behind."""
        attach = turn.attach
        if conversation is not None:
            if not turn.aside:
                if attach not in (None, self._end_of(conversation)):
                    raise lease_lost()  # edited by hand, after the lease had run out
                return self._same_family(turn, _Landing(log=conversation.log))
            attach = attach if attach is not None else self._end_of(conversation)
        if attach is None:
            return _Landing()
        log = self._ground(attach)
        if count == 0:
            return self._same_family(turn, _Landing(log=attach.log, ground=attach, only_stands=True))
        if not turn.aside and not log.is_conversation and log.length == attach.position + 1:
            return self._same_family(turn, _Landing(log=attach.log, ground=attach))
        return _Landing(ground=attach)

    def _held(self, lease: Lease) -> ConversationRecord:
        conversation = self._leased(lease)
        if conversation is None:
            raise lease_lost()
        return conversation

    def _same_family(self, turn: NewTurn, landing: _Landing) -> _Landing:
        assert landing.log is not None
        check_family(turn.family, self._state.logs[landing.log].family)
        return landing

    def _ground(self, head: Head) -> Log:
        log = self._state.logs.get(head.log)
        if log is None or not -1 <= head.position <= log.top:
            raise base_erased("What this turn stands on was erased.")
        # Whoever looks through a chain's log sees the same of it, so it keeps all of that.
        if log.is_conversation and any(item.payload is None and not item.removed for item in self._view(head)):
            raise base_erased("An item that this turn stands on was erased.")
        return log

    def _append(self, log_id: LogId, settled: Iterable[Settled]) -> int:
        log = self._state.logs[log_id]
        start = log.length
        for entry in settled:
            if entry.target is None:
                self._state.items[entry.id] = (log_id, log.length)
            log.slots.append(entry)
        log.top = log.length - 1
        return start

    def _store(
        self, turn: NewTurn, landing: _Landing, settled: list[Settled], *, insertion_index: int | None = None
    ) -> Response:
        state = self._state
        self._found(turn.family, turn.seal)
        log = landing.log if landing.log is not None else self._open_log(turn.family, base=landing.ground)
        if landing.only_stands and landing.ground is not None:
            first, epoch = landing.ground.position + 1, landing.ground.epoch
        else:
            first, epoch = self._append(log, settled), state.logs[log].epoch
        if insertion_index is None:
            insertion_index = take_insertion_index(state)
        last_created_at = self._last_created_at(turn.conversation_id, before=insertion_index)
        response = Response(
            turn=msgspec.structs.replace(
                turn, entries=(), lease=None, attach=None, claim=None, deliveries=(), seal=b""
            ),
            log=log,
            first=first,
            epoch=epoch,
            count=len(settled),
            created_at=max(turn.created_at, last_created_at),
            insertion_index=insertion_index,
        )
        state.responses[turn.response_id] = response
        if turn.conversation_id is not None:
            state.turns_of.setdefault(turn.conversation_id, set()).add(turn.response_id)
        return response

    # Putting by hand.

    def _put(self, session: StoredSession) -> Response:
        self._check_not_pending(session.response_id)
        self._admit()
        old = self._state.responses.get(session.response_id)
        known = self._response(session.response_id)
        replaced = {} if old is None else {str(item.id): item for item in self._own_items(old)}
        if old is not None:
            self._hide_turn(old)
        attach, conversation = self._place_of(session, known)
        turn = turn_of(session, family=session.family or self._family_at(attach, conversation), attach=attach)
        if known is not None:
            turn = msgspec.structs.replace(turn, end_user=known.turn.end_user)  # it is found by that when it has to go
        if known is not None and known.turn.payload == session.payload:
            turn = msgspec.structs.replace(turn, terms=known.turn.terms)  # what it is found by is in its payload
        # The ground is looked at before the old turn goes, and held while it goes: the old turn may be what kept it.
        landing = self._landing(turn, len(session.messages), conversation)
        if old is not None:
            told = self._state.work.deliveries_of(session.response_id) if known is not None else {}
            forget(self._state, session.response_id)
            self._state.work.deliveries |= told
            erase_unreached(self._state, also=landing.ground, held=turn.family)
        settled = settle_entries(session.messages, self._find, replaced=replaced)
        return self._store(turn, landing, settled, insertion_index=None if known is None else known.insertion_index)

    def _hide_turn(self, old: Response) -> None:
        conversation = self._owner_of(old.log)
        if conversation is not None and old.count:
            self._unlocked(conversation.id)
            self._hide(old.log, range(old.first, old.first + old.count))

    def _place_of(self, session: StoredSession, old: Response | None) -> tuple[Head | None, ConversationRecord | None]:
        """Where a session attaches: to a head, at the end of a conversation, or (neither) nowhere."""
        came_back = old is not None and is_same_place(session.head, old.head)
        if session.head is not None and not came_back:
            return session.head, None
        if old is not None and came_back:
            conversation = self._state.conversations.get(session.conversation_id or "")
            if conversation is not None and conversation.log == old.log:
                return None, self._unlocked(conversation.id)
            log = self._state.logs[old.log]
            return attach_in_place_of(old.head, old.first, log.base, log.first, is_chain=not log.is_conversation), None
        if session.previous_response_id is not None:
            parent = self._response(session.previous_response_id)
            if parent is None or parent is old:
                raise PreviousResponseNotFound(session.previous_response_id)
            return parent.head, None
        if session.conversation_id is not None:
            return None, self._unlocked(session.conversation_id)
        return None, None

    def _family_at(self, attach: Head | None, conversation: ConversationRecord | None) -> Family:
        if conversation is not None:
            return self._state.logs[conversation.log].family
        if attach is not None:
            return self._ground(attach).family
        return Family(self._random_bytes(8).hex())


def _forget_expired(tenant: _Tenant, expired: Sequence[str | bytes]) -> bool:
    """Erase *expired* responses (named by id) and idempotency keys. Returns that this was done."""
    for each in expired:
        if isinstance(each, bytes):
            del tenant.state.work.keys[each]
        else:
            forget(tenant.state, each)
    erase_unreached(tenant.state)
    return True
