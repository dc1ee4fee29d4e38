"""The suite's checks of sealing, tenants, trails, receipts and end users catch what they are there to catch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw
import msgspec
import pytest

from antiphon.hub.ids import Family, TenantId
from antiphon.sessions.vault import Scanned
from antiphon.stores import (
    memory,
    memory_access,
    memory_audit,
    memory_directory,
    memory_end_users,
    memory_payloads,
    memory_receipts,
    memory_state,
    memory_tenant_work,
    memory_vault,
    memory_work,
)
from antiphon.stores.library import Doomed
from antiphon.stores.memory import InMemorySessionStore
from antiphon.stores.sqlite import (
    SQLiteSessionStore,
    cascade,
    directory_queries,
    erasing,
    families,
    library_queries,
    library_writing,
    queries,
    scanning,
    store_directory,
    sweeping_queries,
    tenancy,
    tenant_vault,
    upkeep,
    vault_queries,
    work_queries,
    work_writing,
    writing,
)
from antiphon.stores.sqlite.schema import CURRENT
from antiphon.testing.store_suite import FixedClock
from tests.stores.planting import Bug, Plant, but, edit, is_caught, swap


def _never(*_: object, **__: object) -> None:
    """Do nothing."""


def vault(name: str, old: str, new: str) -> Plant:
    """A bug in one statement of what is kept for sealing."""
    return edit(name, old, new, among=vault_queries)


def directory(name: str, old: str, new: str) -> Plant:
    """A bug in one statement of tenants, API keys and trails."""
    return edit(name, old, new, among=directory_queries)


def batch(name: str, old: str, new: str) -> Plant:
    """A bug in one statement of erasing a tenant."""
    return edit(name, old, new, among=sweeping_queries)


def library(name: str, old: str, new: str) -> Plant:
    """A bug in one statement of the library."""
    return edit(name, old, new, among=library_queries)


def in_table(table: Scanned, statement: str, old: str, new: str) -> Plant:
    """A bug in how the payloads of one table are scanned (*statement* is ``scan``) or replaced."""

    def plant(patch: pytest.MonkeyPatch) -> None:
        right = scanning._TABLES[table]
        text = getattr(right, statement)
        assert old in text, f"{table}.{statement} has no {old!r} any more: mend the planted bug"
        wrong = msgspec.structs.replace(right, **{statement: text.replace(old, new)})
        patch.setattr(scanning, "_TABLES", {**scanning._TABLES, table: wrong})

    return plant


def in_schema(old: str, new: str) -> Plant:
    """A bug in what the database itself keeps true."""

    def plant(patch: pytest.MonkeyPatch) -> None:
        assert old in CURRENT.script, f"the schema has no {old!r} any more: mend the planted bug"
        defaults: Any = SQLiteSessionStore.__init__.__kwdefaults__
        patch.setitem(defaults, "schema", msgspec.structs.replace(CURRENT, script=CURRENT.script.replace(old, new)))

    return plant


def _found_with_any_seal(_: Any) -> Any:
    def wrong(connection: apsw.Connection, tenant: TenantId, family: Family, seal: bytes) -> None:
        connection.execute(queries.ADD_FAMILY, (tenant, family, seal))

    return wrong


def _without_rehearsal(right: Any) -> Any:
    def wrong(self: writing.Writing, erase: Callable[[], bool], **_: bool) -> Any:
        return right(self, erase)

    return wrong


def _forgetting(right: Callable[..., int]) -> Callable[..., int]:
    """For :func:`swap`: the right thing is done, and not counted."""
    return lambda *arguments: right(*arguments) * 0


def _trim_and_count_one_more(right: Any) -> Any:
    def wrong(*arguments: Any) -> Any:
        released = right(*arguments)
        arguments[-1].items += len(released)
        return released

    return wrong


SQLITE_BUGS: dict[str, Bug] = {
    # Keys and the secret.
    "tenant forgotten in reading keys": Bug(
        "keys_of_tenants_are_apart", vault("READ_KEYS", "k.tenant = ?1", "?1 = ?1")
    ),
    "newest key first": Bug(
        "keys_are_read_back_oldest_first", vault("READ_KEYS", "ORDER BY k.version", "ORDER BY k.version DESC")
    ),
    "key is changed whatever it was": Bug(
        "key_is_changed_as_it_was_read", swap(tenant_vault, "_is_there", lambda _: lambda *_a: True)
    ),
    "key is dropped whatever it was": Bug(
        "key_is_dropped_as_it_was_read", swap(tenant_vault, "_is_there", lambda _: lambda *_a: True)
    ),
    "every key retires": Bug("one_key_at_most_seals", vault("RETIRE_KEY", "AND state = 'active'", "")),
    "keys of all tenants retire": Bug("one_key_at_most_seals", vault("RETIRE_KEY", "tenant = ?1 AND", "?1 = ?1 AND")),
    "keys of all tenants are dropped": Bug("key_is_dropped_as_it_was_read", vault("DROP_KEY", "tenant = ?1 AND", "")),
    "wrapped key is cut off": Bug(
        "keys_are_read_back_oldest_first", vault("ADD_KEY", "?5, ?6)", "substr(?5, 1, 1), ?6)")
    ),
    "last secret counts": Bug("secret_is_the_first_that_was_offered", vault("KEEP_SECRET", "AND secret IS NULL", "")),
    "secret of all tenants": Bug("secret_is_the_first_that_was_offered", vault("KEEP_SECRET", "tenant = ?1 AND", "")),
    "secret sets the counter back": Bug(
        "secret_is_no_turn", vault("KEEP_SECRET", "SET secret", "SET next_insertion_index = 1, secret")
    ),
    "root keys are counted by tenant": Bug(
        "root_keys_in_use_are_counted", edit("_ROOT_KEYS", "count(*)", "count(DISTINCT tenant)", among=upkeep)
    ),
    # Families.
    "last seal counts": Bug(
        "same_seal_is_welcome",
        edit("ADD_FAMILY", "ON CONFLICT DO NOTHING", "ON CONFLICT DO UPDATE SET seal = excluded.seal"),
    ),
    "turns bring any seal": Bug("another_seal_is_refused", swap(writing, "found_family", _found_with_any_seal)),
    "pending turns bring any seal": Bug(
        "another_seal_is_refused", swap(work_writing, "found_family", _found_with_any_seal)
    ),
    "forks bring any seal": Bug("another_seal_is_refused", swap(library_writing, "found_family", _found_with_any_seal)),
    "family does not live for a pending turn": Bug(
        "seal_goes_with_the_last_of_its_family", edit("DROP_UNUSED_FAMILY", "p.family = ?2", "p.family = -?2")
    ),
    "family goes with the first of its logs": Bug(
        "seal_goes_with_the_last_of_its_family", edit("DROP_UNUSED_FAMILY", "l.family = ?2", "l.family = -?2")
    ),
    "families of all tenants go": Bug(
        "families_of_tenants_are_apart", edit("DROP_UNUSED_FAMILY", "WHERE tenant = ?1 AND", "WHERE")
    ),
    "family outlives its logs": Bug(
        "seal_goes_with_what_expired", swap(erasing, "drop_unused_family", lambda _: _never)
    ),
    "family outlives its pending turn": Bug(
        "seal_goes_with_its_pending_turn", swap(work_writing, "drop_unused_family", lambda _: _never)
    ),
    "family outlives a pending turn that is stored elsewhere": Bug(
        "seal_goes_with_a_pending_turn_that_ends_elsewhere", swap(writing, "drop_unused_family", lambda _: _never)
    ),
    "family without a seal counts as a key": Bug(
        "family_without_a_seal_has_no_key", swap(families, "seal_of_family", lambda _: lambda *_a: b"seal")
    ),
    "replaced turn loses its seal": Bug(
        "seal_stays_while_a_turn_is_replaced", swap(writing, "seal_of_family", lambda _: lambda *_a: b"")
    ),
    "tenant forgotten in reading families": Bug(
        "families_of_tenants_are_apart", vault("READ_FAMILIES", "f.tenant = ?1 AND", "?1 = ?1 AND")
    ),
    # Scanning and replacing.
    "page repeats its cursor": Bug(
        "scan_shows_every_payload_once", in_table("items", "scan", "i.id > ?2", "i.id >= ?2")
    ),
    "page does not begin after its cursor": Bug(
        "scan_shows_every_payload_once", in_table("items", "scan", "ORDER BY i.id", "ORDER BY i.id DESC")
    ),
    "versions of a prompt are passed over": Bug(
        "scan_shows_every_payload_once", in_table("prompts", "scan", "(p.id, p.version) > (?2, ?3)", "p.id > ?2 AND ?3")
    ),
    "traces are passed over": Bug(
        "scan_shows_every_payload_once", in_table("traces", "scan", "r.trace <> x''", "r.trace = x''")
    ),
    "scan in the order of coming": Bug(
        "scan_is_not_disturbed", in_table("items", "scan", "ORDER BY i.id", "ORDER BY i.log")
    ),
    "tenant forgotten in a scan": Bug(
        "scan_shows_nothing_of_others", in_table("deliveries", "scan", "d.tenant = ?1", "?1 = ?1")
    ),
    "empty payloads are shown": Bug(
        "scan_passes_over_what_holds_nothing", in_table("responses", "scan", "AND r.payload <> x''", "")
    ),
    "families without a seal are passed over": Bug(
        "scan_passes_over_what_holds_nothing", in_table("families", "scan", "WHERE", "WHERE f.seal <> x'' AND")
    ),
    "replaces whatever is there": Bug(
        "replace_leaves_what_has_changed", in_table("conversations", "replace", "AND payload = ?3", "AND ?3 = ?3")
    ),
    "two replace one answer": Bug(
        "one_of_many_replaces_a_payload", in_table("idempotency", "replace", "AND answer = ?3", "AND ?3 = ?3")
    ),
    "replaces in all tenants": Bug(
        "replace_reaches_every_payload", in_table("secrets", "replace", "tenant = ?1 AND", "?1 = ?1 AND")
    ),
    "plain deliveries are not noticed": Bug(
        "plain_payloads_are_noticed",
        edit("_ANY_PLAIN", "FROM deliveries WHERE", "FROM deliveries WHERE 0 AND", among=upkeep),
    ),
    "tenants with a trail only are not listed": Bug(
        "trail_is_no_content", edit("_TENANTS", "UNION SELECT tenant FROM audit", "", among=upkeep)
    ),
    # What a tenant stores.
    "replaced items stay counted as they were": Bug(
        "replace_reaches_every_payload", in_schema("OF payload ON items", "OF left_out ON items")
    ),
    "turns are not counted": Bug(
        "stored_bytes_follow_everything",
        edit("TAKE_INSERTION_INDEX", "stored_bytes + ?2", "stored_bytes + 0 * ?2", among=tenancy),
    ),
    "erased items stay counted": Bug(
        "stored_bytes_follow_everything", edit("ADD_STORED_BYTES", "stored_bytes + ?2", "stored_bytes + 0 * ?2")
    ),
    "secret is not counted": Bug(
        "tenant_is_configured", in_schema("AFTER UPDATE OF secret ON", "AFTER UPDATE OF next_key_epoch ON")
    ),
    # Tenants and API keys.
    "tenant is created twice": Bug(
        "tenant_is_created_once", directory("CREATE_TENANT", "DO NOTHING", "DO UPDATE SET state = excluded.state")
    ),
    "all tenants are configured": Bug(
        "tenant_is_configured", directory("UPDATE_TENANT", "WHERE tenant = ?1", "WHERE ?1 = ?1")
    ),
    "a tenant's quota cannot be changed": Bug(
        "tenant_is_configured", directory("UPDATE_TENANT", "max_stored_bytes = ?3", "max_stored_bytes = 0 * ?3 + 10")
    ),
    "tenants backwards": Bug(
        "tenants_are_listed_by_id", directory("LIST_TENANTS", "ORDER BY t.tenant", "ORDER BY t.tenant DESC")
    ),
    "revocation is forgotten": Bug(
        "api_key_is_changed_as_it_was_read",
        directory("UPDATE_API_KEY", "revoked_at = ?16", "revoked_at = iif(?16, revoked_at, revoked_at)"),
    ),
    "all API keys are changed": Bug(
        "api_key_is_changed_as_it_was_read", directory("UPDATE_API_KEY", "WHERE key_id = ?1", "WHERE ?1 = ?1")
    ),
    "API key is changed whatever it was": Bug(
        "every_field_of_an_api_key_is_compared", swap(store_directory, "_without_use", lambda _: lambda _key: None)
    ),
    "API key is changed only if unused": Bug(
        "api_key_is_changed_as_it_was_read", swap(store_directory, "_without_use", lambda _: lambda key: key)
    ),
    "API key is created twice": Bug(
        "api_key_id_is_used_once",
        directory("ADD_API_KEY", "ON CONFLICT (key_id) DO NOTHING", "ON CONFLICT (key_id) DO UPDATE SET mac = ?3"),
    ),
    "the last to tell of a use counts": Bug(
        "use_of_api_keys_is_noted", directory("NOTE_API_KEY_USE", "OR last_used_at < ?2", "OR 1")
    ),
    "API keys of all tenants": Bug(
        "api_keys_are_listed_oldest_first", directory("LIST_API_KEYS_OF", "k.tenant = ?1", "?1 = ?1")
    ),
    "API keys by id": Bug(
        "api_keys_are_listed_oldest_first", directory("LIST_API_KEYS_OF", "ORDER BY k.created_at, ", "ORDER BY ")
    ),
    # Trails.
    "one trail for all": Bug("trails_of_tenants_are_apart", directory("READ_END_OF_TRAIL", "tenant = ?1", "?1 = ?1")),
    "page of a trail repeats an entry": Bug(
        "trail_is_read_in_pages", directory("READ_AUDIT", "a.idx > ?2", "a.idx >= ?2")
    ),
    "any actor": Bug("trail_is_searched", directory("READ_AUDIT", "a.actor = ?4", "?4 = ?4")),
    "any object": Bug("trail_is_searched", directory("READ_AUDIT", "a.object_id = ?5", "?5 = ?5")),
    "tenant forgotten in searching a trail": Bug(
        "trail_is_searched", directory("READ_AUDIT", "a.tenant = ?1", "?1 = ?1")
    ),
    # Receipts.
    "dry run is none": Bug("dry_run_changes_nothing_at_all", swap(writing.Writing, "erasing", _without_rehearsal)),
    "answers outlive what they are about": Bug(
        "answer_goes_with_what_it_is_about", swap(work_writing.WorkWriting, "drop_answers", lambda _: _never)
    ),
    "an answer that comes too late is kept": Bug(
        "answer_that_comes_too_late_is_not_kept", edit("FIND_SUBJECT", "r.id = ?2", "?2 = ?2", among=work_queries)
    ),
    "an answer about a pending turn is not kept": Bug(
        "answer_that_comes_too_late_is_not_kept",
        edit("FIND_SUBJECT", "p.response_id = ?2", "p.response_id = ?2 AND 0", among=work_queries),
    ),
    "an erasure is taken back": Bug(
        "erasure_is_not_taken_back", directory("UPDATE_TENANT", " AND state <> 'erasing'", "")
    ),
    "every answer goes": Bug(
        "answer_with_what_was_created_is_about_it",
        edit("DROP_ANSWERS", "AND about = ?2", "AND ?2 = ?2", among=work_queries),
    ),
    "what an answer is about is forgotten": Bug(
        "answer_goes_with_what_it_is_about", edit("SETTLE_KEY", ", ?7)", ", substr(?7, 1, 0))", among=work_queries)
    ),
    "terms are not counted": Bug("receipt_of_a_response", swap(writing, "drop_terms", _forgetting)),
    "bytes are not counted": Bug("receipt_of_a_response", swap(writing, "stored_bytes_of", _forgetting)),
    "references count as items": Bug("receipt_counts_only_what_went", swap(erasing, "_trim", _trim_and_count_one_more)),
    # End users.
    "tenant forgotten in what an end user has": Bug(
        "what_bears_an_end_user_is_listed", library("READ_RESPONSES_OF_END_USER", "r.tenant = ?1", "?1 = ?1")
    ),
    "expired turns are listed": Bug(
        "what_is_gone_bears_no_end_user",
        library("READ_RESPONSES_OF_END_USER", "expires_at > ?3", "expires_at > 0 * ?3"),
    ),
    "pending turns of an end user are passed over": Bug(
        "pending_turns_of_an_end_user_go", library("READ_PENDING_OF_END_USER", "p.end_user = ?2", "p.end_user = -?2")
    ),
    "conversations of an end user stay": Bug(
        "end_user_is_erased",
        swap(cascade.Cascade, "_doomed_with_conversation", lambda _: lambda *_a: Doomed()),
    ),
    "turn that is put again loses its end user": Bug(
        "turn_that_was_put_again_bears_its_end_user", edit("READ_END_USER", "SELECT end_user", "SELECT NULL")
    ),
    # Erasing a tenant.
    "keys of an erased tenant stay": Bug(
        "keys_of_an_erased_tenant_go_first", batch("DROP_TENANT_KEYS", "WHERE tenant = ?1", "WHERE tenant = -?1")
    ),
    "keys of all tenants go": Bug(
        "erased_tenant_leaves_nothing", batch("DROP_TENANT_KEYS", "WHERE tenant = ?1", "WHERE ?1 = ?1")
    ),
    "API keys of all tenants go": Bug(
        "erased_tenant_leaves_nothing", directory("DROP_API_KEYS", "WHERE tenant = ?1", "WHERE ?1 = ?1")
    ),
    "erased tenant looks like any other": Bug(
        "tenant_goes_in_batches", batch("BEGIN_ERASING", "state = 'erasing'", "state = 'active'")
    ),
    "prompts of an erased tenant stay": Bug(
        "erased_tenant_leaves_nothing", batch("READ_SOME_PROMPTS", "p.tenant = ?1", "p.tenant = -?1")
    ),
    "batches know no limit": Bug("batches_are_small", batch("READ_SOME_RESPONSES", "LIMIT ?2", "LIMIT max(?2, 500)")),
    "erased tenant stores on": Bug(
        "nothing_is_stored_for_a_tenant_that_goes", edit("READ_INSERTION_INDEX", ", state", ", ''", among=tenancy)
    ),
    "erased tenant stores the ends of turns": Bug(
        "nothing_is_stored_for_a_tenant_that_goes", swap(writing, "admit", lambda _: _never)
    ),
    "erased tenant begins pending turns": Bug(
        "nothing_is_stored_for_a_tenant_that_goes", swap(work_writing, "admit", lambda _: _never)
    ),
    "erased tenant gets a new key": Bug(
        "nothing_is_stored_for_a_tenant_that_goes", swap(tenant_vault, "admit", lambda _: _never)
    ),
    "sweeping is never a rehearsal": Bug(
        "receipt_of_a_sweep",
        swap(library_writing.LibraryWriting, "erasing", _without_rehearsal),
    ),
}


def _kept_anew(self: Any, family: Family, seal: bytes) -> None:
    self._state.families[family] = seal


def _unheld(right: Any) -> Any:
    return lambda state, also=None, held=None: right(state, also)


def _without_retiring(self: Any, key: Any) -> None:
    self._state.tenant_keys[key.version] = key


def _from_zero(right: Any) -> Any:
    return lambda **fields: right(**{**fields, "index": fields["index"] - 1})


def _without_more(right: Any) -> Any:
    return lambda **fields: right(**{**fields, "cursor": None})


MEMORY_BUGS: dict[str, Bug] = {
    "any seal fits": Bug("another_seal_is_refused", swap(memory_vault.TenantSealing, "_check_seal", lambda _: _never)),
    "last seal counts": Bug("same_seal_is_welcome", swap(memory_vault.TenantSealing, "_found", lambda _: _kept_anew)),
    "families outlive their logs": Bug(
        "seal_goes_with_the_last_of_its_family", swap(memory_state, "drop_unused_families", lambda _: _never)
    ),
    "families outlive their pending turns": Bug(
        "seal_goes_with_its_pending_turn", swap(memory_tenant_work, "drop_unused_families", lambda _: _never)
    ),
    "replaced turn loses its seal": Bug(
        "seal_stays_while_a_turn_is_replaced", swap(memory, "erase_unreached", _unheld)
    ),
    "two keys seal": Bug(
        "one_key_at_most_seals", swap(memory_vault.TenantSealing, "_keep_key", lambda _: _without_retiring)
    ),
    "traces are not counted": Bug(
        "stored_bytes_follow_everything",
        swap(memory_payloads, "PAYLOAD_TABLES", lambda right: tuple(each for each in right if each != "traces")),
    ),
    "scan ends with its first page": Bug(
        "scan_shows_every_payload_once", swap(memory_vault, "PayloadPage", _without_more)
    ),
    "families without a seal are passed over": Bug(
        "scan_passes_over_what_holds_nothing",
        swap(
            memory_vault,
            "payloads_of",
            but(lambda rows: {row_id: payload for row_id, payload in rows.items() if payload}),
        ),
    ),
    "every replacement succeeds": Bug(
        "replace_leaves_what_has_changed",
        swap(memory_vault, "change_payloads", lambda right: lambda state, them: right(state, them) * 0 + len(them)),
    ),
    "rehearsal is real": Bug(
        "dry_run_changes_nothing_at_all", swap(memory_access.TenantAccess, "rehearsal", lambda _: lambda self: self)
    ),
    "families without a seal count as keys": Bug(
        "family_without_a_seal_has_no_key",
        swap(
            memory_receipts,
            "inventory_of",
            lambda right: lambda state: msgspec.structs.replace(right(state), sealed=frozenset(state.families)),
        ),
    ),
    "an answer that comes too late is kept": Bug(
        "answer_that_comes_too_late_is_not_kept",
        swap(memory_tenant_work.TenantWork, "_is_there", but(lambda _: True)),
    ),
    "answers outlive what they are about": Bug(
        "answer_goes_with_what_it_is_about", swap(memory_work.WorkState, "drop_answers_about", lambda _: _never)
    ),
    "trail begins with zero": Bug("trail_is_read_back", swap(memory_audit, "AuditRecord", _from_zero)),
    "API key is changed whatever it was": Bug(
        "every_field_of_an_api_key_is_compared", swap(memory_directory, "_without_use", lambda _: lambda _key: None)
    ),
    "erased tenant stays": Bug("erased_tenant_leaves_nothing", swap(memory_directory, "_strike", lambda _: _never)),
    "erased tenant stores on": Bug(
        "nothing_is_stored_for_a_tenant_that_goes", swap(memory_access.TenantAccess, "_admit", lambda _: _never)
    ),
    "conversations of an end user stay": Bug(
        "end_user_is_erased",
        swap(memory_end_users.TenantEndUsers, "_conversations_of", lambda _: lambda *_a: ()),
    ),
    "expired turns are listed": Bug(
        "what_is_gone_bears_no_end_user",
        swap(memory_end_users.TenantEndUsers, "_is_known", lambda _: lambda *_a: True),
    ),
}


@pytest.mark.parametrize("name", SQLITE_BUGS)
async def test_suite_catches_a_bug_in_the_trust_of_the_sqlite_store(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, clock: FixedClock
) -> None:
    """A SQLite store with this bug does not pass."""
    SQLITE_BUGS[name].plant(monkeypatch)
    store = SQLiteSessionStore(tmp_path / "store.db", clock=clock)
    assert await is_caught(SQLITE_BUGS[name], store, clock)


@pytest.mark.parametrize("name", MEMORY_BUGS)
async def test_suite_catches_a_bug_in_the_trust_of_the_model(
    name: str, monkeypatch: pytest.MonkeyPatch, clock: FixedClock
) -> None:
    """A reference model with this bug does not pass."""
    MEMORY_BUGS[name].plant(monkeypatch)
    assert await is_caught(MEMORY_BUGS[name], InMemorySessionStore(clock=clock), clock)
