"""The sweep itself: start, look, load, kill, again and again; then look at everything once more."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from tests.kills.checker import ObservedTurn, check_conversation, check_stored, check_turn, entered
from tests.kills.client import Client
from tests.kills.ledger import Conversation, Ledger, Turn
from tests.kills.load import Load
from tests.kills.nursery import Nursery
from tests.kills.observer import Observer, stored_ids
from tests.support.echo_upstream import EchoUpstream
from tests.support.gateway_process import run_antiphon
from tests.support.history_model import said_in_items

__all__ = ["Report", "sweep"]

T = TypeVar("T")

_CHECK_EVERY = 50
_TOO_MUCH = 20
_CONTINUED_SHARE = 0.35
_OLDER_LOOKED_AT = 3
_LOOKED_AT_ACROSS = 3
_TENANTS = ("acme", "globex")
_WORKERS = 8
_LONGEST_LIFE_S = 0.15
# Such a part of the lives may end before anything was answered.
_KILLED_AT_ONCE = 0.2
_ECHO_PAUSE_S = 0.002
# Turns looked at together: enough to keep the gateway busy, few enough to be no load test.
_AT_ONCE = 8


@dataclass(frozen=True)
class Report:
    """
    What a sweep found.

    Attributes:
        acknowledged: Turns whose end a client was told.
        in_doubt: Turns that the kills interrupted.
        stored_in_doubt: Of these, stored by the time of the kill.
    """

    seed: int
    kills: int
    acknowledged: int
    in_doubt: int
    stored_in_doubt: int
    conversations: int
    seconds: float
    violations: Sequence[str]

    def __str__(self) -> str:
        return (
            f"seed {self.seed}: {self.kills} kills in {self.seconds:.0f} s, {self.acknowledged} turns acknowledged, "
            f"{self.in_doubt} in doubt ({self.stored_in_doubt} of them stored), "
            f"{self.conversations} conversations, {len(self.violations)} violations"
        )


async def sweep(
    folder: Path, *, count: int, seed: int, lanes: int = 2, say: Callable[[str], None] = lambda _: None
) -> Report:
    """
    Kill gateways *count* times, and tell what was found.

    Each lane is a gateway with a sealed file of its own in *folder*, and two tenants with an API key each.
    *say* is told about the progress, a line at a time. A lane ends early once it has found too much.
    """
    started_at = time.monotonic()
    async with EchoUpstream.serve(pause_s=_ECHO_PAUSE_S) as echo:
        sweeps = [_Sweep(folder / f"lane-{lane}.db", echo.url, seed * 100 + lane) for lane in range(lanes)]
        shares = [count // lanes + (lane < count % lanes) for lane in range(lanes)]
        await asyncio.gather(*(one.run(share, say) for one, share in zip(sweeps, shares, strict=True)))
    ledgers = [tenant.ledger for one in sweeps for tenant in one.tenants]
    return Report(
        seed=seed,
        kills=sum(one.kills for one in sweeps),
        acknowledged=sum(len(ledger.acknowledged) for ledger in ledgers),
        in_doubt=sum(len(ledger.in_doubt) for ledger in ledgers),
        stored_in_doubt=sum(tenant.stored_in_doubt for one in sweeps for tenant in one.tenants),
        conversations=sum(len(ledger.conversations) for ledger in ledgers),
        seconds=time.monotonic() - started_at,
        violations=[
            *(violation for one in sweeps for violation in one.violations),
            *(violation for ledger in ledgers for violation in ledger.violations),
        ],
    )


class _Sweep:
    """One lane: a gateway on a sealed file, two tenants with a key each."""

    def __init__(self, store: Path, upstream: str, seed: int) -> None:
        self.kills = 0
        self.violations: list[str] = []
        self.tenants: list[_Tenant] = []
        self._rng = random.Random(seed)  # noqa: S311 - chooses what is tested, hides nothing
        self._gateway = Nursery(store, upstream)

    async def run(self, count: int, say: Callable[[str], None]) -> None:
        try:
            await self._found()
            while self.kills < count and self._violations() < _TOO_MUCH:
                await self._live_and_die()
                self.kills += 1
                if self.kills % _CHECK_EVERY == 0 or self.kills == count:
                    await self._check_file()
                    told = sum(len(tenant.ledger.acknowledged) for tenant in self.tenants)
                    said = f"{told} turns acknowledged, {self._violations()} violations"
                    say(f"{self._gateway.store.stem}: {self.kills} kills, {said}")
            await self._look_at_everything()
        except AssertionError as fault:  # it did not start again, did not drain, or logged a fault
            self.violations.append(str(fault))
        finally:
            await self._gateway.kill()
            await self._gateway.close()

    def _violations(self) -> int:
        return len(self.violations) + sum(len(tenant.ledger.violations) for tenant in self.tenants)

    async def _found(self) -> None:
        """Make the tenants and their keys, as an operator would."""
        store = ("--store", f"sqlite:///{self._gateway.store}")
        for name in _TENANTS:
            await _succeeding("tenants", "create", name, *store)
            key = (await _succeeding("keys", "create", "--tenant", name, *store)).strip()
            self.tenants.append(_Tenant(name, key, self._gateway.store, self._rng))

    async def _live_and_die(self) -> None:
        await self._gateway.start()
        clients = [tenant.client(self._gateway.base_url) for tenant in self.tenants]
        try:
            for tenant, client in zip(self.tenants, clients, strict=True):
                await tenant.look_at_last_life(Observer(client))
            await self._look_across(clients)
            workers = _WORKERS // len(self.tenants)
            loads = [
                Load(client, tenant.ledger, self._rng, workers=workers)
                for tenant, client in zip(self.tenants, clients, strict=True)
            ]
            if self._rng.random() > _KILLED_AT_ONCE:
                await loads[0].begun.wait()
            # The moment of the kill is what is being varied: there is nothing to wait for.
            await asyncio.sleep(self._rng.uniform(0, _LONGEST_LIFE_S))
            for load in loads:
                load.expect_death()
            await self._gateway.kill()
            for load in loads:
                await load.ended()
        finally:
            for client in clients:
                await client.close()

    async def _look_across(self, clients: Sequence[Client]) -> None:
        """What one tenant was told of is unknown to the other."""
        for tenant, other in zip(self.tenants, reversed(clients), strict=True):
            for turn in tenant.ledger.acknowledged[-_LOOKED_AT_ACROSS:]:
                assert turn.response_id is not None
                if await Observer(other).knows(turn.response_id):
                    self.violations.append(f"{turn.response_id} of {tenant.name} is known to another tenant")

    async def _check_file(self) -> None:
        """The store's own check, on the file as the kill has left it."""
        code, stdout, stderr = await run_antiphon("store", "check", "--store", f"sqlite:///{self._gateway.store}")
        if code != 0:
            self.violations.append(f"antiphon store check: exit code {code}\n{stdout}{stderr}")

    async def _look_at_everything(self) -> None:
        """Every turn and conversation of the whole sweep, and every response that the file has besides."""
        await self._gateway.start()
        for tenant in self.tenants:
            client = tenant.client(self._gateway.base_url)
            try:
                await tenant.look_at_everything(Observer(client))
            finally:
                await client.close()
        await self._gateway.stop()


