"""
What the parts without I/O cost, in microseconds of this machine: to see which of them to work on. No sockets.

    python -m benchmarks.codec

A token's way: the upstream's bytes are parsed, decoded and assembled into events, checked, accumulated and written
for the client. An item's way: sealed for the store, opened again, and translated into the upstream's request.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from statistics import median

from antiphon.crypto.codec import SealingCodec
from antiphon.crypto.services.ephemeral import EphemeralKeys
from antiphon.formats.responses.stream import ResponsesStreamEncoder
from antiphon.hub.events import Event, OtherEvent, ReplyEnd, ResponseCreated, ResponseInProgress
from antiphon.hub.ids import Family, IdFactory, ItemId, TenantId
from antiphon.hub.items import Item
from antiphon.hub.turn import ModelCall, TurnRequest
from antiphon.hub.upstream import ReplyEvent
from antiphon.providers.openai_chat import OpenAIChat
from antiphon.providers.openai_chat.decode import ChatReplyDecoder
from antiphon.sessions.codec import Keys, Place
from antiphon.stores.memory import InMemorySessionStore
from antiphon.streams.accumulator import Accumulator
from antiphon.streams.order import OrderCheck
from antiphon.streams.sse import SseParser
from benchmarks.completions import closing_events, opening_event, token_event

__all__ = ["main"]

TOKENS = 2000
ITEMS = 1000
MODEL = "instant"
TENANT = TenantId("bench")
FAMILY = Family("0123456789abcdef")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.codec", description="Costs of the parts without I/O.")
    parser.add_argument("--rounds", type=int, default=7, help="figures are medians over them")
    rounds = parser.parse_args().rounds
    print("| part | µs |")
    print("|---|---:|")
    for name, figure in itertools.chain(*(_tokens(rounds, step) for step in (1, 10)), _items(rounds)):
        print(f"| {name} | {figure:.2f} |")


def _tokens(rounds: int, step: int) -> Iterator[tuple[str, float]]:
    """The stages of a stream that arrives *step* events at a time, per token."""
    events = [token_event(MODEL, number) for number in range(TOKENS)]
    grouped = [b"".join(events[i : i + step]) for i in range(0, TOKENS, step)]
    blocks = [opening_event(MODEL), *grouped, b"".join(closing_events(MODEL, TOKENS))]
    begun: list[Event | OtherEvent] = [ResponseCreated({"status": "in_progress"}), ResponseInProgress({})]
    replies = [[event for event in batch if not isinstance(event, ReplyEnd)] for batch in _decoded(blocks)]
    spoken = [begun, *filter(None, replies)]
    stages: dict[str, Callable[[], object]] = {
        "parse": lambda: _each(SseParser().feed, blocks),
        "parse, decode, assemble": lambda: _decoded(blocks),
        "check the order": lambda: _each(OrderCheck().feed, spoken),
        "accumulate": lambda: _each(Accumulator().feed, spoken),
        "encode": lambda: _each(ResponsesStreamEncoder(obfuscate=False).encode, spoken),
        "encode, obfuscated": lambda: _each(ResponsesStreamEncoder(obfuscate=True).encode, spoken),
    }
    for name, stage in stages.items():
        yield f"token, {step} in a block: {name}", _cpu_us(stage, rounds) / TOKENS


def _items(rounds: int) -> Iterator[tuple[str, float]]:
    """What is done with an item of about 1 KB, per item."""
    keys = asyncio.run(_keys())
    ids = _ids()
    items = [_message(ids, number) for number in range(ITEMS)]
    sealed = [keys.encode([item.body], _place(item)) for item in items]
    call = ModelCall(
        model=MODEL,
        account="bench",
        items=tuple(items),
        input_start=ITEMS - 1,
        request=TurnRequest(model=MODEL),
        stream=False,
    )
    provider = OpenAIChat()
    yield "item: seal for the store", _cpu_us(lambda: [keys.encode([i.body], _place(i)) for i in items], rounds) / ITEMS
    opened = list(zip(items, sealed, strict=True))
    yield "item: open from the store", _cpu_us(lambda: [keys.decode(p, _place(i)) for i, p in opened], rounds) / ITEMS
    yield "item: translate for the upstream", _cpu_us(lambda: provider.encode(call), rounds) / ITEMS


async def _keys() -> Keys:
    """The keys of one family of a tenant, as a turn has them at hand."""
    store = InMemorySessionStore()
    await store.open()
    codec = SealingCodec(store, EphemeralKeys(), time.time)
    await codec.open()
    await codec.found(TENANT, FAMILY)
    return await codec.keys(TENANT, (FAMILY,))


def _place(item: Item) -> Place:
    return Place(TENANT, FAMILY, "items", item.id)


def _decoded(blocks: list[bytes]) -> list[list[ReplyEvent]]:
    decoder = ChatReplyDecoder(_ids(), FAMILY, "bench")
    return [list(decoder.feed(block)) for block in blocks]


def _each(stage: Callable[..., object], values: Sequence[object]) -> None:
    for value in values:
        stage(value)


def _cpu_us(work: Callable[[], object], rounds: int) -> float:
    taken = []
    for _ in range(rounds):
        began = time.process_time_ns()
        work()
        taken.append((time.process_time_ns() - began) / 1e3)
    return median(taken)


def _message(ids: IdFactory, number: int) -> Item:
    role, part_type = ("user", "input_text") if number % 2 == 0 else ("assistant", "output_text")
    item_id: ItemId = ids.item("message", FAMILY)
    part: dict[str, object] = {"type": part_type, "text": "One more line of the story. " * 32}
    if role == "assistant":
        part |= {"annotations": [], "logprobs": []}
    body = {"id": item_id, "type": "message", "status": "completed", "role": role, "content": [part]}
    return Item(item_id, "message", body)


def _ids() -> IdFactory:
    return IdFactory(lambda: 1741570283.0)


if __name__ == "__main__":
    main()
