"""Changing keys: nothing is lost, nobody fails, nothing is left under the old key, whoever is killed when."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import msgspec
import pytest

from antiphon.crypto import Lifetimes, SealingCodec
from antiphon.crypto.envelope import header_of, parse_seal
from antiphon.crypto.key_rings import wrap_key
from antiphon.crypto.rotation import rotate_root, rotate_tenant
from antiphon.crypto.services import EphemeralKeys, KeyFile
from antiphon.crypto.verification import verify
from antiphon.hub.errors import KeysUnavailable, StoreCorrupt
from antiphon.sessions.codec import TENANT_FAMILY
from antiphon.sessions.store import SessionStore, TenantStore
from antiphon.sessions.vault import Replacement, Scanned
from tests.crypto.kills import headers_of
from tests.crypto.stage import ACME, GLOBEX, QUICK, Writer, rows, sealing


class Interrupted(Exception):
    """As if the process had been killed."""


class Breaking:
    """A tenant's store that breaks at the n-th change of a rotation."""

    def __init__(self, store: SessionStore, at: int) -> None:
        self._store = store
        self.left = at

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def for_tenant(self, tenant: Any) -> Any:
        return _BreakingTenant(self, self._store.for_tenant(tenant))


class _BreakingTenant:
    def __init__(self, breaking: Breaking, tenant: TenantStore) -> None:
        self._breaking = breaking
        self._tenant = tenant

    def __getattr__(self, name: str) -> Any:
        if name in ("add_key", "change_key", "drop_key", "replace"):
            self._breaking.left -= 1
            if self._breaking.left < 0:
                raise Interrupted
        return getattr(self._tenant, name)


async def assert_only_under(vault: TenantStore, version: int) -> None:
    """Every payload is sealed under this version, and every family commits to it alone."""
    assert await headers_of(vault) == {header_of(version)}
    seals = [parse_seal(row.payload) for row in await rows(vault, "families")]
    assert {tuple(seal.commitments) for seal in seals} == {(version,)}
    assert [(key.version, key.state) for key in await vault.read_keys()] == [(version, "active")]


# A tenant's key.


async def test_everything_is_sealed_anew_and_the_old_key_is_gone(store: SessionStore) -> None:
    """Payloads of every table change and say what they said; other tenants' do not change."""
    codec = sealing(store, lifetimes=QUICK)
    writer, other = Writer(store, codec), Writer(store, codec, GLOBEX)
    await writer.everything("some words")
    await other.everything("other words")
    before, theirs = await rows(writer.vault, "items"), await rows(other.vault, "items")
    done = await rotate_tenant(store, codec, ACME)
    assert done.version == 2
    assert done.resealed >= 15
    await assert_only_under(writer.vault, 2)
    assert not {row.payload for row in before} & {row.payload for row in await rows(writer.vault, "items")}
    assert await rows(other.vault, "items") == theirs
    assert await verify(store, codec) == []
    assert await store.check() == []


async def test_a_key_can_be_changed_again_and_again(store: SessionStore) -> None:
    """Each time everything is under the newest key alone."""
    codec = sealing(store, lifetimes=QUICK)
    writer = Writer(store, codec)
    turn = await writer.turn("said")
    for version in (2, 3, 4):
        assert (await rotate_tenant(store, codec, ACME)).version == version
        await assert_only_under(writer.vault, version)
    assert await writer.read(turn) == "said"


async def test_what_was_copied_before_cannot_be_opened_with_what_is_there_now(store: SessionStore) -> None:
    """A payload under the old key is refused: the key is destroyed."""
    codec = sealing(store, lifetimes=QUICK)
    writer = Writer(store, codec)
    turn = await writer.turn("said")
    (old,) = await rows(writer.vault, "items")
    await rotate_tenant(store, codec, ACME)
    (new,) = await rows(writer.vault, "items")
    await writer.vault.replace([Replacement(old=new, payload=old.payload)])
    with pytest.raises(StoreCorrupt):
        await writer.read(turn)


async def test_nobody_fails_while_a_key_is_changed(store: SessionStore) -> None:
    """Writers with codecs of their own, as in other processes, write and read without an error all the while."""
    # Many share one processor here, so what is held for a moment is held for some milliseconds.
    lifetimes = Lifetimes(look_again_s=0.05, held_s=0.4)
    service = EphemeralKeys()
    codecs = [sealing(store, service, lifetimes=lifetimes) for _ in range(4)]
    said: dict[str, str] = {}
    is_over = asyncio.Event()

    async def work(number: int) -> None:
        writer = Writer(store, codecs[number % len(codecs)])
        turn = None
        while not is_over.is_set():
            turn = await writer.turn(f"{number} says {len(said)}", turn if len(said) % 3 else None)
            said[turn] = await writer.read(turn)
            chosen = [*said][len(said) * number % len(said)]
            assert await writer.read(chosen) == said[chosen]
            await asyncio.sleep(0.03)  # leaves the rotation something of the processor

    async def rotate() -> int:
        try:
            return (await rotate_tenant(store, sealing(store, service, lifetimes=lifetimes), ACME)).version
        finally:
            is_over.set()

    version, *_ = await asyncio.gather(rotate(), *(work(number) for number in range(8)))
    assert version == 2
    assert len(said) > 50
    await assert_only_under(store.for_tenant(ACME), 2)
    reader = Writer(store, sealing(store, service))
    assert {turn: await reader.read(turn) for turn in said} == said
    assert await store.check() == []