class _Tenant:
    """One tenant's part of a lane: what it was told, and whether that is so."""

    def __init__(self, name: str, key: str, store: Path, rng: random.Random) -> None:
        self.name = name
        self.ledger = Ledger()
        self.stored_in_doubt = 0
        self._key = key
        self._store = store
        self._rng = rng
        self._seen_until = 0

    def client(self, base_url: str) -> Client:
        """Who asks for it."""
        return Client(base_url, self._key)

    async def look_at_last_life(self, observer: Observer) -> None:
        """Every turn that the last process acknowledged, a few older ones, every conversation that it left in doubt."""
        acknowledged = self.ledger.acknowledged
        older = acknowledged[: self._seen_until]
        chosen = acknowledged[self._seen_until :] + self._rng.sample(older, min(_OLDER_LOOKED_AT, len(older)))
        self._seen_until = len(acknowledged)
        await self._look_at(observer, chosen, continued_share=_CONTINUED_SHARE)
        await _each(
            lambda found: self._look_at_conversation(observer, found),
            [found for found in self.ledger.conversations if found.in_doubt is not None],
        )

    async def look_at_everything(self, observer: Observer) -> None:
        """All that it was told, and every response that the file has besides."""
        await self._look_at(observer, self.ledger.acknowledged, continued_share=0.0)
        await _each(lambda found: self._look_at_conversation(observer, found), self.ledger.conversations)
        known = {turn.response_id for turn in self.ledger.acknowledged}
        besides = sorted(stored_ids(self._store, self.name) - known)
        await _each(lambda found: self._look_at_stored(observer, found), besides)

    async def _look_at(self, observer: Observer, turns: Sequence[Turn], *, continued_share: float) -> None:
        async def look(turn: Turn) -> None:
            assert turn.response_id is not None
            model = self.ledger.model
            history = model.after(turn.tag) if self._rng.random() < continued_share else None
            seen = await observer.turn(turn.response_id, continued_after=history)
            self.ledger.violations += check_turn(turn, seen, model)

        await _each(look, turns)

    async def _look_at_conversation(self, observer: Observer, known: Conversation) -> None:
        seen = await observer.conversation(known.id)
        self.ledger.violations += check_conversation(known.body, known.newest, seen, self.ledger)
        if known.in_doubt is not None:
            history = self.ledger.model.after(known.newest)
            self.ledger.settle(known, entered(known.in_doubt, seen, history))

    async def _look_at_stored(self, observer: Observer, response_id: str) -> None:
        """A response that nobody was told of: one of the turns in doubt, whole."""
        seen = await observer.turn(response_id)
        turn = self._recognised(seen)
        if turn is None:
            self.ledger.violations.append(f"{response_id} is in the file, and no turn that was sent: {seen}")
            return
        turn.response_id = response_id
        self.stored_in_doubt += 1
        self.ledger.violations += check_stored(turn, seen)

    def _recognised(self, seen: ObservedTurn) -> Turn | None:
        newest = said_in_items(seen.input_items[-1:])
        return next((turn for turn in self.ledger.in_doubt if [turn.said[-1]] == newest), None)


async def _succeeding(*arguments: str) -> str:
    code, stdout, stderr = await run_antiphon(*arguments)
    assert code == 0, f"antiphon {' '.join(arguments)}: exit code {code}\n{stdout}{stderr}"
    return stdout


async def _each(look: Callable[[T], Coroutine[object, object, None]], things: Sequence[T]) -> None:
    """Look at all of them, a few at once."""
    waiting = iter(things)

    async def look_at_some() -> None:
        for thing in waiting:
            await look(thing)

    await asyncio.gather(*(look_at_some() for _ in range(_AT_ONCE)))
