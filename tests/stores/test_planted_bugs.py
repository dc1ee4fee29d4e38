"""
The conformance suite catches what it is there to catch: each store below has one bug, and the suite must find it.

Bugs of the SQLite store are edits of its statements or of one of its functions; those of the model are subclasses in
spirit: one method of it replaced. A bug that the suite lets through fails here.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw
import msgspec
import pytest

from antiphon.hub.ids import TenantId
from antiphon.sessions.records import Committed, Head, ItemPage, NewTurn, Page
from antiphon.stores import memory, memory_library, memory_state, turns
from antiphon.stores.memory import InMemorySessionStore
from antiphon.stores.sqlite import (
    SQLiteSessionStore,
    erasing,
    logs,
    pages,
    queries,
    rows,
    sweeping,
    tenant,
    writer,
    writing,
)
from antiphon.testing.store_suite import FixedClock
from tests.stores.planting import Bug, Plant, but, edit, is_caught, swap


def forget_attach(right: Any) -> Any:
    """For :func:`swap`: a turn in a conversation that does not say what it stands on."""

    def wrong(self: Any, turn: NewTurn, count: int, conversation: Any) -> Any:
        told = turn if conversation is None or turn.aside else msgspec.structs.replace(turn, attach=None)
        return right(self, told, count, conversation)

    return wrong


def _never(*_: object, **__: object) -> None:
    """Do nothing."""


def edit_of_pages(change: Callable[[ItemPage, Page], ItemPage]) -> Plant:
    """A bug in paging."""

    def make(right: Any) -> Any:
        async def wrong(connection: apsw.Connection, of: TenantId, head: Head, page: Page) -> ItemPage:
            return change(await right(connection, of, head, page), page)

        return wrong

    return swap(tenant, "read_page", make)


def ask_for_pages(change: Callable[[Page], Page]) -> Plant:
    """A bug in what page is read."""
    return swap(
        tenant, "read_page", lambda right: lambda *view_and_page: right(*view_and_page[:-1], change(view_and_page[-1]))
    )


def _head_one_further(done: Committed) -> Committed:
    return msgspec.structs.replace(done, head=msgspec.structs.replace(done.head, position=done.head.position + 1))


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


def _with_a_new_index(right: Callable[..., Committed]) -> Callable[..., Committed]:
    def wrong(*arguments: object, insertion_index: int | None = None) -> Committed:
        return right(*arguments)

    return wrong


SQLITE_BUGS: dict[str, Bug] = {
    "head off by one": Bug("turn_is_read_back_whole", swap(writing.Writing, "_store", but(_head_one_further))),
    "appends without looking whether somebody did": Bug(
        "positions_are_never_used_again",
        swap(
            logs.Log, "length", lambda right: property(lambda log: log.top + 1 if log.is_chain else right.__get__(log))
        ),
    ),
    "forks always": Bug("continuation_appends_to_the_chain", swap(logs.Log, "is_chain", lambda _: False)),
    "tenant forgotten in reading a response": Bug(
        "foreign_turns_are_unknown", edit("READ_RESPONSE", "r.tenant = ?1 AND", "")
    ),
    "tenant forgotten in reading a history": Bug(
        "foreign_turns_are_unknown", edit("READ_HISTORY_AFTER", "r.tenant = ?1 AND r.id", "r.id")
    ),
    "tenant forgotten in finding items": Bug("foreign_turns_are_unknown", edit("FIND_ITEMS", "i.tenant = ?1 AND", "")),
    "tenant forgotten in deleting": Bug("tenants_share_no_ids", edit("DROP_LIVE_RESPONSE", "tenant = ?1 AND", "")),
    "tenant forgotten in reading a conversation": Bug(
        "foreign_conversations_are_unknown", edit("READ_CONVERSATION", "c.tenant = ?1 AND", "")
    ),
    "tenant forgotten in leases": Bug("foreign_conversations_are_unknown", edit("RENEW_LEASE", "tenant = ?1 AND", "")),
    "fork ignores the epoch of its base": Bug(
        "fork_sees_its_base_as_of_its_birth",
        edit("READ_HISTORY_AFTER", "path.high), path.base_epoch", "path.high), 99"),
    ),
    "fork is born without the epoch of its base": Bug(
        "fork_sees_its_base_as_of_its_birth", edit("ADD_LOG", "?6, ?7, ?8)", "?6, 0, ?8)")
    ),
    "removal ignored": Bug(
        "removed_item_is_hidden_from_now_on", edit("READ_HISTORY_OF", "WHERE path.epoch > 0", "WHERE path.epoch < 0")
    ),
    "removal reaches into the past": Bug(
        "fork_sees_its_base_as_of_its_birth",
        edit("READ_HISTORY_AFTER", "v.epoch <= path.epoch", "v.epoch <= path.epoch + 1"),
    ),
    "removal without an epoch": Bug(
        "removed_item_is_hidden_from_now_on",
        swap(
            writing.Writing,
            "_run",
            lambda right: (
                lambda self, statement, *parameters: (
                    None if statement == queries.BUMP_EPOCH else right(self, statement, *parameters)
                )
            ),
        ),
    ),
    "reference shows nothing": Bug(
        "reference_shows_what_it_points_at", edit("READ_HISTORY_AFTER", "coalesce(i.payload, t.payload)", "i.payload")
    ),
    "reference loses its type": Bug(
        "reference_shows_what_it_points_at", edit("READ_OWN_ITEMS", "coalesce(i.type, t.type)", "i.type")
    ),
    "reference does not keep its item": Bug(
        "reference_keeps_its_item", edit("DROP_ITEMS_ABOVE", "AND NOT EXISTS (", "AND 1 OR EXISTS (")
    ),
    "reference does not keep a removed item": Bug(
        "removed_item_stays_for_a_reference",
        edit("FIND_UNREACHED", "f.ref_position = i.position", "f.ref_position = -1"),
    ),
    "dangling references are stored": Bug(
        "reference_to_nothing_is_refused",
        swap(
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
    ),
    "expiry ignored in get": Bug(
        "expired_response_is_unknown_at_once", edit("READ_RESPONSE", "r.expires_at > ?3", "r.expires_at > 0 * ?3")
    ),
    "expiry ignored in history": Bug(
        "expired_response_is_unknown_at_once",
        edit("READ_HISTORY_AFTER", "r.expires_at > ?3)\n)", "r.expires_at > 0)\n)"),
    ),
    "expiry ignored in a conversation's turns": Bug(
        "expired_response_is_unknown_at_once", edit("READ_RESPONSES_OF", "r.expires_at > ?3", "r.expires_at > 0 * ?3")
    ),
    "expiry a second late": Bug(
        "expired_response_is_unknown_at_once", edit("READ_HEAD", "r.expires_at > ?3", "r.expires_at >= ?3")
    ),
    "sweep takes what has not expired": Bug(
        "sweep_erases_what_has_expired",
        edit("READ_EXPIRED", "expires_at <= ?1", "expires_at <= ?1 + 60", among=sweeping),
    ),
    "sweep knows no limit": Bug(
        "sweep_goes_in_small_steps", edit("READ_EXPIRED", "LIMIT ?2", "LIMIT max(?2, 500)", among=sweeping)
    ),
    "insertion index lost on overwrite": Bug(
        "replacing_keeps_the_insertion_index",
        swap(writing.Writing, "_store", _with_a_new_index),
    ),
    "insertion index shared by tenants": Bug(
        "insertion_index_grows_per_tenant",
        swap(writing, "take_place", lambda right: lambda at, _, **named: right(at, TenantId("all"), **named)),
    ),
    "turns ordered by id": Bug(
        "turns_of_a_conversation_are_ordered",
        edit("READ_RESPONSES_OF", "ORDER BY r.created_at, r.insertion_index", "ORDER BY r.id"),
    ),
    "turns ordered by insertion alone": Bug(
        "turns_of_a_conversation_are_ordered", edit("READ_RESPONSES_OF", "ORDER BY r.created_at, ", "ORDER BY -")
    ),
    "time runs backwards": Bug(
        "time_never_runs_backwards_in_a_conversation",
        swap(writing.Writing, "_last_created_at", lambda _: lambda *_a: 0),
    ),
    "lease without fencing": Bug(
        "same_holder_of_an_older_lease_is_fenced", edit("RENEW_LEASE", "AND lock_epoch = ?4", "AND ?4")
    ),
    "commit without fencing": Bug(
        "turn_whose_lease_was_taken_is_refused",
        swap(writing.Writing, "_held", lambda _: lambda self, lease: self._conversation(lease.conversation_id)),
    ),
    "commit without looking at what was edited": Bug(
        "turn_whose_conversation_was_edited_is_refused", swap(writing.Writing, "_landing", forget_attach)
    ),
    "lease never runs out": Bug(
        "lease_runs_out", edit("TAKE_LEASE", "lock_until_ms <= ?5", "lock_until_ms <= 0 AND ?5")
    ),
    "lease runs out too late": Bug("lease_runs_out", edit("TAKE_LEASE", "lock_until_ms <= ?5", "lock_until_ms < ?5")),
    "lease for everybody": Bug(
        "lease_is_given_to_one", edit("TAKE_LEASE", "(holder IS NULL OR lock_until_ms <= ?5)", "?5")
    ),
    "lease is not given back by commit": Bug(
        "commit_gives_the_lease_back", swap(writing.Writing, "release_lease", lambda _: _never)
    ),
    "changes by hand ignore leases": Bug(
        "running_turn_locks_out_changes_by_hand",
        swap(writing.Writing, "_unlocked", lambda _: lambda self, its_id: self._conversation(its_id)),
    ),
    "erases too little: nothing": Bug("last_turn_goes_with_its_items", swap(writing, "settle", lambda _: _never)),
    "erases too little: bases stay": Bug(
        "tree_is_erased_in_any_order", swap(erasing, "_bury", lambda right: lambda *a: right(*a)[:0])
    ),
    "erases too little: removed items stay": Bug(
        "removed_item_that_nobody_saw_is_erased", swap(erasing, "_blank", lambda _: lambda *_a: [])
    ),
    "erases too much: forks do not count": Bug(
        "tree_is_erased_in_any_order", edit("READ_LOG", "max(f.base_position)", "NULL + max(f.base_position)")
    ),
    "erases too much: conversations do not count": Bug(
        "conversation_owns_its_items", edit("READ_LOG", "SELECT c.id", "SELECT NULL")
    ),
    "erases too much: one position": Bug(
        "last_turn_goes_with_its_items",
        swap(erasing, "_trim", lambda right: lambda c, t, log, top: right(c, t, log, max(-1, top - 1))),
    ),
    "erases too much: earlier turns lose removed items": Bug(
        "earlier_responses_keep_a_removed_item", edit("FIND_UNREACHED", "r.epoch < seeing.since", "r.epoch < -1")
    ),
    "erases too much: forks lose removed items": Bug(
        "removed_item_goes_with_the_last_who_saw_it",
        edit("FIND_UNREACHED", "f.base_epoch < seeing.since", "f.base_epoch < -1"),
    ),
    "ground is not looked at": Bug(
        "ground_that_was_erased_is_refused",
        swap(
            writing.Writing,
            "_ground",
            lambda right: (
                lambda self, head: logs.read_log(self._connection, self._tenant, head.log) or right(self, head)
            ),
        ),
    ),
    "erased item in the ground is not noticed": Bug(
        "removal_by_a_view_from_before_is_noticed", edit("FIND_ERASED_IN_VIEW", "i.position <= ?4", "i.position < -?4")
    ),
    "a failed turn joins the main line": Bug(
        "put_of_a_failed_turn_stands_aside", swap(turns, "STANDS_ASIDE", lambda _: frozenset())
    ),
    "aside ignored": Bug(
        "aside_turn_leaves_the_main_line_clean",
        swap(
            writing.Writing,
            "commit",
            lambda right: lambda self, turn: right(self, msgspec.structs.replace(turn, aside=False)),
        ),
    ),
    "left_out forgotten": Bug(
        "left_out_items_stay_on_their_response", edit("ADD_ITEM", "?5, ?6, ?7", "?5, 0 * ?6, ?7")
    ),
    "left_out items are listed": Bug(
        "left_out_items_stay_on_their_response",
        swap(
            pages,
            "listed",
            lambda _: lambda items: [item for item in items if item.payload is not None and not item.removed],
        ),
    ),
    "removed items are listed": Bug(
        "earlier_responses_keep_a_removed_item",
        edit("FIND_HIDDEN_IN_WINDOW", "WHERE path.epoch > 0", "WHERE path.epoch < 0"),
    ),
    "output among the input items": Bug(
        "input_items_are_what_the_model_saw", edit("READ_INPUT_END", "r.output_position - 1", "r.output_position")
    ),
    "has_more one too early": Bug(
        "items_of_a_conversation_are_paged",
        edit_of_pages(lambda answer, page: msgspec.structs.replace(answer, has_more=len(answer.items) == page.limit)),
    ),
    "order ignored": Bug(
        "items_of_a_conversation_are_paged",
        ask_for_pages(lambda page: msgspec.structs.replace(page, order="asc")),
    ),
    "cursor ignored": Bug(
        "items_of_a_conversation_are_paged",
        ask_for_pages(lambda page: msgspec.structs.replace(page, after=None)),
    ),
    "repetitions end a page": Bug(
        "pages_end_though_an_item_stands_twice",
        swap(pages._View, "is_repetition", lambda _: lambda self, item: False),
    ),
    "cursor is the last place of an item": Bug(
        "page_goes_on_at_the_first_place_of_an_item",
        edit("FIND_SHOWN", "ORDER BY shown.position", "ORDER BY -shown.position"),
    ),
    "window looks too far into a base": Bug(
        "long_list_is_paged_across_forks_and_gaps",
        edit("FIND_HIDDEN_IN_WINDOW", "path.high), path.base_epoch", "path.high), 99"),
    ),
    "status forgotten": Bug(
        "head_of_a_response_is_what_commit_answered",
        edit("READ_HISTORY_AFTER", "l.family, r.status,", "l.family, 'completed',"),
    ),
    "usage of zeros": Bug(
        "usage_that_was_not_reported_stays_unknown",
        swap(rows, "_usage_of", lambda right: lambda columns: right([column or 0 for column in columns])),
    ),
    "conversation's log ends where it began": Bug(
        "put_goes_to_the_end_of_its_conversation",
        edit("EXTEND_CONVERSATION", "SET length = ?3", "SET length = ?4 + 0 * ?3"),
    ),
    "a refused job leaves half of itself": Bug(
        "response_id_in_use_is_refused", swap(writer.Writer, "_attempt_alone", lambda _: _attempt_without_savepoint)
    ),
    "a refused job among others leaves half of itself": Bug(
        "refused_turn_among_others_leaves_nothing",
        swap(writer.Writer, "_attempt", lambda _: _attempt_without_savepoint),
    ),
    "history is cut short": Bug(
        "long_history_is_whole",
        edit(
            "READ_HISTORY_AFTER",
            "BETWEEN path.low AND path.high",
            "BETWEEN max(path.low, path.high - 99) AND path.high",
        ),
    ),
    "deleted conversation takes its turns along": Bug(
        "deleted_conversation_leaves_its_responses",
        swap(writing.Writing, "delete_conversation", _delete_with_turns),
    ),
}


MEMORY_BUGS: dict[str, Bug] = {
    "no epochs": Bug(
        "earlier_responses_keep_a_removed_item",
        swap(memory_state.Log, "hidden", lambda _: lambda log, _epoch: frozenset(log.removals)),
    ),
    "nothing is hidden": Bug(
        "removed_item_is_hidden_from_now_on", swap(memory_state.Log, "hidden", lambda _: lambda *_a: frozenset())
    ),
    "nothing is erased": Bug(
        "last_turn_goes_with_its_items", swap(memory_library, "erase_unreached", lambda _: _never)
    ),
    "expiry ignored": Bug(
        "expired_response_is_unknown_at_once", swap(memory._Tenant, "_has_expired", lambda _: lambda *_a: False)
    ),
    "edits under a lease that ran out are not noticed": Bug(
        "turn_whose_conversation_was_edited_is_refused", swap(memory._Tenant, "_landing", forget_attach)
    ),
    "no fencing": Bug(
        "turn_whose_lease_was_taken_is_refused",
        swap(
            memory._Tenant,
            "_leased",
            lambda _: lambda self, lease: self._state.conversations.get(lease.conversation_id),
        ),
    ),
    "one state for all tenants": Bug(
        "tenants_share_no_ids",
        swap(
            InMemorySessionStore,
            "for_tenant",
            lambda _: (
                lambda self, _name: memory._Tenant(
                    self._states.setdefault("all", memory_state.State()), self._clock, self._random_bytes
                )
            ),
        ),
    ),
    "bases are not kept": Bug(
        "tree_is_erased_in_any_order",
        swap(
            memory_state,
            "views_of",
            lambda right: (
                lambda state, also=None: {
                    view: top
                    for view, top in right(state, also).items()
                    if view[0] in {response.log for response in state.responses.values()}
                }
            ),
        ),
    ),
    "ground is not looked at": Bug(
        "ground_that_was_erased_is_refused",
        swap(
            memory._Tenant,
            "_ground",
            lambda right: lambda self, head: self._state.logs.get(head.log) or right(self, head),
        ),
    ),
    "a refused replacement is not undone": Bug(
        "refused_replacement_changes_nothing", swap(copy, "deepcopy", lambda _: _never)
    ),
    "views lose their epoch": Bug(
        "fork_sees_its_base_as_of_its_birth",
        swap(
            memory_state.Response,
            "head",
            lambda right: property(
                lambda response: Head(log=response.log, position=response.first + response.count - 1)
            ),
        ),
    ),
}


@pytest.mark.parametrize("name", SQLITE_BUGS)
async def test_suite_catches_a_bug_of_the_sqlite_store(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, clock: FixedClock
) -> None:
    """A SQLite store with this bug does not pass."""
    SQLITE_BUGS[name].plant(monkeypatch)
    store = SQLiteSessionStore(tmp_path / "store.db", clock=clock)
    assert await is_caught(SQLITE_BUGS[name], store, clock)


@pytest.mark.parametrize("name", MEMORY_BUGS)
async def test_suite_catches_a_bug_of_the_model(name: str, monkeypatch: pytest.MonkeyPatch, clock: FixedClock) -> None:
    """A reference model with this bug does not pass."""
    MEMORY_BUGS[name].plant(monkeypatch)
    assert await is_caught(MEMORY_BUGS[name], InMemorySessionStore(clock=clock), clock)
