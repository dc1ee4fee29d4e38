"""The suite's checks of pending turns, idempotency keys and deliveries catch what they are there to catch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from antiphon.sessions.work import KeyClaim
from antiphon.stores import memory_all_work, memory_tenant_work, memory_work
from antiphon.stores.memory import InMemorySessionStore
from antiphon.stores.sqlite import SQLiteSessionStore, library_queries, work_queries, work_writing, writer, writing
from antiphon.stores.sqlite import queries as turn_queries
from antiphon.stores.sqlite import work as all_work
from antiphon.testing.store_suite import FixedClock
from tests.stores.planting import Bug, Plant, but, edit, is_caught, swap


def _never(*_: object, **__: object) -> None:
    """Do nothing."""


def work(name: str, old: str, new: str) -> Plant:
    """A bug in one statement about work."""
    return edit(name, old, new, among=work_queries)


def together(*plants: Plant) -> Plant:
    """Several edits that make one bug."""

    def plant(patch: pytest.MonkeyPatch) -> None:
        for each in plants:
            each(patch)

    return plant


def without(*statements: str) -> Plant:
    """A bug: these statements are never run."""

    def make(right: Callable[..., int]) -> Callable[..., int]:
        def wrong(self: object, statement: str, *parameters: object) -> int:
            forgotten = {getattr(work_queries, name) for name in statements}
            return 1 if statement in forgotten else right(self, statement, *parameters)

        return wrong

    return swap(work_writing.WorkWriting, "_run", make)


def _attempt_without_rollback(self: writer.Writer, job: Any) -> None:
    try:
        job.result = job.work(self._connection)
    except Exception as error:  # noqa: BLE001 - it is the bug
        job.error = error


def _one_attempt(claim: Any) -> Any:
    return msgspec.structs.replace(claim, attempts=1) if isinstance(claim, KeyClaim) else claim


def _without_place(right: Any) -> Any:
    return lambda self, turn: right(self, turn) and None


SQLITE_BUGS: dict[str, Bug] = {
    # Lists.
    "pending turns are in no list": Bug(
        "background_turns_are_listed_from_their_beginning",
        edit("LIST_RESPONSES_DOWN", "p.insertion_index < ?2", "p.insertion_index < -?2", among=library_queries),
    ),
    "stored turn gets a new place": Bug(
        "background_turns_are_listed_from_their_beginning",
        swap(writing.Writing, "_place_in_lists", _without_place),
    ),
    "place is kept whoever overtook": Bug(
        "last_turn_stored_in_a_conversation_is_its_newest",
        edit("FIND_TURN_BEHIND", "n.insertion_index > ?3", "n.insertion_index > ?3 + 9", among=turn_queries),
    ),
    "tenant forgotten in lists of pending turns": Bug(
        "pending_turns_are_filtered_like_stored_ones",
        edit("LIST_RESPONSES_DOWN", "p.tenant = ?1 AND p.", "p.", among=library_queries),
    ),
    "status of a pending turn is ignored": Bug(
        "pending_turns_are_filtered_like_stored_ones",
        edit("LIST_RESPONSES_DOWN", "OR p.status = ?9", "OR p.status <> ''", among=library_queries),
    ),
    "terms of a pending turn are forgotten": Bug(
        "pending_turns_are_filtered_like_stored_ones", swap(work_writing, "add_terms", lambda _: _never)
    ),
    "terms of a pending turn outlive it": Bug(
        "turn_that_was_given_up_is_in_no_list", swap(work_writing, "drop_terms", lambda _: _never)
    ),
    # Pending turns.
    "tenant forgotten in reading a pending turn": Bug(
        "foreign_pending_turns_are_unknown", work("READ_PENDING", "p.tenant = ?1 AND", "")
    ),
    "tenant forgotten in reading events": Bug(
        "foreign_pending_turns_are_unknown", work("READ_EVENTS", "WHERE e.tenant = ?1 AND", "WHERE")
    ),
    "tenant forgotten in cancelling": Bug(
        "foreign_pending_turns_are_unknown", work("REQUEST_CANCEL", "tenant = ?1 AND", "")
    ),
    "tenant forgotten in dropping a turn": Bug(
        "foreign_pending_turns_are_unknown", work("DROP_PENDING", "tenant = ?1 AND", "")
    ),
    "stored ids may be opened": Bug("response_id_is_used_once", work("ADD_PENDING", "r.id = ?2", "r.id = ''")),
    "pending ids may be stored": Bug(
        "id_of_a_pending_turn_cannot_be_stored_without_its_claim",
        edit("ADD_RESPONSE", "p.response_id = ?2", "p.response_id = ''", among=turn_queries),
    ),
    "pending ids may be put": Bug(
        "id_of_a_pending_turn_cannot_be_stored_without_its_claim",
        together(
            edit("ADD_RESPONSE", "p.response_id = ?2", "p.response_id = ''", among=turn_queries),
            swap(work_writing.WorkWriting, "is_pending", lambda _: lambda *_a: False),
        ),
    ),
    "events without fencing": Bug(
        "claim_that_was_taken_is_void", work("EXTEND_STREAM", "AND holder = ?3 AND epoch = ?4", "AND ?4")
    ),
    "events without an epoch": Bug(
        "holder_who_takes_its_own_turn_again_fences_itself", work("EXTEND_STREAM", "AND epoch = ?4", "AND ?4")
    ),
    "commit without fencing": Bug(
        "claim_that_was_taken_is_void", work("DROP_PENDING", "AND holder = ?3 AND epoch = ?4", "AND ?4")
    ),
    "commit without an epoch": Bug(
        "holder_who_takes_its_own_turn_again_fences_itself", work("DROP_PENDING", "AND epoch = ?4", "AND ?4")
    ),
    "any claim will do": Bug(
        "claim_is_for_its_own_turn", swap(work_writing, "is_own_claim", lambda _: lambda _t: True)
    ),
    "claim is not looked at": Bug(
        "claim_that_was_taken_is_void", swap(work_writing.WorkWriting, "replace_pending", lambda _: _never)
    ),
    "gaps are allowed": Bug("stream_has_no_gaps", work("EXTEND_STREAM", "next_event = ?5)", "next_event <= ?5)")),
    "repetitions are allowed": Bug(
        "stream_has_no_gaps", work("EXTEND_STREAM", "next_event = ?5)", "next_event >= ?5)")
    ),
    "empty groups are allowed": Bug("stream_has_no_gaps", work("EXTEND_STREAM", "?6 > 0", "?6 >= 0")),
    "events outlive their turn": Bug("dropped_turn_leaves_nothing", without("DROP_EVENTS")),
    "request outlives its turn": Bug("commit_takes_the_place_of_a_pending_turn", without("DROP_PENDING_REQUEST")),
    "group that holds the first event is missing": Bug(
        "events_are_kept_in_order", work("READ_EVENTS", "b.first <= ?3", "b.first = ?3")
    ),
    "group that ended is shown": Bug(
        "events_are_kept_in_order", work("READ_EVENTS", "e.first + e.count > ?3", "e.first + e.count >= ?3")
    ),
    "events in the order of their content": Bug(
        "events_are_kept_in_order", work("READ_EVENTS", "ORDER BY e.first", "ORDER BY e.payload DESC")
    ),
    "status stays queued": Bug("first_event_makes_a_turn_run", work("EXTEND_STREAM", "'in_progress'", "'queued'")),
    "cancel is not told with the events": Bug(
        "cancel_is_seen_by_who_works", work("EXTEND_STREAM", "RETURNING cancel_requested", "RETURNING 0")
    ),
    "cancel is not told at the renewal": Bug(
        "cancel_is_seen_by_who_works", work("RENEW_PENDING", "response_id, cancel_requested", "response_id, 0")
    ),
    "claim never runs out": Bug(
        "claim_runs_out", work("FIND_ABANDONED", "p.claim_until_ms <= ?1", "p.claim_until_ms <= 0 * ?1")
    ),
    "claim runs out too late": Bug(
        "claim_runs_out", work("FIND_ABANDONED", "p.claim_until_ms <= ?1", "p.claim_until_ms < ?1")
    ),
    "claim runs out a second early": Bug(
        "claim_runs_out", work("FIND_ABANDONED", "p.claim_until_ms <= ?1", "p.claim_until_ms <= ?1 + 1000")
    ),
    "taking over does not fence": Bug(
        "holder_who_takes_its_own_turn_again_fences_itself", work("TAKE_PENDING", ", epoch = epoch + 1", "")
    ),
    "taking over gives no time": Bug(
        "claim_runs_out", work("TAKE_PENDING", "claim_until_ms = ?4", "claim_until_ms = 0 * ?4")
    ),
    "taking over knows no limit": Bug(
        "oldest_turns_are_taken_first", work("FIND_ABANDONED", "LIMIT ?2", "LIMIT max(?2, 9)")
    ),
    "those are taken first that ran out first": Bug(
        "oldest_turns_are_taken_first", work("FIND_ABANDONED", "ORDER BY p.created_at", "ORDER BY p.claim_until_ms")
    ),
    "everybody's claims are renewed": Bug(
        "claims_are_renewed_together", work("RENEW_PENDING", "WHERE holder = ?1", "WHERE ?1 IS NOT NULL")
    ),
    "refused commit removes the pending turn": Bug(
        "refused_commit_leaves_the_turn_pending",
        swap(writer.Writer, "_attempt_alone", lambda _: _attempt_without_rollback),
    ),
    # What a response keeps.
    "trace is forgotten": Bug("trace_is_kept", edit("ADD_RESPONSE", "?25", "coalesce(x'', ?25)", among=turn_queries)),
    "expired trace is read": Bug("trace_is_kept", work("READ_TRACE", "expires_at > ?3", "expires_at > 0 * ?3")),
    "ephemeral is forgotten in a history": Bug(
        "ephemeral_response_says_so",
        edit("READ_HISTORY_AFTER", "r.conversation_id, r.ephemeral,", "r.conversation_id, 0,", among=turn_queries),
    ),
    "ephemeral items are found": Bug(
        "items_of_an_ephemeral_response_are_not_found",
        edit("FIND_ITEMS", "r.ephemeral = 1", "r.ephemeral = 2", among=turn_queries),
    ),
    "what stands in the log of an ephemeral response is not found": Bug(
        "items_of_an_ephemeral_response_are_not_found",
        edit("FIND_ITEMS", "BETWEEN r.first_position AND", "BETWEEN 0 AND", among=turn_queries),
    ),
    "ephemeral is forgotten in a head": Bug(
        "ephemeral_response_says_so", edit("READ_HEAD", "l.family, r.ephemeral", "l.family, 0", among=turn_queries)
    ),
    "ephemeral is forgotten by a put": Bug(
        "ephemeral_response_says_so",
        swap(writing, "turn_of", but(lambda turn: msgspec.structs.replace(turn, ephemeral=False))),
    ),
    # Keys.
    "tenant forgotten in reading a key": Bug("foreign_keys_are_unknown", work("READ_KEY", "tenant = ?1 AND", "")),
    "tenant forgotten in settling": Bug("foreign_keys_are_unknown", work("SETTLE_KEY", "tenant = ?1 AND", "")),
    "tenant forgotten in releasing": Bug("foreign_keys_are_unknown", work("RELEASE_KEY", "tenant = ?1 AND", "")),
    "key for everybody": Bug("key_is_given_to_one", work("READ_KEY", "holder, claim_until_ms", "holder, 0")),
    "released key keeps its number": Bug(
        "released_key_is_new", work("TAKE_KEY_EPOCH", "RETURNING next_key_epoch - 1", "RETURNING 1")
    ),
    "waiting counts as an attempt": Bug(
        "attempts_count_what_was_begun", work("TAKE_PENDING", "(status = 'in_progress')", "1")
    ),
    "attempts are not counted": Bug(
        "abandoned_key_is_taken_again", swap(work_writing.WorkWriting, "take_key", but(_one_attempt))
    ),
    "settling without fencing": Bug(
        "abandoned_key_is_taken_again", work("SETTLE_KEY", "AND holder = ?3 AND epoch = ?4", "AND ?4")
    ),
    "settling without an epoch": Bug(
        "same_holder_of_an_older_key_is_fenced", work("SETTLE_KEY", "AND epoch = ?4", "AND ?4")
    ),
    "releasing without an epoch": Bug("released_key_is_new", work("RELEASE_KEY", "AND epoch = ?4", "AND ?4")),
    "binding without an epoch": Bug(
        "same_holder_of_an_older_key_is_fenced", work("BIND_KEY", "AND epoch = ?4", "AND ?4")
    ),
    "bound key can be taken": Bug("key_is_bound_to_its_turn", work("BIND_KEY", ", holder = NULL", "")),
    "settled key can be settled again": Bug("settled_key_answers", work("SETTLE_KEY", ", holder = NULL", "")),
    "answer is lost": Bug("settled_key_answers", work("SETTLE_KEY", "answer = ?6", "answer = substr(?6, 1, 0)")),
    "commit leaves the key open": Bug("commit_settles_the_key", without("SETTLE_BOUND_KEY")),
    "dropped turn keeps its key": Bug("dropped_turn_frees_its_key", without("DROP_BOUND_KEY")),
    "dropped turn frees whatever key": Bug(
        "dropped_turn_leaves_a_key_that_was_taken_anew",
        work("DROP_BOUND_KEY", "AND response_id = ?3", "AND ?3 IS NOT NULL"),
    ),
    "committed turn settles whatever key": Bug(
        "expired_key_is_unknown_at_once", work("SETTLE_BOUND_KEY", "AND response_id = ?3", "AND ?3 IS NOT NULL")
    ),
    "lost key is bound all the same": Bug(
        "turn_of_a_lost_key_is_not_begun", swap(work_writing.WorkWriting, "_write_key", lambda _: _never)
    ),
    "expired key is known": Bug(
        "expired_key_is_unknown_at_once", work("READ_KEY", "expires_at > ?3", "expires_at > 0 * ?3")
    ),
    "expired key can be settled": Bug(
        "expired_key_is_unknown_at_once", work("SETTLE_KEY", "expires_at > ?5", "expires_at > 0 * ?5")
    ),
    "expired key can be bound": Bug(
        "expired_key_is_unknown_at_once", work("BIND_KEY", "expires_at > ?5", "expires_at > 0 * ?5")
    ),
    "key that is taken again keeps its old binding": Bug(
        "expired_key_is_unknown_at_once",
        work("PUT_KEY", "response_id = NULL, settled = 0, answer = NULL", "settled = 0"),
    ),
    "key expires as first taken": Bug(
        "key_lives_from_when_it_was_last_taken", work("PUT_KEY", ", expires_at = excluded.expires_at", "")
    ),
    "keys are not renewed": Bug(
        "keys_are_renewed_with_the_turns", work("RENEW_KEYS", "holder = ?1", "holder = ?1 AND 0")
    ),
    "sweep takes keys that live": Bug(
        "sweep_forgets_expired_keys", work("READ_EXPIRED_KEYS", "expires_at <= ?1", "expires_at <= ?1 + 60")
    ),
    "sweep knows no limit for keys": Bug(
        "sweep_forgets_expired_keys", work("READ_EXPIRED_KEYS", "LIMIT ?2", "LIMIT max(?2, 9)")
    ),
    # Deliveries.
    "tenant forgotten in listing deliveries": Bug(
        "foreign_deliveries_are_unknown", work("LIST_DELIVERIES", "AND d.tenant = ?1", "AND ?1 = ?1")
    ),
    "tenant forgotten in noting a try": Bug(
        "foreign_deliveries_are_unknown", work("RECORD_DELIVERY", "AND d.tenant = ?1", "AND ?1 = ?1")
    ),
    "tenant forgotten in dropping deliveries": Bug(
        "foreign_deliveries_are_unknown", work("DROP_DELIVERIES", "tenant = ?1 AND", "")
    ),
    "delivery of another response": Bug(
        "refused_turn_delivers_nothing", swap(work_writing, "check_deliveries", lambda _: _never)
    ),
    "deliveries are not kept": Bug(
        "delivery_is_due_at_once", swap(work_writing.WorkWriting, "add_deliveries", lambda _: _never)
    ),
    "delivery is due when it says that it was created": Bug(
        "delivery_is_due_at_once", work("ADD_DELIVERY", "?5, ?6)", "?5, ?4 + 0 * ?6)")
    ),
    "taken delivery is due again at once": Bug(
        "delivery_is_taken_by_one", work("PUT_OFF_DELIVERY", "next_at = ?3", "next_at = 0 * ?3")
    ),
    "time of a delivery is cut off": Bug(
        "taken_delivery_is_put_off", swap(all_work, "put_off_until", lambda _: lambda now_s, ttl_s: int(now_s + ttl_s))
    ),
    "tries are not counted": Bug("tries_are_noted", work("RECORD_DELIVERY", "attempts = attempts + 1, ", "")),
    "due a second too late": Bug("tries_are_noted", work("FIND_DUE", "d.next_at <= ?2", "d.next_at < ?2")),
    "newest are delivered first": Bug(
        "longest_due_is_delivered_first", work("FIND_DUE", "ORDER BY d.next_at", "ORDER BY -d.next_at")
    ),
    "delivering knows no limit": Bug(
        "longest_due_is_delivered_first", work("FIND_DUE", "LIMIT ?1", "LIMIT max(?1, 9)")
    ),
    "oldest are listed first": Bug(
        "deliveries_are_listed_newest_first", work("LIST_DELIVERIES", "d.created_at DESC", "d.created_at")
    ),
    "page begins with its cursor": Bug(
        "deliveries_are_listed_newest_first",
        work("LIST_DELIVERIES_AFTER", "(d.created_at, d.id) <", "(d.created_at, d.id) <="),
    ),
    "deliveries outlive their response": Bug("deliveries_go_with_their_response", without("DROP_DELIVERIES")),
    "deliveries of an expired response are made": Bug(
        "deliveries_of_an_expired_response_are_unknown_at_once",
        work("FIND_DUE", "r.expires_at > ?2", "r.expires_at > 0 * ?2"),
    ),
    "deliveries of an expired response are listed": Bug(
        "deliveries_of_an_expired_response_are_unknown_at_once",
        work("LIST_DELIVERIES", "r.expires_at > ?2", "r.expires_at > 0 * ?2"),
    ),
}


def model(name: str, wrong: Callable[..., Any]) -> Plant:
    """A bug in one method of the model's work."""
    return swap(memory_tenant_work.TenantWork, name, lambda _: wrong)


