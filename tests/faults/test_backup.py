"""Backups made while turns are written: whole, a prefix of what was acknowledged, and sealed as the store is."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from antiphon import Gateway
from antiphon.app.sealing import StoreSealing
from antiphon.hub.errors import KeysUnavailable, ResponseNotFound
from tests.faults.echo import echo_gateway
from tests.faults.life import body_of, principal_of

_ACME = principal_of("acme")


async def chain(gateway: Gateway, told: list[dict[str, object]], name: str, *, until: asyncio.Event) -> None:
    """Turns that continue each other, until it is enough."""
    while not until.is_set():
        fields = {"previous_response_id": told[-1]["id"]} if told else {}
        told.append(dict(await gateway.respond(body_of(f"{name}{len(told)}", **fields), _ACME)))


async def shown(gateway: Gateway, told: list[dict[str, object]]) -> list[bool]:
    """Which of these are there, as they were told."""
    found = []
    for response in told:
        try:
            assert dict(await gateway.retrieve(str(response["id"]), _ACME)) == response
            found.append(True)
        except ResponseNotFound:
            found.append(False)
    return found


async def test_backup_is_a_prefix_of_what_was_acknowledged(tmp_path: Path) -> None:
    """A backup beside two writers is sound, holds all that was told before and no hole, and can be continued."""
    store, copy = tmp_path / "store.db", tmp_path / "copy.db"
    told: tuple[list[dict[str, object]], list[dict[str, object]]] = ([], [])
    async with echo_gateway(store) as gateway:
        assert gateway.store is not None
        enough = asyncio.Event()
        writing = [asyncio.ensure_future(chain(gateway, one, f"w{i}-", until=enough)) for i, one in enumerate(told)]
        while min(map(len, told)) < 20:
            await asyncio.sleep(0)
        before = [len(one) for one in told]
        await gateway.store.backup(str(copy))
        enough.set()
        await asyncio.gather(*writing)
    shutil.copy(f"{store}.key", f"{copy}.key")
    async with echo_gateway(copy) as restored:
        assert restored.store is not None
        assert restored.codec is not None
        assert await restored.store.check() == []
        assert await StoreSealing(restored.store, restored.codec).verify() == []
        for one, least in zip(told, before, strict=True):
            found = await shown(restored, one)
            count = sum(found)
            assert count >= least
            assert found == [True] * count + [False] * (len(one) - count)
            body = body_of("goes on", previous_response_id=one[count - 1]["id"])
            assert (await restored.respond(body, _ACME))["status"] == "completed"


async def test_backup_cannot_be_opened_without_its_key(tmp_path: Path) -> None:
    """A backup without the key file is refused with what is missing, no new key is made, and no text is in it."""
    async with echo_gateway(tmp_path / "store.db") as gateway:
        await gateway.respond(body_of("CANARY-77ab"), _ACME)
        assert gateway.store is not None
        await gateway.store.backup(str(tmp_path / "copy.db"))
    restored = echo_gateway(tmp_path / "copy.db")
    with pytest.raises(KeysUnavailable, match="needs the root keys"):
        await restored.startup()
    await restored.shutdown(0.0)
    assert not (tmp_path / "copy.db.key").exists()
    assert b"CANARY" not in (tmp_path / "copy.db").read_bytes()


async def test_restoring_brings_back_what_was_erased_since(tmp_path: Path) -> None:
    """
    A backup from before an erasure has its own copy of the family's salt: what was erased is erased in the store, and a
    backup stays what it was for as long as there is a root key that opens it.
    """
    store, copy = tmp_path / "store.db", tmp_path / "copy.db"
    async with echo_gateway(store) as gateway:
        response = dict(await gateway.respond(body_of("erased later"), _ACME))
        assert gateway.store is not None
        await gateway.store.backup(str(copy))
        receipt = await gateway.delete(response["id"], _ACME, cascade=True, receipt=True)
        assert receipt["receipt"]["keys_destroyed"] == 1
        assert await shown(gateway, [response]) == [False]
    shutil.copy(f"{store}.key", f"{copy}.key")
    async with echo_gateway(copy) as restored:
        assert await shown(restored, [response]) == [True]
