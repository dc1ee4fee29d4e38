"""
The one judge: opens a store after whatever has happened to it, and holds it against what its clients were told.

I1   What was acknowledged is there, identical; what was erased is gone.
I2   A conversation holds whole turns, in order.
I3   Every response has one terminal state; nothing goes on for ever.
I4   Positions have no gaps, and nothing is anywhere twice.
I5   A stream is replayed as it was sent, numbered without gaps, and ends in a terminal event.
I6   The usage that is stored is the usage that was told.
I7   One idempotency key, one visible success.
I8   Nothing of a tenant is, or can be reached, under another.
I9   Every ciphertext opens where it stands.
I10  No lease, claim, pending turn or temporary file is left behind.

Besides, the store's own check has nothing to say (``file``), and the audit trails are whole (``audit``).
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import apsw
import orjson

from antiphon import AntiphonError, Gateway, SQLiteSessionStore
from antiphon.app.sealing import StoreSealing
from antiphon.engine.plan import TurnOptions
from antiphon.hub.errors import ConversationNotFound, ResponseNotFound
from antiphon.hub.format import PageRequest
from tests.faults.echo import echo_gateway
from tests.faults.ledger import Asked, Told
from tests.faults.life import OPERATOR, TENANTS, body_of, key_of, principal_of
from tests.support.history_model import answer_to, said_in_items

__all__ = ["INVARIANTS", "Violation", "judge"]

INVARIANTS = ("I1", "I2", "I3", "I4", "I5", "I6", "I7", "I8", "I9", "I10")

_TERMINAL = ("completed", "incomplete", "failed", "cancelled")
_TERMINAL_EVENTS = tuple(f"response.{status}" for status in _TERMINAL)
_USAGE = ("input_tokens", "output_tokens")

# What is left by a dead process runs out in the meantime: the judge comes an hour later.
_LATER_S = 3600.0
_SETTLED_WITHIN_S = 30.0


@dataclass(frozen=True)
class Violation:
    """What is wrong, and which invariant it breaks."""

    invariant: str
    text: str

    def __str__(self) -> str:
        return f"{self.invariant}: {self.text}"


async def judge(store: Path, told: Told) -> list[Violation]:
    """
    Everything that is wrong with a store, after its recovery by the gateway itself; empty if nothing is.

    The file is changed: what was begun is ended, and keys that are in doubt are asked again.
    """
    return await _Judge(store, told).run()


@dataclass
class _Judge:
    store: Path
    told: Told
    found: list[Violation] = field(default_factory=list)

    async def run(self) -> list[Violation]:
        try:
            async with self._gateway() as gateway:
                await self._settled()
                await self._look(gateway)
        except AntiphonError as error:
            self._complain("I1", f"the store cannot be opened: {error.message}")
            return self.found
        self._look_at_file()
        return self.found

    @asynccontextmanager
    async def _gateway(self) -> AsyncIterator[Gateway]:
        gateway = echo_gateway(SQLiteSessionStore(self.store, clock=_later), clock=_later)
        try:
            await gateway.startup()
            yield gateway
        finally:
            await gateway.shutdown(5.0)

    async def _settled(self) -> None:
        """Wait until what was begun has ended."""
        deadline = time.monotonic() + _SETTLED_WITHIN_S
        while left := [row[0] for row in self._rows("SELECT response_id FROM pending")]:
            if time.monotonic() > deadline:
                self._complain("I3", f"turns have not ended: {left}")
                return
            await asyncio.sleep(0.01)

    async def _look(self, gateway: Gateway) -> None:
        for asked in self.told.asked.values():
            if asked.key is not None and not self._may_be_gone(asked.turn):
                await self._look_at_key(gateway, asked)
        for asked in self.told.asked.values():
            await self._look_at_turn(gateway, asked)
        for name in self.told.made:
            await self._look_at_conversation(gateway, name)
        await self._look_at_what_is_stored(gateway)
        await self._look_at_seals(gateway)

    # What was told.

    async def _look_at_turn(self, gateway: Gateway, asked: Asked) -> None:
        if asked.turn in self.told.said and (asked.background or asked.turn in self.told.answered):
            await self._look_at_stream(gateway, asked)
        response = self.told.answered.get(asked.turn)
        if response is None:
            return
        principal = principal_of(asked.tenant)
        try:
            shown = dict(await gateway.retrieve(response["id"], principal))
        except ResponseNotFound:
            if not self._may_be_gone(asked.turn):
                self._complain("I1", f"{asked.turn} is lost")
            return
        except AntiphonError as error:
            self._complain("I1", f"{asked.turn} cannot be read: {error.message}")
            return
        if asked.turn in self.told.erased:
            self._complain("I1", f"{asked.turn} was erased and is there")
        if shown != response:
            self._complain("I1", f"{asked.turn} was {response} and is {shown}")
        await self._look_at_history(gateway, asked, shown)

    async def _look_at_history(self, gateway: Gateway, asked: Asked, shown: dict[str, Any]) -> None:
        """What the model saw, and what it had to answer to that."""
        try:
            page = PageRequest(limit=100, order="asc")
            listed = (await gateway.input_items(shown["id"], page, principal_of(asked.tenant))).items
        except AntiphonError as error:
            self._complain("I1", f"the history of {asked.turn} cannot be read: {error.message}")
            return
        said = said_in_items(listed)
        if said_in_items(shown["output"]) != [("assistant", answer_to(said))]:
            self._complain("I1", f"{asked.turn} does not answer the history that it stands on: {said}")
        if said[-1:] != [("user", f"this is {asked.turn}")]:
            self._complain("I1", f"{asked.turn} has another input: {said}")

    async def _look_at_stream(self, gateway: Gateway, asked: Asked) -> None:
        """The replay of a stream, whole and from its middle, is what has arrived of it."""
        said = [fact.event for fact in self.told.said[asked.turn]]
        response_id = self.told.said[asked.turn][0].response_id
        for after in {-1, len(said) // 2}:
            try:
                replayed = await _replayed(gateway, asked, response_id, after)
            except AntiphonError as error:
                self._complain("I5", f"the stream of {asked.turn} cannot be replayed: {error.message}")
                return
            if replayed[: len(said) - after - 1] != said[after + 1 :]:
                self._complain("I5", f"the stream of {asked.turn} is replayed otherwise than it was sent")
            events = [orjson.loads(event) for event in replayed]
            if [event["sequence_number"] for event in events] != list(range(after + 1, after + 1 + len(events))):
                self._complain("I5", f"the stream of {asked.turn} is not numbered without gaps")
            if not events or events[-1]["type"] not in _TERMINAL_EVENTS:
                self._complain("I5", f"the stream of {asked.turn} does not end")

    async def _look_at_key(self, gateway: Gateway, asked: Asked) -> None:
        """The same request with the same key has the answer that it had, or its first one."""
        assert asked.key is not None
        answers = [answer.response for answer in self.told.answers if answer.turn == asked.turn]
        parent = self.told.answered.get(asked.parent or "")
        body = body_of(asked.turn, **({"previous_response_id": parent["id"]} if parent else {}))
        try:
            options = TurnOptions(key=key_of(asked.key, body))
            again = dict(await gateway.respond(body, principal_of(asked.tenant), options=options))
        except AntiphonError as error:
            self._complain("I7", f"the key of {asked.turn} is not answered any more: {error.message}")
            return
        if len({orjson.dumps(answer) for answer in (*answers, again)}) != 1:
            self._complain("I7", f"the key of {asked.turn} has several answers: {[*answers, again]}")

    async def _look_at_conversation(self, gateway: Gateway, name: str) -> None:
        known = self.told.made[name]
        principal = principal_of(known.tenant)
        try:
            body = await gateway.retrieve_conversation(known.body["id"], principal)
            page = PageRequest(limit=100, order="asc")
            items = (await gateway.conversation_items(known.body["id"], page, principal)).items
        except ConversationNotFound:
            if not self._may_be_gone(name):
                self._complain("I1", f"conversation {name} is lost")
            return
        except AntiphonError as error:
            self._complain("I2", f"conversation {name} cannot be read: {error.message}")
            return
        if name in self.told.erased:
            self._complain("I1", f"conversation {name} was erased and is there")
        if dict(body) != known.body:
            self._complain("I1", f"conversation {name} was {known.body} and is {body}")
        if len({item["id"] for item in items}) != len(items):
            self._complain("I4", f"conversation {name} has an item twice")
        self._check_whole(name, said_in_items(items))

    def _check_whole(self, name: str, said: Sequence[tuple[str, ...]]) -> None:
        """Its items are the one that it was made with, then whole turns: all that were told of, and maybe others."""
        place = 1
        if said[:1] != [("user", f"this is {name}")]:
            self._complain("I2", f"conversation {name} begins with {said[:1]}")
        for asked in self.told.asked.values():
            if asked.parent != name:
                continue
            if said[place : place + 1] != [("user", f"this is {asked.turn}")]:
                if asked.turn in self.told.answered:
                    self._complain("I2", f"conversation {name} lacks {asked.turn} after {place} items")
            elif said[place + 1 : place + 2] != [("assistant", answer_to(list(said[: place + 1])))]:
                self._complain("I2", f"conversation {name} has half of {asked.turn}")
                place += 1
            else:
                place += 2
        if said[place:]:
            self._complain("I2", f"conversation {name} ends in {said[place:]}")

    # What is there.

    async def _look_at_what_is_stored(self, gateway: Gateway) -> None:
        """Every response in the file is a turn that was asked for, once, by its tenant, whole, with its usage."""
        names: Counter[tuple[str, str]] = Counter()
        owners = {response["id"]: self.told.asked[turn].tenant for turn, response in self.told.answered.items()}
        columns = ", ".join(_USAGE)
        for tenant, response_id, status, *usage in self._rows(f"SELECT tenant, id, status, {columns} FROM responses"):  # noqa: S608
            if owners.get(response_id, tenant) != tenant:
                self._complain("I8", f"{response_id} of {owners[response_id]} is stored for {tenant}")
            if status not in _TERMINAL:
                self._complain("I3", f"{response_id} is stored and has status {status}")
            try:
                shown = dict(await gateway.retrieve(response_id, principal_of(tenant)))
                page = PageRequest(limit=1, order="desc")
                newest = (await gateway.input_items(response_id, page, principal_of(tenant))).items
            except AntiphonError as error:
                self._complain("I1", f"{response_id} is stored and cannot be read: {error.message}")
                continue
            asked = self._asked(said_in_items(newest))
            if asked is None or asked.tenant != tenant:
                self._complain("I8", f"{response_id} is stored for {tenant} and was not asked for there")
                continue
            names[tenant, asked.turn] += 1
            if shown["status"] != status:
                self._complain("I3", f"{asked.turn} has status {status} and {shown['status']}")
            told = self.told.answered.get(asked.turn, shown)
            if usage != [(told["usage"] or {}).get(name) for name in _USAGE]:
                self._complain("I6", f"{asked.turn} has used {usage}, and was told {told['usage']}")
            await self._look_from_elsewhere(gateway, tenant, response_id)
        for (tenant, turn), count in names.items():
            if count > 1 and self.told.asked[turn].key is not None:
                self._complain("I7", f"{turn} of {tenant} was carried out {count} times for one key")
            elif count > 1:
                self._complain("I3", f"{turn} of {tenant} is stored {count} times")

    async def _look_from_elsewhere(self, gateway: Gateway, tenant: str, response_id: str) -> None:
        for other in TENANTS:
            if other == tenant:
                continue
            try:
                await gateway.retrieve(response_id, principal_of(other))
            except ResponseNotFound:
                continue
            except AntiphonError as error:
                self._complain("I8", f"{response_id} of {tenant} is not unknown to {other}: {error.message}")
            else:
                self._complain("I8", f"{response_id} of {tenant} can be read by {other}")

    async def _look_at_seals(self, gateway: Gateway) -> None:
        assert gateway.store is not None
        assert gateway.codec is not None
        assert gateway.administration is not None
        try:
            for problem in await StoreSealing(gateway.store, gateway.codec).verify():
                self._complain("I9", problem)
            for tenant in (*TENANTS, str(OPERATOR.tenant)):
                if self._rows("SELECT 1 FROM tenants WHERE tenant = ?", tenant):
                    for problem in await gateway.administration.verify_audit(tenant, OPERATOR):
                        self._complain("audit", f"{tenant}: {problem}")
            for problem in await gateway.store.check():
                self._complain("file", problem)
        except AntiphonError as error:
            self._complain("I9", f"the store cannot be verified: {error.message}")

    def _look_at_file(self) -> None:
        for log, *_ in self._rows(_GAPS):
            self._complain("I4", f"log {log} has gaps")
        for tenant, log in self._rows(_TWICE):
            self._complain("I4", f"log {log} of {tenant} shows an item twice")
        for table in _TABLES:
            for (tenant,) in self._rows(f"SELECT DISTINCT tenant FROM {table}"):  # noqa: S608 - names of our own
                if tenant not in {*TENANTS, str(OPERATOR.tenant)}:
                    self._complain("I8", f"{table} has rows of '{tenant}', who never asked for anything")
        for (family,) in self._rows(_SHARED_FAMILIES):
            self._complain("I8", f"family {family} belongs to several tenants")
        now_ms = int(_later() * 1000)
        for what, statement in _LEFT_BEHIND:
            for (subject,) in self._rows(statement, *([now_ms] if "?" in statement else [])):
                self._complain("I10", f"{what} is left behind: {subject}")
        known = {self.store.name + suffix for suffix in ("", "-wal", "-shm", ".key")} | {"ledger"}
        for left in sorted({file.name for file in self.store.parent.iterdir() if file.is_file()} - known):
            # Who is killed while the first key is being made leaves its draft, and nobody knows whether he lives.
            if self.told.answered or not left.startswith(f"{self.store.name}.key."):
                self._complain("I10", f"a file is left behind: {left}")

    def _asked(self, newest: Sequence[tuple[str, ...]]) -> Asked | None:
        """The turn that says this."""
        text = newest[0][1] if newest else ""
        return self.told.asked.get(text.removeprefix("this is "))

    def _may_be_gone(self, name: str) -> bool:
        return name in self.told.erased or name in self.told.erasing

    def _rows(self, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
        connection = apsw.Connection(str(self.store), flags=apsw.SQLITE_OPEN_READWRITE)
        try:
            connection.set_busy_timeout(1000)
            return list(connection.execute(statement, parameters))
        except apsw.Error as error:
            self._complain("file", f"{statement.strip()} cannot be read: {error}")
            return []
        finally:
            connection.close()

    def _complain(self, invariant: str, text: str) -> None:
        self.found.append(Violation(invariant, text))


def _later() -> float:
    return time.time() + _LATER_S


async def _replayed(gateway: Gateway, asked: Asked, response_id: str, after: int) -> list[str]:
    encoder = gateway.format.stream_encoder(obfuscate=False, start=after + 1)
    stream = gateway.follow(response_id, principal_of(asked.tenant), after=after)
    return [line.decode() async for event in stream for line in encoder.encode_each([event])]


_TABLES = (
    "tenants",
    "tenant_keys",
    "families",
    "api_keys",
    "audit",
    "logs",
    "items",
    "responses",
    "conversations",
    "idempotency",
    "pending",
    "deliveries",
)

# An erased item keeps its position, so even what was erased leaves no gap in a log that something stands on.
_GAPS = """
    SELECT log, min(position), max(position), count(*) FROM items JOIN logs l USING (tenant, log) GROUP BY tenant, log
    HAVING max(position) - min(position) + 1 <> count(*) OR max(position) >= min(l.length)
"""
_TWICE = """
    SELECT tenant, log FROM items WHERE ref_log IS NOT NULL GROUP BY tenant, log, ref_log, ref_position
    HAVING count(*) > 1
"""
_SHARED_FAMILIES = "SELECT family FROM families GROUP BY family HAVING count(DISTINCT tenant) > 1"

_LEFT_BEHIND = (
    ("a pending turn", "SELECT response_id FROM pending"),
    ("a request", "SELECT response_id FROM pending_requests"),
    ("a stream", "SELECT DISTINCT response_id FROM stream_events"),
    ("the claim of a key", "SELECT holder FROM idempotency WHERE holder IS NOT NULL AND claim_until_ms > ?"),
    ("the lease of a conversation", "SELECT id FROM conversations WHERE holder IS NOT NULL AND lock_until_ms > ?"),
)
