"""Sealing a store that was plain: all of it, also on the disk, whoever is interrupted when."""

from __future__ import annotations

import base64
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from antiphon.crypto import UnsealedCodec
from antiphon.crypto.resealing import TABLES, seal_plain
from antiphon.crypto.services import EphemeralKeys
from antiphon.crypto.verification import verify
from antiphon.hub.errors import KeysUnavailable, StoreCorrupt
from antiphon.sessions.store import SessionStore
from antiphon.stores.sqlite import SQLiteSessionStore
from tests.crypto.kills import headers_of
from tests.crypto.stage import ACME, GLOBEX, Writer, rows, sealing
from tests.crypto.test_rotation import Breaking, Interrupted

CANARY = "canary-7f3a-sings-for-nobody"


def found_in(folder: Path) -> list[str]:
    """The files in which the canary can be seen, in clear or in base64."""
    texts = [CANARY.encode(), CANARY.encode("utf-16-le"), base64.b64encode(CANARY.encode())[:-4]]
    return [path.name for path in folder.iterdir() if any(text in path.read_bytes() for text in texts)]


async def test_everything_plain_is_sealed_and_says_the_same(store: SessionStore) -> None:
    """Every table of every tenant; a turn goes on from before."""
    plain = [Writer(store, UnsealedCodec(store), tenant) for tenant in (ACME, GLOBEX)]
    for writer in plain:
        await writer.everything(f"words of {writer.tenant}")
    turns = [await writer.turn("said") for writer in plain]
    assert all([await rows(plain[0].vault, table) for table in TABLES])
    service = EphemeralKeys()
    codec = sealing(store, service, takes_plain=True)
    await codec.open()
    told: list[str] = []
    count = await seal_plain(store, codec, told.append)
    assert count == sum([len(await rows(writer.vault, table)) for writer in plain for table in TABLES])
    assert [line.split(":")[0] for line in told[:2]] == ["acme", "globex"]
    assert not await store.has_plain_payloads()
    reopened = sealing(store, service)
    await reopened.open()
    assert await verify(store, reopened) == []
    for tenant, turn in zip((ACME, GLOBEX), turns, strict=True):
        writer = Writer(store, reopened, tenant)
        assert await writer.read(turn) == "said"
        assert await writer.read(await writer.turn("more", turn)) == "more"
    assert await store.check() == []


async def test_nothing_plain_is_left_on_the_disk(tmp_path: Path) -> None:
    """Neither in the file, nor in its log, nor in free pages; before it was in there."""
    store = SQLiteSessionStore(tmp_path / "s.db")
    await store.open()
    writer = Writer(store, UnsealedCodec(store))
    await writer.everything(CANARY)
    erased = [await writer.turn(f"{CANARY} {number} " + "x" * 9000) for number in range(20)]
    for turn in erased[::2]:
        await writer.vault.delete_response(turn)
    assert found_in(tmp_path)
    codec = sealing(store, takes_plain=True)
    await codec.open()
    await seal_plain(store, codec)
    assert found_in(tmp_path) == []
    assert await Writer(store, codec).read(erased[1])
    await store.close()
    assert found_in(tmp_path) == []
    with sqlite3.connect(tmp_path / "s.db") as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()


async def test_sealed_content_leaves_nothing_plain_on_the_disk(tmp_path: Path) -> None:
    """From the first turn on, also while the file is open."""
    store = SQLiteSessionStore(tmp_path / "s.db")
    await store.open()
    codec = sealing(store)
    await codec.open()
    writer = Writer(store, codec)
    await writer.everything(CANARY)
    assert await writer.read(await writer.turn(CANARY)) == CANARY
    assert found_in(tmp_path) == []
    await store.close()
    assert found_in(tmp_path) == []


async def test_sealing_that_is_broken_off_anywhere_is_ended_by_the_next(store: SessionStore) -> None:
    """Broken off at each of its changes in turn, it goes on where it was."""
    writer = Writer(store, UnsealedCodec(store))
    await writer.everything("some words")
    turn = await writer.turn("said")
    service, at, ended = EphemeralKeys(), 0, False
    while not ended:
        breaking: Any = Breaking(store, at)
        codec = sealing(breaking, service, takes_plain=True)
        await codec.open()
        try:
            await seal_plain(breaking, codec)
            ended = True
        except Interrupted:
            at += 1
    assert at >= 5
    assert all(header[:1] == b"\x01" for header in await headers_of(writer.vault))
    assert await Writer(store, sealing(store, service)).read(turn) == "said"
    assert await verify(store, sealing(store, service)) == []


async def test_a_store_that_is_half_sealed_is_not_served(store: SessionStore) -> None:
    """Sealing that was broken off is noticed by the next who opens the store: it is told to go on with it."""
    for tenant in (ACME, GLOBEX):
        await Writer(store, UnsealedCodec(store), tenant).everything("some words")
    service = EphemeralKeys()
    breaking: Any = Breaking(store, 4)
    codec = sealing(breaking, service, takes_plain=True)
    await codec.open()
    with pytest.raises(Interrupted):
        await seal_plain(breaking, codec)
    assert await store.root_keys_in_use()
    with pytest.raises(KeysUnavailable, match="interrupted"):
        await sealing(store, service).open()
    again = sealing(store, service, takes_plain=True)
    await again.open()
    await seal_plain(store, again)
    await sealing(store, service).open()


async def test_a_store_that_is_sealed_already_is_left_as_it_is(store: SessionStore) -> None:
    """Nothing is sealed twice."""
    service = EphemeralKeys()
    writer = Writer(store, sealing(store, service))
    await writer.everything("some words")
    before = await rows(writer.vault, "items")
    codec = sealing(store, service, takes_plain=True)
    await codec.open()
    assert await seal_plain(store, codec) == 0
    assert await rows(writer.vault, "items") == before


async def test_plain_content_is_not_read_while_it_waits_to_be_sealed(store: SessionStore) -> None:
    """Also not by a codec that takes it to seal it."""
    turn = await Writer(store, UnsealedCodec(store)).turn("said")
    codec = sealing(store, takes_plain=True)
    await codec.open()
    with pytest.raises(StoreCorrupt, match="not sealed"):
        await Writer(store, codec).read(turn)
