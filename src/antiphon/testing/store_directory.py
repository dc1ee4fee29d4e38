"""Checks of tenants and API keys, and of what a tenant stores."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from antiphon.hub.ids import TenantId
from antiphon.hub.principal import Limits
from antiphon.sessions.directory import ApiKeyRecord, TenantRecord
from antiphon.sessions.store import TenantStore
from antiphon.sessions.work import Settlement
from antiphon.testing.store_contents import fill, size_of
from antiphon.testing.store_fixture import CheckList, StoreFixture, conversation_id, item, item_id, response_id
from antiphon.testing.store_keys import take
from antiphon.testing.store_pending import begin, events

__all__ = ["api_key", "checks", "stored_bytes", "tenant"]

checks = CheckList()

ACME, GLOBEX, THIRD = TenantId("acme"), TenantId("globex"), TenantId("third")


def tenant(its_id: TenantId = ACME, **changes: Any) -> TenantRecord:
    """A tenant."""
    return msgspec.structs.replace(TenantRecord(id=its_id, created_at=1_000), **changes)


def api_key(key_id: str = "key", **changes: Any) -> ApiKeyRecord:
    """An API key of the usual tenant, with something in every field."""
    made = ApiKeyRecord(
        key_id=key_id,
        tenant=ACME,
        mac=b"\x00mac",
        previous_mac=b"\xffprevious",
        previous_until=3_000,
        hint="abcd",
        name="of the day",
        scopes=("responses:write", "models:read"),
        models=("fast", "slow"),
        limits=Limits(requests_per_minute=1, tokens_per_minute=2, parallel_turns=3),
        created_at=1_000,
        created_by="cli",
        expires_at=4_000,
        revoked_at=5_000,
        last_used_at=6_000,
    )
    return msgspec.structs.replace(made, **changes)


async def stored_bytes(s: StoreFixture, its_id: TenantId = ACME) -> int:
    """What the store says that a tenant stores."""
    record = await s.store.read_tenant(its_id)
    return 0 if record is None else record.stored_bytes


# Tenants.


@checks
async def tenant_is_read_back(s: StoreFixture) -> None:
    """A tenant is read back as it was created, after a restart too; how much it stores is the store's to say."""
    given = tenant(retention_days=0.5, max_stored_bytes=10, stored_bytes=99, state="suspended")
    assert await s.store.read_tenant(ACME) is None
    assert await s.store.create_tenant(given) is True
    assert await s.store.create_tenant(tenant(GLOBEX)) is True
    if s.reopen is not None:
        await s.reopen()
    assert await s.store.read_tenant(ACME) == msgspec.structs.replace(given, stored_bytes=0)
    assert await s.store.read_tenant(GLOBEX) == tenant(GLOBEX)
    assert await s.store.read_tenant(THIRD) is None


@checks
async def tenant_is_created_once(s: StoreFixture) -> None:
    """Of many who create a tenant one succeeds, and its record stays."""
    given = [tenant(created_at=index) for index in range(6)]
    done = await asyncio.gather(*map(s.store.create_tenant, given))
    assert sum(done) == 1
    assert await s.store.read_tenant(ACME) == given[done.index(True)]
    assert await s.store.create_tenant(tenant(state="suspended")) is False
    assert await s.store.read_tenant(ACME) == given[done.index(True)]


@checks
async def tenant_is_configured(s: StoreFixture) -> None:
    """What can be configured of a tenant is replaced; when it was created and what it stores is not."""
    assert await s.store.update_tenant(tenant(state="suspended")) is False
    assert await s.store.read_tenant(ACME) is None
    await s.store.create_tenant(tenant(retention_days=30, max_stored_bytes=10))
    await s.store.create_tenant(tenant(GLOBEX))
    await s.acme.secret(b"1234567")
    assert await s.store.update_tenant(tenant(created_at=5, stored_bytes=99, state="suspended")) is True
    assert await s.store.read_tenant(ACME) == tenant(stored_bytes=7, state="suspended")
    assert await s.store.update_tenant(tenant(retention_days=1.5, max_stored_bytes=20)) is True
    assert await s.store.read_tenant(ACME) == tenant(stored_bytes=7, retention_days=1.5, max_stored_bytes=20)
    assert await s.store.read_tenant(GLOBEX) == tenant(GLOBEX)