async def test_a_rotation_that_is_broken_off_anywhere_is_ended_by_the_next(store: SessionStore) -> None:
    """Broken off at each of its changes in turn, content is readable, and another call ends it."""
    service = EphemeralKeys()
    codec = sealing(store, service, lifetimes=QUICK)
    writer = Writer(store, codec)
    await writer.everything("some words")
    turn = await writer.turn("said")
    at, ended = 0, False
    while not ended:
        breaking: Any = Breaking(store, at)
        try:
            await rotate_tenant(breaking, sealing(breaking, service, lifetimes=QUICK), ACME)
            ended = True
        except Interrupted:
            at += 1
        assert await Writer(store, sealing(store, service, lifetimes=QUICK)).read(turn) == "said"
    assert at >= 5
    versions = {key.version for key in await writer.vault.read_keys()}
    assert len(versions) == 1
    await assert_only_under(writer.vault, versions.pop())
    assert await verify(store, codec) == []


async def test_two_who_change_a_key_at_once_do_no_harm(store: SessionStore) -> None:
    """Both end, and everything is under one key."""
    service = EphemeralKeys()
    writer = Writer(store, sealing(store, service, lifetimes=QUICK))
    await writer.everything("some words")
    turn = await writer.turn("said")
    await asyncio.gather(
        *(rotate_tenant(store, sealing(store, service, lifetimes=QUICK), ACME) for _ in range(3)),
    )
    (key,) = await writer.vault.read_keys()
    await assert_only_under(writer.vault, key.version)
    assert await Writer(store, sealing(store, service)).read(turn) == "said"


async def test_a_key_that_somebody_added_is_found_at_once(store: SessionStore) -> None:
    """A payload under a version that a process has not seen is opened, without waiting until it looks again."""
    service = EphemeralKeys()
    codec = sealing(store, service)
    vault, key = store.for_tenant(ACME), os.urandom(32)
    await codec.keys(ACME, (TENANT_FAMILY,))  # has the first key now, for half a minute
    added = await wrap_key(service, ACME, key, version=2, state="next", created_at=1)
    await vault.add_key(added)
    await vault.change_key(added, msgspec.structs.replace(added, state="active"))
    other = Writer(store, sealing(store, service))
    turn = await other.turn("said")
    assert await headers_of(vault) == {header_of(2)}
    assert await Writer(store, codec).read(turn) == "said"


async def test_content_that_is_corrupt_keeps_both_keys(store: SessionStore) -> None:
    """The row is named; everything else is sealed anew; nothing is destroyed."""
    codec = sealing(store, lifetimes=QUICK)
    writer = Writer(store, codec)
    turn = await writer.turn("said")
    broken = await writer.turn("broken")
    row = next(row for row in await rows(writer.vault, "responses") if row.row_id == broken)
    await writer.vault.replace([Replacement(old=row, payload=row.payload[:-1] + bytes([row.payload[-1] ^ 1]))])
    with pytest.raises(StoreCorrupt, match=broken):
        await rotate_tenant(store, codec, ACME)
    assert [key.state for key in await writer.vault.read_keys()] == ["retiring", "active"]
    assert await writer.read(turn) == "said"


# The root key.


async def test_the_root_key_is_changed_while_gateways_run(store: SessionStore, tmp_path: Path) -> None:
    """After it the old root key may go; whoever runs on never notices."""
    path = tmp_path / "root.key"
    service, admin = KeyFile(path), KeyFile(path)
    await service.open(create=True)
    await admin.open(create=False)
    running = [Writer(store, sealing(store, service, lifetimes=QUICK), tenant) for tenant in (ACME, GLOBEX)]
    turns = [await writer.turn("said") for writer in running]
    old = service.ref
    new = await admin.add()
    assert await rotate_root(store, admin) == 2
    assert await rotate_root(store, admin) == 0
    assert {use.root_ref for use in await store.root_keys_in_use()} == {new}
    lines = [line for line in path.read_text(encoding="ascii").splitlines() if old.removeprefix("local:") not in line]
    path.write_text("\n".join(lines) + "\n", encoding="ascii")
    await asyncio.sleep(QUICK.unwrapped_s)  # until what was unwrapped may not be held any longer
    for writer, turn in zip(running, turns, strict=True):
        assert await writer.read(await writer.turn("more", turn)) == "more"
    restarted = sealing(store, KeyFile(path))
    await restarted.open()
    assert await verify(store, restarted) == []


