"""
The sweep of corruption: one byte of a sealed store is another, and everything is read.

Each response, item, stream and history is what was stored, or there is an error: pages have checksums, and what a
person or a model wrote is sealed besides.
"""

from __future__ import annotations

import random
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any

from antiphon import AntiphonError, Gateway
from antiphon.hub.errors import StoreCorrupt, StoreUnavailable
from antiphon.hub.format import PageRequest
from antiphon.telemetry import Log
from tests.faults.echo import echo_gateway
from tests.faults.ledger import Ledger, Told
from tests.faults.life import live, principal_of
from tests.support.history_model import said_in_items
from tests.sweeps.report import Report

__all__ = ["FINE", "Truth", "flip", "read_all", "sweep"]

_NAME = "antiphon.db"
_LOUD = (StoreCorrupt, StoreUnavailable)

# By kind and name: what was told, or the items that the model saw.
Truth = dict[tuple[str, str], Any]


async def sweep(*, count: int, seed: int, say: Callable[[str], None] = lambda _: None) -> Report:
    """Flip a byte at so many places, one after the other, and read everything each time."""
    report = Report("corruption", seed)
    started_at = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="antiphon-corruption-") as scratch:
        whole = Path(scratch) / "whole"
        whole.mkdir()
        ledger = Ledger(whole / "ledger")
        await live(whole / _NAME, ledger)
        ledger.close()
        told = Told.of(whole / "ledger")
        truth, seen = await read_all(whole, told, None)
        assert set(seen) == {"same"}, seen
        rng = random.Random(seed)  # noqa: S311 - chooses what is damaged, hides nothing
        size = (whole / _NAME).stat().st_size
        for index in range(count):
            offset = rng.randrange(size)
            damaged = Path(scratch) / "damaged"
            shutil.copytree(whole, damaged)
            flip(damaged / _NAME, offset, 1 << rng.randrange(8))
            _, outcomes = await read_all(damaged, told, truth)
            report.violations += [f"byte {offset}: {what}" for what in outcomes if what not in FINE]
            _count(report, outcomes)
            shutil.rmtree(damaged)
            if index % 500 == 499:
                say(f"{index + 1} bytes, {len(report.violations)} violations")
    report.figures["bytes flipped"] = count
    report.figures["seconds"] = round(time.monotonic() - started_at)
    return report


FINE = ("same", "error")


def _count(report: Report, outcomes: Counter[str]) -> None:
    """The worst that a flip did."""
    worst = next((what for what in reversed(FINE) if outcomes[what]), "violation")
    report.figures[f"flips at worst: {worst}"] += 1


def flip(path: Path, offset: int, bits: int) -> None:
    """Make one byte of a file another."""
    with path.open("r+b") as file:
        file.seek(offset)
        [byte] = file.read(1)
        file.seek(offset)
        file.write(bytes([byte ^ bits]))


async def read_all(folder: Path, told: Told, truth: Truth | None) -> tuple[Truth, Counter[str]]:
    """
    Read everything in a store.

    Args:
        truth: What it has to be; None for what it is now.

    Returns:
        What was read, and how often what became of it. What is none of these is wrong, and says so.
    """
    return await _Reading(folder / _NAME, told, truth).run()


class _Reading:
    def __init__(self, store: Path, told: Told, truth: Truth | None) -> None:
        self._store = store
        self._told = told
        self._truth = truth
        self._read: Truth = {}
        self._outcomes: Counter[str] = Counter()

    async def run(self) -> tuple[Truth, Counter[str]]:
        gateway = echo_gateway(self._store, log=Log("error", stream=StringIO()))
        try:
            await gateway.startup()
            await self._all(gateway)
        except _LOUD as error:
            self._error(error)
        except Exception as error:  # noqa: BLE001 - a crash is what is looked for
            self._outcomes[f"a crash: {type(error).__name__}: {error}"] += 1
        finally:
            try:
                await gateway.shutdown(1.0)
            except _LOUD as error:
                self._error(error)
        return self._read, self._outcomes

    async def _all(self, gateway: Gateway) -> None:
        page = PageRequest(limit=100, order="asc")
        for turn, response in self._told.answered.items():
            if turn in self._told.erased:
                continue
            its_id, principal = response["id"], principal_of(self._told.asked[turn].tenant)
            await self._one(("response", turn), partial(gateway.retrieve, its_id, principal))
            await self._one(("input", turn), partial(gateway.input_items, its_id, page, principal))
            if turn in self._told.said:
                await self._one(("stream", turn), partial(_stream, gateway, its_id, principal))
        for name, made in self._told.made.items():
            if name not in self._told.erased:
                its_id, principal = made.body["id"], principal_of(made.tenant)
                await self._one(("conversation", name), partial(gateway.retrieve_conversation, its_id, principal))
                await self._one(("items", name), partial(gateway.conversation_items, its_id, page, principal))

    async def _one(self, what: tuple[str, str], read: Callable[[], Any]) -> None:
        try:
            value = await read()
        except _LOUD as error:
            self._error(error)
            return
        except AntiphonError as error:
            self._outcomes[f"{what}: {type(error).__name__}: {error.message}"] += 1
            return
        value = [*value.items] if what[0] in {"input", "items"} else value
        self._read[what] = value
        self._outcomes["same" if self._truth is None else self._judged(what, value, self._truth[what])] += 1

    def _judged(self, what: tuple[str, str], value: Any, truth: Any) -> str:
        if value == truth:
            return "same"
        if what[0] in {"response", "conversation"}:
            return f"{what}: other {sorted(name for name in {*value, *truth} if value.get(name) != truth.get(name))}"
        return f"{what}: other items: {said_in_items(value)}" if what[0] != "stream" else f"{what}: other events"

    def _error(self, error: AntiphonError) -> None:
        self._outcomes["error" if len(error.message) > 20 else f"an error that helps nobody: {error.message}"] += 1


async def _stream(gateway: Gateway, response_id: str, principal: Any) -> list[bytes]:
    encoder = gateway.format.stream_encoder(obfuscate=False)
    return [line async for event in gateway.follow(response_id, principal) for line in encoder.encode_each([event])]