@checks
async def tenant_changes_only_as_it_was(s: StoreFixture) -> None:
    """A change that was made to something else than what there is changes nothing; what is stored makes no odds."""
    await s.store.create_tenant(tenant(retention_days=30))
    was = await s.store.read_tenant(ACME)
    assert was is not None
    for other in (
        msgspec.structs.replace(was, retention_days=None),
        msgspec.structs.replace(was, max_stored_bytes=1),
        msgspec.structs.replace(was, state="suspended"),
        msgspec.structs.replace(was, created_at=was.created_at + 1),
    ):
        assert await s.store.update_tenant(tenant(state="suspended"), was=other) is False
    assert await s.store.read_tenant(ACME) == was
    await s.acme.secret(b"1234567")
    assert await s.store.update_tenant(tenant(state="suspended"), was=was) is True
    assert await s.store.read_tenant(ACME) == tenant(stored_bytes=7, state="suspended")
    assert await s.store.update_tenant(tenant(GLOBEX), was=tenant(GLOBEX)) is False


@checks
async def tenant_with_data_needs_no_record(s: StoreFixture) -> None:
    """A tenant that has data is active, with the defaults, can be configured, and cannot be created again."""
    await s.commit("a")
    found = await s.store.read_tenant(ACME)
    assert found is not None
    assert (found.id, found.state, found.retention_days, found.max_stored_bytes) == (ACME, "active", None, None)
    assert await s.store.create_tenant(tenant()) is False
    assert [record.id for record in await s.store.list_tenants()] == [ACME]
    changed = msgspec.structs.replace(found, state="suspended", max_stored_bytes=1)
    assert await s.store.update_tenant(changed) is True
    assert await s.store.read_tenant(ACME) == changed


@checks
async def tenants_are_listed_by_id(s: StoreFixture) -> None:
    """The list holds every tenant, created or not, in the order of their ids, each as it is read alone."""
    assert await s.store.list_tenants() == ()
    await s.store.create_tenant(tenant(THIRD, max_stored_bytes=3))
    await s.store.create_tenant(tenant(GLOBEX, state="suspended"))
    await s.commit("a")
    found = await s.store.list_tenants()
    assert [record.id for record in found] == [ACME, GLOBEX, THIRD]
    assert [await s.store.read_tenant(record.id) for record in found] == list(found)


@checks
async def asking_makes_no_tenant(s: StoreFixture) -> None:
    """Reading a tenant's data does not make it known."""
    await s.acme.get_by_response_id(response_id("a"))
    await s.acme.read_keys()
    await s.acme.read_secret()
    await s.acme.delete_response(response_id("a"))
    assert await s.store.read_tenant(ACME) is None
    assert await s.store.list_tenants() == ()


# What a tenant stores.


async def _is_exact(s: StoreFixture, step: str) -> int:
    for its_id in (ACME, GLOBEX):
        told, found = await stored_bytes(s, its_id), await size_of(s.store.for_tenant(its_id))
        assert told == found, f"after {step}: {its_id} is said to store {told}, and stores {found}"
    return await stored_bytes(s)


