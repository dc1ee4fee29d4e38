"""Checks of a tenant's wrapped keys, of its secret, and of going through every payload to change it."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from antiphon.hub.ids import ItemId, TenantId
from antiphon.sessions.records import StoredItem
from antiphon.sessions.store import TenantStore
from antiphon.sessions.vault import Payload, Replacement, RootKeyUse, Scanned, TenantKey
from antiphon.testing.store_contents import CHAIN, SCANNED, TABLES, TALK, contents, expected, fill, id_in, rows
from antiphon.testing.store_fixture import CheckList, StoreFixture, item, response_id

__all__ = ["checks", "key"]

checks = CheckList()


def key(version: int = 1, **changes: Any) -> TenantKey:
    """A version of a tenant's key."""
    made = TenantKey(version=version, state="active", root_ref="file:one", wrapped=b"wrapped", created_at=1_000)
    return msgspec.structs.replace(made, **changes)


def _by_row(payload: Payload) -> tuple[str, str]:
    return payload.table, payload.row_id


# Keys.


@checks
async def keys_are_read_back_oldest_first(s: StoreFixture) -> None:
    """A tenant has no keys until some are added; they are answered by version, also after a restart."""
    second = key(2, state="next", root_ref="aws-kms:two", wrapped=b"\x00\xff", created_at=2_000)
    assert await s.acme.read_keys() == ()
    assert await s.acme.add_key(second) == (second,)
    assert await s.acme.add_key(key(1)) == (key(1), second)
    if s.reopen is not None:
        await s.reopen()
    assert await s.acme.read_keys() == (key(1), second)


@checks
async def one_of_many_adds_the_key(s: StoreFixture) -> None:
    """Of many who add the same version one wins, and all are answered the same."""
    candidates = [key(1, wrapped=b"%d" % index) for index in range(8)]
    answers = await asyncio.gather(*(s.acme.add_key(each) for each in candidates))
    assert len(set(answers)) == 1
    assert len(answers[0]) == 1
    assert answers[0][0] in candidates
    assert await s.acme.read_keys() == answers[0]
    assert await s.acme.add_key(key(1, wrapped=b"late")) == answers[0]


@checks
async def key_is_changed_as_it_was_read(s: StoreFixture) -> None:
    """A version's record is replaced only if it is still what the caller read."""
    await s.acme.add_key(key())
    wrapped_anew = key(root_ref="file:two", wrapped=b"anew")
    assert await s.acme.change_key(key(wrapped=b"other"), wrapped_anew) is False
    assert await s.acme.change_key(key(2), key(2, state="retiring")) is False
    assert await s.acme.read_keys() == (key(),)
    assert await s.acme.change_key(key(), wrapped_anew) is True
    assert await s.acme.change_key(key(), key(wrapped=b"late")) is False
    assert await s.acme.read_keys() == (wrapped_anew,)


@checks
async def one_of_many_changes_the_key(s: StoreFixture) -> None:
    """Of many who change what they all read one succeeds."""
    await s.acme.add_key(key())
    changed = [key(wrapped=b"%d" % index) for index in range(8)]
    answers = await asyncio.gather(*(s.acme.change_key(key(), each) for each in changed))
    assert sum(answers) == 1
    assert await s.acme.read_keys() == (changed[answers.index(True)],)


@checks
async def one_key_at_most_seals(s: StoreFixture) -> None:
    """A version that becomes active, or comes as such, makes the one that was active retiring; others stay."""
    await s.acme.add_key(key(1))
    await s.acme.add_key(key(2, state="next"))
    await s.acme.add_key(key(3, state="next"))
    await s.globex.add_key(key(1))
    assert await s.acme.change_key(key(2, state="next"), key(2)) is True
    assert await s.acme.read_keys() == (key(1, state="retiring"), key(2), key(3, state="next"))
    assert await s.acme.change_key(key(2), key(2, root_ref="file:two")) is True
    await s.acme.add_key(key(4))
    states = [each.state for each in await s.acme.read_keys()]
    assert states == ["retiring", "retiring", "next", "active"]
    assert await s.globex.read_keys() == (key(1),)


