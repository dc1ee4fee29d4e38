"""
What affinity is worth: how much of each prompt a model server has in its prefix cache already.

    python -m benchmarks.affinity                          about a minute and a half
    python -m benchmarks.affinity --conversations 3 --turns 3

Several servers of the local model with their prefix cache on are targets of one order behind one gateway. The same
conversations are held with it in three ways; their prompts are alike, only where they go is not. The servers say how
many tokens of a prompt they had, so no figure depends on the machine's speed.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import orjson

from antiphon.local import LocalModel, LocalModelError
from benchmarks.processes import Server, StartFailed, start

__all__ = ["WAYS", "Counts", "Way", "gateway_before", "hold", "main", "table"]

MODEL = "fast"
SLOTS = 4  # of each server; a slot has the prefix of one conversation
SLOT_TOKENS = 1024
OUTPUT_TOKENS = 16
_TOPICS = ("Harbours", "Lanterns", "Orchards", "Glaciers", "Violins", "Mosaics", "Kites", "Lighthouses")
_ASKED = (
    "{topic}, part {number}: say in one sentence what somebody sees who has come here for the first time, and what the "
    "weather was like on that day."
)


@dataclass(frozen=True, kw_only=True)
class Way:
    """
    How clients hold their conversations.

    Attributes:
        stored: The gateway keeps the history, which the client refers to; otherwise the client sends it with each turn.
        keyed: The client gives each conversation a ``prompt_cache_key``.
    """

    name: str
    stored: bool
    keyed: bool = False


WAYS = (
    Way(name="by weight alone: the client keeps the history, without a key", stored=False),
    Way(name="affinity by `prompt_cache_key`: the client keeps the history", stored=False, keyed=True),
    Way(name="affinity by log: the gateway keeps the history", stored=True),
)


@dataclass(kw_only=True)
class Counts:
    """
    Tokens, over all turns but the first of each conversation, of which nobody can have seen anything.

    Attributes:
        kept: How many turns went where the turn before them had gone.
        prompt: Of all prompts.
        cached: Of these, what the server that was asked had.
        said_before: Of these, what the turn before had as prompt or answer: the most that could be had.
    """

    turns: int = 0
    kept: int = 0
    prompt: int = 0
    cached: int = 0
    said_before: int = 0


class Answer(NamedTuple):
    """What a turn's answer tells."""

    id: str
    text: str
    upstream: str
    input_tokens: int
    cached_tokens: int
    output_tokens: int


@dataclass
class Talk:
    """One conversation, as its client knows it."""

    topic: str
    way: Way
    said: list[Mapping[str, str]] = field(default_factory=list)
    last: Answer | None = None

    def request(self, text: str) -> dict[str, Any]:
        """The next turn's body."""
        asked = {"role": "user", "content": text}
        self.said.append(asked)
        body = {"model": MODEL, "max_output_tokens": OUTPUT_TOKENS, "temperature": 0, "store": self.way.stored}
        if not self.way.stored:
            key = {"prompt_cache_key": self.topic} if self.way.keyed else {}
            return {**body, "input": [*self.said], **key}
        return {**body, "input": [asked], **({"previous_response_id": self.last.id} if self.last else {})}

    def answered(self, answer: Answer, counts: Counts) -> None:
        """Remember what was said, and count what it cost."""
        before, self.last = self.last, answer
        self.said.append({"role": "assistant", "content": answer.text})
        if before is None:
            return
        counts.turns += 1
        counts.kept += before.upstream == answer.upstream
        counts.prompt += answer.input_tokens
        counts.cached += answer.cached_tokens
        counts.said_before += before.input_tokens + before.output_tokens


async def hold(gateway_url: str, way: Way, *, conversations: int, turns: int) -> Counts:
    """
    Hold conversations at the same time: the first turn of each, then the second of each, and so on.

    Raises:
        aiohttp.ClientResponseError: The gateway did not answer with 200.
    """
    counts = Counts()
    talks = [Talk(f"{_TOPICS[number % len(_TOPICS)]} {number}", way) for number in range(conversations)]
    async with aiohttp.ClientSession(gateway_url, raise_for_status=True) as client:
        for turn in range(turns):
            for talk in talks:
                body = talk.request(_ASKED.format(topic=talk.topic, number=turn + 1))
                talk.answered(await _ask(client, body), counts)
    return counts


async def _ask(client: aiohttp.ClientSession, body: Mapping[str, Any]) -> Answer:
    async with client.post("/v1/responses", json=body) as reply:
        response = await reply.json()
        upstream = reply.headers["x-antiphon-upstream"]
    usage = response["usage"]
    return Answer(
        id=response["id"],
        text="".join(part["text"] for item in response["output"] for part in item["content"]),
        upstream=upstream,
        input_tokens=usage["input_tokens"],
        cached_tokens=usage["input_tokens_details"]["cached_tokens"],
        output_tokens=usage["output_tokens"],
    )


@asynccontextmanager
async def gateway_before(model: str, base_urls: Sequence[str]) -> AsyncIterator[Server]:
    """A gateway for which *model* of all these servers is one model: targets of one order."""
    upstreams = [{"name": f"gpu-{number}", "base_url": url} for number, url in enumerate(base_urls)]
    targets = [{"upstream": upstream["name"], "model": model, "order": 0} for upstream in upstreams]
    settings = {"store": "memory:", "upstreams": upstreams, "models": [{"name": MODEL, "targets": targets}]}
    with tempfile.TemporaryDirectory(prefix="antiphon-affinity-") as directory:
        file = Path(directory) / "antiphon.yaml"
        file.write_bytes(orjson.dumps(settings))  # JSON is YAML
        command = [sys.executable, "-m", "antiphon", "serve", "--config", str(file), "--port", "0"]
        server = await asyncio.to_thread(start, command, directory=Path(directory), core=None)
        try:
            yield server
        finally:
            await asyncio.to_thread(server.stop)


async def _measure(servers: int, conversations: int, turns: int) -> dict[Way, Counts]:
    """Each way with servers of its own, so that none finds what another has left in their caches."""
    found: dict[Way, Counts] = {}
    for way in WAYS:
        print(f"{way.name} …", file=sys.stderr)
        async with AsyncExitStack() as running:
            models = [
                await running.enter_async_context(
                    LocalModel(slots=SLOTS, context_tokens=SLOTS * SLOT_TOKENS, threads=1, prefix_cache=True)
                )
                for _ in range(servers)
            ]
            urls = [model.base_url for model in models]
            gateway = await running.enter_async_context(gateway_before(LocalModel.name, urls))
            found[way] = await hold(gateway.url, way, conversations=conversations, turns=turns)
    return found


def table(found: Mapping[Way, Counts]) -> str:
    """The shares as a Markdown table."""
    lines = [
        "| way | turns that went where the one before had gone | prompt tokens cached | of those said before |",
        "|---|---:|---:|---:|",
    ]
    for way, counts in found.items():
        shares = (counts.kept / counts.turns, counts.cached / counts.prompt, counts.cached / counts.said_before)
        lines.append(f"| {way.name} | {' | '.join(f'{share:.0%}' for share in shares)} |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print the table; 2 if there was nothing to measure with."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.affinity", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--servers", type=int, default=2)
    parser.add_argument("--conversations", type=int, default=6)
    parser.add_argument("--turns", type=int, default=4, help="of each conversation, 2 at least")
    options = parser.parse_args(arguments)
    try:
        found = asyncio.run(_measure(options.servers, options.conversations, max(2, options.turns)))
    except (LocalModelError, StartFailed) as error:
        print(error, file=sys.stderr)
        return 2
    print(table(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
