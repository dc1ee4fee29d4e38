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
from tests.kills.observer import Observer, stored_ids
from tests.support.echo_upstream import EchoUpstream
from tests.support.gateway_process import GatewayProcess, run_antiphon
from tests.support.history_model import said_in_items

__all__ = ["Report", "sweep"]

T = TypeVar("T")

_CHECK_EVERY = 25
_TOO_MUCH = 20
_CONTINUED_SHARE = 0.35
_OLDER_LOOKED_AT = 6
_LONGEST_LIFE_S = 0.3
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

    Each lane is a gateway with a file of its own in *folder*: one works while another starts, which is what takes time.
    *say* is told about the progress, a line at a time. A lane ends early once it has found too much.
    """
    started_at = time.monotonic()
    async with EchoUpstream.serve(pause_s=_ECHO_PAUSE_S) as echo:
        sweeps = [_Sweep(folder / f"lane-{lane}.db", echo.url, seed * 100 + lane) for lane in range(lanes)]
        shares = [count // lanes + (lane < count % lanes) for lane in range(lanes)]
        await asyncio.gather(*(one.run(share, say) for one, share in zip(sweeps, shares, strict=True)))
    ledgers = [one.ledger for one in sweeps]
    return Report(
        seed=seed,
        kills=sum(one.kills for one in sweeps),
        acknowledged=sum(len(ledger.acknowledged) for ledger in ledgers),
        in_doubt=sum(len(ledger.in_doubt) for ledger in ledgers),
        stored_in_doubt=sum(one.stored_in_doubt for one in sweeps),
        conversations=sum(len(ledger.conversations) for ledger in ledgers),
        seconds=time.monotonic() - started_at,
        violations=[violation for ledger in ledgers for violation in ledger.violations],
    )


class _Sweep:
    def __init__(self, store: Path, upstream: str, seed: int) -> None:
        self.ledger = Ledger()
        self.kills = 0
        self.stored_in_doubt = 0
        self._rng = random.Random(seed)  # noqa: S311 - chooses what is tested, hides nothing
        self._gateway = GatewayProcess(store, upstream)
        self._seen_until = 0

    async def run(self, count: int, say: Callable[[str], None]) -> None:
        try:
            while self.kills < count and len(self.ledger.violations) < _TOO_MUCH:
                await self._live_and_die()
                self.kills += 1
                if self.kills % _CHECK_EVERY == 0 or self.kills == count:
                    await self._check_file()
                    say(f"{self._gateway.store.stem}: {self.kills} kills, {self.ledger.summary()}")
            await self._look_at_everything()
        except AssertionError as fault:  # it did not start again, did not drain, or logged a fault
            self.ledger.violations.append(str(fault))
        finally:
            await self._gateway.kill()

    async def _live_and_die(self) -> None:
        await self._gateway.start()
        client = Client(self._gateway.base_url)
        try:
            await self._look_at_last_life(Observer(client))
            load = Load(client, self.ledger, self._rng)
            # The moment of the kill is what is being varied: there is nothing to wait for.
            await asyncio.sleep(self._rng.uniform(0, _LONGEST_LIFE_S))
            load.expect_death()
            await self._gateway.kill()
            await load.ended()
        finally:
            await client.close()

    async def _look_at_last_life(self, observer: Observer) -> None:
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

    async def _check_file(self) -> None:
        """The store's own check, on the file as the kill has left it."""
        code, stdout, stderr = await run_antiphon("store", "check", "--store", f"sqlite:///{self._gateway.store}")
        if code != 0:
            self.ledger.violations.append(f"antiphon store check: exit code {code}\n{stdout}{stderr}")

    async def _look_at_everything(self) -> None:
        """Every turn and conversation of the whole sweep, and every response that the file has besides."""
        await self._gateway.start()
        client = Client(self._gateway.base_url)
        try:
            observer = Observer(client)
            await self._look_at(observer, self.ledger.acknowledged, continued_share=0.0)
            await _each(lambda found: self._look_at_conversation(observer, found), self.ledger.conversations)
            known = {turn.response_id for turn in self.ledger.acknowledged}
            await _each(
                lambda found: self._look_at_stored(observer, found), sorted(stored_ids(self._gateway.store) - known)
            )
        finally:
            await client.close()
        await self._gateway.stop()

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


async def _each(look: Callable[[T], Coroutine[object, object, None]], things: Sequence[T]) -> None:
    """Look at all of them, a few at once."""
    waiting = iter(things)

    async def look_at_some() -> None:
        for thing in waiting:
            await look(thing)

    await asyncio.gather(*(look_at_some() for _ in range(_AT_ONCE)))