@checks
async def key_is_dropped_as_it_was_read(s: StoreFixture) -> None:
    """A version is destroyed only if it is still what the caller read; then it is gone, and can be added anew."""
    for each in (s.acme, s.globex):
        await each.add_key(key(1, state="retiring"))
    await s.acme.add_key(key(2))
    assert await s.acme.drop_key(key(1)) is False
    assert await s.acme.drop_key(key(3)) is False
    assert await s.globex.drop_key(key(2)) is False
    assert await s.acme.drop_key(key(1, state="retiring")) is True
    assert await s.acme.drop_key(key(1, state="retiring")) is False
    assert await s.acme.read_keys() == (key(2),)
    assert await s.globex.read_keys() == (key(1, state="retiring"),)


@checks
async def keys_of_tenants_are_apart(s: StoreFixture) -> None:
    """Each tenant has keys of its own, under the same versions; nobody changes another's."""
    await s.acme.add_key(key())
    theirs = key(wrapped=b"theirs")
    assert await s.globex.read_keys() == ()
    assert await s.globex.change_key(key(), theirs) is False
    assert await s.globex.add_key(theirs) == (theirs,)
    assert await s.acme.read_keys() == (key(),)


@checks
async def root_keys_in_use_are_counted(s: StoreFixture) -> None:
    """Each root key that has wrapped a key of any tenant is named, with how many it has wrapped."""
    assert await s.store.root_keys_in_use() == ()
    await s.acme.add_key(key(1, state="retiring"))
    await s.acme.add_key(key(2))
    await s.globex.add_key(key(1))
    await s.globex.add_key(key(2, root_ref="aws-kms:two", state="next"))
    used = await s.store.root_keys_in_use()
    assert set(used) == {RootKeyUse(root_ref="file:one", count=3), RootKeyUse(root_ref="aws-kms:two", count=1)}
    assert len(used) == 2
    await s.globex.drop_key(key(2, root_ref="aws-kms:two", state="next"))
    assert await s.store.root_keys_in_use() == (RootKeyUse(root_ref="file:one", count=3),)


# The secret.


@checks
async def secret_is_the_first_that_was_offered(s: StoreFixture) -> None:
    """Of many who offer a tenant's secret one is heard, for ever, and no other tenant's is touched."""
    await s.globex.commit(s.turn("a"))
    assert await s.acme.read_secret() is None
    candidates = [b"\x01%d" % index for index in range(8)]
    answers = await asyncio.gather(*(s.acme.secret(each) for each in candidates))
    assert len(set(answers)) == 1
    assert answers[0] in candidates
    assert await s.globex.read_secret() is None
    assert await s.globex.secret(b"theirs") == b"theirs"
    if s.reopen is not None:
        await s.reopen()
    assert await s.acme.secret(b"late") == answers[0]
    assert await s.acme.read_secret() == answers[0]


@checks
async def secret_is_no_turn(s: StoreFixture) -> None:
    """Whether a tenant's secret or its first turn comes first, turns are counted from 1."""
    await s.acme.secret(b"secret")
    assert (await s.commit("a")).insertion_index == 1
    await s.globex.commit(s.turn("a"))
    await s.globex.secret(b"secret")
    assert (await s.globex.commit(s.turn("b"))).insertion_index == 2


# Scanning.


@checks
async def scan_shows_every_payload_once(s: StoreFixture) -> None:
    """Every payload of every table is shown once, with where it stands, whatever the size of the pages."""
    made = await fill(s, s.acme)
    wanted = sorted(expected(made), key=_by_row)
    for limit in (1, 2, 100):
        found = [payload for table in SCANNED for payload in await rows(s.acme, table, limit=limit)]
        assert sorted(found, key=_by_row) == wanted, f"on pages of {limit}"


