"""The idempotency sweep: ten senders for every key, and a gateway that is killed in between."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.sweeps.client import Gone, Streamed, until
from tests.sweeps.duplicates import KeyRecord, Outcome, check_key
from tests.sweeps.report import Report
from tests.sweeps.stage import Stage
from tests.sweeps.upstream import MODEL, Plan

__all__ = ["sweep"]

_SENDERS = 10
_KEYS_AT_ONCE = 5
_TOO_MUCH = 20
_KILLED_EVERY = 3
_RETRY_S = 0.1
_PAUSES_S = (0.0, 0.005, 0.02)
_MODES: dict[str, dict[str, Any]] = {
    "json": {},
    "stream": {"stream": True},
    "json in a conversation": {"conversation": True},
    "stream in a conversation": {"stream": True, "conversation": True},
    "background": {"background": True},
    "background stream": {"background": True, "stream": True},
    "background in a conversation": {"background": True, "conversation": True},
}


@dataclass
class _Key:
    name: str
    marker: str
    body: dict[str, Any]
    conversation: str | None

    @property
    def headers(self) -> dict[str, str]:
        return {"Idempotency-Key": self.marker}


async def sweep(folder: Path, *, count: int, seed: int, say: Callable[[str], None] = lambda _: None) -> Report:
    """Use *count* keys, five at a time, each by ten senders, and tell what was found."""
    report = Report("idempotency", seed)
    async with Stage.set(folder / "idempotency.db") as stage:
        one = _Sweep(stage, report, random.Random(seed))  # noqa: S311 - chooses what is tested, hides nothing
        while report.figures["keys"] < count and len(report.violations) < _TOO_MUCH:
            await one.round()
            say(str(report))
        await stage.settle()
    return report


class _Sweep:
    def __init__(self, stage: Stage, report: Report, rng: random.Random) -> None:
        self._stage = stage
        self._report = report
        self._rng = rng
        self._rounds = 0
        self._sent = 0

    async def round(self) -> None:
        """Five keys at once, and in some rounds a kill while they are in use."""
        keys = [await self._key() for _ in range(_KEYS_AT_ONCE)]
        self._rounds += 1
        crashed = self._rounds % _KILLED_EVERY == 0
        sending = asyncio.gather(*(self._send_all(key) for key in keys))
        if crashed:
            await self._kill(keys[0])
        answered = await sending
        for key, outcomes in zip(keys, answered, strict=True):
            await self._judge(key, outcomes, crashed=crashed)

    async def _key(self) -> _Key:
        self._sent += 1
        marker = f"key-{self._sent}"
        mode = self._rng.choice(list(_MODES))
        fields = dict(_MODES[mode])
        conversation = None
        if fields.pop("conversation", False):
            conversation = (await self._stage.client.call("POST", "/conversations", {})).body["id"]
            fields["conversation"] = conversation
        if fields.get("stream"):
            fields["stream_options"] = {"include_obfuscation": False}
        self._stage.upstream.plans[marker] = Plan(pause_s=self._rng.choice(_PAUSES_S))
        body = {"model": MODEL, "input": f"{marker} speaks", **fields}
        return _Key(f"{marker} ({mode})", marker, body, conversation)

    async def _kill(self, key: _Key) -> None:
        """Kill the gateway once the model was asked for *key*, or has a little later."""

        async def asked() -> bool | None:
            return self._stage.upstream.calls[key.marker] > 0 or None

        if self._rng.random() < 0.8:
            await until(asked, f"{key.name} is not carried out")
        # The moment of the kill is what is being varied: there is nothing to wait for.
        await asyncio.sleep(self._rng.uniform(0, 0.1))
        self._report.figures["kills"] += 1
        await self._stage.crash()

    async def _send_all(self, key: _Key) -> list[Outcome]:
        return await asyncio.gather(*(self._send(key) for _ in range(_SENDERS)))

    async def _send(self, key: _Key) -> Outcome:
        """Send it as often as it takes to be answered, as a client's library would."""
        cut_off = False

        async def answered() -> Outcome | None:
            nonlocal cut_off
            outcome = await self._try(key, was_cut_off=cut_off)
            cut_off = cut_off or outcome is None
            return outcome

        return await until(answered, f"{key.name} is not answered", every_s=_RETRY_S)

    async def _try(self, key: _Key, *, was_cut_off: bool) -> Outcome | None:
        """One try; None if the gateway died under it, or asked for another."""
        if key.body.get("stream"):
            read = await self._stage.client.stream("POST", "/responses", key.body, headers=key.headers)
            return _of_stream(read, was_cut_off=was_cut_off)
        try:
            answer = await self._stage.client.call("POST", "/responses", key.body, **key.headers)
        except Gone:
            return None
        if _asks_to_retry(answer.status, answer.headers):
            return None
        response = answer.body if answer.status == 200 else {"id": answer.headers.get("x-antiphon-response-id")}
        return Outcome(
            answer.status, response, replayed="idempotent-replayed" in answer.headers, was_cut_off=was_cut_off
        )

    async def _judge(self, key: _Key, outcomes: list[Outcome], *, crashed: bool) -> None:
        later = await self._send(key)
        end = await until(lambda: self._ended(later.response["id"]), f"{key.name} does not end")
        hit = any(outcome.was_cut_off for outcome in outcomes)
        record = KeyRecord(
            name=key.name,
            outcomes=outcomes,
            later=later,
            calls=self._stage.upstream.calls[key.marker],
            crashed=crashed,
            end=end,
            items=await self._items(key),
        )
        self._report.figures["keys"] += 1
        self._report.figures["keys hit by a kill"] += hit
        self._report.figures["model calls"] += record.calls
        self._report.figures[f"{end}, answered with {later.status}"] += 1
        self._report.complain(check_key(record))

    async def _ended(self, response_id: str) -> str | None:
        status = str((await self._stage.client.call("GET", f"/responses/{response_id}")).body["status"])
        return None if status in ("queued", "in_progress") else status

    async def _items(self, key: _Key) -> int | None:
        if key.conversation is None:
            return None
        return len((await self._stage.client.call("GET", f"/conversations/{key.conversation}/items")).body["data"])


def _of_stream(read: Streamed, *, was_cut_off: bool) -> Outcome | None:
    if read.status == 200 and read.terminal is None:
        return None
    if read.status == 0 or _asks_to_retry(read.status, read.headers):
        return None
    replayed = "idempotent-replayed" in read.headers
    if read.status != 200:
        return Outcome(read.status, read.body, replayed=replayed, was_cut_off=was_cut_off)
    return Outcome(200, read.terminal, tuple(read.frames), replayed=replayed, was_cut_off=was_cut_off)


def _asks_to_retry(status: int, headers: Any) -> bool:
    """As OpenAI's client libraries decide it, which take no status above 499 for an end unless they are told."""
    wanted = headers.get("x-should-retry")
    return status in (409, 503) if wanted is None else wanted == "true"
