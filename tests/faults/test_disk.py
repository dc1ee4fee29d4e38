"""A gateway on a disk that is full, or fails, or whose fsync does: it refuses turns, can be read, and recovers."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from antiphon import NoKeys
from antiphon.stores.sqlite import writer
from tests.faults.echo import MODEL, echo_gateway
from tests.faults.vfs import Fault, FaultyDisk, faulty_disk
from tests.support.asgi_client import Answer, Application, ask, post

_FAULTS: tuple[tuple[Fault, str], ...] = (("full", "disk is full"), ("error", "store"), ("short", "store"))


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyDisk]:
    """A disk that works so far, and is looked at again by the next turn that comes after it has failed."""
    monkeypatch.setattr(writer, "_LOOK_EVERY_S", 0.0)
    with faulty_disk(cuts=(tmp_path / "cut",)) as disk:
        yield disk


@asynccontextmanager
async def served(store: Path) -> AsyncIterator[Application]:
    """The gateway's ASGI application on a store."""
    gateway = echo_gateway(store)
    try:
        await gateway.startup()
        yield gateway.asgi(authenticator=NoKeys())
    finally:
        await gateway.shutdown(1.0)


async def turn(app: Application, text: str, **fields: Any) -> Answer:
    return await post(app, "/v1/responses", {"model": MODEL, "input": text, **fields})


@pytest.mark.parametrize(("fault", "said"), _FAULTS, ids=lambda value: value if " " not in str(value) else "")
async def test_turns_are_refused_while_the_disk_fails(
    disk: FaultyDisk, tmp_path: Path, fault: Fault, said: str
) -> None:
    """Turns are 503 with the reason, what is stored can be read, and turns are taken again once the disk works."""
    async with served(tmp_path / "store.db") as app:
        first = (await turn(app, "one")).json
        disk.order(fault)
        for _ in range(3):
            refused = await turn(app, "two", previous_response_id=first["id"])
            assert refused.status == 503
            assert said in refused.error["message"]
        assert (await ask(app, "GET", f"/v1/responses/{first['id']}")).json == first
        disk.mend()
        second = (await turn(app, "three", previous_response_id=first["id"])).json
        assert second["status"] == "completed"
        items = (await ask(app, "GET", f"/v1/responses/{second['id']}/input_items?order=asc")).json["data"]
        assert [item["content"][0]["text"] for item in items if item["role"] == "user"] == ["one", "three"]


@pytest.mark.parametrize("failures", [1, 2, 3, 4])
async def test_nothing_is_acknowledged_that_a_failed_sync_lost(disk: FaultyDisk, tmp_path: Path, failures: int) -> None:
    """After a sync failed, all that is acknowledged before and afterwards outlives a power cut, and nothing else."""
    acknowledged = []
    async with served(tmp_path / "store.db") as app:
        acknowledged.append((await turn(app, "before")).json)
        disk.order("sync")
        # The first fails in its commit, the others in what has to precede the next commit.
        for _ in range(failures):
            assert (await turn(app, "refused")).status == 503
        disk.mend()
        acknowledged.append((await turn(app, "after")).json)
        disk.cut()
    shutil.copy(tmp_path / "store.db.key", tmp_path / "cut")
    async with served(tmp_path / "cut" / "store.db") as app:
        for response in acknowledged:
            assert (await ask(app, "GET", f"/v1/responses/{response['id']}")).json == response
        listed = (await ask(app, "GET", "/v1/responses")).json["data"]
        assert {response["id"] for response in listed} == {response["id"] for response in acknowledged}


async def test_stream_that_cannot_be_stored_fails(disk: FaultyDisk, tmp_path: Path) -> None:
    """A stream whose turn cannot be stored does not end in response.completed, and says why."""
    async with served(tmp_path / "store.db") as app:
        await turn(app, "one")
        disk.order("full")
        answer = await turn(app, "two", stream=True)
        assert b"response.completed" not in answer.body
        assert b"response.failed" in answer.body or answer.status == 503
        assert b"disk is full" in answer.body
        disk.mend()