@checks
async def scan_shows_nothing_of_others(s: StoreFixture) -> None:
    """What another tenant has is in no scan."""
    await fill(s, s.acme)
    assert await contents(s.globex) == {}


@checks
async def scan_passes_over_what_holds_nothing(s: StoreFixture) -> None:
    """References, keys without an answer and responses without a trace are no payloads; families without a seal are
    shown.
    """
    await s.commit("a", payload=b"", trace=b"")
    await s.create("c", [item("c")], payload=b"")
    await s.acme.append_items("conv_c", [item("d", 0, payload=b"")])
    await s.acme.take_key(b"key", b"request", holder="one", ttl_s=30, expires_at=int(s.clock()) + 60)
    found = {(table, row_id): payload for (table, row_id), payload in (await contents(s.acme)).items()}
    assert {table for table, _ in found} == {"items", "families"}
    assert len(found) == 4
    assert found["families", "00000000000000aa"] == b""


@checks
async def scan_is_not_disturbed(s: StoreFixture) -> None:
    """While others insert and erase, a scan shows everything that stays throughout, once."""
    stays = [f"s{index:02}" for index in range(12)]
    goes = [f"g{index:02}" for index in range(6)]
    for name in stays + goes:
        await s.commit(name)
    seen: list[str] = []
    after: bytes | None = None
    for index in range(100):
        page = await s.acme.scan("items", after=after, limit=3)
        seen += [payload.row_id for payload in page.payloads]
        for name in (f"a{index:02}", f"r{index:02}", f"z{index:02}"):
            await s.commit(name)
        if index < len(goes):
            await s.acme.delete_response(response_id(goes[index]))
        if page.cursor is None or index > 2 * len(stays):
            break
        after = page.cursor
    assert len(set(seen)) == len(seen), "shown twice"
    assert {f"msg_{name}_{index}" for name in stays for index in (0, 1)} <= set(seen)


# Replacing.


def _changed(payload: Payload) -> Replacement:
    return Replacement(old=payload, payload=b"\x01changed, and longer: " + payload.payload)


async def _all_of(tenant: TenantStore) -> list[Payload]:
    return [payload for table in SCANNED for payload in await rows(tenant, table)]


@checks
async def replace_reaches_every_payload(s: StoreFixture) -> None:
    """Payloads of every table are replaced, at once, and nothing else is; the sum of all follows."""
    made = await fill(s, s.acme)
    await fill(s, s.globex)
    theirs = await contents(s.globex)
    replacements = [_changed(payload) for payload in await _all_of(s.acme)]
    assert await s.acme.replace(replacements) == len(expected(made))
    assert await contents(s.acme) == {(each.old.table, each.old.row_id): each.payload for each in replacements}
    assert await contents(s.globex) == theirs
    record = await s.store.read_tenant(TenantId("acme"))
    assert record is not None
    assert record.stored_bytes == sum(len(each.payload) for each in replacements if each.old.table != "families")


@checks
async def replaced_payloads_are_what_is_read(s: StoreFixture) -> None:
    """What took a payload's place is what every read answers."""
    made = await fill(s, s.acme)
    await s.acme.replace([_changed(payload) for payload in await _all_of(s.acme)])
    said = ItemId(id_in(TALK, "msg", "said"))
    session = await s.acme.get_by_response_id(made.response)
    prompt = await s.acme.read_prompt(made.prompt, 1)
    begun = await s.acme.read_pending(made.pending)
    talk = await s.acme.read_conversation(made.conversation)
    assert session is not None
    assert prompt is not None
    assert begun is not None
    assert talk is not None
    answers = [
        session.payload,
        *(message.payload for message in session.messages if isinstance(message, StoredItem)),
        await s.acme.read_trace(made.response),
        talk.payload,
        (await s.acme.find_items([said]))[said].payload,
        prompt.payload,
        begun.payload,
        *(group.payload for group in await s.acme.read_events(made.pending, first=0)),
        *(delivery.payload for delivery in await s.acme.list_deliveries(limit=9, after=None)),
        await s.acme.read_secret(),
        *(await s.acme.read_families([CHAIN, TALK])).values(),
    ]
    assert len(answers) == 14
    assert [answer for answer in answers if not (answer or b"").startswith(b"\x01changed")] == []


