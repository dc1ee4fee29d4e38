"""
The load: workers that chain, fork and converse, streaming and not, until the gateway dies under them.
"""

from __future__ import annotations

import asyncio
import random

from tests.kills.client import Client, Gone, Refused
from tests.kills.ledger import Conversation, Ledger, Turn

__all__ = ["Load"]

# Chains start over after this many turns, so that a sweep of any length does the same work per kill.
_LONGEST_CHAIN = 12
_NEWEST_FORKED = 200


class Load:
    """
    Eight workers on one process of the gateway.

    Args:
        rng: Decides who does what; the same seed sends the same kinds of turns.

    Attributes:
        begun: A turn was answered, or none will be.
    """

    def __init__(self, client: Client, ledger: Ledger, rng: random.Random, *, workers: int = 8) -> None:
        self._client = client
        self._ledger = ledger
        self._rng = rng
        self._dying = False
        self.begun = asyncio.Event()
        self._tasks = [asyncio.ensure_future(self._work()) for _ in range(workers)]

    def expect_death(self) -> None:
        """From now on a lost connection is no surprise."""
        self._dying = True

    async def ended(self) -> None:
        """Wait until every worker has noticed that the gateway is dead."""
        await asyncio.gather(*self._tasks)

    async def _work(self) -> None:
        chain: list[Turn] = []
        try:
            while not self._dying:
                match self._rng.choices(("continue", "fork", "new", "converse"), (45, 20, 10, 25))[0]:
                    case "continue" if 0 < len(chain) < _LONGEST_CHAIN:
                        await self._chained(chain, chain[-1])
                    case "fork" if self._ledger.acknowledged:
                        await self._chained([], self._rng.choice(self._ledger.acknowledged[-_NEWEST_FORKED:]))
                    case "converse":
                        await self._converse()
                    case _:
                        chain = []
                        await self._chained(chain, None)
        except Gone:
            if not self._dying:
                self._ledger.violations.append("the gateway closed a connection before it was killed")
        except TimeoutError:
            self._ledger.violations.append("the gateway did not answer in time")
        except Refused as refusal:
            self._ledger.violations.append(f"the gateway refused a turn: {refusal}")
        finally:
            self.begun.set()

    async def _chained(self, chain: list[Turn], parent: Turn | None) -> None:
        turn = self._ledger.turn(parent.tag if parent else None, tools=self._maybe(0.25), stream=self._maybe(0.5))
        if parent is not None:
            turn.request = {**turn.request, "previous_response_id": parent.response_id}
        await self._send(turn)
        chain.append(turn)

    async def _converse(self) -> None:
        free = [found for found in self._ledger.conversations if not found.locked and found.in_doubt is None]
        conversation = self._rng.choice(free) if free and self._maybe(0.8) else await self._create()
        turn = self._ledger.turn(
            conversation.newest, tools=self._maybe(0.25), stream=self._maybe(0.5), conversation=conversation
        )
        turn.request = {**turn.request, "conversation": conversation.id}
        conversation.locked = True  # by us: nobody else can predict what it will say
        await self._send(turn)
        conversation.locked = False

    async def _create(self) -> Conversation:
        text = f"made by hand for {self._ledger.next_tag()}"
        items = [{"type": "message", "role": "user", "content": text}]
        body = await self._client.post("/conversations", {"items": items, "metadata": {"purpose": text}})
        conversation = Conversation(body=body, newest=body["id"])
        self._ledger.model.add(body["id"], parent=None, said=[("user", text)], answered=[])
        self._ledger.conversations.append(conversation)
        return conversation

    async def _send(self, turn: Turn) -> None:
        try:
            response = await self._client.respond(turn)
        except BaseException:
            self._ledger.leave_in_doubt(turn)
            raise
        self._ledger.acknowledge(turn, response)
        self.begun.set()

    def _maybe(self, probability: float) -> bool:
        return self._rng.random() < probability
