"""What a turn held is free when it has ended, however it went: nothing waits for the garbage collector."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator

import pytest

from antiphon import Gateway, upstream
from antiphon.engine.turn import Turn
from antiphon.hub.errors import AntiphonError
from tests.support.scripted_upstream import MODEL, ScriptedUpstream, delta, http_stream, text_stream


@pytest.fixture
def no_collection() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


ENDINGS = {
    "a whole answer": http_stream(text_stream("Hi")),
    "an answer that breaks off": http_stream(delta(content="Hi")),
    "nonsense": http_stream(b"data: {nope\n\n"),
}


def turns() -> list[Turn]:
    return [held for held in gc.get_objects() if isinstance(held, Turn)]


@pytest.mark.usefixtures("no_collection")
@pytest.mark.parametrize("answer", ENDINGS.values(), ids=ENDINGS)
async def test_an_ended_turn_is_let_go(answer: bytes) -> None:
    """Its request, history and answer may be many megabytes, and few objects: a collector would be long in coming."""
    before = len(turns())
    async with ScriptedUpstream.serve() as scripted:
        scripted.scripts.append([answer])
        gateway = Gateway([upstream(scripted.url)])
        with contextlib.suppress(AntiphonError):
            async for _ in gateway.stream({"model": MODEL, "input": "hi", "store": False}):
                pass
        await gateway.shutdown()

    assert before == len(turns())