@checks
async def stored_bytes_follow_everything(s: StoreFixture) -> None:
    """After whatever adds, changes or erases a payload, what a tenant stores is the sum of all of its payloads."""
    before = await _is_exact(s, "nothing")
    made = await fill(s, s.acme)
    await fill(s, s.globex)
    assert await _is_exact(s, "filling") > before
    await s.commit("a", None, [item("a", 0), item("a", 1, payload=b"")])
    await _is_exact(s, "another turn")
    await s.acme.update_conversation(made.conversation, b"\x01a longer payload than there was")
    await _is_exact(s, "an update")
    await s.acme.update_response(response_id("a"), b"\x01a longer payload", (b"red",), instead_of=b"response a")
    await _is_exact(s, "an update of a response")
    await s.acme.append_items(made.conversation, [item("by hand"), item("more")])
    await s.acme.remove_item(made.conversation, item_id("by hand"))
    await _is_exact(s, "a removal")
    await s.acme.rewind_conversation(made.conversation, item_id("more"))
    turn = await begin(s, "b", key=await take(s, "k"), payload=b"a request")
    await s.acme.append_events(turn, events(0))
    await _is_exact(s, "events")
    await s.commit("b", claim=turn, trace=b"a trace")
    await _is_exact(s, "a commit")
    await s.acme.drop_turn(await begin(s, "c"))
    await _is_exact(s, "a turn that was given up")
    session = await s.acme.get_by_response_id(made.response)
    assert session is not None
    await s.acme.put_session(msgspec.structs.replace(session, payload=b"\x01put"))
    await _is_exact(s, "a put")
    await s.acme.delete_prompt(made.prompt)
    await _is_exact(s, "a prompt's end")
    await s.acme.delete_response(made.response)
    await s.acme.delete_conversation(made.conversation, cascade=True)
    await _is_exact(s, "deletions")


@checks
async def stored_bytes_follow_keys_and_time(s: StoreFixture) -> None:
    """Answers that are given anew, forgotten or swept, and turns that expire, are counted until they are gone."""
    soon = int(s.clock()) + 5
    kept, released = await take(s, "kept", lifetime_s=5), await take(s, "released")
    await s.acme.settle_key(Settlement(claim=kept, answer=b"an answer"))
    await s.commit("a", expires_at=soon)
    before = await _is_exact(s, "settling")
    await s.acme.release_key(released)
    s.clock.advance(5)
    assert await _is_exact(s, "expiry") == before
    await s.acme.settle_key(Settlement(claim=await take(s, "kept"), answer=b"another answer"))
    await _is_exact(s, "a second answer")
    await s.sweep()
    assert await _is_exact(s, "a sweep") == len(b"another answer")


@checks
async def refused_payloads_are_not_counted(s: StoreFixture) -> None:
    """What was refused adds nothing to what a tenant stores."""
    await s.create("c", [item("c")])
    before = await _is_exact(s, "a creation")
    done = await asyncio.gather(
        s.create("c", [item("d")]),
        s.create("e", [item("e"), item("c", 0, payload=b"other")]),
        s.commit("a", None, [item("a"), item("a")]),
        return_exceptions=True,
    )
    assert all(isinstance(each, Exception) for each in done)
    assert await _is_exact(s, "refusals") == before
    assert await s.acme.read_conversation(conversation_id("e")) is None


# API keys.


@checks
async def api_key_is_read_back(s: StoreFixture) -> None:
    """An API key is read back as it was created, with everything and with next to nothing, after a restart too."""
    bare = ApiKeyRecord(key_id="bare", tenant=GLOBEX, mac=b"", hint="", scopes=(), created_at=0, created_by="key")
    every, none = api_key("every"), api_key("none", models=(), limits=Limits(tokens_per_minute=0), scopes=())
    assert await s.store.read_api_key("every") is None
    for each in (bare, every, none):
        assert await s.store.create_api_key(each) is True
    if s.reopen is not None:
        await s.reopen()
    assert [await s.store.read_api_key(each) for each in ("bare", "every", "none")] == [bare, every, none]


@checks
async def api_key_id_is_used_once(s: StoreFixture) -> None:
    """Of many who create an API key of one id, whoever's it is, one succeeds."""
    given = [api_key(tenant=TenantId(f"t{index}"), mac=b"%d" % index) for index in range(6)]
    done = await asyncio.gather(*map(s.store.create_api_key, given))
    assert sum(done) == 1
    assert await s.store.create_api_key(api_key()) is False
    assert await s.store.create_api_key(given[done.index(True)]) is False
    assert await s.store.read_api_key("key") == given[done.index(True)]


