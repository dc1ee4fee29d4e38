"""The conformance suite catches planted bugs of lists, forks, cascades and prompts. See ``test_planted_bugs``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from antiphon.stores import memory_library, memory_state
from antiphon.stores.memory import InMemorySessionStore
from antiphon.stores.sqlite import (
    SQLiteSessionStore,
    cascade,
    library_queries,
    library_writing,
    listing,
    queries,
    writing,
)
from antiphon.testing.store_suite import FixedClock
from tests.stores.planting import Bug, Plant, edit, is_caught, swap


def edit_list(name: str, old: str, new: str) -> Plant:
    """A bug in one statement of the library."""
    return edit(name, old, new, among=library_queries)


def _nothing(*_: object, **__: object) -> None:
    """Do nothing."""


def _read_without_more(right: Any) -> Any:
    """For :func:`swap`: a page that is always the last."""

    async def wrong(self: listing.Listing, *arguments: Any) -> Any:
        return msgspec.structs.replace(await right(self, *arguments), has_more=False)

    return wrong


def _with_last_place(right: Any) -> Any:
    """For :func:`swap`: the last place of an item instead of the first."""

    def wrong(self: Any, log: int, item_id: str) -> int:
        right(self, log, item_id)
        return int(self._all(queries.FIND_PRESENT, log, item_id)[-1][1])

    return wrong


def _without(field: str, empty: object) -> Any:
    """For :func:`swap`: a plan of erasing that leaves something out."""
    return lambda right: lambda self, doomed: right(self, msgspec.structs.replace(doomed, **{field: empty}))


SQLITE_BUGS: dict[str, Bug] = {
    "fork copies nothing of its base's epoch": Bug(
        "fork_hides_what_was_hidden_at_its_birth", edit("ADD_LOG", "?6, ?7, ?8)", "?6, 0, ?8)")
    ),
    "fork goes to the end whatever is asked": Bug(
        "fork_at_an_item_ends_with_it", edit("ADD_LOG", "?5, ?6, ?7, ?8)", "?5, ?6 + 2 * (?6 = 1), ?7, ?8)")
    ),
    "last place of an item": Bug(
        "fork_at_an_item_that_shows_twice",
        swap(library_writing.LibraryWriting, "_first_place", _with_last_place),
    ),
    "removed and left-out items are places": Bug(
        "fork_at_what_is_not_shown_is_refused", edit("FIND_PRESENT", "AND places.left_out = 0", "")
    ),
    "any version fits": Bug(
        "version_of_a_prompt_that_is_not_next_is_refused", swap(library_writing, "check_version", lambda _: _nothing)
    ),
    "any fork fits": Bug("fork_that_does_not_fit_is_refused", swap(library_writing, "check_fork", lambda _: _nothing)),
    "inherited items cannot be removed": Bug(
        "fork_hides_an_inherited_item_from_itself_only",
        edit("FIND_PRESENT", "WHERE places.position", "WHERE path.log = ?2 AND places.position"),
    ),
    "removal of an inherited item is made for all": Bug(
        "fork_hides_an_inherited_item_from_itself_only", edit("ADD_REMOVAL", "SELECT ?1, ?2, ?3", "SELECT ?1, ?3, ?3")
    ),
    "view of a fork below its own items goes too far": Bug(
        "fork_of_a_fork", edit("READ_HISTORY_OF", "min(path.low - 1, path.high)", "path.low - 1")
    ),
    "rewind counts what is hidden already": Bug(
        "rewind_in_a_fork_leaves_its_conversation", edit("FIND_PRESENT_AFTER", "v.epoch <= path.epoch", "0")
    ),
    "erases too much: forks see nothing": Bug(
        "item_that_neither_shows_is_erased", edit("FIND_UNREACHED", "f.base_log = seeing.log", "f.base_log = -1")
    ),
    "erases too little: a fork's removals do not count": Bug(
        "hidden_item_goes_with_the_last_who_shows_it",
        edit("FIND_UNREACHED", "v.viewing_log = f.log", "v.viewing_log = -1"),
    ),
    "erases too little: only a log's own removals are looked for": Bug(
        "hidden_item_goes_with_the_last_who_shows_it",
        edit("FIND_UNREACHED", "v.item_log = path.log", "v.item_log = -1"),
    ),
    "erases too little: bases are not shortened": Bug(
        "middle_of_a_chain_of_forks_keeps_no_more_than_is_shown",
        edit("SHORTEN_BASE", "SET base_position = ?3", "SET base_position = base_position + 0 * ?3"),
    ),
    "erased item below a fork is not noticed": Bug(
        "erased_item_in_a_forks_ground_is_noticed",
        edit("FIND_ERASED_IN_VIEW", "v.item_log = path.log", "v.item_log = -1"),
    ),
    "rewind forgets to erase": Bug(
        "rewound_items_that_nobody_saw_are_erased", swap(library_writing.LibraryWriting, "_settle", lambda _: _nothing)
    ),
    "rewind counts what was left out": Bug(
        "rewound_items_that_nobody_saw_are_erased", edit("FIND_PRESENT_AFTER", "shown.left_out", "0")
    ),
    "rewind takes the item too": Bug(
        "rewind_hides_everything_after_an_item",
        edit("FIND_PRESENT_AFTER", "shown.position > ?3", "shown.position >= ?3"),
    ),
    "rewind ignores leases": Bug(
        "rewind_of_what_is_not_there_is_refused",
        swap(writing.Writing, "_unlocked", lambda _: lambda self, its_id: self._conversation(its_id)),
    ),
    "cascade stops at forks": Bug(
        "cascade_takes_what_stands_on_a_response", edit_list("READ_FORKS_OF", "f.base_log = ?2", "f.base_log = -?2")
    ),
    "cascade stops at the chain's end": Bug(
        "cascade_takes_what_stands_on_a_response",
        edit_list("READ_RESPONSES_IN", "r.last_position >= ?3", "r.last_position = ?3"),
    ),
    "cascade takes what has hidden it": Bug(
        "cascade_leaves_a_fork_that_shows_nothing_of_it",
        swap(cascade.Cascade, "_hidden_since", lambda _: lambda *_a: {}),
    ),
    "cascade leaves the conversation alone": Bug(
        "cascade_removes_later_turns_from_a_conversation",
        swap(cascade.Cascade, "_erase", _without("hidden", {})),
    ),
    "cascade leaves forks alone": Bug(
        "cascade_takes_forks_of_the_conversation", swap(cascade.Cascade, "_erase", _without("conversations", set()))
    ),
    "cascade removes what was added by hand": Bug(
        "cascade_removes_later_turns_from_a_conversation",
        swap(
            cascade.Cascade,
            "_present_from",
            lambda right: (
                lambda self, log, first, last, owner: {
                    *range(first, max(right(self, log, first, last, owner), default=first) + 1)
                }
            ),
        ),
    ),
    "cascade ignores leases": Bug(
        "cascade_waits_for_no_turn",
        swap(writing.Writing, "_unlocked", lambda _: lambda self, its_id: self._conversation(its_id)),
    ),
    "cascade leaves turns that stood aside": Bug(
        "cascade_of_a_conversation", edit_list("READ_LOGS_ON", "f.base_log = path.log", "f.base_log = -path.log")
    ),
    "cascade erases nothing": Bug("cascade_leaves_no_trace", swap(cascade.Cascade, "_settle", lambda _: _nothing)),
    "page repeats its cursor": Bug(
        "responses_are_listed_newest_first", edit_list("LIST_RESPONSES_UP", "> ?2", ">= ?2")
    ),
    "tenant forgotten in a list": Bug(
        "responses_are_listed_newest_first", edit_list("LIST_RESPONSES_DOWN", "r.tenant = ?1 AND ", "")
    ),
    "has_more forgotten": Bug(
        "list_of_responses_goes_on_where_it_was",
        swap(listing.Listing, "read", _read_without_more),
    ),
    "expired responses are listed": Bug(
        "expired_responses_are_not_listed", edit_list("LIST_RESPONSES_DOWN", "r.expires_at > ?12", "?12")
    ),
    "cursor may have expired": Bug(
        "cursor_of_a_list_that_is_unknown_is_refused",
        edit_list("READ_PLACE_OF_RESPONSE", "r.expires_at > ?3", "?3"),
    ),
    "one term is enough": Bug(
        "responses_are_found_by_their_terms",
        edit_list("LIST_RESPONSES_BY_TERM_DOWN", "m.term = unhex(wanted.value) AND", ""),
    ),
    "alias is not searched": Bug("responses_are_filtered", edit_list("LIST_RESPONSES_DOWN", "OR r.alias = ?10", "")),
    "filter looks at one window": Bug("rare_responses_are_found_in_a_long_list", swap(listing, "_WINDOW", lambda _: 0)),
    "terms outlive their response": Bug("swept_response_is_found_by_nothing", edit_list("DROP_TERMS", "?3", "-?3")),
    "replaced response loses its terms": Bug(
        "replaced_response_keeps_its_place_in_lists", swap(writing, "read_terms", lambda _: lambda *_a: ())
    ),
    "update is last-write-wins": Bug(
        "update_of_what_has_changed_is_refused", edit("UPDATE_RESPONSE", "payload = ?4", "?4 IS NOT NULL")
    ),
    "expired response can be updated": Bug(
        "update_of_an_unknown_response_is_refused", edit("UPDATE_RESPONSE", "expires_at > ?5", "?5")
    ),
    "tenant forgotten in an update": Bug(
        "update_of_an_unknown_response_is_refused", edit("UPDATE_RESPONSE", "tenant = ?1 AND", "?1 IS NOT NULL AND")
    ),
    "terms of a response pile up": Bug(
        "updated_response_is_found_by_its_new_terms", swap(writing, "drop_terms", lambda _: _nothing)
    ),
    "terms of a conversation pile up": Bug(
        "conversations_are_found_by_their_terms",
        edit_list("DROP_TERMS", "kind = ?2 AND", "kind = 'response' AND ?2 AND"),
    ),
    "ties are skipped": Bug(
        "conversations_are_listed_by_age",
        edit_list("LIST_CONVERSATIONS_DOWN", "(c.created_at, c.id) < (?2, ?3)", "c.created_at < ?2 AND ?3 IS NOT NULL"),
    ),
    "bounds of time ignored": Bug(
        "conversations_are_filtered_by_time", edit_list("LIST_CONVERSATIONS_UP", "listed.ordinal < ?8", "1")
    ),
    "new version moves its prompt": Bug(
        "prompts_are_listed_newest_first", edit_list("LIST_PROMPTS", "f.version = 1 AND", "")
    ),
    "versions from zero": Bug(
        "versions_of_a_prompt_are_counted", edit_list("ADD_PROMPT", "max(p.version), 0)", "max(p.version), -1)")
    ),
    "deleted prompt keeps its first version": Bug(
        "deleted_prompt_begins_anew", edit_list("DROP_PROMPT", "id = ?2", "id = ?2 AND version > 1")
    ),
    "key is not settled": Bug(
        "fork_and_prompt_settle_their_key",
        swap(
            library_writing.LibraryWriting,
            "fork_conversation",
            lambda right: lambda self, its_id, fork, at, _settlement: right(self, its_id, fork, at, None),
        ),
    ),
}


MEMORY_BUGS: dict[str, Bug] = {
    "any version fits": Bug(
        "version_of_a_prompt_that_is_not_next_is_refused", swap(memory_library, "check_version", lambda _: _nothing)
    ),
    "fork forgets what its base hides": Bug(
        "fork_hides_what_was_hidden_at_its_birth",
        swap(
            memory_library.TenantLibrary,
            "_open_log",
            lambda right: (
                lambda self, family, *, base, is_conversation: right(
                    self,
                    family,
                    base=base and msgspec.structs.replace(base, epoch=0),
                    is_conversation=is_conversation,
                )
            ),
        ),
    ),
    "views forget what forks hide": Bug(
        "hidden_item_goes_with_the_last_who_shows_it",
        swap(
            memory_state,
            "reached_by",
            lambda right: (
                lambda views, state: right({(log, frozenset()): top for (log, _), top in views.items()}, state)
            ),
        ),
    ),
    "cascade ignores leases": Bug(
        "cascade_waits_for_no_turn",
        swap(memory_library.TenantLibrary, "_unlocked", lambda _: lambda self, its_id: self._conversation(its_id)),
    ),
    "cascade looks at bases only": Bug(
        "cascade_leaves_a_fork_that_shows_nothing_of_it",
        swap(
            memory_library.TenantLibrary,
            "_shows",
            lambda _: lambda self, head, places: any((i.log, i.position) in places for i in self._view(head)),
        ),
    ),
    "terms ignored": Bug(
        "responses_are_found_by_their_terms", swap(memory_library, "_fits", lambda _: lambda *_a: True)
    ),
    "any fork fits": Bug("fork_that_does_not_fit_is_refused", swap(memory_library, "check_fork", lambda _: _nothing)),
}


@pytest.mark.parametrize("name", SQLITE_BUGS)
async def test_suite_catches_a_bug_of_the_sqlite_store(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, clock: FixedClock
) -> None:
    """A SQLite store with this bug does not pass."""
    SQLITE_BUGS[name].plant(monkeypatch)
    assert await is_caught(SQLITE_BUGS[name], SQLiteSessionStore(tmp_path / "store.db", clock=clock), clock)


@pytest.mark.parametrize("name", MEMORY_BUGS)
async def test_suite_catches_a_bug_of_the_model(name: str, monkeypatch: pytest.MonkeyPatch, clock: FixedClock) -> None:
    """A reference model with this bug does not pass."""
    MEMORY_BUGS[name].plant(monkeypatch)
    assert await is_caught(MEMORY_BUGS[name], InMemorySessionStore(clock=clock), clock)