@checks
async def replace_leaves_what_has_changed(s: StoreFixture) -> None:
    """What is not what it was any more, is gone, or is another's, is left alone and not counted."""
    made = await fill(s, s.acme)
    await s.acme.update_conversation(made.conversation, b"\x01updated")
    talk, turn = (
        next(each for each in expected(made) if each.table == table) for table in ("conversations", "responses")
    )
    trace = next(each for each in expected(made) if each.table == "traces")
    unknown = msgspec.structs.replace(turn, row_id=id_in(CHAIN, "resp", "unknown"))
    assert await s.acme.replace([_changed(talk), _changed(turn), _changed(unknown)]) == 1
    assert await s.acme.replace([_changed(talk), _changed(turn), _changed(unknown)]) == 0
    assert await s.globex.replace([_changed(trace)]) == 0
    await s.acme.delete_response(made.response)
    assert await s.acme.replace([_changed(trace)]) == 0
    found = await contents(s.acme)
    assert found["conversations", made.conversation] == b"\x01updated"
    assert not any(table == "traces" for table, _ in found)


@checks
async def one_of_many_replaces_a_payload(s: StoreFixture) -> None:
    """Of many who replace what they all read one succeeds, in every table."""
    made = await fill(s, s.acme)
    for old in expected(made):
        tries = [Replacement(old=old, payload=b"\x01by %d" % index) for index in range(4)]
        done = await asyncio.gather(*(s.acme.replace([each]) for each in tries))
        assert sum(done) == 1, old.table
        assert (await contents(s.acme))[old.table, old.row_id] == tries[done.index(1)].payload


@checks
async def plain_payloads_are_noticed(s: StoreFixture) -> None:
    """A single payload that is not sealed, in any table and of any tenant, is noticed; a seal is no payload."""
    assert await s.store.has_plain_payloads() is False
    made = await fill(s, s.acme)
    await fill(s, s.globex)
    assert await s.store.has_plain_payloads() is False
    one_of: dict[Scanned, Payload] = {each.table: each for each in expected(made)}
    for table in TABLES:
        old = one_of[table]
        plain = msgspec.structs.replace(old, payload=b"\x00plain")
        await s.globex.replace([Replacement(old=old, payload=plain.payload)])
        assert await s.store.has_plain_payloads() is True, table
        await s.globex.replace([Replacement(old=plain, payload=old.payload)])
        assert await s.store.has_plain_payloads() is False, table
    await s.globex.replace([Replacement(old=one_of["families"], payload=b"\x00seal")])
    assert await s.store.has_plain_payloads() is False


# All tenants.


@checks
async def tenants_with_data_are_known(s: StoreFixture) -> None:
    """Every tenant that has a row is listed, and none that was only asked for."""
    assert await s.store.list_tenants_with_data() == ()
    await s.globex.read_keys()
    await s.acme.get_by_response_id(response_id("a"))
    assert await s.store.list_tenants_with_data() == ()
    await fill(s, s.globex)
    await s.store.for_tenant(TenantId("keys")).add_key(key())
    await s.store.for_tenant(TenantId("secret")).secret(b"secret")
    await s.acme.create_conversation(s.conversation("c"))
    assert set(await s.store.list_tenants_with_data()) == {"acme", "globex", "keys", "secret"}


@checks
async def compacting_keeps_everything(s: StoreFixture) -> None:
    """After compacting there is all that there was, and it can be added to."""
    await fill(s, s.acme)
    before = await contents(s.acme)
    told: list[str] = []
    await s.store.compact(progress=told.append)
    assert await contents(s.acme) == before
    assert all(told)
    await s.commit("a")
    assert await s.history("a") == ["a.0", "a.1"]
