"""
A long chain with a fork at every tenth turn, through the public library, on a SQLite file.

Two hundred turns in the suite, two thousand with ``ANTIPHON_LONG=1``.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import apsw
import pytest

from antiphon import Gateway, SQLiteSessionStore, upstream
from tests.support.echo_upstream import MODEL, EchoUpstream, echoed
from tests.support.history_model import HistoryModel, Saying, said_in_items

_TURNS = 2000 if os.environ.get("ANTIPHON_LONG") else 200
_FORK_EVERY = 10
# Tables grow a page at a time: what the two halves may differ by without anything being copied.
_FLAT = 1.3


_OF_TENANT = re.compile(r"(?:FROM|INTO) (?:tenants|tenant_keys|families)\b")


class StatementLog:
    """
    The statements of every SQLite connection that is opened while it watches.

    Attributes:
        reads: Statements outside of transactions.
        transactions: The statements of each committed transaction.
    """

    def __init__(self) -> None:
        self.reads: list[str] = []
        self.transactions: list[list[str]] = []

    def watch(self, connection: apsw.Connection) -> None:
        """Log a new connection's statements."""
        transaction: list[str] | None = None

        def record(cursor: apsw.Cursor, sql: str, bindings: object) -> bool:
            nonlocal transaction
            if sql.startswith("BEGIN"):
                transaction = []
            elif sql.startswith("COMMIT") and transaction is not None:
                self.transactions.append(transaction)
                transaction = None
            elif transaction is not None:
                transaction.append(sql)
            elif not sql.lower().startswith("pragma"):
                self.reads.append(sql)
            return True

        connection.exec_trace = record

    def take(self) -> tuple[list[str], list[list[str]]]:
        """
        The reads since the last call, and the transactions that inserted something (the sweeper's do not).

        Without those about the tenant itself: its keys and its quota are read from time to time, not for each turn.
        """
        reads, self.reads = self.reads, []
        transactions, self.transactions = self.transactions, []
        return (
            [sql for sql in reads if not _OF_TENANT.search(sql)],
            [each for each in transactions if any("INSERT" in sql and not _OF_TENANT.search(sql) for sql in each)],
        )


class Chain:
    """Runs turns and keeps the model of what they stand on."""

    def __init__(self, gateway: Gateway, echo: EchoUpstream, log: StatementLog) -> None:
        self.gateway = gateway
        self._echo = echo
        self._log = log
        self.model = HistoryModel()

    async def turn(self, text: str, parent: str | None) -> str:
        """One turn: its history has to be the predicted one, read with one statement and stored with one commit."""
        said: list[Saying] = [("user", text)]
        expected = [*self.model.after(parent), *said]
        self._log.take()
        response = await self.gateway.respond({"model": MODEL, "input": text, "previous_response_id": parent})
        reads, transactions = self._log.take()
        assert expected == self._echo.last_heard
        assert echoed(expected, tools=False) == tuple(said_in_items(response["output"]))
        assert (0 if parent is None else 1) == len(reads), reads
        assert len(transactions) == 1, transactions
        response_id = str(response["id"])
        self.model.add(response_id, parent=parent, said=said, answered=said_in_items(response["output"]))
        return response_id


@pytest.fixture
def statements() -> Iterator[StatementLog]:
    log = StatementLog()
    apsw.connection_hooks.append(log.watch)
    yield log
    apsw.connection_hooks.remove(log.watch)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "antiphon.db"


@pytest.fixture
async def chain(statements: StatementLog, file: Path) -> AsyncIterator[Chain]:
    async with EchoUpstream.serve() as echo:
        gateway = Gateway([upstream(echo.url)]).with_session_store(SQLiteSessionStore(file))
        async with gateway:
            yield Chain(gateway, echo, statements)


def _used_bytes(file: Path) -> int:
    """The pages in use, those in the write-ahead log included."""
    connection = apsw.Connection(str(file), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        pages, free, size = (connection.pragma(name) for name in ("page_count", "freelist_count", "page_size"))
        return int((pages - free) * size)
    finally:
        connection.close()


async def test_a_long_chain_with_forks(chain: Chain, file: Path) -> None:
    """Every history is as predicted, each costs one read and one commit, and the file grows with the new items only."""
    used = [_used_bytes(file)]
    ids: list[str] = []
    for number in range(_TURNS):
        ids.append(await chain.turn(f"turn {number}", ids[-1] if ids else None))
        if number % _FORK_EVERY == _FORK_EVERY - 1:
            await chain.turn(f"fork at {number}", ids[number - _FORK_EVERY // 2])
        if number + 1 in (_TURNS // 2, _TURNS):
            used.append(_used_bytes(file))
    first_half, second_half = used[1] - used[0], used[2] - used[1]
    assert second_half <= first_half * _FLAT, f"bytes of the first half {first_half}, of the second {second_half}"


async def test_forks_of_forks(chain: Chain) -> None:
    """A fork can be forked in its middle, deep down, and its parents go on as if nothing had happened."""
    root = await chain.turn("root", None)
    branches = [root]
    for depth in range(12):
        grown = await chain.turn(f"depth {depth}", branches[-1])
        branches.append(await chain.turn(f"depth {depth}, again", branches[-1]))
        await chain.turn(f"depth {depth}, further", grown)
    for number, branch in enumerate(branches):
        await chain.turn(f"later {number}", branch)


async def test_many_continue_from_one_turn_at_once(chain: Chain, statements: StatementLog) -> None:
    """Sixteen turns that continue the same parent at the same time all succeed; each sees only its own line."""
    root = await chain.turn("root", None)
    gateway, model = chain.gateway, chain.model
    requests = [{"model": MODEL, "input": f"at once {number}", "previous_response_id": root} for number in range(16)]
    responses = await asyncio.gather(*(gateway.respond(request) for request in requests))
    for request, response in zip(requests, responses, strict=True):
        said: list[Saying] = [("user", request["input"])]
        answered = said_in_items(response["output"])
        assert echoed([*model.after(root), *said], tools=False) == tuple(answered)
        model.add(response["id"], parent=root, said=said, answered=answered)
    for response in responses:
        await chain.turn("and then?", str(response["id"]))
