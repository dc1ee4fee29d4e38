"""A part of the sweep of corruption; ``python -m tests.faults corruption`` flips ten times as many bytes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import apsw
import pytest

from antiphon.hub.errors import StoreCorrupt
from tests.faults.conftest import NAME
from tests.faults.corruption import FINE, flip, read_all, sweep
from tests.faults.echo import echo_gateway
from tests.faults.ledger import Told
from tests.faults.life import principal_of


async def test_no_flipped_byte_shows_other_content() -> None:
    """Whatever byte is another, what is read is what was stored, or an error that says what to do."""
    report = await sweep(count=80, seed=int.from_bytes(b"antiphon") % 9973)
    assert report.violations == []
    assert report.figures["flips at worst: error"] > 0, "no flip hit anything"


def test_sweep_would_see_other_content(copy_of_life: Callable[[], Path]) -> None:
    """Items that stand in other places, with their seals intact, are noticed."""
    folder = copy_of_life()
    told = Told.of(folder / "ledger")
    truth, _ = asyncio.run(read_all(folder, told, None))
    connection = apsw.Connection(str(folder / NAME))
    swapped = "UPDATE items SET position = -position WHERE log = (SELECT log FROM conversations) AND position IN (1, 3)"
    connection.execute(swapped)
    connection.execute("UPDATE items SET position = position + 4 WHERE position < 0")
    connection.close()
    _, outcomes = asyncio.run(read_all(folder, told, truth))
    assert [what for what in outcomes if "other items" in what], outcomes


async def test_sweep_sees_other_content(copy_of_life: Callable[[], Path]) -> None:
    """A response that says something else than it was held against, or that nobody can find, is named."""
    folder = copy_of_life()
    told = Told.of(folder / "ledger")
    truth, _ = await read_all(folder, told, None)
    truth["response", "a1"] = {**truth["response", "a1"], "metadata": {"other": "text"}}
    truth["input", "a2"] = [{"type": "message", "content": "other"}]
    connection = apsw.Connection(str(folder / NAME))
    connection.execute("DELETE FROM responses WHERE id = ?", [told.answered["a5"]["id"]])
    connection.close()
    _, outcomes = await read_all(folder, told, truth)
    assert outcomes["('response', 'a1'): other ['metadata']"] == 1
    assert [what for what in outcomes if what.startswith("('response', 'a5'): ResponseNotFound")]


async def test_damaged_key_of_an_index_is_seen(copy_of_life: Callable[[], Path]) -> None:
    """Wherever an id stands in the file, one other letter in it is an error, and nothing is unknown for it."""
    whole = copy_of_life()
    told = Told.of(whole / "ledger")
    its_id = told.answered["a5"]["id"].encode()
    content = (whole / NAME).read_bytes()
    truth, _ = await read_all(whole, told, None)
    places = [place for place in range(len(content)) if content.startswith(its_id, place)]
    assert len(places) > 2
    seen = set()
    for place in places:
        damaged = copy_of_life()
        flip(damaged / NAME, place + 30, 1)
        _, outcomes = await read_all(damaged, told, truth)
        assert set(outcomes) <= set(FINE), outcomes
        seen |= set(outcomes)
    assert "error" in seen


# Where each stands in the header of a SQLite file.
_HEADER = {"page size": 16, "bytes for a checksum": 20, "page count": 31, "schema version": 63, "whose file": 71}


@pytest.mark.parametrize("at", _HEADER.values(), ids=_HEADER)
async def test_damaged_header_is_seen(copy_of_life: Callable[[], Path], at: int) -> None:
    """Nothing that says how the file is to be read can be another, not even that its pages have checksums."""
    told = Told.of(copy_of_life() / "ledger")
    for bit in range(8):
        damaged = copy_of_life()
        flip(damaged / NAME, at, 1 << bit)
        _, outcomes = await read_all(damaged, told, {})
        assert set(outcomes) == {"error"}, (bit, outcomes)


async def test_text_that_is_none_is_corrupt(copy_of_life: Callable[[], Path]) -> None:
    """A text that is no UTF-8 is damage, and whoever reads it is told so."""
    folder = copy_of_life()
    its_id = Told.of(folder / "ledger").answered["a5"]["id"]
    connection = apsw.Connection(str(folder / NAME))
    connection.execute("UPDATE responses SET model = CAST(x'b1' AS TEXT) WHERE id = ?", [its_id])
    connection.close()
    async with echo_gateway(folder / NAME) as gateway:
        with pytest.raises(StoreCorrupt, match="Restore a backup"):
            await gateway.retrieve(its_id, principal_of("acme"))