MEMORY_BUGS: dict[str, Bug] = {
    "stored turn gets a new place": Bug(
        "background_turns_are_listed_from_their_beginning",
        swap(memory_tenant_work.TenantWork, "_place_in_lists", lambda _: _never),
    ),
    "claims do not fence": Bug(
        "claim_that_was_taken_is_void", swap(memory_work.PendingRow, "is_held_by", lambda _: lambda *_a: True)
    ),
    "epochs do not fence": Bug(
        "holder_who_takes_its_own_turn_again_fences_itself",
        swap(memory_work.PendingRow, "is_held_by", lambda _: lambda row, claim: row.holder == claim.holder),
    ),
    "gaps are allowed": Bug("stream_has_no_gaps", swap(memory_work.PendingRow, "follows", lambda _: lambda *_a: True)),
    "any claim will do": Bug(
        "claim_is_for_its_own_turn", swap(memory_tenant_work, "is_own_claim", lambda _: lambda _turn: True)
    ),
    "pending ids may be stored": Bug(
        "id_of_a_pending_turn_cannot_be_stored_without_its_claim", model("_check_not_pending", _never)
    ),
    "commit does not look at work": Bug("claim_that_was_taken_is_void", model("_check_work", _never)),
    "commit leaves the pending turn": Bug("commit_takes_the_place_of_a_pending_turn", model("_finish_work", _never)),
    "dropped turn frees no key": Bug("dropped_turn_frees_its_key", model("_bound_key", lambda *_: None)),
    "key claims do not fence": Bug(
        "abandoned_key_is_taken_again", swap(memory_work.KeyRow, "is_held_by", lambda _: lambda *_a: True)
    ),
    "expired keys are known": Bug(
        "expired_key_is_unknown_at_once", model("_key", lambda self, key: self._state.work.keys.get(key))
    ),
    "settlement is not looked at first": Bug("nothing_is_created_under_a_lost_key", model("_check_settlement", _never)),
    "settlement is forgotten": Bug("key_is_settled_with_the_conversation", model("_settle", _never)),
    "deliveries outlive their response": Bug(
        "deliveries_go_with_their_response", swap(memory_work.WorkState, "drop_deliveries", lambda _: _never)
    ),
    "replaced turn loses its deliveries": Bug(
        "replaced_turn_keeps_its_deliveries", swap(memory_work.WorkState, "deliveries_of", lambda _: lambda *_a: {})
    ),
    "deliveries of an expired response are made": Bug(
        "deliveries_of_an_expired_response_are_unknown_at_once",
        swap(memory_all_work, "_is_told_of", lambda _: lambda *_a: True),
    ),
    "claims have no time": Bug(
        "claims_are_renewed_together", swap(memory_all_work, "claim_until_ms", lambda _: lambda now_s, _ttl: int(now_s))
    ),
}


@pytest.mark.parametrize("name", SQLITE_BUGS)
async def test_suite_catches_a_bug_in_the_work_of_the_sqlite_store(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, clock: FixedClock
) -> None:
    """A SQLite store with this bug does not pass."""
    SQLITE_BUGS[name].plant(monkeypatch)
    store = SQLiteSessionStore(tmp_path / "store.db", clock=clock)
    assert await is_caught(SQLITE_BUGS[name], store, clock)


@pytest.mark.parametrize("name", MEMORY_BUGS)
async def test_suite_catches_a_bug_in_the_work_of_the_model(
    name: str, monkeypatch: pytest.MonkeyPatch, clock: FixedClock
) -> None:
    """A reference model with this bug does not pass."""
    MEMORY_BUGS[name].plant(monkeypatch)
    assert await is_caught(MEMORY_BUGS[name], InMemorySessionStore(clock=clock), clock)
