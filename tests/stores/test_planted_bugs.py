"""
The conformance suite catches what it is there to catch: each store below has one bug, and the suite must find it.

Bugs of the SQLite store are edits of its statements or of one of its functions; those of the model are subclasses in
spirit: one method of it replaced. A bug that the suite lets through fails here.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from antiphon.sessions.records import Head
from antiphon.stores import memory, turns
from antiphon.stores.memory import InMemorySessionStore
from antiphon.stores.sqlite import SQLiteSessionStore, erasing, logs, queries, rows, tenant, views, writer, writing
from antiphon.testing.store_suite import CHECKS, FixedClock, StoreFixture

Plant = Callable[[pytest.MonkeyPatch], None]


def edit(name: str, old: str, new: str) -> Plant:
    """A bug in one statement."""

    def plant(patch: pytest.MonkeyPatch) -> None:
        statement = getattr(queries, name)
        assert old in statement, f"{name} has no {old!r} any more: mend the planted bug"
        patch.setattr(queries, name, statement.replace(old, new))

    return plant


def swap(owner: object, name: str, make: Callable[[Any], Any]) -> Plant:
    """A bug in one function: *make* gets the right one and returns the wrong one."""
    return lambda patch: patch.setattr(owner, name, make(getattr(owner, name)))


def _never(*_: object, **__: object) -> None:
    """Do nothing."""


SQLITE_BUGS: dict[str, Plant] = {
    "head off by one": swap(
        writing.Writing,
        "_store",
        lambda right: (
            lambda *a, **k: (
                lambda done: msgspec.structs.replace(
                    done, head=msgspec.structs.replace(done.head, position=done.head.position + 1)
                )
            )(right(*a, **k))
        ),
    ),
    "appends without looking whether somebody did": swap(
        logs.Log, "length", lambda right: property(lambda log: log.top + 1 if log.is_chain else right.__get__(log))
    ),
    "forks always": swap(logs.Log, "is_chain", lambda _: False),
    "tenant forgotten in reading a response": edit("READ_RESPONSE", "r.tenant = ?1 AND", ""),
    "tenant forgotten in reading a history": edit("READ_HISTORY_AFTER", "r.tenant = ?1 AND r.id", "r.id"),
    "tenant forgotten in finding items": edit("FIND_ITEMS", "i.tenant = ?1 AND", ""),
    "tenant forgotten in deleting": edit("DROP_LIVE_RESPONSE", "tenant = ?1 AND", ""),
    "tenant forgotten in reading a conversation": edit("READ_CONVERSATION", "c.tenant = ?1 AND", ""),
    "tenant forgotten in leases": edit("RENEW_LEASE", "tenant = ?1 AND", ""),
    "fork ignores the epoch of its base": edit(
        "READ_HISTORY_AFTER", "path.low - 1, path.base_epoch", "path.low - 1, 99"
    ),
    "fork is born without the epoch of its base": edit("ADD_LOG", "?6, ?7, ?8)", "?6, 0, ?8)"),
    "removal ignored": edit("READ_HISTORY_OF", "WHERE path.epoch > 0", "WHERE path.epoch < 0"),
    "removal reaches into the past": edit("READ_HISTORY_AFTER", "v.epoch <= path.epoch", "v.epoch <= path.epoch + 1"),
    "removal without an epoch": swap(
        writing.Writing,
        "_run",
        lambda right: (
            lambda self, statement, *parameters: (
                None if statement == queries.BUMP_EPOCH else right(self, statement, *parameters)
            )
        ),
    ),
    "reference shows nothing": edit("READ_HISTORY_AFTER", "coalesce(i.payload, t.payload)", "i.payload"),
    "reference loses its type": edit("READ_OWN_ITEMS", "coalesce(i.type, t.type)", "i.type"),
    "reference does not keep its item": edit("DROP_ITEMS_ABOVE", "AND NOT EXISTS (", "AND 1 OR EXISTS ("),
    "reference does not keep a removed item": edit(
        "FIND_UNREACHED", "f.ref_position = v.position", "f.ref_position = -1"
    ),
    "dangling references are stored": swap(
        turns,
        "_settle",
        lambda right: (
            lambda entry, find, replaced: (
                right(entry, find, replaced)
                if find(entry.id) or hasattr(entry, "payload")
                else turns.Settled(id=entry.id, type="", payload=None, left_out=False, target=(0, 0))
            )
        ),
    ),
    "expiry ignored in get": edit("READ_RESPONSE", "r.expires_at > ?3", "r.expires_at > 0"),
    "expiry ignored in history": edit("READ_HISTORY_AFTER", "r.expires_at > ?3)\n)", "r.expires_at > 0)\n)"),
    "expiry ignored in a conversation's turns": edit("READ_RESPONSES_OF", "r.expires_at > ?3", "r.expires_at > 0"),
    "expiry a second late": edit("READ_HEAD", "r.expires_at > ?3", "r.expires_at >= ?3"),
    "sweep takes what has not expired": edit("READ_EXPIRED", "expires_at <= ?1", "expires_at <= ?1 + 60"),
    "sweep knows no limit": edit("READ_EXPIRED", "LIMIT ?2", "LIMIT max(?2, 500)"),
    "insertion index lost on overwrite": swap(
        writing.Writing, "_store", lambda right: lambda *a, insertion_index=None: right(*a)
    ),
    "insertion index shared by tenants": edit("TAKE_INSERTION_INDEX", "VALUES (?1, 2)", "VALUES (?1 || 'x', 2)"),
    "turns ordered by id": edit("READ_RESPONSES_OF", "ORDER BY r.created_at, r.insertion_index", "ORDER BY r.id"),
    "turns ordered by insertion alone": edit("READ_RESPONSES_OF", "ORDER BY r.created_at, ", "ORDER BY -"),
    "time runs backwards": swap(writing.Writing, "_last_created_at", lambda _: lambda *_a: 0),
    "lease without fencing": edit("RENEW_LEASE", "AND lock_epoch = ?4", "AND ?4"),
    "commit without fencing": swap(
        writing.Writing, "_held", lambda _: lambda self, lease: self._conversation(lease.conversation_id)
    ),
    "lease never runs out": edit("TAKE_LEASE", "lock_until_ms <= ?5", "lock_until_ms <= 0 AND ?5"),
    "lease runs out too late": edit("TAKE_LEASE", "lock_until_ms <= ?5", "lock_until_ms < ?5"),
    "lease for everybody": edit("TAKE_LEASE", "(holder IS NULL OR lock_until_ms <= ?5)", "?5"),
    "lease is not given back by commit": swap(writing.Writing, "release_lease", lambda _: _never),
    "changes by hand ignore leases": swap(
        writing.Writing, "_unlocked", lambda _: lambda self, its_id: self._conversation(its_id)
    ),
    "erases too little: nothing": swap(writing, "settle", lambda _: _never),
    "erases too little: bases stay": swap(erasing, "_bury", lambda right: lambda *a: right(*a)[:0]),
    "erases too little: removed items stay": swap(erasing, "_blank", lambda _: lambda *_a: []),
    "erases too much: forks do not count": edit("READ_LOG", "max(f.base_position)", "NULL + max(f.base_position)"),
    "erases too much: conversations do not count": edit("READ_LOG", "SELECT c.id", "SELECT NULL"),
    "erases too much: one position": swap(
        erasing, "_trim", lambda right: lambda c, t, log, top: right(c, t, log, max(-1, top - 1))
    ),
    "erases too much: earlier turns lose removed items": edit("FIND_UNREACHED", "r.epoch < v.epoch", "r.epoch < -1"),
    "erases too much: forks lose removed items": edit("FIND_UNREACHED", "f.base_epoch < v.epoch", "f.base_epoch < -1"),
    "ground is not looked at": swap(
        writing.Writing,
        "_ground",
        lambda right: lambda self, head: logs.read_log(self._connection, self._tenant, head.log) or right(self, head),
    ),
    "erased item in the ground is not noticed": edit("FIND_ERASED_IN_VIEW", "v.epoch > ?3", "v.epoch < -?3"),
    "a failed turn joins the main line": swap(turns, "STANDS_ASIDE", lambda _: frozenset()),
    "aside ignored": swap(
        writing.Writing,
        "commit",
        lambda right: lambda self, turn: right(self, msgspec.structs.replace(turn, aside=False)),
    ),
    "left_out forgotten": edit("ADD_ITEM", "?5, ?6, ?7", "?5, 0 * ?6, ?7"),
    "left_out items are listed": swap(
        tenant,
        "listed",
        lambda _: lambda items: [item for item in items if item.payload is not None and not item.removed],
    ),
    "removed items are listed": swap(
        tenant, "listed", lambda _: lambda items: [item for item in items if item.payload is not None]
    ),
    "output among the input items": swap(
        views._Reading,
        "finish",
        lambda right: (
            lambda self: (
                lambda view: view and msgspec.structs.replace(view, output_position=view.output_position + 1)
            )(right(self))
        ),
    ),
    "has_more one too early": swap(
        tenant,
        "page_of",
        lambda right: (
            lambda items, page: (
                lambda answer: msgspec.structs.replace(answer, has_more=len(answer.items) == page.limit)
            )(right(items, page))
        ),
    ),
    "order ignored": swap(
        tenant, "page_of", lambda right: lambda items, page: right(items, msgspec.structs.replace(page, order="asc"))
    ),
    "cursor ignored": swap(
        tenant, "page_of", lambda right: lambda items, page: right(items, msgspec.structs.replace(page, after=None))
    ),
    "status forgotten": edit("READ_HISTORY_AFTER", "l.family, r.status,", "l.family, 'completed',"),
    "usage of zeros": swap(rows, "_usage_of", lambda right: lambda columns: right([column or 0 for column in columns])),
    "conversation's log ends where it began": edit(
        "EXTEND_CONVERSATION", "SET length = ?3", "SET length = ?4 + 0 * ?3"
    ),
    "a refused job leaves half of itself": swap(writer.Writer, "_attempt", lambda _: _attempt_without_savepoint),
    "history is cut short": edit(
        "READ_HISTORY_AFTER", "BETWEEN path.low AND path.high", "BETWEEN max(path.low, path.high - 99) AND path.high"
    ),
    "deleted conversation takes its turns along": swap(
        writing.Writing, "delete_conversation", lambda right: _delete_with_turns(right)
    ),
}


def _attempt_without_savepoint(self: writer.Writer, job: Any) -> None:
    try:
        job.result = job.work(self._connection)
    except Exception as error:  # noqa: BLE001 - it is the bug
        job.error = error


def _delete_with_turns(right: Callable[..., bool]) -> Callable[..., bool]:
    def wrong(self: writing.Writing, conversation_id: str) -> bool:
        for row in self._all(queries.READ_RESPONSES_OF, conversation_id, 0):
            self.delete_response(row[0])
        return right(self, conversation_id)

    return wrong


MEMORY_BUGS: dict[str, Plant] = {
    "no epochs": swap(memory._Log, "hides", lambda _: lambda log, position, _epoch: position in log.removals),
    "nothing is hidden": swap(memory._Log, "hides", lambda _: lambda *_a: False),
    "nothing is erased": swap(memory, "_erase_unreached", lambda _: _never),
    "expiry ignored": swap(memory._Tenant, "_has_expired", lambda _: lambda *_a: False),
    "no fencing": swap(
        memory._Tenant, "_leased", lambda _: lambda self, lease: self._state.conversations.get(lease.conversation_id)
    ),
    "one state for all tenants": swap(
        InMemorySessionStore,
        "for_tenant",
        lambda _: (
            lambda self, _name: memory._Tenant(
                self._states.setdefault("all", memory._State()), self._clock, self._random_bytes
            )
        ),
    ),
    "bases are not kept": swap(
        memory,
        "_views",
        lambda right: (
            lambda state, also=None: {
                view: top
                for view, top in right(state, also).items()
                if view[0] in {response.log for response in state.responses.values()}
            }
        ),
    ),
    "ground is not looked at": swap(
        memory._Tenant, "_ground", lambda right: lambda self, head: self._state.logs.get(head.log) or right(self, head)
    ),
    "a refused replacement is not undone": swap(memory.copy, "deepcopy", lambda _: _never),
    "views lose their epoch": swap(
        memory._Response,
        "head",
        lambda right: property(lambda response: Head(log=response.log, position=response.first + response.count - 1)),
    ),
}


async def _is_caught(open_store: Callable[[], tuple[Any, FixedClock]]) -> bool:
    """Whether some check fails; a bug may also break a check with an error of its own."""
    for check in CHECKS:
        store, clock = open_store()
        await store.open()
        try:
            await check.run(StoreFixture(store, clock))
        except Exception:  # noqa: BLE001 - however the bug shows, the suite has seen it
            return True
        finally:
            await store.close()
    return False


@pytest.mark.parametrize("bug", SQLITE_BUGS)
async def test_suite_catches_a_bug_of_the_sqlite_store(
    bug: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A SQLite store with this bug does not pass."""
    SQLITE_BUGS[bug](monkeypatch)
    paths = (tmp_path / f"{number}.db" for number in range(len(CHECKS)))

    def open_store() -> tuple[SQLiteSessionStore, FixedClock]:
        clock = FixedClock()
        return SQLiteSessionStore(next(paths), clock=clock), clock

    assert await _is_caught(open_store), f"the suite lets '{bug}' through"


@pytest.mark.parametrize("bug", MEMORY_BUGS)
async def test_suite_catches_a_bug_of_the_model(bug: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reference model with this bug does not pass."""
    MEMORY_BUGS[bug](monkeypatch)

    def open_store() -> tuple[InMemorySessionStore, FixedClock]:
        clock = FixedClock()
        return InMemorySessionStore(clock=clock), clock

    assert await _is_caught(open_store), f"the suite lets '{bug}' through"