@checks
async def api_key_is_changed_as_it_was_read(s: StoreFixture) -> None:
    """An API key's record is replaced only if it is what the caller read, but for when it was last used."""
    first, second = api_key(last_used_at=None), api_key(revoked_at=7_000, last_used_at=None)
    assert await s.store.update_api_key(first, second) is False
    await s.store.create_api_key(first)
    await s.store.create_api_key(api_key("other"))
    assert await s.store.update_api_key(second, first) is False
    assert await s.store.read_api_key("key") == first
    await s.store.note_api_key_use({"key": 8_000})
    assert await s.store.update_api_key(first, second) is True
    assert await s.store.update_api_key(first, api_key(name="late")) is False
    found = await s.store.read_api_key("key")
    assert found is not None
    assert msgspec.structs.replace(found, last_used_at=None) == second
    assert await s.store.read_api_key("other") == api_key("other")


@checks
async def every_field_of_an_api_key_is_compared(s: StoreFixture) -> None:
    """A record that differs from the stored one in any field does not replace it."""
    await s.store.create_api_key(api_key())
    others: dict[str, Any] = {
        "tenant": GLOBEX,
        "mac": b"other",
        "previous_mac": None,
        "previous_until": None,
        "hint": "other",
        "name": "other",
        "scopes": ("responses:write",),
        "models": None,
        "limits": Limits(requests_per_minute=1, tokens_per_minute=2),
        "created_at": 1_001,
        "created_by": "other",
        "expires_at": None,
        "revoked_at": None,
    }
    assert {*others, "key_id", "last_used_at"} == set(ApiKeyRecord.__struct_fields__)
    for field, value in others.items():
        assert await s.store.update_api_key(api_key(**{field: value}), api_key(name="new")) is False, field
    assert await s.store.read_api_key("key") == api_key()


@checks
async def one_of_many_changes_the_api_key(s: StoreFixture) -> None:
    """Of many who change what they all read one succeeds."""
    await s.store.create_api_key(api_key())
    changed = [api_key(name=f"{index}") for index in range(6)]
    done = await asyncio.gather(*(s.store.update_api_key(api_key(), each) for each in changed))
    assert sum(done) == 1
    assert await s.store.read_api_key("key") == changed[done.index(True)]


@checks
async def api_keys_are_listed_oldest_first(s: StoreFixture) -> None:
    """All API keys, or those of one tenant, are listed in the order of their creation."""
    made = [
        api_key("d", created_at=2),
        api_key("c", created_at=1, tenant=GLOBEX),
        api_key("b", created_at=3),
        api_key("a", created_at=4, tenant=GLOBEX),
    ]
    assert await s.store.list_api_keys() == ()
    for each in made:
        await s.store.create_api_key(each)
    assert [each.key_id for each in await s.store.list_api_keys()] == ["c", "d", "b", "a"]
    assert await s.store.list_api_keys(ACME) == (made[0], made[2])
    assert await s.store.list_api_keys(THIRD) == ()


@checks
async def use_of_api_keys_is_noted(s: StoreFixture) -> None:
    """When known keys were last used is set; the latest stands, and nothing else changes."""
    for name in ("a", "b"):
        await s.store.create_api_key(api_key(name))
    await s.store.note_api_key_use({"a": 7_000, "unknown": 7_001})
    await s.store.note_api_key_use({})
    await s.store.note_api_key_use({"a": 6_500})  # by a process that is late
    assert await s.store.read_api_key("a") == api_key("a", last_used_at=7_000)
    assert await s.store.read_api_key("b") == api_key("b")
    assert await s.store.read_api_key("unknown") is None


@checks
async def directory_is_no_data(s: StoreFixture) -> None:
    """Tenants and keys can be there before there is a turn, and a turn changes neither."""
    given = tenant(retention_days=3)
    await s.store.create_tenant(given)
    await s.store.create_api_key(api_key())
    done = await s.commit("a")
    assert done.insertion_index == 1
    found = await s.store.read_tenant(ACME)
    assert found == msgspec.structs.replace(given, stored_bytes=await size_of(_acme(s)))
    assert await s.store.list_api_keys(ACME) == (api_key(),)


def _acme(s: StoreFixture) -> TenantStore:
    return s.store.for_tenant(ACME)
