"""What a job does inside the writer's transaction: turns, conversations, leases. Whatever it raises undoes it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import apsw
import msgspec

from antiphon.hub.errors import ConversationLocked, ConversationNotFound, PreviousResponseNotFound, StoreConflict
from antiphon.hub.ids import Family, LogId, TenantId
from antiphon.sessions.directory import AuditAppend, Erasure
from antiphon.sessions.records import (
    Committed,
    Conversation,
    Entry,
    Head,
    Lease,
    NewConversation,
    NewTurn,
    StoredItem,
    StoredSession,
)
from antiphon.sessions.work import Settlement
from antiphon.stores.sqlite import queries
from antiphon.stores.sqlite.erasing import settle
from antiphon.stores.sqlite.families import drop_unused_family, found_family, seal_of_family
from antiphon.stores.sqlite.logs import Log, read_log
from antiphon.stores.sqlite.receipt import Receipt
from antiphon.stores.sqlite.rows import Row, conversation_of, item_of, rows_of, session_of, usage_columns
from antiphon.stores.sqlite.tenancy import admit, stored_bytes_of, take_place
from antiphon.stores.sqlite.terms import Kind, add_terms, drop_terms, read_terms
from antiphon.stores.sqlite.trail import append_entries
from antiphon.stores.sqlite.work_writing import WorkWriting
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

__all__ = ["Writing"]


class _Owned(msgspec.Struct, frozen=True):
    """A conversation with its lease, as it stands."""

    shown: Conversation
    length: int
    holder: str | None
    lock_epoch: int
    lock_until_ms: int

    @property
    def log(self) -> LogId:
        return self.shown.head.log


class _Landing(msgspec.Struct, frozen=True, kw_only=True):
    """
    Where a turn goes.

    Attributes:
        log: The log that it goes to; None for a new one.
        ground: What it stands on, if something else than the turn's own conversation.
        only_stands: The turn has no items and opens no log.
    """

    log: Log | None = None
    ground: Head | None = None
    only_stands: bool = False


class Writing:
    """
    One tenant's writes on one connection, inside a transaction that the caller has begun.

    Args:
        now_s: The time of the transaction, in seconds since the epoch.
        random_bytes: Source of log ids.

    Attributes:
        work: The tenant's pending turns, idempotency keys and deliveries, in the same transaction.
        receipt: What has gone so far.
    """

    def __init__(
        self, connection: apsw.Connection, tenant: TenantId, *, now_s: float, random_bytes: Callable[[int], bytes]
    ) -> None:
        self._connection = connection
        self._tenant = tenant
        self._now_s = int(now_s)
        self._now_ms = int(now_s * 1000)
        self._random_bytes = random_bytes
        self.receipt = Receipt()
        self.work = WorkWriting(connection, tenant, now_s=now_s, receipt=self.receipt)

    # Turns.

    def commit(self, turn: NewTurn, *, audit: AuditAppend | None = None) -> Committed:
        """See :meth:`antiphon.sessions.store.TenantStore.commit`."""
        place, was_of = (None, turn.family) if turn.claim is None else self._place_in_lists(turn)
        landing = self._landing(turn, len(turn.entries), None if turn.lease is None else self._held(turn.lease))
        settled = settle_entries(turn.entries, self._find)
        committed = self._store(turn, landing, settled, insertion_index=place)
        if turn.lease is not None:
            self.release_lease(turn.lease)
        if turn.deliveries:
            self.work.add_deliveries(turn)
        if was_of != turn.family:
            drop_unused_family(self._connection, self._tenant, was_of, self.receipt)
        self._count_bytes()
        if audit is not None:
            append_entries(self._connection, self._tenant, audit.entries, audit.link)
        return committed

    def put_session(self, session: StoredSession) -> StoredSession:
        """See :meth:`antiphon.sessions.store.TenantStore.put_session`."""
        if self.work.is_pending(session.response_id):
            raise id_in_use("response", session.response_id)
        known = self._session(session.response_id)
        if known is not None:
            self._hide_turn(known)
        attach, conversation = self._place_of(session, known)
        family = session.family or self._family_at(attach, conversation)
        turn = turn_of(session, family=family, attach=attach)
        # The old turn may be the last of its family; what is sealed stays as it is.
        turn = msgspec.structs.replace(turn, seal=seal_of_family(self._connection, self._tenant, family))
        if known is not None:
            [end_user] = self._all(queries.READ_END_USER, session.response_id)
            turn = msgspec.structs.replace(turn, end_user=end_user[0])
        if known is not None and known.payload == session.payload:  # what it is found by is in its payload
            terms = read_terms(self._connection, self._tenant, "response", session.response_id)
            turn = msgspec.structs.replace(turn, terms=terms)
        # The ground is looked at before the old turn goes, and held while it goes: the old turn may be what kept it.
        landing = self._landing(turn, len(session.messages), conversation)
        replaced = self._take_out(session.response_id, held=landing.ground)
        if known is None:
            self.work.drop_deliveries(session.response_id)  # of one that had expired
        settled = settle_entries(session.messages, self._find, replaced=replaced)
        self._store(turn, landing, settled, insertion_index=None if known is None else known.insertion_index)
        self._count_bytes()
        stored = self._session(session.response_id, even_if_expired=True)
        assert stored is not None
        return stored

    def erasing(self, erase: Callable[[], bool], *, dry_run: bool = False) -> Erasure | None:
        """
        What *erase* takes; None if it finds nothing (False). A dry run does the same, and undoes it.

        Whatever it raises undoes the transaction, or the caller's part of it, in a dry run too.
        """
        if not dry_run:
            return self._receipted(erase)
        self._connection.execute("SAVEPOINT rehearsal")
        receipt = self._receipted(erase)
        self._connection.execute("ROLLBACK TO rehearsal")
        self._connection.execute("RELEASE rehearsal")
        return receipt

    def update_response(
        self,
        response_id: str,
        payload: bytes,
        terms: Sequence[bytes],
        *,
        instead_of: bytes,
        audit: AuditAppend | None,
    ) -> bool:
        """See :meth:`antiphon.sessions.store.TenantStore.update_response`."""
        row = self._one(queries.UPDATE_RESPONSE, response_id, payload, instead_of, self._now_s)
        if row is None:
            return False
        drop_terms(self._connection, self._tenant, "response", response_id)
        self._add_terms("response", response_id, row[0], terms)
        if audit is not None:
            append_entries(self._connection, self._tenant, audit.entries, audit.link)
        return True

    def delete_response(self, response_id: str) -> bool:
        """See :meth:`antiphon.sessions.store.TenantStore.delete_response`."""
        logs = self._forget_response(response_id, self._all(queries.DROP_LIVE_RESPONSE, response_id, self._now_s))
        self._settle(logs)
        return bool(logs)

    def expire_response(self, response_id: str) -> None:
        """Erase a response, whether or not its time is over."""
        self._settle(self._forget_response(response_id, self._all(queries.DROP_RESPONSE, response_id)))

    # Conversations.

    def create_conversation(self, conversation: NewConversation, settlement: Settlement | None) -> Conversation:
        """See :meth:`antiphon.sessions.store.TenantStore.create_conversation`."""
        if settlement is not None:
            self.work.settle_key(settlement, creates=conversation.id)
        if self._one(queries.READ_CONVERSATION, conversation.id) is not None:
            raise id_in_use("conversation", conversation.id)
        admit(self._connection, self._tenant)
        settled = settle_entries(conversation.entries, self._find)
        found_family(self._connection, self._tenant, conversation.family, conversation.seal)
        log = self._open_log(conversation.family, None, kind="conversation", count=len(settled))
        self._fill(log, 0, settled)
        self._count_bytes()
        return self._add_conversation(conversation, log)

    def update_conversation(self, conversation_id: str, payload: bytes, terms: Sequence[bytes]) -> Conversation | None:
        """See :meth:`antiphon.sessions.store.TenantStore.update_conversation`."""
        self._run(queries.UPDATE_CONVERSATION, conversation_id, payload)
        conversation = self._find_conversation(conversation_id)
        if conversation is None:
            return None
        drop_terms(self._connection, self._tenant, "conversation", conversation_id)
        self._add_terms("conversation", conversation_id, conversation.shown.created_at, terms)
        return conversation.shown

    def delete_conversation(self, conversation_id: str) -> bool:
        """See :meth:`antiphon.sessions.store.TenantStore.delete_conversation`."""
        logs = self._forget_conversation(conversation_id)
        self._settle(logs)
        return bool(logs)

    def append_items(
        self, conversation_id: str, entries: Sequence[Entry], settlement: Settlement | None
    ) -> tuple[StoredItem, ...]:
        """See :meth:`antiphon.sessions.store.TenantStore.append_items`."""
        if settlement is not None:
            self.work.settle_key(settlement)
        conversation = self._unlocked(conversation_id)
        settled = settle_entries(entries, self._find)
        start = conversation.length
        self._extend(conversation.log, start, len(settled), queries.EXTEND_CONVERSATION)
        self._fill(conversation.log, start, settled)
        self._count_bytes()
        return self._items(conversation.log, start, start + len(settled) - 1)

    def remove_item(self, conversation_id: str, item_id: str) -> bool:
        """See :meth:`antiphon.sessions.store.TenantStore.remove_item`."""
        conversation = self._unlocked(conversation_id)
        places = self._all(queries.FIND_PRESENT, conversation.log, item_id)
        if not places:
            return False
        self._hide(conversation.log, places)
        self._settle([conversation.log])
        self._count_bytes()
        return True

    # Leases.

    def acquire_lease(self, conversation_id: str, holder: str, ttl_s: float) -> Lease:
        """See :meth:`antiphon.sessions.store.TenantStore.acquire_lease`."""
        until_ms = self._now_ms + int(ttl_s * 1000)
        row = self._one(queries.TAKE_LEASE, conversation_id, holder, until_ms, self._now_ms)
        if row is not None:
            return Lease(conversation_id=conversation_id, holder=holder, epoch=row[0])
        self._conversation(conversation_id)
        raise ConversationLocked

    def renew_lease(self, lease: Lease, ttl_s: float) -> bool:
        """See :meth:`antiphon.sessions.store.TenantStore.renew_lease`."""
        until_ms = self._now_ms + int(ttl_s * 1000)
        row = self._one(queries.RENEW_LEASE, lease.conversation_id, lease.holder, lease.epoch, until_ms)
        return row is not None

    def release_lease(self, lease: Lease) -> None:
        """See :meth:`antiphon.sessions.store.TenantStore.release_lease`."""
        self._run(queries.RELEASE_LEASE, lease.conversation_id, lease.holder, lease.epoch)

    # Looking things up.

    def _run(self, statement: str, *parameters: object) -> None:
        self._connection.execute(statement, (self._tenant, *parameters))

    def _all(self, statement: str, *parameters: object) -> list[Row]:
        return rows_of(self._connection, statement, self._tenant, *parameters)

    def _one(self, statement: str, *parameters: object) -> Row | None:
        rows = self._all(statement, *parameters)
        return rows[0] if rows else None

    def _find(self, item_id: str) -> StoredItem | None:
        row = self._one(queries.FIND_ITEM, item_id)
        return None if row is None else item_of(row)

    def _items(self, log: int, first: int, last: int) -> tuple[StoredItem, ...]:
        return tuple(map(item_of, self._all(queries.READ_OWN_ITEMS, log, first, last)))

    def _session(self, response_id: str, *, even_if_expired: bool = False) -> StoredSession | None:
        row = self._one(queries.READ_RESPONSE, response_id, -1 if even_if_expired else self._now_s)
        return None if row is None else session_of(row, self._items(row[18], row[21], row[19]))

    def _find_conversation(self, conversation_id: str) -> _Owned | None:
        row = self._one(queries.READ_CONVERSATION, conversation_id)
        return None if row is None else _Owned(conversation_of(row), row[5], *row[7:])

    def _conversation(self, conversation_id: str) -> _Owned:
        conversation = self._find_conversation(conversation_id)
        if conversation is None:
            raise ConversationNotFound(conversation_id)
        return conversation

    def _unlocked(self, conversation_id: str) -> _Owned:
        conversation = self._conversation(conversation_id)
        if conversation.holder is not None and conversation.lock_until_ms > self._now_ms:
            raise ConversationLocked
        return conversation

    def _held(self, lease: Lease) -> _Owned:
        conversation = self._find_conversation(lease.conversation_id)
        if conversation is None or (conversation.holder, conversation.lock_epoch) != (lease.holder, lease.epoch):
            raise lease_lost()
        return conversation

    # Where a turn goes.

    def _landing(self, turn: NewTurn, count: int, conversation: _Owned | None) -> _Landing:
        """Where a turn of *count* entries goes; changes nothing."""
        attach = turn.attach
        if conversation is not None:
            if not turn.aside:
                if attach not in (None, conversation.shown.head):
                    raise lease_lost()  # edited by hand, after the lease had run out
                return _Landing(log=self._log(conversation.log, turn.family))
            attach = attach if attach is not None else conversation.shown.head
        if attach is None:
            return _Landing()
        log = self._ground(attach)
        if count == 0:
            check_family(turn.family, log.family)
            return _Landing(log=log, ground=attach, only_stands=True)
        if not turn.aside and log.is_chain and log.length == attach.position + 1:
            check_family(turn.family, log.family)
            return _Landing(log=log, ground=attach)
        return _Landing(ground=attach)

    def _log(self, log_id: LogId, family: Family) -> Log:
        log = read_log(self._connection, self._tenant, log_id)
        if log is None:
            raise base_erased("The log that this turn goes to was erased.")
        check_family(family, log.family)
        return log

    def _ground(self, head: Head) -> Log:
        log = read_log(self._connection, self._tenant, head.log)
        if log is None or log.top is None or not -1 <= head.position <= log.top:
            raise base_erased("What this turn stands on was erased.")
        if not log.is_chain:
            erased = self._one(queries.FIND_ERASED_IN_VIEW, head.log, head.epoch, head.position)
            if erased is not None:
                raise base_erased("An item that this turn stands on was erased.")
        return log

    def _place_of(self, session: StoredSession, old: StoredSession | None) -> tuple[Head | None, _Owned | None]:
        """Where a session that is put attaches: to a head, at the end of a conversation, or (neither) nowhere."""
        came_back = old is not None and old.head is not None and is_same_place(session.head, old.head)
        if session.head is not None and not came_back:
            return session.head, None
        if came_back and old is not None:
            return self._place_of_old(session, old)
        if session.previous_response_id is not None:
            parent = self._one(queries.READ_HEAD, session.previous_response_id, self._now_s)
            if parent is None or session.previous_response_id == session.response_id:
                raise PreviousResponseNotFound(session.previous_response_id)
            return Head(log=parent[0], position=parent[1], epoch=parent[2]), None
        if session.conversation_id is not None:
            return None, self._unlocked(session.conversation_id)
        return None, None

    def _place_of_old(self, session: StoredSession, old: StoredSession) -> tuple[Head | None, _Owned | None]:
        assert old.head is not None
        conversation = self._find_conversation(session.conversation_id or "")
        if conversation is not None and conversation.log == old.head.log:
            return None, self._unlocked(conversation.shown.id)
        log = read_log(self._connection, self._tenant, old.head.log)
        assert log is not None
        return attach_in_place_of(old.head, old.first_position, log.base, log.first, is_chain=log.is_chain), None

    def _family_at(self, attach: Head | None, conversation: _Owned | None) -> Family:
        if conversation is not None:
            return conversation.shown.family
        if attach is not None:
            return self._ground(attach).family
        return Family(self._random_bytes(8).hex())

    def _place_in_lists(self, turn: NewTurn) -> tuple[int | None, Family]:
        """
        The place in lists that a turn keeps from when it was pending, and the family that it was of.

        No place if a later one of its conversation was stored before it: the last one stored is the newest there.
        """
        place, family = self.work.replace_pending(turn)
        if place is None or turn.conversation_id is None:
            return place, family
        return None if self._all(queries.FIND_TURN_BEHIND, turn.conversation_id, place) else place, family

    # Writing rows.

    def _store(
        self, turn: NewTurn, landing: _Landing, settled: Sequence[Settled], *, insertion_index: int | None = None
    ) -> Committed:
        if turn.seal or (landing.log is None and not landing.only_stands):
            found_family(self._connection, self._tenant, turn.family, turn.seal)
        if landing.only_stands and landing.ground is not None:
            log_id, first, epoch = landing.ground.log, landing.ground.position + 1, landing.ground.epoch
        elif landing.log is not None:
            log_id, first, epoch = landing.log.id, landing.log.length, landing.log.epoch
            statement = queries.EXTEND_CHAIN if landing.log.is_chain else queries.EXTEND_CONVERSATION
            self._extend(log_id, first, len(settled), statement)
        else:
            log_id = self._open_log(turn.family, landing.ground, kind="chain", count=len(settled))
            first, epoch = 0 if landing.ground is None else landing.ground.position + 1, 0
        self._fill(log_id, first, settled)
        head = Head(log=log_id, position=first + len(settled) - 1, epoch=epoch)
        return self._add_response(turn, head, first, insertion_index)

    def _take_insertion_index(self) -> int:
        """The place in lists of a new turn; with it what is uncounted so far is counted."""
        place = take_place(self._connection, self._tenant, adding_bytes=self.receipt.uncounted_bytes)
        self.receipt.uncounted_bytes = 0
        return place

    def _count_bytes(self) -> None:
        """Bring the sum of the tenant's payloads up to date, if it is not."""
        if self.receipt.uncounted_bytes:
            self._run(queries.ADD_STORED_BYTES, self.receipt.uncounted_bytes)
            self.receipt.uncounted_bytes = 0

    def _add_response(self, turn: NewTurn, head: Head, first: int, insertion_index: int | None) -> Committed:
        self.receipt.uncounted_bytes += len(turn.payload) + len(turn.trace)
        if insertion_index is None:
            insertion_index = self._take_insertion_index()
        elif turn.claim is not None:
            admit(self._connection, self._tenant)  # its place was taken when it began; the tenant may be going by now
        created_at = max(turn.created_at, self._last_created_at(turn.conversation_id, insertion_index))
        try:
            self._run(
                queries.ADD_RESPONSE,
                turn.response_id,
                head.log,
                first,
                first + turn.output_index,
                head.position,
                head.epoch,
                turn.previous_response_id,
                turn.conversation_id,
                turn.status,
                turn.model,
                turn.alias,
                turn.provider,
                created_at,
                insertion_index,
                turn.completed_at,
                turn.expires_at,
                *usage_columns(turn.usage),
                turn.payload,
                turn.ephemeral,
                turn.trace,
                turn.end_user,
            )
        except apsw.ConstraintError as error:
            raise id_in_use("response", turn.response_id) from error
        if self._connection.changes() != 1:
            raise id_in_use("response", turn.response_id)
        if turn.terms:
            self._add_terms("response", turn.response_id, insertion_index, turn.terms)
        return Committed(head=head, first_position=first, created_at=created_at, insertion_index=insertion_index)

    def _add_conversation(self, new: NewConversation, log: LogId) -> Conversation:
        self._run(queries.ADD_CONVERSATION, new.id, log, new.created_at, new.payload)
        if new.terms:
            self._add_terms("conversation", new.id, new.created_at, new.terms)
        return self._conversation(new.id).shown

    def _add_terms(self, kind: Kind, object_id: str, ordinal: int, terms: Iterable[bytes]) -> None:
        add_terms(self._connection, self._tenant, kind, object_id, ordinal=ordinal, terms=terms)

    def _last_created_at(self, conversation_id: str | None, insertion_index: int) -> int:
        if conversation_id is None:
            return 0
        row = self._one(queries.READ_LAST_CREATED_AT, conversation_id, insertion_index, self._now_s)
        return 0 if row is None else int(row[0])

    def _open_log(self, family: Family, base: Head | None, *, kind: str, count: int) -> LogId:
        base_columns = (None, -1, 0) if base is None else (base.log, base.position, base.epoch)
        while True:
            log = self._new_log_id()
            self._run(queries.ADD_LOG, log, family, kind, *base_columns, base_columns[1] + 1 + count)
            if self._connection.changes() == 1:
                return log

    def _new_log_id(self) -> LogId:
        """
        Milliseconds, then 20 random bits: logs that are made at one time stand together in the tables' indexes.

        With ids that are random throughout, every new row would touch pages of its own: 25 pages for a first turn
        instead of a few.
        """
        return LogId((self._now_ms & (1 << 43) - 1) << 20 | int.from_bytes(self._random_bytes(3), "big") >> 4)

    def _extend(self, log: LogId, length: int, count: int, statement: str) -> None:
        if count == 0:
            return
        self._run(statement, log, length + count, length)
        if self._connection.changes() != 1:
            raise StoreConflict("The log has grown since it was read. Nothing was stored.")

    def _fill(self, log: LogId, first: int, settled: Sequence[Settled]) -> None:
        rows = [(self._tenant, log, position, *_item_columns(entry)) for position, entry in enumerate(settled, first)]
        self._connection.executemany(queries.ADD_ITEM, rows)
        self.receipt.uncounted_bytes += sum(len(entry.payload) for entry in settled if entry.payload is not None)

    # Taking out.

    def _hide(self, log: LogId, places: Iterable[tuple[int, ...]]) -> None:
        """Hide *places* (log, position) from the view of *log*, from a new epoch on."""
        self._run(queries.BUMP_EPOCH, log)
        for item_log, position in places:
            self._run(queries.ADD_REMOVAL, log, item_log, position)

    def _hide_turn(self, old: StoredSession) -> None:
        """Take a turn's items out of the view of the conversation that they stand in."""
        log = None if old.head is None else read_log(self._connection, self._tenant, old.head.log)
        if log is None or log.conversation_id is None or old.head is None:
            return
        self._unlocked(log.conversation_id)
        own = range(old.first_position, old.head.position + 1)
        hidden = self._all(queries.FIND_HIDDEN, log.id, own.start, own.stop)
        positions = sorted({*own} - {position for (position,) in hidden})
        if positions:
            self._hide(log.id, [(log.id, position) for position in positions])

    def _forget_response(self, response_id: str, dropped: Sequence[Row]) -> list[int]:
        """
        Forget what is kept because of a response whose row, if it was there, was *dropped*.

        Returns:
            The logs to be settled.
        """
        if dropped:
            self._drop_terms("response", response_id)
            self.work.drop_deliveries(response_id)
            self.work.drop_answers(response_id)
            self.receipt.responses.add(response_id)
        return self._logs_of(dropped)

    def _logs_of(self, dropped: Sequence[Row]) -> list[int]:
        """The logs that responses stood in whose rows were dropped; their payloads went with them."""
        self.receipt.uncounted_bytes -= sum(size for _, size in dropped)
        return [log for log, _ in dropped]

    def _forget_conversation(self, conversation_id: str) -> set[int]:
        """Make a conversation unknown. Returns the logs that are to be settled; none if it was not there."""
        rows = self._all(queries.DROP_CONVERSATION, conversation_id)
        if rows:
            self._drop_terms("conversation", conversation_id)
            self.work.drop_answers(conversation_id)
            self.receipt.conversations.add(conversation_id)
        return {log for (log,) in rows}

    def _drop_terms(self, kind: Kind, object_id: str) -> None:
        self.receipt.add("metadata_index", drop_terms(self._connection, self._tenant, kind, object_id))

    def _settle(self, logs: Iterable[int], *, held: Head | None = None) -> None:
        settle(self._connection, self._tenant, logs, self.receipt, held=held)

    def _receipted(self, erase: Callable[[], bool]) -> Erasure | None:
        before = stored_bytes_of(self._connection, self._tenant)
        if not erase():
            return None
        self._count_bytes()
        return self.receipt.erasure(before - stored_bytes_of(self._connection, self._tenant))

    def _take_out(self, response_id: str, *, held: Head | None) -> dict[str, StoredItem]:
        """Forget a response if it is there, expired or not, and erase what nothing reaches. Returns its items."""
        old = self._session(response_id, even_if_expired=True)
        if old is None:
            return {}
        dropped = self._all(queries.DROP_RESPONSE, response_id)
        drop_terms(self._connection, self._tenant, "response", response_id)
        self._settle(self._logs_of(dropped), held=held)
        return {str(item.id): item for item in old.messages if isinstance(item, StoredItem)}


def _item_columns(entry: Settled) -> tuple[object, ...]:
    if entry.target is None:
        return (entry.id, entry.type, entry.left_out, None, None, entry.payload)
    return (None, None, entry.left_out, *entry.target, None)