async def test_a_root_key_is_changed_by_several_at_once(store: SessionStore) -> None:
    """Compare-and-set: each key is wrapped anew, and none is lost."""
    before, after = EphemeralKeys(), EphemeralKeys()
    codec = sealing(store, before)
    turns = [await Writer(store, codec, tenant).turn("said") for tenant in (ACME, GLOBEX)]
    counts = await asyncio.gather(*(rotate_root(store, after, previous=before) for _ in range(4)))
    assert sum(counts) == 2
    readers = [Writer(store, sealing(store, after), tenant) for tenant in (ACME, GLOBEX)]
    assert [await reader.read(turn) for reader, turn in zip(readers, turns, strict=True)] == ["said", "said"]


async def test_a_service_that_renews_a_key_under_its_name_is_asked_to_wrap_all_again(store: SessionStore) -> None:
    """With *every*, also what has the right name is wrapped anew, once."""
    service = EphemeralKeys()
    writer = Writer(store, sealing(store, service))
    turn = await writer.turn("said")
    (before,) = await writer.vault.read_keys()
    assert await rotate_root(store, service, every=True) == 1
    (after,) = await writer.vault.read_keys()
    assert before.wrapped != after.wrapped
    assert await Writer(store, sealing(store, service)).read(turn) == "said"


async def test_a_root_key_that_is_not_there_is_told(store: SessionStore) -> None:
    """Nothing is changed."""
    await Writer(store, sealing(store, EphemeralKeys())).turn("said")
    before = await store.for_tenant(ACME).read_keys()
    with pytest.raises(KeysUnavailable, match=before[0].root_ref):
        await rotate_root(store, EphemeralKeys())
    assert await store.for_tenant(ACME).read_keys() == before


async def test_root_and_tenant_key_are_changed_together(store: SessionStore) -> None:
    """Neither loses what the other did."""
    before, after = EphemeralKeys(), EphemeralKeys()

    class Both(EphemeralKeys):
        async def unwrap(self, ref: str, blob: bytes, context: Any) -> bytes:
            return await (after if await after.has(ref) else before).unwrap(ref, blob, context)

        async def wrap(self, key: bytes, context: Any) -> Any:
            return await after.wrap(key, context)

        async def has(self, ref: str) -> bool:
            return True

        @property
        def ref(self) -> str:
            return after.ref

    await (writer := Writer(store, sealing(store, before))).everything("some words")
    both = Both()
    codec: SealingCodec = sealing(store, both, lifetimes=QUICK)
    await asyncio.gather(rotate_tenant(store, codec, ACME), *(rotate_root(store, both) for _ in range(3)))
    await assert_only_under(writer.vault, 2)
    assert await verify(store, sealing(store, after)) == []


# Verification.


@pytest.mark.parametrize("table", ["items", "prompts", "stream_events", "secrets", "families"])
async def test_what_cannot_be_opened_is_named(store: SessionStore, table: Scanned) -> None:
    """One altered bit in any table is found, and told without content."""
    codec = sealing(store)
    writer = Writer(store, codec)
    await writer.everything("some words")
    row = (await rows(writer.vault, table))[0]
    await writer.vault.replace([Replacement(old=row, payload=row.payload[:-1] + bytes([row.payload[-1] ^ 1]))])
    problems = await verify(store, codec)
    assert any(line.startswith(f"acme: {table} '{row.row_id}'") for line in problems)
    assert len(problems) == 1 or table == "families"
    assert "some words" not in "".join(problems)


async def test_a_wrapped_key_that_was_altered_is_named(store: SessionStore) -> None:
    """Also by a process that has it at hand."""
    codec = sealing(store)
    writer = Writer(store, codec)
    await writer.turn("said")
    (key,) = await writer.vault.read_keys()
    await writer.vault.change_key(key, msgspec.structs.replace(key, wrapped=key.wrapped[:-1] + b"x"))
    (problem,) = await verify(store, codec)
    assert problem.startswith("acme: The wrapped key 1")


async def test_a_sample_looks_at_as_many_as_it_says(store: SessionStore) -> None:
    """Each payload has its chance: of many samples of one, some find the bad one and some do not."""
    codec = sealing(store)
    writer = Writer(store, codec)
    turn = None
    for number in range(4):
        turn = await writer.turn(str(number), turn)
    row = (await rows(writer.vault, "items"))[2]
    await writer.vault.replace([Replacement(old=row, payload=row.payload + b"x")])
    found = [len(await verify(store, codec, 1)) for _ in range(60)]
    assert set(found) == {0, 1}
    assert len(await verify(store, codec, 4)) == 1
