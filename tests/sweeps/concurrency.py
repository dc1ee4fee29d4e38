"""The concurrency sweep: very many clients in one conversation, and very many on one parent, all at once."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tests.support.echo_upstream import MODEL, EchoUpstream
from tests.support.gateway_process import GatewayProcess
from tests.support.history_model import Saying, said_in_items
from tests.support.linearizability import Turn, check_forks, check_history
from tests.sweeps.client import Answer, Client
from tests.sweeps.report import Report

__all__ = ["sweep"]

_ECHO_PAUSE_S = 0.002
_WAITING = {"x-antiphon-conversation-wait-ms": "60000"}
_PAGE = 100
_TRIES = 8
_LONGEST_BREAK_S = 0.4


async def sweep(folder: Path, *, count: int, seed: int, say: Callable[[str], None] = lambda _: None) -> Report:
    """Let *count* clients take their turn at once: in a conversation, waiting for one, on a parent."""
    report = Report("concurrency", seed)
    async with EchoUpstream.serve(pause_s=_ECHO_PAUSE_S) as echo:
        gateway = GatewayProcess(folder / "concurrency.db", echo.url)
        await gateway.start()
        try:
            async with Client.of(gateway) as client:
                crowd = _Crowd(client, report, random.Random(seed), count)  # noqa: S311 - chooses, hides nothing
                for part in (crowd.converse, crowd.wait_their_turn, crowd.fork):
                    await part()
                    say(str(report))
            await gateway.stop()
        finally:
            await gateway.kill()
    return report


class _Crowd:
    def __init__(self, client: Client, report: Report, rng: random.Random, count: int) -> None:
        self._client = client
        self._report = report
        self._rng = rng
        self._count = count

    async def converse(self) -> None:
        """All in one conversation: each succeeds or is told that it is locked, and then comes again."""
        conversation, initial = await self._conversation()
        turns = await self._converse(conversation, {}, tries=_TRIES)
        self._count_turns("in a conversation", turns)
        self._report.complain(check_history(turns, await self._items(conversation), initial=initial))

    async def wait_their_turn(self) -> None:
        """All in one conversation, each ready to wait: all succeed."""
        conversation, initial = await self._conversation()
        turns = await self._converse(conversation, _WAITING, tries=1)
        self._count_turns("waiting for a conversation", turns)
        self._report.complain([f"{turn.client} waited in vain" for turn in turns if turn.answered is None])
        self._report.complain(check_history(turns, await self._items(conversation), initial=initial))

    async def fork(self) -> None:
        """All on one parent: all succeed, and none sees another."""
        parent = await self._client.call("POST", "/responses", {"model": MODEL, "input": "the parent"})
        history = [("user", "the parent"), *said_in_items(parent.body["output"])]
        place = {"previous_response_id": parent.body["id"]}
        turns = await asyncio.gather(*(self._turn(f"fork-{number}", place, {}) for number in range(self._count)))
        self._count_turns("on one parent", turns)
        self._report.complain(check_forks(turns, history))

    async def _converse(self, conversation: str, headers: Mapping[str, str], *, tries: int) -> list[Turn]:
        async def client(number: int) -> list[Turn]:
            sent = []
            for attempt in range(tries):
                name = f"client-{number}-{attempt}"
                sent.append(await self._turn(name, {"conversation": conversation}, headers))
                if sent[-1].answered is not None:
                    break
                await asyncio.sleep(self._rng.uniform(0, _LONGEST_BREAK_S))  # as a client does that backs off
            return sent

        return [turn for sent in await asyncio.gather(*map(client, range(self._count))) for turn in sent]

    async def _turn(self, name: str, place: Mapping[str, str], headers: Mapping[str, str]) -> Turn:
        body = {"model": MODEL, "input": name, "stream": self._rng.random() < 0.5, **place}
        began_at = time.monotonic()
        text = await (self._streamed if body["stream"] else self._whole)(name, body, headers)
        return Turn(name, ("user", name), text, began_at, time.monotonic())

    async def _whole(self, name: str, body: Any, headers: Mapping[str, str]) -> str | None:
        answer = await self._client.call("POST", "/responses", body, **headers)
        if answer.status != 200:
            self._check_refusal(name, answer)
            return None
        return _text(answer.body)

    async def _streamed(self, name: str, body: Any, headers: Mapping[str, str]) -> str | None:
        read = await self._client.stream("POST", "/responses", body, headers=headers)
        if read.status != 200:
            self._check_refusal(name, Answer(read.status, read.body, read.headers))
            return None
        if read.terminal is None:
            self._report.complain([f"{name}: its stream has no end"])
            return None
        return _text(read.terminal)

    def _check_refusal(self, name: str, answer: Answer) -> None:
        error = answer.body["error"]
        if (answer.status, error["code"]) != (400, "conversation_locked"):
            self._report.complain([f"{name}: answered with {answer.status}: {error}"])

    async def _conversation(self) -> tuple[str, list[Saying]]:
        items = [{"type": "message", "role": "user", "content": "made by hand"}]
        answer = await self._client.call("POST", "/conversations", {"items": items})
        return answer.body["id"], [("user", "made by hand")]

    async def _items(self, conversation: str) -> list[Saying]:
        items: list[Any] = []
        page: dict[str, Any] = {"has_more": True, "last_id": None}
        while page["has_more"]:
            after = f"&after={page['last_id']}" if page["last_id"] else ""
            path = f"/conversations/{conversation}/items?order=asc&limit={_PAGE}{after}"
            page = (await self._client.call("GET", path)).body
            items += page["data"]
        return said_in_items(items)

    def _count_turns(self, where: str, turns: list[Turn]) -> None:
        succeeded = sum(turn.answered is not None for turn in turns)
        self._report.figures[f"succeeded {where}"] += succeeded
        if succeeded < len(turns):
            self._report.figures[f"refused {where}"] += len(turns) - succeeded


def _text(response: Any) -> str:
    return "".join(part["text"] for item in response["output"] for part in item["content"])
